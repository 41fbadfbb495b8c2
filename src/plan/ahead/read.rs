//! What statements and expressions of a way back say.

use std::cell::Cell;
use std::collections::HashMap;

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, CreateFunctionStmt, Node, RangeVar, SelectStmt, TypeCast};

use crate::catalog::expression::strings;
use crate::sql::expression::with_columns;
use crate::sql::parse;
use crate::sql::quote;
use crate::sql::render::{render, render_expression};

/// The expression over the columns as they are now.
pub(super) fn over(columns: &HashMap<String, Option<String>>, expression: &str) -> Option<String> {
    let known = Cell::new(true);
    let text = with_columns(expression, &|name| match columns.get(name) {
        None => quote::ident(name),
        Some(Some(now)) => format!("({now})"),
        Some(None) => {
            known.set(false);
            String::new()
        }
    });
    text.filter(|_| known.get())
}

/// The value of a new column in rows that are there: null unless its definition gives another.
pub(super) fn null_of(column: &ColumnDef) -> Option<String> {
    if !column.constraints.is_empty() || column.raw_default.is_some() {
        return None;
    }
    cast("NULL", column)
}

/// The value as one of the column's type.
pub(super) fn cast(value: &str, column: &ColumnDef) -> Option<String> {
    let value = crate::sql::expression::parse_expression(value)?;
    let cast = TypeCast { arg: Some(Box::new(value)), type_name: column.type_name.clone(), location: -1 };
    render_expression(&Node { node: Some(NodeEnum::TypeCast(Box::new(cast))) })
}

/// `SELECT NOT EXISTS (SELECT FROM table WHERE condition)`: what stands behind FROM, the table and the condition.
pub(super) fn no_row(query: &str) -> Option<(String, String, String)> {
    let parsed = parse(query).ok()?;
    let [statement] = parsed.as_slice() else { return None };
    let NodeEnum::SelectStmt(select) = &statement.node else { return None };
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return None };
    let Some(NodeEnum::BoolExpr(not)) = &target.val.as_ref()?.node else { return None };
    let [Node { node: Some(NodeEnum::SubLink(link)) }] = not.args.as_slice() else { return None };
    let Some(NodeEnum::SelectStmt(inner)) = &link.subselect.as_ref()?.node else { return None };
    let [Node { node: Some(NodeEnum::RangeVar(range)) }] = inner.from_clause.as_slice() else { return None };
    let table = written(range).filter(|_| range.alias.is_none())?;
    let from = if range.inh { table.clone() } else { format!("ONLY {table}") };
    let wrong = render_expression(inner.where_clause.as_deref()?)?;
    // Nothing else may be in it: made anew from its parts it is the same.
    let again = parse(&format!("SELECT NOT EXISTS (SELECT FROM {from} WHERE {wrong})")).ok()?;
    (render(&again.first()?.node)? == render(&statement.node)?).then_some((from, table, wrong))
}

/// The tables that a query names, with their schema.
pub(super) fn read_tables(query: &str) -> Vec<String> {
    let Ok(parsed) = pg_query::parse(query, pg_query::ParserOptions::DEFAULT) else { return Vec::new() };
    let tables = parsed.tables();
    tables
        .iter()
        .map(|table| match table.split_once('.') {
            Some((schema, name)) => quote::qualified(schema, name),
            None => quote::ident(table),
        })
        .collect()
}

pub(super) fn written(relation: &RangeVar) -> Option<String> {
    (!relation.schemaname.is_empty()).then(|| quote::qualified(&relation.schemaname, &relation.relname))
}

/// What another function gives, a question may depend on.
pub(super) fn is_of_trigger(function: &CreateFunctionStmt) -> bool {
    let names = function.return_type.as_ref().map(|of| strings(&of.names)).unwrap_or_default();
    names.last().is_some_and(|name| name == "trigger")
}

/// `SELECT setval(...)`.
pub(super) fn sets_sequence(select: &SelectStmt) -> bool {
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return false };
    match target.val.as_ref().and_then(|value| value.node.as_ref()) {
        Some(NodeEnum::FuncCall(call)) => strings(&call.funcname) == ["pg_catalog", "setval"],
        _ => false,
    }
}

/// Statements that change no row, no table's columns, and nothing that an expression uses.
pub(super) fn leaves_rows(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::DropStmt(_)
            | NodeEnum::CreateTrigStmt(_)
            | NodeEnum::CommentStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::AlterFunctionStmt(_)
            | NodeEnum::AlterOwnerStmt(_)
            | NodeEnum::CreateStatsStmt(_)
            | NodeEnum::AlterStatsStmt(_)
            | NodeEnum::ViewStmt(_)
            | NodeEnum::RuleStmt(_)
            | NodeEnum::CreatePolicyStmt(_)
            | NodeEnum::AlterPolicyStmt(_)
            | NodeEnum::CreatePublicationStmt(_)
            | NodeEnum::AlterPublicationStmt(_)
            | NodeEnum::VacuumStmt(_)
            | NodeEnum::ReindexStmt(_)
            | NodeEnum::RefreshMatViewStmt(_)
            | NodeEnum::AlterTableStmt(_)
    )
}
