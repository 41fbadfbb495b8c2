//! ATTACH and DETACH of partitions (`ATExecAttachPartition`, `ATExecDetachPartition` in tablecmds.c).

mod attach;
mod bound;
mod detach;
mod refuse;

pub(super) use attach::attach;
pub(super) use detach::{detach, finalize, is_concurrent_detach};
pub(in crate::plan::analyze) use refuse::refuse_bound;

use super::work::Work;
use crate::catalog::RelationKind;
use crate::plan::analyze::resolve::Rel;

/// 42P17 where a server before 18 gets as far as that.
fn require_partitioned<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>) -> bool {
    let is = table.relation.kind == RelationKind::PartitionedTable;
    if !is {
        let message = format!("table \"{}\" is not partitioned", table.name.name);
        work.impact.refuse("42P17", message, "Name the partitioned table.");
    }
    is
}

/// The default partition of the table.
fn default_partition<'a>(work: &Work<'_, 'a>, table: Rel<'a>) -> Option<Rel<'a>> {
    let name = table.relation.partition_key.as_ref()?.default_partition.as_ref()?;
    work.resolver.get(name)
}
