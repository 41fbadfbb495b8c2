//! From the situation to the status: conditions, phase, what a rollback would be.

use crate::api::migration_status::{ExecutionState, Gate, WindowRecord};
use crate::api::{ConditionStatus, ConditionType, MigrationStatus, Reason};
use crate::controller::conditions::{Conditions, find, is_true};
use crate::controller::phase::phase;
use crate::controller::windows::Opening;
use crate::plan::{RollbackClass, Stage};
use crate::run::Reason as RunReason;

use super::decide::{Draft, Kind, Situation};
use super::observed::WindowState;
use super::{approval, gate_list, gates, next, rollback};

/// The status to write.
pub fn compose(draft: &Draft<'_>, situation: &Situation) -> MigrationStatus {
    let generation = draft.observed.migration.metadata.generation.unwrap_or_default();
    let before = draft.observed.status();
    let mut status = draft.status.clone();
    undo(draft, &mut status);
    let mut conditions = Conditions::new(&before.conditions, generation, draft.now);
    kstatus(&mut conditions, situation);
    planned(draft, &mut conditions);
    match find(&before.conditions, ConditionType::Approved) {
        // What has begun was approved; nothing that happens to the plan takes that back.
        Some(was) if draft.has_begun() && was.status == ConditionStatus::True && !is_asked_again(draft) => {
            let message = approval::after_begun(draft, &was.message);
            conditions.set_word(ConditionType::Approved, was.status, &was.reason, &message);
        }
        _ => {
            let (approved, reason, message) = approval::approved(draft);
            conditions.set(ConditionType::Approved, approved, reason, &message);
        }
    }
    progress(draft, &mut conditions);
    rollback_ready(draft, &status, &mut conditions);
    status.conditions = conditions.finish();
    if is_true(&status.conditions, ConditionType::Approved) {
        status.replaced_plan = None;
    }
    status.phase = Some(phase(&status.conditions));
    status.gates = gate_list::gates(draft, situation, &status.conditions);
    status.observed_generation = Some(generation);
    status.step = step(draft, &before);
    status.window = window(draft, situation);
    status
}

fn kstatus(conditions: &mut Conditions<'_>, situation: &Situation) {
    use ConditionStatus::{False, True};
    let (reason, message) = (situation.reason.as_str(), situation.message.as_str());
    match situation.kind {
        Kind::Succeeded | Kind::RolledBack => conditions.set_word(ConditionType::Ready, True, reason, message),
        Kind::Suspended => conditions.set_word(ConditionType::Ready, False, reason, message),
        Kind::Stalled | Kind::RolledBackByPolicy => {
            conditions.set_word(ConditionType::Ready, False, reason, message);
            conditions.set_word(ConditionType::Stalled, True, reason, message);
        }
        Kind::Working(activity) => {
            conditions.set_word(ConditionType::Ready, False, reason, message);
            conditions.set(ConditionType::Reconciling, True, activity, message);
        }
    }
}

fn planned(draft: &Draft<'_>, conditions: &mut Conditions<'_>) {
    use ConditionStatus::{False, True};
    match &draft.status.plan {
        Some(plan) if draft.has_begun() || !next::source_changed(draft) => {
            let message = format!("MigrationPlan {} has {} steps", plan.name, plan.steps);
            conditions.set(ConditionType::Planned, True, Reason::PlanReady, &message);
        }
        Some(plan) => {
            let message = format!("what MigrationPlan {} was made from changed", plan.name);
            conditions.set(ConditionType::Planned, False, Reason::PlanOutdated, &message);
        }
        None => conditions.set(ConditionType::Planned, False, Reason::NotPlanned, "there is no plan yet"),
    }
}

fn progress(draft: &Draft<'_>, conditions: &mut Conditions<'_>) {
    use ConditionStatus::{False, True};
    let execution = draft.status.execution.as_ref();
    let validates = draft.status.plan.as_ref().is_some_and(|plan| plan.needs_validation);
    let Some(execution) = execution.filter(|execution| execution.state != ExecutionState::RolledBack) else {
        let undone = draft.state() == Some(ExecutionState::RolledBack);
        let (reason, message) = if undone {
            (Reason::RolledBack, "the steps were undone")
        } else {
            (Reason::NotStarted, "no step was executed")
        };
        conditions.set(ConditionType::Executed, False, reason, message);
        conditions.set(ConditionType::Validated, False, reason, message);
        return;
    };
    let only_contract = execution.state == ExecutionState::Partial && execution.next_stage == Some(Stage::Contract);
    let contracting = execution.state == ExecutionState::Started && execution.next_stage == Some(Stage::Contract);
    let done = execution.state == ExecutionState::Done || only_contract || contracting;
    if done {
        conditions.set(ConditionType::Executed, True, Reason::StepsDone, "all steps that applications need are done");
    } else {
        conditions.set(ConditionType::Executed, False, Reason::StepsLeft, "not every step is done");
    }
    if !validates {
        conditions.set(ConditionType::Validated, True, Reason::NothingToValidate, "the plan has nothing to validate");
    } else if done {
        conditions.set(ConditionType::Validated, True, Reason::StepsDone, "all validation is done");
    } else {
        conditions.set(ConditionType::Validated, False, Reason::StepsLeft, "not all validation is done");
    }
}

/// Completes `status.rollback`.
fn undo(draft: &Draft<'_>, status: &mut MigrationStatus) {
    let Some(record) = &mut status.rollback else { return };
    let executed = matches!(
        draft.state(),
        Some(ExecutionState::Started | ExecutionState::Partial | ExecutionState::Done | ExecutionState::RollingBack)
    );
    if draft.state() == Some(ExecutionState::RolledBack) {
        record.steps = 0;
    }
    record.ready = executed && record.class != RollbackClass::ForwardOnly && !passing(draft) && !has_not_arrived(draft);
    let contract_left =
        draft.status.plan.as_ref().is_some_and(|plan| plan.has_contract) && draft.state() != Some(ExecutionState::Done);
    record.until = match (record.ready, contract_left) {
        (false, _) => String::new(),
        (true, true) => "until the contract steps run".to_owned(),
        (true, false) => "until a later change builds upon it".to_owned(),
    };
}

/// Whether the approval counts once more: a run has begun, could do nothing, and another one is not decided on.
pub fn is_asked_again(draft: &Draft<'_>) -> bool {
    draft.status.run.is_none() && has_not_arrived(draft)
}

/// Whether no run has told of a step, and the last one ended before it could execute any.
fn has_not_arrived(draft: &Draft<'_>) -> bool {
    let nothing = draft.status.execution.as_ref().is_some_and(|execution| execution.steps_done == 0);
    let reason: Option<RunReason> = draft.status.last_run.as_ref().and_then(|run| run.reason.parse().ok());
    draft.state() == Some(ExecutionState::Started) && nothing && reason.is_some_and(RunReason::comes_before_the_steps)
}

/// Whether the point of no return may be passed: a run for which it was open has not said yet how far it came.
fn passing(draft: &Draft<'_>) -> bool {
    let irreversible =
        draft.status.plan.as_ref().is_some_and(|plan| plan.has_contract && plan.rollback == RollbackClass::ForwardOnly);
    irreversible
        && draft.state() == Some(ExecutionState::Started)
        && match &draft.status.run {
            Some(run) => run.gates.contains(&Gate::Contract),
            None => gates::contract(draft).is_open(),
        }
}

fn rollback_ready(draft: &Draft<'_>, status: &MigrationStatus, conditions: &mut Conditions<'_>) {
    use ConditionStatus::{False, True};
    let kind = ConditionType::RollbackReady;
    let asked = draft.spec().rollback.requested_for.as_deref();
    let other = asked.is_some() && draft.status.plan.is_some() && rollback::requested(draft).is_none();
    let Some(record) = &status.rollback else {
        return conditions.set(kind, False, Reason::NothingToUndo, "no step was executed");
    };
    if other {
        let digest = draft.status.plan.as_ref().map(|plan| plan.digest.as_str()).unwrap_or_default();
        let message = format!("spec.rollback.requestedFor names another plan; this one is {digest}");
        let status = if record.ready { True } else { False };
        return conditions.set(kind, status, Reason::OtherPlanRequested, &message);
    }
    if passing(draft) {
        let message =
            "a run may execute the contract steps: whether the point of no return is passed, its end will tell";
        return conditions.set(kind, False, Reason::Contracting, message);
    }
    if has_not_arrived(draft) {
        return conditions.set(
            kind,
            False,
            Reason::NothingToUndo,
            "no run has executed a step: the last one could not begin",
        );
    }
    match (record.ready, record.class) {
        (true, RollbackClass::Lossless) if record.reason.is_empty() => {
            conditions.set(kind, True, Reason::Lossless, &record.until);
        }
        (true, RollbackClass::Lossless) => {
            conditions.set(kind, True, Reason::Lossless, &format!("{}; {}", record.until, record.reason));
        }
        (true, _) => conditions.set(kind, True, Reason::Lossy, &record.reason),
        (false, RollbackClass::ForwardOnly) => conditions.set(kind, False, Reason::ForwardOnly, &record.reason),
        (false, _) => conditions.set(kind, False, Reason::NothingToUndo, "no step was executed, or all were undone"),
    }
}

fn step(draft: &Draft<'_>, before: &MigrationStatus) -> Option<String> {
    let plan = draft.status.plan.as_ref()?;
    let recorded = draft.status.execution.as_ref().map_or(0, |execution| execution.steps_done);
    // What a run has not reported at its end is known from its progress, and from what was shown of that.
    let unreported = draft.state() == Some(ExecutionState::Started);
    let live = draft.plan_facts().filter(|_| unreported).map_or(0, |plan| plan.steps_done);
    let same_plan = before.plan.as_ref().is_some_and(|known| known.digest == plan.digest);
    let shown = before.step.as_ref().filter(|_| unreported && same_plan);
    let shown = shown.and_then(|step| step.split('/').next()?.parse().ok()).unwrap_or(0);
    Some(format!("{}/{}", recorded.max(live).max(shown), plan.steps))
}

fn window(draft: &Draft<'_>, situation: &Situation) -> Option<WindowRecord> {
    if situation.kind != Kind::Working(Reason::AwaitingWindow) {
        return None;
    }
    match &draft.observed.window {
        WindowState::None => None,
        WindowState::Missing(name) | WindowState::NotForDatabase(name) | WindowState::Invalid(name, _) => {
            Some(WindowRecord { name: name.clone(), opens_at: None })
        }
        WindowState::Known(window) => {
            let opens_at = match window.opening {
                Opening::Shut { opens_at, .. } => opens_at.map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
                Opening::Open { .. } => None,
            };
            Some(WindowRecord { name: window.name.clone(), opens_at })
        }
    }
}
