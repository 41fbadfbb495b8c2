//! `ALTER COLUMN`: defaults, NOT NULL, generation expressions, statistics, storage.

use pg_query::protobuf::{AlterTableCmd, AlterTableType, DefElemAction, node};

use super::super::constraint::drop::disinherit;
use super::super::constraint::not_null::{self, Request};
use super::super::edit::{Edit, Outcome, fail};
use super::super::table::columns;
use super::super::{names, options};
use super::{Target, tables};
use crate::catalog::{Column, ConstraintKind, Name, RelationKind};
use crate::sql::quote;

fn column<'a>(edit: &'a mut Edit<'_>, table: &Name, name: &str) -> Outcome<&'a mut Column> {
    match edit.relation_mut(table)?.columns.iter_mut().find(|column| column.name == name) {
        Some(column) => Ok(column),
        None => fail!("column {} of {table} does not exist", quote::ident(name)),
    }
}

/// Changes the column in every table the subcommand touches.
fn each(edit: &mut Edit<'_>, target: Target<'_>, name: &str, change: impl Fn(&mut Column)) -> Outcome {
    for table in tables(edit, target) {
        if table == *target.table || edit.relation(&table)?.column(name).is_some() {
            change(column(edit, &table, name)?);
        }
    }
    Ok(())
}

/// `SET DEFAULT`, `DROP DEFAULT`.
pub(super) fn set_default(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let own = column(edit, target.table, &command.name)?;
    if own.identity.is_some() {
        fail!("column {} of {} is an identity column", quote::ident(&command.name), target.table);
    }
    if own.generated.is_some() {
        fail!("column {} of {} is a generated column", quote::ident(&command.name), target.table);
    }
    for table in tables(edit, target) {
        columns::set_default(edit, &table, &command.name, command.def.as_deref())?;
    }
    Ok(())
}

/// `SET NOT NULL`.
pub(super) fn set_not_null(edit: &mut Edit<'_>, target: Target<'_>, name: &str) -> Outcome {
    column(edit, target.table, name)?;
    // ALTER TABLE ONLY on a parent acts as if NO INHERIT had been said.
    let no_inherit = !target.recurse && !names::children(edit, target.table).is_empty();
    not_null::set(edit, target.table, name, &Request { no_inherit, ..Request::plain() })?;
    if !target.recurse {
        return Ok(());
    }
    let constraint = not_null::of_column(edit, target.table, name).map(|constraint| constraint.name.clone());
    not_null::descend(edit, target.table, name, constraint.as_deref(), true)
}

/// `DROP NOT NULL`.
pub(super) fn drop_not_null(edit: &mut Edit<'_>, target: Target<'_>, name: &str) -> Outcome {
    let table = target.table;
    let own = column(edit, table, name)?;
    if !own.not_null {
        return Ok(());
    }
    if own.identity.is_some() {
        fail!("column {} of {table} is an identity column", quote::ident(name));
    }
    let relation = edit.relation(table)?;
    let in_primary_key = relation.constraints.iter().any(|constraint| {
        constraint.kind == ConstraintKind::PrimaryKey && constraint.columns.iter().any(|column| column == name)
    });
    if in_primary_key {
        fail!("column {} of {table} is in the primary key", quote::ident(name));
    }
    if edit.major() >= 18 {
        let Some(constraint) = not_null::of_column(edit, table, name).cloned() else {
            column(edit, table, name)?.not_null = false;
            return Ok(());
        };
        if constraint.inherited > 0 {
            fail!("the not-null constraint of column {} of {table} is inherited", quote::ident(name));
        }
        super::super::constraint::drop::remove(edit, table, &constraint.name, false)?;
        for child in names::children(edit, table) {
            disinherit(edit, &child, &constraint, target.recurse)?;
        }
        return Ok(());
    }
    // Before 18 children of plain inheritance follow as well; nothing keeps count.
    each(edit, target, name, |column| column.not_null = false)
}

/// `SET EXPRESSION AS`.
pub(super) fn set_expression(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let Some(expression) = command.def.as_deref() else { fail!("the statement has no expression") };
    for table in tables(edit, target) {
        let Some(kind) = column(edit, &table, &command.name)?.generated else {
            fail!("column {} of {table} is not a generated column", quote::ident(&command.name));
        };
        columns::set_generated(edit, &table, &command.name, kind, expression)?;
    }
    Ok(())
}

/// `DROP EXPRESSION`.
pub(super) fn drop_expression(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let own = column(edit, target.table, &command.name)?;
    if own.generated.is_none() {
        if command.missing_ok {
            return Ok(());
        }
        fail!("column {} of {} is not a generated column", quote::ident(&command.name), target.table);
    }
    each(edit, target, &command.name, |column| {
        column.generated = None;
        column.default = None;
        column.references.clear();
        column.functions.clear();
    })
}

/// `SET STATISTICS`, of an index's expression column by number too.
pub(super) fn set_statistics(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let wished = names::option_text(command.def.as_deref()).and_then(|text| text.parse::<i32>().ok());
    let wished = wished.filter(|target| *target >= 0).map(|target| target.min(10_000));
    if edit.relation(target.table)?.kind.is_index() {
        let Some(index) = &mut edit.relation_mut(target.table)?.index else { return Ok(()) };
        let at = usize::try_from(command.num).unwrap_or(0).saturating_sub(1);
        match index.keys.get_mut(at) {
            Some(key) => key.statistics_target = wished,
            None => fail!("index {} has no column number {}", target.table, command.num),
        }
        return Ok(());
    }
    let name = match usize::try_from(command.num) {
        Ok(number) if number > 0 && command.name.is_empty() => {
            let columns = &edit.relation(target.table)?.columns;
            columns.get(number - 1).map(|column| column.name.clone()).unwrap_or_default()
        }
        _ => command.name.clone(),
    };
    each(edit, target, &name, |column| column.statistics_target = wished)
}

/// `SET (n_distinct = ..)`, `RESET (..)`: of one table, as the server does not recurse here.
pub(super) fn set_options(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let items = match command.def.as_deref().and_then(|def| def.node.as_ref()) {
        Some(node::Node::List(list)) => list.items.clone(),
        _ => Vec::new(),
    };
    let reset = command.subtype == AlterTableType::AtResetOptions as i32;
    each(edit, target, &command.name, |column| {
        if reset {
            options::reset(&mut column.options, &items);
        } else {
            options::set(&mut column.options, &items);
        }
    })
}

/// `SET STORAGE`; indexes have none of their own in the catalog.
pub(super) fn set_storage(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let wished = names::option_text(command.def.as_deref()).unwrap_or_default();
    each(edit, target, &command.name, |column| column.storage = columns::storage(&column.data_type, &wished))
}

/// `SET COMPRESSION`.
pub(super) fn set_compression(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let wished = names::option_text(command.def.as_deref()).filter(|method| method != "default");
    each(edit, target, &command.name, |column| column.compression.clone_from(&wished))
}

/// `OPTIONS (ADD .., SET .., DROP ..)` of a foreign table's column.
pub(super) fn foreign_options(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    let items = match command.def.as_deref().and_then(|def| def.node.as_ref()) {
        Some(node::Node::List(list)) => list.items.clone(),
        _ => Vec::new(),
    };
    if edit.relation(target.table)?.kind != RelationKind::ForeignTable {
        fail!("{} is not a foreign table", target.table);
    }
    change_foreign_options(&mut column(edit, target.table, &command.name)?.foreign_options, &items);
    Ok(())
}

/// Adds, sets and drops options of a foreign-data wrapper.
pub(super) fn change_foreign_options(current: &mut Vec<String>, items: &[pg_query::protobuf::Node]) {
    for element in names::options(items) {
        let entry = format!("{}={}", element.defname, names::option_text(element.arg.as_deref()).unwrap_or_default());
        let is_same = |own: &String| own.split_once('=').is_some_and(|(name, _)| name == element.defname);
        match DefElemAction::try_from(element.defaction) {
            Ok(DefElemAction::DefelemDrop) => current.retain(|own| !is_same(own)),
            Ok(DefElemAction::DefelemSet) => {
                if let Some(own) = current.iter_mut().find(|own| is_same(own)) {
                    *own = entry;
                }
            }
            _ => current.push(entry),
        }
    }
}
