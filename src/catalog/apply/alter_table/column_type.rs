//! `ALTER COLUMN TYPE`.

use pg_query::protobuf::{AlterTableCmd, ColumnDef, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::table::columns;
use super::super::{names, sequence};
use super::dependents::{blocked, indexes, rebuild};
use super::{Target, tables};
use crate::catalog::expression::{self, Scope, Type, pathway, strings};
use crate::catalog::{DataType, Name};
use crate::sql::quote;

/// `ALTER COLUMN TYPE`: the column, its default, and the definitions that mention it.
pub(super) fn alter(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let Some(node::Node::ColumnDef(definition)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement names no type");
    };
    let data_type = names::data_type(edit, definition.type_name.as_ref())?;
    for table in tables(edit, target) {
        let Some(column) = edit.relation(&table)?.column(&command.name) else {
            fail!("column {} of {table} does not exist", quote::ident(&command.name));
        };
        if column.inherited > 0 && table == *target.table {
            fail!("column {} of {table} is inherited", quote::ident(&command.name));
        }
        if let Some(reason) = blocked(edit, &table, &command.name)? {
            fail!("{reason} depends on the type of column {} of {table}", quote::ident(&command.name));
        }
    }
    if let Some(using) = definition.raw_default.as_deref() {
        let relation = edit.relation(target.table)?;
        expression::cook(edit, &Scope::table(target.table, relation), using)?;
    }
    let mut touched = Vec::new();
    for table in tables(edit, target) {
        let indexes = indexes(edit, &table, &command.name)?;
        one(edit, &table, &command.name, definition, &data_type)?;
        touched.push((table, indexes));
    }
    for (table, indexes) in &touched {
        rebuild(edit, table, &command.name, indexes)?;
    }
    Ok(())
}

fn one(edit: &mut Edit<'_>, table: &Name, name: &str, definition: &ColumnDef, data_type: &DataType) -> Outcome {
    let Some(old) = edit.relation(table)?.column(name).cloned() else { return Ok(()) };
    let mut new = old.clone();
    new.data_type = data_type.clone().into();
    new.collation = match &definition.coll_clause {
        Some(collate) => columns::named_collation(edit, &new, &strings(&collate.collname)),
        None => None,
    };
    if old.data_type.name != data_type.name || old.data_type.array != data_type.array {
        // The new type's own storage.
        new.storage = None;
    }
    if old.data_type.name != data_type.name {
        let collatable = Type::of(data_type).is_collatable(edit);
        if !collatable {
            new.compression.take_if(|_| !is_varlena(data_type));
        }
    }
    let owned = new.owned_sequence.clone().filter(|_| new.identity.is_some());
    for column in &mut edit.relation_mut(table)?.columns {
        if column.name == name {
            *column = new.clone();
        }
    }
    if let Some(text) = &old.default
        && old.generated.is_none()
    {
        recast_default(edit, table, name, text, (&old.data_type, data_type))?;
    }
    if let Some(owned) = owned {
        let to = sequence::data_type(&data_type.name.name);
        sequence::alter_type(edit, &owned, to)?;
    }
    Ok(())
}

fn is_varlena(data_type: &DataType) -> bool {
    data_type.array
        || crate::catalog::builtin::type_by_name(&data_type.name.name, 18).is_none_or(|found| found.storage != 'p')
}

/// The default is cast to the new type as by assignment.
fn recast_default(
    edit: &mut Edit<'_>,
    table: &Name,
    column: &str,
    text: &str,
    (old, new): (&DataType, &DataType),
) -> Outcome {
    let (old, new) = (Type::of(old), Type::of(new));
    if pathway(edit, &old, &new, 'a').is_none() {
        fail!("the default of column {} of {table} cannot be cast to the new type", quote::ident(column));
    }
    let node = super::super::index::parse(text)?;
    columns::set_default(edit, table, column, Some(&node))?;
    let shown = expression::cook_recast(edit, &node, &old, &new)?;
    for own in &mut edit.relation_mut(table)?.columns {
        if own.name == column && own.default.is_some() {
            own.default = Some(shown.clone());
        }
    }
    Ok(())
}
