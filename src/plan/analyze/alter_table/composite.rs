//! ALTER TYPE of a composite type: ADD, DROP and ALTER ATTRIBUTE, and what that does to typed tables.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, DropBehavior};

use super::work::Work;
use super::{column_type, drop_column};
use crate::catalog::types::resolve_type;
use crate::catalog::{Column, Name, TypeKind};
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::{missing_relation, wrong_kind};
use crate::plan::analyze::resolve::{Lookup, Rel};
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

pub(super) fn alter_type(
    statement: &AlterTableStmt,
    commands: &[&AlterTableCmd],
    resolver: &Resolver<'_>,
    mut impact: Impact,
) -> Impact {
    let Some(written) = &statement.relation else { return Impact::unanalyzable("the statement names no type") };
    let name = Qualified::from_range(written);
    let Some((name, attributes)) = find(name, resolver) else {
        match resolver.lookup(written) {
            Lookup::Found(found) => wrong_kind(&mut impact, &found.name.name, "a composite type"),
            _ if statement.missing_ok => {}
            _ => missing_relation(&mut impact, name),
        }
        return impact;
    };
    impact.lock(name.clone(), LockMode::AccessExclusive);
    let mut work = Work::new(resolver, impact, LockMode::AccessExclusive);
    let tables = resolver.typed_tables(name);
    let mut attributes = attributes.to_vec();
    for command in commands {
        let cascade = command.behavior() == DropBehavior::DropCascade;
        if !tables.is_empty() && !cascade {
            let message = format!("cannot alter type \"{}\" because it is the type of a typed table", name.name);
            work.impact.refuse("2BP01", message, "Use ALTER ... CASCADE to alter the typed tables too.");
        }
        for table in &tables {
            for member in resolver.tree(*table) {
                work.lock_hidden(member, LockMode::AccessExclusive, "it is a table of the type");
            }
        }
        attribute(&mut work, name, &mut attributes, &tables, command);
    }
    work.finish()
}

/// The composite type of that name, by the server's search path.
fn find<'a>(name: Qualified<'_>, resolver: &Resolver<'a>) -> Option<(&'a Name, &'a [Column])> {
    let catalog = resolver.catalog;
    let in_schema = |schema: &str| {
        let (name, found) = catalog.types.get_key_value(&Name::new(schema, name.name))?;
        match &found.kind {
            TypeKind::Composite { attributes } => Some((name, attributes.as_slice())),
            _ => None,
        }
    };
    if name.schema.is_empty() {
        catalog.server.search_path.iter().find_map(|schema| in_schema(schema))
    } else {
        in_schema(name.schema)
    }
}

fn attribute<'a>(
    work: &mut Work<'_, 'a>,
    of: &Name,
    attributes: &mut Vec<Column>,
    tables: &[Rel<'a>],
    command: &AlterTableCmd,
) {
    let node = command.def.as_ref().and_then(|def| def.node.as_ref());
    match (command.subtype(), node) {
        (AlterTableType::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => add(work, of, attributes, column),
        (AlterTableType::AtDropColumn, _) => {
            if attributes.iter().any(|known| known.name == command.name) {
                attributes.retain(|known| known.name != command.name);
                drop_attribute(work, of, tables, &command.name);
            } else if !command.missing_ok {
                missing(work, of, &command.name);
            }
        }
        (AlterTableType::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
            if !attributes.iter().any(|known| known.name == command.name) {
                return missing(work, of, &command.name);
            }
            change_type(work, of, tables, &command.name, column);
        }
        _ => work.impact.merge(Impact::unanalyzable("this form of ALTER TYPE has no rule")),
    }
}

fn missing(work: &mut Work<'_, '_>, of: &Name, attribute: &str) {
    let message = format!("column \"{attribute}\" of relation \"{}\" does not exist", of.name);
    work.impact.refuse("42703", message, "Check the spelling of the attribute.");
}

fn add(work: &mut Work<'_, '_>, of: &Name, attributes: &mut Vec<Column>, column: &ColumnDef) {
    if attributes.iter().any(|known| known.name == column.colname) {
        let message = format!("column \"{}\" of relation \"{}\" already exists", column.colname, of.name);
        work.impact.refuse("42701", message, "Choose another name.");
        return;
    }
    let Some(type_name) = &column.type_name else { return };
    match resolve_type(type_name, work.resolver.catalog) {
        Some(data_type) => attributes.push(Column::new(column.colname.clone(), data_type)),
        None => super::add_column::refuse_missing_type(work, type_name),
    }
}

fn drop_attribute<'a>(work: &mut Work<'_, 'a>, of: &Name, tables: &[Rel<'a>], name: &str) {
    for table in tables {
        for member in work.resolver.tree(*table) {
            drop_column::drop_from(work, member, name, true);
        }
        let message = format!("the values of {}.{} are lost", table.name, crate::sql::quote::ident(name));
        work.impact.hazard(HazardId::DataLoss, Some(table.name), message);
    }
    for (rel, column) in work.resolver.columns_of_type(of) {
        let message = format!(
            "the values of {} within {}.{} are lost",
            crate::sql::quote::ident(name),
            rel.name,
            crate::sql::quote::ident(&column.name)
        );
        work.impact.hazard(HazardId::DataLoss, Some(rel.name), message);
    }
}

/// Stored values of the type in columns cannot be changed; typed tables can.
fn change_type<'a>(work: &mut Work<'_, 'a>, of: &Name, tables: &[Rel<'a>], name: &str, new: &ColumnDef) {
    let Some(type_name) = &new.type_name else { return };
    let Some(to) = resolve_type(type_name, work.resolver.catalog) else {
        return super::add_column::refuse_missing_type(work, type_name);
    };
    for table in tables {
        for member in work.resolver.tree(*table) {
            column_type::change_in(work, member, name, new, &to);
        }
    }
    let stored = work.resolver.columns_of_type(of).into_iter().find(|(rel, _)| rel.relation.kind.has_heap());
    if let Some((rel, column)) = stored {
        let message =
            format!("cannot alter type \"{}\" because column \"{}.{}\" uses it", of.name, rel.name.name, column.name);
        work.impact.refuse("0A000", message, "Drop that column first, or make a new type.");
    }
}
