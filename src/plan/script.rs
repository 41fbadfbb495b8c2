//! Long runs of statements that change rows: one step, whose text stays where it is.
//!
//! Every statement is classified like one that stands alone; the step has what they do together. Nothing of them is
//! kept but that.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::ControlFlow;

use pg_query::NodeEnum;
use pg_query::protobuf::RangeVar;

use super::action::join;
use super::analyze::{Impact, Lookup, Refusal, Resolver, analyze};
use super::author::Authored;
use super::created::Created;
use super::draft::{Draft, Work};
use super::model::{Empty, HazardId, Irreversible, LossyUndo, RowChange, Script, Stage, Undo};
use super::planner::PlanError;
use super::temporary;
use super::undo;
use crate::catalog::{Catalog, apply::apply};
use crate::sql::{Statement, quote};

/// As plans show it.
pub(super) const NAME: &str = "script";

/// Relations that its description names.
const SHOWN: usize = 3;

/// Consecutive statements that change rows, which can be read again and again. They share one place: the statement of
/// the author's list that stands for them is the first of them.
pub trait LongRun: Debug + Send + Sync {
    /// Number of its statements.
    fn statements(&self) -> i64;
    /// Bytes of their texts.
    fn bytes(&self) -> i64;
    /// `sha256:` and the hex digest of their texts, each ended by a semicolon and a line feed.
    fn digest(&self) -> &str;
    /// One past its last byte in the source.
    fn end(&self) -> usize;
    /// Gives them in order until `see` breaks off.
    ///
    /// # Errors
    /// Why they cannot be read any more, or are not those that they were.
    fn each(&self, see: &mut dyn FnMut(&Statement) -> ControlFlow<()>) -> Result<(), String>;
}

/// What the author wrote.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The statements, with the first of each long run in its place.
    pub statements: &'a [Statement],
    /// The long runs, each with the index of its first statement, in order.
    pub runs: &'a [(usize, std::sync::Arc<dyn LongRun>)],
}

impl<'a> Source<'a> {
    /// Statements all of which are planned one by one.
    pub fn of(statements: &'a [Statement]) -> Self {
        Self { statements, runs: &[] }
    }

    /// The long run that the statement with that index begins.
    pub(super) fn run(&self, index: usize) -> Option<&'a dyn LongRun> {
        let at = self.runs.binary_search_by_key(&index, |(first, _)| *first).ok()?;
        self.runs.get(at).map(|(_, run)| &**run)
    }

    /// Number of all statements.
    pub fn len(&self) -> i64 {
        let more = |run: &dyn LongRun| run.statements().saturating_sub(1);
        let runs = self.runs.iter().map(|(_, run)| more(&**run)).fold(0, i64::saturating_add);
        i64::try_from(self.statements.len()).unwrap_or(i64::MAX).saturating_add(runs)
    }

    /// Whether there is no statement.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

/// Whether the statement may be a part of a long run.
pub fn is_of_rows(statement: &Statement) -> bool {
    changed(&statement.node).is_some()
}

/// Whether what follows the statement may have to share its transaction: then no run may be taken out of it.
pub fn binds_what_follows(statement: &Statement) -> bool {
    matches!(statement.node, NodeEnum::ConstraintsSetStmt(_)) || temporary::created(&statement.node).is_some()
}

/// What the statements of a run do together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Together {
    /// What runs.
    pub script: Script,
    /// What it does.
    pub impact: Impact,
    /// How it is undone.
    pub undo: Undo,
    /// Whether its effect on the schema is not known.
    pub unforeseeable: bool,
    /// A statement of each kind, for what they mean to the catalog.
    pub kinds: Vec<Statement>,
}

/// Reads the run and moves `catalog` behind it. `unforeseen`: what came before may have made what is missing here.
///
/// # Errors
/// [`PlanError`] at the first statement that the server would refuse.
pub(super) fn draft(
    run: &dyn LongRun,
    authored: &Authored<'_>,
    catalog: &mut Catalog,
    created: &Created,
    unforeseen: bool,
) -> Result<Draft, PlanError> {
    let mut impact = Impact::none();
    let mut changes: BTreeMap<(String, &'static str), (i64, Statement)> = BTreeMap::new();
    let (mut lost, mut unforeseeable) = (Vec::new(), false);
    let mut refused: Option<(i64, usize, Refusal)> = None;
    let mut number = 0;
    run.each(&mut |statement| {
        let mut one = analyze(statement, catalog);
        if let Some(refusal) = one.refused.take() {
            if !unforeseen {
                refused = Some((number, statement.span.start, refusal));
                return ControlFlow::Break(());
            }
            one = Impact::unanalyzable("It depends on what a statement before it made, which cannot be foretold.");
        }
        let hazards = std::mem::take(&mut one.hazards);
        for hazard in hazards {
            if !impact.hazards.contains(&hazard) {
                impact.hazards.push(hazard);
            }
        }
        if let Some((command, range)) = changed(&statement.node) {
            let key = (relation(range, catalog), command);
            changes.entry(key).and_modify(|(count, _)| *count += 1).or_insert_with(|| (1, statement.clone()));
        }
        undo::lost_rows(catalog, created, statement, &mut lost);
        unforeseeable |= one.code_changes_schema | apply(catalog, statement).is_err();
        join(&mut impact, one);
        number += 1;
        ControlFlow::Continue(())
    })
    .map_err(|message| PlanError::SourceChanged { message })?;
    if let Some((number, start, refusal)) = refused {
        return Err(PlanError::RefusedInRun { first: authored.index, number, start, refusal });
    }
    let unknown = impact.hazards.iter().any(|hazard| hazard.id == HazardId::Unanalyzable);
    let undo = if unknown {
        Undo::Irreversible(Irreversible { why: "what it does cannot be known".to_owned() })
    } else if unforeseeable {
        Undo::Irreversible(Irreversible { why: "what it changes cannot be known before it runs".to_owned() })
    } else if lost.is_empty() {
        Undo::Nothing(Empty {})
    } else {
        Undo::Lossy(LossyUndo { actions: Vec::new(), lost: lost.join("; ") })
    };
    let loses_data = impact.hazards.iter().any(|hazard| hazard.id == HazardId::DataLoss);
    let stage = if loses_data { Stage::Contract } else { Stage::Backfill };
    let (mut list, mut kinds) = (Vec::new(), Vec::new());
    for ((relation, command), (statements, example)) in changes {
        list.push(RowChange { command: command.to_owned(), relation, statements });
        kinds.push(example);
    }
    let description = described(number, &list);
    let mut settings = authored.settings.statements();
    settings.retain(|setting| !setting.is_empty());
    let script =
        Script { statements: number, bytes: run.bytes(), digest: run.digest().to_owned(), settings, changes: list };
    let together = Together { script, impact, undo, unforeseeable, kinds };
    Ok(Draft::script(stage, description, Work::Script(Box::new(together))))
}

/// What the statement does to the rows of which table; `None` when it is not such a statement.
fn changed(node: &NodeEnum) -> Option<(&'static str, &RangeVar)> {
    match node {
        NodeEnum::InsertStmt(insert) => Some(("INSERT", insert.relation.as_ref()?)),
        NodeEnum::UpdateStmt(update) => Some(("UPDATE", update.relation.as_ref()?)),
        NodeEnum::DeleteStmt(delete) => Some(("DELETE", delete.relation.as_ref()?)),
        NodeEnum::MergeStmt(merge) => Some(("MERGE", merge.relation.as_ref()?)),
        _ => None,
    }
}

/// Its name as the catalog has it, as written where that does not know it.
fn relation(range: &RangeVar, catalog: &Catalog) -> String {
    match Resolver::new(catalog).lookup(range) {
        Lookup::Found(found) => found.name.to_string(),
        _ if range.schemaname.is_empty() => quote::ident(&range.relname),
        _ => quote::qualified(&range.schemaname, &range.relname),
    }
}

fn described(statements: i64, changes: &[RowChange]) -> String {
    let mut names: Vec<&str> = changes.iter().map(|change| change.relation.as_str()).collect();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.truncate(SHOWN);
    format!("Runs {statements} statements that change rows of {}{rest}", names.join(", "))
}
