//! Waiting: for windows, for places in them, for other Migrations.

use jiff::Timestamp;

use super::world::World;
use crate::api::migration::ContractPolicy;
use crate::api::validation_window::Overrun;
use crate::api::{Phase, migration_status::Gate};
use crate::controller::migration::decide::{Action, decide};
use crate::controller::migration::observed::{Window, WindowState};
use crate::controller::validation_window::decide::waits_for;
use crate::controller::windows::Opening;
use crate::plan::Stage;
use crate::report::RunAction;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(opening: Opening) -> WindowState {
    WindowState::Known(Window {
        name: "quiet".to_owned(),
        opening,
        overrun: Overrun::Finish,
        longest_seconds: 10_800,
        overrides: Vec::new(),
        guards: None,
        places: 1,
        has_place: true,
    })
}

fn shut() -> WindowState {
    window(Opening::Shut { opens_at: Some(time("2026-06-11T02:00:00Z")), denied: false })
}

fn open() -> WindowState {
    window(Opening::Open { closes_at: Some(time("2026-06-11T05:00:00Z")) })
}

/// A Migration that waits for its window.
pub fn waiting() -> World {
    let mut world = World::new();
    world.observed.window = shut();
    world.turn().planned("orders-a");
    assert_eq!(world.status().run.as_ref().unwrap().gates, [Gate::Contract]);
    world.executed(3, Some(Stage::Validate));
    world
}

#[test]
fn validation_waits_for_the_window_and_says_until_when() {
    let mut world = waiting();
    assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingWindow, "AwaitingWindow"));
    assert!(world.ready().1.contains("2026-06-11T02:00:00Z"), "{}", world.ready().1);
    assert_eq!(world.status().window.as_ref().unwrap().name, "quiet");
    let decision = decide(&world.observed, world.now);
    assert_eq!(decision.wake, Some(time("2026-06-11T02:00:00Z")), "it wakes when the window opens");
    world.observed.window = open();
    world.turn();
    assert_eq!(world.phase(), Phase::Validating);
    let run = world.status().run.clone().unwrap();
    assert_eq!((run.gates, run.window.as_deref()), (vec![Gate::Validate, Gate::Contract], Some("quiet")));
    assert!(world.status().window.is_none());
    world.executed(7, None);
    assert_eq!(world.phase(), Phase::Succeeded);
}

/// One that a guard of its open window stopped.
pub fn guarded() -> World {
    let mut world = waiting();
    world.now = time("2026-06-11T03:00:00Z");
    world.observed.window = open();
    world.turn();
    world.reports(20, "GuardNotMet", |report| {
        report.message =
            "validation waits for the guard activeSessionsMax: 9 active sessions, the limit is 4".to_owned();
        report.steps_done = 3;
        report.next_stage = Some(Stage::Validate);
    });
    world
}

#[test]
fn a_guard_that_is_not_met_is_waited_for_like_the_window() {
    use crate::api::migration_status::{GateName, GateVerdict};
    let mut world = guarded();
    assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingWindow, "GuardNotMet"));
    assert!(
        world.ready().1.contains("9 active sessions, the limit is 4. Next try at 2026-06-11T"),
        "{}",
        world.ready().1
    );
    assert!(waits_for(&world.observed.migration, "quiet"), "it is in the queue of the window");
    let gates = &world.status().gates;
    let gate = gates.iter().find(|gate| gate.name == GateName::Window).unwrap();
    assert_eq!((gate.verdict, gate.reason.as_str()), (GateVerdict::Waiting, "GuardNotMet"));
    // It is tried again by itself.
    world.later(1);
    assert_eq!((world.phase(), world.running()), (Phase::Validating, Some(RunAction::Execute)));
    // Where the window has shut meanwhile, that is what it waits for.
    let mut late = guarded();
    late.observed.window = shut();
    late.turn();
    assert_eq!((late.phase(), late.ready().0), (Phase::AwaitingWindow, "AwaitingWindow"));
}

#[test]
fn a_full_window_is_waited_for() {
    let mut world = waiting();
    let WindowState::Known(mut full) = open() else { panic!() };
    full.has_place = false;
    world.observed.window = WindowState::Known(full);
    world.turn();
    assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingWindow, "WindowFull"));
}

#[test]
fn a_plan_without_validation_takes_no_place() {
    let mut world = World::new();
    world.observed.window = open();
    world.turn();
    let mut facts = world.plan_facts("orders-a");
    facts.needs_validation = false;
    world.planned_as(facts);
    assert_eq!(world.status().run.as_ref().unwrap().window, None);
}

#[test]
fn the_window_closes_while_validating() {
    for (overrun, stops) in [(Overrun::Finish, false), (Overrun::Cancel, true)] {
        let mut world = waiting();
        world.observed.migration.spec.validation.overrun = overrun;
        world.observed.window = open();
        world.turn();
        world.now = time("2026-06-11T04:59:50Z");
        let wake = decide(&world.observed, world.now).wake;
        assert_eq!(wake == Some(time("2026-06-11T05:00:00Z")), stops, "{overrun}");
        world.observed.window = shut();
        world.turn();
        assert_eq!(world.done.iter().any(|action| matches!(action, Action::StopJob(_))), stops, "{overrun}");
        if stops {
            world.gone();
            assert_eq!((world.phase(), world.running()), (Phase::AwaitingWindow, None));
            assert_eq!(world.status().failures, 0);
        }
    }
}

#[test]
fn a_run_that_may_contract_stops_when_that_is_taken_back() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    assert!(world.status().run.as_ref().unwrap().gates.contains(&Gate::Contract));
    world.edit(|spec| spec.contract.policy = ContractPolicy::Manual);
    assert!(matches!(world.done.last(), Some(Action::StopJob(_))), "{:?}", world.done);
    world.reports(75, "Interrupted", |report| report.steps_done = 2);
    let run = world.status().run.as_ref().unwrap();
    assert_eq!((run.action, run.gates.contains(&Gate::Contract)), (RunAction::Execute, false));
    world.executed(6, Some(Stage::Contract));
    assert_eq!((world.phase(), world.ready().0), (Phase::Observing, "AwaitingContract"));
    // A plan without such steps has nothing to stop for.
    let mut world = World::new();
    world.turn();
    let mut facts = world.plan_facts("orders-a");
    facts.has_contract = false;
    world.planned_as(facts).edit(|spec| spec.contract.policy = ContractPolicy::Manual);
    assert!(!world.done.iter().any(|action| matches!(action, Action::StopJob(_))));
}

#[test]
fn a_missing_window_is_named_before_anything_begins() {
    let mut world = World::new();
    world.window_ref("quiet");
    world.observed.window = WindowState::Missing("quiet".to_owned());
    world.turn();
    assert_eq!((world.phase(), world.ready().0), (Phase::Blocked, "WindowMissing"));
    world.observed.window = shut();
    world.turn();
    assert_eq!(world.phase(), Phase::Planning);
}

#[test]
fn a_window_that_never_opens_is_said() {
    let mut world = waiting();
    world.observed.window = window(Opening::Shut { opens_at: None, denied: false });
    world.turn();
    assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingWindow, "NeverOpens"));
}

#[test]
fn one_migration_at_a_time_on_a_database() {
    let mut world = World::new();
    world.observed.rival = Some("other".to_owned());
    world.turn();
    assert_eq!(world.running(), Some(RunAction::Plan), "planning reads only");
    world.planned("orders-a");
    assert_eq!((world.phase(), world.ready().0), (Phase::Blocked, "DatabaseBusy"));
    assert!(world.ready().1.contains("other"));
    assert!(world.finalizers().is_empty());
    assert!(decide(&world.observed, world.now).wake.is_some(), "it looks again");
    world.observed.rival = None;
    world.turn();
    assert_eq!(world.phase(), Phase::Executing);
}

fn closing_at(closes_at: &str, longest_seconds: i64, overrun: Overrun) -> WindowState {
    WindowState::Known(Window {
        name: "quiet".to_owned(),
        opening: Opening::Open { closes_at: Some(time(closes_at)) },
        overrun,
        longest_seconds,
        overrides: Vec::new(),
        guards: None,
        places: 1,
        has_place: true,
    })
}

/// A Migration whose next validation does not fit into what is left of the window.
pub fn too_short() -> World {
    let mut world = waiting();
    world.observed.window = closing_at("2026-06-10T12:00:59Z", 3_600, Overrun::Finish);
    world.turn();
    assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingWindow, "WindowTooShort"));
    world
}

#[test]
fn what_does_not_fit_into_the_rest_of_the_window_does_not_begin() {
    // The next validation takes 60 s or more; it is 12:00:00.
    for (closes_at, longest, overrun, begins) in [
        ("2026-06-10T12:01:00Z", 3_600, Overrun::Finish, true),
        ("2026-06-10T12:00:59Z", 3_600, Overrun::Finish, false),
        ("2026-06-10T12:00:59Z", 3_600, Overrun::Cancel, false),
        ("2026-06-10T12:00:30Z", 59, Overrun::Finish, true),
        ("2026-06-10T12:00:30Z", 59, Overrun::Cancel, false),
    ] {
        let mut world = waiting();
        world.observed.window = closing_at(closes_at, longest, overrun);
        world.turn();
        if begins {
            let run = world.status().run.clone().unwrap();
            assert_eq!(run.window_closes_at.map(|at| at.0), Some(time(closes_at)));
            assert_eq!(run.overrun, Some(overrun));
        } else {
            assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingWindow, "WindowTooShort"));
            assert!(world.ready().1.contains("60 s or more"), "{}", world.ready().1);
            assert_eq!(decide(&world.observed, world.now).wake, Some(time(closes_at)));
            let before = world.status().clone();
            world.later(1);
            assert_eq!(*world.status(), before, "waiting writes nothing");
        }
    }
}

#[test]
fn a_run_that_stops_because_the_window_closes_has_not_failed() {
    let mut world = waiting();
    world.observed.window = closing_at("2026-06-10T13:00:00Z", 3_600, Overrun::Cancel);
    world.turn();
    world.now = time("2026-06-10T12:59:30Z");
    world.executed(4, Some(Stage::Validate));
    assert_eq!((world.phase(), world.ready().0, world.status().failures), (Phase::AwaitingWindow, "WindowTooShort", 0));
}
