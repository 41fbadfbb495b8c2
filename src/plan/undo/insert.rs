//! Rows that the author gives with their keys: the way back deletes just these.
//!
//! Only where nothing else comes and goes with them: no rule or trigger sees them go, one that sees them come only sets
//! columns beside the key, and each row says its whole key in constants. A row that another refers to by then stays.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, InsertStmt, Node, OverridingKind, SelectStmt, a_const};

use super::Done;
use crate::catalog::types::resolve_type;
use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, DataType, Index, Name, Relation, RelationKind, TypeKind,
};
use crate::plan::analyze::{Lookup, Resolver, Target, analyze, columns_set};
use crate::plan::lock::LockMode;
use crate::sql::{Statement, quote};

/// The way back from an `INSERT`.
pub(super) struct Deletion {
    /// In their order.
    pub statements: Vec<String>,
    /// What may stay, for people.
    pub stays: Option<String>,
}

/// The statements that delete what the `INSERT` put there; `None` where that cannot be told.
pub(super) fn deletion(done: &Done<'_>, statement: &Statement) -> Option<Deletion> {
    let NodeEnum::InsertStmt(insert) = &statement.node else { return None };
    let rows = rows(insert)?;
    let Lookup::Found(found) = Resolver::new(done.before).lookup(insert.relation.as_ref()?) else { return None };
    let name = found.name;
    let (before, after) = (found.relation, done.after.relations.get(name)?);
    if done.created.relation(name) {
        return None;
    }
    let mut set = set_beside(done.before, before)?;
    set.extend(set_beside(done.after, after)?);
    let impact = analyze(statement, done.before);
    // A sequence that has gone on is not turned back by any undo.
    let other = |target: &Target| match target {
        Target::Any => true,
        Target::Relation(relation) => {
            relation != name
                && done.before.relations.get(relation).is_none_or(|found| found.kind != RelationKind::Sequence)
        }
    };
    let writes_elsewhere = impact.locks.iter().any(|(target, mode)| *mode >= LockMode::RowExclusive && other(target));
    if impact.refused.is_some() || writes_elsewhere {
        return None;
    }
    let given = given(insert, before)?;
    let same = |column: &Column| {
        after.column(&column.name).is_some_and(|other| other.data_type == column.data_type)
            && !set.contains(&column.name)
            && literal_type(&column.data_type, done)
    };
    let constraints = before.constraints.iter().filter(|constraint| after.constraints.contains(constraint));
    let indexes = done.before.relations.referring_to(name).filter_map(|(index, relation)| {
        let there = done.after.relations.get(index).is_some_and(|other| other.index == relation.index);
        relation.index.as_deref().filter(|index| there && index.table == *name)
    });
    // The index may tell values apart that the comparison of the column does not.
    let plain = |key: &Vec<&Column>| key.iter().all(|column| column.collation.is_none());
    let keys = constraints.filter_map(key_of_constraint).filter_map(|key| never_null(&key, before));
    let more = indexes.filter_map(key_of_index).filter_map(|key| never_null(&key, before)).filter(plain);
    keys.chain(more).find_map(|key| {
        let key: Option<Vec<(usize, &Column)>> =
            key.into_iter().map(|column| Some((given.iter().position(|name| *name == column.name)?, column))).collect();
        let key = key.filter(|key| key.iter().all(|(_, column)| same(column)))?;
        let value = |row: &[Node], at: usize, column: &Column| constant(row.get(at)?, &column.data_type, done.before);
        let values = |row: &&[Node]| key.iter().map(|(at, column)| value(row, *at, column)).collect::<Option<Vec<_>>>();
        let rows: Option<Vec<String>> = rows.iter().map(|row| Some(listed(&values(row)?))).collect();
        let columns: Vec<String> = key.iter().map(|(_, column)| quote::ident(&column.name)).collect();
        let those = format!("{} IN ({})", listed(&columns), rows?.join(", "));
        let unused = unused(done.after, name)?;
        if unused.is_empty() {
            let statements = vec![format!("DELETE FROM ONLY {name} WHERE {those}")];
            return Some(Deletion { statements, stays: None });
        }
        // Nobody refers to them from here on; who did before is seen by the statement that follows.
        let held = format!("SELECT FROM ONLY {name} WHERE {those} FOR UPDATE");
        let deleted = format!("DELETE FROM ONLY {name} AS inserted WHERE {those} AND {}", unused.join(" AND "));
        let stays = format!("those of the inserted rows of {name} that others refer to by then stay");
        Some(Deletion { statements: vec![held, deleted], stays: Some(stays) })
    })
}

/// Conditions that no other row refers to a row, by the foreign keys to its table; `None` where they cannot be asked.
fn unused(catalog: &Catalog, name: &Name) -> Option<Vec<String>> {
    let server = &catalog.server;
    let mut conditions = Vec::new();
    for reference in Resolver::new(catalog).referencing(name) {
        let ConstraintKind::ForeignKey { referenced_columns, from_parent, .. } = &reference.constraint.kind else {
            continue;
        };
        let table = reference.table.relation;
        let hidden =
            table.row_security && !server.superuser && (table.force_row_security || table.owner != server.user);
        // Rows of the table itself may go together.
        if reference.table.name == name || hidden || reference.constraint.period {
            return None;
        }
        if *from_parent {
            continue;
        }
        let pairs = reference.constraint.columns.iter().zip(referenced_columns);
        let same: Vec<String> = pairs
            .map(|(own, other)| format!("user_of_it.{} = inserted.{}", quote::ident(own), quote::ident(other)))
            .collect();
        conditions.push(format!(
            "NOT EXISTS (SELECT FROM {} AS user_of_it WHERE {})",
            reference.table.name,
            same.join(" AND ")
        ));
    }
    Some(conditions)
}

fn listed(parts: &[String]) -> String {
    if let [only] = parts { only.clone() } else { format!("({})", parts.join(", ")) }
}

/// The rows of `VALUES`, where there is nothing but them.
fn rows(insert: &InsertStmt) -> Option<Vec<&[Node]>> {
    let NodeEnum::SelectStmt(select) = insert.select_stmt.as_ref()?.node.as_ref()? else { return None };
    let SelectStmt { values_lists, sort_clause, limit_count, limit_offset, with_clause, .. } = &**select;
    let plain = sort_clause.is_empty() && limit_count.is_none() && limit_offset.is_none() && with_clause.is_none();
    if !plain
        || values_lists.is_empty()
        || insert.with_clause.is_some()
        || insert.on_conflict_clause.is_some()
        || insert.r#override() == OverridingKind::OverridingUserValue
    {
        return None;
    }
    values_lists
        .iter()
        .map(|node| match &node.node {
            Some(NodeEnum::List(list)) => Some(list.items.as_slice()),
            _ => None,
        })
        .collect()
}

/// The columns that triggers may give a row that comes; `None` where it does not come and go alone: something else
/// fires, or hides it.
fn set_beside(catalog: &Catalog, relation: &Relation) -> Option<BTreeSet<String>> {
    let server = &catalog.server;
    let hidden =
        relation.row_security && !server.superuser && (relation.force_row_security || relation.owner != server.user);
    let alone = relation.kind == RelationKind::Table && relation.parents.is_empty() && relation.rules.is_empty();
    if hidden || !alone || relation.triggers.iter().any(|trigger| trigger.on_delete) {
        return None;
    }
    let mut set = BTreeSet::new();
    for trigger in relation.triggers.iter().filter(|trigger| trigger.on_insert) {
        set.extend(columns_set(trigger, catalog)?);
    }
    Some(set)
}

/// The columns that the values are for, in their order.
fn given<'a>(insert: &'a InsertStmt, table: &'a Relation) -> Option<Vec<&'a str>> {
    if insert.cols.is_empty() {
        return Some(table.columns.iter().map(|column| column.name.as_str()).collect());
    }
    insert
        .cols
        .iter()
        .map(|node| match &node.node {
            Some(NodeEnum::ResTarget(target)) if target.indirection.is_empty() => Some(target.name.as_str()),
            _ => None,
        })
        .collect()
}

/// The columns that no two rows share, as a constraint says.
fn key_of_constraint(constraint: &Constraint) -> Option<Vec<&str>> {
    let unique = matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique) && !constraint.period;
    unique.then(|| constraint.columns.iter().map(String::as_str).collect())
}

/// Like [`key_of_constraint`], for a unique index of all rows that no constraint has made.
fn key_of_index(index: &Index) -> Option<Vec<&str>> {
    if !index.unique || !index.valid || index.predicate.is_some() || index.constraint.is_some() {
        return None;
    }
    index.keys.iter().map(|key| key.column.as_deref().filter(|_| key.default_class)).collect()
}

/// The columns of a key, where each row has a value.
fn never_null<'a>(key: &[&str], table: &'a Relation) -> Option<Vec<&'a Column>> {
    key.iter().map(|name| table.column(name).filter(|column| column.not_null)).collect()
}

/// Whether a literal of the type always means the same value: no time zone, `'now'` or setting decides it.
fn literal_type(data_type: &DataType, done: &Done<'_>) -> bool {
    let known = done.before.types.get(&data_type.name);
    let is_enum = || {
        known.is_some_and(|known| matches!(known.kind, TypeKind::Enum { .. }))
            && known == done.after.types.get(&data_type.name)
    };
    !data_type.array && (family(data_type).is_some() || is_enum())
}

/// Types between which a constant keeps its value.
fn family(data_type: &DataType) -> Option<u8> {
    if data_type.name.schema != "pg_catalog" {
        return None;
    }
    match data_type.name.name.as_str() {
        "int2" | "int4" | "int8" => Some(0),
        "text" | "varchar" => Some(1),
        "numeric" => Some(2),
        "bpchar" => Some(3),
        "uuid" => Some(4),
        "bool" => Some(5),
        _ => None,
    }
}

/// The constant as the column takes it.
fn constant(node: &Node, column: &DataType, catalog: &Catalog) -> Option<String> {
    let value = match node.node.as_ref()? {
        NodeEnum::AConst(value) => value,
        NodeEnum::TypeCast(cast) => {
            let to = resolve_type(cast.type_name.as_ref()?, catalog)?;
            let alike = to == *column || (to.modifier == -1 && family(&to).is_some() && family(&to) == family(column));
            let NodeEnum::AConst(value) = cast.arg.as_ref()?.node.as_ref().filter(|_| alike)? else { return None };
            value
        }
        _ => return None,
    };
    Some(format!("CAST({} AS {})", text(value)?, column.sql))
}

fn text(value: &AConst) -> Option<String> {
    Some(match value.val.as_ref().filter(|_| !value.isnull)? {
        a_const::Val::Ival(number) => number.ival.to_string(),
        a_const::Val::Fval(number) => number.fval.clone(),
        a_const::Val::Boolval(truth) => truth.boolval.to_string(),
        a_const::Val::Sval(string) => quote::literal(&string.sval),
        a_const::Val::Bsval(_) => return None,
    })
}
