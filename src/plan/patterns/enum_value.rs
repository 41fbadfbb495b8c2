//! `ALTER TYPE ... ADD VALUE`: the value cannot be used before its transaction is over (55P04), so it gets one
//! of its own.

use pg_query::NodeEnum;

use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::Stage;

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let NodeEnum::AlterEnumStmt(change) = &context.statement.node else {
        return None;
    };
    if !change.old_val.is_empty() {
        return None;
    }
    let draft =
        Draft::sql(Stage::Expand, "add-enum-value", "Adds a value to an enum type", context.statement.text.clone());
    Some(vec![draft.alone().into()])
}
