//! CREATE TABLE in all its forms, CREATE SCHEMA.

mod constraints;
mod own;
mod partition;
mod table;

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateSchemaStmt, RoleSpecType};

pub(super) use table::{create_foreign_table, create_table};

use super::refusal::require_role;
use super::{Impact, Resolver};

/// What the elements of the statement lock.
pub(super) fn create_schema(statement: &CreateSchemaStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let role = statement.authrole.as_ref().filter(|role| role.roletype == RoleSpecType::RolespecCstring as i32);
    if let Some(role) = role {
        require_role(&mut impact, resolver, &role.rolename);
    }
    let name = if statement.schemaname.is_empty() {
        role.map_or("", |role| role.rolename.as_str())
    } else {
        &statement.schemaname
    };
    if resolver.catalog.schemas.contains_key(name) {
        if !statement.if_not_exists {
            impact.refuse(
                "42P06",
                format!("schema \"{name}\" already exists"),
                "Choose another name, or use CREATE SCHEMA IF NOT EXISTS.",
            );
        }
        return impact;
    }
    if name.starts_with("pg_") {
        impact.refuse(
            "42939",
            format!("unacceptable schema name \"{name}\""),
            "The prefix \"pg_\" is reserved for system schemas.",
        );
    }
    for element in statement.schema_elts.iter().filter_map(|node| node.node.as_ref()) {
        // The elements see each other, which the catalog does not show yet: only their locks are taken over.
        let mut element = super::analyze_node(&within(element.clone(), name), resolver);
        element.refused = None;
        impact.merge(element);
    }
    impact
}

/// The element with the new schema as the place of what it creates.
fn within(element: NodeEnum, schema: &str) -> NodeEnum {
    let place = |name: &mut Option<pg_query::protobuf::RangeVar>| {
        if let Some(name) = name.as_mut().filter(|name| name.schemaname.is_empty()) {
            name.schemaname = schema.to_owned();
        }
    };
    match element {
        NodeEnum::CreateStmt(mut create) => {
            place(&mut create.relation);
            NodeEnum::CreateStmt(create)
        }
        NodeEnum::ViewStmt(mut create) => {
            place(&mut create.view);
            NodeEnum::ViewStmt(create)
        }
        NodeEnum::CreateSeqStmt(mut create) => {
            place(&mut create.sequence);
            NodeEnum::CreateSeqStmt(create)
        }
        other => other,
    }
}
