//! CHECK constraints.

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::{Wished, basic, change, put, redefine};
use crate::catalog::expression::{Scope, cook_condition};
use crate::catalog::naming;
use crate::catalog::{Constraint, ConstraintKind, Name};
use crate::sql::quote;

pub(super) fn body(expression: &str, no_inherit: bool) -> String {
    format!("CHECK ({expression}){}", if no_inherit { " NO INHERIT" } else { "" })
}

/// The constraint a wish makes on the table; its name is chosen if the author gave none.
pub(in super::super) fn build(edit: &Edit<'_>, table: &Name, wished: &Wished) -> Outcome<Constraint> {
    let relation = edit.relation(table)?;
    let Some(node) = wished.node.raw_expr.as_deref() else { fail!("a check has no expression") };
    let cooked = cook_condition(edit, &Scope::table(table, relation), node)?;
    let columns = cooked.uses.columns_of(table);
    let name = if wished.node.conname.is_empty() {
        let column = match columns.as_slice() {
            [only] => only.as_str(),
            _ => "",
        };
        naming::constraint_name(edit, table, column, "check")
    } else {
        wished.node.conname.clone()
    };
    let mut constraint = basic(wished, name, ConstraintKind::Check { expression: cooked.text });
    constraint.columns = columns;
    constraint.functions = cooked.uses.functions();
    Ok(constraint)
}

/// Adds the check to the table and, inherited, to everything below it.
pub(in super::super) fn add(edit: &mut Edit<'_>, table: &Name, wished: &Wished, recurse: bool) -> Outcome {
    let constraint = build(edit, table, wished)?;
    let children = names::children(edit, table);
    if !recurse && !children.is_empty() && !constraint.no_inherit {
        fail!("the check must be added to the children of {table} too");
    }
    merge(edit, table, constraint.clone())?;
    if constraint.no_inherit || !recurse {
        return Ok(());
    }
    for child in children {
        descend(edit, &child, &constraint)?;
    }
    Ok(())
}

/// Adds a parent's check to a child and to those below it.
pub(in super::super) fn descend(edit: &mut Edit<'_>, child: &Name, parent: &Constraint) -> Outcome {
    let existed = edit.relation(child)?.constraint(&parent.name).is_some();
    let mut own = Constraint { local: false, inherited: 1, comment: None, ..parent.clone() };
    let relation = edit.relation(child)?;
    own.columns.retain(|name| relation.column(name).is_some());
    merge(edit, child, own)?;
    if existed {
        return Ok(());
    }
    for below in names::children(edit, child) {
        descend(edit, &below, parent)?;
    }
    Ok(())
}

/// `MergeWithExistingConstraint`: one of the same name and expression is taken for the same.
fn merge(edit: &mut Edit<'_>, table: &Name, constraint: Constraint) -> Outcome {
    let Some(existing) = edit.relation(table)?.constraint(&constraint.name).cloned() else {
        return put(edit, table, constraint);
    };
    let (ConstraintKind::Check { expression: old }, ConstraintKind::Check { expression: new }) =
        (&existing.kind, &constraint.kind)
    else {
        fail!("constraint {} of {table} already exists", quote::ident(&constraint.name));
    };
    let mergeable = existing.local != constraint.local || constraint.inherited > 0;
    if !mergeable
        || crate::catalog::compare::canonical_expression(old) != crate::catalog::compare::canonical_expression(new)
    {
        fail!("constraint {} of {table} already exists", quote::ident(&constraint.name));
    }
    change(edit, table, &constraint.name, |existing| {
        existing.inherited += constraint.inherited;
        existing.local |= constraint.local;
        existing.validated |= constraint.validated;
        existing.enforced |= constraint.enforced;
    })?;
    redefine(edit, table, &constraint.name)
}
