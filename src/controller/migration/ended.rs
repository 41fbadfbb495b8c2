//! How a run ended, and what follows from it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::Reason;
use crate::api::migration_status::{ExecutionState, Gate, Hold, LastRun, PlanRecord, RollbackRecord, RunRecord};
use crate::controller::conditions::{shorten, word};
use crate::controller::retry;
use crate::exit::Class;
use crate::plan::Stage;
use crate::report::{Report, RunAction};
use crate::run::Reason as RunReason;

use super::decide::Draft;
use super::observed::{End, EndCause, PlanFacts};
use super::{gates, inputs, observation, rollback};

/// Reasons of a runner's end before the first step that a new plan puts right.
const PLAN_AGAIN: [RunReason; 2] = [RunReason::CatalogChanged, RunReason::TargetMismatch];

/// Records how a run ended.
pub fn end(draft: &mut Draft<'_>, run: &RunRecord, end: &End) {
    let (reason, message) = describe(run, end);
    let report = end.report.as_deref();
    draft.status.run = None;
    draft.status.last_run = Some(LastRun {
        job: run.job.clone(),
        action: run.action,
        number: run.number,
        exit_code: end.exit_code,
        reason: reason.clone(),
        message: shorten(&message),
        step: report.and_then(|report| report.step.clone()).map(|step| step.chars().take(128).collect()),
        sqlstate: report.and_then(|report| report.sqlstate.clone()).filter(|code| code.len() <= 5),
        finished_time: draft.time(),
    });
    learn(draft, run, report);
    let class =
        if end.exit_code == Some(0) && report.is_none() { Class::Unexpected } else { retry::class(end.exit_code) };
    match class {
        Class::Done => done(draft, run, report),
        // A run that was told to stop did as it was told.
        Class::Waiting | Class::Unexpected if run.stopping.is_some() => {
            if !run.probe {
                draft.status.hold = None;
            }
        }
        class => failed(draft, run, class, &reason, &message),
    }
}

/// What the report says about the ledger, whatever the end.
fn learn(draft: &mut Draft<'_>, run: &RunRecord, report: Option<&Report>) {
    // A run that failed before it reached the ledger knows nothing of it.
    let Some(report) = report.filter(|report| report.steps_total > 0) else { return };
    if run.action == RunAction::Plan {
        return;
    }
    if let Some(execution) = &mut draft.status.execution {
        execution.steps_done = report.steps_done.max(0);
        execution.steps_total = report.steps_total.max(execution.steps_total);
        execution.next_stage = report.next_stage;
        execution.rows_done = report.rows_done.max(0);
        if execution.state == ExecutionState::Started {
            execution.state = ExecutionState::Partial;
        }
    }
    if let Some(found) = &report.observation {
        observation::learn(draft, found);
    }
    if let Some(state) = &report.rollback {
        let before = draft.status.rollback.take();
        draft.status.rollback = Some(RollbackRecord {
            ready: false,
            class: state.class,
            reason: shorten(&state.reason),
            until: String::new(),
            steps: state.steps.max(0),
            requested_by: before.as_ref().and_then(|record| record.requested_by),
            restore_point: state
                .restore_point
                .clone()
                .or(before.as_ref().and_then(|record| record.restore_point.clone())),
            restore_lsn: state.restore_lsn.clone().or(before.as_ref().and_then(|record| record.restore_lsn.clone())),
            cause: before.and_then(|record| record.cause),
        });
    }
}

fn done(draft: &mut Draft<'_>, run: &RunRecord, report: Option<&Report>) {
    match run.action {
        RunAction::Plan => planned(draft, run, report),
        RunAction::Execute => executed(draft, run),
        RunAction::Rollback => {
            went_well(draft);
            rollback::finished(draft);
        }
        RunAction::Inspect => inspected(draft, report),
    }
}

fn went_well(draft: &mut Draft<'_>) {
    draft.status.hold = None;
    draft.status.failures = 0;
    draft.status.waits = 0;
}

fn planned(draft: &mut Draft<'_>, run: &RunRecord, report: Option<&Report>) {
    let Some(made) = draft.observed.made.clone() else {
        let name = report.and_then(|report| report.plan.clone()).unwrap_or_default();
        let message = format!("the planning Job is done, but its MigrationPlan {name} does not exist");
        return unexpected(draft, Reason::PlanMissing.word(), &message);
    };
    let uid = draft.observed.migration.metadata.uid.as_deref().unwrap_or_default();
    let named = report.and_then(|report| report.digest.as_deref());
    if made.migration_uid != uid || named.is_some_and(|digest| digest != made.digest) {
        let message = format!(
            "the MigrationPlan {} is not the one that was made for this Migration: delete it, then retry",
            made.name
        );
        return stall(draft, Reason::NameConflict.word(), &message);
    }
    went_well(draft);
    draft.status.rollback = Some(RollbackRecord {
        ready: false,
        class: made.rollback,
        reason: shorten(&made.rollback_reason),
        until: String::new(),
        steps: 0,
        requested_by: None,
        cause: None,
        restore_point: None,
        restore_lsn: None,
    });
    draft.status.execution = None;
    draft.status.soaking_since = None;
    draft.status.observation = None;
    draft.status.plan = Some(record(draft, run, &made));
}

fn record(draft: &Draft<'_>, run: &RunRecord, made: &PlanFacts) -> PlanRecord {
    PlanRecord {
        name: made.name.clone(),
        digest: made.digest.clone(),
        inputs: run.inputs.clone().unwrap_or_default(),
        source: draft.observed.source.digest().unwrap_or_default().to_owned(),
        generation: draft.observed.migration.metadata.generation.unwrap_or_default(),
        steps: made.steps,
        needs_validation: made.needs_validation,
        validation_seconds: made.validations.iter().map(|(_, seconds)| *seconds).sum::<i64>().max(0),
        has_contract: made.has_contract,
        rollback: made.rollback,
        target: Some(made.target.clone()),
    }
}

fn executed(draft: &mut Draft<'_>, run: &RunRecord) {
    let next = draft.status.execution.as_ref().and_then(|execution| execution.next_stage);
    let gate = match next {
        None => return all_done(draft),
        Some(Stage::Validate) => Gate::Validate,
        Some(Stage::Contract) => {
            let now = draft.time();
            draft.status.soaking_since.get_or_insert(now);
            Gate::Contract
        }
        Some(Stage::Expand | Stage::Backfill | Stage::Switch) => {
            return unexpected(
                draft,
                Reason::RunLost.word(),
                "the run ended without a failure although steps are left",
            );
        }
    };
    let shut = |closes_at: &Time| closes_at.0 <= draft.now || !gates::validation(draft).is_open();
    let shut_meanwhile = gate == Gate::Validate && run.window_closes_at.as_ref().is_some_and(shut);
    if run.gates.contains(&gate) && !shut_meanwhile {
        return unexpected(draft, Reason::RunLost.word(), "the run stopped at a gate that was open");
    }
    draft.status.outdated_plans = 0;
    went_well(draft);
}

fn inspected(draft: &mut Draft<'_>, report: Option<&Report>) {
    let reason = report.and_then(|report| report.reason.parse::<RunReason>().ok());
    let nothing = report.is_none_or(|report| report.steps_total == 0) || reason == Some(RunReason::NotRecorded);
    match reason {
        Some(RunReason::RolledBack) => {
            went_well(draft);
            rollback::finished(draft);
            return;
        }
        Some(RunReason::RollbackUnfinished) => {
            if let Some(execution) = &mut draft.status.execution {
                execution.state = ExecutionState::RollingBack;
            }
            return;
        }
        _ => {}
    }
    let Some(execution) = &mut draft.status.execution else { return };
    if nothing {
        execution.state = ExecutionState::Partial;
        execution.steps_done = 0;
    } else if execution.next_stage == Some(Stage::Contract) {
        // What was looked up may be the end of a run that could not say so itself.
        let now = draft.time();
        draft.status.soaking_since.get_or_insert(now);
        if report.is_some_and(|report| report.observation.is_some()) {
            went_well(draft);
        }
    } else if execution.next_stage.is_none() && execution.steps_done >= execution.steps_total {
        all_done(draft);
    }
}

/// No step is left.
fn all_done(draft: &mut Draft<'_>) {
    let now = draft.time();
    if let Some(execution) = &mut draft.status.execution {
        execution.state = ExecutionState::Done;
    }
    // A plan without contract steps is observed as well.
    if draft.spec().observation.is_some() {
        draft.status.soaking_since.get_or_insert(now.clone());
    }
    draft.status.completed_time.get_or_insert(now);
    draft.status.outdated_plans = 0;
    went_well(draft);
}

fn failed(draft: &mut Draft<'_>, run: &RunRecord, class: Class, reason: &str, message: &str) {
    let untouched = draft.status.execution.as_ref().is_none_or(|execution| execution.steps_done == 0);
    if run.action == RunAction::Execute && untouched && reason.parse().is_ok_and(|reason| PLAN_AGAIN.contains(&reason))
    {
        draft.replace_plan(message.split(". ").next().unwrap_or(reason));
        draft.status.outdated_plans = draft.status.outdated_plans.saturating_add(1);
        let until = draft.after(retry::after_unexpected(&draft.spec().retry, draft.status.outdated_plans));
        return hold(draft, reason, &format!("{message}; it is planned again"), false, Some(until));
    }
    if run.action == RunAction::Rollback && reason.parse() == Ok(RunReason::RollbackBlocked) {
        not_begun(draft);
        // Going on would fail, and be undone, again and again.
        if rollback::by_policy(&draft.status) {
            return stall(draft, reason, message);
        }
    }
    match class {
        Class::Unexpected => unexpected(draft, reason, message),
        Class::Waiting => {
            draft.status.waits = draft.status.waits.saturating_add(1);
            let until = draft.after(retry::after_waiting(&draft.spec().retry, draft.status.waits));
            hold(draft, reason, message, false, Some(until));
        }
        Class::Slow => {
            draft.status.waits = draft.status.waits.saturating_add(1);
            let until = draft.after(retry::after_slow(draft.status.waits));
            hold(draft, reason, message, true, Some(until));
        }
        Class::Permanent | Class::Done => stall(draft, reason, message),
    }
}

/// The rollback was refused before its first action: what was executed stands as it did, and may go on.
fn not_begun(draft: &mut Draft<'_>) {
    let Some(execution) = &mut draft.status.execution else { return };
    let done = execution.next_stage.is_none() && execution.steps_done >= execution.steps_total;
    execution.state = if done { ExecutionState::Done } else { ExecutionState::Partial };
}

fn unexpected(draft: &mut Draft<'_>, reason: &str, message: &str) {
    draft.status.failures = draft.status.failures.saturating_add(1);
    let limit = draft.spec().retry.limit;
    if draft.status.failures > limit {
        let message = format!(
            "{message}. It happened {} times in a row, spec.retry.limit allows {limit} retries; when the cause is gone, \
             change the annotation wesley.dev/retry",
            draft.status.failures
        );
        return stall(draft, Reason::RetriesExhausted.word(), &message);
    }
    let until = draft.after(retry::after_unexpected(&draft.spec().retry, draft.status.failures));
    hold(draft, reason, message, false, Some(until));
}

/// The Migration goes on when its inputs change, or somebody says so.
pub fn stall(draft: &mut Draft<'_>, reason: &str, message: &str) {
    hold(draft, reason, message, true, None);
}

fn hold(draft: &mut Draft<'_>, reason: &str, message: &str, stalled: bool, until: Option<Timestamp>) {
    let planned = draft.status.plan.as_ref().map(|plan| plan.inputs.clone());
    let inputs = inputs::inputs(draft.observed).or(planned);
    draft.status.hold =
        Some(Hold { reason: word(reason), message: shorten(message), stalled, until: until.map(Time), inputs });
}

/// Reason and message of an end.
fn describe(run: &RunRecord, end: &End) -> (String, String) {
    if let Some(report) = &end.report {
        return (word(&report.reason), report.message.clone());
    }
    let what = format!("Job {}", run.job);
    let (reason, message) = match end.cause {
        Some(EndCause::DeadlineExceeded) => {
            (Reason::DeadlineExceeded, format!("{what} took longer than it may and was stopped"))
        }
        Some(EndCause::OutOfMemory) => (
            Reason::OutOfMemory,
            format!(
                "the runner of {what} used more memory than it may: raise jobTemplate.resources.limits.memory of the Database"
            ),
        ),
        Some(EndCause::ReportUnreadable) => (
            Reason::ReportUnreadable,
            format!("what the runner of {what} said cannot be read: its version differs from the operator's"),
        ),
        None if run.stopping.is_some() => (Reason::RunStopped, format!("{what} was stopped; the next one resumes")),
        None => match end.exit_code {
            Some(code) => {
                (Reason::RunLost, format!("the runner of {what} ended with exit code {code} and said nothing"))
            }
            None => (Reason::RunLost, format!("{what} ended and nothing is known of its runner")),
        },
    };
    (reason.word().to_owned(), message)
}
