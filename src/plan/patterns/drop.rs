//! Dropping columns and tables: late, and a step that waits for its own permission.
//!
//! Trap: dropping a table or column that carries a foreign key locks the referenced table as strongly as the
//! dropped one. The foreign key goes first, in a transaction of its own.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, DropBehavior, DropStmt, ObjectType};

use super::parts;
use crate::catalog::ConstraintKind;
use crate::catalog::expression::strings;
use crate::plan::analyze::{Lookup, Rel};
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::Stage;
use crate::sql::{quote, render};

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    match &context.statement.node {
        NodeEnum::DropStmt(drop) if drop.remove_type() == ObjectType::ObjectTable => tables(context, drop),
        NodeEnum::AlterTableStmt(_) => column(context),
        _ => None,
    }
}

fn column(context: &Context<'_>) -> Option<Vec<Piece>> {
    let alter = parts::alter(context)?;
    if alter.command.subtype() != AlterTableType::AtDropColumn || context.private(alter.table.name) {
        return None;
    }
    let (table, name) = (alter.table, &alter.command.name);
    if table.relation.column(name).is_none() {
        return alter.command.missing_ok.then(Vec::new);
    }
    let mut pieces = foreign_keys(context, table, Some(name));
    pieces.push(
        Draft::sql(
            Stage::Contract,
            "drop-column",
            format!("Drops column {} of {} with its values", quote::ident(name), table.name),
            parts::alter_table(table.name, alter.only, alter.command.clone())?,
        )
        .late()
        .into(),
    );
    Some(pieces)
}

fn tables(context: &Context<'_>, drop: &DropStmt) -> Option<Vec<Piece>> {
    let mut found = Vec::new();
    let mut statement = drop.clone();
    statement.objects.clear();
    for object in &drop.objects {
        let NodeEnum::List(list) = object.node.as_ref()? else {
            return None;
        };
        let names = strings(&list.items);
        let (schema, name) = match names.as_slice() {
            [name] => ("", name.as_str()),
            [schema, name] => (schema.as_str(), name.as_str()),
            _ => return None,
        };
        match context.look.lookup_name(schema, name) {
            Lookup::Found(table) => {
                let mut qualified = list.clone();
                qualified.items = vec![parts::string(&table.name.schema), parts::string(&table.name.name)];
                statement.objects.push(parts::node(NodeEnum::List(qualified)));
                found.push(table);
            }
            _ if drop.missing_ok => {}
            _ => return None,
        }
    }
    if found.iter().all(|table| context.private(table.name)) {
        return found.is_empty().then(Vec::new);
    }
    let mut pieces: Vec<Piece> = found.iter().flat_map(|table| foreign_keys(context, *table, None)).collect();
    let list: Vec<String> = found.iter().map(|table| table.name.to_string()).collect();
    pieces.push(
        Draft::sql(
            Stage::Contract,
            "drop-table",
            format!(
                "Drops {} with {} rows{}",
                list.join(", "),
                if list.len() == 1 { "its" } else { "their" },
                if drop.behavior() == DropBehavior::DropCascade { " and all that depends on it" } else { "" }
            ),
            render::render(&NodeEnum::DropStmt(statement))?,
        )
        .late()
        .into(),
    );
    Some(pieces)
}

/// Foreign keys of the table (over the column, if one is named) to other tables that are in use.
fn foreign_keys(context: &Context<'_>, table: Rel<'_>, column: Option<&String>) -> Vec<Piece> {
    table
        .relation
        .constraints
        .iter()
        .filter(|constraint| match &constraint.kind {
            ConstraintKind::ForeignKey { references, from_parent, .. } => {
                !from_parent && constraint.inherited == 0 && *references != *table.name && !context.private(references)
            }
            _ => false,
        })
        .filter(|constraint| column.is_none_or(|column| constraint.columns.contains(column)))
        .map(|constraint| {
            let name = quote::ident(&constraint.name);
            Draft::sql(
                Stage::Contract,
                "drop-foreign-key",
                format!(
                    "Drops foreign key {name} of {}, so that the other table is locked no longer than that",
                    table.name
                ),
                format!("ALTER TABLE {} DROP CONSTRAINT {name}", table.name),
            )
            .late()
            .into()
        })
        .collect()
}
