//! What comes next when no run goes on: plan, wait, execute, or nothing.

use jiff::SignedDuration;

use crate::api::Reason;
use crate::api::migration_status::{ExecutionState, Gate, Hold, RollbackOrigin};
use crate::plan::Stage;
use crate::report::RunAction;
use crate::run::Reason as RunReason;

use super::decide::{Draft, Kind, Situation};
use super::gates::{self, GateState};
use super::observation::{self, Standing as Observation};
use super::observed::{SourceState, WindowState};
use super::{approval, dependencies, inputs, rollback, status};
use crate::controller::database::circuit::Standing;

/// How often a Migration that waits for something without events looks again.
pub const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// How many Migrations of one Database are planned at a time: a hundred that are applied at once shall not be a hundred
/// connections.
const PLANNED_AT_ONCE: usize = 2;

/// How often a Migration that waits for others of its Database looks again; the end of their runs wakes it.
const LOOK_AT_QUEUE: SignedDuration = SignedDuration::from_secs(30);

/// What comes next.
pub fn next(draft: &mut Draft<'_>) -> Situation {
    if let Some(undone) = undone(draft) {
        return undone;
    }
    let done = draft.state() == Some(ExecutionState::Done);
    let finished = done && observation::standing(draft).is_passed();
    if draft.spec().suspend && !(finished && rollback::wanted(draft).is_none()) {
        return Situation::new(
            Kind::Suspended,
            Reason::Suspended,
            "stopped by spec.suspend; set it to false to go on where it stopped",
        );
    }
    if let Some(origin) = rollback::wanted(draft) {
        return rollback::next(draft, origin);
    }
    rollback::forget_refusal(draft);
    if done {
        return if source_changed(draft) {
            changed_after_start(draft)
        } else {
            observe(draft).unwrap_or_else(|| succeeded(draft))
        };
    }
    forget_old_hold(draft);
    if draft.has_begun() {
        if status::is_asked_again(draft)
            && let Some(waiting) = approval::waiting(draft)
        {
            return waiting;
        }
        return go_on(draft);
    }
    if let Some(blocked) = prerequisites(draft) {
        return blocked;
    }
    if needs_plan(draft) {
        return plan(draft);
    }
    if let Some(held) = held(draft, Reason::Executing) {
        return held;
    }
    if let Some(waiting) = approval::waiting(draft) {
        return waiting;
    }
    execute(draft)
}

/// The end of a Migration that was rolled back, unless it shall be applied again.
fn undone(draft: &mut Draft<'_>) -> Option<Situation> {
    if draft.state() != Some(ExecutionState::RolledBack) {
        return None;
    }
    let origin = draft.status.rollback.as_ref().and_then(|record| record.requested_by);
    let asked_for = matches!(origin, Some(RollbackOrigin::Spec | RollbackOrigin::Annotation));
    let taken_back = asked_for && rollback::requested(draft).is_none();
    if taken_back || source_changed(draft) {
        draft.start_over();
        return None;
    }
    Some(rollback::situation(draft))
}

/// What the observation makes wait, or what it has to be done for it.
fn observe(draft: &mut Draft<'_>) -> Option<Situation> {
    match observation::standing(draft) {
        Observation::NotAsked | Observation::Later | Observation::Passed(..) => return None,
        Observation::Refused(message) => return Some(Situation::stalled(Reason::RegressionFound, message)),
        Observation::Running(_) => {}
        Observation::Due => {
            if let Some(held) = held(draft, Reason::Observing) {
                return Some(held);
            }
            if draft.observed.database.is_none() {
                return Some(database_missing(draft));
            }
            if let Some(failing) = failing(draft) {
                return Some(failing);
            }
            return Some(draft.start(RunAction::Inspect, Vec::new(), None));
        }
    }
    match gates::observation(draft)? {
        GateState::Open { .. } => None,
        GateState::Shut { reason, message, opens_at } => {
            let wake = opens_at.unwrap_or_else(|| draft.after(LOOK_AGAIN));
            Some(Situation::new(Kind::Working(Reason::Observing), reason, message).until(wake))
        }
    }
}

fn succeeded(draft: &Draft<'_>) -> Situation {
    let steps = draft.status.execution.as_ref().map_or(0, |execution| execution.steps_total);
    let message = if steps == 1 { "the only step is done".to_owned() } else { format!("all {steps} steps are done") };
    Situation::new(Kind::Succeeded, Reason::Succeeded, message)
}

/// Whether the SQL is known and is not that of the plan.
pub fn source_changed(draft: &Draft<'_>) -> bool {
    let source = draft.observed.source.digest();
    draft.status.plan.as_ref().is_some_and(|plan| source.is_some_and(|source| source != plan.source))
}

fn changed_after_start(draft: &Draft<'_>) -> Situation {
    let (done, total) = draft.status.execution.as_ref().map_or((0, 0), |run| (run.steps_done, run.steps_total));
    let digest = draft.status.plan.as_ref().map(|plan| plan.digest.as_str()).unwrap_or_default();
    Situation::stalled(
        Reason::SourceChanged,
        format!(
            "the SQL changed after {done} of {total} steps were done. Restore it and make a new Migration for further \
             changes, or undo what was done with spec.rollback.requestedFor: {digest}; then the new SQL is planned"
        ),
    )
}

/// A hold from before the first step is over when what the plan is made from changes.
fn forget_old_hold(draft: &mut Draft<'_>) {
    let inputs = inputs::inputs(draft.observed);
    let Some(hold) = &draft.status.hold else { return };
    let changed = inputs.is_some() && hold.inputs.is_some() && hold.inputs != inputs;
    if changed && !draft.has_begun() {
        draft.status.hold = None;
        draft.status.failures = 0;
        draft.status.waits = 0;
    }
}

/// The execution has begun: it goes on unless something forbids it.
fn go_on(draft: &mut Draft<'_>) -> Situation {
    let unknown = draft.state() == Some(ExecutionState::Started);
    let stalled = draft.status.hold.as_ref().is_some_and(|hold| hold.stalled && hold.until.is_none());
    let inspected = draft.status.last_run.as_ref().is_some_and(|run| run.action == RunAction::Inspect);
    if unknown && !inspected && (stalled || source_changed(draft)) {
        // Nothing will run that could tell how far the last run came: look it up.
        if draft.observed.database.is_none() {
            return database_missing(draft);
        }
        if let Some(failing) = failing(draft) {
            return failing;
        }
        return draft.start(RunAction::Inspect, Vec::new(), None);
    }
    if source_changed(draft) {
        return changed_after_start(draft);
    }
    if let Some(held) = held(draft, Reason::Executing) {
        return held;
    }
    if draft.observed.database.is_none() {
        return database_missing(draft);
    }
    if draft.plan_facts().is_none() {
        let name = draft.status.plan.as_ref().map(|plan| plan.name.as_str()).unwrap_or_default();
        return Situation::stalled(
            Reason::PlanMissing,
            format!("the MigrationPlan {name} was deleted after steps of it were done: restore it from a backup"),
        );
    }
    execute(draft)
}

/// What has to be there before anything can begin.
fn prerequisites(draft: &mut Draft<'_>) -> Option<Situation> {
    if let Some(waiting) = dependencies::waiting(draft) {
        return Some(waiting);
    }
    let Some(database) = &draft.observed.database else { return Some(database_missing(draft)) };
    let forbidden = inputs::forbidden_hazards(database, draft.spec());
    if !forbidden.is_empty() {
        let names: Vec<String> = forbidden.iter().map(ToString::to_string).collect();
        return Some(Situation::stalled(
            Reason::HazardForbidden,
            format!(
                "spec.allowHazards has {}, which the Database {} forbids to all Migrations: remove it",
                names.join(", "),
                draft.spec().database_ref.name
            ),
        ));
    }
    match &draft.observed.source {
        SourceState::Missing { reason, message } => {
            return Some(Situation::blocked(*reason, message.clone()).until(draft.after(LOOK_AGAIN)));
        }
        SourceState::Unread => {
            return Some(Situation::blocked(Reason::ConfigMapMissing, "the SQL has not been read yet"));
        }
        SourceState::Known { .. } => {}
    }
    match &draft.observed.window {
        WindowState::Missing(name) => Some(Situation::blocked(
            Reason::WindowMissing,
            format!(
                "the ValidationWindow {name} does not exist: create it, or name another in spec.validation.windowRef"
            ),
        )),
        WindowState::NotForDatabase(name) => Some(Situation::blocked(
            Reason::WindowNotForDatabase,
            format!(
                "the ValidationWindow {name} is not for the Database {}: its databaseSelector does not select it",
                draft.spec().database_ref.name
            ),
        )),
        WindowState::None | WindowState::Invalid(..) | WindowState::Known(_) => None,
    }
}

/// The Database does not exist.
pub fn database_missing(draft: &Draft<'_>) -> Situation {
    let name = &draft.spec().database_ref.name;
    Situation::blocked(
        Reason::DatabaseMissing,
        format!("the Database {name} does not exist in this namespace: create it"),
    )
}

/// Another Migration has the database.
pub fn busy(draft: &Draft<'_>, rival: &str) -> Situation {
    let name = &draft.spec().database_ref.name;
    Situation::blocked(
        Reason::DatabaseBusy,
        format!("the Migration {rival} comes first on the Database {name}; one at a time is executed"),
    )
    .until(draft.after(LOOK_AT_QUEUE))
}

/// The database failed so often in a row that a Job has to wait.
pub fn failing(draft: &Draft<'_>) -> Option<Situation> {
    let name = &draft.spec().database_ref.name;
    match &draft.observed.circuit {
        _ if draft.retried => None,
        Standing::Closed => None,
        Standing::Open { until, why } => {
            let message = format!("the Database {name} failed {why}: no Job works on it until {until}, then one tries");
            Some(Situation::blocked(Reason::CircuitOpen, message).until(*until))
        }
        Standing::Probing { by, why } => {
            let message = format!("the Database {name} failed {why}: the Job of {by} tries whether it is back");
            Some(Situation::blocked(Reason::CircuitProbing, message).until(draft.after(LOOK_AGAIN)))
        }
    }
}

fn needs_plan(draft: &Draft<'_>) -> bool {
    let Some(plan) = &draft.status.plan else { return true };
    let inputs = inputs::inputs(draft.observed);
    draft.plan_facts().is_none() || inputs.is_some_and(|inputs| inputs != plan.inputs)
}

/// Others are planned on the database first.
fn queued(draft: &Draft<'_>) -> Situation {
    let (ahead, name) = (draft.observed.ahead_in_planning, &draft.spec().database_ref.name);
    let message =
        format!("{ahead} Migrations come first to be planned on the Database {name}; {PLANNED_AT_ONCE} at a time are");
    Situation::new(Kind::Working(Reason::Planning), Reason::PlanningQueued, message).until(draft.after(LOOK_AT_QUEUE))
}

fn plan(draft: &mut Draft<'_>) -> Situation {
    if let Some(held) = held(draft, Reason::Planning) {
        return held;
    }
    if let Some(failing) = failing(draft) {
        return failing;
    }
    if draft.observed.ahead_in_planning >= PLANNED_AT_ONCE {
        return queued(draft);
    }
    let why = outdated_by(draft);
    draft.replace_plan(why);
    draft.start(RunAction::Plan, Vec::new(), None)
}

/// What has made the plan another one.
fn outdated_by(draft: &Draft<'_>) -> &'static str {
    if source_changed(draft) {
        "the SQL has changed"
    } else if draft.plan_facts().is_none() {
        "its MigrationPlan does not exist any more"
    } else {
        "what else it was made from has changed: spec.checks, allowed hazards, or connection and policy of the Database"
    }
}

/// The hold, if it forbids a run now.
pub fn held(draft: &Draft<'_>, activity: Reason) -> Option<Situation> {
    let hold = draft.status.hold.as_ref()?;
    let until = hold.until.as_ref().map(|until| until.0);
    if until.is_some_and(|until| until <= draft.now) {
        return None;
    }
    if hold.stalled {
        return Some(held_as_it_is(draft));
    }
    let guarded = is_guarded(draft, hold);
    if guarded && !gates::validation(draft).is_open() {
        // What the window itself says outlasts the hold.
        return None;
    }
    if let Standing::Open { until: next, .. } = &draft.observed.circuit
        && until.is_some_and(|until| until < *next)
    {
        // The later of two times is when it goes on.
        return failing(draft);
    }
    let activity = if guarded { Reason::AwaitingWindow } else { activity };
    let message = match until {
        Some(until) => format!("{}. Next try at {until}", hold.message.trim_end_matches('.')),
        None => hold.message.clone(),
    };
    Some(Situation { kind: Kind::Working(activity), reason: hold.reason.clone(), message, wake: until })
}

/// Whether a guard of the window is what the next validation waits for.
fn is_guarded(draft: &Draft<'_>, hold: &Hold) -> bool {
    let next = draft.status.execution.as_ref().and_then(|execution| execution.next_stage);
    next == Some(Stage::Validate) && hold.reason.parse() == Ok(RunReason::GuardNotMet)
}

fn held_as_it_is(draft: &Draft<'_>) -> Situation {
    let (reason, message, until) = draft.status.hold.as_ref().map_or_else(
        || (Reason::RunLost.word().to_owned(), String::new(), None),
        |hold| (hold.reason.clone(), hold.message.clone(), hold.until.as_ref().map(|until| until.0)),
    );
    let message = match until {
        Some(until) => format!(
            "{}. Tried again at {until}, or at once when the annotation wesley.dev/retry changes",
            message.trim_end_matches('.')
        ),
        None => message,
    };
    Situation { kind: Kind::Stalled, reason, message, wake: until }
}

fn execute(draft: &mut Draft<'_>) -> Situation {
    let stage = draft.status.execution.as_ref().and_then(|execution| execution.next_stage);
    if stage == Some(Stage::Contract)
        && let Some(observing) = observe(draft)
    {
        return observing;
    }
    let validation = gates::validation(draft);
    let contract = gates::contract(draft);
    let closed = match stage {
        Some(Stage::Validate) => Some((Reason::AwaitingWindow, &validation)),
        Some(Stage::Contract) => Some((Reason::Observing, &contract)),
        _ => None,
    };
    if let Some((activity, GateState::Shut { reason, message, opens_at })) = closed {
        let wake = opens_at.unwrap_or_else(|| draft.after(LOOK_AGAIN));
        return Situation::new(Kind::Working(activity), *reason, message.clone()).until(wake);
    }
    if let Some(rival) = &draft.observed.rival {
        return busy(draft, rival);
    }
    if let Some(failing) = failing(draft) {
        return failing;
    }
    let needs_validation = draft.status.plan.as_ref().is_some_and(|plan| plan.needs_validation);
    let mut gates = Vec::new();
    let mut window = None;
    if let GateState::Open { place } = validation {
        gates.push(Gate::Validate);
        window = place.filter(|_| needs_validation);
    }
    if contract.is_open() {
        gates.push(Gate::Contract);
    }
    super::settle::begin(draft, ExecutionState::Started);
    draft.start(RunAction::Execute, gates, window)
}
