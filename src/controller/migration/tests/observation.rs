//! The observation of the application's statements after the change.

use super::world::World;
use crate::api::Phase;
use crate::api::migration::{Observation, ObservationOverride};
use crate::api::migration_status::{GateName, GateStatus, GateVerdict};
use crate::inspect::statements::{Compared, Verdict};
use crate::plan::Stage;
use crate::report;

const SECONDS: i64 = 3_600;

/// Everything but the contract steps is done, and statements are observed.
fn observed(next: Option<Stage>) -> World {
    let mut world = World::new();
    world.observed.migration.spec.observation = Some(Observation {
        seconds: SECONDS.try_into().unwrap(),
        regression_percent_max: 10,
        calls_min: 100,
        overridden: None,
    });
    world.turn().planned("a");
    let steps = if next.is_some() { 3 } else { 7 };
    world.executed(steps, next);
    world
}

fn measured(world: &mut World, verdict: Option<Verdict>, next: Option<Stage>) {
    let since = world.now.as_second();
    let worst = Compared {
        query_id: "-7".to_owned(),
        calls_before: 500,
        calls_after: 200,
        mean_microseconds_before: 1_000,
        mean_microseconds_after: 1_400,
        percent: 40,
    };
    let worst = if verdict == Some(Verdict::NoGo) { vec![worst] } else { Vec::new() };
    let message = if verdict == Some(Verdict::Unavailable) { "no extension" } else { "" }.to_owned();
    world.reports(0, if next.is_some() { "Inspected" } else { "Done" }, |report| {
        report.steps_done = if next.is_some() { 3 } else { 7 };
        report.next_stage = next;
        report.observation = Some(report::Observation { since: Some(since), verdict, compared: 9, worst, message });
    });
}

fn gate(world: &World) -> GateStatus {
    world.status().gates.iter().find(|gate| gate.name == GateName::Observation).cloned().unwrap()
}

#[test]
fn the_contract_steps_wait_and_everything_can_be_undone() {
    let mut world = observed(Some(Stage::Contract));
    assert_eq!(world.phase(), Phase::Observing);
    assert_eq!((gate(&world).verdict, gate(&world).reason.as_str()), (GateVerdict::Waiting, "ObservationRunning"));
    assert!(world.status().rollback.as_ref().unwrap().ready);
    let jobs = world.created.len();
    world.later(SECONDS - 10).turn();
    assert_eq!(world.created.len(), jobs, "not before the time is over");
    world.later(20).turn();
    assert_eq!(world.created.len(), jobs + 1);
    measured(&mut world, Some(Verdict::Go), Some(Stage::Contract));
    assert_eq!((gate(&world).verdict, gate(&world).reason.as_str()), (GateVerdict::Passed, "NoRegression"));
    assert_eq!(world.created.len(), jobs + 2, "the contract steps run");
}

#[test]
fn a_slower_statement_stops_it_until_somebody_decides() {
    for next in [Some(Stage::Contract), None] {
        let mut world = observed(next);
        world.later(SECONDS + 10).turn();
        measured(&mut world, Some(Verdict::NoGo), next);
        assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "RegressionFound"));
        let gate = gate(&world);
        assert_eq!(gate.verdict, GateVerdict::Refused);
        assert!(
            gate.message.contains("queryid -7: 1000 to 1400") && gate.message.contains("+40 %"),
            "{}",
            gate.message
        );
        assert!(world.status().rollback.as_ref().unwrap().ready, "there is a way back");
        let plan = world.digest();
        let entry = ObservationOverride { plan, by: "ada".to_owned(), note: "known and accepted".to_owned() };
        world.observed.migration.spec.observation.as_mut().unwrap().overridden = Some(entry);
        world.turn();
        let gate = super::observation::gate(&world);
        assert_eq!((gate.verdict, gate.reason.as_str()), (GateVerdict::Passed, "ObservationOverridden"));
        assert!(gate.message.contains("ada") && gate.message.contains("known and accepted"));
        assert_eq!(world.phase(), if next.is_some() { Phase::Contracting } else { Phase::Succeeded });
    }
}

#[test]
fn without_the_extension_the_gate_says_so_and_lets_pass() {
    let mut world = observed(None);
    assert_eq!(world.phase(), Phase::Observing, "a plan without contract steps is observed as well");
    world.later(SECONDS + 10).turn();
    measured(&mut world, Some(Verdict::Unavailable), None);
    assert_eq!(world.phase(), Phase::Succeeded);
    assert_eq!(
        (gate(&world).reason.as_str(), gate(&world).message.as_str()),
        ("StatementsUnavailable", "no extension")
    );
}

#[test]
fn what_began_late_is_observed_for_the_whole_time() {
    let mut world = observed(None);
    world.later(SECONDS + 10).turn();
    measured(&mut world, None, None);
    assert_eq!(world.phase(), Phase::Observing);
    let jobs = world.created.len();
    world.later(SECONDS - 10).turn();
    assert_eq!(world.created.len(), jobs);
    world.later(20).turn();
    assert_eq!(world.created.len(), jobs + 1);
}
