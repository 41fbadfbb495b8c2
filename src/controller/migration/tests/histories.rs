//! Any history: whatever happens in whatever order, decisions keep their promises.

use proptest::prelude::*;

use super::world::{World, known, lossless};
use crate::api::migration::{ContractPolicy, DeletionPolicy, RollbackPolicy};
use crate::api::migration_plan::Decision as Verdict;
use crate::api::migration_status::ExecutionState;
use crate::api::validation_window::Overrun;
use crate::api::{ConditionType, Phase, RETRY_ANNOTATION, ROLLBACK_ANNOTATION};
use crate::controller::conditions::is_true;
use crate::controller::migration::observed::{End, JobState, Window, WindowState};
use crate::controller::names;
use crate::controller::windows::Opening;
use crate::plan::Stage;
use crate::report::RunAction;

/// Something that happens around a Migration.
#[derive(Clone, Debug)]
enum Event {
    Ends(i32, i32),
    Killed,
    Vanishes,
    Later(i64),
    Sql(u8),
    Suspend(bool),
    Retry(u8),
    Rollback(bool),
    Approve(bool),
    Window(bool),
    Database(bool),
    Rival(bool),
    PlanDeleted,
    Stale,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (prop::sample::select(vec![0, 0, 0, 0, 1, 10, 11, 12, 13, 14, 20, 75]), 0..=7).prop_map(|(code, steps)| Event::Ends(code, steps)),
        1 => Just(Event::Killed),
        1 => Just(Event::Vanishes),
        3 => prop::sample::select(vec![1_i64, 10, 100, 4_000]).prop_map(Event::Later),
        1 => (0..2_u8).prop_map(Event::Sql),
        1 => any::<bool>().prop_map(Event::Suspend),
        1 => (0..3_u8).prop_map(Event::Retry),
        1 => any::<bool>().prop_map(Event::Rollback),
        1 => prop::bool::weighted(0.8).prop_map(Event::Approve),
        1 => any::<bool>().prop_map(Event::Window),
        1 => any::<bool>().prop_map(Event::Database),
        1 => any::<bool>().prop_map(Event::Rival),
        1 => Just(Event::PlanDeleted),
        1 => Just(Event::Stale),
    ]
}

fn setting() -> impl Strategy<Value = (bool, u8, u8, bool)> {
    (any::<bool>(), 0..3_u8, 0..3_u8, any::<bool>())
}

fn window(open: bool) -> WindowState {
    let opening =
        if open { Opening::Open { closes_at: None } } else { Opening::Shut { opens_at: None, denied: false } };
    let name = "quiet".to_owned();
    WindowState::Known(Window {
        name,
        opening,
        overrun: Overrun::Cancel,
        longest_seconds: 10_800,
        overrides: Vec::new(),
        guards: None,
        places: 1,
        has_place: true,
    })
}

fn world((approval, contract, rollback, undo): (bool, u8, u8, bool)) -> World {
    let mut world = World::new();
    if approval {
        world.approval_required();
    }
    let spec = &mut world.observed.migration.spec;
    spec.contract.policy =
        [ContractPolicy::Automatic, ContractPolicy::Manual, ContractPolicy::AfterSoak][usize::from(contract)];
    spec.contract.soak_seconds = Some(50);
    spec.rollback.policy =
        [RollbackPolicy::Manual, RollbackPolicy::OnFailure, RollbackPolicy::OnFailureIfLossless][usize::from(rollback)];
    spec.deletion_policy = if undo { DeletionPolicy::Rollback } else { DeletionPolicy::Retain };
    world.observed.window = window(true);
    world.turn();
    world
}

fn happens(world: &mut World, event: &Event) {
    let active = matches!(world.observed.job, JobState::Active { .. });
    match event {
        Event::Ends(code, steps) if active => ends(world, *code, *steps),
        Event::Killed if active => {
            world.ends(End { exit_code: Some(137), report: None, cause: None });
        }
        Event::Vanishes if active => {
            world.observed.job = JobState::Absent;
            world.turn();
        }
        Event::Ends(..) | Event::Killed | Event::Vanishes => {}
        Event::Later(seconds) => {
            world.later(*seconds);
        }
        Event::Sql(which) => {
            world.edit_sql(&format!("select {which}"));
        }
        Event::Suspend(suspend) => {
            let suspend = *suspend;
            world.edit(|spec| spec.suspend = suspend);
        }
        Event::Retry(value) => {
            world.annotate(RETRY_ANNOTATION, &value.to_string());
        }
        Event::Rollback(wanted) => {
            let digest = world.status().plan.as_ref().map(|plan| plan.digest.clone());
            let value = digest.filter(|_| *wanted).unwrap_or_default();
            world.annotate(ROLLBACK_ANNOTATION, &value);
        }
        Event::Approve(yes) => {
            if world.observed.plan.is_some() {
                world.decided(if *yes { Verdict::Approved } else { Verdict::Rejected });
            }
        }
        Event::Window(open) => {
            world.observed.window = window(*open);
            world.turn();
        }
        Event::Database(there) => {
            world.observed.database = there.then(super::world::database);
            world.turn();
        }
        Event::Rival(there) => {
            world.observed.rival = there.then(|| "other".to_owned());
            world.turn();
        }
        Event::PlanDeleted => {
            world.observed.plan = None;
            world.turn();
        }
        Event::Stale if active && world.running() == Some(RunAction::Execute) => {
            world.reports(11, "CatalogChanged", |_| {});
        }
        Event::Stale => {}
    }
}

fn ends(world: &mut World, code: i32, steps: i32) {
    let before = world.status().execution.as_ref().map_or(0, |execution| execution.steps_done);
    let action = world.running().expect("an active Job has a run");
    match (action, code) {
        (RunAction::Plan, 0) => {
            world.planned("orders-a");
        }
        (RunAction::Plan, _) => {
            world.reports(code, "Word", |_| {});
        }
        (RunAction::Rollback, 0) => {
            world.reports(0, "RolledBack", |_| {});
        }
        (RunAction::Execute | RunAction::Rollback | RunAction::Inspect, _) => {
            let done = steps.max(before);
            let stage = [
                Stage::Expand,
                Stage::Backfill,
                Stage::Backfill,
                Stage::Validate,
                Stage::Validate,
                Stage::Switch,
                Stage::Contract,
            ];
            let next = usize::try_from(done).ok().and_then(|done| stage.get(done)).copied();
            world.reports(code, "Word", |report| {
                report.steps_done = done;
                report.next_stage = next;
                report.rollback = Some(lossless(done));
            });
        }
    }
}

/// What holds after every event.
fn promises(world: &World, before: &World) {
    let status = world.status();
    let phase = world.phase();
    let reconciling = is_true(&status.conditions, ConditionType::Reconciling);
    let stalled = is_true(&status.conditions, ConditionType::Stalled);
    assert!(!(reconciling && stalled), "both Reconciling and Stalled");
    assert!(
        is_true(&status.conditions, ConditionType::Ready) == matches!(phase, Phase::Succeeded)
            || phase == Phase::RolledBack
    );
    // Somebody always has the next move: time, a Job, or a person who is told.
    if reconciling && status.run.is_none() {
        let waits =
            matches!(phase, Phase::AwaitingApproval | Phase::Blocked | Phase::AwaitingWindow | Phase::Observing);
        assert!(waits || status.hold.as_ref().is_some_and(|hold| hold.until.is_some()), "nothing moves: {status:#?}");
    }
    // A step runs only under the finalizer, and no step runs that was not approved.
    if status.run.as_ref().is_some_and(|run| run.action == RunAction::Execute) {
        let held = world.observed.migration.metadata.finalizers.iter().flatten().any(|name| name == names::FINALIZER);
        assert!(held, "an execution without finalizer");
        assert!(is_true(&status.conditions, ConditionType::Approved), "an execution without approval");
    }
    // Numbers of runs only grow, each with a Job name of its own.
    let was = before.observed.migration.status.as_ref().map_or(0, |status| status.runs);
    assert!(status.runs >= was);
    let mut names: Vec<&String> = world.created.iter().collect();
    names.dedup();
    let different: std::collections::HashSet<&String> = names.iter().copied().collect();
    assert_eq!(names.len(), different.len(), "a Job name came back: {:?}", world.created);
    // What has been done is never forgotten but by a rollback.
    let steps = |world: &World| {
        let execution = world.observed.migration.status.as_ref().and_then(|status| status.execution.clone());
        execution
            .filter(|execution| execution.state != ExecutionState::RolledBack)
            .map_or(0, |execution| execution.steps_done)
    };
    let undone = matches!(phase, Phase::RolledBack | Phase::Planning | Phase::Suspended | Phase::Blocked);
    assert!(steps(world) >= steps(before) || undone || status.execution.is_none(), "steps were forgotten: {status:#?}");
}

fn copy(world: &World) -> World {
    World {
        observed: world.observed.clone(),
        now: world.now,
        created: world.created.clone(),
        done: world.done.clone(),
        phases: world.phases.clone(),
    }
}

proptest! {
    #[test]
    fn any_history(setting in setting(), events in prop::collection::vec(event(), 1..40)) {
        let mut world = world(setting);
        for event in &events {
            let before = copy(&world);
            happens(&mut world, event);
            promises(&world, &before);
        }
    }

    #[test]
    fn any_history_ends_well_when_the_trouble_ends(setting in setting(), events in prop::collection::vec(event(), 1..40)) {
        let mut world = world(setting);
        for event in &events {
            happens(&mut world, event);
        }
        // Everybody does what the messages ask for.
        world.observed.database = Some(super::world::database());
        world.observed.rival = None;
        world.observed.window = window(true);
        world.observed.migration.metadata.annotations = None;
        world.edit(|spec| {
            spec.suspend = false;
            spec.contract.policy = ContractPolicy::Automatic;
            spec.rollback.policy = RollbackPolicy::Manual;
        });
        // A plan that has begun is finished with the SQL it was made from.
        let planned = world.status().plan.as_ref().map(|plan| plan.source.clone());
        let sql = (0..2).map(|which| format!("select {which}")).find(|sql| planned == known(sql).digest().map(str::to_owned));
        world.edit_sql(sql.as_deref().unwrap_or("select 1"));
        for round in 0..60 {
            if world.phase() == Phase::Succeeded {
                break;
            }
            if let JobState::Active { ending: true, .. } = world.observed.job {
                world.gone();
            } else if world.running().is_some() {
                if matches!(world.observed.job, JobState::Absent) {
                    world.turn();
                }
                ends(&mut world, 0, 7);
            }
            if world.status().plan.is_some() && world.observed.plan.is_none() {
                // Restored from a backup.
                let facts = world.plan_facts("orders-a");
                world.observed.plan = Some(facts);
            }
            if world.observed.plan.as_ref().is_some_and(|plan| plan.approval.as_ref().is_none_or(|approval| approval.decision == Verdict::Rejected)) {
                world.decided(Verdict::Approved);
            }
            world.annotate(RETRY_ANNOTATION, &format!("again-{round}"));
            world.later(4_000);
        }
        prop_assert_eq!(world.phase(), Phase::Succeeded, "{:#?}", world.status());
        prop_assert!(world.status().completed_time.is_some(), "{:#?}", world.status());
    }
}
