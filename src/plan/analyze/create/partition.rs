//! CREATE TABLE ... PARTITION OF.

use pg_query::NodeEnum;
use pg_query::protobuf::CreateStmt;

use crate::catalog::{ConstraintKind, PartitionKey, RelationKind};
use crate::plan::analyze::query::{Bound, bound_of, excluded_by_checks};
use crate::plan::analyze::refusal::require_relation;
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::{Impact, Resolver, effects};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// AccessExclusive on the parent and on its default partition, which is read unless a check of it rules the new
/// bound out; ShareUpdateExclusive on the parent's indexes; ShareRowExclusive on tables that the parent's foreign
/// keys reference, and on those that reference the parent (AccessShare before 15).
pub(super) fn partition_of(impact: &mut Impact, statement: &CreateStmt, resolver: &Resolver<'_>) {
    let Some(NodeEnum::RangeVar(name)) = statement.inh_relations.first().and_then(|node| node.node.as_ref()) else {
        return;
    };
    let Some(parent) = require_relation(impact, resolver, name, false) else { return };
    impact.lock(parent.name.clone(), LockMode::AccessExclusive);
    let Some(key) = &parent.relation.partition_key else {
        return impact.refuse(
            "42P17",
            format!("\"{}\" is not partitioned", parent.name.name),
            "Name a partitioned table.",
        );
    };
    impact.hazard(
        HazardId::BlocksReads,
        Some(parent.name),
        "Nobody can use the partitioned table until the transaction ends; CREATE TABLE ... (LIKE ...) and ALTER TABLE \
         ... ATTACH PARTITION block less.",
    );
    let Some(spec) = &statement.partbound else { return };
    let bound = Bound::new(spec);
    if !fits(impact, statement, key, parent) {
        return;
    }
    clashes(impact, resolver, statement, parent, key, &bound);
    for index in resolver.indexes(parent.name) {
        impact.lock(index.name.clone(), LockMode::ShareUpdateExclusive);
    }
    for (constraint, referenced) in resolver.references(parent) {
        if matches!(constraint.kind, ConstraintKind::ForeignKey { .. }) {
            for member in resolver.tree(referenced) {
                impact.lock(member.name.clone(), LockMode::ShareRowExclusive);
            }
        }
    }
    let mode = if resolver.major() >= 15 { LockMode::ShareRowExclusive } else { LockMode::AccessShare };
    for foreign_key in resolver.referencing(parent.name) {
        impact.lock(foreign_key.table.name.clone(), mode);
    }
    if let Some(default) = key.default_partition.as_ref().and_then(|default| resolver.get(default)) {
        read_default(impact, resolver, default, key, &bound);
    }
}

/// Rows of the default partition that the new one would take are looked for.
fn read_default<'a>(impact: &mut Impact, resolver: &Resolver<'a>, default: Rel<'a>, key: &PartitionKey, bound: &Bound) {
    for member in resolver.tree(default) {
        impact.lock(member.name.clone(), LockMode::AccessExclusive);
    }
    let excluded = |rel: Rel<'_>| match key.columns.as_slice() {
        [column] => excluded_by_checks(rel, column, bound),
        _ => false,
    };
    if excluded(default) {
        return;
    }
    for leaf in resolver.leaves(default) {
        if !excluded(leaf) {
            effects::scan(impact, leaf);
            if !leaf.relation.stats.empty {
                impact.hazard(
                    HazardId::TableScan,
                    Some(leaf.name),
                    "The default partition is read in full while nobody can use it; a validated CHECK that rules the new \
                     bound out saves that.",
                );
            }
        }
    }
}

/// 42P16 and 42P17 for a bound of another strategy than the key's.
fn fits(impact: &mut Impact, statement: &CreateStmt, key: &PartitionKey, parent: Rel<'_>) -> bool {
    let Some(spec) = &statement.partbound else { return true };
    if spec.is_default {
        if key.strategy == 'h' {
            impact.refuse(
                "42P17",
                "a hash-partitioned table may not have a default partition",
                "Create partitions for all remainders instead.",
            );
            return false;
        }
        return true;
    }
    let strategy = key.strategy.to_string();
    if spec.strategy == strategy {
        return true;
    }
    let word = match key.strategy {
        'r' => "range",
        'l' => "list",
        _ => "hash",
    };
    impact.refuse(
        "42P16",
        format!("invalid bound specification for a {word} partition of \"{}\"", parent.name.name),
        "Write the bound for the way the table is partitioned: FROM ... TO, IN, or WITH (modulus, remainder).",
    );
    false
}

/// 42P17 for a second default partition and for a bound that overlaps another.
fn clashes<'a>(
    impact: &mut Impact,
    resolver: &Resolver<'a>,
    statement: &CreateStmt,
    parent: Rel<'a>,
    key: &PartitionKey,
    bound: &Bound,
) {
    let new = statement.relation.as_ref().map_or("", |name| name.relname.as_str());
    if *bound == Bound::Default {
        if let Some(default) = &key.default_partition {
            impact.refuse(
                "42P17",
                format!("partition \"{new}\" conflicts with existing default partition \"{}\"", default.name),
                "A partitioned table has one default partition.",
            );
        }
        return;
    }
    let type_name = match key.columns.as_slice() {
        [column] => parent.relation.column(column).map(|column| column.data_type.name.name.clone()),
        _ => None,
    };
    let Some(type_name) = type_name else { return };
    for child in resolver.children(parent.name) {
        if child.relation.kind == RelationKind::ForeignTable {
            continue;
        }
        if bound.overlaps(&bound_of(child.relation), &type_name) == Some(true) {
            impact.refuse(
                "42P17",
                format!("partition \"{new}\" would overlap partition \"{}\"", child.name.name),
                "Choose a bound that no other partition has.",
            );
        }
    }
}
