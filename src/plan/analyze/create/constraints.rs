//! Constraints of a new table: foreign keys lock what they reference, unique ones need a free name.

use std::collections::BTreeMap;

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, ConstrType, Constraint, CreateStmt, Node, RangeVar};

use super::own;
use crate::catalog::{ConstraintKind, Name, Persistence, builtin, types};
use crate::plan::analyze::names::strings;
use crate::plan::analyze::refusal::{missing_column, relation_exists, require_relation};
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::since::{self, Feature};
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Every constraint of the statement with the column it stands at, if it does.
pub(super) fn all(statement: &CreateStmt) -> Vec<(&Constraint, Option<&ColumnDef>)> {
    let mut found = Vec::new();
    for element in statement.table_elts.iter().filter_map(|node| node.node.as_ref()) {
        match element {
            NodeEnum::Constraint(constraint) => found.push((constraint.as_ref(), None)),
            NodeEnum::ColumnDef(column) => found.extend(of(&column.constraints, Some(column))),
            _ => {}
        }
    }
    found.extend(of(&statement.constraints, None));
    found
}

/// Constraints of a list, with the column they stand at.
pub(super) fn of<'n>(nodes: &'n [Node], column: Option<&'n ColumnDef>) -> Vec<(&'n Constraint, Option<&'n ColumnDef>)> {
    let constraints = nodes.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::Constraint(constraint)) => Some((constraint.as_ref(), column)),
        _ => None,
    });
    constraints.collect()
}

pub(super) fn check(impact: &mut Impact, statement: &CreateStmt, resolver: &Resolver<'_>) {
    let Some(table) = &statement.relation else { return };
    let mut primary_keys = 0;
    let own = own::own_columns(statement, resolver);
    let mut names = BTreeMap::new();
    for (constraint, column) in all(statement) {
        let kind = ConstrType::try_from(constraint.contype).unwrap_or_default();
        features(impact, constraint, column, kind, resolver);
        own::expression(impact, constraint, kind, own.as_ref(), resolver);
        own::named(impact, constraint, kind, table, &mut names, resolver);
        match kind {
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion => {
                primary_keys += usize::from(kind == ConstrType::ConstrPrimary);
                named_index(impact, constraint, table, resolver);
                own::key_columns(impact, constraint, kind, column, own.as_ref(), resolver);
                if kind != ConstrType::ConstrExclusion {
                    covers_partition_key(impact, statement, constraint, column);
                }
            }
            ConstrType::ConstrForeign => {
                own::referencing_columns(impact, constraint, column, own.as_ref());
                own::references_itself(impact, statement, constraint, own.as_ref(), resolver);
                foreign_key(impact, statement, constraint, column, table, resolver);
            }
            _ => {}
        }
    }
    if primary_keys > 1 {
        impact.refuse(
            "42P16",
            format!("multiple primary keys for table \"{}\" are not allowed", table.relname),
            "Keep one; make the others UNIQUE.",
        );
    }
}

fn features(
    impact: &mut Impact,
    constraint: &Constraint,
    column: Option<&ColumnDef>,
    kind: ConstrType,
    resolver: &Resolver<'_>,
) {
    if constraint.nulls_not_distinct {
        since::require(impact, resolver, Feature::NullsNotDistinct);
    }
    if constraint.without_overlaps || constraint.fk_with_period || constraint.pk_with_period {
        since::require(impact, resolver, Feature::WithoutOverlaps);
    }
    if !constraint.fk_del_set_cols.is_empty() {
        since::require(impact, resolver, Feature::ForeignKeySetColumns);
    }
    match kind {
        ConstrType::ConstrAttrNotEnforced | ConstrType::ConstrAttrEnforced => {
            since::require(impact, resolver, Feature::NotEnforced);
        }
        ConstrType::ConstrCheck | ConstrType::ConstrForeign if !constraint.is_enforced => {
            since::require(impact, resolver, Feature::NotEnforced);
        }
        ConstrType::ConstrNotnull if column.is_none() => since::require(impact, resolver, Feature::NamedNotNull),
        ConstrType::ConstrGenerated if constraint.generated_kind == "v" => {
            since::require(impact, resolver, Feature::VirtualColumn);
        }
        _ => {}
    }
}

/// The index of a named constraint has the constraint's name.
fn named_index(impact: &mut Impact, constraint: &Constraint, table: &RangeVar, resolver: &Resolver<'_>) {
    if constraint.conname.is_empty() || table.relpersistence == "t" {
        return;
    }
    let index = resolver.creation_name(&table.schemaname, &constraint.conname);
    if resolver.get(&index).is_some() {
        relation_exists(impact, &index.name);
    }
}

/// 0A000: a unique constraint of a partitioned table contains the partition key.
fn covers_partition_key(
    impact: &mut Impact,
    statement: &CreateStmt,
    constraint: &Constraint,
    column: Option<&ColumnDef>,
) {
    let Some(spec) = &statement.partspec else { return };
    let keys: Vec<&str> = match column {
        Some(column) => vec![column.colname.as_str()],
        None => strings(&constraint.keys),
    };
    for node in &spec.part_params {
        if let Some(NodeEnum::PartitionElem(part)) = &node.node
            && !keys.contains(&part.name.as_str())
        {
            impact.refuse(
                "0A000",
                "unique constraint on partitioned table must include all partitioning columns",
                "Add the columns of the partition key to the constraint.",
            );
        }
    }
}

/// ShareRowExclusive on the referenced table and, when it is partitioned, everything below it.
fn foreign_key(
    impact: &mut Impact,
    statement: &CreateStmt,
    constraint: &Constraint,
    column: Option<&ColumnDef>,
    table: &RangeVar,
    resolver: &Resolver<'_>,
) {
    let Some(name) = &constraint.pktable else { return };
    let created = resolver.creation_name(&table.schemaname, &table.relname);
    let referenced_name = resolver.creation_name(&name.schemaname, &name.relname);
    if created == referenced_name && resolver.get(&created).is_none() {
        return;
    }
    let Some(referenced) = require_relation(impact, resolver, name, false) else { return };
    if !referenced.relation.kind.is_table() {
        return impact.refuse(
            "42809",
            format!("referenced relation \"{}\" is not a table", referenced.name.name),
            "A foreign key references a table or a partitioned table.",
        );
    }
    for member in resolver.tree(referenced) {
        impact.lock(member.name.clone(), LockMode::ShareRowExclusive);
    }
    impact.hazard(
        HazardId::HiddenLock,
        Some(referenced.name),
        "Writes to the referenced table wait until the transaction ends.",
    );
    persistence(impact, table, referenced);
    columns(impact, statement, constraint, column, referenced, resolver);
}

fn persistence(impact: &mut Impact, table: &RangeVar, referenced: Rel<'_>) {
    let (word, allowed) = match table.relpersistence.as_str() {
        "t" => ("temporary", referenced.relation.persistence == Persistence::Temporary),
        "u" => ("unlogged", referenced.relation.persistence != Persistence::Temporary),
        _ => ("permanent", referenced.relation.persistence == Persistence::Permanent),
    };
    if !allowed {
        impact.refuse(
            "42P16",
            format!("constraints on {word} tables may not reference the table \"{}\"", referenced.name.name),
            "Both tables must be of a kind that lasts alike.",
        );
    }
}

fn columns<'a>(
    impact: &mut Impact,
    statement: &CreateStmt,
    constraint: &Constraint,
    column: Option<&ColumnDef>,
    referenced: Rel<'a>,
    resolver: &Resolver<'a>,
) {
    let own: Vec<&str> = match column {
        Some(column) => vec![column.colname.as_str()],
        None => strings(&constraint.fk_attrs),
    };
    let mut target: Vec<String> = strings(&constraint.pk_attrs).into_iter().map(str::to_owned).collect();
    for column in &target {
        if referenced.relation.column(column).is_none() {
            return missing_column(impact, column, referenced.name);
        }
    }
    if target.is_empty() {
        let key = referenced.relation.constraints.iter().find(|c| matches!(c.kind, ConstraintKind::PrimaryKey));
        let Some(key) = key else {
            return impact.refuse(
                "42704",
                format!("there is no primary key for referenced table \"{}\"", referenced.name.name),
                "Name the referenced columns, or give the table a primary key.",
            );
        };
        target.clone_from(&key.columns);
    } else if !has_unique(resolver, referenced, &target) {
        return impact.refuse(
            "42830",
            format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                referenced.name.name
            ),
            "Make the referenced columns unique first.",
        );
    }
    if own.len() != target.len() {
        return impact.refuse(
            "42830",
            "number of referencing and referenced columns for foreign key disagree",
            "Name as many columns on both sides.",
        );
    }
    for (own, target) in own.iter().zip(&target) {
        if !comparable(statement, own, referenced, target, resolver) {
            impact.refuse(
                "42804",
                format!(
                    "foreign key constraint cannot be implemented: columns \"{own}\" and \"{target}\" are of \
                     incompatible types"
                ),
                "Give both columns the same type.",
            );
        }
    }
}

/// Whether an immediate unique index has exactly these columns, in any order.
fn has_unique<'a>(resolver: &Resolver<'a>, referenced: Rel<'a>, columns: &[String]) -> bool {
    resolver.indexes(referenced.name).iter().filter_map(|index| index.relation.index.as_ref()).any(|index| {
        index.unique
            && index.immediate
            && index.predicate.is_none()
            && index.keys.len() == columns.len()
            && index.keys.iter().all(|key| key.column.as_ref().is_some_and(|column| columns.contains(column)))
    })
}

/// Whether built-in types of the two columns are of one category, so that an operator may compare them. Others
/// are taken to be comparable.
fn comparable<'a>(
    statement: &CreateStmt,
    own: &str,
    referenced: Rel<'a>,
    target: &str,
    resolver: &Resolver<'a>,
) -> bool {
    let definition = statement.table_elts.iter().find_map(|node| match &node.node {
        Some(NodeEnum::ColumnDef(column)) if column.colname == own => column.type_name.as_ref(),
        _ => None,
    });
    let own = definition.and_then(|name| types::resolve_type(name, resolver.catalog));
    let target = referenced.relation.column(target).map(|column| (*column.data_type).clone());
    let (Some(own), Some(target)) = (own, target) else { return true };
    let category = |name: &Name| {
        (name.schema == "pg_catalog")
            .then(|| builtin::type_by_name(&name.name, resolver.major()).map(|t| t.category))
            .flatten()
    };
    match (category(&own.name), category(&target.name)) {
        (Some(own_category), Some(target_category)) => own.array == target.array && own_category == target_category,
        _ => true,
    }
}
