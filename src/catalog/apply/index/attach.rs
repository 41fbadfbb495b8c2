//! Indexes of partitions as parts of the partitioned table's index.

use super::super::constraint;
use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use crate::catalog::{Index, Name, RelationKind};

/// Whether two indexes are the same but for their table (`CompareIndexInfo`).
fn same(one: &Index, other: &Index) -> bool {
    let keys = |index: &Index| -> Vec<_> {
        index
            .keys
            .iter()
            .map(|key| (key.column.clone(), key.expression.clone(), key.operator_family.clone(), key.collation.clone()))
            .collect()
    };
    one.unique == other.unique
        && one.nulls_not_distinct == other.nulls_not_distinct
        && one.method == other.method
        && one.include == other.include
        && one.predicate == other.predicate
        && keys(one) == keys(other)
}

/// The partition's index that can serve as part of the parent's: an equal one that belongs to none yet, and that
/// is behind a constraint of the same kind when the parent's is behind one.
pub(super) fn equal_index(edit: &Edit<'_>, partition: &Name, parent: &Name) -> Outcome<Option<Name>> {
    let Some(wanted) = edit.relation(parent)?.index.clone() else { return Ok(None) };
    for name in names::indexes(edit, partition) {
        let Some(index) = &edit.relation(&name)?.index else { continue };
        let constraint_fits = match (&wanted.constraint, &index.constraint) {
            (Some(_), Some(_)) => wanted.primary == index.primary,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if index.parent.is_none() && index.valid && constraint_fits && same(&wanted, index) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Makes the index, and the constraint it stands behind, a part of the parent's.
pub(super) fn link(edit: &mut Edit<'_>, index: &Name, parent: &Name) -> Outcome {
    let parent_constraint = edit.relation(parent)?.index.as_ref().and_then(|index| index.constraint.clone());
    let Some(found) = &mut edit.relation_mut(index)?.index else { fail!("{index} is not an index") };
    found.parent = Some(parent.clone());
    let (table, own_constraint) = (found.table.clone(), found.constraint.clone());
    if let (Some(_), Some(own)) = (parent_constraint, own_constraint) {
        constraint::inherit(edit, &table, &own, true)?;
    }
    Ok(())
}

/// `ALTER INDEX .. ATTACH PARTITION`: the parent's index becomes valid when every partition has its part.
pub(in super::super) fn attach(edit: &mut Edit<'_>, parent: &Name, index: &Name) -> Outcome {
    let (Some(wanted), Some(found)) = (edit.relation(parent)?.index.clone(), edit.relation(index)?.index.clone())
    else {
        fail!("{parent} or {index} is not an index");
    };
    if found.parent.as_ref() == Some(parent) {
        return validate(edit, parent);
    }
    if found.parent.is_some() || !same(&wanted, &found) || !names::children(edit, &wanted.table).contains(&found.table)
    {
        fail!("index {index} cannot be attached to {parent}");
    }
    if wanted.constraint.is_some() && found.constraint.is_none() {
        fail!("{index} is not behind a constraint as {parent} is");
    }
    link(edit, index, parent)?;
    validate(edit, parent)
}

/// `validatePartitionedIndex`.
pub(in super::super) fn validate(edit: &mut Edit<'_>, parent: &Name) -> Outcome {
    let Some(wanted) = edit.relation(parent)?.index.clone() else { return Ok(()) };
    if wanted.valid {
        return Ok(());
    }
    let mut missing = false;
    for partition in names::children(edit, &wanted.table) {
        if edit.relation(&partition)?.kind == RelationKind::ForeignTable {
            continue;
        }
        let covered = names::indexes(edit, &partition).iter().any(|name| {
            let index = edit.relations.get(name).and_then(|relation| relation.index.as_ref());
            index.is_some_and(|index| index.parent.as_ref() == Some(parent) && index.valid)
        });
        missing |= !covered;
    }
    if !missing && let Some(index) = &mut edit.relation_mut(parent)?.index {
        index.valid = true;
        if let Some(upper) = index.parent.clone() {
            return validate(edit, &upper);
        }
    }
    Ok(())
}
