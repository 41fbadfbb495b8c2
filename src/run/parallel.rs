//! Index builds of several tables at a time, as far as [`Options::index_builds`](super::Options::index_builds) goes.
//!
//! A run goes through its steps one after the other all the same. While it is at an index build, those that follow are
//! begun on connections of their own, each with its intent in the ledger. When the run comes to such a step it waits for
//! that connection and then asks the catalog, as after a crash: what is recorded, repaired and told stays with
//! [`concurrent`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use pg_query::protobuf::node::Node;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use super::concurrent;
use super::context::{Context, Unit};
use super::error::{Fault, Reason, RunError, ServerError};
use super::failpoint::{Boundary, hit};
use super::ledger::Slot;
use super::ledger::steps::{self, StepRecord, StepState};
use super::probe::{self, Probe};
use super::retry::gentle_slice;
use super::session::Session;
use super::sqlstate::{Class, classify};
use super::watch::Seen;
use crate::plan::{Action, Concurrent, IndexProbe, Plan, Postcondition, Step};
use crate::sql;

/// How long a server may take to clean up behind a build that failed.
const CLEANED_UP: Duration = Duration::from_secs(10);
/// Between two reports of a build that is waited for.
const REPORT: Duration = Duration::from_secs(1);

/// Builds that were begun before the run came to their steps, by the step's id.
#[derive(Default)]
pub(super) struct Builds(BTreeMap<String, Build>);

struct Build {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<Result<(), Fault>>,
    stop: DropGuard,
}

impl Builds {
    /// Whether the step's build was begun.
    pub fn has(&self, step: &Step) -> bool {
        self.0.contains_key(&step.id)
    }
}

/// Begins the builds that follow the first of `steps`. What cannot be begun here is begun when the run comes to it.
pub(super) async fn begin(context: &mut Context<'_>, steps: &[Step], records: &HashMap<String, StepRecord>) {
    let admits = |step: &Step| context.options.window.is_none_or(|window| window.admits(step, Timestamp::now()));
    for (step, build) in
        together(steps, context.options.index_builds).into_iter().skip(1).filter(|(step, _)| admits(step))
    {
        let record = records.get(&step.id).copied().unwrap_or(StepRecord::PLANNED);
        let new = record.state == StepState::Planned && !record.has_effects() && !context.builds.has(step);
        if new && let Ok(Some(begun)) = begin_one(context, step, build).await {
            context.builds.0.insert(step.id.clone(), begun);
        }
    }
}

async fn begin_one(context: &Context<'_>, step: &Step, build: &Concurrent) -> Result<Option<Build>, Fault> {
    let client = context.session.client();
    if probe::ask(client, &step.postcondition).await? != Probe::NotDone {
        return Ok(None);
    }
    let stop = context.options.interrupt.child_token();
    let session = context.session.beside(stop.clone()).await?;
    hit(Boundary::BeforeIntent);
    steps::begin(client, &context.run, &step.id, Slot::Forward).await?;
    hit(Boundary::AfterIntent);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let task = tokio::spawn(send(session, build.statement.clone(), context.options.lock_budget, Arc::clone(&seen)));
    Ok(Some(Build { seen, task, stop: stop.drop_guard() }))
}

async fn send(session: Session, statement: String, patience: Duration, seen: Arc<Mutex<Seen>>) -> Result<(), Fault> {
    let patience = patience.max(gentle_slice(session.server.deadlock_timeout));
    concurrent::be_patient(&session, patience).await?;
    let told = |now: &Seen| now.clone_into(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
    let sent = session.watched(session.client().batch_execute(&statement), Some(concurrent::WATCH), told).await;
    if sent.is_err() {
        // The server tells an error before it cleans up behind it, and answers again when that is done: only then do
        // others see that nobody builds the index any more.
        let _ = tokio::time::timeout(CLEANED_UP, session.client().batch_execute("")).await;
    }
    sent
}

/// The first `most` builds of an unbroken row, each of another table.
///
/// Of plain columns and whole tables only: the server lets builds of other indexes wait, at their end, for every
/// transaction that is older, other builds included (`PROC_IN_SAFE_IC` in `procarray.c`).
fn together(steps: &[Step], most: usize) -> Vec<(&Step, &Concurrent)> {
    let mut tables = BTreeSet::new();
    let stage = steps.first().map(|step| step.stage);
    let row = steps.iter().take_while(|step| Some(step.stage) == stage).map_while(|step| {
        let (Action::Concurrent(build), Postcondition::IndexValid(index)) = (&step.action, &step.postcondition) else {
            return None;
        };
        waits_for_no_build(&build.statement).then_some((step, build, index))
    });
    row.filter(|(_, _, IndexProbe { schema, table, .. })| tables.insert((schema, table)))
        .map(|(step, build, _)| (step, build))
        .take(most)
        .collect()
}

fn waits_for_no_build(statement: &str) -> bool {
    let Ok(parsed) = sql::parse(statement) else { return false };
    let [statement] = parsed.as_slice() else { return false };
    let Node::IndexStmt(index) = &statement.node else { return false };
    let is_column = |node: &pg_query::protobuf::Node| matches!(&node.node, Some(Node::IndexElem(element)) if element.expr.is_none());
    index.where_clause.is_none() && index.index_params.iter().all(is_column)
}

/// Waits until the build of this step has ended, if it was begun, and tells how far it is. Gives what rows did not fit;
/// of all else the catalog tells more than the statement's end.
pub(super) async fn end(context: &mut Context<'_>, unit: &Unit<'_>) -> Option<ServerError> {
    let mut build = context.builds.0.remove(&unit.step.id)?;
    loop {
        tokio::select! {
            ended = &mut build.task => return match ended {
                Ok(Err(Fault::Server(error))) if classify(&error.sqlstate) == Class::Data => Some(error),
                _ => None,
            },
            () = tokio::time::sleep(REPORT) => {
                let seen = build.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
                concurrent::report(context, unit, &seen);
            }
        }
    }
}

/// Ends the builds that the run does not come to any more, and removes what they leave as far as the run is still ours.
pub(super) async fn stop(context: &mut Context<'_>, plan: &Plan, error: &RunError) {
    let ours =
        !matches!(error.reason, Reason::Fenced | Reason::Interrupted | Reason::ConnectionLost | Reason::CommitsLost);
    for (id, build) in std::mem::take(&mut context.builds.0) {
        drop(build.stop);
        let _ = build.task.await;
        let step = plan.steps.iter().find(|step| step.id == id);
        if ours
            && let Some(step) = step
            && let Action::Concurrent(statement) = &step.action
        {
            concurrent::clean_up(context, &Unit::forward(step), statement).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Estimate, Origin, Stage, Undo};

    fn build(id: &str, stage: Stage, table: &str, statement: &str) -> Step {
        let index =
            IndexProbe { schema: "public".into(), index: id.into(), table: table.into(), definition: String::new() };
        Step {
            id: id.into(),
            stage,
            origin: Origin { statement: 0, start: 0, end: 0 },
            pattern: String::new(),
            description: String::new(),
            action: Action::Concurrent(Concurrent { statement: statement.into(), repair: None }),
            locks: Vec::new(),
            rewrites: Vec::new(),
            scans: Vec::new(),
            waits_for_transactions: Vec::new(),
            estimate: Estimate::default(),
            postcondition: Postcondition::IndexValid(index),
            undo: Undo::Nothing(crate::plan::Empty {}),
        }
    }

    fn plain(id: &str, table: &str) -> Step {
        build(id, Stage::Validate, table, &format!("CREATE INDEX CONCURRENTLY {id} ON {table} (a)"))
    }

    fn ids(steps: &[Step], most: usize) -> Vec<&str> {
        together(steps, most).into_iter().map(|(step, _)| step.id.as_str()).collect()
    }

    #[test]
    fn each_table_has_one_build_at_a_time() {
        let steps = [plain("a", "t"), plain("b", "t"), plain("c", "u"), plain("d", "v")];
        assert_eq!(ids(&steps, 1), ["a"]);
        assert_eq!(ids(&steps, 2), ["a", "c"]);
        assert_eq!(ids(&steps, 9), ["a", "c", "d"]);
    }

    #[test]
    fn what_the_server_lets_wait_for_other_builds_stays_alone() {
        for statement in [
            "CREATE INDEX CONCURRENTLY b ON u (lower(a))",
            "CREATE INDEX CONCURRENTLY b ON u (a) WHERE a > 1",
            "REINDEX INDEX CONCURRENTLY b",
        ] {
            let steps = [plain("a", "t"), build("b", Stage::Validate, "u", statement), plain("c", "v")];
            assert_eq!(ids(&steps, 9), ["a"], "{statement}");
        }
    }

    #[test]
    fn another_stage_has_its_own_gate() {
        let later = build("b", Stage::Contract, "u", "CREATE INDEX CONCURRENTLY b ON u (a)");
        assert_eq!(ids(&[plain("a", "t"), later], 9), ["a"]);
    }
}
