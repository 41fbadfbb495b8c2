//! Enums.

use pg_query::protobuf::{AlterEnumStmt, CreateEnumStmt};

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use crate::catalog::TypeKind;
use crate::catalog::expression::{Renaming, strings};

/// `CREATE TYPE .. AS ENUM`.
pub(in super::super) fn create(edit: &mut Edit<'_>, statement: &CreateEnumStmt) -> Outcome {
    let kind = TypeKind::Enum { labels: strings(&statement.vals) };
    super::add(edit, &strings(&statement.type_name), kind).map(|_| ())
}

/// `ALTER TYPE .. ADD VALUE`, `RENAME VALUE`.
pub(in super::super) fn alter(edit: &mut Edit<'_>, statement: &AlterEnumStmt) -> Outcome {
    let name = names::existing_type(edit, &strings(&statement.type_name))?;
    let TypeKind::Enum { labels } = &mut edit.type_mut(&name)?.kind else { fail!("{name} is not an enum") };
    let position = |labels: &[String], label: &str| labels.iter().position(|own| own == label);
    let new = &statement.new_val;
    if !statement.old_val.is_empty() {
        let Some(at) = position(labels, &statement.old_val) else {
            fail!("a label of {name} that is to be renamed does not exist");
        };
        if labels.contains(new) {
            fail!("the new label of {name} already exists");
        }
        labels[at].clone_from(new);
        let label = Some((name, statement.old_val.clone(), new.clone()));
        return super::super::rename::apply(edit, &Renaming { label, ..Renaming::default() });
    }
    if labels.contains(new) {
        if statement.skip_if_new_val_exists {
            return Ok(());
        }
        fail!("the new label of {name} already exists");
    }
    let at = if statement.new_val_neighbor.is_empty() {
        labels.len()
    } else {
        match position(labels, &statement.new_val_neighbor) {
            Some(at) => at + usize::from(statement.new_val_is_after),
            None => fail!("the neighbour of the new label of {name} does not exist"),
        }
    };
    labels.insert(at, new.clone());
    Ok(())
}
