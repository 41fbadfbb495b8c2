//! DROP CONSTRAINT, and what goes when a key goes.

use pg_query::protobuf::{AlterTableCmd, DropBehavior};

use super::drop_column::drop_view;
use super::not_null;
use super::work::Work;
use crate::catalog::{Constraint, ConstraintKind, Name, RelationKind};
use crate::plan::analyze::refusal;
use crate::plan::analyze::resolve::{Referencing, Rel};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

pub(super) fn drop_constraint<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, command: &AlterTableCmd, recurse: bool) {
    let name = command.name.as_str();
    let table = &root.name.name;
    let Some(constraint) = root.relation.constraint(name) else {
        if !command.missing_ok {
            let message = format!("constraint \"{name}\" of relation \"{table}\" does not exist");
            work.impact.refuse("42704", message, "Check the name of the constraint, or use IF EXISTS.");
        }
        return;
    };
    if constraint.inherited > 0 {
        let message = format!("cannot drop inherited constraint \"{name}\" of relation \"{table}\"");
        work.impact.refuse("42P16", message, "Drop it from the parent table.");
    }
    let cascade = command.behavior() == DropBehavior::DropCascade;
    match &constraint.kind {
        ConstraintKind::Check { .. } => inherited_copies(work, root, constraint, recurse),
        ConstraintKind::NotNull => {
            if let Some(column) = constraint.columns.first() {
                not_null::refuse_drop(work, root, column, false, false);
            }
            inherited_copies(work, root, constraint, recurse);
        }
        ConstraintKind::ForeignKey { .. } => foreign_key(work, root, constraint, true),
        ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion => {
            let what = format!("constraint {name} on table {table}");
            key(work, root, constraint, cascade, &what);
        }
        ConstraintKind::Trigger => {}
    }
    work.change(root).constraints.retain(|known| known.name != name);
}

/// Children lose their copy, or keep it as their own; they are locked either way, with ONLY too.
fn inherited_copies<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &Constraint, recurse: bool) {
    if constraint.no_inherit {
        return;
    }
    let partitioned = root.relation.partition_key.is_some();
    let children = work.resolver.children(root.name);
    if work.major() < 18 && partitioned && !children.is_empty() && !recurse {
        let message = "cannot remove constraint from only the partitioned table when partitions exist";
        work.impact.refuse("42P16", message, "Leave out ONLY.");
    }
    disinherit(work, root, &constraint.name, recurse);
}

/// With ONLY, and where a child keeps its copy, what is below is left alone.
fn disinherit<'a>(work: &mut Work<'_, 'a>, parent: Rel<'a>, constraint: &str, recurse: bool) {
    for child in &work.resolver.children(parent.name) {
        work.lock(*child);
        let goes = child.relation.constraint(constraint).is_none_or(|own| own.inherited <= 1 && !own.local);
        if recurse && goes {
            disinherit(work, *child, constraint, recurse);
        }
    }
}

/// The triggers of both sides go. `explicit`: dropped by name, not because something it needs goes.
pub(super) fn foreign_key<'a>(work: &mut Work<'_, 'a>, child: Rel<'a>, constraint: &Constraint, explicit: bool) {
    let ConstraintKind::ForeignKey { references, .. } = &constraint.kind else { return };
    for member in work.resolver.partitions(child) {
        lock_foreign(work, child, member, "it has the dropped foreign key");
    }
    let Some(parent) = work.resolver.get(references) else { return };
    if explicit {
        lock_foreign(work, child, parent, "a dropped foreign key refers to it");
    }
    for member in work.resolver.partitions(parent) {
        // Up to 14 only the leaves of a referenced partitioned table have triggers.
        let partitioned = member.relation.kind == RelationKind::PartitionedTable;
        if work.major() >= 15 || !partitioned {
            lock_foreign(work, child, member, "a dropped foreign key refers to it");
        }
    }
}

fn lock_foreign<'a>(work: &mut Work<'_, 'a>, child: Rel<'a>, member: Rel<'a>, why: &str) {
    if member == child {
        work.lock_with(member, LockMode::AccessExclusive);
    } else {
        work.lock_hidden(member, LockMode::AccessExclusive, why);
    }
}

/// Foreign keys that need one of these indexes.
fn needing<'a>(work: &Work<'_, 'a>, table: Rel<'a>, index: &Name) -> Vec<Referencing<'a>> {
    let all = work.resolver.referencing(table.name).into_iter();
    all.filter(|foreign| foreign.constraint.index.as_ref() == Some(index)).collect()
}

/// The index behind the constraint goes, on partitions too, and with CASCADE the foreign keys that need it.
pub(super) fn key<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &Constraint, cascade: bool, what: &str) {
    let Some(index) = constraint.index.as_ref().and_then(|index| work.resolver.get(index)) else { return };
    grouping_views(work, root, &constraint.name, cascade, what);
    index_tree(work, root, index, cascade, what);
    let unique = constraint.kind != ConstraintKind::Exclusion;
    if unique {
        let message = format!("rows of {} may repeat values from now on", root.name);
        work.impact.hazard(HazardId::BreaksClients, Some(root.name), message);
    }
}

/// Views that group by the primary key and show other columns of its table need it.
fn grouping_views<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &str, cascade: bool, what: &str) {
    let views: Vec<Rel<'a>> = work
        .resolver
        .views_on(root.name, None)
        .into_iter()
        .filter(|view| {
            let needed = view.relation.view.as_ref().map_or(&[][..], |view| &view.constraints);
            needed.iter().any(|needed| needed.relation == *root.name && needed.constraint == constraint)
        })
        .collect();
    if !cascade && !views.is_empty() {
        let shown: Vec<String> = views.iter().map(|view| format!("view {}", view.name.name)).collect();
        refusal::dependents(&mut work.impact, what, &shown);
    }
    for view in views {
        drop_view(work, view);
    }
}

/// An index goes with what hangs on it.
pub(super) fn index_tree<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, index: Rel<'a>, cascade: bool, what: &str) {
    work.drop_index(table, index);
    let dependents = needing(work, table, index.name);
    if !cascade && !dependents.is_empty() {
        let shown: Vec<String> = dependents
            .iter()
            .map(|foreign| format!("constraint {} on table {}", foreign.constraint.name, foreign.table.name.name))
            .collect();
        refusal::dependents(&mut work.impact, what, &shown);
    }
    for foreign in dependents {
        foreign_key(work, foreign.table, foreign.constraint, false);
    }
    for partition in &work.resolver.children(table.name) {
        let attached = work
            .resolver
            .indexes(partition.name)
            .iter()
            .copied()
            .find(|own| own.relation.index.as_ref().is_some_and(|facts| facts.parent.as_ref() == Some(index.name)));
        if let Some(attached) = attached {
            work.lock_with(*partition, LockMode::AccessExclusive);
            index_tree(work, *partition, attached, cascade, what);
        }
    }
}
