//! Values that a plan adds to enum types and gives to rows itself: the rows would keep them, so that there is no way back
//! to the type without them.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, AlterTableType};

use super::draft::{UndoSource, Work};
use super::expand::single;
use super::patterns::enum_value::added;
use super::steps::Placed;
use crate::sql::render;

/// Takes the way back from steps that add a value which a later step gives to rows.
pub(super) fn settle(steps: &mut [Placed]) {
    let mut rest = steps;
    while let Some((step, later)) = rest.split_first_mut() {
        let label = match &step.draft.undo {
            UndoSource::Way(..) => label(&step.draft.work),
            _ => None,
        };
        if label.is_some_and(|label| later.iter().any(|later| gives(&later.draft.work, &label))) {
            let why = "rows keep the new value of the enum type, which can only be removed while no row has it";
            step.draft.undo = UndoSource::None(why.to_owned());
            step.draft.harmless = &[];
        }
        rest = later;
    }
}

fn label(work: &Work) -> Option<String> {
    let Work::Sql(texts) = work else { return None };
    let statement = single(texts.first()?)?;
    Some(added(&statement.node)?.new_val.clone())
}

/// Whether the work may give the value to rows.
fn gives(work: &Work, label: &str) -> bool {
    match work {
        Work::Sql(texts) => texts.iter().any(|text| match single(text) {
            Some(statement) => !leaves_rows(&statement.node) && mentions(&statement.node, label),
            None => text.contains(label),
        }),
        Work::Backfill(backfill) => backfill.assignments.iter().any(|assignment| assignment.expression.contains(label)),
        Work::Check(_) => false,
        // Its statements are not here.
        Work::Script(_) => true,
    }
}

fn mentions(node: &NodeEnum, label: &str) -> bool {
    render::strings(node).iter().any(|text| text.contains(label))
}

/// Whether rows that stay are none of its business, or get back what they had with its own undo.
fn leaves_rows(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::AlterTableStmt(alter) => !retypes(alter),
        NodeEnum::AlterEnumStmt(_)
        | NodeEnum::CommentStmt(_)
        | NodeEnum::CreateFunctionStmt(_)
        | NodeEnum::CreatePolicyStmt(_)
        | NodeEnum::CreateStmt(_)
        | NodeEnum::CreateTrigStmt(_)
        | NodeEnum::IndexStmt(_)
        | NodeEnum::ViewStmt(_) => true,
        _ => false,
    }
}

fn retypes(alter: &AlterTableStmt) -> bool {
    alter.cmds.iter().any(|command| match &command.node {
        Some(NodeEnum::AlterTableCmd(command)) => command.subtype() == AlterTableType::AtAlterColumnType,
        _ => false,
    })
}
