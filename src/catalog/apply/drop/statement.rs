//! The `DROP` statement.

use pg_query::protobuf::{DropBehavior, DropStmt, Node, ObjectType, ObjectWithArgs, TypeName, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::{names, statistics};
use super::{Object, objects};
use crate::catalog::expression;
use crate::catalog::{Name, RelationKind};
use crate::sql::quote;

/// `DROP` of everything but roles, databases, tablespaces and subscriptions.
pub(in super::super) fn drop(edit: &mut Edit<'_>, statement: &DropStmt) -> Outcome {
    let kind = ObjectType::try_from(statement.remove_type).unwrap_or(ObjectType::Undefined);
    let cascade = statement.behavior == DropBehavior::DropCascade as i32;
    let mut targets = Vec::new();
    for node in &statement.objects {
        match target(edit, kind, node)? {
            Some(Target::Known(object)) => targets.push(object),
            Some(Target::Unmodelled) => {}
            None if statement.missing_ok => {}
            None => fail!("{} does not exist", names::spelled(&names::parts(Some(node)))),
        }
    }
    targets.dedup();
    refuse(edit, &targets)?;
    objects(edit, &targets, cascade)
}

/// What the server refuses whatever the dependents.
fn refuse(edit: &Edit<'_>, targets: &[Object]) -> Outcome {
    for target in targets {
        match target {
            Object::Relation(name) => {
                if let Some(index) = &edit.relation(name)?.index {
                    if let Some(constraint) = &index.constraint {
                        fail!("constraint {} of {} requires index {name}", quote::ident(constraint), index.table);
                    }
                    if let Some(parent) = &index.parent {
                        fail!("index {parent} requires index {name}");
                    }
                }
                if let Some(owner) = edit.relation(name)?.sequence.as_ref().filter(|sequence| sequence.identity)
                    && let Some(owner) = &owner.owned_by
                {
                    fail!("an identity column of {} requires sequence {name}", owner.relation);
                }
            }
            Object::Trigger(table, trigger) => {
                let clone = edit.relation(table)?.triggers.iter().any(|own| own.name == *trigger && own.from_parent);
                if clone {
                    fail!("trigger {} of {table} belongs to the partitioned table", quote::ident(trigger));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

enum Target {
    Known(Object),
    /// An object that the catalog has no entry for: operators, collations, foreign servers and the like.
    Unmodelled,
}

fn target(edit: &Edit<'_>, kind: ObjectType, node: &Node) -> Outcome<Option<Target>> {
    let parts = names::parts(Some(node));
    let known = |object: Option<Object>| Ok(object.map(Target::Known));
    match kind {
        ObjectType::ObjectTable
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectIndex
        | ObjectType::ObjectSequence
        | ObjectType::ObjectForeignTable => {
            let (schema, name) = names::split(&parts);
            let Some(name) = names::find_relation_by(edit, schema, name) else { return Ok(None) };
            let actual = edit.relation(&name)?.kind;
            if !matches_kind(kind, actual) {
                fail!("{name} is not of the kind that the statement drops");
            }
            known(Some(Object::Relation(name)))
        }
        ObjectType::ObjectType | ObjectType::ObjectDomain => known(names::user_type(edit, &parts).map(Object::Type)),
        ObjectType::ObjectSchema => {
            known(parts.first().filter(|name| edit.schemas.contains_key(*name)).cloned().map(Object::Schema))
        }
        ObjectType::ObjectExtension => {
            known(parts.first().filter(|name| edit.extensions.contains_key(*name)).cloned().map(Object::Extension))
        }
        ObjectType::ObjectPublication => {
            known(parts.first().filter(|name| edit.publications.contains_key(*name)).cloned().map(Object::Publication))
        }
        ObjectType::ObjectEventTrigger => {
            let found = parts.first().filter(|name| edit.event_triggers.contains_key(*name));
            known(found.cloned().map(Object::EventTrigger))
        }
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => match &node.node {
            Some(node::Node::ObjectWithArgs(object)) => known(function(edit, object)),
            _ => Ok(None),
        },
        ObjectType::ObjectTrigger | ObjectType::ObjectRule | ObjectType::ObjectPolicy => on_table(edit, kind, &parts),
        ObjectType::ObjectStatisticExt => known(statistics::find(edit, &parts).map(Object::Statistics)),
        ObjectType::ObjectCast => known(cast(edit, node)),
        _ => Ok(Some(Target::Unmodelled)),
    }
}

fn matches_kind(wanted: ObjectType, actual: RelationKind) -> bool {
    match wanted {
        ObjectType::ObjectTable => actual.is_table(),
        ObjectType::ObjectView => actual == RelationKind::View,
        ObjectType::ObjectMatview => actual == RelationKind::MaterializedView,
        ObjectType::ObjectIndex => actual.is_index(),
        ObjectType::ObjectSequence => actual == RelationKind::Sequence,
        _ => actual == RelationKind::ForeignTable,
    }
}

fn function(edit: &Edit<'_>, object: &ObjectWithArgs) -> Option<Object> {
    let found = &edit.functions[names::find_function(edit, object)?];
    Some(Object::Function(found.name.clone(), found.arguments.clone()))
}

/// `name ON table`: the name stands last.
fn on_table(edit: &Edit<'_>, kind: ObjectType, parts: &[String]) -> Outcome<Option<Target>> {
    let Some((name, table)) = parts.split_last() else { return Ok(None) };
    let (schema, relation) = names::split(table);
    let Some(table) = names::find_relation_by(edit, schema, relation) else { return Ok(None) };
    let relation = edit.relation(&table)?;
    let found = match kind {
        ObjectType::ObjectTrigger => {
            relation.triggers.iter().any(|own| own.name == *name).then(|| Object::Trigger(table.clone(), name.clone()))
        }
        ObjectType::ObjectRule => {
            relation.rules.iter().any(|own| own.name == *name).then(|| Object::Rule(table.clone(), name.clone()))
        }
        _ => relation.policies.iter().any(|own| own.name == *name).then(|| Object::Policy(table.clone(), name.clone())),
    };
    Ok(found.map(Target::Known))
}

fn cast(edit: &Edit<'_>, node: &Node) -> Option<Object> {
    let Some(node::Node::List(list)) = &node.node else { return None };
    let type_of = |node: &Node| -> Option<Name> {
        match &node.node {
            Some(node::Node::TypeName(name)) => {
                let name: &TypeName = name;
                expression::resolve_type(edit, name).map(|found| found.name())
            }
            _ => None,
        }
    };
    let [source, target] = list.items.as_slice() else { return None };
    let (source, target) = (type_of(source)?, type_of(target)?);
    let exists = edit.casts.iter().any(|cast| cast.source == source && cast.target == target);
    exists.then_some(Object::Cast(source, target))
}
