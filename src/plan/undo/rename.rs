//! Renames, which two catalogs cannot tell from a drop and a new object: the statement itself is turned round.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterObjectSchemaStmt, List, Node, ObjectType, RenameStmt, String as PgString};

use super::Done;
use crate::catalog::{Catalog, Name};
use crate::plan::analyze::{Lookup, Resolver};
use crate::sql::render;

/// The statement that renames back; `None` when the step renames nothing.
pub(super) fn reversed(done: &Done<'_>) -> Option<Result<Vec<String>, String>> {
    let [statement] = done.statements else {
        return None;
    };
    let node = match &statement.node {
        NodeEnum::RenameStmt(rename) => NodeEnum::RenameStmt(Box::new(renamed_back(done.before, rename)?)),
        NodeEnum::AlterObjectSchemaStmt(change) => {
            NodeEnum::AlterObjectSchemaStmt(Box::new(moved_back(done.before, change)?))
        }
        _ => return None,
    };
    Some(render::render(&node).map(|text| vec![text]).ok_or_else(|| "the rename cannot be turned round".to_owned()))
}

fn name_of(catalog: &Catalog, schema: &str, name: &str) -> Option<Name> {
    match Resolver::new(catalog).lookup_name(schema, name) {
        Lookup::Found(found) => Some(found.name.clone()),
        _ => None,
    }
}

/// A composite type that is no relation's.
fn type_of(catalog: &Catalog, schema: &str, name: &str) -> Option<Name> {
    let path = catalog.server.search_path.iter().map(String::as_str);
    let schemas: Vec<&str> = if schema.is_empty() { path.collect() } else { vec![schema] };
    schemas.into_iter().map(|schema| Name::new(schema, name)).find(|name| catalog.types.contains_key(name))
}

fn renamed_back(before: &Catalog, rename: &RenameStmt) -> Option<RenameStmt> {
    let mut back = rename.clone();
    back.missing_ok = false;
    if let Some(range) = &mut back.relation {
        let name = if rename.rename_type() == ObjectType::ObjectAttribute {
            type_of(before, &range.schemaname, &range.relname)?
        } else {
            name_of(before, &range.schemaname, &range.relname)?
        };
        range.schemaname.clone_from(&name.schema);
        let part = matches!(
            rename.rename_type(),
            ObjectType::ObjectColumn
                | ObjectType::ObjectTabconstraint
                | ObjectType::ObjectTrigger
                | ObjectType::ObjectRule
                | ObjectType::ObjectPolicy
                | ObjectType::ObjectAttribute
        );
        if part {
            back.subname.clone_from(&rename.newname);
            back.newname.clone_from(&rename.subname);
        } else {
            range.relname.clone_from(&rename.newname);
            back.newname.clone_from(&name.name);
        }
        return Some(back);
    }
    match rename.rename_type() {
        ObjectType::ObjectSchema
        | ObjectType::ObjectDatabase
        | ObjectType::ObjectRole
        | ObjectType::ObjectTablespace => {
            back.subname.clone_from(&rename.newname);
            back.newname.clone_from(&rename.subname);
            Some(back)
        }
        ObjectType::ObjectDomconstraint => {
            back.subname.clone_from(&rename.newname);
            back.newname.clone_from(&rename.subname);
            Some(back)
        }
        _ => {
            back.newname = swap_last(back.object.as_deref_mut()?, &rename.newname)?;
            Some(back)
        }
    }
}

/// Puts another last name into an object's name and returns the one that was there.
fn swap_last(object: &mut Node, name: &str) -> Option<String> {
    let list = match object.node.as_mut()? {
        NodeEnum::List(List { items }) => items,
        NodeEnum::ObjectWithArgs(object) => &mut object.objname,
        NodeEnum::TypeName(name) => &mut name.names,
        NodeEnum::String(text) => return Some(std::mem::replace(&mut text.sval, name.to_owned())),
        _ => return None,
    };
    match list.last_mut()?.node.as_mut()? {
        NodeEnum::String(text) => Some(std::mem::replace(&mut text.sval, name.to_owned())),
        _ => None,
    }
}

fn moved_back(before: &Catalog, change: &AlterObjectSchemaStmt) -> Option<AlterObjectSchemaStmt> {
    let mut back = change.clone();
    back.missing_ok = false;
    if let Some(range) = &mut back.relation {
        let name = name_of(before, &range.schemaname, &range.relname)?;
        back.newschema = name.schema;
        range.schemaname.clone_from(&change.newschema);
        return Some(back);
    }
    let list = match back.object.as_deref_mut()?.node.as_mut()? {
        NodeEnum::List(List { items }) => items,
        NodeEnum::ObjectWithArgs(object) => &mut object.objname,
        NodeEnum::TypeName(name) => &mut name.names,
        _ => return None,
    };
    let text = |node: &Node| match &node.node {
        Some(NodeEnum::String(text)) => Some(text.sval.clone()),
        _ => None,
    };
    let (schema, name) = match list.as_slice() {
        [schema, name] => (text(schema)?, text(name)?),
        [name] => (before.server.search_path.first()?.clone(), text(name)?),
        _ => return None,
    };
    let string = |sval: String| Node { node: Some(NodeEnum::String(PgString { sval })) };
    *list = vec![string(change.newschema.clone()), string(name)];
    back.newschema = schema;
    Some(back)
}
