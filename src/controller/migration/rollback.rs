//! Rollback: who asked for it, whether it can be done, what follows.

use crate::api::migration::RollbackPolicy;
use crate::api::migration_status::{ExecutionRecord, ExecutionState, RollbackOrigin, RollbackRecord};
use crate::api::{MigrationStatus, ROLLBACK_ANNOTATION, Reason};
use crate::exit::Exit;
use crate::plan::RollbackClass;
use crate::report::RunAction;
use crate::run::Reason as RunReason;

use super::decide::{Draft, Kind, Situation};
use super::{next, settle};

/// Who asks, by spec or annotation, for the rollback of the present plan.
pub fn requested(draft: &Draft<'_>) -> Option<RollbackOrigin> {
    let digest = draft.status.plan.as_ref()?.digest.as_str();
    if draft.spec().rollback.requested_for.as_deref() == Some(digest) {
        return Some(RollbackOrigin::Spec);
    }
    (draft.annotation(ROLLBACK_ANNOTATION) == Some(digest)).then_some(RollbackOrigin::Annotation)
}

/// Who wants a rollback now.
pub fn wanted(draft: &Draft<'_>) -> Option<RollbackOrigin> {
    if draft.state() == Some(ExecutionState::RollingBack) {
        // What was begun is finished, also when the request is taken back: half undone is the worst of all.
        let origin = draft.status.rollback.as_ref().and_then(|record| record.requested_by);
        return Some(origin.unwrap_or(RollbackOrigin::Policy));
    }
    requested(draft).or_else(|| after_failure(draft))
}

/// The policy's answer to a step that failed for good.
fn after_failure(draft: &Draft<'_>) -> Option<RollbackOrigin> {
    let failed = draft.status.last_run.as_ref().is_some_and(|run| {
        run.action == RunAction::Execute && run.exit_code == Some(i32::from(Exit::StepFailed.code()))
    });
    let held = draft.status.hold.as_ref().is_some_and(|hold| hold.stalled);
    if !failed || !held || !draft.has_begun() {
        return None;
    }
    let class = settle::rollback_class(draft);
    let wanted = match draft.spec().rollback.policy {
        RollbackPolicy::Manual => false,
        RollbackPolicy::OnFailure => class != RollbackClass::ForwardOnly,
        RollbackPolicy::OnFailureIfLossless => class == RollbackClass::Lossless,
    };
    wanted.then_some(RollbackOrigin::Policy)
}

/// Whether the policy, not a person, had it rolled back.
pub fn by_policy(status: &MigrationStatus) -> bool {
    status.rollback.as_ref().and_then(|record| record.requested_by) == Some(RollbackOrigin::Policy)
}

/// The next thing on the way back.
pub fn next(draft: &mut Draft<'_>, origin: RollbackOrigin) -> Situation {
    let Some(state) = draft.state() else {
        // Nothing was executed: there is nothing to undo, and nothing will be done.
        settle::begin(draft, ExecutionState::RolledBack);
        draft.status.started_time = None;
        // What the plan would have lost, nothing has lost.
        draft.status.rollback = None;
        mark(draft, origin);
        return finished(draft);
    };
    if state != ExecutionState::RollingBack
        && settle::rollback_class(draft) == RollbackClass::ForwardOnly
        && draft.has_begun()
    {
        let why = draft.status.rollback.as_ref().map(|record| record.reason.clone()).unwrap_or_default();
        return Situation::stalled(
            Reason::ForwardOnly,
            format!(
                "a rollback was asked for, but there is no way back: {why}. Take the request back, and write a Migration that goes forward"
            ),
        );
    }
    if draft.observed.database.is_none() {
        return pending(draft, origin, next::database_missing(draft));
    }
    // A hold of the execution does not concern the way back.
    let on_the_way = state == ExecutionState::RollingBack;
    if (on_the_way || is_blocked(draft))
        && let Some(held) = next::held(draft, Reason::RollingBack)
    {
        return held;
    }
    if let Some(rival) = &draft.observed.rival {
        return pending(draft, origin, next::busy(draft, rival));
    }
    if let Some(failing) = next::failing(draft) {
        return pending(draft, origin, failing);
    }
    if !on_the_way {
        // Rows that stand in the way are asked for less and less often.
        let waits = if is_blocked(draft) { draft.status.waits } else { 0 };
        mark(draft, origin);
        draft.status.hold = None;
        draft.status.failures = 0;
        draft.status.waits = waits;
    }
    settle::begin(draft, ExecutionState::RollingBack);
    draft.start(RunAction::Rollback, Vec::new(), None)
}

/// Whether rows stood in the way when it was last tried.
fn is_blocked(draft: &Draft<'_>) -> bool {
    draft.status.hold.as_ref().is_some_and(|hold| hold.reason.parse() == Ok(RunReason::RollbackBlocked))
}

/// Forgets that rows stood in the way of a rollback which nobody asks for any more. What the policy wanted stays held: going
/// on by itself it would fail, and be undone, again and again.
pub fn forget_refusal(draft: &mut Draft<'_>) {
    if !is_blocked(draft) {
        return;
    }
    let Some(record) = &mut draft.status.rollback else { return };
    if matches!(record.requested_by, Some(RollbackOrigin::Spec | RollbackOrigin::Annotation)) {
        record.requested_by = None;
        draft.status.hold = None;
        draft.status.failures = 0;
        draft.status.waits = 0;
    }
}

/// What an undo waits for, with the undo itself.
fn pending(draft: &Draft<'_>, origin: RollbackOrigin, waits: Situation) -> Situation {
    let begun = draft.state() == Some(ExecutionState::RollingBack);
    let recorded = draft.status.rollback.as_ref().and_then(|record| record.cause.as_deref());
    let held = draft.status.hold.as_ref().map(|hold| hold.message.as_str());
    let cause = if begun { recorded } else { held }.unwrap_or("a step failed");
    let why = match origin {
        RollbackOrigin::Policy => format!("as spec.rollback.policy says, because {}", cause.trim_end_matches('.')),
        RollbackOrigin::Deletion => "as spec.deletionPolicy says".to_owned(),
        RollbackOrigin::Spec | RollbackOrigin::Annotation => "as asked for".to_owned(),
    };
    let message = format!("{}. Then what was done is undone, {why}", waits.message.trim_end_matches('.'));
    Situation { message, ..waits }
}

fn mark(draft: &mut Draft<'_>, origin: RollbackOrigin) {
    let class = settle::rollback_class(draft);
    let hold = draft.status.hold.as_ref().filter(|_| origin == RollbackOrigin::Policy);
    let cause = hold.map(|hold| hold.message.clone());
    let record = draft.status.rollback.get_or_insert(RollbackRecord {
        ready: false,
        class,
        reason: String::new(),
        until: String::new(),
        steps: 0,
        requested_by: None,
        cause: None,
        restore_point: None,
        restore_lsn: None,
    });
    record.requested_by = Some(origin);
    record.cause = cause;
}

/// Everything was undone.
pub fn finished(draft: &mut Draft<'_>) -> Situation {
    let digest = draft.status.plan.as_ref().map(|plan| plan.digest.clone()).unwrap_or_default();
    let steps_total = draft.status.plan.as_ref().map_or(0, |plan| plan.steps);
    draft.status.execution = Some(ExecutionRecord {
        state: ExecutionState::RolledBack,
        digest,
        steps_done: 0,
        steps_total,
        next_stage: None,
        rows_done: 0,
    });
    draft.status.completed_time = Some(draft.time());
    draft.status.soaking_since = None;
    draft.status.observation = None;
    situation(draft)
}

/// The situation of a Migration that was undone, with what did not come back.
pub fn situation(draft: &Draft<'_>) -> Situation {
    let undone = undone(draft);
    let lossy = draft.status.rollback.as_ref().filter(|record| record.class == RollbackClass::Lossy);
    match lossy {
        Some(record) => {
            let message = format!(
                "{}. What was done of this does not come back: {}; applying again does it again",
                undone.message, record.reason
            );
            Situation { message, ..undone }
        }
        None => undone,
    }
}

fn undone(draft: &Draft<'_>) -> Situation {
    let record = draft.status.rollback.as_ref();
    match record.and_then(|record| record.requested_by) {
        Some(RollbackOrigin::Policy) => {
            let cause = record.and_then(|record| record.cause.as_deref()).unwrap_or("a step failed");
            Situation::new(
                Kind::RolledBackByPolicy,
                Reason::RolledBack,
                format!(
                    "everything that was done was undone, because {cause}. Change the SQL, or change the annotation \
                     wesley.dev/retry to try again"
                ),
            )
        }
        Some(RollbackOrigin::Spec) => Situation::new(
            Kind::RolledBack,
            Reason::RolledBack,
            "undone as asked for; remove spec.rollback.requestedFor to apply it again",
        ),
        Some(RollbackOrigin::Annotation) => Situation::new(
            Kind::RolledBack,
            Reason::RolledBack,
            "undone as asked for; remove the annotation wesley.dev/rollback to apply it again",
        ),
        Some(RollbackOrigin::Deletion) | None => {
            Situation::new(Kind::RolledBack, Reason::RolledBack, "undone as asked for")
        }
    }
}
