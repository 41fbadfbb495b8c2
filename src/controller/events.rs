//! Events: one for each transition, none for a reconciliation that changes nothing.

use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::conditions::{find, is_true, shorten};
use super::context::Context;
use crate::api::{ConditionType, Migration, MigrationStatus, Phase, Reason};
use crate::run::Reason as RunReason;

/// A transition worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whether somebody should look.
    pub warning: bool,
    /// Phase, or what happened to the last run.
    pub action: String,
    /// Why.
    pub reason: String,
    /// For people.
    pub note: String,
}

/// What happened between two states of a Migration.
pub fn transitions(before: &MigrationStatus, after: &MigrationStatus) -> Vec<Transition> {
    let mut found = Vec::new();
    let ended =
        after.last_run.as_ref().filter(|run| before.last_run.as_ref().is_none_or(|was| was.number != run.number));
    // A run that stops the Migration is told of by the phase.
    let told = |reason: &str| {
        before.phase != after.phase
            && find(&after.conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == reason)
    };
    if let Some(run) = ended.filter(|run| run.exit_code != Some(0) && !told(&run.reason)) {
        // Who asked it to stop knows.
        let as_asked = run.reason == Reason::RunStopped.word() || run.reason == <&str>::from(RunReason::Interrupted);
        found.push(Transition {
            warning: !as_asked,
            action: run.action.to_string(),
            reason: run.reason.clone(),
            note: format!("Job {}: {}", run.job, run.message),
        });
    }
    if !is_true(&before.conditions, ConditionType::Approved)
        && let Some(approved) = find(&after.conditions, ConditionType::Approved)
        && is_true(&after.conditions, ConditionType::Approved)
    {
        found.push(Transition {
            warning: false,
            action: "Approved".to_owned(),
            reason: approved.reason.clone(),
            note: approved.message.clone(),
        });
    }
    if before.phase != after.phase
        && let Some(phase) = after.phase
        && let Some(ready) = find(&after.conditions, ConditionType::Ready)
    {
        let stalled = is_true(&after.conditions, ConditionType::Stalled);
        found.push(Transition {
            warning: stalled || phase == Phase::Blocked,
            action: phase.to_string(),
            reason: ready.reason.clone(),
            note: ready.message.clone(),
        });
    }
    found
}

/// Publishes them. What cannot be published is logged: an event is never worth a failure.
pub async fn publish(context: &Context, migration: &Migration, transitions: Vec<Transition>) {
    let reference = migration.object_ref(&());
    for transition in transitions {
        let event = Event {
            type_: if transition.warning { EventType::Warning } else { EventType::Normal },
            reason: transition.reason,
            action: transition.action,
            note: Some(shorten(&transition.note)),
            secondary: None,
        };
        let published =
            tokio::time::timeout(std::time::Duration::from_secs(10), context.recorder.publish(&event, &reference));
        match published.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, reason = event.reason, "an event could not be published"),
            Err(_) => tracing::warn!(reason = event.reason, "an event could not be published in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::migration::tests::world::World;

    fn told(before: &MigrationStatus, after: &MigrationStatus) -> Vec<(bool, String, String)> {
        transitions(before, after).into_iter().map(|event| (event.warning, event.action, event.reason)).collect()
    }

    fn line(warning: bool, action: &str, reason: &str) -> (bool, String, String) {
        (warning, action.to_owned(), reason.to_owned())
    }

    #[test]
    fn one_event_for_each_transition_and_none_without() {
        let mut world = World::new();
        world.turn();
        let planning = world.status().clone();
        assert_eq!(told(&MigrationStatus::default(), &planning), [line(false, "Planning", "Planning")]);
        assert_eq!(told(&planning, &planning), []);
        world.planned("a");
        let executing = world.status().clone();
        assert_eq!(
            told(&planning, &executing),
            [line(false, "Approved", "Automatic"), line(false, "Executing", "Executing")]
        );
        world.reports(14, "StatementFailed", |report| report.steps_done = 1);
        assert_eq!(told(&executing, world.status()), [line(true, "Failed", "StatementFailed")]);
        let mut world = World::new();
        world.turn();
        let planning = world.status().clone();
        world.reports(75, "Unreachable", |_| {});
        assert_eq!(told(&planning, world.status()), [line(true, "Plan", "Unreachable")]);
    }
}
