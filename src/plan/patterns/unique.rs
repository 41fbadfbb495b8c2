//! Unique constraints and primary keys through an index that is built concurrently.
//!
//! Traps: `USING INDEX` scans the table under the strongest lock when a key column of a primary key is not yet
//! known to be not null, so that comes first. The index gets the constraint's name, which is the name that the
//! server would have chosen. On a partitioned table a bare unique index of a leaf is not adopted, a constraint
//! of a leaf is: the leaves get theirs one by one, and the parent's takes them over without a scan.

use pg_query::NodeEnum;
use pg_query::protobuf::{ConstrType, Constraint, IndexStmt};

use super::parts::{self, Alter};
use crate::catalog::expression::strings;
use crate::catalog::{ConstraintKind, Name, RelationKind};
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::Stage;
use crate::sql::{quote, render};

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let alter = parts::alter(context)?;
    let primary = alter.constraint(ConstrType::ConstrPrimary);
    let constraint = primary.or_else(|| alter.constraint(ConstrType::ConstrUnique))?;
    if !constraint.indexname.is_empty() || constraint.without_overlaps || !context.heavy() {
        return None;
    }
    let mut pieces = Vec::new();
    if primary.is_some() {
        for column in strings(&constraint.keys) {
            if !alter.table.relation.column(&column)?.not_null {
                pieces.push(Piece::Change(format!(
                    "{} ALTER COLUMN {} SET NOT NULL",
                    parts::alter_prefix(alter.table.name, alter.only),
                    quote::ident(&column)
                )));
            }
        }
    }
    if alter.table.relation.kind == RelationKind::PartitionedTable {
        partitioned(context, &alter, constraint, &mut pieces)?;
    } else {
        single(context, &alter, constraint, &mut pieces)?;
    }
    Some(pieces)
}

fn is_key(kind: &ConstraintKind) -> bool {
    matches!(kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique)
}

fn kind_name(constraint: &Constraint) -> &'static str {
    if constraint.contype() == ConstrType::ConstrPrimary { "primary key" } else { "unique constraint" }
}

fn single(context: &Context<'_>, alter: &Alter<'_>, constraint: &Constraint, pieces: &mut Vec<Piece>) -> Option<()> {
    let table = alter.table.name;
    let after = context.after()?.relations.get(table)?;
    let new = parts::new_constraint(alter.table.relation, after, is_key)?;
    let index = new.index.clone().unwrap_or_else(|| Name::new(&*table.schema, &*new.name));
    let build = IndexStmt { idxname: index.name.clone(), ..parts::key_index(constraint, table) };
    pieces.push(
        Draft::sql(
            Stage::Expand,
            "create-index",
            format!("Builds unique index {index} on {table} while reads and writes go on"),
            render::render(&NodeEnum::IndexStmt(Box::new(build)))?,
        )
        .into(),
    );
    let using = parts::using_index(constraint, &new.name, &index);
    pieces.push(
        Draft::sql(
            Stage::Switch,
            "add-constraint",
            format!("Makes the index the {} {} of {table}", kind_name(constraint), quote::ident(&new.name)),
            parts::add_constraint(table, false, using)?,
        )
        .into(),
    );
    Some(())
}

fn partitioned<'a>(
    context: &Context<'a>,
    alter: &Alter<'a>,
    constraint: &Constraint,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let after = context.after()?;
    for leaf in context.look.leaves(alter.table) {
        let reached = after.relations.get(leaf.name)?;
        // A leaf that has a fitting constraint keeps it.
        let Some(new) = parts::new_constraint(leaf.relation, reached, is_key) else {
            continue;
        };
        let mut own = constraint.clone();
        own.conname.clone_from(&new.name);
        pieces.push(Piece::Change(parts::add_constraint(leaf.name, false, own)?));
    }
    let name = &parts::new_constraint(alter.table.relation, after.relations.get(alter.table.name)?, is_key)?.name;
    let mut whole = constraint.clone();
    whole.conname.clone_from(name);
    pieces.push(
        Draft::sql(
            Stage::Switch,
            "add-constraint",
            format!("Joins the constraints of the partitions to {} of {}", quote::ident(name), alter.table.name),
            parts::add_constraint(alter.table.name, alter.only, whole)?,
        )
        .into(),
    );
    Some(())
}
