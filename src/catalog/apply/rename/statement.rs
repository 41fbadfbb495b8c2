//! `ALTER .. RENAME` and `ALTER .. SET SCHEMA`.

use pg_query::protobuf::{AlterObjectSchemaStmt, Node, ObjectType, RenameStmt, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::{names, statistics, trigger};
use super::{apply, constraint, relation};
use crate::catalog::expression::{Renaming, name_results};
use crate::catalog::{Name, RelationKind, TypeKind};
use crate::sql::quote;

fn kind(number: i32) -> ObjectType {
    ObjectType::try_from(number).unwrap_or(ObjectType::Undefined)
}

/// `ALTER .. RENAME`.
pub(in super::super) fn rename(edit: &mut Edit<'_>, statement: &RenameStmt) -> Outcome {
    let parts = names::parts(statement.object.as_deref());
    let (old, new) = (statement.subname.as_str(), statement.newname.as_str());
    match kind(statement.rename_type) {
        ObjectType::ObjectTable
        | ObjectType::ObjectIndex
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectSequence
        | ObjectType::ObjectForeignTable => {
            let Some(name) = table(edit, statement)? else { return Ok(()) };
            relation(edit, &name, &Name::new(name.schema.as_str(), new))
        }
        ObjectType::ObjectColumn => {
            let Some(name) = table(edit, statement)? else { return Ok(()) };
            let recurse = statement.relation.as_ref().is_some_and(|range| range.inh);
            column(edit, &name, old, new, recurse, true)
        }
        ObjectType::ObjectAttribute => attribute(edit, statement),
        ObjectType::ObjectTabconstraint => {
            let Some(name) = table(edit, statement)? else { return Ok(()) };
            let recurse = statement.relation.as_ref().is_some_and(|range| range.inh);
            constraint(edit, &name, old, new, recurse)
        }
        ObjectType::ObjectDomconstraint => domain_constraint(edit, &parts, old, new),
        ObjectType::ObjectTrigger => {
            let Some(name) = table(edit, statement)? else { return Ok(()) };
            trigger::rename(edit, &name, old, new)
        }
        ObjectType::ObjectPolicy => {
            let Some(name) = table(edit, statement)? else { return Ok(()) };
            let policies = &mut edit.relation_mut(&name)?.policies;
            match policies.iter_mut().find(|policy| policy.name == old) {
                Some(policy) => new.clone_into(&mut policy.name),
                None => fail!("policy {} of {name} does not exist", quote::ident(old)),
            }
            policies.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(())
        }
        ObjectType::ObjectRule => rule(edit, statement, old, new),
        ObjectType::ObjectSchema => {
            if edit.schemas.contains_key(new) {
                fail!("schema {} already exists", quote::ident(new));
            }
            if !edit.schemas.contains_key(old) {
                fail!("schema {} does not exist", quote::ident(old));
            }
            let renaming = Renaming { schema: Some((old.to_owned(), new.to_owned())), ..Renaming::default() };
            apply(edit, &renaming)?;
            super::super::session::refresh_search_path(edit);
            Ok(())
        }
        ObjectType::ObjectType | ObjectType::ObjectDomain => {
            let name = names::existing_type(edit, &parts)?;
            data_type(edit, &name, Name::new(name.schema.as_str(), new))
        }
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => {
            function(edit, statement.object.as_deref(), |name| Name::new(name.schema.as_str(), new))
        }
        ObjectType::ObjectStatisticExt => statistics_object(edit, &parts, |name| Name::new(name.schema.as_str(), new)),
        other => small(edit, other, old, &parts, new),
    }
}

/// The relation of the statement; `None` when it is missing and that is allowed.
fn table(edit: &Edit<'_>, statement: &RenameStmt) -> Outcome<Option<Name>> {
    let Some(range) = &statement.relation else { fail!("the statement names no relation") };
    match names::find_relation(edit, range) {
        Some(name) => Ok(Some(name)),
        None if statement.missing_ok => Ok(None),
        None => fail!("relation {} does not exist", names::spelled_range(range)),
    }
}

/// A column, in the children too.
fn column(edit: &mut Edit<'_>, table: &Name, old: &str, new: &str, recurse: bool, root: bool) -> Outcome {
    let relation = edit.relation(table)?;
    let Some(found) = relation.column(old) else {
        fail!("column {} of {table} does not exist", quote::ident(old));
    };
    if found.inherited > 0 && root {
        fail!("column {} of {table} is inherited", quote::ident(old));
    }
    if relation.column(new).is_some() {
        fail!("column {} of {table} already exists", quote::ident(new));
    }
    let is_view = matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView);
    let children = names::children(edit, table);
    if !recurse && !children.is_empty() {
        fail!("column {} must be renamed in the children of {table} too", quote::ident(old));
    }
    let renaming = Renaming { column: Some((table.clone(), old.to_owned(), new.to_owned())), ..Renaming::default() };
    apply(edit, &renaming)?;
    if is_view {
        let relation = edit.relation_mut(table)?;
        let columns: Vec<String> = relation.columns.iter().map(|column| column.name.clone()).collect();
        if let Some(view) = &mut relation.view
            && let Some(text) = name_results(&view.definition, &columns)
        {
            view.definition = text;
        }
    }
    for child in children {
        column(edit, &child, old, new, true, false)?;
    }
    Ok(())
}

fn attribute(edit: &mut Edit<'_>, statement: &RenameStmt) -> Outcome {
    let Some(range) = &statement.relation else { fail!("the statement names no type") };
    let mut parts = vec![range.relname.clone()];
    if !range.schemaname.is_empty() {
        parts.insert(0, range.schemaname.clone());
    }
    let name = names::existing_type(edit, &parts)?;
    let (old, new) = (statement.subname.as_str(), statement.newname.as_str());
    let typed: Vec<Name> = edit
        .relations
        .referring_to(&name)
        .filter(|(_, relation)| relation.of_type.as_ref() == Some(&name))
        .map(|(table, _)| table.clone())
        .collect();
    if !typed.is_empty() && statement.behavior != pg_query::protobuf::DropBehavior::DropCascade as i32 {
        fail!("typed table {} depends on {name}", typed[0]);
    }
    let TypeKind::Composite { attributes } = &mut edit.type_mut(&name)?.kind else {
        fail!("{name} is not a composite type");
    };
    match attributes.iter_mut().find(|attribute| attribute.name == old) {
        Some(attribute) => new.clone_into(&mut attribute.name),
        None => fail!("attribute {} of {name} does not exist", quote::ident(old)),
    }
    for table in typed {
        column(edit, &table, old, new, true, false)?;
    }
    Ok(())
}

fn domain_constraint(edit: &mut Edit<'_>, parts: &[String], old: &str, new: &str) -> Outcome {
    let name = names::existing_type(edit, parts)?;
    let TypeKind::Domain { constraints, .. } = &mut edit.type_mut(&name)?.kind else {
        fail!("{name} is not a domain");
    };
    match constraints.iter_mut().find(|constraint| constraint.name == old) {
        Some(constraint) => new.clone_into(&mut constraint.name),
        None => fail!("constraint {} of {name} does not exist", quote::ident(old)),
    }
    constraints.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

fn rule(edit: &mut Edit<'_>, statement: &RenameStmt, old: &str, new: &str) -> Outcome {
    let Some(name) = table(edit, statement)? else { return Ok(()) };
    let rules = &mut edit.relation_mut(&name)?.rules;
    match rules.iter_mut().find(|rule| rule.name == old) {
        Some(rule) => {
            let (from, to) =
                (format!("CREATE RULE {} ", quote::ident(old)), format!("CREATE RULE {} ", quote::ident(new)));
            rule.definition = rule.definition.replacen(&from, &to, 1);
            new.clone_into(&mut rule.name);
        }
        None => fail!("rule {} of {name} does not exist", quote::ident(old)),
    }
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

fn data_type(edit: &mut Edit<'_>, old: &Name, new: Name) -> Outcome {
    if edit.types.contains_key(&new) || edit.relations.contains_key(&new) {
        fail!("type {new} already exists");
    }
    apply(edit, &Renaming { data_type: Some((old.clone(), new)), ..Renaming::default() })
}

fn function(edit: &mut Edit<'_>, object: Option<&Node>, new: impl Fn(&Name) -> Name) -> Outcome {
    let Some(node::Node::ObjectWithArgs(object)) = object.and_then(|object| object.node.as_ref()) else {
        fail!("the statement names no function");
    };
    let at = names::function(edit, object)?;
    let (old, arguments) = (edit.functions[at].name.clone(), edit.functions[at].arguments.clone());
    let new = new(&old);
    if edit.functions.iter().any(|other| other.name == new && other.arguments == arguments) {
        fail!("function {new}({arguments}) already exists");
    }
    let overloads = edit.functions.iter().filter(|other| other.name == old).count();
    if overloads == 1 {
        return apply(edit, &Renaming { function: Some((old, new)), ..Renaming::default() });
    }
    // Others of the old name stay: who calls which is not recorded, but triggers call the one without arguments.
    let mut function = edit.take_function(at);
    function.definition = super::super::function::renamed(&function.definition, &old, &new);
    function.name = new;
    edit.add_function(function);
    Ok(())
}

fn statistics_object(edit: &mut Edit<'_>, parts: &[String], new: impl Fn(&Name) -> Name) -> Outcome {
    let Some(old) = statistics::find(edit, parts) else {
        fail!("statistics object {} does not exist", names::spelled(parts));
    };
    let new = new(&old);
    if edit.statistics.contains_key(&new) {
        fail!("statistics object {new} already exists");
    }
    if let Some(mut own) = edit.small().statistics.remove(&old) {
        own.definition = own.definition.replacen(&old.to_string(), &new.to_string(), 1);
        edit.small().statistics.insert(new, own);
    }
    Ok(())
}

/// What has no schema: the old name is in one field or the other.
fn small(edit: &mut Edit<'_>, kind: ObjectType, subname: &str, parts: &[String], new: &str) -> Outcome {
    let old = parts.first().map_or(subname, String::as_str);
    let catalog = edit.small();
    let found = match kind {
        ObjectType::ObjectPublication => {
            catalog.publications.remove(old).map(|own| catalog.publications.insert(new.to_owned(), own)).is_some()
        }
        ObjectType::ObjectEventTrigger => {
            catalog.event_triggers.remove(old).map(|own| catalog.event_triggers.insert(new.to_owned(), own)).is_some()
        }
        ObjectType::ObjectRole => replace(&mut catalog.roles, old, new),
        ObjectType::ObjectTablespace => replace(&mut catalog.tablespaces, old, new),
        ObjectType::ObjectSubscription => replace(&mut catalog.subscriptions, old, new),
        // Collations, operators, servers, languages and the like are not in the catalog.
        _ => true,
    };
    if !found {
        fail!("{} does not exist", quote::ident(old));
    }
    Ok(())
}

fn replace(list: &mut [String], old: &str, new: &str) -> bool {
    let found = list.iter_mut().find(|name| *name == old);
    let exists = found.is_some();
    if let Some(name) = found {
        new.clone_into(name);
    }
    list.sort();
    exists
}

/// `SET SCHEMA`.
pub(in super::super) fn set_schema(edit: &mut Edit<'_>, statement: &AlterObjectSchemaStmt) -> Outcome {
    let schema = statement.newschema.as_str();
    if !edit.schemas.contains_key(schema) {
        fail!("schema {} does not exist", quote::ident(schema));
    }
    let parts = names::parts(statement.object.as_deref());
    match kind(statement.object_type) {
        ObjectType::ObjectType | ObjectType::ObjectDomain => {
            let name = names::existing_type(edit, &parts)?;
            data_type(edit, &name, Name::new(schema, name.name.as_str()))
        }
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => {
            function(edit, statement.object.as_deref(), |name| Name::new(schema, name.name.as_str()))
        }
        ObjectType::ObjectStatisticExt => statistics_object(edit, &parts, |name| Name::new(schema, name.name.as_str())),
        ObjectType::ObjectExtension => extension(edit, &parts, schema),
        _ => {
            let Some(range) = &statement.relation else { return Ok(()) };
            let Some(name) = names::find_relation(edit, range) else {
                if statement.missing_ok {
                    return Ok(());
                }
                fail!("relation {} does not exist", names::spelled_range(range));
            };
            if edit.relation(&name)?.kind.is_index() {
                fail!("an index lies in the schema of its table");
            }
            move_relation(edit, &name, schema)
        }
    }
}

/// The relation with its indexes and owned sequences.
fn move_relation(edit: &mut Edit<'_>, name: &Name, schema: &str) -> Outcome {
    if name.schema == schema {
        return Ok(());
    }
    let mut moving = names::indexes(edit, name);
    moving.extend(names::owned_sequences(edit, name));
    moving.insert(0, name.clone());
    for old in moving {
        let new = Name::new(schema, old.name.as_str());
        if edit.relations.contains_key(&new) {
            fail!("relation {new} already exists");
        }
        apply(edit, &Renaming { relation: Some((old, new)), ..Renaming::default() })?;
    }
    Ok(())
}

fn extension(edit: &mut Edit<'_>, parts: &[String], schema: &str) -> Outcome {
    let Some(extension) = parts.first().filter(|name| edit.extensions.contains_key(*name)).cloned() else {
        fail!("extension {} does not exist", names::spelled(parts));
    };
    let of = |owner: &Option<String>| owner.as_deref() == Some(extension.as_str());
    let types: Vec<Name> =
        edit.types.iter().filter(|(_, own)| of(&own.extension)).map(|(name, _)| name.clone()).collect();
    for name in types {
        let new = Name::new(schema, name.name.as_str());
        apply(edit, &Renaming { data_type: Some((name, new)), ..Renaming::default() })?;
    }
    let mut functions: Vec<Name> =
        edit.functions.iter().filter(|own| of(&own.extension)).map(|own| own.name.clone()).collect();
    functions.dedup();
    for name in functions {
        let new = Name::new(schema, name.name.as_str());
        apply(edit, &Renaming { function: Some((name, new)), ..Renaming::default() })?;
    }
    edit.small().extensions.insert(extension, schema.to_owned());
    Ok(())
}
