//! Renaming, and moving to another schema: the object, and everything that mentions it.

mod apply;
mod names_in;
mod small;
mod statement;
mod texts;

pub(super) use self::apply::apply;
pub(super) use self::statement::{rename, set_schema};

use super::edit::{Edit, Outcome, fail};
use crate::catalog::expression::Renaming;
use crate::catalog::naming;
use crate::catalog::{ConstraintKind, Name};

/// A relation gets another name; the constraint over an index goes with it.
pub(super) fn relation(edit: &mut Edit<'_>, old: &Name, new: &Name) -> Outcome {
    if naming::relation_exists(edit, new) {
        fail!("relation {new} already exists");
    }
    let behind = edit
        .relation(old)?
        .index
        .as_ref()
        .and_then(|index| index.constraint.as_ref().map(|constraint| (index.table.clone(), constraint.clone())));
    apply(edit, &Renaming { relation: Some((old.clone(), new.clone())), ..Renaming::default() })?;
    match behind {
        Some((table, constraint)) if constraint != new.name => rename_entry(edit, &table, &constraint, &new.name),
        _ => Ok(()),
    }
}

/// The constraint's entry alone.
fn rename_entry(edit: &mut Edit<'_>, table: &Name, old: &str, new: &str) -> Outcome {
    if edit.relation(table)?.constraint(new).is_some() {
        fail!("constraint {} of {table} already exists", crate::sql::quote::ident(new));
    }
    let relation = edit.relation_mut(table)?;
    for constraint in relation.constraints.iter_mut().filter(|constraint| constraint.name == old) {
        new.clone_into(&mut constraint.name);
    }
    relation.constraints.sort_by(|a, b| a.name.cmp(&b.name));
    let index = relation.constraint(new).filter(|own| !matches!(own.kind, ConstraintKind::ForeignKey { .. }));
    let index = index.and_then(|constraint| constraint.index.clone());
    if let Some(index) = index
        && let Some(found) = &mut edit.relation_mut(&index)?.index
    {
        found.constraint = Some(new.to_owned());
    }
    Ok(())
}

/// A constraint gets another name, with its index and with the copies in children.
pub(super) fn constraint(edit: &mut Edit<'_>, table: &Name, old: &str, new: &str, recurse: bool) -> Outcome {
    let Some(found) = edit.relation(table)?.constraint(old).cloned() else {
        fail!("constraint {} of {table} does not exist", crate::sql::quote::ident(old));
    };
    let index = found.index.clone().filter(|_| !matches!(found.kind, ConstraintKind::ForeignKey { .. }));
    if let Some(index) = index {
        return relation(edit, &index, &Name::new(index.schema.as_str(), new));
    }
    rename_entry(edit, table, old, new)?;
    let copied = matches!(found.kind, ConstraintKind::Check { .. } | ConstraintKind::NotNull) && !found.no_inherit;
    if !copied || !recurse {
        return Ok(());
    }
    for child in super::names::children(edit, table) {
        if edit.relation(&child)?.constraint(old).is_some_and(|own| own.inherited > 0) {
            constraint(edit, &child, old, new, true)?;
        }
    }
    Ok(())
}
