//! Foreign keys: added without looking at the rows that are there (new ones are checked at once), then proven
//! under locks that let reads and writes go on.
//!
//! Traps: both in one transaction would hold the first step's lock on both tables during the scan. Before 18 a
//! partitioned table refuses `NOT VALID` (42809): each leaf gets its own, and the parent's constraint then takes
//! them over without a scan.

use pg_query::protobuf::{ConstrType, Constraint};

use super::parts::{self, Alter};
use crate::catalog::{ConstraintKind, Name, Relation, RelationKind};
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::Stage;
use crate::sql::quote;

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let alter = parts::alter(context)?;
    let constraint = alter.constraint(ConstrType::ConstrForeign)?;
    if constraint.skip_validation || !constraint.is_enforced || !context.heavy() {
        return None;
    }
    let referenced = context.look.relation(constraint.pktable.as_ref()?)?;
    let mut constraint = constraint.clone();
    constraint.pktable = Some(parts::range(referenced.name, false));
    if alter.table.relation.kind == RelationKind::PartitionedTable && context.major() < 18 {
        return partitioned(context, &alter, &constraint);
    }
    let table = alter.table.name;
    let name = new_name(context, alter.table.relation, table)?;
    Some(vec![
        Draft::sql(
            Stage::Expand,
            "add-foreign-key",
            format!(
                "Adds foreign key {} from {table} to {} for new rows; the rows that are there are not looked at yet",
                quote::ident(&name),
                referenced.name
            ),
            parts::add_constraint(table, alter.only, parts::not_valid(&constraint, &name))?,
        )
        .into(),
        validate_draft(table, &name).into(),
    ])
}

/// The step that proves a constraint against the rows that are there.
pub(super) fn validate_draft(table: &Name, name: &str) -> Draft {
    Draft::sql(
        Stage::Validate,
        "validate",
        format!("Reads {table} to prove {} while reads and writes go on", quote::ident(name)),
        parts::validate(table, name),
    )
}

/// The name that the server chooses, or the author chose, for the new foreign key of `table`.
fn new_name(context: &Context<'_>, before: &Relation, table: &Name) -> Option<String> {
    let after = context.after()?.relations.get(table)?;
    let wanted = |kind: &ConstraintKind| matches!(kind, ConstraintKind::ForeignKey { .. });
    Some(parts::new_constraint(before, after, wanted)?.name.clone())
}

fn partitioned<'a>(context: &Context<'a>, alter: &Alter<'a>, constraint: &Constraint) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for leaf in context.look.leaves(alter.table) {
        let Some(name) = new_name(context, leaf.relation, leaf.name) else {
            continue;
        };
        let mut own = constraint.clone();
        own.conname = name;
        pieces.push(Piece::Change(parts::add_constraint(leaf.name, false, own)?));
    }
    let name = new_name(context, alter.table.relation, alter.table.name)?;
    let mut whole = constraint.clone();
    whole.conname.clone_from(&name);
    pieces.push(
        Draft::sql(
            Stage::Switch,
            "add-foreign-key",
            format!(
                "Joins the proven foreign keys of the partitions to {} of {}",
                quote::ident(&name),
                alter.table.name
            ),
            parts::add_constraint(alter.table.name, alter.only, whole)?,
        )
        .into(),
    );
    Some(pieces)
}
