//! Forward: the steps of a plan in their order, as far as the open gates allow.

use std::time::Instant;

use jiff::Timestamp;

use super::backfill;
use super::check;
use super::concurrent;
use super::connect::Settings;
use super::context::{Context, Tally, Unit, interrupted};
use super::error::{Fault, Reason, RunError};
use super::failpoint::{Boundary, hit};
use super::guard;
use super::ledger::runs::{self, Recorded, RunState};
use super::ledger::steps::{self, StepState};
use super::ledger::{RunKey, schema};
use super::options::Options;
use super::outcome::{Ending, RunOutcome};
use super::parallel::{self, Builds};
use super::preflight;
use super::privileges;
use super::progress::{Observer, ProgressState};
use super::restore_point;
use super::rollback;
use super::script;
use super::session::Session;
use super::transaction;
use crate::catalog::introspect::{IntrospectError, introspect, moment};
use crate::plan::{Action, Plan, Stage, only_reads, outgrown, still_holds};

/// What to execute.
#[derive(Clone, Debug)]
pub enum Request {
    /// This plan; where the name has an unfinished run of the same source, the plan recorded there instead,
    /// because the catalog has moved with the steps that are done.
    Start(Box<Plan>),
    /// The recorded plan, which must have been made from this source.
    Resume {
        /// `Plan::source_digest`.
        source_digest: String,
    },
}

/// Executes under `name`, records every step in the ledger, and takes up what an earlier process left.
///
/// A name stands for one source: finished, it is done at once; with another source it is refused with
/// [`Reason::NameTaken`], unless nothing of the recorded run was ever done.
pub async fn apply(
    settings: &Settings,
    name: &str,
    request: Request,
    options: &Options,
    observer: &dyn Observer,
) -> RunOutcome {
    let started = Instant::now();
    let mut outcome = RunOutcome::new(name, started);
    outcome.ending = forward(settings, name, request, options, observer, &mut outcome).await;
    outcome.finish(observer);
    outcome
}

async fn forward(
    settings: &Settings,
    name: &str,
    request: Request,
    options: &Options,
    observer: &dyn Observer,
    outcome: &mut RunOutcome,
) -> Result<Ending, RunError> {
    require_name(name)?;
    let session = Session::open(settings, name, options, observer).await?;
    hit(Boundary::Connected);
    let mut context = Context {
        session,
        run: RunKey { name: name.to_owned(), epoch: 0 },
        options,
        observer,
        started: outcome.started,
        tally: Tally::default(),
        builds: Builds::default(),
    };
    let plan = match take(&mut context, request).await.map_err(|fault| before_start(&context, fault))? {
        Taken::Ready(plan) => plan,
        Taken::Finished(plan) => {
            let steps = i64::try_from(plan.steps.len()).unwrap_or(i64::MAX);
            context.tally.steps_done = steps;
            outcome.describe(&plan, &context.tally);
            return Ok(Ending::AlreadyDone);
        }
    };
    outcome.describe(&plan, &context.tally);
    require_question(&context).await.map_err(|fault| before_start(&context, fault))?;
    let ended = walk(&mut context, &plan).await;
    if let Err(error) = &ended {
        parallel::stop(&mut context, &plan, error).await;
    }
    outcome.describe(&plan, &context.tally);
    let ended = record_end(&mut context, ended).await;
    match rollback::state_of(&context, &plan).await {
        Ok(state) => outcome.rollback = Some(state),
        Err(_) if ended.is_err() => {}
        Err(fault) => return Err(before_start(&context, fault)),
    }
    ended
}

/// What taking a run gave.
enum Taken {
    /// Steps are left.
    Ready(Box<Plan>),
    /// Nothing is left to do.
    Finished(Box<Plan>),
}

/// Finds or records the run and makes it ours.
async fn take(context: &mut Context<'_>, request: Request) -> Result<Taken, Fault> {
    let (client, server) = (context.session.client(), &context.session.server);
    let name = context.run.name.clone();
    schema::prepare(client, &server.identity.database).await?;
    hit(Boundary::LedgerPrepared);
    let recorded = runs::find(client, &name).await?;
    if let Some(recorded) = &recorded {
        require_same_database(context, recorded)?;
    }
    let steps = steps::read(client, &name).await?;
    let untouched = steps.values().all(|record| !record.has_effects());
    match (recorded, request) {
        (None, Request::Resume { .. }) => Err(not_recorded(&name).into()),
        (Some(Recorded { state: RunState::RolledBack, .. }), Request::Resume { .. }) => Err(not_recorded(&name).into()),
        (Some(Recorded { state: RunState::RollingBack, .. }), _) => Err(rollback_unfinished(&name).into()),
        (Some(recorded), request) if matches!(recorded.state, RunState::Done) => {
            require_source(&name, &recorded, &request)?;
            Ok(Taken::Finished(Box::new(recorded.plan)))
        }
        (Some(recorded), Request::Start(plan)) if recorded.state == RunState::RolledBack || untouched => {
            start(context, *plan).await
        }
        (Some(recorded), request) => {
            require_source(&name, &recorded, &request)?;
            require_plan(context, &recorded, &request)?;
            context.run = runs::take_over(client, &name, RunState::Running).await?;
            hit(Boundary::TakenOver);
            context.tally.changed = !untouched;
            Ok(Taken::Ready(Box::new(recorded.plan)))
        }
        (None, Request::Start(plan)) => start(context, *plan).await,
    }
}

async fn start(context: &mut Context<'_>, plan: Plan) -> Result<Taken, Fault> {
    let identity = &context.session.server.identity;
    if !plan.target.same_database(identity) {
        return Err(RunError::new(
            Reason::TargetMismatch,
            format!(
                "the plan was made for another database than {} at this address: plan again here",
                identity.database
            ),
        )
        .into());
    }
    privileges::require(context.session.client(), &context.session.server, &plan).await?;
    // Between the plan and the lock there was a question, a queue or a night. Only a plan written by hand names no
    // catalog that it was made for.
    if context.options.planned_earlier || !plan.catalog_fingerprint.is_empty() {
        require_same_catalog(context, &plan).await?;
    }
    context.run = runs::create(context.session.client(), &context.run.name, &plan, identity).await?;
    hit(Boundary::RunRecorded);
    Ok(Taken::Ready(Box::new(plan)))
}

/// The ledger travels with a copy of the database; what it says is true only where it was written.
pub(super) fn require_same_database(context: &Context<'_>, recorded: &Recorded) -> Result<(), RunError> {
    if recorded.target.same_database(&context.session.server.identity) {
        return Ok(());
    }
    Err(RunError::new(
        Reason::TargetChanged,
        format!(
            "the ledger's run {} was recorded in another database: this one is a copy of it or was restored \
             elsewhere. Nothing was touched; use another name here",
            context.run.name
        ),
    ))
}

fn require_source(name: &str, recorded: &Recorded, request: &Request) -> Result<(), RunError> {
    let wanted = match request {
        Request::Start(plan) => &plan.source_digest,
        Request::Resume { source_digest } => source_digest,
    };
    if *wanted == recorded.source_digest {
        return Ok(());
    }
    Err(name_taken(name, recorded.state))
}

/// The name stands for other SQL.
pub(super) fn name_taken(name: &str, state: RunState) -> RunError {
    let message = if state == RunState::Done {
        format!("the run {name} is finished with other SQL: use another name, or roll it back first")
    } else {
        format!(
            "the run {name} has begun and is not finished with other SQL: use another name, or roll it back first; \
             the SQL that it began with resumes it"
        )
    };
    RunError::new(Reason::NameTaken, message)
}

/// The undo of the run has begun.
pub(super) fn rollback_unfinished(name: &str) -> RunError {
    RunError::new(
        Reason::RollbackUnfinished,
        format!("the run {name} is being rolled back: finish that first (rollback --name {name})"),
    )
}

/// What was approved is one plan, not whatever the same SQL would lead to now.
fn require_plan(context: &Context<'_>, recorded: &Recorded, request: &Request) -> Result<(), RunError> {
    match request {
        Request::Start(plan) if context.options.planned_earlier && plan.digest != recorded.plan.digest => {
            Err(RunError::new(
                Reason::OtherPlanRecorded,
                format!(
                    "the run {} has begun with the plan {}: execute that one, or roll it back first",
                    context.run.name, recorded.plan.digest
                ),
            ))
        }
        _ => Ok(()),
    }
}

async fn require_same_catalog(context: &Context<'_>, plan: &Plan) -> Result<(), Fault> {
    if let Some(planned_at) = &context.options.planned_at
        && moment(context.session.client()).await.map_err(unreadable)? == *planned_at
    {
        return Ok(());
    }
    let catalog = introspect(context.session.client()).await.map_err(unreadable)?;
    if let Some((table, bytes)) = outgrown(plan, &catalog) {
        return Err(RunError::new(
            Reason::CatalogChanged,
            format!(
                "{table} has grown to {} MiB since the plan was made, which changes it directly because it was small. Nothing \
                 was touched; plan again (`wesley apply`: run it again)",
                bytes >> 20
            ),
        )
        .into());
    }
    if still_holds(plan, &catalog) {
        return Ok(());
    }
    Err(RunError::new(
        Reason::CatalogChanged,
        "the schema has changed since the plan was made: it is no longer true. Nothing was touched; plan again \
         (`wesley apply`: run it again)",
    )
    .into())
}

/// The query that holds backfills comes with the run, not with the plan that was approved: it may only ask.
pub(super) async fn require_question(context: &Context<'_>) -> Result<(), Fault> {
    let Some(query) = &context.options.holds.query else { return Ok(()) };
    let catalog = introspect(context.session.client()).await.map_err(unreadable)?;
    only_reads(query, &catalog).map_err(|message| {
        let message = format!("spec.backfill.holds.query (--hold-query): {message}. Correct it, and run it again");
        RunError::new(Reason::StatementUnsupported, message).into()
    })
}

/// A catalog that cannot be read, before anything was begun.
pub fn schema_unreadable(error: IntrospectError) -> RunError {
    match unreadable(error) {
        Fault::Fatal(error) => error,
        Fault::Server(error) => preflight::refusal(&error),
        Fault::Lost | Fault::Interrupted => RunError::new(Reason::ConnectionLost, "the connection was lost"),
    }
}

/// A catalog that cannot be read.
pub(super) fn unreadable(error: IntrospectError) -> Fault {
    match error {
        IntrospectError::Query { source, .. } => source.into(),
        other => RunError::new(Reason::UnsupportedServer, format!("the schema cannot be read: {other}")).into(),
    }
}

async fn walk(context: &mut Context<'_>, plan: &Plan) -> Result<Ending, RunError> {
    let records =
        steps::read(context.session.client(), &context.run.name).await.map_err(|fault| before_start(context, fault))?;
    let resuming = context.tally.changed || records.values().any(|record| record.state != StepState::Planned);
    for (at, step) in plan.steps.iter().enumerate() {
        let record = records.get(&step.id).copied().unwrap_or(steps::StepRecord::PLANNED);
        if record.state == StepState::Done {
            context.tally.steps_done += 1;
            context.tally.rows_done += record.rows_done;
            continue;
        }
        if !context.options.gates.allow(step.stage) {
            return Ok(Ending::Paused(step.stage));
        }
        if step.stage == Stage::Validate && !context.builds.has(step) {
            let window = context.options.window;
            if window.is_some_and(|window| !window.admits(step, Timestamp::now())) {
                return Ok(Ending::Paused(step.stage));
            }
            if let Some(guards) = &context.options.guards {
                guard::require(&context.session, guards)
                    .await
                    .map_err(|fault| before_start(context, fault).at(&step.id))?;
            }
        }
        if resuming && context.tally.resumed_at.is_none() {
            context.tally.resumed_at = Some(step.id.clone());
        }
        parallel::begin(context, &plan.steps[at..], &records).await;
        let unit = Unit::forward(step);
        if let Err(error) = guarded(context, &unit).await {
            let error = error.at(&step.id);
            context.tell(&unit, ProgressState::Failed, (0, None), Vec::new());
            return Err(error);
        }
        context.tally.steps_done += 1;
        context.tally.changed |= !matches!(step.action, Action::Check(_));
    }
    hit(Boundary::BeforeFinish);
    Ok(Ending::Done)
}

/// Runs a step, after a restore point where it is wanted.
async fn guarded(context: &mut Context<'_>, unit: &Unit<'_>) -> Result<(), RunError> {
    if restore_point::is_wanted(unit.step) {
        let mut attempts = context.attempts(unit.manner());
        while let Err(fault) = restore_point::make(context, unit).await {
            context.recover(unit, &mut attempts, fault).await?;
        }
    }
    execute(context, unit).await
}

/// Runs one unit of work until it is recorded as done.
pub(super) async fn execute(context: &mut Context<'_>, unit: &Unit<'_>) -> Result<(), RunError> {
    context.tell(unit, ProgressState::Running, (0, None), Vec::new());
    let mut attempts = context.attempts(unit.manner());
    while let Err(fault) = context.session.require_same_session().await {
        context.recover(unit, &mut attempts, fault).await?;
    }
    let rows = context.tally.rows_done;
    match unit.action {
        Action::Transaction(transaction) => transaction::run(context, unit, transaction).await?,
        Action::Concurrent(statement) => concurrent::run(context, unit, statement).await?,
        Action::Backfill(spec) => backfill::run(context, unit, spec).await?,
        Action::Check(check) => check::run(context, unit, check).await?,
        Action::Script(script) => script::run(context, unit, script).await?,
    }
    context.tell(unit, ProgressState::Done, (context.tally.rows_done - rows, None), Vec::new());
    Ok(())
}

/// Records how the run ended; an error of the run outweighs one of recording it.
async fn record_end(context: &mut Context<'_>, ended: Result<Ending, RunError>) -> Result<Ending, RunError> {
    let client = context.session.client();
    let recorded = match &ended {
        Ok(Ending::Paused(_)) => runs::finish(client, &context.run, RunState::Paused, Reason::Paused, None, None).await,
        Ok(_) => runs::finish(client, &context.run, RunState::Done, Reason::Done, None, None).await,
        Err(error) => {
            record_failure(context, error, RunState::Failed).await;
            Ok(())
        }
    };
    hit(Boundary::AfterFinish);
    match recorded {
        Ok(()) => ended,
        Err(fault) => Err(before_start(context, fault)),
    }
}

/// Records a failure as far as the connection still allows. What may pass by itself leaves the run as it is.
pub(super) async fn record_failure(context: &Context<'_>, error: &RunError, state: RunState) {
    let (client, run) = (context.session.client(), &context.run);
    let (sqlstate, step) = (error.sqlstate.as_deref(), error.step.as_deref());
    if matches!(error.reason, Reason::Fenced | Reason::ConnectionLost | Reason::CommitsLost) {
        return;
    }
    let for_good = !matches!(error.reason, Reason::Interrupted | Reason::LockBudgetSpent | Reason::GuardNotMet);
    if let Some(step) = step.filter(|_| for_good) {
        let _ = steps::failed(client, run, step, sqlstate).await;
    }
    let state = if for_good || state == RunState::RollingBack { state } else { RunState::Running };
    let _ = runs::finish(client, run, state, error.reason, sqlstate, step).await;
}

/// A fault outside of any step.
pub(super) fn before_start(context: &Context<'_>, fault: Fault) -> RunError {
    match fault {
        Fault::Fatal(error) => error,
        Fault::Interrupted => interrupted(),
        Fault::Lost => RunError::new(Reason::ConnectionLost, "the connection was lost; run it again to resume"),
        Fault::Server(error) if context.tally.changed => context.refused(&error),
        Fault::Server(error) => preflight::refusal(&error),
    }
}

pub(super) fn not_recorded(name: &str) -> RunError {
    RunError::new(Reason::NotRecorded, format!("the ledger of this database has no run {name} to take up"))
}

/// 1 to 200 of letters, digits, `.`, `_`, `-`.
pub(crate) fn require_name(name: &str) -> Result<(), RunError> {
    let fits = (1..=200).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if fits {
        return Ok(());
    }
    Err(RunError::new(Reason::InvalidName, "a name is 1 to 200 of letters, digits, '.', '_' and '-'"))
}
