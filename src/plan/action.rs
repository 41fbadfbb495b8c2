//! From SQL to what runs: which kind of action, what it locks, and how to tell that it is done.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, AlterTableType, ObjectType};

use super::analyze::{Impact, Lookup, Resolver, TransactionRule, analyze};
use super::expand::single;
use super::model::{Action, Concurrent, Empty, IndexProbe, Postcondition, Transaction};
use crate::catalog::{Catalog, Name, apply::apply};
use crate::sql::{Statement, quote};

/// What statements do when they run one after another.
pub(super) struct Run {
    /// The statements.
    pub statements: Vec<Statement>,
    /// All of it together. Relations that the statements make themselves are in it too.
    pub impact: Impact,
    /// Whether the effect of one of them on the schema is not known.
    pub unforeseeable: bool,
    /// Whether a statement must have its transaction for itself.
    pub alone: bool,
    /// How to tell that a concurrent statement is done.
    probe: Option<(Postcondition, Option<String>)>,
}

impl Run {
    /// Runs `texts` on the catalog; `None` when one is no single statement.
    pub fn of(texts: &[String], catalog: &mut Catalog) -> Option<Self> {
        let mut run =
            Self { statements: Vec::new(), impact: Impact::none(), unforeseeable: false, alone: false, probe: None };
        for text in texts {
            run.then(single(text)?, catalog);
        }
        Some(run)
    }

    /// Runs one statement more.
    pub fn then(&mut self, statement: Statement, catalog: &mut Catalog) {
        let impact = analyze(&statement, catalog);
        if impact.transaction == TransactionRule::Forbidden {
            let mut after = catalog.clone();
            let _ = apply(&mut after, &statement);
            self.probe = Some(probe(&statement.node, catalog, &after));
        }
        self.unforeseeable |= apply(catalog, &statement).is_err() || impact.code_changes_schema;
        self.alone |= matches!(statement.node, NodeEnum::AlterEnumStmt(_));
        join(&mut self.impact, impact);
        self.statements.push(statement);
    }
}

pub(super) fn join(all: &mut Impact, one: Impact) {
    for (target, mode) in one.locks {
        all.lock(target, mode);
    }
    all.rewrites.extend(one.rewrites);
    all.scans.extend(one.scans);
    all.waits_for_transactions.extend(one.waits_for_transactions);
    all.hazards.extend(one.hazards);
    if one.transaction != TransactionRule::Allowed {
        all.transaction = one.transaction;
    }
}

/// The action for the texts that `run` was made from.
pub(super) fn sql(mut texts: Vec<String>, run: &Run) -> (Action, Postcondition) {
    if let (Some((postcondition, repair)), 1) = (&run.probe, texts.len())
        && let Some(statement) = texts.pop()
    {
        return (Action::Concurrent(Concurrent { statement, repair: repair.clone() }), postcondition.clone());
    }
    let long = !run.impact.scans.is_empty()
        || !run.impact.rewrites.is_empty()
        || run.impact.transaction == TransactionRule::Unknown
        || run.statements.iter().any(|statement| touches_rows(&statement.node));
    (Action::Transaction(Transaction { statements: texts, long, small: None, guards: Vec::new() }), recorded())
}

pub(super) fn recorded() -> Postcondition {
    Postcondition::Recorded(Empty {})
}

fn touches_rows(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_)
            | NodeEnum::SelectStmt(_)
            | NodeEnum::CreateTableAsStmt(_)
            | NodeEnum::RefreshMatViewStmt(_)
            | NodeEnum::CopyStmt(_)
            | NodeEnum::CallStmt(_)
            | NodeEnum::DoStmt(_)
    )
}

/// How to tell that a statement outside a transaction is done, and what to run first when it was cut off.
fn probe(node: &NodeEnum, before: &Catalog, after: &Catalog) -> (Postcondition, Option<String>) {
    let found = match node {
        NodeEnum::IndexStmt(index) => index.relation.as_ref().and_then(|range| {
            let table = found(before, &range.schemaname, &range.relname)?;
            let name = if index.idxname.is_empty() {
                made_index(before, after, &table)?
            } else {
                Name::new(&*table.schema, &*index.idxname)
            };
            let definition = after.relations.get(&name).and_then(|relation| relation.index.as_ref());
            let definition = definition.map_or_else(String::new, |facts| facts.definition.clone());
            let repair = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
            Some((Postcondition::IndexValid(index_probe(&name, &table, definition)), Some(repair)))
        }),
        NodeEnum::DropStmt(drop) if drop.remove_type() == ObjectType::ObjectIndex => {
            drop.objects.first().and_then(|object| {
                let NodeEnum::List(list) = object.node.as_ref()? else {
                    return None;
                };
                let names: Vec<&str> = list
                    .items
                    .iter()
                    .filter_map(|item| match &item.node {
                        Some(NodeEnum::String(text)) => Some(text.sval.as_str()),
                        _ => None,
                    })
                    .collect();
                let (schema, index) = match names.as_slice() {
                    [index] => ("", *index),
                    [schema, index] => (*schema, *index),
                    _ => return None,
                };
                let name = match found(before, schema, index) {
                    Some(name) => name,
                    None if schema.is_empty() => return None,
                    None => Name::new(schema, index),
                };
                let facts = before.relations.get(&name).and_then(|relation| relation.index.as_ref());
                let table = facts.map_or_else(|| Name::new(&*name.schema, ""), |facts| facts.table.clone());
                Some((Postcondition::IndexAbsent(index_probe(&name, &table, String::new())), None))
            })
        }
        NodeEnum::AlterTableStmt(alter) => detached(alter, before),
        _ => None,
    };
    // What can be run again without harm (VACUUM, REINDEX, ...) is done when its row says so.
    found.unwrap_or_else(|| (recorded(), None))
}

fn found(catalog: &Catalog, schema: &str, name: &str) -> Option<Name> {
    match Resolver::new(catalog).lookup_name(schema, name) {
        Lookup::Found(found) => Some(found.name.clone()),
        _ => None,
    }
}

fn index_probe(name: &Name, table: &Name, definition: String) -> IndexProbe {
    IndexProbe { schema: name.schema.clone(), index: name.name.clone(), table: table.name.clone(), definition }
}

fn made_index(before: &Catalog, after: &Catalog, table: &Name) -> Option<Name> {
    after
        .relations
        .referring_to(table)
        .find(|(name, relation)| {
            !before.relations.contains_key(name) && relation.index.as_ref().is_some_and(|index| index.table == *table)
        })
        .map(|(name, _)| name.clone())
}

/// `DETACH PARTITION CONCURRENTLY` is done when the partition has no parent any more.
/// Cut off half-way it leaves the partition marked, and only `FINALIZE` ends that.
fn detached(alter: &AlterTableStmt, before: &Catalog) -> Option<(Postcondition, Option<String>)> {
    let NodeEnum::AlterTableCmd(command) = alter.cmds.first()?.node.as_ref()? else {
        return None;
    };
    if !matches!(command.subtype(), AlterTableType::AtDetachPartition | AlterTableType::AtDetachPartitionFinalize) {
        return None;
    }
    let NodeEnum::PartitionCmd(partition) = command.def.as_ref()?.node.as_ref()? else {
        return None;
    };
    let (range, parent) = (partition.name.as_ref()?, alter.relation.as_ref()?);
    let name = found(before, &range.schemaname, &range.relname)?;
    let parent = found(before, &parent.schemaname, &parent.relname)?;
    let query = format!(
        "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = pg_catalog.to_regclass({}))",
        quote::literal(&name.to_string())
    );
    let repair = format!("ALTER TABLE {parent} DETACH PARTITION {name} FINALIZE");
    Some((Postcondition::Query(query), Some(repair)))
}
