//! What belongs to the database as a whole: schemas, extensions, casts, event triggers, roles, tablespaces,
//! subscriptions.

use pg_query::protobuf::{
    AlterEventTrigStmt, CoercionContext, CreateCastStmt, CreateEventTrigStmt, CreateSchemaStmt, DropRoleStmt, Node,
    node,
};

use super::edit::{Edit, Outcome, fail};
use super::{names, privileges, session};
use crate::catalog::expression::{resolve_type, strings};
use crate::catalog::{Cast, EventTrigger, Schema};
use crate::sql::quote;

/// `CREATE SCHEMA`, with the objects it may define.
pub(super) fn create_schema(edit: &mut Edit<'_>, statement: &CreateSchemaStmt) -> Outcome {
    let owner = statement.authrole.as_ref().map(|role| names::role(edit, role));
    let owner = owner.unwrap_or_else(|| edit.server.user.clone());
    let name = if statement.schemaname.is_empty() { owner.clone() } else { statement.schemaname.clone() };
    if edit.schemas.contains_key(&name) {
        if statement.if_not_exists {
            return Ok(());
        }
        fail!("schema {} already exists", quote::ident(&name));
    }
    let schema = Schema { privileges: privileges::initial(edit, 'n', "", &owner), owner, comment: None };
    edit.small().schemas.insert(name.clone(), schema);
    session::schema_created(edit, &name);
    if statement.schema_elts.is_empty() {
        return Ok(());
    }
    let path = edit.server.search_path.clone();
    edit.small().server.search_path.insert(0, name);
    for element in &statement.schema_elts {
        if let Some(node) = &element.node {
            super::statement(edit, node)?;
        }
    }
    edit.small().server.search_path = path;
    Ok(())
}

/// `CREATE CAST`.
pub(super) fn create_cast(edit: &mut Edit<'_>, statement: &CreateCastStmt) -> Outcome {
    let type_of = |node: Option<&pg_query::protobuf::TypeName>| match node.and_then(|name| resolve_type(edit, name)) {
        Some(found) => Ok(found.name()),
        None => fail!("a type of the cast is not known"),
    };
    let (source, target) = (type_of(statement.sourcetype.as_ref())?, type_of(statement.targettype.as_ref())?);
    let method = match (&statement.func, statement.inout) {
        (Some(_), _) => 'f',
        (None, true) => 'i',
        (None, false) => 'b',
    };
    let context = match CoercionContext::try_from(statement.context) {
        Ok(CoercionContext::CoercionImplicit) => 'i',
        Ok(CoercionContext::CoercionAssignment) => 'a',
        _ => 'e',
    };
    if edit.casts.iter().any(|cast| cast.source == source && cast.target == target) {
        fail!("the cast from {source} to {target} already exists");
    }
    let casts = &mut edit.small().casts;
    casts.push(Cast { source, target, method, context });
    casts.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    Ok(())
}

/// `CREATE EVENT TRIGGER`.
pub(super) fn create_event_trigger(edit: &mut Edit<'_>, statement: &CreateEventTrigStmt) -> Outcome {
    let function = names::trigger_function(edit, &strings(&statement.funcname))?;
    let mut tags = Vec::new();
    for element in names::options(&statement.whenclause) {
        if let Some(node::Node::List(list)) = element.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
            tags.extend(strings(&list.items));
        }
    }
    if edit.event_triggers.contains_key(&statement.trigname) {
        fail!("event trigger {} already exists", quote::ident(&statement.trigname));
    }
    let entry = EventTrigger { event: statement.eventname.clone(), tags, function };
    edit.small().event_triggers.insert(statement.trigname.clone(), entry);
    Ok(())
}

/// `ALTER EVENT TRIGGER`: the catalog has the enabled ones only, so one that is enabled again is not known.
pub(super) fn alter_event_trigger(edit: &mut Edit<'_>, statement: &AlterEventTrigStmt) -> Outcome {
    if statement.tgenabled == "D" {
        edit.small().event_triggers.remove(&statement.trigname);
        return Ok(());
    }
    if edit.event_triggers.contains_key(&statement.trigname) {
        return Ok(());
    }
    fail!("event trigger {} is not known as it was disabled", quote::ident(&statement.trigname));
}

/// `CREATE ROLE` and `CREATE USER`.
pub(super) fn create_role(edit: &mut Edit<'_>, role: &str) -> Outcome {
    add(&mut edit.small().roles, role)
}

/// `DROP ROLE`.
pub(super) fn drop_roles(edit: &mut Edit<'_>, statement: &DropRoleStmt) -> Outcome {
    let roles: Vec<String> = statement.roles.iter().filter_map(role_name).collect();
    for role in roles {
        remove(&mut edit.small().roles, &role, statement.missing_ok)?;
    }
    Ok(())
}

fn role_name(node: &Node) -> Option<String> {
    match &node.node {
        Some(node::Node::RoleSpec(role)) => Some(role.rolename.clone()),
        _ => None,
    }
}

/// Adds a name to a sorted list.
pub(super) fn add(list: &mut Vec<String>, name: &str) -> Outcome {
    match list.binary_search_by(|own| own.as_str().cmp(name)) {
        Ok(_) => fail!("{} already exists", quote::ident(name)),
        Err(at) => list.insert(at, name.to_owned()),
    }
    Ok(())
}

/// Removes a name from a list.
pub(super) fn remove(list: &mut Vec<String>, name: &str, missing_ok: bool) -> Outcome {
    let before = list.len();
    list.retain(|own| own != name);
    if list.len() == before && !missing_ok {
        fail!("{} does not exist", quote::ident(name));
    }
    Ok(())
}
