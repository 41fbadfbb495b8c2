//! Constraints of a new table: foreign keys lock what they reference, unique ones need a free name.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, ConstrType, Constraint, CreateStmt, Node, RangeVar};

use crate::catalog::{Column, ConstraintKind, Generated, Name, Persistence, Relation, RelationKind, builtin, types};
use crate::plan::analyze::alter_table::action_on_generated;
use crate::plan::analyze::expression::{self, Place};
use crate::plan::analyze::names::strings;
use crate::plan::analyze::refusal::{missing_column, relation_exists, require_relation};
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::since::{self, Feature};
use crate::plan::analyze::volatile::evaluate;
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Every constraint of the statement with the column it stands at, if it does.
fn all(statement: &CreateStmt) -> Vec<(&Constraint, Option<&ColumnDef>)> {
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

fn of<'n>(nodes: &'n [Node], column: Option<&'n ColumnDef>) -> Vec<(&'n Constraint, Option<&'n ColumnDef>)> {
    let constraints = nodes.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::Constraint(constraint)) => Some((constraint.as_ref(), column)),
        _ => None,
    });
    constraints.collect()
}

pub(super) fn check(impact: &mut Impact, statement: &CreateStmt, resolver: &Resolver<'_>) {
    let Some(table) = &statement.relation else { return };
    let mut primary_keys = 0;
    let own = own_columns(statement, resolver);
    let mut names = BTreeMap::new();
    for (constraint, column) in all(statement) {
        let kind = ConstrType::try_from(constraint.contype).unwrap_or_default();
        features(impact, constraint, column, kind, resolver);
        expression(impact, constraint, kind, own.as_ref(), resolver);
        named(impact, constraint, kind, table, &mut names, resolver);
        match kind {
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion => {
                primary_keys += usize::from(kind == ConstrType::ConstrPrimary);
                named_index(impact, constraint, table, resolver);
                key_columns(impact, constraint, kind, column, own.as_ref(), resolver);
                if kind != ConstrType::ConstrExclusion {
                    covers_partition_key(impact, statement, constraint, column);
                }
            }
            ConstrType::ConstrForeign => {
                referencing_columns(impact, constraint, column, own.as_ref());
                references_itself(impact, statement, constraint, own.as_ref(), resolver);
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

/// The table with the columns of the statement; none when it gets others from elsewhere.
pub(super) fn own_columns(statement: &CreateStmt, resolver: &Resolver<'_>) -> Option<Relation> {
    let all_here = statement.inh_relations.is_empty()
        && statement.of_typename.is_none()
        && statement.partbound.is_none()
        && !statement.table_elts.iter().any(|node| matches!(node.node, Some(NodeEnum::TableLikeClause(_))));
    let mut relation = Relation::new(RelationKind::Table, "");
    for node in statement.table_elts.iter().filter(|_| all_here) {
        let Some(NodeEnum::ColumnDef(column)) = &node.node else { continue };
        let data_type = types::resolve_type(column.type_name.as_ref()?, resolver.catalog)
            .or_else(|| types::parse_type("integer", resolver.catalog))?;
        let mut own = Column::new(column.colname.clone(), data_type);
        let generated = of(&column.constraints, None)
            .into_iter()
            .any(|(constraint, _)| ConstrType::try_from(constraint.contype) == Ok(ConstrType::ConstrGenerated));
        let is_virtual =
            of(&column.constraints, None).into_iter().any(|(constraint, _)| constraint.generated_kind == "v");
        let kind = if is_virtual { Generated::Virtual } else { Generated::Stored };
        own.generated = generated.then_some(kind);
        relation.columns.push(own);
    }
    all_here.then_some(relation)
}

/// Defaults, checks and generation expressions: what they mention and may hold.
fn expression(
    impact: &mut Impact,
    constraint: &Constraint,
    kind: ConstrType,
    own: Option<&Relation>,
    resolver: &Resolver<'_>,
) {
    let place = match kind {
        ConstrType::ConstrDefault => Place::Default,
        ConstrType::ConstrCheck => Place::Check,
        ConstrType::ConstrGenerated => Place::Generated,
        _ => return,
    };
    let nothing = Relation::new(RelationKind::Table, "");
    let relation = if place == Place::Default { Some(&nothing) } else { own };
    if let (Some(expression), Some(relation)) = (constraint.raw_expr.as_deref(), relation)
        && let Err(problem) = expression::check(expression, relation, place)
    {
        impact.refuse(problem.sqlstate, problem.message, problem.hint);
    }
    if place == Place::Generated
        && let Some(expression) = constraint.raw_expr.as_deref()
        && evaluate(expression, resolver).mutable
    {
        let message = "generation expression is not immutable";
        impact.refuse("42P17", message, "Use immutable functions only, or a trigger.");
    }
}

/// 42710 for a name that another constraint of the table has; two indexes of one name are 42P07.
fn named<'n>(
    impact: &mut Impact,
    constraint: &'n Constraint,
    kind: ConstrType,
    table: &RangeVar,
    names: &mut BTreeMap<&'n str, bool>,
    resolver: &Resolver<'_>,
) {
    let is_index = matches!(kind, ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion);
    // Before 18 the names of NOT NULL are read and forgotten.
    let counts = is_index
        || matches!(kind, ConstrType::ConstrCheck | ConstrType::ConstrForeign)
        || (kind == ConstrType::ConstrNotnull && resolver.major() >= 18);
    let name = constraint.conname.as_str();
    if name.is_empty() || !counts {
        return;
    }
    match names.insert(name, is_index) {
        Some(true) if is_index => relation_exists(impact, name),
        Some(_) => {
            let message = format!("constraint \"{name}\" for relation \"{}\" already exists", table.relname);
            impact.refuse("42710", message, "Give each constraint its own name.");
        }
        None => {}
    }
}

/// A foreign key to the new table itself needs a key in the same statement.
fn references_itself(
    impact: &mut Impact,
    statement: &CreateStmt,
    constraint: &Constraint,
    own: Option<&Relation>,
    resolver: &Resolver<'_>,
) {
    let (Some(table), Some(referenced), Some(_)) = (&statement.relation, &constraint.pktable, own) else { return };
    let created = resolver.creation_name(&table.schemaname, &table.relname);
    let itself = resolver.creation_name(&referenced.schemaname, &referenced.relname) == created;
    if !itself || resolver.get(&created).is_some() || constraint.fk_with_period {
        return;
    }
    let keys: Vec<(bool, Vec<&str>)> = all(statement)
        .into_iter()
        .filter_map(|(key, column)| {
            let primary = key.contype() == ConstrType::ConstrPrimary;
            let is_key = primary || key.contype() == ConstrType::ConstrUnique;
            let columns = column.map_or_else(|| strings(&key.keys), |column| vec![column.colname.as_str()]);
            is_key.then_some((primary, columns))
        })
        .collect();
    let wanted = strings(&constraint.pk_attrs);
    if wanted.is_empty() {
        if !keys.iter().any(|(primary, _)| *primary) {
            let message = format!("there is no primary key for referenced table \"{}\"", table.relname);
            impact.refuse("42704", message, "Give the table a primary key, or name the referenced columns.");
        }
        return;
    }
    let same = |columns: &[&str]| columns.len() == wanted.len() && wanted.iter().all(|name| columns.contains(name));
    if !keys.iter().any(|(_, columns)| same(columns)) {
        let message =
            format!("there is no unique constraint matching given keys for referenced table \"{}\"", table.relname);
        impact.refuse("42830", message, "Make the referenced columns unique.");
    }
}

/// The columns of a unique or primary key: they exist, each is named once, and a btree can order them.
fn key_columns(
    impact: &mut Impact,
    constraint: &Constraint,
    kind: ConstrType,
    column: Option<&ColumnDef>,
    own: Option<&Relation>,
    resolver: &Resolver<'_>,
) {
    let Some(own) = own.filter(|_| kind != ConstrType::ConstrExclusion) else { return };
    let keys = match column {
        Some(column) => vec![column.colname.as_str()],
        None => strings(&constraint.keys),
    };
    let mut seen = BTreeSet::new();
    for key in keys {
        let Some(column) = own.column(key) else {
            let message = format!("column \"{key}\" named in key does not exist");
            return impact.refuse("42703", message, "Check the spelling of the column, or add it.");
        };
        if !seen.insert(key) {
            let what = if kind == ConstrType::ConstrPrimary { "primary key" } else { "unique" };
            let message = format!("column \"{key}\" appears twice in {what} constraint");
            return impact.refuse("42701", message, "Name each column once.");
        }
        let base = types::base_type(&column.data_type, resolver.catalog);
        let known = base.name.schema == "pg_catalog" && !base.array && !constraint.without_overlaps;
        if known && builtin::default_operator_class("btree", &base.name.name, resolver.major()).is_none() {
            let message = format!("data type {} has no default operator class for access method \"btree\"", base.sql);
            return impact.refuse("42704", message, "Use a column of a type that has an order.");
        }
    }
}

/// The table's own side of a foreign key.
fn referencing_columns(
    impact: &mut Impact,
    constraint: &Constraint,
    column: Option<&ColumnDef>,
    own: Option<&Relation>,
) {
    let Some(own) = own else { return };
    let columns = match column {
        Some(column) => vec![column.colname.as_str()],
        None => strings(&constraint.fk_attrs),
    };
    for name in columns {
        match own.column(name) {
            None => {
                let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
                impact.refuse("42703", message, "Check the spelling of the column, or add it.");
            }
            Some(column) => {
                if let Some(problem) = action_on_generated(constraint, column.generated) {
                    impact.refuse(problem.sqlstate, problem.message, problem.hint);
                }
            }
        }
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
    let target = referenced.relation.column(target).map(|column| column.data_type.clone());
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
