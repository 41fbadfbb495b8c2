//! `ADD COLUMN`.

use pg_query::protobuf::{AlterTableCmd, ConstrType, node};

use super::super::constraint::Wished;
use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::super::table::columns::{self, Prepared};
use super::super::table::inherit;
use super::Target;
use crate::catalog::Name;
use crate::sql::quote;

/// Adds the column; its constraints are left to be added with those of the statement.
pub(super) fn add(
    edit: &mut Edit<'_>,
    target: Target<'_>,
    command: &AlterTableCmd,
    later: &mut Vec<Wished>,
) -> Outcome {
    let Some(node::Node::ColumnDef(definition)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement defines no column");
    };
    let table = target.table;
    let relation = edit.relation(table)?;
    if relation.column(&definition.colname).is_some() {
        if command.missing_ok {
            return Ok(());
        }
        fail!("column {} of {table} already exists", quote::ident(&definition.colname));
    }
    let children = names::children(edit, table);
    if !target.recurse && !children.is_empty() {
        fail!("column {} must be added to the children of {table} too", quote::ident(&definition.colname));
    }
    if relation.partition_bound.is_some() {
        fail!("a column cannot be added to partition {table}");
    }
    if relation.of_type.is_some() {
        fail!("a column cannot be added to typed table {table}");
    }
    let prepared = columns::prepare(edit, definition)?;
    if prepared.column.identity.is_some() && !children.is_empty() && edit.major() < 17 {
        fail!("an identity column cannot be added to {table}, which has children");
    }
    let prepared = [prepared];
    let relation = edit.relation(table)?.clone();
    let sequences = columns::create_sequences(edit, table, &relation, &prepared)?;
    let mut column = prepared[0].column.clone();
    column.inherited = 0;
    edit.relation_mut(table)?.columns.push(column);
    columns::finish(edit, table, &prepared, &sequences)?;
    for child in children {
        descend(edit, &child, table, &definition.colname)?;
    }
    later.extend(wished(&prepared[0]));
    Ok(())
}

/// Constraints of a new column: all rows satisfy them, or the server has checked that they do.
fn wished(prepared: &Prepared) -> impl Iterator<Item = Wished> {
    prepared.wished.iter().map(|wish| {
        let mut wish = wish.clone();
        wish.new |= wish.kind() == ConstrType::ConstrForeign && !prepared.fills_rows();
        wish
    })
}

/// The parent's new column in a child: merged with one of that name, or added.
fn descend(edit: &mut Edit<'_>, child: &Name, parent: &Name, column: &str) -> Outcome {
    let partition = edit.relation(child)?.partition_bound.is_some();
    let Some(of_parent) = edit.relation(parent)?.column(column).cloned() else { return Ok(()) };
    let mut own = inherit::inherited(edit, &of_parent, partition);
    own.not_null = false;
    let relation = edit.relation_mut(child)?;
    match relation.columns.iter_mut().find(|candidate| candidate.name == column) {
        Some(existing) if existing.data_type == of_parent.data_type => {
            existing.inherited += 1;
            return Ok(());
        }
        Some(_) => fail!("column {} of {child} has another type", quote::ident(column)),
        None => relation.columns.push(own),
    }
    inherit::own_references(edit, child, parent)?;
    for below in names::children(edit, child) {
        descend(edit, &below, child, column)?;
    }
    Ok(())
}
