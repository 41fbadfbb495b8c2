//! Refusals that many statements share, worded as the server words them.

use pg_query::protobuf::RangeVar;

use super::names::Qualified;
use super::resolve::{Lookup, Rel};
use super::{Impact, Resolver};
use crate::catalog::{Name, RelationKind};

/// 42P01: no relation of that name.
pub(super) fn missing_relation(impact: &mut Impact, name: Qualified<'_>) {
    impact.refuse(
        "42P01",
        format!("relation \"{}\" does not exist", name.shown()),
        "Create it first, or name its schema if it is not on the search path.",
    );
}

/// 42809: to the server a composite type is a relation, one that most statements do not take.
pub(super) fn refuse_composite(impact: &mut Impact, resolver: &Resolver<'_>, name: Qualified<'_>) {
    if resolver.composite(name).is_some() {
        impact.refuse("42809", format!("\"{}\" is a composite type", name.shown()), "Use the statements for types.");
    }
}

/// 42809: the relation is of another kind.
pub(super) fn wrong_kind(impact: &mut Impact, name: &str, wanted: &str) {
    impact.refuse("42809", format!("\"{name}\" is not {wanted}"), "Use the statement for the kind of object it is.");
}

/// 42P07: the name is taken by a relation.
pub(super) fn relation_exists(impact: &mut Impact, name: &str) {
    impact.refuse(
        "42P07",
        format!("relation \"{name}\" already exists"),
        "Choose another name, or drop or rename the existing relation first.",
    );
}

/// 42704: no such object of a kind that is not a relation.
pub(super) fn missing_object(impact: &mut Impact, kind: &str, name: &str) {
    impact.refuse(
        "42704",
        format!("{kind} \"{name}\" does not exist"),
        format!("Check the name of the {kind}, or create it first."),
    );
}

/// 42710: the name is taken by an object of the same kind.
pub(super) fn object_exists(impact: &mut Impact, kind: &str, name: &str) {
    impact.refuse(
        "42710",
        format!("{kind} \"{name}\" already exists"),
        format!("Choose another name, or drop or rename the existing {kind} first."),
    );
}

/// 42703: no such column.
pub(super) fn missing_column(impact: &mut Impact, column: &str, relation: &Name) {
    impact.refuse(
        "42703",
        format!("column \"{column}\" of relation \"{}\" does not exist", relation.name),
        "Check the spelling of the column, or add it first.",
    );
}

/// 3F000: no such schema.
pub(super) fn missing_schema(impact: &mut Impact, schema: &str) {
    impact.refuse("3F000", format!("schema \"{schema}\" does not exist"), "Create the schema first.");
}

/// 2BP01: other objects depend on it, and the statement does not say CASCADE.
pub(super) fn dependents(impact: &mut Impact, what: &str, dependents: &[String]) {
    let shown: Vec<&str> = dependents.iter().take(10).map(String::as_str).collect();
    let more = dependents.len().saturating_sub(shown.len());
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    impact.refuse(
        "2BP01",
        format!("cannot drop {what} because other objects depend on it: {}{and_more}", shown.join(", ")),
        "Drop or change the dependent objects first, or use DROP ... CASCADE to drop them too.",
    );
}

/// Checks that the schema a new object goes into exists.
pub(super) fn require_schema(impact: &mut Impact, resolver: &Resolver<'_>, schema: &str) {
    let known = schema.is_empty() || schema.starts_with("pg_") || schema == "information_schema";
    if !known && !resolver.catalog.schemas.contains_key(schema) {
        missing_schema(impact, schema);
    }
}

/// Checks that a role exists. Role names are only known when they could be read.
pub(super) fn require_role(impact: &mut Impact, resolver: &Resolver<'_>, role: &str) {
    let roles = &resolver.catalog.roles;
    if !roles.is_empty() && !role.is_empty() && !role.starts_with("pg_") && !roles.iter().any(|known| known == role) {
        missing_object(impact, "role", role);
    }
}

/// Checks that a tablespace exists.
pub(super) fn require_tablespace(impact: &mut Impact, resolver: &Resolver<'_>, tablespace: &str) {
    let known = &resolver.catalog.tablespaces;
    let built_in = matches!(tablespace, "" | "pg_default" | "pg_global");
    if !built_in && !known.iter().any(|name| name == tablespace) {
        missing_object(impact, "tablespace", tablespace);
    }
}

/// Checks that a table access method exists.
pub(super) fn require_access_method(impact: &mut Impact, resolver: &Resolver<'_>, method: &str) {
    let known = &resolver.catalog.access_methods;
    if matches!(method, "btree" | "hash" | "gist" | "gin" | "spgist" | "brin") {
        let message = format!("access method \"{method}\" is not of type TABLE");
        impact.refuse("55000", message, "Name an access method for tables, such as heap.");
    }
    if !method.is_empty() && !known.is_empty() && !known.iter().any(|name| name == method) {
        missing_object(impact, "access method", method);
    }
}

/// The relation of that name; says 42P01 when it is missing and that is not excused (`IF EXISTS`). `None` also
/// for the system's own relations, on which a statement has no effect that the catalog could show.
pub(super) fn require_relation<'a>(
    impact: &mut Impact,
    resolver: &Resolver<'a>,
    name: &RangeVar,
    missing_ok: bool,
) -> Option<Rel<'a>> {
    match resolver.lookup(name) {
        Lookup::Found(found) => Some(found),
        Lookup::System => None,
        Lookup::Missing => {
            refuse_composite(impact, resolver, Qualified::from_range(name));
            if !missing_ok {
                missing_relation(impact, Qualified::from_range(name));
            }
            None
        }
    }
}

/// The kind as the server's messages name it.
pub(super) fn kind_word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::PartitionedTable => "table",
        RelationKind::Index | RelationKind::PartitionedIndex => "index",
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::Sequence => "sequence",
        RelationKind::ForeignTable => "foreign table",
    }
}

/// The kind with its article: `a table`, `an index`.
pub(super) fn kind_phrase(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::PartitionedTable => "a table",
        RelationKind::Index | RelationKind::PartitionedIndex => "an index",
        RelationKind::View => "a view",
        RelationKind::MaterializedView => "a materialized view",
        RelationKind::Sequence => "a sequence",
        RelationKind::ForeignTable => "a foreign table",
    }
}
