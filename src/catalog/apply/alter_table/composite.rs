//! `ALTER TYPE` of composite types, and the typed tables that follow.

use pg_query::protobuf::{AlterTableCmd, AlterTableType, DropBehavior, Node, RangeVar, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::table::columns;
use super::super::{drop, names, owner};
use super::dependents::{indexes, rebuild};
use super::kind;
use crate::catalog::expression::strings;
use crate::catalog::{Column, Name, Relation, TypeKind};
use crate::sql::quote;

/// `ALTER TYPE .. ADD | DROP | ALTER ATTRIBUTE`, `OWNER TO`.
pub(super) fn alter(edit: &mut Edit<'_>, range: &RangeVar, commands: &[Node]) -> Outcome {
    let mut parts = vec![range.relname.clone()];
    if !range.schemaname.is_empty() {
        parts.insert(0, range.schemaname.clone());
    }
    let name = names::existing_type(edit, &parts)?;
    for node in commands {
        if let Some(node::Node::AlterTableCmd(command)) = &node.node {
            self::command(edit, &name, command)?;
        }
    }
    Ok(())
}

fn command(edit: &mut Edit<'_>, name: &Name, command: &AlterTableCmd) -> Outcome {
    if kind(command) == AlterTableType::AtChangeOwner {
        let Some(new) = &command.newowner else { fail!("the statement names no owner") };
        let new = names::role(edit, new);
        return owner::of_type(edit, name, &new);
    }
    let cascade = command.behavior == DropBehavior::DropCascade as i32;
    let typed: Vec<Name> = edit
        .relations
        .referring_to(name)
        .filter(|(_, relation)| relation.of_type.as_ref() == Some(name))
        .map(|(table, _)| table.clone())
        .collect();
    if !typed.is_empty() && !cascade {
        fail!("typed table {} depends on {name}", typed[0]);
    }
    match kind(command) {
        AlterTableType::AtAddColumn => {
            let column = definition(edit, command)?;
            attributes(edit, name)?.push(column.clone());
            for table in typed {
                edit.relation_mut(&table)?.columns.push(column.clone());
            }
            Ok(())
        }
        AlterTableType::AtDropColumn => {
            let exists = attributes(edit, name)?.iter().any(|own| own.name == command.name);
            if !exists {
                if command.missing_ok {
                    return Ok(());
                }
                fail!("attribute {} of {name} does not exist", quote::ident(&command.name));
            }
            attributes(edit, name)?.retain(|own| own.name != command.name);
            let columns: Vec<drop::Object> =
                typed.into_iter().map(|table| drop::Object::Column(table, command.name.clone())).collect();
            drop::objects(edit, &columns, cascade)
        }
        AlterTableType::AtAlterColumnType => alter_type(edit, name, command, &typed),
        other => fail!("{} has no rule for ALTER TYPE", other.as_str_name()),
    }
}

fn attributes<'a>(edit: &'a mut Edit<'_>, name: &Name) -> Outcome<&'a mut Vec<Column>> {
    match &mut edit.type_mut(name)?.kind {
        TypeKind::Composite { attributes } => Ok(attributes),
        _ => fail!("{name} is not a composite type"),
    }
}

fn definition(edit: &Edit<'_>, command: &AlterTableCmd) -> Outcome<Column> {
    let Some(node::Node::ColumnDef(definition)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement defines no attribute");
    };
    let name = if definition.colname.is_empty() { &command.name } else { &definition.colname };
    let mut column = Column::new(name.clone(), names::data_type(edit, definition.type_name.as_ref())?);
    if let Some(collate) = &definition.coll_clause {
        column.collation = columns::named_collation(edit, &column, &strings(&collate.collname));
    }
    Ok(column)
}

fn alter_type(edit: &mut Edit<'_>, name: &Name, command: &AlterTableCmd, typed: &[Name]) -> Outcome {
    let new = definition(edit, command)?;
    let uses = |relation: &Relation| relation.columns.iter().any(|column| column.data_type.name == *name);
    if let Some((user, _)) = edit.relations.referring_to(name).find(|(_, relation)| uses(relation)) {
        fail!("{user} has a column of type {name}");
    }
    match attributes(edit, name)?.iter_mut().find(|own| own.name == command.name) {
        Some(own) => {
            own.data_type = new.data_type.clone();
            own.collation.clone_from(&new.collation);
        }
        None => fail!("attribute {} of {name} does not exist", quote::ident(&command.name)),
    }
    for table in typed {
        let indexes = indexes(edit, table, &command.name)?;
        for column in &mut edit.relation_mut(table)?.columns {
            if column.name == command.name {
                column.data_type = new.data_type.clone();
                column.collation.clone_from(&new.collation);
            }
        }
        rebuild(edit, table, &command.name, &indexes)?;
    }
    Ok(())
}
