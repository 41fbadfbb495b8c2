//! ALTER INDEX ... ATTACH PARTITION (`ATExecAttachPartitionIdx` in tablecmds.c).

use pg_query::protobuf::PartitionCmd;

use super::work::Work;
use crate::catalog::{Index, RelationKind};
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::{missing_relation, wrong_kind};
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;

pub(super) fn attach<'a>(work: &mut Work<'_, 'a>, parent: Rel<'a>, command: &PartitionCmd) {
    let Some(name) = &command.name else { return };
    let Some(child) = work.resolver.relation(name) else {
        missing_relation(&mut work.impact, Qualified::from_range(name));
        return;
    };
    let (Some(own), Some(parent_index)) = (&child.relation.index, &parent.relation.index) else {
        wrong_kind(&mut work.impact, &child.name.name, "an index");
        return;
    };
    // The lock on the parent index is the statement's; the child's cannot be shared with anyone.
    work.lock_with(child, LockMode::AccessExclusive);
    for table in [&own.table, &parent_index.table] {
        if let Some(table) = work.resolver.get(table) {
            work.lock_with(table, LockMode::AccessShare);
        }
    }
    if own.parent.as_ref() == Some(parent.name) || parent.relation.kind != RelationKind::PartitionedIndex {
        return;
    }
    let refused = |what: &str| {
        format!("cannot attach index \"{}\" as a partition of index \"{}\": {what}", child.name.name, parent.name.name)
    };
    if own.parent.is_some() {
        let message = refused("it is attached to another index already");
        work.impact.refuse("55000", message, "Build an index of its own.");
    }
    let partition = work.resolver.get(&own.table);
    let is_partition = partition.is_some_and(|table| table.relation.parents.contains(&parent_index.table));
    if !is_partition {
        let message = refused("it is not an index on a partition of the table");
        work.impact.refuse("55000", message, "Attach an index of a partition.");
    }
    let taken = partition.is_some_and(|table| {
        work.resolver
            .indexes(table.name)
            .iter()
            .any(|other| other.relation.index.as_ref().is_some_and(|facts| facts.parent.as_ref() == Some(parent.name)))
    });
    if taken {
        let message = refused("another index of the partition is attached already");
        work.impact.refuse("55000", message, "Leave the statement out.");
    }
    if !equal(own, parent_index) {
        work.impact.refuse("42P17", refused("the definitions do not match"), "Build an index like the parent's.");
    }
    if parent_index.constraint.is_some() && own.constraint.is_none() {
        let message = refused("the parent has a constraint, the index has none");
        work.impact.refuse("42P17", message, "Add the constraint to the partition with USING INDEX.");
    }
}

/// `CompareIndexInfo`, by the names of columns.
fn equal(own: &Index, parent: &Index) -> bool {
    own.unique == parent.unique
        && own.method == parent.method
        && own.keys == parent.keys
        && own.include == parent.include
        && own.predicate.is_some() == parent.predicate.is_some()
        && own.nulls_not_distinct == parent.nulls_not_distinct
}
