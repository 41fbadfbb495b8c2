//! SET NOT NULL, DROP NOT NULL, and NOT NULL as a table constraint (18 and later).

use pg_query::protobuf::Constraint;

use super::column::members;
use super::work::Work;
use crate::catalog::{ConstraintKind, ReplicaIdentity};
use crate::plan::analyze::implication::{Condition, is_proven_not_null, proven};
use crate::plan::analyze::names::strings;
use crate::plan::analyze::resolve::Rel;
use crate::plan::model::HazardId;

/// Makes the column NOT NULL in one table: every row is read unless valid constraints prove it.
pub(super) fn require<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>, name: &str) {
    if is_proven_not_null(work.now(rel), name) {
        return;
    }
    // Only what was there before the statement counts as proof.
    let proven = proven(rel.relation, &Condition::NotNull(name.to_owned()), work.resolver.catalog)
        && proven(work.now(rel), &Condition::NotNull(name.to_owned()), work.resolver.catalog);
    if !proven {
        work.verify(rel);
        let message =
            format!("the statement fails if a row of {} has NULL in {}", rel.name, crate::sql::quote::ident(name));
        work.impact.hazard(HazardId::MayFail, Some(rel.name), message);
    }
    let relation = work.change(rel);
    if let Some(column) = relation.columns.iter_mut().find(|column| column.name == name) {
        column.not_null = true;
    }
    let pending = relation
        .constraints
        .iter_mut()
        .filter(|constraint| constraint.kind == ConstraintKind::NotNull && constraint.columns == [name]);
    pending.for_each(|constraint| constraint.validated = true);
}

pub(super) fn set<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, recurse: bool) {
    if !work.require_column(root, name) {
        return;
    }
    let partitioned = root.relation.partition_key.is_some();
    let kept_apart = work.now(root).constraints.iter().find(|constraint| {
        constraint.kind == ConstraintKind::NotNull && constraint.no_inherit && constraint.columns == [name]
    });
    if let Some(kept_apart) = kept_apart.filter(|_| recurse) {
        let message = format!("cannot change NO INHERIT status of NOT NULL constraint \"{}\"", kept_apart.name);
        work.impact.refuse("0A000", message, "Use ALTER TABLE ... ALTER CONSTRAINT ... INHERIT.");
    }
    let done = is_proven_not_null(work.now(root), name);
    // A column that has it already ends the matter; up to 17 a plain child may still lack it.
    if done && (partitioned || work.major() >= 18) {
        return;
    }
    if partitioned && !recurse {
        only_partitioned(work, root, name);
        return;
    }
    for member in members(work, root, recurse) {
        if work.column(member, name).is_some() {
            require(work, member, name);
        }
    }
}

/// With ONLY every partition must have it already, or prove it; from 18 on that is no help either.
fn only_partitioned<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str) {
    for child in work.resolver.descendants(root) {
        work.lock(child);
        let wanted = Condition::NotNull(name.to_owned());
        let has = is_proven_not_null(child.relation, name);
        if work.major() >= 18 || !(has || proven(child.relation, &wanted, work.resolver.catalog)) {
            work.impact.refuse("42P16", "constraint must be added to child tables too", "Leave out ONLY.");
        }
    }
    require(work, root, name);
}

pub(super) fn drop<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str, recurse: bool) {
    let partitioned = root.relation.partition_key.is_some();
    let has_children = !work.resolver.children(root.name).is_empty();
    if work.major() < 18 && partitioned && has_children && !recurse {
        let message = "cannot remove constraint from only the partitioned table when partitions exist";
        work.impact.refuse("42P16", message, "Leave out ONLY.");
    }
    if !work.require_column(root, name) {
        return;
    }
    let not_null = work.column(root, name).is_some_and(|column| column.not_null);
    // From 18 on it is a constraint: inherited copies go with it, with ONLY too.
    let whole_tree = if work.major() >= 18 { not_null } else { recurse };
    for member in members(work, root, whole_tree) {
        refuse_drop(work, member, name, member == root, true);
        if let Some(column) = work.change(member).columns.iter_mut().find(|column| column.name == name) {
            column.not_null = false;
        }
    }
    if not_null {
        let message = format!("readers of {} may meet NULL in {}", root.name, crate::sql::quote::ident(name));
        work.impact.hazard(HazardId::BreaksClients, Some(root.name), message);
    }
}

/// Identity, primary key, replica identity and a parent keep the column NOT NULL. `by_column`: asked for by
/// the column's name, not by the constraint's; the server's checks then have another order.
pub(super) fn refuse_drop<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>, name: &str, is_root: bool, by_column: bool) {
    let relation = work.now(rel);
    let Some(column) = relation.column(name) else { return };
    let in_key = |index: &Rel<'_>| {
        index
            .relation
            .index
            .as_ref()
            .is_some_and(|index| index.keys.iter().any(|key| key.column.as_deref() == Some(name)))
    };
    let indexes = work.resolver.indexes(rel.name);
    let primary =
        indexes.iter().any(|index| in_key(index) && index.relation.index.as_ref().is_some_and(|index| index.primary));
    let replica = match &relation.replica_identity {
        ReplicaIdentity::Index(used) => indexes.iter().any(|index| index.name.name == *used && in_key(index)),
        _ => false,
    };
    let not_null = column.not_null;
    let identity = column.identity.is_some();
    let primary =
        primary && relation.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
    let inherited = is_root && inherits_not_null(work, rel, name);
    let identity_message = format!("column \"{name}\" of relation \"{}\" is an identity column", rel.name.name);
    if identity && by_column {
        work.impact.refuse("42601", identity_message.as_str(), "Drop the identity first.");
    }
    if primary {
        let message = format!("column \"{name}\" is in a primary key");
        work.impact.refuse("42P16", message, "Drop the primary key first.");
    }
    if identity {
        work.impact.refuse("42601", identity_message, "Drop the identity first.");
    }
    if replica {
        let message = format!("column \"{name}\" is in index used as replica identity");
        work.impact.refuse("42P16", message, "Choose another replica identity first.");
    }
    if not_null && inherited {
        let message = format!("column \"{name}\" is marked NOT NULL in parent table");
        work.impact.refuse("42P16", message, "Drop it in the parent table.");
    }
}

/// Up to 17 only partitions are held to their parent.
fn inherits_not_null<'a>(work: &Work<'_, 'a>, rel: Rel<'a>, name: &str) -> bool {
    if work.major() >= 18 {
        return rel.relation.constraints.iter().any(|constraint| {
            constraint.kind == ConstraintKind::NotNull
                && constraint.inherited > 0
                && constraint.columns.iter().any(|column| column == name)
        });
    }
    rel.relation.partition_bound.is_some()
        && rel.relation.parents.iter().any(|parent| {
            work.resolver.get(parent).is_some_and(|parent| parent.relation.column(name).is_some_and(|c| c.not_null))
        })
}

/// `ADD [CONSTRAINT c] NOT NULL column [NOT VALID] [NO INHERIT]`.
pub(super) fn add_constraint<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &Constraint, recurse: bool) {
    let columns = strings(&constraint.keys);
    let Some(name) = columns.first().copied() else { return };
    if !work.require_column(root, name) {
        return;
    }
    let existing = work.now(root).constraints.iter().find(|existing| {
        existing.kind == ConstraintKind::NotNull && existing.columns.iter().any(|column| column == name)
    });
    if let Some(existing) = existing {
        refuse_second(work, root, constraint, existing.clone());
        if !existing_allows(work, root, name, constraint) {
            return;
        }
    } else {
        super::add_constraint::require_free_name(work, root, &constraint.conname);
    }
    let children = !work.resolver.children(root.name).is_empty();
    if !recurse && children && !constraint.is_no_inherit {
        work.impact.refuse("42P16", "constraint must be added to child tables too", "Leave out ONLY.");
    }
    if constraint.is_no_inherit && root.relation.partition_key.is_some() {
        let message = "not-null constraints on partitioned tables cannot be NO INHERIT";
        work.impact.refuse("0A000", message, "Leave out NO INHERIT.");
    }
    for member in members(work, root, recurse) {
        let bound = member == root || !constraint.is_no_inherit;
        if bound && member != root {
            refuse_weaker(work, member, name, constraint);
        }
        if bound && work.column(member, name).is_some() && !constraint.skip_validation {
            require(work, member, name);
        }
    }
}

/// A column has one not-null constraint; asking for the same again is no mistake.
fn refuse_second<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    constraint: &Constraint,
    existing: crate::catalog::Constraint,
) {
    let table = &root.name.name;
    if !constraint.conname.is_empty() && constraint.conname != existing.name {
        let column = existing.columns.first().map_or("", String::as_str);
        let message = format!(
            "cannot create not-null constraint \"{}\" on column \"{column}\" of table \"{table}\"",
            constraint.conname
        );
        work.impact.refuse("55000", message, format!("The column has the not-null constraint \"{}\".", existing.name));
    }
    if constraint.is_no_inherit != existing.no_inherit {
        let message = format!(
            "cannot change NO INHERIT status of NOT NULL constraint \"{}\" on relation \"{table}\"",
            existing.name
        );
        work.impact.refuse("55000", message, "Use ALTER TABLE ... ALTER CONSTRAINT ... INHERIT or NO INHERIT.");
    }
    if !existing.validated && !constraint.skip_validation {
        let message = format!("incompatible NOT VALID constraint \"{}\" on relation \"{table}\"", existing.name);
        work.impact.refuse("55000", message, "Validate it with ALTER TABLE ... VALIDATE CONSTRAINT first.");
    }
}

/// A child's own constraint does not promise less.
fn refuse_weaker<'a>(work: &mut Work<'_, 'a>, child: Rel<'a>, name: &str, constraint: &Constraint) {
    let own =
        child.relation.constraints.iter().find(|own| own.kind == ConstraintKind::NotNull && own.columns == [name]);
    let Some(own) = own else { return };
    if own.no_inherit {
        let message = format!(
            "cannot change NO INHERIT status of NOT NULL constraint \"{}\" on relation \"{}\"",
            own.name, child.name.name
        );
        work.impact.refuse("55000", message, "Use ALTER TABLE ... ALTER CONSTRAINT ... INHERIT first.");
    }
    if !own.validated && !constraint.skip_validation {
        let message = format!("incompatible NOT VALID constraint \"{}\" on relation \"{}\"", own.name, child.name.name);
        work.impact.refuse("55000", message, "Validate it with ALTER TABLE ... VALIDATE CONSTRAINT first.");
    }
}

/// Whether asking for a constraint that is there has something left to do: on children that lack it.
fn existing_allows<'a>(work: &Work<'_, 'a>, root: Rel<'a>, name: &str, constraint: &Constraint) -> bool {
    !constraint.skip_validation && !is_proven_not_null(work.now(root), name)
}
