//! VALIDATE CONSTRAINT.

use super::work::Work;
use crate::catalog::{Constraint, ConstraintKind, RelationKind};
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

pub(super) fn validate<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, recurse: bool) {
    let Some(constraint) = work.now(root).constraint(name).cloned() else {
        let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", root.name.name);
        work.impact.refuse("42704", message, "Check the name of the constraint.");
        return;
    };
    if !constraint.enforced {
        work.impact.refuse("55000", "cannot validate NOT ENFORCED constraint", "Make it ENFORCED instead.");
    }
    match &constraint.kind {
        ConstraintKind::ForeignKey { references, .. } => {
            if let Some(parent) = work.resolver.get(references).filter(|_| !constraint.validated) {
                foreign_key(work, root, parent, &constraint);
            }
        }
        ConstraintKind::Check { .. } | ConstraintKind::NotNull if !constraint.validated => {
            rows(work, root, &constraint, recurse);
        }
        ConstraintKind::Check { .. } | ConstraintKind::NotNull => {}
        _ => {
            let message = format!("constraint \"{name}\" of relation \"{}\" cannot be validated", root.name.name);
            work.impact.refuse("42809", message, "Only CHECK, NOT NULL and FOREIGN KEY are validated.");
        }
    }
    if !constraint.validated {
        let message =
            format!("the statement fails if a row of {} violates {}", root.name, crate::sql::quote::ident(name));
        work.impact.hazard(HazardId::MayFail, Some(root.name), message);
    }
}

/// The referenced table is only kept from being changed; its partitions are read.
fn foreign_key<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, parent: Rel<'a>, constraint: &Constraint) {
    work.lock(table);
    work.lock_with(parent, LockMode::RowShare);
    if table.relation.kind != RelationKind::PartitionedTable {
        for member in work.resolver.descendants(parent) {
            work.lock_with(member, LockMode::AccessShare);
        }
        work.check_foreign_key(table, parent, &constraint.columns, constraint.period);
        return;
    }
    for partition in &work.resolver.children(table.name) {
        let own = partition.relation.constraints.iter().find(|own| {
            let same = matches!((&own.kind, &constraint.kind), (
                ConstraintKind::ForeignKey { references: a, referenced_columns: b, .. },
                ConstraintKind::ForeignKey { references: c, referenced_columns: d, .. },
            ) if a == c && b == d);
            same && own.columns == constraint.columns && own.inherited > 0
        });
        if own.is_some_and(|own| !own.validated) {
            foreign_key(work, *partition, parent, constraint);
        }
    }
}

/// Every row of the table, and of children whose copy is not valid either.
fn rows<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &Constraint, recurse: bool) {
    if constraint.no_inherit {
        work.verify(root);
        work.runs(root, &constraint.functions);
        return;
    }
    if !recurse && !work.resolver.children(root.name).is_empty() {
        let message = "constraint must be validated on child tables too";
        work.impact.refuse("42P16", message, "Leave out ONLY.");
    }
    for member in work.resolver.tree(root) {
        work.lock(member);
        // A child's copy of a not-null constraint has a name of its own.
        let copy = member.relation.constraints.iter().find(|copy| match &constraint.kind {
            ConstraintKind::NotNull => copy.kind == ConstraintKind::NotNull && copy.columns == constraint.columns,
            _ => copy.name == constraint.name,
        });
        if copy.is_none_or(|copy| !copy.validated) {
            work.verify(member);
            work.runs(member, &constraint.functions);
        }
    }
}
