//! What the constraints of a new table say about its own columns, and their names.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, ConstrType, Constraint, CreateStmt, RangeVar};

use super::constraints::{all, of};
use crate::catalog::{Column, Generated, Relation, RelationKind, builtin, types};
use crate::plan::analyze::alter_table::action_on_generated;
use crate::plan::analyze::expression::{self, Place};
use crate::plan::analyze::names::strings;
use crate::plan::analyze::refusal::relation_exists;
use crate::plan::analyze::{Impact, Resolver};

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
pub(super) fn expression(
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
        && let Some(problem) = expression::check(expression, relation, place)
            .err()
            .or_else(|| expression::impossible_cast(expression, relation, resolver))
    {
        impact.refuse(problem.sqlstate, problem.message, problem.hint);
    }
    if place == Place::Generated
        && let Some(expression) = constraint.raw_expr.as_deref()
        && expression::is_mutable(expression, own, resolver)
    {
        let message = "generation expression is not immutable";
        impact.refuse("42P17", message, "Use immutable functions only, or a trigger.");
    }
}

/// 42710 for a name that another constraint of the table has; two indexes of one name are 42P07.
pub(super) fn named<'n>(
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
pub(super) fn references_itself(
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
pub(super) fn key_columns(
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
pub(super) fn referencing_columns(
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
