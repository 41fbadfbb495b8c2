//! What a table takes over from its parents.

use super::super::constraint::{check, not_null};
use super::super::edit::{Edit, Outcome, fail};
use crate::catalog::{Column, ColumnDetails, ColumnReference, ConstraintKind, Name};

/// The columns of the parents, merged by name (`MergeAttributes`).
pub(super) fn columns(edit: &Edit<'_>, parents: &[Name], partition: bool) -> Outcome<Vec<Column>> {
    let mut out: Vec<Column> = Vec::new();
    for parent in parents {
        let relation = edit.relation(parent)?;
        if !relation.kind.is_table() && relation.kind != crate::catalog::RelationKind::ForeignTable {
            fail!("{parent} is not a table to inherit from");
        }
        for column in &relation.columns {
            match out.iter_mut().find(|other| other.name == column.name) {
                Some(merged) => {
                    merged.inherited += 1;
                    merged.not_null |= column.not_null && edit.major() < 18;
                }
                None => out.push(inherited(edit, column, partition)),
            }
        }
    }
    Ok(out)
}

/// A parent's column as a child gets it.
pub(in super::super) fn inherited(edit: &Edit<'_>, column: &Column, partition: bool) -> Column {
    let details = ColumnDetails {
        comment: None,
        privileges: Vec::new(),
        owned_sequence: None,
        statistics_target: None,
        options: Vec::new(),
        ..(*column.details).clone()
    };
    let mut own = Column { local: false, inherited: 1, details: details.into(), ..column.clone() };
    // From 17 on partitions share the identity of their parent; before and in plain inheritance there is none.
    if !partition || edit.major() < 17 {
        own.identity = None;
    }
    // Set together with the constraint where there are constraints.
    if edit.major() >= 18 {
        own.not_null = false;
    }
    own
}

/// Checks and not-nulls of the parents; and what defaults mention, which is the child's own now.
pub(super) fn constraints(edit: &mut Edit<'_>, table: &Name, parents: &[Name]) -> Outcome {
    for parent in parents {
        own_references(edit, table, parent)?;
        for constraint in edit.relation(parent)?.constraints.clone() {
            if constraint.no_inherit {
                continue;
            }
            match constraint.kind {
                ConstraintKind::Check { .. } => {
                    let mut of_parent = constraint;
                    of_parent.validated |= of_parent.enforced;
                    of_parent.definition.clear();
                    check::descend(edit, table, &of_parent)?;
                }
                ConstraintKind::NotNull => {
                    let Some(column) = constraint.columns.first() else { continue };
                    let request = not_null::Request {
                        name: Some(&constraint.name),
                        validated: true,
                        no_inherit: false,
                        local: false,
                        inherited: 1,
                    };
                    not_null::set(edit, table, column, &request)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Generated columns mention columns of their own table.
pub(in super::super) fn own_references(edit: &mut Edit<'_>, table: &Name, parent: &Name) -> Outcome {
    for column in &mut edit.relation_mut(table)?.columns {
        for reference in &mut column.references {
            if reference.relation == *parent {
                *reference = ColumnReference { relation: table.clone(), column: reference.column.take() };
            }
        }
    }
    Ok(())
}
