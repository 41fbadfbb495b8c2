//! Dropping a column, with what hangs on it and with the children's columns.

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::dependents::readers;
use super::{Object, Strength, objects};
use crate::catalog::{ColumnReference, ConstraintKind, Name, TypeKind};
use crate::sql::quote;

/// What depends on a column.
pub(super) fn dependents(edit: &Edit<'_>, table: &Name, column: &str, found: &mut Vec<(Object, Strength)>) {
    let Some(relation) = edit.relations.get(table) else { return };
    let is = |name: &String| name == column;
    for constraint in relation.constraints.iter().filter(|constraint| constraint.columns.iter().any(is)) {
        found.push((Object::Constraint(table.clone(), constraint.name.clone()), Strength::Part));
    }
    for name in names::indexes(edit, table) {
        let Some(index) = edit.relations.get(&name).and_then(|relation| relation.index.as_ref()) else { continue };
        let keys = index.keys.iter().filter_map(|key| key.column.as_ref());
        if keys.chain(&index.include).chain(&index.expression_columns).any(is) {
            found.push(match &index.constraint {
                Some(constraint) => (Object::Constraint(table.clone(), constraint.clone()), Strength::Part),
                None => (Object::Relation(name.clone()), Strength::Part),
            });
        }
    }
    for (name, statistics) in &edit.statistics {
        if statistics.table == *table && statistics.columns.iter().any(is) {
            found.push((Object::Statistics(name.clone()), Strength::Part));
        }
    }
    for (name, other) in edit.relations.referring_to(table) {
        let owned_by = other.sequence.as_ref().and_then(|sequence| sequence.owned_by.as_ref());
        if owned_by.is_some_and(|owner| owner.relation == *table && owner.column.as_deref() == Some(column)) {
            found.push((Object::Relation(name.clone()), Strength::Part));
        }
    }
    for trigger in relation.triggers.iter().filter(|trigger| trigger.columns.iter().any(is) && !trigger.from_parent) {
        found.push((Object::Trigger(table.clone(), trigger.name.clone()), Strength::Normal));
    }
    let reads = |references: &[ColumnReference]| {
        references.iter().any(|own| own.relation == *table && own.column.as_deref() == Some(column))
    };
    for reader in readers(edit, table, reads) {
        // Until 14 a generated column went with the columns it is made of.
        let generated = matches!(&reader, Object::Column(of, _) if of == table);
        let strength = if generated && edit.major() < 15 { Strength::Part } else { Strength::Normal };
        found.push((reader, strength));
    }
    for (publication, entry) in &edit.publications {
        if reads(&entry.columns) {
            found.push((Object::PublishedTable(publication.clone(), table.clone()), Strength::Normal));
        }
    }
    referencing(edit, table, column, found);
}

/// Foreign keys of other tables to the column.
fn referencing(edit: &Edit<'_>, table: &Name, column: &str, found: &mut Vec<(Object, Strength)>) {
    for (name, relation) in edit.relations.referring_to(table) {
        for constraint in &relation.constraints {
            if let ConstraintKind::ForeignKey { references, referenced_columns, .. } = &constraint.kind
                && references == table
                && referenced_columns.iter().any(|own| own == column)
            {
                found.push((Object::Constraint(name.clone(), constraint.name.clone()), Strength::Normal));
            }
        }
    }
}

/// `ALTER TABLE .. DROP COLUMN`.
pub(in super::super) fn drop(
    edit: &mut Edit<'_>,
    table: &Name,
    column: &str,
    (cascade, missing_ok, recurse): (bool, bool, bool),
) -> Outcome {
    let relation = edit.relation(table)?;
    let Some(found) = relation.column(column) else {
        if missing_ok {
            return Ok(());
        }
        fail!("column {} of {table} does not exist", quote::ident(column));
    };
    if found.inherited > 0 {
        fail!("column {} of {table} is inherited", quote::ident(column));
    }
    if relation.partition_key.as_ref().is_some_and(|key| key.columns.iter().any(|own| own == column)) {
        fail!("column {} is part of the partition key of {table}", quote::ident(column));
    }
    let children = names::children(edit, table);
    let partitioned = relation.partition_key.is_some();
    if !recurse && partitioned && !children.is_empty() {
        fail!("column {} must be dropped from the partitions of {table} too", quote::ident(column));
    }
    let mut going = vec![Object::Column(table.clone(), column.to_owned())];
    let mut kept = Vec::new();
    descend(edit, table, column, recurse, &mut going, &mut kept)?;
    for (child, drop_local) in kept {
        for own in &mut edit.relation_mut(&child)?.columns {
            if own.name == column {
                own.inherited -= 1;
                own.local |= drop_local;
            }
        }
    }
    objects(edit, &going, cascade)
}

/// The children's columns that go too, and those that stay with one parent less.
fn descend(
    edit: &Edit<'_>,
    table: &Name,
    column: &str,
    recurse: bool,
    going: &mut Vec<Object>,
    kept: &mut Vec<(Name, bool)>,
) -> Outcome {
    for child in names::children(edit, table) {
        let Some(own) = edit.relation(&child)?.column(column) else { continue };
        if recurse && own.inherited == 1 && !own.local {
            going.push(Object::Column(child.clone(), column.to_owned()));
            descend(edit, &child, column, recurse, going, kept)?;
        } else {
            kept.push((child, !recurse));
        }
    }
    Ok(())
}

/// Takes the column out of its relation or composite type.
pub(super) fn take_out(edit: &mut Edit<'_>, of: &Name, column: &str) -> Outcome {
    if edit.relations.contains_key(of) {
        let relation = edit.relation_mut(of)?;
        relation.columns.retain(|own| own.name != column);
        return Ok(());
    }
    if edit.types.contains_key(of)
        && let TypeKind::Composite { attributes } = &mut edit.type_mut(of)?.kind
    {
        attributes.retain(|own| own.name != column);
    }
    Ok(())
}
