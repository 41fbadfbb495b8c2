//! Whether a drop can wait for the end of the plan.

use std::cell::OnceCell;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, Node, ObjectType};

use crate::catalog::Catalog;
use crate::sql::{Statement, render};

/// A statement that a drop may have to wait for.
pub(super) struct Later<'a> {
    node: &'a NodeEnum,
    /// Every text in it, looked for once: each of many drops asks.
    strings: OnceCell<Vec<String>>,
}

impl<'a> Later<'a> {
    /// The statement.
    pub fn new(statement: &'a Statement) -> Self {
        Self { node: &statement.node, strings: OnceCell::new() }
    }

    /// A name mentions only itself; anything else (code, a literal that is read as a name) what it contains.
    fn mentions(&self, name: &str) -> bool {
        let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let strings = self.strings.get_or_init(|| render::strings(self.node));
        strings.iter().any(|text| text == name || (text.contains(name) && !is_name(text)))
    }
}

/// Whether no later statement of the author mentions what the drop removes, in a way that the drop's place
/// matters to.
///
/// For a column, statements on the same table that do not mention the column are harmless when they are
/// `ALTER TABLE`, `CREATE INDEX` or a comment; everything that may mean "all columns" (queries, views, inserts,
/// `LIKE`) is not. What cannot be read (code in strings) counts as a mention when it holds the name anywhere.
///
/// Nothing waits behind a change of rows: what is still there (a unique index, a foreign key, a column that may not
/// be null) could refuse it, also by way of triggers and cascades. An index does not wait behind a change of its
/// table either: a change of type may not suit it.
pub(super) fn can_wait(dropped: &Statement, later: &[Later<'_>], catalog: &Catalog) -> bool {
    if later.iter().any(|statement| changes_rows(statement.node)) {
        return false;
    }
    match &dropped.node {
        NodeEnum::AlterTableStmt(alter) => {
            let Some(table) = alter.relation.as_ref().map(|range| range.relname.as_str()) else {
                return false;
            };
            let columns: Vec<&str> = alter.cmds.iter().filter_map(dropped_column).collect();
            later.iter().all(|statement| {
                !unreadable(statement.node)
                    && (!statement.mentions(table)
                        || harmless(statement.node) && !columns.iter().any(|name| statement.mentions(name)))
            })
        }
        NodeEnum::DropStmt(drop) => {
            let names: Vec<String> = drop.objects.iter().filter_map(last_name).collect();
            let is_index = drop.remove_type() == ObjectType::ObjectIndex;
            let tables = if is_index { indexed(catalog, &names) } else { Vec::new() };
            names.len() == drop.objects.len()
                && later.iter().all(|statement| {
                    let beside = matches!(statement.node, NodeEnum::IndexStmt(_) | NodeEnum::CommentStmt(_));
                    !unreadable(statement.node)
                        && !names.iter().any(|name| statement.mentions(name))
                        && (beside || !tables.iter().any(|table| statement.mentions(table)))
                })
        }
        // The view that keeps the old name alive: neither name may be meant by what follows.
        NodeEnum::RenameStmt(rename) => {
            let old = rename.relation.as_ref().map_or("", |range| range.relname.as_str());
            later.iter().all(|statement| {
                !unreadable(statement.node) && !statement.mentions(old) && !statement.mentions(&rename.newname)
            })
        }
        _ => false,
    }
}

/// Tables of the indexes of these names, whatever their schema.
fn indexed(catalog: &Catalog, names: &[String]) -> Vec<String> {
    let indexes = catalog.relations.iter().filter(|(name, _)| names.contains(&name.name));
    indexes.filter_map(|(_, relation)| Some(relation.index.as_ref()?.table.name.clone())).collect()
}

/// Whether it changes rows rather than the schema.
pub(super) fn changes_rows(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_)
            | NodeEnum::TruncateStmt(_)
            | NodeEnum::CopyStmt(_)
    )
}

fn dropped_column(command: &Node) -> Option<&str> {
    match command.node.as_ref()? {
        NodeEnum::AlterTableCmd(command) if command.subtype() == AlterTableType::AtDropColumn => Some(&command.name),
        _ => None,
    }
}

fn last_name(object: &Node) -> Option<String> {
    match object.node.as_ref()? {
        NodeEnum::List(list) => match list.items.last()?.node.as_ref()? {
            NodeEnum::String(text) => Some(text.sval.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Statements that can do anything.
fn unreadable(node: &NodeEnum) -> bool {
    matches!(node, NodeEnum::DoStmt(_) | NodeEnum::CallStmt(_) | NodeEnum::SelectStmt(_))
}

fn harmless(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::AlterTableStmt(alter) => alter.cmds.iter().all(|command| match &command.node {
            Some(NodeEnum::AlterTableCmd(command)) => !matches!(
                command.subtype(),
                AlterTableType::AtAttachPartition
                    | AlterTableType::AtDetachPartition
                    | AlterTableType::AtAddInherit
                    | AlterTableType::AtDropInherit
                    | AlterTableType::AtAddOf
            ),
            _ => false,
        }),
        NodeEnum::IndexStmt(_) | NodeEnum::CommentStmt(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse;

    fn waits(text: &str) -> bool {
        let statements = parse(text).unwrap();
        can_wait(&statements[0], &statements[1..].iter().map(Later::new).collect::<Vec<_>>(), &Catalog::default())
    }

    #[test]
    fn waits_only_when_nothing_later_can_tell() {
        for (text, expected) in [
            ("DROP TABLE a; CREATE TABLE b ()", true),
            ("DROP TABLE a; CREATE TABLE a ()", false),
            ("DROP TABLE s.a; CREATE VIEW v AS SELECT 1 FROM a", false),
            ("DROP TABLE a; DO $$ begin null; end $$", false),
            ("ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD COLUMN d int", true),
            ("ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD COLUMN c int", false),
            ("ALTER TABLE t DROP COLUMN c; CREATE INDEX ON t (d)", true),
            ("ALTER TABLE t DROP COLUMN c; CREATE VIEW v AS SELECT * FROM t", false),
            ("ALTER TABLE t DROP COLUMN c; INSERT INTO t VALUES (1)", false),
            ("ALTER TABLE t DROP COLUMN c; ALTER TABLE t RENAME TO u", false),
            ("ALTER TABLE t DROP COLUMN c; INSERT INTO u VALUES (1)", false),
            ("DROP INDEX i; CREATE INDEX j ON t (b)", true),
            ("DROP TABLE child; DELETE FROM parent", false),
            ("ALTER TABLE a RENAME TO b; ALTER TABLE c ADD COLUMN d int", true),
            ("ALTER TABLE a RENAME TO b; ALTER TABLE b ADD COLUMN d int", false),
            ("ALTER TABLE a RENAME TO b; CREATE TABLE a ()", false),
            ("ALTER TABLE t DROP COLUMN c; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select c from t'", false),
        ] {
            assert_eq!(waits(text), expected, "{text}");
        }
    }
}
