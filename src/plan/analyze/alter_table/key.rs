//! UNIQUE, PRIMARY KEY and EXCLUDE: an index is built, or one that exists is used.

use pg_query::NodeEnum;
use pg_query::protobuf::{ConstrType, Constraint};

use super::add_constraint::{remember, require_free_name};
use super::not_null;
use super::work::Work;
use crate::catalog::builtin::default_operator_class;
use crate::catalog::types::{base_type, builtin};
use crate::catalog::{ConstraintKind, Generated, Index, RelationKind};
use crate::plan::analyze::implication::is_proven_not_null;
use crate::plan::analyze::refusal::relation_exists;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

fn kind_of(constraint: &Constraint) -> (ConstraintKind, &'static str) {
    match constraint.contype() {
        ConstrType::ConstrPrimary => (ConstraintKind::PrimaryKey, "primary key"),
        ConstrType::ConstrExclusion => (ConstraintKind::Exclusion, "exclusion"),
        _ => (ConstraintKind::Unique, "unique"),
    }
}

/// Builds the index, on every partition that has none to give.
pub(super) fn add<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    constraint: &Constraint,
    columns: &[String],
    recurse: bool,
) {
    let (kind, word) = kind_of(constraint);
    refuse(work, root, constraint, columns, &kind, word);
    let primary = kind == ConstraintKind::PrimaryKey;
    let partitioned = root.relation.partition_key.is_some();
    if primary && !recurse && !work.resolver.children(root.name).is_empty() {
        only_root(work, root, columns);
    }
    if primary {
        refuse_pending_not_null(work, root, columns);
    }
    let locks_partitions = if primary { require_not_null(work, root, columns, recurse) } else { false };
    if partitioned && recurse {
        let mode = if locks_partitions { work.mode } else { LockMode::Share };
        build_on_partitions(work, root, &kind, columns, mode);
    }
    work.build_index(root);
    if kind != ConstraintKind::Exclusion || !partitioned {
        let message = format!("the statement fails if rows of {} have the same values", root.name);
        work.impact.hazard(HazardId::MayFail, Some(root.name), message);
    }
    remember(work, root, &constraint.conname, kind, columns);
}

/// NOT NULL comes first, in the whole tree; whether that locks the children. Partitions follow their table, so
/// only plain children are visited when the columns have it already.
fn require_not_null<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, columns: &[String], recurse: bool) -> bool {
    let partitioned = root.relation.partition_key.is_some();
    let missing: Vec<&String> = columns.iter().filter(|column| !is_proven_not_null(work.now(root), column)).collect();
    if missing.is_empty() && (partitioned || work.major() >= 18) {
        return false;
    }
    for member in super::column::members(work, root, recurse) {
        for column in columns.iter().filter(|column| member.relation.column(column).is_some() || member == root) {
            not_null::require(work, member, column);
        }
    }
    true
}

/// `ALTER TABLE ONLY` on a parent: its children must be NOT NULL already.
fn only_root<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, columns: &[String]) {
    let partitioned = root.relation.partition_key.is_some();
    for child in &work.resolver.children(root.name) {
        let nullable = columns.iter().find(|column| !is_proven_not_null(child.relation, column));
        let Some(column) = nullable else { continue };
        if work.major() >= 18 {
            let message = format!("column \"{column}\" of table \"{}\" is not marked NOT NULL", child.name.name);
            work.impact.refuse("XX000", message, "Leave out ONLY, or make the children NOT NULL first.");
        } else if partitioned {
            work.impact.refuse("42P16", "constraint must be added to child tables too", "Leave out ONLY.");
        }
    }
}

/// A partition with an equal constraint of its own gives its index; others get one built.
fn build_on_partitions<'a>(
    work: &mut Work<'_, 'a>,
    parent: Rel<'a>,
    kind: &ConstraintKind,
    columns: &[String],
    mode: LockMode,
) {
    for partition in &work.resolver.children(parent.name) {
        work.lock_with(*partition, mode);
        let own = partition.relation.constraints.iter().find_map(|own| {
            let index = work.resolver.get(own.index.as_ref()?)?;
            let facts = index.relation.index.as_ref()?;
            let equal = own.kind == *kind && own.columns == columns && facts.valid && facts.parent.is_none();
            equal.then_some(index)
        });
        if partition.relation.kind == RelationKind::PartitionedTable {
            build_on_partitions(work, *partition, kind, columns, mode);
        }
        match own {
            Some(index) => work.lock_with(index, LockMode::Share),
            None => work.build_index(*partition),
        }
    }
}

fn refuse<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    constraint: &Constraint,
    columns: &[String],
    kind: &ConstraintKind,
    word: &str,
) {
    let table = &root.name.name;
    if root.relation.kind == RelationKind::ForeignTable {
        let message = format!("{word} constraints are not supported on foreign tables");
        work.impact.refuse("0A000", message, "Add the constraint where the rows are.");
    }
    refuse_second_primary(work, root, kind);
    for (position, column) in columns.iter().enumerate() {
        let Some(known) = work.column(root, column) else {
            let message = if *kind == ConstraintKind::PrimaryKey {
                format!("column \"{column}\" of relation \"{table}\" does not exist")
            } else {
                format!("column \"{column}\" named in key does not exist")
            };
            work.impact.refuse("42703", message, "Check the spelling of the column, or add it first.");
            continue;
        };
        if known.generated == Some(Generated::Virtual) {
            let message = format!("{word} constraints on virtual generated columns are not supported");
            work.impact.refuse("0A000", message, "Use a stored generated column.");
        }
        if columns.iter().take(position).any(|before| before == column) {
            let message = format!("column \"{column}\" appears twice in {word} constraint");
            work.impact.refuse("42701", message, "Name each column once.");
        }
    }
    refuse_unsorted_types(work, root, constraint, columns);
    refuse_partition_key(work, root, constraint, columns, word);
    require_free_index_name(work, root, &constraint.conname);
    require_free_name(work, root, &constraint.conname);
}

/// 42704 for a type that the index cannot compare. Extensions bring classes that are not known here.
fn refuse_unsorted_types<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &Constraint, columns: &[String]) {
    let catalog = work.resolver.catalog;
    let overlaps = columns.last().filter(|_| constraint.without_overlaps);
    if let Some(column) = overlaps.and_then(|column| work.column(root, column)) {
        let base = base_type(&column.data_type, catalog);
        let plain = builtin(&base.name, catalog).is_some_and(|known| base.array || !matches!(known.kind, 'r' | 'm'));
        if plain {
            let message = format!("column \"{}\" in WITHOUT OVERLAPS is not a range or multirange type", column.name);
            return work.impact.refuse("42804", message, "Use a column of a range type.");
        }
    }
    if catalog.extensions.keys().any(|extension| extension != "plpgsql") {
        return;
    }
    let method = if constraint.without_overlaps {
        "gist"
    } else if constraint.access_method.is_empty() {
        "btree"
    } else {
        constraint.access_method.as_str()
    };
    let excluded: Vec<String> = constraint.exclusions.iter().filter_map(excluded_column).collect();
    for column in columns.iter().chain(&excluded) {
        let Some(column) = work.column(root, column) else { continue };
        let base = base_type(&column.data_type, catalog);
        let Some(known) = builtin(&base.name, catalog).filter(|_| !base.array) else { continue };
        if default_operator_class(method, known.name, work.major()).is_none() {
            let message =
                format!("data type {} has no default operator class for access method \"{method}\"", base.sql);
            work.impact.refuse("42704", message, "Name an operator class, or use another type or method.");
            return;
        }
    }
}

fn require_free_index_name<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, name: &str) {
    let full = crate::catalog::Name::new(root.name.schema.clone(), name);
    // Drops come first in a statement: the index of a constraint that leaves makes room.
    let leaves = root.relation.constraint(name).is_some() && work.now(root).constraint(name).is_none();
    if !name.is_empty() && !leaves && work.resolver.get(&full).is_some() {
        relation_exists(&mut work.impact, name);
    }
}

fn refuse_second_primary<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, kind: &ConstraintKind) {
    let has = work.now(root).constraints.iter().any(|existing| existing.kind == ConstraintKind::PrimaryKey);
    if has && *kind == ConstraintKind::PrimaryKey {
        let message = format!("multiple primary keys for table \"{}\" are not allowed", root.name.name);
        work.impact.refuse("42P16", message, "Drop the primary key first, or make the new one UNIQUE.");
    }
}

/// The key of a partitioned table must be part of every unique key.
fn refuse_partition_key<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    constraint: &Constraint,
    columns: &[String],
    word: &str,
) {
    let Some(key) = &root.relation.partition_key else { return };
    let exclusion = constraint.contype() == ConstrType::ConstrExclusion;
    if exclusion && work.major() < 17 {
        let message = "exclusion constraints are not supported on partitioned tables";
        work.impact.refuse("0A000", message, "Add the constraint to each partition.");
    }
    let excluded: Vec<String> = constraint.exclusions.iter().filter_map(excluded_column).collect();
    let columns = if exclusion { &excluded } else { columns };
    let word = if exclusion { "unique" } else { word };
    if key.columns.iter().any(|column| !columns.contains(column)) {
        let message = format!("{word} constraint on partitioned table must include all partitioning columns");
        work.impact.refuse("0A000", message, "Add the columns of the partition key to the constraint.");
    }
}

/// The column of one element of EXCLUDE that is compared for being equal.
fn excluded_column(element: &pg_query::protobuf::Node) -> Option<String> {
    let NodeEnum::List(pair) = element.node.as_ref()? else { return None };
    let NodeEnum::IndexElem(key) = pair.items.first()?.node.as_ref()? else { return None };
    (!key.name.is_empty()).then(|| key.name.clone())
}

/// `ADD CONSTRAINT ... USING INDEX`.
pub(super) fn using_index<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &Constraint, recurse: bool) {
    let (kind, _) = kind_of(constraint);
    let full = crate::catalog::Name::new(root.name.schema.clone(), constraint.indexname.clone());
    let Some(index) = work.resolver.get(&full).filter(|index| index.relation.kind.is_index()) else {
        let message = format!("index \"{}\" does not exist", constraint.indexname);
        work.impact.refuse("42704", message, "Build the index first, in the schema of the table.");
        return;
    };
    let Some(facts) = &index.relation.index else { return };
    if let Some((sqlstate, message)) = unusable(work.major(), root, index, facts, constraint) {
        work.impact.refuse(sqlstate, message, "Build a plain unique index for the constraint.");
    }
    if root.relation.partition_key.is_some() {
        let message = "ALTER TABLE / ADD CONSTRAINT USING INDEX is not supported on partitioned tables";
        work.impact.refuse("0A000", message, "Add the constraint to each partition, then to the table.");
    }
    refuse_second_primary(work, root, &kind);
    require_free_name(work, root, &constraint.conname);
    let columns: Vec<String> = facts.keys.iter().filter_map(|key| key.column.clone()).collect();
    if kind == ConstraintKind::PrimaryKey {
        refuse_pending_not_null(work, root, &columns);
        require_not_null(work, root, &columns, recurse);
    }
    // It takes the name of the constraint.
    if !constraint.conname.is_empty() && constraint.conname != constraint.indexname {
        require_free_index_name(work, root, &constraint.conname);
        work.lock_with(index, LockMode::ShareUpdateExclusive);
    }
    remember(work, root, &constraint.conname, kind, &columns);
}

/// From 18 on a not-null constraint that is not valid, or not inherited, keeps the primary key away.
fn refuse_pending_not_null<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, columns: &[String]) {
    let pending = work.now(root).constraints.iter().find(|existing| {
        existing.kind == ConstraintKind::NotNull
            && (!existing.validated || existing.no_inherit)
            && existing.columns.iter().any(|column| columns.contains(column))
    });
    if let Some(pending) = pending {
        let message =
            format!("cannot create primary key: not-null constraint \"{}\" is NOT VALID or NO INHERIT", pending.name);
        work.impact.refuse("55000", message, "Validate it, or let it be inherited, with ALTER TABLE first.");
    }
}

/// Why an index cannot stand behind a constraint (`transformIndexConstraint` in parse_utilcmd.c).
fn unusable(
    major: i32,
    root: Rel<'_>,
    index: Rel<'_>,
    facts: &Index,
    constraint: &Constraint,
) -> Option<(&'static str, String)> {
    let name = &index.name.name;
    if facts.constraint.is_some() {
        return Some(("55000", format!("index \"{name}\" is already associated with a constraint")));
    }
    if facts.table != *root.name {
        return Some(("55000", format!("index \"{name}\" does not belong to table \"{}\"", root.name.name)));
    }
    if !facts.valid {
        return Some(("55000", format!("index \"{name}\" is not valid")));
    }
    if !facts.unique {
        return Some(("42809", format!("\"{name}\" is not a unique index")));
    }
    if facts.keys.iter().any(|key| key.expression.is_some()) {
        return Some(("42809", format!("index \"{name}\" contains expressions")));
    }
    if facts.predicate.is_some() {
        return Some(("42809", format!("\"{name}\" is a partial index")));
    }
    if !facts.immediate && !constraint.deferrable {
        return Some(("42809", format!("\"{name}\" is a deferrable index")));
    }
    // The server looks since 16 (`index_check_primary_key`).
    if facts.nulls_not_distinct && major >= 16 && constraint.contype() == ConstrType::ConstrPrimary {
        return Some(("42P16", "primary keys cannot use NULLS NOT DISTINCT indexes".to_owned()));
    }
    let odd = facts
        .keys
        .iter()
        .position(|key| key.descending || key.nulls_first || !key.default_class || has_other_collation(root, key));
    odd.map(|at| ("42809", format!("index \"{name}\" column number {} does not have default sorting behavior", at + 1)))
}

/// Whether the key sorts by another collation than its column.
fn has_other_collation(root: Rel<'_>, key: &crate::catalog::IndexKey) -> bool {
    let own = key.column.as_deref().and_then(|name| root.relation.column(name)).map(|column| &column.collation);
    match own {
        Some(Some(collation)) => !key.collation.is_empty() && key.collation != *collation,
        _ => !matches!(
            key.collation.as_str(),
            "" | "pg_catalog.default" | "pg_catalog.\"default\"" | "default" | "pg_catalog.C" | "pg_catalog.\"C\""
        ),
    }
}
