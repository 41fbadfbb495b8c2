//! Statements that run one after the other in one transaction.

use std::collections::BTreeMap;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterEnumStmt, ObjectType, RangeVar, RenameStmt, VariableSetStmt};

use super::labels;
use crate::catalog::apply::apply;
use crate::catalog::{Catalog, Name};
use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::query::{Depth, Literal, Reader};
use crate::plan::analyze::resolve::Lookup;
use crate::plan::analyze::{Impact, Refusal, Resolver, Target, TransactionRule, analyze_node, views};
use crate::plan::model::HazardId;
use crate::sql::{Span, Statement};

/// The statements so far: what they do to relations that existed before the first, and the schema after them.
pub(super) struct Block<'r, 'a> {
    outer: &'r Resolver<'a>,
    /// The schema after the statements, once a statement needs it.
    evolved: Option<Box<Catalog>>,
    /// Statements that change the schema and are not yet in `evolved`.
    pending: Vec<NodeEnum>,
    /// New names of relations of the outer schema, with their old ones.
    renamed: BTreeMap<Name, Name>,
    /// Labels that were added to an enum and cannot be used yet.
    new_labels: Vec<(Name, String)>,
    /// Whether the schema after the statements is known.
    foreseen: bool,
    /// Tables that exist only around the code: transition tables of a trigger.
    tables: Vec<String>,
    /// Whether one of the statements changes more of the schema than the session sees.
    changes_schema: bool,
    impact: Impact,
}

impl<'r, 'a> Block<'r, 'a> {
    /// A block with nothing in it.
    pub fn new(outer: &'r Resolver<'a>) -> Self {
        Self {
            outer,
            evolved: None,
            pending: Vec::new(),
            renamed: BTreeMap::new(),
            new_labels: Vec::new(),
            foreseen: true,
            tables: Vec::new(),
            changes_schema: false,
            impact: Impact::none(),
        }
    }

    /// Tables that the statements may name beside those of the schema.
    pub fn with_tables(mut self, tables: &[String]) -> Self {
        self.tables = tables.to_vec();
        self
    }

    /// What all statements do together.
    pub fn finish(self) -> Impact {
        self.impact
    }

    /// [`Self::finish`] for statements that only the server runs: nothing simulates what they make of the schema.
    pub fn finish_function(self) -> Impact {
        Impact { code_changes_schema: self.impact.code_changes_schema || self.changes_schema, ..self.impact }
    }

    /// Says that something cannot be read.
    pub fn unreadable(&mut self, why: &str) {
        self.impact.merge(Impact::unanalyzable(why));
        self.foreseen = false;
    }

    /// Says that the code ends transactions itself, and so cannot run inside one.
    pub fn ends_transactions(&mut self) {
        self.impact.transaction = TransactionRule::Forbidden;
    }

    /// SQL text; `certain` when it runs in any case.
    pub fn text(&mut self, text: &str, certain: bool) {
        match crate::sql::parse(text) {
            Ok(statements) => {
                for statement in statements {
                    self.statement(statement.node, certain);
                }
            }
            Err(_) => self.unreadable("a statement of the code does not parse"),
        }
    }

    /// One statement; `certain` when it runs in any case.
    pub fn statement(&mut self, node: NodeEnum, certain: bool) {
        self.catch_up();
        let found = self.with_resolver(|resolver| {
            let is_query = match &node {
                NodeEnum::SelectStmt(select) => views::into_clause(select).is_none(),
                other => changes_rows(other),
            };
            let mut found = if is_query {
                Reader::new(resolver, Depth::Run).with_tables(self.tables.iter().cloned()).statement(&node)
            } else {
                analyze_node(&node, resolver)
            };
            labels::refuse_unsafe_use(&mut found, &node, &self.new_labels, resolver);
            found
        });
        self.join(found, certain);
        self.remember(node);
    }

    /// Asks the schema as it is now.
    fn with_resolver<T>(&self, ask: impl FnOnce(&Resolver<'_>) -> T) -> T {
        match &self.evolved {
            Some(catalog) => ask(&self.outer.over(catalog)),
            None => ask(self.outer),
        }
    }

    /// Takes over what a statement does, in terms of the schema before the block.
    fn join(&mut self, mut found: Impact, certain: bool) {
        if found.transaction == TransactionRule::Forbidden {
            found.transaction = TransactionRule::Allowed;
            self.impact.transaction = TransactionRule::Forbidden;
            found.refuse(
                "25001",
                "a statement of the code cannot be executed from a function",
                "Run it as a statement of its own, outside of any transaction.",
            );
        }
        if let Some(refusal) = found.refused.take() {
            // On a branch that may not be taken, or after something unknown, it is only a possibility.
            if certain && self.foreseen {
                found.refused = Some(refusal);
            } else {
                may_fail(&mut found, &refusal);
            }
        }
        found.locks = found
            .locks
            .into_iter()
            .filter_map(|(target, mode)| self.before(target).map(|target| (target, mode)))
            .fold(BTreeMap::new(), |mut joined, (target, mode)| {
                joined
                    .entry(target)
                    .and_modify(|held: &mut crate::plan::lock::LockMode| *held = held.join(mode))
                    .or_insert(mode);
                joined
            });
        for set in [&mut found.scans, &mut found.rewrites, &mut found.waits_for_transactions] {
            *set = std::mem::take(set).into_iter().filter_map(|target| self.before(target)).collect();
        }
        found.hazards.retain(|hazard| {
            let relation = hazard.relation.as_ref().and_then(|relation| relation.parse::<Name>().ok());
            relation.is_none_or(|name| self.existed(&name))
        });
        let transaction = self.impact.transaction;
        self.impact.merge(found);
        if transaction == TransactionRule::Forbidden {
            self.impact.transaction = TransactionRule::Forbidden;
        }
    }

    fn existed(&self, name: &Name) -> bool {
        self.evolved.is_none() || self.outer.catalog.relations.contains_key(name) || self.renamed.contains_key(name)
    }

    /// The relation as it was called before the block; nothing when it did not exist.
    fn before(&self, target: Target) -> Option<Target> {
        match target {
            Target::Any => Some(Target::Any),
            Target::Relation(name) => match self.renamed.get(&name) {
                Some(old) => Some(Target::Relation(old.clone())),
                None => self.existed(&name).then_some(Target::Relation(name)),
            },
        }
    }

    /// Keeps a statement that changes the schema, or the session, for those after it.
    fn remember(&mut self, node: NodeEnum) {
        match &node {
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_)
            | NodeEnum::LockStmt(_)
            | NodeEnum::CallStmt(_)
            | NodeEnum::DoStmt(_)
            | NodeEnum::ExplainStmt(_)
            | NodeEnum::CopyStmt(_)
            | NodeEnum::TruncateStmt(_)
            | NodeEnum::NotifyStmt(_)
            | NodeEnum::VariableShowStmt(_) => return,
            NodeEnum::RenameStmt(rename) => self.remember_rename(rename),
            NodeEnum::AlterEnumStmt(alter) => self.remember_label(alter),
            _ => {}
        }
        self.changes_schema |= self.outlasts_session(&node);
        self.pending.push(node);
    }

    /// Whether what the statement does to the schema is there for others, and stays.
    fn outlasts_session(&self, node: &NodeEnum) -> bool {
        let shared = |range: Option<&RangeVar>| range.is_some_and(|range| range.relpersistence != "t");
        // What was not there before is of the session, or made by a statement that says so itself.
        let known = |found: Lookup<'_>| !matches!(found, Lookup::Missing);
        let on = |range: Option<&RangeVar>| range.is_some_and(|range| known(self.outer.lookup(range)));
        match node {
            NodeEnum::VariableSetStmt(_)
            | NodeEnum::ConstraintsSetStmt(_)
            | NodeEnum::RefreshMatViewStmt(_)
            | NodeEnum::ReindexStmt(_)
            | NodeEnum::ClusterStmt(_)
            | NodeEnum::VacuumStmt(_)
            | NodeEnum::ListenStmt(_)
            | NodeEnum::UnlistenStmt(_)
            | NodeEnum::PrepareStmt(_)
            | NodeEnum::ExecuteStmt(_)
            | NodeEnum::DeallocateStmt(_)
            | NodeEnum::DiscardStmt(_) => false,
            NodeEnum::CreateStmt(create) => shared(create.relation.as_ref()),
            NodeEnum::CreateTableAsStmt(create) => shared(create.into.as_ref().and_then(|into| into.rel.as_ref())),
            NodeEnum::IndexStmt(index) => on(index.relation.as_ref()),
            NodeEnum::AlterTableStmt(alter) => on(alter.relation.as_ref()),
            NodeEnum::DropStmt(drop) if drop.remove_type() == ObjectType::ObjectTable => {
                drop.objects.iter().any(|object| match &object.node {
                    Some(NodeEnum::List(parts)) => Qualified::from_nodes(&parts.items)
                        .is_none_or(|name| known(self.outer.lookup_name(name.schema, name.name))),
                    _ => true,
                })
            }
            _ => true,
        }
    }

    fn remember_rename(&mut self, rename: &RenameStmt) {
        let kind = ObjectType::try_from(rename.rename_type).unwrap_or_default();
        let of_relation = matches!(
            kind,
            ObjectType::ObjectTable
                | ObjectType::ObjectView
                | ObjectType::ObjectMatview
                | ObjectType::ObjectIndex
                | ObjectType::ObjectSequence
                | ObjectType::ObjectForeignTable
        );
        let Some(name) = rename.relation.as_ref().filter(|_| of_relation) else { return };
        let now = self.with_resolver(|resolver| match resolver.lookup(name) {
            Lookup::Found(found) => Some(found.name.clone()),
            _ => None,
        });
        let Some(now) = now else { return };
        let new = Name::new(now.schema.clone(), rename.newname.clone());
        let old = self.renamed.get(&now).cloned().unwrap_or(now);
        if self.outer.catalog.relations.contains_key(&old) {
            self.renamed.insert(new, old);
        }
    }

    fn remember_label(&mut self, alter: &AlterEnumStmt) {
        if !alter.old_val.is_empty() {
            return;
        }
        let Some(name) = Qualified::from_nodes(&alter.type_name) else { return };
        let found = self.with_resolver(|resolver| match resolver.type_lookup(name) {
            TypeLookup::User(name, _) => Some(name.clone()),
            _ => None,
        });
        // A type made in the same transaction may use all its labels.
        if let Some(name) = found.filter(|name| self.outer.catalog.types.contains_key(name)) {
            self.new_labels.push((name, alter.new_val.clone()));
        }
    }

    /// Brings the schema up to the next statement.
    fn catch_up(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut known = true;
        let catalog = self.evolved.get_or_insert_with(|| Box::new(self.outer.catalog.clone()));
        for node in std::mem::take(&mut self.pending) {
            if let NodeEnum::VariableSetStmt(set) = &node {
                session(catalog, set);
                continue;
            }
            let statement = Statement { text: String::new(), span: Span { start: 0, end: 0 }, node };
            let before = catalog.clone();
            // Not every statement can be simulated.
            known &= apply(catalog, &statement).is_ok() && **catalog != *before;
        }
        if !known {
            self.unreadable("the schema that a statement of the code leaves behind is not known");
        }
    }
}

fn changes_rows(node: &NodeEnum) -> bool {
    matches!(node, NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_))
}

fn may_fail(found: &mut Impact, refusal: &Refusal) {
    found.hazard(HazardId::MayFail, None, refusal.message.clone());
}

/// Settings that change what later statements do.
pub(super) fn session(catalog: &mut Catalog, set: &VariableSetStmt) {
    let values: Vec<String> = set
        .args
        .iter()
        .filter_map(|node| match node.node.as_ref().and_then(Literal::of) {
            Some(Literal::Text(text)) => Some(text),
            _ => None,
        })
        .collect();
    match set.name.to_ascii_lowercase().as_str() {
        "timezone" => {
            if let Some(zone) = values.into_iter().next() {
                catalog.server.time_zone = zone;
            }
        }
        "search_path" => {
            let user = catalog.server.user.clone();
            let named = values.into_iter().map(|schema| if schema == "$user" { user.clone() } else { schema });
            catalog.server.search_path = named.filter(|schema| catalog.schemas.contains_key(schema)).collect();
        }
        _ => {}
    }
}
