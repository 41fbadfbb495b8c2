//! TRUNCATE.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, TruncateStmt};

use super::refusal::{require_relation, wrong_kind};
use super::resolve::Rel;
use super::{Impact, Resolver, routines};
use crate::catalog::{Name, RelationKind};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Every table named, its children unless `ONLY`, and with `CASCADE` every table that references one of them:
/// AccessExclusive on the tables and their indexes; the sequences too with `RESTART IDENTITY`.
pub(super) fn truncate(statement: &TruncateStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let cascade = statement.behavior == DropBehavior::DropCascade as i32;
    let mut tables: Vec<Rel<'_>> = Vec::new();
    for node in &statement.relations {
        let Some(NodeEnum::RangeVar(name)) = &node.node else { continue };
        let Some(table) = require_relation(&mut impact, resolver, name, false) else { continue };
        match table.relation.kind {
            RelationKind::PartitionedTable if !name.inh => impact.refuse(
                "42809",
                "cannot truncate only a partitioned table",
                "Leave out ONLY, or truncate the partitions one by one.",
            ),
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable => {}
            _ => wrong_kind(&mut impact, &table.name.name, "a table"),
        }
        let named = if name.inh { resolver.tree(table) } else { vec![table] };
        add(&mut tables, named);
    }
    let named: BTreeSet<&Name> = tables.iter().map(|table| table.name).collect();
    close_over_references(&mut impact, resolver, &mut tables, cascade);
    for table in &tables {
        if !named.contains(table.name) {
            impact.hazard(
                HazardId::HiddenLock,
                Some(table.name),
                "CASCADE empties this table too, because it references a truncated one.",
            );
        }
        empty(&mut impact, resolver, *table, statement.restart_seqs);
    }
    impact
}

fn add<'a>(tables: &mut Vec<Rel<'a>>, more: Vec<Rel<'a>>) {
    for table in more {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
}

/// Adds the tables that reference a truncated one (with their partitions), as `CASCADE` does; without it they
/// are what the server refuses.
fn close_over_references<'a>(impact: &mut Impact, resolver: &Resolver<'a>, tables: &mut Vec<Rel<'a>>, cascade: bool) {
    let mut next = 0;
    while let Some(table) = tables.get(next).copied() {
        next += 1;
        // A foreign key to a partitioned table guards its partitions as well.
        let guarded = std::iter::once(table).chain(
            resolver.ancestors(table).into_iter().filter(|above| above.relation.kind == RelationKind::PartitionedTable),
        );
        let referencing: Vec<Rel<'a>> = guarded
            .flat_map(|guarded| resolver.referencing(guarded.name))
            .map(|foreign_key| foreign_key.table)
            .filter(|referencing| !tables.contains(referencing))
            .collect();
        for referencing in referencing {
            if !cascade {
                impact.refuse(
                    "0A000",
                    format!(
                        "cannot truncate {} because it is referenced by a foreign key of {}",
                        table.name, referencing.name
                    ),
                    "Truncate the referencing table in the same statement, or use TRUNCATE ... CASCADE.",
                );
                return;
            }
            add(tables, resolver.tree(referencing));
        }
    }
}

fn empty<'a>(impact: &mut Impact, resolver: &Resolver<'a>, table: Rel<'a>, restart: bool) {
    impact.lock(table.name.clone(), LockMode::AccessExclusive);
    if table.relation.kind == RelationKind::Table {
        impact.hazard(HazardId::DataLoss, Some(table.name), "All rows are removed at once.");
        for index in &resolver.indexes(table.name) {
            impact.lock(index.name.clone(), LockMode::AccessExclusive);
        }
    }
    if restart {
        for sequence in resolver.owned_sequences(table, None) {
            impact.lock(sequence.name.clone(), LockMode::AccessExclusive);
        }
    }
    for trigger in table.relation.triggers.iter().filter(|trigger| trigger.on_truncate && trigger.enabled != 'D') {
        impact.merge(routines::function_named(&trigger.function, resolver));
    }
}
