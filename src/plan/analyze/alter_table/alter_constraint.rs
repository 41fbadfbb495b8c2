//! ALTER CONSTRAINT: deferrability, and from 18 on enforcement and inheritance.

use pg_query::protobuf::AtAlterConstraint;

use super::not_null;
use super::work::Work;
use crate::catalog::{Constraint, ConstraintKind};
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;

pub(super) fn alter<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, change: &AtAlterConstraint, recurse: bool) {
    let name = &change.conname;
    let table = &root.name.name;
    if change.alter_inheritability && change.noinherit && work.major() < 18 {
        let message = "FOREIGN KEY constraints cannot be marked NO INHERIT";
        work.impact.refuse("0A000", message, "Leave out NO INHERIT.");
    }
    let Some(constraint) = work.now(root).constraint(name).cloned() else {
        let message = format!("constraint \"{name}\" of relation \"{table}\" does not exist");
        work.impact.refuse("42704", message, "Check the name of the constraint.");
        return;
    };
    let foreign = matches!(constraint.kind, ConstraintKind::ForeignKey { .. });
    if change.alter_deferrability && !foreign {
        let message = format!("constraint \"{name}\" of relation \"{table}\" is not a foreign key constraint");
        work.impact.refuse("42809", message, "Only foreign keys can be altered so.");
    }
    if change.alter_enforceability && !foreign {
        let message = format!("cannot alter enforceability of constraint \"{name}\" of relation \"{table}\"");
        work.impact.refuse("42809", message, "Drop the constraint, and add it again.");
    }
    if change.alter_inheritability && constraint.kind != ConstraintKind::NotNull {
        let message = format!("constraint \"{name}\" of relation \"{table}\" is not a not-null constraint");
        work.impact.refuse("42809", message, "Only not-null constraints can be altered so.");
    }
    if !change.alter_inheritability && foreign && constraint.inherited > 0 {
        let sqlstate = if work.major() >= 18 { "55000" } else { "XX000" };
        let message = format!("cannot alter constraint \"{name}\" on relation \"{table}\"");
        work.impact.refuse(sqlstate, message, "Alter the constraint of the partitioned table.");
    }
    if !recurse && root.relation.partition_key.is_some() && work.major() >= 18 {
        work.impact.refuse("42P16", "constraint must be altered in child tables too", "Leave out ONLY.");
    }
    if change.alter_inheritability && change.noinherit && constraint.inherited > 0 && !constraint.no_inherit {
        let message = format!("cannot alter inherited constraint \"{name}\" on relation \"{table}\"");
        work.impact.refuse("55000", message, "Alter the constraint of the parent table.");
    }
    if change.alter_inheritability {
        inheritance(work, root, &constraint, change.noinherit);
    }
    if foreign {
        foreign_key(work, root, &constraint, change, recurse);
    }
}

/// The children get the constraint, or keep it as their own.
fn inheritance<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &Constraint, no_inherit: bool) {
    if constraint.no_inherit == no_inherit {
        return;
    }
    for child in work.resolver.descendants(root) {
        work.lock(child);
        if !no_inherit {
            for column in &constraint.columns {
                not_null::require(work, child, column);
            }
        }
    }
}

fn foreign_key<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    constraint: &Constraint,
    change: &AtAlterConstraint,
    _recurse: bool,
) {
    let ConstraintKind::ForeignKey { references, .. } = &constraint.kind else { return };
    let defers = change.alter_deferrability
        && (constraint.deferrable != change.deferrable || constraint.initially_deferred != change.initdeferred);
    let enforces = change.alter_enforceability && constraint.enforced != change.is_enforced;
    if !defers && !enforces {
        return;
    }
    for member in work.resolver.descendants(root) {
        if root.relation.partition_key.is_some() {
            work.lock(member);
        }
    }
    let Some(parent) = work.resolver.get(references).filter(|_| enforces) else { return };
    // Triggers on the referenced table come or go.
    let mode = if change.is_enforced { LockMode::ShareRowExclusive } else { LockMode::AccessExclusive };
    for member in work.resolver.partitions(parent) {
        work.lock_hidden(member, mode, "it is the referenced table of the constraint");
    }
    if change.is_enforced {
        for leaf in work.resolver.leaves(root) {
            work.check_foreign_key(leaf, parent, &constraint.columns, constraint.period);
        }
    }
}
