//! `ALTER CONSTRAINT`: deferrability, enforcement, inheritance.

use pg_query::protobuf::{AlterTableCmd, node};

use super::super::constraint::{self, not_null, redefine};
use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::Target;
use crate::catalog::{ConstraintKind, Name};
use crate::sql::quote;

/// `ALTER CONSTRAINT`.
pub(super) fn alter(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let Some(node::Node::AtalterConstraint(wished)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement says nothing about the constraint");
    };
    let table = target.table;
    let Some(found) = edit.relation(table)?.constraint(&wished.conname).cloned() else {
        fail!("constraint {} of {table} does not exist", quote::ident(&wished.conname));
    };
    if wished.alter_inheritability {
        return inheritability(edit, table, &found, wished.noinherit);
    }
    let ConstraintKind::ForeignKey { .. } = &found.kind else {
        fail!("constraint {} of {table} is not a foreign key", quote::ident(&found.name));
    };
    let mut owners: Vec<(Name, String)> = vec![(table.clone(), found.name.clone())];
    for member in names::tree(edit, table) {
        for own in &edit.relation(&member)?.constraints {
            let part = matches!(own.kind, ConstraintKind::ForeignKey { from_parent: true, .. });
            if part && own.columns == found.columns {
                owners.push((member.clone(), own.name.clone()));
            }
        }
    }
    for (owner, name) in owners {
        constraint::change(edit, &owner, &name, |own| {
            if wished.alter_deferrability {
                own.deferrable = wished.deferrable || wished.initdeferred;
                own.initially_deferred = wished.initdeferred;
            }
            if wished.alter_enforceability {
                own.enforced = wished.is_enforced;
                own.validated = wished.is_enforced;
            }
        })?;
        redefine(edit, &owner, &name)?;
    }
    Ok(())
}

/// `INHERIT` and `NO INHERIT` of a not-null constraint (18).
fn inheritability(edit: &mut Edit<'_>, table: &Name, found: &crate::catalog::Constraint, no_inherit: bool) -> Outcome {
    let column = match (&found.kind, found.columns.first()) {
        (ConstraintKind::NotNull, Some(column)) => column.clone(),
        _ => fail!("constraint {} of {table} is not a not-null constraint", quote::ident(&found.name)),
    };
    if found.no_inherit == no_inherit {
        return Ok(());
    }
    constraint::change(edit, table, &found.name, |own| own.no_inherit = no_inherit)?;
    redefine(edit, table, &found.name)?;
    if no_inherit {
        for child in names::children(edit, table) {
            let own = not_null::of_column(edit, &child, &column).map(|own| own.name.clone());
            let Some(own) = own else { continue };
            constraint::change(edit, &child, &own, |own| {
                own.inherited -= 1;
                own.local |= own.inherited == 0;
            })?;
        }
        return Ok(());
    }
    not_null::descend(edit, table, &column, Some(&found.name), found.validated)
}
