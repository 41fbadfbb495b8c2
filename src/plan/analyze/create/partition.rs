//! CREATE TABLE ... PARTITION OF.

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateStmt, PartitionStrategy};

use crate::catalog::{ConstraintKind, PartitionKey, Persistence, Relation, builtin, types};
use crate::plan::analyze::alter_table::refuse_bound;
use crate::plan::analyze::expression::{self, Place};
use crate::plan::analyze::objects::is_system_column;
use crate::plan::analyze::query::{Bound, excluded_by_checks};
use crate::plan::analyze::refusal::require_relation;
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::{Impact, Resolver, effects};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// `PARTITION BY`: what cannot be a key.
pub(super) fn key(impact: &mut Impact, statement: &CreateStmt, own: Option<&Relation>, resolver: &Resolver<'_>) {
    let Some(spec) = &statement.partspec else { return };
    if spec.strategy() == PartitionStrategy::List && spec.part_params.len() > 1 {
        let message = "cannot use \"list\" partition strategy with more than one column";
        impact.refuse("42P17", message, "Partition by range, or by one column.");
    }
    if resolver.major() >= 16 && !statement.options.is_empty() {
        let message = "cannot specify storage parameters for a partitioned table";
        impact.refuse("42809", message, "Set them for each partition.");
    }
    let hash = spec.strategy() == PartitionStrategy::Hash;
    for node in &spec.part_params {
        let Some(NodeEnum::PartitionElem(part)) = &node.node else { continue };
        if let Some(expression) = part.expr.as_deref() {
            if let Some(own) = own
                && let Err(problem) = expression::check(expression, own, Place::PartitionKey)
            {
                impact.refuse(problem.sqlstate, problem.message, problem.hint);
            }
            if expression::is_mutable(expression, own, resolver) {
                let message = "functions in partition key expression must be marked IMMUTABLE";
                impact.refuse("42P17", message, "Use immutable functions only.");
            }
            continue;
        }
        let Some(own) = own.filter(|_| !is_system_column(&part.name)) else { continue };
        let Some(column) = own.column(&part.name) else {
            let message = format!("column \"{}\" named in partition key does not exist", part.name);
            impact.refuse("42703", message, "Check the spelling of the column, or add it.");
            continue;
        };
        if column.generated.is_some() {
            impact.refuse("42P17", "cannot use generated column in partition key", "Use a plain column.");
        }
        let base = types::base_type(&column.data_type, resolver.catalog);
        let method = if hash { "hash" } else { "btree" };
        let known = base.name.schema == "pg_catalog" && !base.array && part.opclass.is_empty();
        if known && builtin::default_operator_class(method, &base.name.name, resolver.major()).is_none() {
            let message =
                format!("data type {} has no default operator class for access method \"{method}\"", base.sql);
            impact.refuse("42704", message, "Use a column of another type.");
        }
    }
}

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
    let temporary = statement.relation.as_ref().is_some_and(|name| name.relpersistence == "t");
    if temporary != (parent.relation.persistence == Persistence::Temporary) {
        let [own, other] = if temporary { ["temporary", "permanent"] } else { ["permanent", "temporary"] };
        let message =
            format!("cannot create a {own} relation as partition of {other} relation \"{}\"", parent.name.name);
        impact.refuse("42809", message, "Both must last alike.");
    }
    for node in &statement.table_elts {
        if let Some(NodeEnum::ColumnDef(column)) = &node.node
            && parent.relation.column(&column.colname).is_none()
        {
            let message = format!("column \"{}\" does not exist", column.colname);
            impact.refuse("42703", message, "A partition has the columns of its table; leave the column out.");
        }
    }
    let Some(spec) = &statement.partbound else { return };
    let bound = Bound::new(spec);
    if !fits(impact, statement, key, parent) {
        return;
    }
    let own = statement.relation.as_ref().map_or("", |name| name.relname.as_str());
    refuse_bound(impact, resolver, parent, own, spec);
    for index in &resolver.indexes(parent.name) {
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
    for foreign_key in &resolver.referencing(parent.name) {
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
