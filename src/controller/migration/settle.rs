//! A run: is it still going on, should it stop? How it ended is recorded in [`super::ended`].

use jiff::{SignedDuration, Timestamp};

use crate::api::Reason;
use crate::api::migration_status::{ExecutionRecord, ExecutionState, Gate, RunRecord, StopCause};
use crate::api::validation_window::Overrun;
use crate::controller::windows::Opening;
use crate::plan::{RollbackClass, Stage};
use crate::report::RunAction;

use super::decide::{Action, Draft, Kind, Situation};
use super::ended::{end, stall};
use super::observed::{End, JobState, WindowState};
use super::{gates, inputs, observation, rollback};

/// A Job that runs is looked at that often even when no event tells of it: a lost event must not hide its end.
const RUN_LOOK: SignedDuration = SignedDuration::from_secs(30);

/// The situation while a run goes on; nothing when there is none (any more). An ended run is recorded.
pub fn settle(draft: &mut Draft<'_>) -> Option<Situation> {
    let run = draft.status.run.clone()?;
    match &draft.observed.job {
        JobState::None | JobState::Absent | JobState::Refused(_) if run.stopping.is_some() => {
            end(draft, &run, &End::default());
            None
        }
        JobState::None | JobState::Absent | JobState::Refused(_) => {
            // The status was written, the Job was not created; or somebody deleted it. Its name is its own, and the
            // ledger knows what was done.
            if let Some(cause) = stop_cause(draft, &run) {
                stop_before_start(draft, &run, cause);
                return None;
            }
            draft.act(Action::CreateJob);
            let situation = running(draft, &run, None);
            let JobState::Refused(why) = &draft.observed.job else { return Some(situation) };
            let message = format!("the Job {} cannot be created: {why}", run.job);
            Some(Situation { reason: Reason::JobRefused.word().to_owned(), message, ..situation })
        }
        JobState::Foreign => {
            draft.status.run = None;
            let message = format!("a Job {} exists that this Migration did not make: delete it, then retry", run.job);
            stall(draft, Reason::NameConflict.word(), &message);
            None
        }
        JobState::Active { ending, stuck } => {
            let (ending, stuck) = (*ending, stuck.clone());
            if let Some(cause) = stop_cause(draft, &run).or(run.stopping) {
                if let Some(run) = &mut draft.status.run {
                    run.stopping.get_or_insert(cause);
                }
                if !ending {
                    draft.act(Action::StopJob(run.job.clone()));
                }
            }
            Some(running(draft, &run, stuck))
        }
        JobState::Ended(found) => {
            end(draft, &run, found);
            draft.act(Action::ExpireJob(run.job.clone()));
            None
        }
    }
}

/// Why the run should not go on, if so.
fn stop_cause(draft: &Draft<'_>, run: &RunRecord) -> Option<StopCause> {
    if draft.observed.deleting() {
        let undoing = run.action == RunAction::Rollback && !draft.observed.namespace_ending;
        return (!undoing).then_some(StopCause::Deleted);
    }
    if draft.spec().suspend {
        return Some(StopCause::Suspended);
    }
    match run.action {
        RunAction::Plan => {
            let now = inputs::inputs(draft.observed);
            (now.is_some() && now != run.inputs).then_some(StopCause::InputsChanged)
        }
        RunAction::Execute => {
            if rollback::requested(draft).is_some() {
                return Some(StopCause::RollbackRequested);
            }
            let source = draft.observed.source.digest();
            if draft.status.plan.as_ref().is_some_and(|plan| source.is_some_and(|source| source != plan.source)) {
                return Some(StopCause::InputsChanged);
            }
            if overruns(draft, run) {
                return Some(StopCause::WindowClosed);
            }
            contract_is_shut(draft, run).then_some(StopCause::ContractShut)
        }
        RunAction::Rollback | RunAction::Inspect => None,
    }
}

fn overruns(draft: &Draft<'_>, run: &RunRecord) -> bool {
    let WindowState::Known(window) = &draft.observed.window else { return false };
    let overrun = gates::overrun(draft, window);
    run.window.as_ref() == Some(&window.name)
        && overrun == Overrun::Cancel
        && matches!(window.opening, Opening::Shut { .. })
}

/// Whether the run may pass the point of no return, and should not any more: what opened the way was taken back.
fn contract_is_shut(draft: &Draft<'_>, run: &RunRecord) -> bool {
    let contracts = draft.status.plan.as_ref().is_some_and(|plan| plan.has_contract);
    contracts && run.gates.contains(&Gate::Contract) && !gates::contract(draft).is_open()
}

fn stop_before_start(draft: &mut Draft<'_>, run: &RunRecord, cause: StopCause) {
    let mut run = run.clone();
    run.stopping = Some(cause);
    end(draft, &run, &End::default());
}

/// The situation while a run goes on.
pub fn running(draft: &Draft<'_>, run: &RunRecord, stuck: Option<String>) -> Situation {
    let activity = activity(draft, run);
    let situation = if let Some(hold) = draft.status.hold.as_ref().filter(|_| run.probe) {
        let (reason, message) = (hold.reason.clone(), hold.message.clone());
        Situation { kind: Kind::Stalled, reason, message, wake: None }
    } else if let Some(stuck) = stuck {
        let message = format!("the pod of Job {} does not start: {stuck}", run.job);
        Situation::new(Kind::Working(activity), Reason::PodNotStarting, message)
    } else if draft.status.run.as_ref().is_some_and(|run| run.stopping.is_some()) {
        Situation::working(activity, format!("Job {} is stopping at the next checkpoint", run.job))
    } else {
        Situation::working(activity, format!("Job {} is running", run.job))
    };
    let look = draft.after(RUN_LOOK);
    situation.until(closing(draft, run).map_or(look, |time| time.min(look)))
}

fn activity(draft: &Draft<'_>, run: &RunRecord) -> Reason {
    match run.action {
        RunAction::Plan => Reason::Planning,
        RunAction::Rollback => Reason::RollingBack,
        RunAction::Inspect if observes(draft) => Reason::Observing,
        RunAction::Execute | RunAction::Inspect => {
            let live = draft.plan_facts().and_then(|plan| plan.running_stage);
            match live.or(draft.status.execution.as_ref().and_then(|execution| execution.next_stage)) {
                Some(Stage::Validate) => Reason::Validating,
                Some(Stage::Contract) => Reason::Contracting,
                _ => Reason::Executing,
            }
        }
    }
}

/// Whether a run that looks measures what the change did to the application.
fn observes(draft: &Draft<'_>) -> bool {
    let execution = draft.status.execution.as_ref().map(|execution| (execution.state, execution.next_stage));
    draft.spec().observation.is_some() && observation::is_measured(execution)
}

/// When the run has to be cancelled because its window closes.
fn closing(draft: &Draft<'_>, run: &RunRecord) -> Option<Timestamp> {
    let WindowState::Known(window) = &draft.observed.window else { return None };
    let Opening::Open { closes_at } = window.opening else { return None };
    let cancels = gates::overrun(draft, window) == Overrun::Cancel;
    if cancels && run.window.as_ref() == Some(&window.name) { closes_at } else { None }
}

/// What is known of an execution that is about to begin or to go on.
pub fn begin(draft: &mut Draft<'_>, state: ExecutionState) {
    let Some(plan) = draft.status.plan.clone() else { return };
    let before = draft.status.execution.take().filter(|execution| execution.digest == plan.digest);
    let before = before.filter(|execution| execution.state != ExecutionState::RolledBack);
    draft.status.execution = Some(match before {
        Some(execution) => ExecutionRecord { state, ..execution },
        None => ExecutionRecord {
            state,
            digest: plan.digest,
            steps_done: 0,
            steps_total: plan.steps,
            next_stage: None,
            rows_done: 0,
        },
    });
    let now = draft.time();
    draft.status.started_time.get_or_insert(now);
}

/// Whether a rollback would be of that class, as far as is known.
pub fn rollback_class(draft: &Draft<'_>) -> RollbackClass {
    draft.status.rollback.as_ref().map(|record| record.class).unwrap_or_default()
}
