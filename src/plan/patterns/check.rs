//! Check constraints: first a look whether any row would break it, then `NOT VALID`, then the proof.
//!
//! Trap: once the constraint is there, even not valid, every UPDATE of a row that breaks it fails, whatever
//! column it changes. Hence the look before.

use pg_query::protobuf::ConstrType;

use super::foreign_key::validate_draft;
use super::parts;
use crate::catalog::ConstraintKind;
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::{Check, Stage};
use crate::sql::{quote, render};

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let alter = parts::alter(context)?;
    let constraint = alter.constraint(ConstrType::ConstrCheck)?;
    if constraint.skip_validation || !constraint.is_enforced || !context.heavy() {
        return None;
    }
    let table = alter.table.name;
    let after = context.after()?.relations.get(table)?;
    let wanted = |kind: &ConstraintKind| matches!(kind, ConstraintKind::Check { .. });
    let new = parts::new_constraint(alter.table.relation, after, wanted)?;
    let name = quote::ident(&new.name);
    let mut pieces = Vec::new();
    if !new.columns.iter().all(|column| context.fresh(table, column)) || new.columns.is_empty() {
        let expression = match &new.kind {
            // As the catalog prints it, it means the same in every session.
            ConstraintKind::Check { expression } if context.own_session => expression.clone(),
            _ => render::render_expression(constraint.raw_expr.as_ref()?)?,
        };
        let only = if alter.only || constraint.is_no_inherit { "ONLY " } else { "" };
        let check = Check {
            query: format!("SELECT NOT EXISTS (SELECT FROM {only}{table} WHERE NOT ({expression}))"),
            message: format!("{table} has rows that break the check constraint {name}: correct them first"),
        };
        pieces.push(
            Draft::check(
                Stage::Expand,
                Draft::CHECK_ROWS,
                format!("Makes sure that no row of {table} breaks {name}"),
                check,
            )
            .into(),
        );
    }
    pieces.push(
        Draft::sql(
            Stage::Expand,
            "add-check",
            format!(
                "Adds check constraint {name} to {table} for new rows; the rows that are there are not looked at yet"
            ),
            parts::add_constraint(table, alter.only, parts::not_valid(constraint, &new.name))?,
        )
        .into(),
    );
    pieces.push(validate_draft(table, &new.name).into());
    Some(pieces)
}
