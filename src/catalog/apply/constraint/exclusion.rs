//! EXCLUDE constraints.

use pg_query::protobuf::{Node, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::index;
use super::{Wished, basic, put, tail};
use crate::catalog::expression::strings;
use crate::catalog::{Constraint, ConstraintKind, Name};
use crate::sql::quote;

/// Pairs of key part and operator name.
fn pairs(wished: &Wished) -> Vec<(Node, Vec<String>)> {
    let pair = |node: &Node| match &node.node {
        Some(node::Node::List(list)) => match list.items.as_slice() {
            [key, operator] => match &operator.node {
                Some(node::Node::List(names)) => Some((key.clone(), strings(&names.items))),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    wished.node.exclusions.iter().filter_map(pair).collect()
}

pub(super) fn add(edit: &mut Edit<'_>, table: &Name, wished: &Wished) -> Outcome {
    let pairs = pairs(wished);
    let method = if wished.node.access_method.is_empty() { "btree" } else { &wished.node.access_method };
    let wish = index::Wish {
        name: Some(wished.node.conname.clone()).filter(|name| !name.is_empty()),
        method: method.to_owned(),
        label: "excl",
        keys: pairs.iter().map(|(key, _)| key.clone()).collect(),
        include: wished.node.including.clone(),
        predicate: wished.node.where_clause.as_deref().cloned(),
        options: wished.node.options.clone(),
        tablespace: wished.node.indexspace.clone(),
        constraint: true,
        deferrable: wished.node.deferrable,
        ..index::Wish::default()
    };
    let name = index::add(edit, table, &wish)?;
    let operators: Vec<String> = pairs
        .into_iter()
        .map(|(_, operator)| match operator.as_slice() {
            [schema, name] if schema != "pg_catalog" => format!("OPERATOR({}.{name})", quote::ident(schema)),
            parts => parts.last().cloned().unwrap_or_default(),
        })
        .collect();
    let mut constraint = basic(wished, name.name.clone(), ConstraintKind::Exclusion);
    constraint.index = Some(name.clone());
    constraint.validated = true;
    constraint.enforced = true;
    constraint.no_inherit = true;
    let entry = edit.relation(&name)?;
    let Some(found) = &entry.index else { fail!("{name} is not an index") };
    constraint.columns = index::plain_columns(&found.keys);
    constraint.functions = found.functions.clone();
    let body = index::exclusion(edit, entry, found, &operators);
    constraint.definition = format!("{body}{}", tail(&constraint, edit.major()));
    put(edit, table, constraint)
}

/// The definition after the index behind it changed: the operators are those of the old definition.
pub(super) fn renewed(edit: &Edit<'_>, constraint: &Constraint) -> Outcome<String> {
    let Some(entry) = constraint.index.as_ref().and_then(|index| edit.relations.get(index)) else {
        return Ok(constraint.definition.clone());
    };
    let Some(index) = &entry.index else { return Ok(constraint.definition.clone()) };
    let Some(operators) = operators(&constraint.definition) else { return Ok(constraint.definition.clone()) };
    Ok(format!("{}{}", index::exclusion(edit, entry, index, &operators), tail(constraint, edit.major())))
}

/// The operators of a definition.
fn operators(definition: &str) -> Option<Vec<String>> {
    let text = format!("ALTER TABLE t ADD {definition}");
    let statement = crate::sql::parse(&text).ok()?.into_iter().next()?;
    let node::Node::AlterTableStmt(alter) = statement.node else { return None };
    let node::Node::AlterTableCmd(command) = alter.cmds.into_iter().next()?.node? else { return None };
    let node::Node::Constraint(node) = command.def?.node? else { return None };
    let wished = Wished { node: *node, column: None, new: true };
    let spelled = |(_, operator): (Node, Vec<String>)| match operator.as_slice() {
        [schema, name] if schema != "pg_catalog" => format!("OPERATOR({}.{name})", quote::ident(schema)),
        parts => parts.last().cloned().unwrap_or_default(),
    };
    Some(pairs(&wished).into_iter().map(spelled).collect())
}
