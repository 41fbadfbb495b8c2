//! Another primary key or unique constraint in the place of one that goes, in one `ALTER TABLE`: the new index is
//! built first, and the two constraints change places in one short transaction, so that the rows are never
//! without a key.
//!
//! Trap: the new constraint may have the old one's name. Its index is built under another one and gets the name
//! when the constraint takes it over.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType, ConstrType, Constraint, IndexStmt};

use super::parts;
use crate::catalog::expression::strings;
use crate::catalog::{ConstraintKind, Name, RelationKind, naming};
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::Stage;
use crate::sql::{quote, render};

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let statement = parts::alter_statement(context)?;
    let [one, other] = statement.cmds.as_slice() else {
        return None;
    };
    let (one, other) = (command(&one.node)?, command(&other.node)?);
    let (drop, add) = if one.subtype() == AlterTableType::AtDropConstraint { (one, other) } else { (other, one) };
    let constraint = new_key(add)?;
    if drop.subtype() != AlterTableType::AtDropConstraint || !context.heavy() {
        return None;
    }
    let range = statement.relation.as_ref()?;
    let table = parts::table(context, range)?;
    let is_key = |kind: &ConstraintKind| matches!(kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique);
    if table.relation.kind != RelationKind::Table || !is_key(&table.relation.constraint(&drop.name)?.kind) {
        return None;
    }
    let mut pieces = Vec::new();
    let keys = strings(&constraint.keys);
    if constraint.contype() == ConstrType::ConstrPrimary {
        for column in keys.iter().filter(|name| table.relation.column(name).is_some_and(|column| !column.not_null)) {
            pieces.push(Piece::Change(format!(
                "ALTER TABLE {} ALTER COLUMN {} SET NOT NULL",
                table.name,
                quote::ident(column)
            )));
        }
    }
    // What the catalog after the change has and the one before has not, but for the name it may have taken over.
    let mut before = table.relation.clone();
    before.constraints.retain(|known| known.name != drop.name);
    let new = parts::new_constraint(&before, context.after()?.relations.get(table.name)?, is_key)?.name.clone();
    let taken = (&*table.name.name, &*naming::joined(&keys), "idx");
    let index =
        Name::new(&*table.name.schema, &*naming::relation_name(context.before(), &table.name.schema, taken, false));
    let build = IndexStmt { idxname: index.name.clone(), ..parts::key_index(constraint, table.name) };
    pieces.push(
        Draft::sql(
            Stage::Expand,
            "create-index",
            format!("Builds unique index {index} on {} while reads and writes go on", table.name),
            render::render(&NodeEnum::IndexStmt(Box::new(build)))?,
        )
        .into(),
    );
    let using = AlterTableCmd {
        def: Some(Box::new(parts::node(NodeEnum::Constraint(Box::new(parts::using_index(constraint, &new, &index)))))),
        ..add.clone()
    };
    pieces.push(
        Draft::sql(
            Stage::Switch,
            "replace-constraint",
            format!("Puts {} of {} in the place of {}", quote::ident(&new), table.name, quote::ident(&drop.name)),
            parts::alter_table_of(table.name, false, vec![drop.clone(), using])?,
        )
        .into(),
    );
    Some(pieces)
}

fn command(node: &Option<NodeEnum>) -> Option<&AlterTableCmd> {
    match node {
        Some(NodeEnum::AlterTableCmd(command)) => Some(command),
        _ => None,
    }
}

/// The key that `ADD CONSTRAINT` builds an index for.
fn new_key(add: &AlterTableCmd) -> Option<&Constraint> {
    match add.def.as_ref()?.node.as_ref()? {
        NodeEnum::Constraint(constraint)
            if matches!(constraint.contype(), ConstrType::ConstrPrimary | ConstrType::ConstrUnique)
                && constraint.indexname.is_empty()
                && !constraint.without_overlaps =>
        {
            Some(constraint)
        }
        _ => None,
    }
}
