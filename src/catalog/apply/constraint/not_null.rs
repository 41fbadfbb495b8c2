//! NOT NULL: a mark of the column, and from 18 on a constraint with a name.

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::{Wished, basic, change, put, redefine};
use crate::catalog::naming;
use crate::catalog::{Constraint, ConstraintKind, Name};
use crate::sql::quote;

pub(super) fn body(columns: &[String], no_inherit: bool) -> String {
    let column = columns.first().map(|column| quote::ident(column)).unwrap_or_default();
    format!("NOT NULL {column}{}", if no_inherit { " NO INHERIT" } else { "" })
}

/// The not-null constraint of a column.
pub(in super::super) fn of_column<'a>(edit: &'a Edit<'_>, table: &Name, column: &str) -> Option<&'a Constraint> {
    edit.relations.get(table)?.constraints.iter().find(|constraint| {
        constraint.kind == ConstraintKind::NotNull && constraint.columns.first().is_some_and(|own| own == column)
    })
}

/// Marks the column; `false` when it was marked already.
pub(in super::super) fn mark(edit: &mut Edit<'_>, table: &Name, column: &str) -> Outcome<bool> {
    let found = edit.relation_mut(table)?.columns.iter_mut().find(|candidate| candidate.name == column);
    match found {
        Some(found) => Ok(!std::mem::replace(&mut found.not_null, true)),
        None => fail!("column {} of {table} does not exist", quote::ident(column)),
    }
}

/// Adds a not-null constraint as a statement wishes it, with those of the children.
pub(in super::super) fn add(edit: &mut Edit<'_>, table: &Name, wished: &Wished, recurse: bool) -> Outcome {
    let column = match &wished.column {
        Some(column) => column.clone(),
        None => match crate::catalog::expression::strings(&wished.node.keys).pop() {
            Some(column) => column,
            None => fail!("a not-null constraint names no column"),
        },
    };
    let no_inherit = wished.node.is_no_inherit;
    let validated = wished.validated();
    let given = Some(wished.node.conname.as_str()).filter(|name| !name.is_empty());
    let request = Request { name: given, validated, no_inherit, local: true, inherited: 0 };
    set(edit, table, &column, &request)?;
    if no_inherit || !recurse {
        return Ok(());
    }
    let name = of_column(edit, table, &column).map(|constraint| constraint.name.clone());
    descend(edit, table, &column, name.as_deref(), validated)
}

/// How a column becomes not null.
pub(in super::super) struct Request<'a> {
    /// Chosen by the author or the parent; generated otherwise.
    pub(in super::super) name: Option<&'a str>,
    pub(in super::super) validated: bool,
    pub(in super::super) no_inherit: bool,
    pub(in super::super) local: bool,
    pub(in super::super) inherited: i32,
}

impl Request<'_> {
    /// As `SET NOT NULL` asks for it.
    pub(in super::super) fn plain() -> Self {
        Request { name: None, validated: true, no_inherit: false, local: true, inherited: 0 }
    }
}

/// Makes one column of one table not null.
pub(in super::super) fn set(edit: &mut Edit<'_>, table: &Name, column: &str, request: &Request<'_>) -> Outcome {
    mark(edit, table, column)?;
    if edit.major() < 18 {
        return Ok(());
    }
    if let Some(existing) = of_column(edit, table, column) {
        let name = existing.name.clone();
        if request.local
            && let Some(wished) = request.name
            && wished != name
            && existing.local
        {
            fail!(
                "column {} of {table} already has the not-null constraint {}",
                quote::ident(column),
                quote::ident(&name)
            );
        }
        change(edit, table, &name, |constraint| {
            constraint.local |= request.local;
            constraint.inherited += request.inherited;
            constraint.validated |= request.validated;
        })?;
        return redefine(edit, table, &name);
    }
    let taken =
        |edit: &Edit<'_>, name: &str| edit.relations.get(table).is_some_and(|own| own.constraint(name).is_some());
    let name = match request.name.filter(|name| request.local || !taken(edit, name)) {
        Some(name) => name.to_owned(),
        None => naming::constraint_name(edit, table, column, "not_null"),
    };
    let node = pg_query::protobuf::Constraint { is_enforced: true, ..Default::default() };
    let mut constraint = basic(&Wished { node, column: None, new: true }, name, ConstraintKind::NotNull);
    constraint.columns = vec![column.to_owned()];
    constraint.validated = request.validated;
    constraint.no_inherit = request.no_inherit;
    constraint.local = request.local;
    constraint.inherited = request.inherited;
    put(edit, table, constraint)
}

/// Makes the column not null in everything below the table.
pub(in super::super) fn descend(
    edit: &mut Edit<'_>,
    table: &Name,
    column: &str,
    name: Option<&str>,
    validated: bool,
) -> Outcome {
    for child in names::children(edit, table) {
        let existed = of_column(edit, &child, column).is_some();
        let request = Request { name, validated, no_inherit: false, local: false, inherited: 1 };
        set(edit, &child, column, &request)?;
        if !existed || edit.major() < 18 {
            descend(edit, &child, column, name, validated)?;
        }
    }
    Ok(())
}
