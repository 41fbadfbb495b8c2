//! Constraints go: with their index, with what is inherited, with the foreign keys that lean on them.

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::{change, not_null};
use crate::catalog::{Constraint, ConstraintKind, Name};
use crate::sql::quote;

/// Removes the constraint from one table, its index with it. Foreign keys that reference through that index go
/// with `cascade` and are an error without.
pub(in super::super) fn remove(edit: &mut Edit<'_>, table: &Name, name: &str, cascade: bool) -> Outcome {
    let Some(constraint) = edit.relation(table)?.constraint(name).cloned() else { return Ok(()) };
    if let (Some(index), false) = (&constraint.index, matches!(constraint.kind, ConstraintKind::ForeignKey { .. })) {
        drop_referencing(edit, index, cascade)?;
        edit.take_relation(index);
    }
    if let ConstraintKind::ForeignKey { .. } = &constraint.kind {
        remove_parts(edit, table, &constraint)?;
    }
    edit.relation_mut(table)?.constraints.retain(|other| other.name != name);
    if constraint.kind == ConstraintKind::NotNull {
        unmark(edit, table, &constraint)?;
    }
    if matches!(constraint.kind, ConstraintKind::PrimaryKey) {
        let identity = &mut edit.relation_mut(table)?.replica_identity;
        if *identity == crate::catalog::ReplicaIdentity::Index(name.to_owned()) {
            *identity = crate::catalog::ReplicaIdentity::Nothing;
        }
    }
    Ok(())
}

fn unmark(edit: &mut Edit<'_>, table: &Name, constraint: &Constraint) -> Outcome {
    let relation = edit.relation_mut(table)?;
    for column in &mut relation.columns {
        if constraint.columns.first() == Some(&column.name) {
            column.not_null = false;
        }
    }
    Ok(())
}

/// Foreign keys that use the index on the referenced side.
fn drop_referencing(edit: &mut Edit<'_>, index: &Name, cascade: bool) -> Outcome {
    let referencing: Vec<(Name, String)> = edit
        .relations
        .referring_to(index)
        .flat_map(|(table, relation)| relation.constraints.iter().map(move |constraint| (table, constraint)))
        .filter(|(_, constraint)| {
            matches!(constraint.kind, ConstraintKind::ForeignKey { .. }) && constraint.index.as_ref() == Some(index)
        })
        .map(|(table, constraint)| (table.clone(), constraint.name.clone()))
        .collect();
    for (table, name) in referencing {
        if !cascade {
            fail!("constraint {} of {table} depends on index {index}", quote::ident(&name));
        }
        remove(edit, &table, &name, true)?;
    }
    Ok(())
}

/// The constraints that partitions on either side have because of this one.
fn remove_parts(edit: &mut Edit<'_>, table: &Name, parent: &Constraint) -> Outcome {
    let is_part = |own: &Constraint, of: &Constraint| {
        let (
            ConstraintKind::ForeignKey { from_parent: true, referenced_columns: own_columns, .. },
            ConstraintKind::ForeignKey { referenced_columns: wanted, .. },
        ) = (&own.kind, &of.kind)
        else {
            return false;
        };
        own.columns == of.columns && own_columns == wanted && own.inherited > 0
    };
    let ConstraintKind::ForeignKey { references, .. } = &parent.kind else { return Ok(()) };
    let below_referenced = names::children(edit, references);
    let own: Vec<String> = edit
        .relation(table)?
        .constraints
        .iter()
        .filter(|own| own.name != parent.name && is_part(own, parent))
        .filter(|own| matches!(&own.kind, ConstraintKind::ForeignKey { references, .. } if below_referenced.contains(references)))
        .map(|own| own.name.clone())
        .collect();
    for name in own {
        remove(edit, table, &name, true)?;
    }
    for partition in names::children(edit, table) {
        let parts: Vec<String> = edit
            .relation(&partition)?
            .constraints
            .iter()
            .filter(|own| is_part(own, parent))
            .filter(|own| match (&own.kind, &parent.kind) {
                (
                    ConstraintKind::ForeignKey { references: own, .. },
                    ConstraintKind::ForeignKey { references: wanted, .. },
                ) => own == wanted,
                _ => false,
            })
            .map(|own| own.name.clone())
            .collect();
        for name in parts {
            remove(edit, &partition, &name, true)?;
        }
    }
    Ok(())
}

/// `ALTER TABLE .. DROP CONSTRAINT`, with what is inherited of it.
pub(in super::super) fn drop(
    edit: &mut Edit<'_>,
    table: &Name,
    name: &str,
    (cascade, missing_ok, recurse): (bool, bool, bool),
) -> Outcome {
    let Some(constraint) = edit.relation(table)?.constraint(name).cloned() else {
        if missing_ok {
            return Ok(());
        }
        fail!("constraint {} of {table} does not exist", quote::ident(name));
    };
    if constraint.inherited > 0 {
        fail!("constraint {} of {table} is inherited", quote::ident(name));
    }
    let index = constraint.index.clone().filter(|_| !matches!(constraint.kind, ConstraintKind::ForeignKey { .. }));
    let partition_indexes = match &index {
        Some(index) => parts_of(edit, index),
        None => Vec::new(),
    };
    remove(edit, table, name, cascade)?;
    for (partition, constraint) in partition_indexes {
        remove(edit, &partition, &constraint, cascade)?;
    }
    if matches!(constraint.kind, ConstraintKind::Check { .. } | ConstraintKind::NotNull) && !constraint.no_inherit {
        for child in names::children(edit, table) {
            disinherit(edit, &child, &constraint, recurse)?;
        }
    }
    Ok(())
}

/// Tables and constraints of the partitions whose index is part of this one, at every level.
pub(in super::super) fn parts_of(edit: &Edit<'_>, index: &Name) -> Vec<(Name, String)> {
    let mut out = Vec::new();
    for (name, relation) in edit.relations.referring_to(index) {
        let Some(found) = relation.index.as_ref().filter(|found| found.parent.as_ref() == Some(index)) else {
            continue;
        };
        out.extend(parts_of(edit, name));
        if let Some(constraint) = &found.constraint {
            out.push((found.table.clone(), constraint.clone()));
        }
    }
    out
}

/// A parent's constraint is gone: the child's copy goes too unless it is its own or another parent's.
pub(in super::super) fn disinherit(edit: &mut Edit<'_>, child: &Name, parent: &Constraint, recurse: bool) -> Outcome {
    let own = match parent.kind {
        ConstraintKind::NotNull => {
            parent.columns.first().and_then(|column| not_null::of_column(edit, child, column)).cloned()
        }
        _ => edit.relation(child)?.constraint(&parent.name).cloned(),
    };
    let Some(own) = own.filter(|own| own.inherited > 0) else { return Ok(()) };
    if recurse && own.inherited == 1 && !own.local {
        remove(edit, child, &own.name, true)?;
        for below in names::children(edit, child) {
            disinherit(edit, &below, parent, recurse)?;
        }
        return Ok(());
    }
    change(edit, child, &own.name, |constraint| {
        constraint.inherited -= 1;
        if constraint.inherited == 0 || !recurse {
            constraint.local = true;
        }
    })
}
