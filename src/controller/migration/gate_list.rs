//! `status.gates`: what a Migration has to pass, one by one, with verdict and time. For people: nothing decides upon it.

use crate::api::migration_status::{ExecutionState, Gate, GateName, GateStatus, GateVerdict};
use crate::api::{Condition, ConditionStatus, ConditionType, Reason};
use crate::controller::conditions::{find, shorten};
use crate::plan::Stage;

use super::decide::{Draft, Kind, Situation};
use super::observation::{self, Standing};
use super::observed::WindowState;
use super::{dependencies, gates};

type Verdict = (GateVerdict, String, String);

/// The list. A Migration at rest keeps the one that it had.
pub fn gates(draft: &Draft<'_>, situation: &Situation, conditions: &[Condition]) -> Vec<GateStatus> {
    let before = &draft.observed.status().gates;
    if draft.state() == Some(ExecutionState::RolledBack) {
        return before.clone();
    }
    let mut list = Vec::new();
    let mut add = |name: GateName, (verdict, reason, message): Verdict| {
        let same = before.iter().find(|gate| gate.name == name && gate.verdict == verdict);
        let since = same.map_or_else(|| draft.time(), |gate| gate.since.clone());
        list.push(GateStatus { name, verdict, reason, message: shorten(&message), since });
    };
    if !draft.spec().depends_on.is_empty() {
        add(GateName::Dependencies, dependencies_gate(draft));
    }
    let Some(plan) = &draft.status.plan else { return list };
    add(GateName::Approval, approval(conditions));
    add(GateName::Turn, turn(draft, situation));
    if plan.needs_validation {
        add(GateName::Window, stage(draft, situation, Stage::Validate));
    }
    if draft.spec().observation.is_some() {
        add(GateName::Observation, observation_gate(draft));
    }
    if plan.has_contract {
        add(GateName::Contract, stage(draft, situation, Stage::Contract));
    }
    list
}

fn passed(reason: Reason) -> Verdict {
    (GateVerdict::Passed, reason.word().to_owned(), String::new())
}

fn later() -> Verdict {
    (GateVerdict::Later, Reason::NotReached.word().to_owned(), String::new())
}

fn waiting(situation: &Situation) -> Verdict {
    (GateVerdict::Waiting, situation.reason.clone(), situation.message.clone())
}

fn observation_gate(draft: &Draft<'_>) -> Verdict {
    match observation::standing(draft) {
        Standing::NotAsked | Standing::Later => later(),
        Standing::Passed(reason, message) => (GateVerdict::Passed, reason.word().to_owned(), message),
        Standing::Refused(message) => (GateVerdict::Refused, Reason::RegressionFound.word().to_owned(), message),
        Standing::Running(_) | Standing::Due => match gates::observation(draft) {
            Some(gates::GateState::Shut { reason, message, .. }) => {
                (GateVerdict::Waiting, reason.word().to_owned(), message)
            }
            _ => later(),
        },
    }
}

fn dependencies_gate(draft: &Draft<'_>) -> Verdict {
    if draft.has_begun() {
        return passed(Reason::DependenciesDone);
    }
    match dependencies::waiting(draft) {
        None => passed(Reason::DependenciesDone),
        Some(situation) if situation.kind == Kind::Stalled => {
            (GateVerdict::Refused, situation.reason, situation.message)
        }
        Some(situation) => waiting(&situation),
    }
}

fn approval(conditions: &[Condition]) -> Verdict {
    let Some(approved) = find(conditions, ConditionType::Approved) else { return later() };
    let verdict = match approved.status {
        ConditionStatus::True => GateVerdict::Passed,
        _ if approved.reason == Reason::PlanRejected.word() => GateVerdict::Refused,
        _ => GateVerdict::Waiting,
    };
    (verdict, approved.reason.clone(), approved.message.clone())
}

/// One execution on a database at a time, and none on one that failed again and again.
fn turn(draft: &Draft<'_>, situation: &Situation) -> Verdict {
    let waits = [Reason::DatabaseBusy, Reason::CircuitOpen, Reason::CircuitProbing];
    if waits.iter().any(|reason| situation.reason == reason.word()) {
        return waiting(situation);
    }
    if draft.status.execution.is_some() { passed(Reason::DatabaseFree) } else { later() }
}

/// The gate before the steps of a stage.
fn stage(draft: &Draft<'_>, situation: &Situation, stage: Stage) -> Verdict {
    let (gate, activity, open) = match stage {
        Stage::Validate => (Gate::Validate, Reason::AwaitingWindow, Reason::WindowOpen),
        _ => (Gate::Contract, Reason::Observing, Reason::ContractOpen),
    };
    let observed = stage != Stage::Contract || observation::standing(draft).is_passed();
    if situation.kind == Kind::Working(activity) && observed {
        return waiting(situation);
    }
    let Some(execution) = &draft.status.execution else { return later() };
    let order = |stage: Option<Stage>| match stage {
        None => 2,
        Some(Stage::Contract) => 1,
        Some(_) => 0,
    };
    // A stage is behind when the next step is of one that comes after the last of it.
    let behind = execution.state == ExecutionState::Done
        || execution.state != ExecutionState::Started
            && execution.steps_done > 0
            && order(execution.next_stage) > i32::from(stage == Stage::Contract);
    let running = draft.status.run.as_ref().is_some_and(|run| run.gates.contains(&gate));
    if let WindowState::Known(window) = &draft.observed.window
        && let Some(entry) =
            gates::overridden(draft, window).filter(|_| stage == Stage::Validate && (behind || running))
    {
        let message = format!("{} let it in although the window was not open for it: {}", entry.by, entry.note);
        return (GateVerdict::Passed, Reason::WindowOverridden.word().to_owned(), message);
    }
    if behind || running { passed(open) } else { later() }
}
