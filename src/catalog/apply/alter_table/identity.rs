//! Identity columns.

use pg_query::protobuf::{AlterTableCmd, Node, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::{drop, names, sequence};
use super::{Target, tables};
use crate::catalog::{Column, Identity, Name};
use crate::sql::quote;

fn found<'a>(edit: &'a Edit<'_>, table: &Name, name: &str) -> Outcome<&'a Column> {
    match edit.relation(table)?.column(name) {
        Some(column) => Ok(column),
        None => fail!("column {} of {table} does not exist", quote::ident(name)),
    }
}

fn mark(edit: &mut Edit<'_>, target: Target<'_>, name: &str, identity: Option<Identity>) -> Outcome {
    for table in tables(edit, target) {
        for column in &mut edit.relation_mut(&table)?.columns {
            if column.name == name {
                column.identity = identity;
            }
        }
    }
    Ok(())
}

/// `ADD GENERATED .. AS IDENTITY`.
pub(super) fn add(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let Some(node::Node::Constraint(wished)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement defines no identity");
    };
    let column = found(edit, target.table, &command.name)?;
    if column.identity.is_some() || column.default.is_some() || !column.not_null {
        fail!(
            "column {} of {} must be NOT NULL and have no default or identity",
            quote::ident(&command.name),
            target.table
        );
    }
    let data_type = sequence::data_type(&column.data_type.name.name);
    let relation = edit.relation(target.table)?;
    let of = (relation.persistence, relation.owner.clone());
    let name = sequence::add_for_column(edit, target.table, &command.name, data_type, &wished.options, of)?;
    let identity = if wished.generated_when == "a" { Identity::Always } else { Identity::ByDefault };
    mark(edit, target, &command.name, Some(identity))?;
    sequence::own(edit, &name, target.table, &command.name, true)
}

/// `SET GENERATED`, `SET <sequence option>`, `RESTART`.
pub(super) fn set(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let items: &[Node] = match command.def.as_deref().and_then(|def| def.node.as_ref()) {
        Some(node::Node::List(list)) => &list.items,
        _ => &[],
    };
    let column = found(edit, target.table, &command.name)?;
    if column.identity.is_none() {
        fail!("column {} of {} is not an identity column", quote::ident(&command.name), target.table);
    }
    let owned = column.owned_sequence.clone();
    if let Some(element) = names::options(items).find(|element| element.defname == "generated") {
        let always = match element.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
            Some(node::Node::Integer(letter)) => letter.ival == i32::from(b'a'),
            Some(node::Node::String(letter)) => letter.sval == "a",
            _ => false,
        };
        let identity = if always { Identity::Always } else { Identity::ByDefault };
        mark(edit, target, &command.name, Some(identity))?;
    }
    match owned {
        Some(owned) => sequence::alter_numbers(edit, &owned, items),
        None => Ok(()),
    }
}

/// `DROP IDENTITY`: the sequence goes, NOT NULL stays.
pub(super) fn drop(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let column = found(edit, target.table, &command.name)?;
    if column.identity.is_none() {
        if command.missing_ok {
            return Ok(());
        }
        fail!("column {} of {} is not an identity column", quote::ident(&command.name), target.table);
    }
    let owned = column.owned_sequence.clone();
    mark(edit, target, &command.name, None)?;
    match owned {
        Some(owned) => drop::objects(edit, &[drop::Object::Relation(owned)], false),
        None => Ok(()),
    }
}
