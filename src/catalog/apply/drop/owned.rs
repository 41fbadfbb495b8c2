//! `DROP OWNED` and `REASSIGN OWNED`.

use pg_query::protobuf::{DropBehavior, DropOwnedStmt, Node, ReassignOwnedStmt, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::super::privileges::Privileges;
use super::{Object, objects};
use crate::catalog::Name;

fn roles(edit: &Edit<'_>, nodes: &[Node]) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(node::Node::RoleSpec(role)) => Some(names::role(edit, role)),
            _ => None,
        })
        .collect()
}

/// What a role owns goes, and what it was granted is taken back.
pub(in super::super) fn drop_owned(edit: &mut Edit<'_>, statement: &DropOwnedStmt) -> Outcome {
    let roles = roles(edit, &statement.roles);
    let owned = |owner: &String| roles.contains(owner);
    let mut targets: Vec<Object> = Vec::new();
    let is_part = |relation: &crate::catalog::Relation| {
        relation.index.is_some() || relation.sequence.as_ref().is_some_and(|sequence| sequence.owned_by.is_some())
    };
    let relations = edit.relations.iter().filter(|(_, relation)| owned(&relation.owner) && !is_part(relation));
    targets.extend(relations.map(|(name, _)| Object::Relation(name.clone())));
    let types = edit.types.iter().filter(|(_, user_type)| owned(&user_type.owner));
    targets.extend(types.map(|(name, _)| Object::Type(name.clone())));
    let functions = edit.functions.iter().filter(|function| owned(&function.owner));
    targets.extend(functions.map(|function| Object::Function(function.name.clone(), function.arguments.clone())));
    let schemas = edit.schemas.iter().filter(|(_, schema)| owned(&schema.owner));
    targets.extend(schemas.map(|(name, _)| Object::Schema(name.clone())));
    let statistics = edit.statistics.iter().filter(|(_, statistics)| owned(&statistics.owner));
    targets.extend(statistics.map(|(name, _)| Object::Statistics(name.clone())));
    objects(edit, &targets, statement.behavior == DropBehavior::DropCascade as i32)?;
    revoke_everything(edit, &roles)
}

fn revoke_everything(edit: &mut Edit<'_>, roles: &[String]) -> Outcome {
    let without = |items: &[String]| {
        let mut privileges = Privileges::parse(items);
        roles.iter().for_each(|role| privileges.forget(role));
        privileges.print()
    };
    let with_privileges: Vec<Name> = edit
        .relations
        .iter()
        .filter(|(_, relation)| {
            !relation.privileges.is_empty() || relation.columns.iter().any(|column| !column.privileges.is_empty())
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in with_privileges {
        let relation = edit.relation_mut(&name)?;
        relation.privileges = without(&relation.privileges);
        for column in &mut relation.columns {
            column.privileges = without(&column.privileges);
        }
    }
    for at in 0..edit.functions.len() {
        if !edit.functions[at].privileges.is_empty() {
            let kept = without(&edit.functions[at].privileges);
            edit.function_mut(at).privileges = kept;
        }
    }
    for schema in edit.small().schemas.values_mut() {
        schema.privileges = without(&schema.privileges);
    }
    edit.small().default_privileges.retain(|own| !roles.contains(&own.role));
    for own in &mut edit.small().default_privileges {
        own.privileges = without(&own.privileges);
    }
    edit.small().default_privileges.retain(|own| !own.privileges.is_empty());
    Ok(())
}

/// Everything of the roles gets another owner.
pub(in super::super) fn reassign_owned(edit: &mut Edit<'_>, statement: &ReassignOwnedStmt) -> Outcome {
    let old = roles(edit, &statement.roles);
    let Some(new) = &statement.newrole else { fail!("the statement names no new owner") };
    let new = names::role(edit, new);
    let relations: Vec<Name> = edit
        .relations
        .iter()
        .filter(|(_, relation)| old.contains(&relation.owner))
        .map(|(name, _)| name.clone())
        .collect();
    for name in relations {
        super::super::owner::of_relation(edit, &name, &new)?;
    }
    let types: Vec<Name> = edit
        .types
        .iter()
        .filter(|(_, user_type)| old.contains(&user_type.owner))
        .map(|(name, _)| name.clone())
        .collect();
    for name in types {
        super::super::owner::of_type(edit, &name, &new)?;
    }
    for at in 0..edit.functions.len() {
        if old.contains(&edit.functions[at].owner) {
            super::super::owner::of_function(edit, at, &new);
        }
    }
    let small = edit.small();
    for schema in small.schemas.values_mut().filter(|schema| old.contains(&schema.owner)) {
        super::super::owner::swap(&mut schema.owner, &mut schema.privileges, &new);
    }
    for statistics in small.statistics.values_mut().filter(|statistics| old.contains(&statistics.owner)) {
        statistics.owner.clone_from(&new);
    }
    for publication in small.publications.values_mut().filter(|publication| old.contains(&publication.owner)) {
        publication.owner.clone_from(&new);
    }
    Ok(())
}
