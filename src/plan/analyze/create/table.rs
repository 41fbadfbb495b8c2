//! CREATE TABLE and CREATE FOREIGN TABLE.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf::{
    ColumnDef, ConstrType, CreateForeignTableStmt, CreateStmt, OnCommitAction, RangeVar, TableLikeClause, TypeName,
};

use super::{constraints, own, partition};
use crate::catalog::{RelationKind, TypeKind, types};
use crate::plan::analyze::expression::{uncollatable, unstorable};
use crate::plan::analyze::lookup::{SERIAL, TypeLookup};
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::objects::is_system_column;
use crate::plan::analyze::refusal::{
    missing_object, object_exists, relation_exists, require_access_method, require_relation, require_schema,
    require_tablespace, wrong_kind,
};
use crate::plan::analyze::since::{self, Feature};
use crate::plan::analyze::{Impact, Resolver, options};
use crate::plan::lock::LockMode;

/// The new table itself is invisible to others; locks fall on what it references, inherits, is a partition of
/// or is like.
pub(in crate::plan::analyze) fn create_table(statement: &CreateStmt, resolver: &Resolver<'_>) -> Impact {
    create(statement, resolver, false)
}

pub(in crate::plan::analyze) fn create_foreign_table(
    statement: &CreateForeignTableStmt,
    resolver: &Resolver<'_>,
) -> Impact {
    match &statement.base_stmt {
        Some(base) => create(base, resolver, true),
        None => Impact::none(),
    }
}

fn create(statement: &CreateStmt, resolver: &Resolver<'_>, foreign: bool) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.relation else { return impact };
    if statement.oncommit() > OnCommitAction::OncommitNoop && name.relpersistence != "t" {
        let message = "ON COMMIT can only be used on temporary tables";
        impact.refuse("42P16", message, "Leave ON COMMIT out, or make the table temporary.");
    }
    if statement.partspec.is_some() && name.relpersistence == "u" && resolver.major() >= 18 {
        let message = "partitioned tables cannot be unlogged";
        impact.refuse("0A000", message, "Make the partitions unlogged.");
    }
    if claims_name(&mut impact, statement, name, resolver) == Claim::NothingToDo {
        return impact;
    }
    require_tablespace(&mut impact, resolver, &statement.tablespacename);
    require_access_method(&mut impact, resolver, &statement.access_method);
    if let Some(of_type) = &statement.of_typename {
        typed(&mut impact, of_type, resolver);
    }
    let mut columns = Columns::default();
    if statement.partbound.is_some() {
        partition::partition_of(&mut impact, statement, resolver);
    } else {
        inherits(&mut impact, statement, resolver, &mut columns);
    }
    for element in statement.table_elts.iter().filter_map(|node| node.node.as_ref()) {
        match element {
            NodeEnum::ColumnDef(column) => self::column(&mut impact, column, resolver, &mut columns),
            NodeEnum::TableLikeClause(like) => {
                if foreign {
                    since::require(&mut impact, resolver, Feature::ForeignTableLike);
                }
                self::like(&mut impact, like, resolver, &mut columns);
            }
            _ => {}
        }
    }
    constraints::check(&mut impact, statement, resolver);
    partition::key(&mut impact, statement, own::own_columns(statement, resolver).as_ref(), resolver);
    parameters(&mut impact, statement);
    impact
}

/// Tables with oids are gone.
fn parameters(impact: &mut Impact, statement: &CreateStmt) {
    if options::is_on(&statement.options, "oids") {
        impact.refuse("0A000", "tables declared WITH OIDS are not supported", "Leave the option out.");
    }
}

#[derive(PartialEq, Eq)]
enum Claim {
    Free,
    NothingToDo,
}

fn claims_name(impact: &mut Impact, statement: &CreateStmt, name: &RangeVar, resolver: &Resolver<'_>) -> Claim {
    if name.relpersistence == "t" {
        return Claim::Free;
    }
    if name.schemaname == "pg_catalog" {
        let message = format!("permission denied to create \"pg_catalog.{}\"", name.relname);
        impact.refuse("42501", message, "Use a schema of your own.");
    }
    require_schema(impact, resolver, &name.schemaname);
    let created = resolver.creation_name(&name.schemaname, &name.relname);
    if resolver.get(&created).is_some() {
        if statement.if_not_exists {
            return Claim::NothingToDo;
        }
        relation_exists(impact, &created.name);
    } else if resolver.type_exists(&created) {
        object_exists(impact, "type", &created.name);
    }
    Claim::Free
}

fn typed(impact: &mut Impact, of_type: &TypeName, resolver: &Resolver<'_>) {
    let shown = Qualified::from_type(of_type).map(|name| name.shown()).unwrap_or_default();
    match resolver.type_named(of_type) {
        TypeLookup::User(name, found) if matches!(found.kind, TypeKind::Composite { .. }) => {
            impact.lock(name.clone(), LockMode::AccessShare);
        }
        TypeLookup::Missing => missing_object(impact, "type", &shown),
        _ => impact.refuse(
            "42809",
            format!("type {shown} is not a composite type"),
            "Create a composite type with the columns first.",
        ),
    }
}

/// Columns seen so far: name to whether the statement itself defines it, and the type it has.
#[derive(Default)]
struct Columns(BTreeMap<String, (bool, Option<String>)>);

/// ShareUpdateExclusive on each parent.
fn inherits(impact: &mut Impact, statement: &CreateStmt, resolver: &Resolver<'_>, columns: &mut Columns) {
    let mut seen = BTreeSet::new();
    for node in &statement.inh_relations {
        let Some(NodeEnum::RangeVar(name)) = &node.node else { continue };
        let Some(parent) = require_relation(impact, resolver, name, false) else { continue };
        if !seen.insert(parent.name) {
            let message = format!("relation \"{}\" would be inherited from more than once", parent.name.name);
            impact.refuse("42P07", message, "Name each parent once.");
        }
        impact.lock(parent.name.clone(), LockMode::ShareUpdateExclusive);
        match parent.relation.kind {
            RelationKind::PartitionedTable => impact.refuse(
                "42809",
                format!("cannot inherit from partitioned table \"{}\"", parent.name.name),
                "Create a partition of it instead.",
            ),
            RelationKind::Table if parent.relation.partition_bound.is_some() => impact.refuse(
                "42809",
                format!("cannot inherit from partition \"{}\"", parent.name.name),
                "Inherit from a plain table.",
            ),
            RelationKind::Table | RelationKind::ForeignTable => {}
            _ => wrong_kind(impact, &parent.name.name, "a table or foreign table"),
        }
        for column in &parent.relation.columns {
            let data_type = Some(column.data_type.sql.clone());
            let known = columns.0.entry(column.name.clone()).or_insert((false, data_type.clone()));
            if known.1 != data_type {
                conflict(impact, &column.name);
            }
        }
    }
}

fn conflict(impact: &mut Impact, column: &str) {
    impact.refuse(
        "42804",
        format!("column \"{column}\" has a type conflict"),
        "Give the column the type it has in the parent.",
    );
}

fn column(impact: &mut Impact, column: &ColumnDef, resolver: &Resolver<'_>, columns: &mut Columns) {
    let data_type = column.type_name.as_ref().and_then(|name| types::resolve_type(name, resolver.catalog));
    if let Some(problem) =
        data_type.as_ref().and_then(|data_type| unstorable(&column.colname, data_type, resolver.catalog))
    {
        impact.refuse(problem.sqlstate, problem.message, problem.hint);
    }
    let data_type = data_type.map(|data_type| data_type.sql);
    match columns.0.get(&column.colname) {
        Some((true, _)) => impact.refuse(
            "42701",
            format!("column \"{}\" specified more than once", column.colname),
            "Give each column its own name.",
        ),
        Some((false, inherited)) if data_type.is_some() && inherited.is_some() && *inherited != data_type => {
            conflict(impact, &column.colname);
        }
        _ => {}
    }
    definition(impact, column, resolver);
    columns.0.insert(column.colname.clone(), (true, data_type));
    if let Some(type_name) = &column.type_name {
        require_type(impact, resolver, type_name);
    }
    if !column.storage_name.is_empty() {
        since::require(impact, resolver, Feature::ColumnStorage);
    }
}

/// What is wrong with a column's definition by itself.
fn definition(impact: &mut Impact, column: &ColumnDef, resolver: &Resolver<'_>) {
    let name = &column.colname;
    if is_system_column(name) {
        let message = format!("column name \"{name}\" conflicts with a system column name");
        impact.refuse("42701", message, "Choose another name.");
    }
    let Some(type_name) = &column.type_name else { return };
    if type_name.setof {
        let message = format!("column \"{name}\" cannot be declared SETOF");
        impact.refuse("42P16", message, "Use an array.");
    }
    let is_serial = types::serial_integer(type_name).is_some();
    let (mut defaults, mut generated, mut identities) = (usize::from(is_serial), 0, 0);
    let (mut null, mut not_null) = (false, is_serial);
    for node in &column.constraints {
        let Some(NodeEnum::Constraint(constraint)) = &node.node else { continue };
        match constraint.contype() {
            ConstrType::ConstrDefault => defaults += 1,
            ConstrType::ConstrGenerated => generated += 1,
            ConstrType::ConstrIdentity => identities += 1,
            ConstrType::ConstrNull => null = true,
            ConstrType::ConstrNotnull => not_null = true,
            _ => {}
        }
    }
    let kinds = [(defaults, "default"), (identities, "identity"), (generated, "generation expression")];
    let given: Vec<&str> = kinds.iter().filter(|(count, _)| *count > 0).map(|(_, word)| *word).collect();
    if defaults > 1 {
        let message = format!("multiple default values specified for column \"{name}\"");
        impact.refuse("42601", message, "Keep one of them.");
    } else if let [first, second, ..] = given.as_slice() {
        let message = format!("both {first} and {second} specified for column \"{name}\"");
        impact.refuse("42601", message, "Keep one of them.");
    }
    if null && not_null {
        let message = format!("conflicting NULL/NOT NULL declarations for column \"{name}\"");
        impact.refuse("42601", message, "Keep one of the two.");
    }
    let Some(data_type) = types::resolve_type(type_name, resolver.catalog).filter(|_| !is_serial) else { return };
    if column.coll_clause.is_some()
        && let Some(problem) = uncollatable(&data_type, resolver.catalog)
    {
        impact.refuse(problem.sqlstate, problem.message, problem.hint);
    }
    if identities > 0 && !matches!(data_type.sql.as_str(), "smallint" | "integer" | "bigint") {
        let message = "identity column type must be smallint, integer, or bigint";
        impact.refuse("22023", message, "Use an integer.");
    }
    let base = types::base_type(&data_type, resolver.catalog);
    let plain = !base.array && types::builtin(&base.name, resolver.catalog).is_some_and(|found| found.storage == 'p');
    if plain && !matches!(column.compression.as_str(), "" | "default") {
        let message = format!("column data type {} does not support compression", base.sql);
        impact.refuse("0A000", message, "Only types of variable length have that choice.");
    }
}

/// 42704: the type of a column does not exist.
fn require_type(impact: &mut Impact, resolver: &Resolver<'_>, type_name: &TypeName) {
    let Some(name) = Qualified::from_type(type_name) else { return };
    if SERIAL.contains(&name.name) && name.schema.is_empty() {
        return;
    }
    if let TypeLookup::Missing = resolver.type_named(type_name) {
        missing_object(impact, "type", &name.shown());
    }
}

/// AccessShare on the relation whose columns are copied.
fn like(impact: &mut Impact, like: &TableLikeClause, resolver: &Resolver<'_>, columns: &mut Columns) {
    let Some(name) = &like.relation else { return };
    if let Some((type_name, _)) = resolver.composite_named(Qualified::from_range(name)) {
        return impact.lock(type_name.clone(), LockMode::AccessShare);
    }
    let Some(source) = require_relation(impact, resolver, name, false) else { return };
    impact.lock(source.name.clone(), LockMode::AccessShare);
    if source.relation.kind.is_index() || source.relation.kind == RelationKind::Sequence {
        wrong_kind(impact, &source.name.name, "a table, view, materialized view, composite type, or foreign table");
    }
    for column in &source.relation.columns {
        let data_type = Some(column.data_type.sql.clone());
        if let Some((true, _)) = columns.0.insert(column.name.clone(), (true, data_type)) {
            impact.refuse(
                "42701",
                format!("column \"{}\" specified more than once", column.name),
                "Give each column its own name.",
            );
        }
    }
}
