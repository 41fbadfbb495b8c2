//! Extended statistics: CREATE STATISTICS and ALTER STATISTICS ... SET STATISTICS.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterStatsStmt, CreateStatsStmt};

use super::expression;
use super::index::is_virtual;
use super::names::{Qualified, strings};
use super::refusal::{missing_column, missing_object, object_exists, require_relation, require_schema, wrong_kind};
use super::resolve::Rel;
use super::since::{self, Feature};
use super::{Impact, Resolver};
use crate::catalog::{RelationKind, builtin, types};
use crate::plan::lock::LockMode;

/// ShareUpdateExclusive on the table; nothing is read until ANALYZE.
pub(super) fn create_statistics(statement: &CreateStatsStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let name = Qualified::from_nodes(&statement.defnames);
    if name.is_none() {
        since::require(&mut impact, resolver, Feature::StatisticsWithoutName);
    }
    let Some(NodeEnum::RangeVar(table)) = statement.relations.first().and_then(|node| node.node.as_ref()) else {
        return impact;
    };
    let Some(table) = require_relation(&mut impact, resolver, table, false) else { return impact };
    impact.lock(table.name.clone(), LockMode::ShareUpdateExclusive);
    if !matches!(
        table.relation.kind,
        RelationKind::Table
            | RelationKind::PartitionedTable
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
    ) {
        wrong_kind(&mut impact, &table.name.name, "a table, foreign table, or materialized view");
        return impact;
    }
    if let Some(name) = name {
        require_schema(&mut impact, resolver, name.schema);
        let created = resolver.creation_name(name.schema, name.name);
        if resolver.catalog.statistics.contains_key(&created) {
            if !statement.if_not_exists {
                object_exists(&mut impact, "statistics object", &created.name);
            }
            return impact;
        }
    }
    columns(&mut impact, resolver, statement, table);
    impact
}

fn columns(impact: &mut Impact, resolver: &Resolver<'_>, statement: &CreateStatsStmt, table: Rel<'_>) {
    for kind in strings(&statement.stat_types) {
        if !["ndistinct", "dependencies", "mcv"].contains(&kind) {
            let message = format!("unrecognized statistics kind \"{kind}\"");
            impact.refuse("42601", message, "Use ndistinct, dependencies or mcv.");
        }
    }
    let mut seen = BTreeSet::new();
    let mut plain = 0;
    let mut expressions = 0;
    for node in &statement.exprs {
        let Some(NodeEnum::StatsElem(element)) = &node.node else { continue };
        if element.name.is_empty() {
            expressions += 1;
            let mentioned = element.expr.as_deref().map(expression::columns).unwrap_or_default();
            if mentioned.iter().any(|column| is_virtual(table, column)) {
                let message = "statistics creation on virtual generated columns is not supported";
                impact.refuse("0A000", message, "Leave the column out.");
            }
        } else {
            plain += 1;
            if is_virtual(table, &element.name) {
                let message = "statistics creation on virtual generated columns is not supported";
                impact.refuse("0A000", message, "Leave the column out.");
            }
            if table.relation.column(&element.name).is_none() {
                missing_column(impact, &element.name, table.name);
            }
            if let Some(column) = table.relation.column(&element.name) {
                let base = types::base_type(&column.data_type, resolver.catalog);
                let known = base.name.schema == "pg_catalog" && !base.array;
                if known && builtin::default_operator_class("btree", &base.name.name, resolver.major()).is_none() {
                    let message = format!(
                        "column \"{}\" cannot be used in statistics because its type {} has no default btree operator \
                         class",
                        element.name, base.sql
                    );
                    impact.refuse("0A000", message, "Leave the column out.");
                }
            }
            if !seen.insert(&element.name) {
                impact.refuse("42701", "duplicate column name in statistics definition", "Name each column once.");
            }
        }
    }
    if plain == 1 && expressions == 0 {
        impact.refuse(
            "42P17",
            "extended statistics require at least 2 columns",
            "Name another column or use an expression in parentheses.",
        );
    }
}

/// No lock on relations.
pub(super) fn alter_statistics(statement: &AlterStatsStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    if let Some(name) = Qualified::from_nodes(&statement.defnames)
        && resolver.statistics(name).is_none()
        && !statement.missing_ok
    {
        missing_object(&mut impact, "statistics object", &name.shown());
    }
    impact
}
