//! Column types. What the server does in place stays as written. A check on the column is proven anew under the
//! strongest lock even then: it leaves and returns `NOT VALID` in the transaction of the change, so that it is
//! never absent for others, and is proven afterwards.

use pg_query::protobuf::AlterTableType;

use super::foreign_key::validate_draft;
use super::parts;
use crate::catalog::ConstraintKind;
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::Stage;
use crate::sql::quote;

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let alter = parts::alter(context)?;
    if alter.command.subtype() != AlterTableType::AtAlterColumnType
        || !context.heavy()
        || !context.impact.rewrites.is_empty()
    {
        return None;
    }
    let table = alter.table.name;
    let column = &alter.command.name;
    let after = context.after()?.relations.get(table)?;
    let prefix = parts::alter_prefix(table, alter.only);
    let mut statements = Vec::new();
    let mut returning = Vec::new();
    let mut proofs = Vec::new();
    for constraint in &alter.table.relation.constraints {
        if !matches!(constraint.kind, ConstraintKind::Check { .. })
            || !constraint.validated
            || !constraint.columns.contains(column)
        {
            continue;
        }
        let name = quote::ident(&constraint.name);
        // The definition as the server will print it after the change: casts in it may differ.
        let definition = &after.constraint(&constraint.name)?.definition;
        statements.push(format!("{prefix} DROP CONSTRAINT {name}"));
        returning.push(format!("{prefix} ADD CONSTRAINT {name} {definition} NOT VALID"));
        if let Some(comment) = &constraint.comment {
            let comment = quote::literal(comment);
            returning.push(format!("COMMENT ON CONSTRAINT {name} ON {table} IS {comment}"));
        }
        proofs.push(validate_draft(table, &constraint.name).into());
    }
    if statements.is_empty() {
        return None;
    }
    statements.push(parts::alter_table(table, alter.only, alter.command.clone())?);
    statements.extend(returning);
    let draft = Draft::transaction(
        Stage::Switch,
        "change-type",
        format!("Changes the type of {} of {table} in place; its checks are proven afterwards", quote::ident(column)),
        statements,
    );
    let mut pieces: Vec<Piece> = vec![parts::wrapped(context, draft).into()];
    pieces.append(&mut proofs);
    Some(pieces)
}
