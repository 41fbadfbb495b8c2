//! Tables and columns that lose their values somewhere in a plan, by every name that they have in it: the way back brings
//! them without these, also where others of their names have taken their places meanwhile.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, ObjectType};

use super::analyze::{Lookup, Resolver};
use super::author::Authored;
use crate::catalog::{Catalog, Name, Relation, apply::apply};

/// What is lost.
#[derive(Debug, Default)]
pub(super) struct Lost {
    tables: BTreeSet<Name>,
    columns: BTreeSet<(Name, String)>,
}

/// What becomes of something, in the order of the statements.
enum Event {
    Table(Name),
    Column(Name, String),
    TableMoves(Name, Name),
    ColumnMoves(Name, String, String),
}

impl Lost {
    /// Follows the statements from the catalog `start` on.
    pub fn of(authored: &[Authored<'_>], start: &Catalog) -> Self {
        if !authored.iter().any(|authored| may_lose(&authored.statement.node)) {
            return Self::default();
        }
        let mut catalog = start.clone();
        let mut events = Vec::new();
        for authored in authored {
            catalog.server = start.server.clone();
            authored.settings.enter(&mut catalog);
            let before = catalog.clone();
            if apply(&mut catalog, authored.statement).is_ok() {
                observe(&authored.statement.node, &before, &catalog, &mut events);
            } else {
                catalog = before;
            }
        }
        let mut lost = Self::default();
        events.into_iter().rev().for_each(|event| lost.take(event));
        lost
    }

    /// Whether a table of that name is dropped.
    pub fn table(&self, name: &Name) -> bool {
        self.tables.contains(name)
    }

    /// Whether a column of that name is dropped.
    pub fn column(&self, table: &Name, column: &str) -> bool {
        self.columns.contains(&(table.clone(), column.to_owned()))
    }

    /// The last event first: what it leads to is known then.
    fn take(&mut self, event: Event) {
        match event {
            Event::Table(name) => {
                self.tables.insert(name);
            }
            Event::Column(table, column) => {
                self.columns.insert((table, column));
            }
            Event::TableMoves(from, to) => {
                let columns = self.columns.iter().filter(|(table, _)| *table == to);
                let columns: Vec<_> = columns.map(|(_, column)| (from.clone(), column.clone())).collect();
                self.columns.extend(columns);
                if self.tables.contains(&to) {
                    self.tables.insert(from);
                }
            }
            Event::ColumnMoves(table, from, to) => {
                if self.column(&table, &to) {
                    self.columns.insert((table, from));
                }
            }
        }
    }
}

/// Whether a table or a column may go by the statement.
fn may_lose(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::AlterTableStmt(_) => dropped_columns(node).next().is_some(),
        NodeEnum::DropStmt(drop) => !matches!(
            drop.remove_type(),
            ObjectType::ObjectIndex
                | ObjectType::ObjectPolicy
                | ObjectType::ObjectRule
                | ObjectType::ObjectTrigger
                | ObjectType::ObjectView
        ),
        NodeEnum::DropOwnedStmt(_) | NodeEnum::DoStmt(_) => true,
        _ => false,
    }
}

fn dropped_columns(node: &NodeEnum) -> impl Iterator<Item = &str> {
    let commands = match node {
        NodeEnum::AlterTableStmt(alter) => alter.cmds.as_slice(),
        _ => &[],
    };
    commands.iter().filter_map(|command| match command.node.as_ref()? {
        NodeEnum::AlterTableCmd(command) if command.subtype() == AlterTableType::AtDropColumn => {
            Some(command.name.as_str())
        }
        _ => None,
    })
}

fn observe(node: &NodeEnum, before: &Catalog, after: &Catalog, events: &mut Vec<Event>) {
    // The same statement may make another column of the name.
    if let NodeEnum::AlterTableStmt(alter) = node
        && let Some(Lookup::Found(found)) = alter.relation.as_ref().map(|range| Resolver::new(before).lookup(range))
    {
        for column in dropped_columns(node) {
            column_goes(before, found.name, column, events);
        }
    }
    let renames = matches!(node, NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_));
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for (name, old, new) in before.relations.differences(&after.relations) {
        match (old, new) {
            (Some(old), None) if old.kind.is_table() => gone.push(name),
            (None, Some(new)) if new.kind.is_table() => come.push(name),
            (Some(old), Some(new)) => columns_change(name, old, new, renames, events),
            _ => {}
        }
    }
    for name in &gone {
        let to = match come.as_slice() {
            [only] if gone.len() == 1 => Some(*only),
            several => several.iter().find(|other| other.name == name.name).copied(),
        };
        events.push(match to.filter(|_| renames) {
            Some(to) => Event::TableMoves((*name).clone(), to.clone()),
            None => Event::Table((*name).clone()),
        });
    }
}

/// With those of the tables that inherit it.
fn column_goes(catalog: &Catalog, table: &Name, column: &str, events: &mut Vec<Event>) {
    events.push(Event::Column(table.clone(), column.to_owned()));
    let children = catalog.relations.referring_to(table).filter(|(_, relation)| relation.parents.contains(table));
    for (child, _) in children {
        column_goes(catalog, child, column, events);
    }
}

fn columns_change(table: &Name, old: &Relation, new: &Relation, renames: bool, events: &mut Vec<Event>) {
    let without = |one: &Relation, other: &Relation| -> Vec<String> {
        let names = one.columns.iter().map(|column| &column.name);
        names.filter(|name| other.column(name).is_none()).cloned().collect()
    };
    let (gone, come) = (without(old, new), without(new, old));
    match (gone.as_slice(), come.as_slice()) {
        ([from], [to]) if renames => events.push(Event::ColumnMoves(table.clone(), from.clone(), to.clone())),
        _ => events.extend(gone.into_iter().map(|column| Event::Column(table.clone(), column))),
    }
}
