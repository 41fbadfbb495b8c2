//! What a type change does to the indexes and constraints on the column (`RememberAllDependentForRebuilding`,
//! `ATPostAlterTypeCleanup` in tablecmds.c): they are dropped and made anew, which costs nothing only where
//! their entries and proofs stay valid.

use super::foreign_key;
use super::work::Work;
use crate::catalog::builtin::default_operator_class;
use crate::catalog::types::base_type;
use crate::catalog::{Constraint, ConstraintKind, DataType, Index};
use crate::plan::analyze::coercion::same_default_class;
use crate::plan::analyze::dependents::Dependent;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;

/// The change of one column.
#[derive(Clone, Debug)]
pub(super) struct Change<'n> {
    pub column: &'n str,
    pub from: DataType,
    pub to: DataType,
    /// Values are computed anew.
    pub computed: bool,
    /// The column's collation becomes another.
    pub collation: bool,
    /// The bare name of the one it had.
    pub old_collation: Option<String>,
}

fn is_on(index: &Index, column: &str) -> bool {
    index.keys.iter().any(|key| key.column.as_deref() == Some(column))
        || index.include.iter().any(|name| name == column)
        || index.expression_columns.iter().any(|name| name == column)
}

/// Existing indexes that use the column.
fn indexes_on<'a>(work: &Work<'_, 'a>, table: Rel<'a>, column: &str) -> Vec<(Rel<'a>, &'a Index)> {
    let all = work.indexes(table).into_iter();
    all.filter_map(|index| Some((index, index.relation.index.as_deref()?)))
        .filter(|(_, index)| is_on(index, column))
        .collect()
}

/// Indexes on a column whose values change are made anew; the table is rewritten anyway.
pub(super) fn rebuild_indexes<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, column: &str) {
    for (name, _) in indexes_on(work, table, column) {
        work.drop_index(table, name);
    }
}

/// Indexes, CHECKs and foreign keys on the column, in one table of the tree.
pub(super) fn rebuild<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, change: &Change<'_>) {
    if let Some(column) = work.change(table).columns.iter_mut().find(|column| column.name == change.column) {
        column.data_type = change.to.clone().into();
    }
    for (name, index) in indexes_on(work, table, change.column) {
        work.drop_index(table, name);
        refuse_unindexable(work, index, change);
        // An attached index is made anew through its parent, which shares no storage.
        if !change.computed && (index.parent.is_some() || !keeps_entries(work, index, change)) {
            work.build_index(table);
            work.runs(table, &index.functions);
        }
        if table.relation.partition_key.is_some() && !change.computed {
            build_in_partitions(work, table, name);
        }
    }
    let constraints: Vec<Constraint> = work.now(table).constraints.clone();
    for constraint in constraints.iter().filter(|c| c.columns.iter().any(|column| column == change.column)) {
        match &constraint.kind {
            ConstraintKind::Check { .. } if constraint.validated && constraint.enforced => {
                work.verify(table);
                work.runs(table, &constraint.functions);
            }
            ConstraintKind::ForeignKey { references, .. } => {
                let Some(parent) = work.resolver.get(references) else { continue };
                lock_other_side(work, parent, table, true);
                refuse_incomparable(work, (table, &constraint.columns), parent, constraint);
                if proof_is_lost(work, constraint, change) {
                    work.check_foreign_key(table, parent, &constraint.columns, constraint.period);
                }
            }
            _ => {}
        }
    }
    referencing(work, table, change);
}

/// Foreign keys of other tables that point at the column.
fn referencing<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, change: &Change<'_>) {
    for other in &work.resolver.referencing(table.name) {
        let ConstraintKind::ForeignKey { referenced_columns, .. } = &other.constraint.kind else { continue };
        if !referenced_columns.iter().any(|column| column == change.column) {
            continue;
        }
        lock_other_side(work, other.table, table, false);
        refuse_incomparable(work, (other.table, &other.constraint.columns), table, other.constraint);
        if proof_is_lost(work, other.constraint, change) {
            work.check_foreign_key(other.table, table, &other.constraint.columns, other.constraint.period);
        }
    }
}

/// 42804: the columns on both sides have to be comparable after the whole statement too.
fn refuse_incomparable<'a>(
    work: &mut Work<'_, 'a>,
    (table, columns): (Rel<'a>, &[String]),
    parent: Rel<'a>,
    constraint: &Constraint,
) {
    let ConstraintKind::ForeignKey { referenced_columns, .. } = &constraint.kind else { return };
    let catalog = work.resolver.catalog;
    let fits = |(own, other): (&String, &String)| match (work.column(table, own), work.column(parent, other)) {
        (Some(own), Some(other)) => foreign_key::comparable(&own.data_type, &other.data_type, catalog),
        _ => true,
    };
    // A table that refers to itself may have the other column changed next.
    if table != parent && !columns.iter().zip(referenced_columns).all(fits) {
        let message = format!("foreign key constraint \"{}\" cannot be implemented", constraint.name);
        work.impact.refuse("42804", message, "Give both columns types that compare, or drop the foreign key first.");
    }
}

fn lock_other_side<'a>(work: &mut Work<'_, 'a>, other: Rel<'a>, table: Rel<'a>, referenced: bool) {
    let why = format!("a foreign key between it and {} is made anew", table.name);
    for member in work.resolver.partitions(other) {
        if member == table {
            continue;
        }
        // Before 15 a partitioned table had no triggers to be dropped for the keys that refer to it.
        let untouched = work.major() < 15 && referenced && member.relation.partition_key.is_some();
        let mode = if untouched { LockMode::ShareRowExclusive } else { LockMode::AccessExclusive };
        work.lock_hidden(member, mode, &why);
    }
}

/// Whether rows must be checked again: their values are new, or another operator compares them.
fn proof_is_lost(work: &Work<'_, '_>, constraint: &Constraint, change: &Change<'_>) -> bool {
    let same_operator = same_default_class("btree", &change.from, &change.to, work.resolver.catalog);
    constraint.validated && constraint.enforced && (change.computed || !same_operator)
}

/// The index has to take the new type as it took the old one.
fn refuse_unindexable(work: &mut Work<'_, '_>, index: &Index, change: &Change<'_>) {
    let of = base_type(&change.to, work.resolver.catalog);
    let plain = of.name.schema == "pg_catalog" && !of.array;
    // Extensions bring operator classes, which the catalog does not hold.
    let only_built_in = work.resolver.catalog.extensions.keys().all(|extension| extension == "plpgsql");
    let certain = matches!(index.method.as_str(), "btree" | "hash") || only_built_in;
    let mut keys = index.keys.iter().filter(|key| key.column.as_deref() == Some(change.column));
    let lost = keys.any(|key| key.default_class && key.expression.is_none());
    if plain && certain && lost && default_operator_class(&index.method, &of.name.name, work.major()).is_none() {
        let method = &index.method;
        let message = format!("data type {} has no default operator class for access method \"{method}\"", of.sql);
        work.impact.refuse("42704", message, "Drop the index first, or choose another type.");
    }
}

/// `CheckIndexCompatible`: no expressions, the same operator classes, the same collations.
fn keeps_entries(work: &Work<'_, '_>, index: &Index, change: &Change<'_>) -> bool {
    if index.predicate.is_some() || index.keys.iter().any(|key| key.expression.is_some()) {
        return false;
    }
    let key = index.keys.iter().find(|key| key.column.as_deref() == Some(change.column));
    let Some(key) = key else { return true };
    let same_class =
        !key.default_class || same_default_class(&index.method, &change.from, &change.to, work.resolver.catalog);
    // One that the index names itself stays.
    let follows = change.old_collation.as_deref().is_none_or(|old| bare(&key.collation) == old);
    same_class && !(change.collation && follows)
}

/// The last part of a qualified name.
pub(super) fn bare(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name).trim_matches('"')
}

/// An index of a partitioned table is made anew as if it were new: partitions without an index attached to it get
/// one (`DefineIndex`; what they have on the column is not there at that moment).
fn build_in_partitions<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, index: Rel<'a>) {
    for partition in work.resolver.children(table.name) {
        let attached = work.resolver.indexes(partition.name).iter().any(|candidate| {
            candidate.relation.index.as_deref().is_some_and(|own| own.parent.as_ref() == Some(index.name))
        });
        if attached {
            continue;
        }
        for member in work.resolver.tree(partition) {
            work.build_index(member);
        }
    }
}

/// 0A000 for what keeps a column's type from changing.
pub(super) fn refuse<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, column: &str) {
    for dependent in work.dependents(table, column) {
        let what = match dependent {
            Dependent::View(_) | Dependent::Rule(..) => "cannot alter type of a column used by a view or rule",
            Dependent::Policy(..) => "cannot alter type of a column used in a policy definition",
            Dependent::Trigger(..) => "cannot alter type of a column used in a trigger definition",
            Dependent::Function(_) => "cannot alter type of a column used by a function or procedure",
            Dependent::GeneratedColumn(..) => "cannot alter type of a column used by a generated column",
            Dependent::Publication(_) => "cannot alter type of a column used by a publication WHERE clause",
        };
        let sqlstate = match dependent {
            Dependent::GeneratedColumn(..) if work.major() < 15 => "42601",
            _ => "0A000",
        };
        let hint = format!("Drop {} first, and make it again afterwards.", dependent.describe());
        work.impact.refuse(sqlstate, format!("{what}: {} depends on \"{column}\"", dependent.describe()), hint);
    }
}
