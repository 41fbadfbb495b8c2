//! Indexes without blocking writes: `CONCURRENTLY`, and for partitioned tables an empty index on each parent
//! (`ON ONLY`), concurrent builds on the leaves, and `ATTACH`.
//!
//! Traps: the server refuses `CONCURRENTLY` on partitioned tables and indexes (0A000), with CASCADE, and with
//! several names. A partition that already has a fitting index keeps it. The names of the parts are those that
//! the server itself would have chosen.

use pg_query::NodeEnum;
use pg_query::protobuf::{DefElem, DefElemAction, DropBehavior, IndexStmt, ObjectType, ReindexObjectType, ReindexStmt};

use super::parts;
use crate::catalog::expression::strings;
use crate::catalog::{Catalog, Name, RelationKind};
use crate::plan::analyze::{Lookup, Rel};
use crate::plan::draft::{Draft, Piece, UndoSource};
use crate::plan::expand::{Context, single};
use crate::plan::model::Stage;
use crate::sql::render;

/// `CREATE INDEX`.
pub(super) fn create(context: &Context<'_>) -> Option<Vec<Piece>> {
    let NodeEnum::IndexStmt(index) = &context.statement.node else {
        return None;
    };
    if index.concurrent && !context.own_session {
        return None;
    }
    let range = index.relation.as_ref()?;
    let table = context.look.relation(range)?;
    if index.if_not_exists && context.before().relations.contains_key(&Name::new(&*table.name.schema, &*index.idxname))
    {
        return Some(Vec::new());
    }
    if !context.heavy() && !index.concurrent {
        return None;
    }
    let after = context.after()?;
    let name = new_index(context.before(), after, table.name)?;
    if table.relation.kind != RelationKind::PartitionedTable || !range.inh {
        return Some(vec![concurrently(context, index, &name, table.name)?.into()]);
    }
    let mut tree = Tree { context, index, after, above: Vec::new(), pieces: Vec::new() };
    tree.parent(&name, table)?;
    Some(tree.pieces)
}

/// The index on `table` that only `after` has and that is no part of another new one.
fn new_index(before: &Catalog, after: &Catalog, table: &Name) -> Option<Name> {
    let mut new = after.relations.referring_to(table).filter(|(name, relation)| {
        !before.relations.contains_key(name) && relation.index.as_ref().is_some_and(|index| index.table == *table)
    });
    let (name, _) = new.next()?;
    new.next().is_none().then(|| name.clone())
}

fn on(index: &IndexStmt, name: &Name, table: &Name, only: bool) -> IndexStmt {
    let mut index = index.clone();
    index.idxname.clone_from(&name.name);
    index.if_not_exists = false;
    index.relation = Some(parts::range(table, only));
    index
}

fn concurrently(context: &Context<'_>, index: &IndexStmt, name: &Name, table: &Name) -> Option<Draft> {
    let mut index = match context.after()?.relations.get(name)?.index.as_ref() {
        // The definition of the catalog means the same in every session.
        Some(facts) if context.own_session => match single(&facts.definition)?.node {
            NodeEnum::IndexStmt(printed) => on(&printed, name, table, false),
            _ => return None,
        },
        _ => on(index, name, table, false),
    };
    index.concurrent = true;
    let sql = render::render(&NodeEnum::IndexStmt(Box::new(index)))?;
    Some(Draft::sql(
        Stage::Expand,
        "create-index",
        format!("Builds index {name} on {table} while reads and writes go on"),
        sql,
    ))
}

/// The steps for a partitioned table, collected from the root down.
struct Tree<'c, 'a> {
    context: &'c Context<'a>,
    index: &'c IndexStmt,
    after: &'c Catalog,
    /// From the root to the index whose parts are being made.
    above: Vec<Name>,
    pieces: Vec<Piece>,
}

impl<'a> Tree<'_, 'a> {
    fn parent(&mut self, name: &Name, table: Rel<'a>) -> Option<()> {
        let sql = render::render(&NodeEnum::IndexStmt(Box::new(on(self.index, name, table.name, true))))?;
        self.pieces.push(
            Draft::sql(
                Stage::Expand,
                "create-index",
                format!("Declares index {name} on {} without its partitions: not valid yet", table.name),
                sql,
            )
            .into(),
        );
        self.above.push(name.clone());
        for partition in &self.context.look.children(table.name) {
            self.partition(name, *partition)?;
        }
        self.above.pop();
        Some(())
    }

    fn partition(&mut self, parent: &Name, partition: Rel<'a>) -> Option<()> {
        let part = self.after.relations.referring_to(parent).find(|(_, relation)| {
            relation
                .index
                .as_ref()
                .is_some_and(|index| index.parent.as_ref() == Some(parent) && index.table == *partition.name)
        });
        // Foreign tables have no part.
        let Some((name, _)) = part else {
            return Some(());
        };
        if !self.context.before().relations.contains_key(name) {
            if partition.relation.kind == RelationKind::PartitionedTable {
                self.parent(name, partition)?;
            } else {
                let leaf = on(self.index, name, partition.name, false);
                self.pieces.push(Piece::Change(render::render(&NodeEnum::IndexStmt(Box::new(leaf)))?));
            }
        }
        self.pieces.push(
            Draft::sql(
                Stage::Expand,
                "attach-index",
                format!("Makes index {name} a part of {parent}"),
                format!("ALTER INDEX {parent} ATTACH PARTITION {name}"),
            )
            // A part cannot be taken out again: the whole index goes, from the root down, because what is not yet a
            // part of the root does not go with it; and what is left is not there any more.
            .undone_by(UndoSource::Statements(
                self.above.iter().map(|index| format!("DROP INDEX IF EXISTS {index}")).collect(),
            ))
            .into(),
        );
        Some(())
    }
}

/// `DROP INDEX`.
pub(super) fn drop(context: &Context<'_>) -> Option<Vec<Piece>> {
    let NodeEnum::DropStmt(drop) = &context.statement.node else {
        return None;
    };
    if drop.remove_type() != ObjectType::ObjectIndex
        || (drop.concurrent && !context.own_session)
        || drop.behavior() == DropBehavior::DropCascade
    {
        return None;
    }
    let mut pieces = Vec::new();
    for object in &drop.objects {
        let NodeEnum::List(list) = object.node.as_ref()? else {
            return None;
        };
        let parts = strings(&list.items);
        let (schema, name) = match parts.as_slice() {
            [name] => ("", name.as_str()),
            [schema, name] => (schema.as_str(), name.as_str()),
            _ => return None,
        };
        let Lookup::Found(index) = context.look.lookup_name(schema, name) else {
            if drop.missing_ok {
                continue;
            }
            return None;
        };
        if index.relation.index.as_ref().is_none_or(|facts| context.private(&facts.table)) {
            return None;
        }
        let exists = if drop.missing_ok { "IF EXISTS " } else { "" };
        let sql = if index.relation.kind == RelationKind::PartitionedIndex {
            format!("DROP INDEX {exists}{}", index.name)
        } else {
            format!("DROP INDEX CONCURRENTLY {exists}{}", index.name)
        };
        pieces
            .push(Draft::sql(Stage::Contract, "drop-index", format!("Drops index {}", index.name), sql).late().into());
    }
    Some(pieces)
}

/// `REINDEX` of something large.
pub(super) fn reindex(context: &Context<'_>) -> Option<Vec<Piece>> {
    let NodeEnum::ReindexStmt(reindex) = &context.statement.node else {
        return None;
    };
    let concurrent = |param: &DefElem| param.defname == "concurrently";
    let has = reindex.params.iter().any(|param| match &param.node {
        Some(NodeEnum::DefElem(param)) => concurrent(param),
        _ => false,
    });
    if has || reindex.kind() == ReindexObjectType::ReindexObjectSystem || !context.heavy() {
        return None;
    }
    let mut statement: ReindexStmt = reindex.clone();
    let option = DefElem {
        defname: "concurrently".to_owned(),
        defaction: DefElemAction::DefelemUnspec.into(),
        ..DefElem::default()
    };
    statement.params.push(parts::node(NodeEnum::DefElem(Box::new(option))));
    let sql = render::render(&NodeEnum::ReindexStmt(statement))?;
    Some(vec![Draft::sql(Stage::Expand, "reindex", "Rebuilds the indexes while reads and writes go on", sql).into()])
}
