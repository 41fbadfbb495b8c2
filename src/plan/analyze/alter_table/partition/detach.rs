//! DETACH PARTITION, at once, CONCURRENTLY, and its completion.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType, PartitionCmd};

use super::super::work::Work;
use super::{default_partition, require_partitioned};
use crate::catalog::RelationKind;
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::missing_relation;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// It runs two transactions of its own.
pub(in crate::plan::analyze::alter_table) fn is_concurrent_detach(command: &AlterTableCmd) -> bool {
    let node = command.def.as_ref().and_then(|def| def.node.as_ref());
    command.subtype() == AlterTableType::AtDetachPartition
        && matches!(node, Some(NodeEnum::PartitionCmd(partition)) if partition.concurrent)
}

fn find<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, command: &PartitionCmd) -> Option<Rel<'a>> {
    let name = command.name.as_ref()?;
    let Some(partition) = work.resolver.relation(name) else {
        missing_relation(&mut work.impact, Qualified::from_range(name));
        return None;
    };
    if !partition.relation.parents.contains(table.name) {
        let message =
            format!("relation \"{}\" is not a partition of relation \"{}\"", partition.name.name, table.name.name);
        work.impact.refuse("42P01", message, "Name a partition of the table.");
    }
    Some(partition)
}

pub(in crate::plan::analyze::alter_table) fn detach<'a>(
    work: &mut Work<'_, 'a>,
    table: Rel<'a>,
    command: &PartitionCmd,
) {
    if !require_partitioned(work, table) {
        return;
    }
    let default = default_partition(work, table);
    if command.concurrent && default.is_some() {
        let message = "cannot detach partitions concurrently when a default partition exists";
        work.impact.refuse("55000", message, "Detach without CONCURRENTLY, or drop the default partition first.");
    }
    let Some(partition) = find(work, table, command) else { return };
    if let Some(default) = default {
        work.lock_hidden(default, LockMode::AccessExclusive, "it is the default partition");
    }
    if command.concurrent {
        // The second transaction needs the partition for itself, once everybody has left the table.
        work.impact.waits_for_transactions.insert(table.name.clone().into());
        // The bound becomes a CHECK of the partition. That the server believes it unread is not relied upon.
        for leaf in work.resolver.leaves(partition).into_iter().filter(|leaf| !leaf.relation.stats.empty) {
            work.impact.scans.insert(leaf.name.clone().into());
        }
    }
    for member in work.resolver.tree(partition) {
        work.lock_with(member, LockMode::AccessExclusive);
    }
    let taken = if default.is_some() { "go to its default partition" } else { "fail" };
    let message = format!(
        "the rows of {} are no longer found in {}, and writes of rows with its values {taken}",
        partition.name, table.name
    );
    work.impact.hazard(HazardId::BreaksClients, Some(table.name), message);
    release_indexes(work, table, partition);
    foreign_keys(work, table, partition, command.concurrent);
}

/// Indexes that were part of the table's become the partition's own.
fn release_indexes<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, partition: Rel<'a>) {
    for index in &work.resolver.indexes(partition.name) {
        let parent = index.relation.index.as_ref().and_then(|facts| facts.parent.as_ref());
        let attached = parent
            .and_then(|parent| work.resolver.get(parent))
            .is_some_and(|parent| parent.relation.index.as_ref().is_some_and(|facts| facts.table == *table.name));
        if attached {
            work.lock_with(*index, LockMode::AccessExclusive);
        }
    }
}

/// The partition keeps the table's foreign keys as its own; foreign keys that point at the table must not need
/// its rows, which is checked.
fn foreign_keys<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, partition: Rel<'a>, concurrent: bool) {
    for (_, parent) in work.resolver.references(table) {
        for member in work.resolver.tree(parent) {
            work.lock_hidden(member, LockMode::ShareRowExclusive, "a foreign key of the table refers to it");
        }
    }
    for foreign in &work.resolver.referencing(table.name) {
        let child = foreign.table;
        if child
            .relation
            .parents
            .iter()
            .any(|parent| work.resolver.referencing(table.name).iter().any(|other| other.table.name == parent))
        {
            continue;
        }
        let mode = if concurrent { LockMode::Share } else { LockMode::AccessExclusive };
        work.lock_hidden(child, mode, "a foreign key of it refers to the partitioned table");
        for below in work.resolver.descendants(child) {
            work.lock_with(below, LockMode::AccessShare);
        }
        for leaf in work.resolver.leaves(child) {
            work.check_foreign_key(leaf, partition, &foreign.constraint.columns, foreign.constraint.period);
        }
        let message = format!("the statement fails if a row of {} refers to the partition", child.name);
        work.impact.hazard(HazardId::MayFail, Some(child.name), message);
    }
}

pub(in crate::plan::analyze::alter_table) fn finalize<'a>(
    work: &mut Work<'_, 'a>,
    table: Rel<'a>,
    command: &PartitionCmd,
) {
    if table.relation.kind != RelationKind::PartitionedTable && !require_partitioned(work, table) {
        return;
    }
    let Some(partition) = find(work, table, command) else { return };
    work.lock_with(partition, LockMode::AccessExclusive);
    if !partition.relation.detach_pending {
        let message = format!("cannot complete detaching partition \"{}\"", partition.name.name);
        work.impact.refuse("55000", message, "There is no pending concurrent detach.");
    }
    release_indexes(work, table, partition);
}
