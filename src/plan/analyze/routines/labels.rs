//! Labels of an enum that the same transaction added (55P04).

use pg_query::NodeEnum;
use pg_query::protobuf::{InsertStmt, Node, UpdateStmt};

use crate::catalog::Name;
use crate::plan::analyze::names::{Qualified, strings};
use crate::plan::analyze::query::Literal;
use crate::plan::analyze::walk::{self, Parts};
use crate::plan::analyze::{Impact, Resolver};

/// Says 55P04 when the statement uses a label before the transaction that added it is committed.
pub(super) fn refuse_unsafe_use(
    impact: &mut Impact,
    node: &NodeEnum,
    new_labels: &[(Name, String)],
    resolver: &Resolver<'_>,
) {
    if new_labels.is_empty() {
        return;
    }
    let used = match node {
        NodeEnum::InsertStmt(insert) => inserted(insert, new_labels, resolver),
        NodeEnum::UpdateStmt(update) => assigned(update, new_labels, resolver),
        other => cast_in(other, new_labels),
    };
    if let Some(name) = used {
        impact.refuse(
            "55P04",
            format!("unsafe use of a new value of enum type {name}"),
            "Add the value in a transaction of its own, and commit it before it is used.",
        );
    }
}

fn is_new(new_labels: &[(Name, String)], name: &Name, value: &Literal) -> bool {
    matches!(value, Literal::Text(text) if new_labels.iter().any(|(of, label)| of == name && label == text))
}

fn inserted(insert: &InsertStmt, new_labels: &[(Name, String)], resolver: &Resolver<'_>) -> Option<Name> {
    let table = resolver.relation(insert.relation.as_ref()?)?;
    let Some(NodeEnum::SelectStmt(select)) = insert.select_stmt.as_ref().and_then(|query| query.node.as_ref()) else {
        return None;
    };
    let named: Vec<&str> = insert
        .cols
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::ResTarget(target)) => Some(target.name.as_str()),
            _ => None,
        })
        .collect();
    let all = table.relation.columns.iter().map(|column| column.name.as_str());
    let columns: Vec<&str> = if named.is_empty() { all.collect() } else { named };
    let rows: Vec<&[Node]> = select
        .values_lists
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::List(list)) => Some(list.items.as_slice()),
            _ => None,
        })
        .collect();
    for row in rows {
        for (column, value) in columns.iter().zip(row) {
            let name = &table.relation.column(column)?.data_type.name;
            if let Some(literal) = value.node.as_ref().and_then(Literal::of)
                && is_new(new_labels, name, &literal)
            {
                return Some(name.clone());
            }
        }
    }
    select.target_list.iter().filter_map(|node| node.node.as_ref()).find_map(|node| cast_in(node, new_labels))
}

fn assigned(update: &UpdateStmt, new_labels: &[(Name, String)], resolver: &Resolver<'_>) -> Option<Name> {
    let table = resolver.relation(update.relation.as_ref()?)?;
    for node in &update.target_list {
        let Some(NodeEnum::ResTarget(target)) = &node.node else { continue };
        let Some(value) = target.val.as_ref().and_then(|value| value.node.as_ref()) else { continue };
        let name = &table.relation.column(&target.name)?.data_type.name;
        if let Some(literal) = Literal::of(value)
            && is_new(new_labels, name, &literal)
        {
            return Some(name.clone());
        }
    }
    None
}

/// A cast of a new label to its enum, anywhere in the expression.
fn cast_in(node: &NodeEnum, new_labels: &[(Name, String)]) -> Option<Name> {
    if let NodeEnum::TypeCast(cast) = node
        && let Some(target) = cast
            .type_name
            .as_ref()
            .and_then(|name| Qualified::from_parts(&strings(&name.names)).map(|n| n.name.to_owned()))
        && let Some(Literal::Text(text)) = Literal::of(node)
    {
        let found = new_labels.iter().find(|(name, label)| name.name == target && *label == text);
        if let Some((name, _)) = found {
            return Some(name.clone());
        }
    }
    match node {
        NodeEnum::SelectStmt(select) => select
            .target_list
            .iter()
            .chain(select.where_clause.as_deref())
            .filter_map(|node| node.node.as_ref())
            .find_map(|node| cast_in(node, new_labels)),
        _ => match walk::parts(node) {
            Parts::Expressions(parts) => parts.into_iter().find_map(|part| cast_in(part, new_labels)),
            Parts::Unknown => None,
        },
    }
}
