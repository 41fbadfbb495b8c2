//! `ADD CONSTRAINT`, `VALIDATE CONSTRAINT`.

use pg_query::protobuf::{AlterTableCmd, node};

use super::super::constraint::{self, Wished, not_null, redefine};
use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::Target;
use crate::catalog::{ConstraintKind, Name};
use crate::sql::quote;

/// `ADD CONSTRAINT`.
pub(super) fn add(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let Some(node::Node::Constraint(found)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement defines no constraint");
    };
    let name = &found.conname;
    if !name.is_empty() && edit.relation(target.table)?.constraint(name).is_some() {
        // A check of a child may merge with the parent's; all else is a clash.
        let inherited = edit.relation(target.table)?.constraint(name).is_some_and(|own| own.inherited > 0);
        if !inherited {
            fail!("constraint {} of {} already exists", quote::ident(name), target.table);
        }
    }
    let wished = Wished { node: (**found).clone(), column: None, new: false };
    constraint::add_all(edit, target.table, &[wished], target.recurse)
}

/// `VALIDATE CONSTRAINT`, of the children's copies too.
pub(super) fn validate(edit: &mut Edit<'_>, target: Target<'_>, name: &str) -> Outcome {
    let Some(found) = edit.relation(target.table)?.constraint(name).cloned() else {
        fail!("constraint {} of {} does not exist", quote::ident(name), target.table);
    };
    if !found.enforced {
        fail!("constraint {} of {} is not enforced", quote::ident(name), target.table);
    }
    mark(edit, target.table, name)?;
    for child in names::children(edit, target.table) {
        descend(edit, &child, &found)?;
    }
    Ok(())
}

fn mark(edit: &mut Edit<'_>, table: &Name, name: &str) -> Outcome {
    let Some(found) = edit.relation(table)?.constraint(name).cloned() else { return Ok(()) };
    if !found.validated {
        constraint::change(edit, table, name, |constraint| constraint.validated = true)?;
        redefine(edit, table, name)?;
    }
    // The parts for partitions of the referenced table are in the same table.
    if let ConstraintKind::ForeignKey { from_parent: false, .. } = found.kind {
        let parts: Vec<String> = edit
            .relation(table)?
            .constraints
            .iter()
            .filter(|own| matches!(own.kind, ConstraintKind::ForeignKey { from_parent: true, .. }))
            .filter(|own| own.columns == found.columns && !own.validated && own.name != found.name)
            .map(|own| own.name.clone())
            .collect();
        for part in parts {
            mark(edit, table, &part)?;
        }
    }
    Ok(())
}

fn descend(edit: &mut Edit<'_>, child: &Name, parent: &crate::catalog::Constraint) -> Outcome {
    let own = match &parent.kind {
        ConstraintKind::Check { .. } if !parent.no_inherit => Some(parent.name.clone()),
        ConstraintKind::NotNull if !parent.no_inherit => parent
            .columns
            .first()
            .and_then(|column| not_null::of_column(edit, child, column))
            .map(|constraint| constraint.name.clone()),
        ConstraintKind::ForeignKey { references: wanted, .. } => edit
            .relation(child)?
            .constraints
            .iter()
            .find(|own| match &own.kind {
                ConstraintKind::ForeignKey { from_parent: true, references, .. } => {
                    own.columns == parent.columns && references == wanted
                }
                _ => false,
            })
            .map(|own| own.name.clone()),
        _ => None,
    };
    let Some(own) = own else { return Ok(()) };
    mark(edit, child, &own)?;
    for below in names::children(edit, child) {
        descend(edit, &below, parent)?;
    }
    Ok(())
}
