//! ATTACH PARTITION. The rows of the new partition are read unless its constraints prove that they lie within
//! the bound; those of the default partition unless its constraints prove that none does.

use pg_query::protobuf::PartitionCmd;

use super::super::inherit::merge;
use super::super::work::Work;
use super::bound::{self, Bound, Key};
use super::refuse::{read, refuse_clashes, siblings};
use super::{default_partition, require_partitioned};
use crate::catalog::{Column, Constraint, ConstraintKind, Index, Persistence, Relation, RelationKind};
use crate::plan::analyze::implication::{Condition, Reader, proven};
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::missing_relation;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

pub(in crate::plan::analyze::alter_table) fn attach<'a>(
    work: &mut Work<'_, 'a>,
    table: Rel<'a>,
    command: &PartitionCmd,
) {
    let (Some(name), Some(spec)) = (&command.name, &command.bound) else { return };
    if !require_partitioned(work, table) {
        return;
    }
    let Some(partition) = work.resolver.relation(name) else {
        missing_relation(&mut work.impact, Qualified::from_range(name));
        return;
    };
    if !partition.relation.kind.is_table() && partition.relation.kind != RelationKind::ForeignTable {
        let message = format!("\"{}\" is no table: it cannot be a partition", partition.name.name);
        work.impact.refuse("42809", message, "Only tables and foreign tables can be partitions.");
        return;
    }
    for ancestor in work.resolver.ancestors(table) {
        work.lock_with(ancestor, LockMode::AccessShare);
    }
    for member in work.resolver.tree(partition) {
        work.lock_with(member, LockMode::AccessExclusive);
    }
    let default = default_partition(work, table);
    if let Some(default) = default {
        work.lock_hidden(default, LockMode::AccessExclusive, "it is the default partition");
    }
    let key = Key::of(table.relation, work.resolver.catalog);
    let own = &partition.name.name;
    let bound = key.as_ref().and_then(|key| read(&mut work.impact, work.resolver, table, own, spec, key));
    refuse_kinds(work, table, partition);
    if let (Some(key), Some(bound)) = (&key, &bound) {
        refuse_clashes(&mut work.impact, work.resolver, table, own, bound, key);
    }
    merge(work, partition, table);
    ensure_indexes(work, table, partition);
    foreign_keys(work, table, partition);

    let condition = match (&key, &bound) {
        (Some(key), Some(bound)) => whole_condition(work, table, bound, key),
        _ => None,
    };
    validate(work, partition, condition.as_ref());
    if let (Some(default), Some(key), Some(bound)) = (default, &key, &bound)
        && !spec.is_default
    {
        let excluded = bound.condition(key).map(Condition::negated);
        validate(work, default, excluded.as_ref());
    }
}

fn refuse_kinds<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, partition: Rel<'a>) {
    let (parent, child) = (&table.name.name, &partition.name.name);
    let relation = partition.relation;
    if relation.partition_bound.is_some() {
        let message = format!("\"{child}\" is already a partition");
        work.impact.refuse("42809", message, "Detach it first.");
    }
    if relation.of_type.is_some() {
        work.impact.refuse("42809", "cannot attach a typed table as partition", "Use NOT OF first.");
    }
    if relation.partition_bound.is_none() && !relation.parents.is_empty() {
        work.impact.refuse("42809", "cannot attach inheritance child as partition", "Use NO INHERIT first.");
    }
    let plain = relation.kind == RelationKind::Table;
    if plain && !work.resolver.children(partition.name).is_empty() {
        work.impact.refuse("42809", "cannot attach inheritance parent as partition", "Give its children up first.");
    }
    if work.resolver.tree(partition).contains(&table) {
        let message = format!("circular inheritance not allowed: \"{parent}\" is below \"{child}\" already");
        work.impact.refuse("42P07", message, "Attach another table.");
    }
    let temporary = |relation: &Relation| relation.persistence == Persistence::Temporary;
    if temporary(relation) != temporary(table.relation) {
        let message = format!("cannot attach a temporary relation as partition of permanent relation \"{parent}\"");
        work.impact.refuse("42809", message, "Make both permanent.");
    }
    let extra = |column: &Column| table.relation.column(&column.name).is_none();
    let major = work.major();
    let identity = |column: &Column| major >= 17 && column.identity.is_some();
    let Some(column) = relation.columns.iter().find(|column| extra(column) || identity(column)) else { return };
    if !identity(column) {
        let message = format!("table \"{child}\" contains column \"{}\" not found in parent \"{parent}\"", column.name);
        work.impact.refuse("42804", message, "The new partition may contain only the columns present in parent.");
    } else {
        let message = format!("table \"{child}\" being attached contains an identity column \"{}\"", column.name);
        work.impact.refuse("55000", message, "The new partition may not contain an identity column.");
    }
}

/// Each index of the table finds an equal one on the partition, or is built there.
fn ensure_indexes<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, partition: Rel<'a>) {
    let mut free: Vec<Rel<'a>> = work.resolver.indexes(partition.name);
    for wanted in &work.resolver.indexes(table.name) {
        // A foreign table has none.
        work.lock_with(*wanted, LockMode::ShareUpdateExclusive);
        let Some(facts) = &wanted.relation.index else { continue };
        let equal = free.iter().position(|own| own.relation.index.as_ref().is_some_and(|own| is_equal(own, facts)));
        match equal {
            Some(at) => {
                free.swap_remove(at);
            }
            None => {
                for leaf in work.resolver.leaves(partition) {
                    work.build_index(leaf);
                }
            }
        }
    }
}

/// `CompareIndexInfo`; a constraint finds a constraint.
fn is_equal(own: &Index, wanted: &Index) -> bool {
    own.parent.is_none()
        && own.unique == wanted.unique
        && own.nulls_not_distinct == wanted.nulls_not_distinct
        && own.method == wanted.method
        && own.keys.len() == wanted.keys.len()
        && own.keys.iter().zip(&wanted.keys).all(|(a, b)| {
            a.column == b.column
                && a.expression == b.expression
                && a.operator_family == b.operator_family
                && a.collation == b.collation
        })
        && own.include.len() == wanted.include.len()
        && own.predicate == wanted.predicate
        && (wanted.constraint.is_none() || (own.constraint.is_some() && own.primary == wanted.primary))
}

/// The table's foreign keys hold for the partition as well; those that point at the table reach it.
fn foreign_keys<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, partition: Rel<'a>) {
    for (wanted, parent) in work.resolver.references(table) {
        for member in work.resolver.tree(parent) {
            work.lock_hidden(member, LockMode::ShareRowExclusive, "a foreign key of the table refers to it");
        }
        let own = partition.relation.constraints.iter().find(|own| is_equal_key(own, wanted));
        let adopted = own.is_some_and(|own| own.validated || work.major() >= 18);
        if adopted {
            for member in work.resolver.tree(parent) {
                work.lock_hidden(
                    member,
                    LockMode::AccessExclusive,
                    "a foreign key of the partition becomes the table's",
                );
            }
        }
        if wanted.enforced && !own.is_some_and(|own| own.validated) {
            for leaf in work.resolver.leaves(partition) {
                work.check_foreign_key(leaf, parent, &wanted.columns, wanted.period);
            }
            let message = format!("{} waits for a check that grows with its size", partition.name);
            work.impact.hazard(HazardId::BlocksReads, Some(partition.name), message);
        }
    }
    let mode = if work.major() >= 15 { LockMode::ShareRowExclusive } else { LockMode::AccessShare };
    for foreign in &work.resolver.referencing(table.name) {
        if foreign.table != partition {
            work.lock_hidden(foreign.table, mode, "a foreign key of it refers to the partitioned table");
        }
    }
}

fn is_equal_key(own: &Constraint, wanted: &Constraint) -> bool {
    let facts = |constraint: &Constraint| match &constraint.kind {
        ConstraintKind::ForeignKey { references, referenced_columns, on_update, on_delete, match_type, .. } => {
            Some((references.clone(), referenced_columns.clone(), *on_update, *on_delete, *match_type))
        }
        _ => None,
    };
    own.columns == wanted.columns
        && own.deferrable == wanted.deferrable
        && own.initially_deferred == wanted.initially_deferred
        && own.enforced == wanted.enforced
        && facts(own).is_some_and(|own| Some(own) == facts(wanted))
}

/// What the partition's rows must meet: its bound, and those of the table it goes into.
fn whole_condition<'a>(work: &Work<'_, 'a>, table: Rel<'a>, bound: &Bound, key: &Key) -> Option<Condition> {
    let own = match bound {
        Bound::Default => {
            let taken = siblings(work.resolver, table, key)
                .iter()
                .filter(|(_, sibling)| !matches!(sibling, Bound::Default))
                .map(|(_, sibling)| sibling.condition(key))
                .collect::<Option<Vec<_>>>()?;
            Condition::any(taken).negated()
        }
        bound => bound.condition(key)?,
    };
    let mut all = vec![own];
    let mut below = table;
    while let Some(text) = &below.relation.partition_bound {
        let above = work.resolver.parents(below).into_iter().next()?;
        let catalog = work.resolver.catalog;
        let key = Key::of(above.relation, catalog)?;
        let bound = Bound::read(&bound::parse(text)?, &key, &Reader::stored(above.relation, catalog))?;
        all.push(whole_condition_of(work, above, &bound, &key)?);
        below = above;
    }
    Some(Condition::all(all))
}

fn whole_condition_of<'a>(work: &Work<'_, 'a>, table: Rel<'a>, bound: &Bound, key: &Key) -> Option<Condition> {
    match bound {
        Bound::Default => {
            let others = siblings(work.resolver, table, key);
            let taken = others.iter().filter(|(_, sibling)| !matches!(sibling, Bound::Default));
            let taken = taken.map(|(_, sibling)| sibling.condition(key)).collect::<Option<Vec<_>>>()?;
            Some(Condition::any(taken).negated())
        }
        bound => bound.condition(key),
    }
}

/// Every row is read, unless valid constraints prove the condition; of a partitioned table those of each
/// partition that does not prove it itself (`QueuePartitionConstraintValidation`).
fn validate<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>, condition: Option<&Condition>) {
    let proves = condition.is_some_and(|condition| proven(rel.relation, condition, work.resolver.catalog));
    if proves {
        return;
    }
    if rel.relation.kind == RelationKind::PartitionedTable {
        for partition in &work.resolver.children(rel.name) {
            work.lock_with(*partition, LockMode::AccessExclusive);
            validate(work, *partition, condition);
        }
        return;
    }
    work.verify(rel);
    let message = format!("the statement fails if a row of {} lies on the wrong side of the bound", rel.name);
    work.impact.hazard(HazardId::MayFail, Some(rel.name), message);
    if !rel.relation.stats.empty {
        let message = format!("every row of {} is read while reads and writes of it wait", rel.name);
        work.impact.hazard(HazardId::TableScan, Some(rel.name), message);
        let message = format!("{} waits for work that grows with its size", rel.name);
        work.impact.hazard(HazardId::BlocksReads, Some(rel.name), message);
    }
}
