//! NOT NULL on a column with rows.
//!
//! Up to 17: a check `c IS NOT NULL` that is not valid, its proof, and then `SET NOT NULL`, which finds the
//! proven check and does not scan; the check goes in the same transaction. From 18 on not-null constraints have
//! a name and can be `NOT VALID` themselves.
//!
//! Traps: once the constraint is there, even not valid, every UPDATE of a row that breaks it fails; hence the
//! look before. On 18 `SET NOT NULL` on a not-null constraint that is not valid scans under the strongest lock:
//! it is validated instead.

use pg_query::protobuf::{AlterTableType, ConstrType};

use super::foreign_key::validate_draft;
use super::parts;
use crate::catalog::expression::strings;
use crate::catalog::{ConstraintKind, Name, RelationKind};
use crate::plan::analyze::Rel;
use crate::plan::draft::{Draft, Piece, UndoSource};
use crate::plan::expand::Context;
use crate::plan::model::{Check, Stage};
use crate::plan::names;
use crate::sql::quote;

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let alter = parts::alter(context)?;
    if !context.heavy() {
        return None;
    }
    let table = alter.table;
    let column = match alter.command.subtype() {
        AlterTableType::AtSetNotNull => alter.command.name.clone(),
        AlterTableType::AtAddConstraint => {
            let constraint = alter.constraint(ConstrType::ConstrNotnull)?;
            if constraint.skip_validation {
                return None;
            }
            strings(&constraint.keys).pop()?
        }
        _ => return None,
    };
    let mut drafts = Vec::new();
    if !context.fresh(table.name, &column) {
        drafts.push(look(table.name, alter.only, &column));
    }
    if context.major() < 18 {
        drafts.extend(by_check(context, table.name, alter.only, &column));
        return Some(drafts.into_iter().map(Piece::from).collect());
    }
    let of_column = |constraint: &&crate::catalog::Constraint| {
        matches!(constraint.kind, ConstraintKind::NotNull) && constraint.columns.first() == Some(&column)
    };
    if let Some(known) = table.relation.constraints.iter().find(of_column) {
        drafts.push(validate_draft(table.name, &known.name));
        return Some(drafts.into_iter().map(Piece::from).collect());
    }
    let after = context.after()?.relations.get(table.name)?;
    let new = after.constraints.iter().find(of_column)?;
    let inherit = if new.no_inherit { " NO INHERIT" } else { "" };
    let add = Draft::sql(
        Stage::Expand,
        "add-not-null",
        format!(
            "Makes {} of {} not null for new rows; the rows that are there are not looked at yet",
            quote::ident(&column),
            table.name
        ),
        format!(
            "{} ADD CONSTRAINT {} NOT NULL {}{inherit} NOT VALID",
            parts::alter_prefix(table.name, alter.only),
            quote::ident(&new.name),
            quote::ident(&column)
        ),
    );
    // A column that the plan makes takes the constraint along.
    let parts = (!context.fresh(table.name, &column)).then(|| undo_of_parts(context, &alter, &new.name, of_column));
    drafts.push(match parts.flatten() {
        Some(statements) => add.undone_by(UndoSource::Statements(statements)),
        None => add,
    });
    drafts.push(validate_draft(table.name, &new.name));
    Some(drafts.into_iter().map(Piece::from).collect())
}

/// What takes the constraint away from a partitioned table. A primary key that a partition gets afterwards makes the
/// partition's constraint its own, and its removal does not take that back: then it would outlive its parent's.
fn undo_of_parts<'a>(
    context: &Context<'a>,
    alter: &parts::Alter<'a>,
    name: &str,
    of_column: impl Fn(&&crate::catalog::Constraint) -> bool + Copy,
) -> Option<Vec<String>> {
    if alter.only || alter.table.relation.kind != RelationKind::PartitionedTable {
        return None;
    }
    let drop = |table: &Name, only: bool| {
        format!("{} DROP CONSTRAINT IF EXISTS {}", parts::alter_prefix(table, only), quote::ident(name))
    };
    let had_none = |leaf: &Rel<'_>| !leaf.relation.constraints.iter().any(|constraint| of_column(&constraint));
    let leaves = context.look.leaves(alter.table).into_iter().filter(had_none);
    Some(std::iter::once(drop(alter.table.name, false)).chain(leaves.map(|leaf| drop(leaf.name, true))).collect())
}

fn look(table: &Name, only: bool, column: &str) -> Draft {
    let column = quote::ident(column);
    let only = if only { "ONLY " } else { "" };
    Draft::check(
        Stage::Expand,
        Draft::CHECK_ROWS,
        format!("Makes sure that {column} of {table} is never null"),
        Check {
            query: format!("SELECT NOT EXISTS (SELECT FROM {only}{table} WHERE {column} IS NULL)"),
            message: format!("{table} has rows where {column} is null: fill them first"),
        },
    )
}

fn by_check(context: &Context<'_>, table: &Name, only: bool, column: &str) -> Vec<Draft> {
    let name = names::constraint(context.before(), table, column, "not_null");
    let (quoted, column) = (quote::ident(&name), quote::ident(column));
    let prefix = parts::alter_prefix(table, only);
    vec![
        Draft::sql(
            Stage::Expand,
            "add-check",
            format!("Forbids null in {column} of {table} for new rows; the rows that are there are not looked at yet"),
            format!("{prefix} ADD CONSTRAINT {quoted} CHECK ({column} IS NOT NULL) NOT VALID"),
        ),
        validate_draft(table, &name),
        Draft::transaction(
            Stage::Switch,
            "set-not-null",
            format!(
                "Makes {column} of {table} not null, which the proven check saves from a scan, and drops the check"
            ),
            vec![format!("{prefix} ALTER COLUMN {column} SET NOT NULL"), format!("{prefix} DROP CONSTRAINT {quoted}")],
        ),
    ]
}
