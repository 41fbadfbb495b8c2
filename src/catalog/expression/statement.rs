//! Statements inside rules and function bodies: what they read and write.

use pg_query::protobuf::{Node, RangeVar, SelectStmt, node};

use super::scope::{self, Item, Scope};
use super::{Analysis, Missing, query};
use crate::catalog::ColumnReference;

/// Notes everything that a DML statement depends on.
pub(crate) fn statement_uses(cx: &Analysis<'_>, scope: &Scope<'_>, node: &Node) -> Result<(), Missing> {
    match &node.node {
        Some(node::Node::SelectStmt(_)) => query::outputs(cx, Some(scope), node).map(|_| ()),
        Some(node::Node::ReturnStmt(statement)) => match statement.returnval.as_deref() {
            Some(value) => super::expression(cx, scope, value).map(|_| ()),
            None => Ok(()),
        },
        Some(node::Node::InsertStmt(statement)) => {
            let inner = target(cx, scope, statement.relation.as_ref(), &[])?;
            columns(cx, statement.relation.as_ref(), &statement.cols);
            if let Some(select) = statement.select_stmt.as_deref() {
                query::outputs(cx, Some(scope), select)?;
            }
            returning(cx, &inner, statement.returning_clause.as_ref())
        }
        Some(node::Node::UpdateStmt(statement)) => {
            let inner = target(cx, scope, statement.relation.as_ref(), &statement.from_clause)?;
            columns(cx, statement.relation.as_ref(), &statement.target_list);
            for target in &statement.target_list {
                if let Some(node::Node::ResTarget(target)) = &target.node
                    && let Some(value) = target.val.as_deref()
                {
                    super::expression(cx, &inner, value)?;
                }
            }
            if let Some(condition) = statement.where_clause.as_deref() {
                super::condition(cx, &inner, condition)?;
            }
            returning(cx, &inner, statement.returning_clause.as_ref())
        }
        Some(node::Node::DeleteStmt(statement)) => {
            let inner = target(cx, scope, statement.relation.as_ref(), &statement.using_clause)?;
            if let Some(condition) = statement.where_clause.as_deref() {
                super::condition(cx, &inner, condition)?;
            }
            returning(cx, &inner, statement.returning_clause.as_ref())
        }
        Some(node::Node::List(list)) => list.items.iter().try_for_each(|item| statement_uses(cx, scope, item)),
        _ => Ok(()),
    }
}

/// Notes where the target of a statement or rule stands.
pub(super) fn note_target(cx: &Analysis<'_>, range: &RangeVar) {
    if let Some(name) = scope::relation(cx.catalog, &range.schemaname, &range.relname) {
        cx.note_relation(range.location, &name, range.schemaname.is_empty());
    }
}

fn target<'s>(
    cx: &Analysis<'_>,
    scope: &'s Scope<'s>,
    range: Option<&RangeVar>,
    from: &[Node],
) -> Result<Scope<'s>, Missing> {
    let mut inner = Scope { outer: Some(scope), qualify: true, ..Scope::default() };
    if let Some(range) = range {
        let Some(name) = scope::relation(cx.catalog, &range.schemaname, &range.relname) else {
            return Err(Missing(format!("relation {}", crate::sql::quote::ident(&range.relname))));
        };
        cx.use_relation(&name, None);
        note_target(cx, range);
        if let Some(relation) = cx.catalog.relations.get(&name) {
            let mut item = Item::relation(&name, relation);
            if let Some(alias) = &range.alias {
                item.alias.clone_from(&alias.aliasname);
            }
            inner.items.push(item);
        }
    }
    if !from.is_empty() {
        let select = SelectStmt { from_clause: from.to_vec(), ..SelectStmt::default() };
        let items = query::from_items(cx, &inner, &select)?;
        inner.items.extend(items);
    }
    Ok(inner)
}

fn columns(cx: &Analysis<'_>, range: Option<&RangeVar>, targets: &[Node]) {
    let Some(name) = range.and_then(|range| scope::relation(cx.catalog, &range.schemaname, &range.relname)) else {
        return;
    };
    for target in targets {
        if let Some(node::Node::ResTarget(target)) = &target.node {
            cx.use_relation(&name, Some(&target.name));
            let source = ColumnReference { relation: name.clone(), column: Some(target.name.clone()) };
            cx.note_column(target.location, &source, std::slice::from_ref(&target.name));
        }
    }
}

fn returning(
    cx: &Analysis<'_>,
    scope: &Scope<'_>,
    clause: Option<&pg_query::protobuf::ReturningClause>,
) -> Result<(), Missing> {
    let Some(clause) = clause else { return Ok(()) };
    for target in &clause.exprs {
        if let Some(node::Node::ResTarget(target)) = &target.node
            && let Some(value) = target.val.as_deref()
        {
            let star = matches!(&value.node, Some(node::Node::ColumnRef(column))
                if matches!(column.fields.last().map(|field| &field.node), Some(Some(node::Node::AStar(_)))));
            if !star {
                super::expression(cx, scope, value)?;
            }
        }
    }
    Ok(())
}
