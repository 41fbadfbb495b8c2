//! Identity of a column: ADD GENERATED, SET, DROP IDENTITY. Its sequence is changed with it.

use pg_query::NodeEnum;

use super::column::members;
use super::work::Work;
use crate::catalog::Identity;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;

/// From 17 on partitions share their table's identity.
fn reaches_partitions<'a>(work: &Work<'_, 'a>, root: Rel<'a>, recurse: bool) -> bool {
    recurse && work.major() >= 17 && root.relation.partition_key.is_some()
}

fn refuse_only<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, recurse: bool, what: &str) {
    let partitioned = root.relation.partition_key.is_some();
    if work.major() < 17 {
        return;
    }
    if partitioned && !recurse && !work.resolver.children(root.name).is_empty() {
        let message = format!("cannot {what} identity to a column of only the partitioned table");
        work.impact.refuse("42P16", message, "Leave out ONLY.");
    }
    if root.relation.partition_bound.is_some() {
        let message = format!("cannot {what} identity of a column of a partition");
        work.impact.refuse("42P16", message, "Change the partitioned table.");
    }
}

pub(super) fn add<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, recurse: bool) {
    refuse_only(work, root, recurse, "add");
    if !work.require_column(root, name) {
        return;
    }
    let Some(column) = work.column(root, name).cloned() else { return };
    let table = &root.name.name;
    let is_integer = matches!(column.data_type.sql.as_str(), "smallint" | "integer" | "bigint");
    if !is_integer {
        work.impact.refuse("22023", "identity column type must be smallint, integer, or bigint", "Use an integer.");
    }
    if !column.not_null {
        let message =
            format!("column \"{name}\" of relation \"{table}\" must be declared NOT NULL before identity can be added");
        work.impact.refuse("55000", message, "Use ALTER COLUMN ... SET NOT NULL first.");
    }
    if column.identity.is_some() {
        let message = format!("column \"{name}\" of relation \"{table}\" is already an identity column");
        work.impact.refuse("55000", message, "Leave the statement out.");
    }
    if column.default.is_some() {
        let message = format!("column \"{name}\" of relation \"{table}\" already has a default value");
        work.impact.refuse("55000", message, "Drop the default first.");
    }
    let whole = reaches_partitions(work, root, recurse);
    for member in members(work, root, whole) {
        if let Some(column) = work.change(member).columns.iter_mut().find(|column| column.name == name) {
            column.identity = Some(Identity::ByDefault);
        }
    }
}

/// The sequence is altered with it; partitions only learn which kind of identity it is.
pub(super) fn set<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, options: Option<&NodeEnum>, recurse: bool) {
    refuse_only(work, root, recurse, "change");
    if !work.require_column(root, name) || !require_identity(work, root, name) {
        return;
    }
    let sets_kind = match options {
        Some(NodeEnum::List(list)) => list
            .items
            .iter()
            .any(|item| matches!(&item.node, Some(NodeEnum::DefElem(option)) if option.defname == "generated")),
        _ => false,
    };
    let whole = sets_kind && reaches_partitions(work, root, recurse);
    members(work, root, whole);
    for sequence in work.resolver.owned_sequences(root, Some(name)) {
        work.lock_with(sequence, LockMode::ShareRowExclusive);
    }
}

fn require_identity<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str) -> bool {
    let is = work.column(root, name).is_some_and(|column| column.identity.is_some());
    if !is {
        let message = format!("column \"{name}\" of relation \"{}\" is not an identity column", root.name.name);
        work.impact.refuse("55000", message, "Add identity first, or leave the statement out.");
    }
    is
}

pub(super) fn drop<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, missing_ok: bool, recurse: bool) {
    refuse_only(work, root, recurse, "drop");
    if !work.require_column(root, name) {
        return;
    }
    if missing_ok && work.column(root, name).is_some_and(|column| column.identity.is_none()) {
        return;
    }
    if !require_identity(work, root, name) {
        return;
    }
    let whole = reaches_partitions(work, root, recurse);
    for member in members(work, root, whole) {
        if let Some(column) = work.change(member).columns.iter_mut().find(|column| column.name == name) {
            column.identity = None;
        }
    }
    for sequence in work.resolver.owned_sequences(root, Some(name)) {
        work.lock_with(sequence, LockMode::AccessExclusive);
    }
}
