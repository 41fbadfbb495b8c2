//! CREATE TRIGGER.

use pg_query::NodeEnum;
use pg_query::protobuf::CreateTrigStmt;

use super::names::{Qualified, strings};
use super::objects::is_system_column;
use super::refusal::{missing_column, require_relation};
use super::resolve::Rel;
use super::walk::{self, Parts};
use super::{Impact, Resolver, query};
use crate::catalog::RelationKind;
use crate::plan::lock::LockMode;

// Bits of `CreateTrigStmt.timing` and `.events` (pg_trigger.h).
const BEFORE: i32 = 1 << 1;
const INSERT: i32 = 1 << 2;
const DELETE: i32 = 1 << 3;
const TRUNCATE: i32 = 1 << 5;
const INSTEAD: i32 = 1 << 6;

/// Trigger functions that every server has.
const BUILT_IN: &[&str] = &[
    "tsvector_update_trigger",
    "tsvector_update_trigger_column",
    "suppress_redundant_updates_trigger",
    "unique_key_recheck",
];

/// ShareRowExclusive on the table, and on everything below a partitioned one if it fires for each row; AccessShare
/// on the table of `FROM`.
pub(super) fn create_trigger(statement: &CreateTrigStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.relation else { return impact };
    let Some(table) = require_relation(&mut impact, resolver, name, false) else { return impact };
    impact.lock(table.name.clone(), LockMode::ShareRowExclusive);
    if table.relation.kind == RelationKind::PartitionedTable && statement.row {
        for below in resolver.descendants(table) {
            impact.lock(below.name.clone(), LockMode::ShareRowExclusive);
        }
    }
    if let Some(referenced) = &statement.constrrel
        && let Some(referenced) = require_relation(&mut impact, resolver, referenced, false)
    {
        impact.lock(referenced.name.clone(), LockMode::AccessShare);
    }
    kind(&mut impact, statement, table);
    clash(&mut impact, statement, table);
    for column in strings(&statement.columns) {
        if table.relation.column(column).is_none() {
            missing_column(&mut impact, column, table.name);
        }
    }
    if statement.when_clause.as_ref().is_some_and(|clause| query::has_subquery(clause)) {
        impact.refuse(
            "0A000",
            "cannot use subquery in trigger WHEN condition",
            "Ask the question in the trigger's function instead.",
        );
    }
    if let Some(condition) = statement.when_clause.as_ref().and_then(|clause| clause.node.as_ref()) {
        when(&mut impact, statement, table, condition);
    }
    function(&mut impact, statement, resolver);
    impact
}

/// WHEN: rows that the event has, and their columns (`CreateTriggerFiringOn` in trigger.c).
fn when(impact: &mut Impact, statement: &CreateTrigStmt, table: Rel<'_>, node: &NodeEnum) {
    if let NodeEnum::ColumnRef(column) = node {
        let parts = strings(&column.fields);
        let (row, absent, event) = match parts.first().copied() {
            Some("old") => ("OLD", INSERT, "INSERT"),
            Some("new") => ("NEW", DELETE, "DELETE"),
            _ => return,
        };
        if let [_, name] = parts.as_slice()
            && table.relation.column(name).is_none()
            && !is_system_column(name)
        {
            let message = format!("column {}.{name} does not exist", row.to_lowercase());
            wrong(impact, "42703", message, "Check the spelling of the column, or add it first.");
        }
        let computed = |name: &str| table.relation.column(name).is_some_and(|column| column.generated.is_some());
        if row == "NEW" && statement.timing & BEFORE != 0 && parts.get(1).is_some_and(|name| computed(name)) {
            let message = "BEFORE trigger's WHEN condition cannot reference NEW generated columns".to_owned();
            wrong(impact, "42P17", message, "Let it fire AFTER the event, or compare the columns it is computed from.");
        }
        if !statement.row {
            let message = "statement trigger's WHEN condition cannot reference column values".to_owned();
            wrong(impact, "42P17", message, "Let it fire FOR EACH ROW.");
        } else if statement.events & absent != 0 {
            let message = format!("{event} trigger's WHEN condition cannot reference {row} values");
            wrong(impact, "42P17", message, "Make triggers for each event of their own.");
        }
        return;
    }
    if let Parts::Expressions(parts) = walk::parts(node) {
        for part in parts {
            when(impact, statement, table, part);
        }
    }
}

fn wrong(impact: &mut Impact, sqlstate: &str, message: String, hint: &str) {
    impact.refuse(sqlstate, message, hint);
}

/// Which triggers a kind of relation can have.
fn kind(impact: &mut Impact, statement: &CreateTrigStmt, table: Rel<'_>) {
    let name = &table.name.name;
    let instead = statement.timing & INSTEAD != 0;
    let truncate = statement.events & TRUNCATE != 0;
    let transition = !statement.transition_rels.is_empty();
    match table.relation.kind {
        RelationKind::Table | RelationKind::PartitionedTable if instead => {
            wrong(impact, "42809", format!("\"{name}\" is a table"), "Tables cannot have INSTEAD OF triggers.");
        }
        RelationKind::PartitionedTable if statement.row && transition => wrong(
            impact,
            "0A000",
            format!("\"{name}\" is a partitioned table"),
            "A trigger for each row with transition tables cannot be on a partitioned table.",
        ),
        RelationKind::Table if statement.row && transition && !table.relation.parents.is_empty() => wrong(
            impact,
            "0A000",
            "ROW triggers with transition tables are not supported on partitions or inheritance children".to_owned(),
            "Let it fire for each statement, or leave the transition table out.",
        ),
        RelationKind::Table | RelationKind::PartitionedTable => {}
        RelationKind::View if statement.row && !instead => wrong(
            impact,
            "42809",
            format!("\"{name}\" is a view"),
            "Views cannot have row-level BEFORE or AFTER triggers; use INSTEAD OF.",
        ),
        RelationKind::View if truncate => {
            wrong(impact, "42809", format!("\"{name}\" is a view"), "Views cannot have TRUNCATE triggers.");
        }
        RelationKind::View => {}
        RelationKind::ForeignTable if instead || statement.isconstraint => wrong(
            impact,
            "42809",
            format!("\"{name}\" is a foreign table"),
            "Foreign tables cannot have INSTEAD OF or constraint triggers.",
        ),
        RelationKind::ForeignTable => {}
        _ => wrong(
            impact,
            "42809",
            format!("relation \"{name}\" cannot have triggers"),
            "Put the trigger on a table, view or foreign table.",
        ),
    }
    if statement.row && truncate {
        wrong(
            impact,
            "0A000",
            "TRUNCATE FOR EACH ROW triggers are not supported".to_owned(),
            "Let it fire FOR EACH STATEMENT.",
        );
    }
    if statement.row && instead && statement.when_clause.is_some() {
        wrong(
            impact,
            "0A000",
            "INSTEAD OF triggers cannot have WHEN conditions".to_owned(),
            "Test the condition in the trigger's function.",
        );
    }
    if instead && !statement.row {
        wrong(impact, "0A000", "INSTEAD OF triggers must be FOR EACH ROW".to_owned(), "Say FOR EACH ROW.");
    }
    if transition && statement.timing & (BEFORE | INSTEAD) != 0 {
        wrong(
            impact,
            "42P17",
            "transition table name can only be specified for an AFTER trigger".to_owned(),
            "Make it an AFTER trigger.",
        );
    }
}

fn clash(impact: &mut Impact, statement: &CreateTrigStmt, table: Rel<'_>) {
    if statement.replace && statement.isconstraint {
        wrong(
            impact,
            "0A000",
            "CREATE OR REPLACE CONSTRAINT TRIGGER is not supported".to_owned(),
            "Drop the constraint trigger first, then create it.",
        );
    }
    let existing = table.relation.triggers.iter().find(|trigger| trigger.name == statement.trigname);
    if let Some(existing) = existing {
        if !statement.replace {
            impact.refuse(
                "42710",
                format!("trigger \"{}\" for relation \"{}\" already exists", statement.trigname, table.name.name),
                "Choose another name, or use CREATE OR REPLACE TRIGGER.",
            );
        } else if existing.from_parent {
            impact.refuse(
                "42710",
                format!(
                    "trigger \"{}\" for relation \"{}\" is an internal or a child trigger",
                    statement.trigname, table.name.name
                ),
                "Replace the trigger of the partitioned table.",
            );
        }
    }
}

fn function(impact: &mut Impact, statement: &CreateTrigStmt, resolver: &Resolver<'_>) {
    let Some(name) = Qualified::from_nodes(&statement.funcname) else { return };
    let built_in = name.schema == "pg_catalog"
        || BUILT_IN.contains(&name.name)
        || name.name.to_ascii_lowercase().starts_with("ri_fkey_");
    if built_in {
        return;
    }
    let found: Vec<_> = resolver.functions_named(name).into_iter().filter(|f| f.arguments.is_empty()).collect();
    if found.is_empty() {
        impact.refuse(
            "42883",
            format!("function {}() does not exist", name.shown()),
            "Create the trigger's function first; it takes no arguments and returns trigger.",
        );
    } else if !found.iter().any(|function| function.result == "trigger") {
        impact.refuse(
            "42P17",
            format!("function {} must return type trigger", name.shown()),
            "Declare the function RETURNS trigger.",
        );
    }
}
