//! What goes wrong, and what a user sees.

use super::world::{World, known, lossless};
use crate::api::migration::RollbackPolicy;
use crate::api::{ConditionStatus, ConditionType, Phase, RETRY_ANNOTATION, Reason};
use crate::controller::database::circuit::Standing;
use crate::controller::migration::decide::{Action, decide};
use crate::controller::migration::observed::{End, EndCause, JobState, SourceState};
use crate::plan::{HazardId, RollbackClass, Stage};
use crate::report::{RollbackState, RunAction};

fn stalled(world: &World) -> bool {
    world.condition(ConditionType::Stalled).is_some_and(|condition| condition.status == ConditionStatus::True)
}

fn killed() -> End {
    End { exit_code: Some(137), report: None, cause: None }
}

#[test]
fn missing_things_block_and_heal() {
    let mut world = World::new();
    let database = world.observed.database.take();
    world.turn();
    assert_eq!((world.phase(), world.ready().0), (Phase::Blocked, "DatabaseMissing"));
    assert!(world.ready().1.contains("shop"));
    world.observed.database = database;
    for reason in [Reason::ConfigMapMissing, Reason::ConfigMapKeyMissing, Reason::SourceEmpty] {
        world.observed.source = SourceState::Missing { reason, message: "the ConfigMap x does not exist".to_owned() };
        world.turn();
        assert_eq!((world.phase(), world.ready().0), (Phase::Blocked, reason.word()));
        assert!(decide(&world.observed, world.now).wake.is_some());
    }
    assert!(world.created.is_empty());
    world.observed.source = known("select 1");
    world.turn();
    assert_eq!(world.phase(), Phase::Planning);
}

#[test]
fn permanent_refusals_of_the_planner_stall_until_the_input_changes() {
    for (code, reason) in [(10, "SyntaxError"), (2, "InvalidName")] {
        let mut world = World::new();
        world.turn().reports(code, reason, |report| report.message = "line 3, column 7: no".to_owned());
        assert_eq!((world.phase(), world.ready()), (Phase::Failed, (reason, "line 3, column 7: no")));
        assert!(stalled(&world) && world.condition(ConditionType::Reconciling).is_none());
        world.later(100_000);
        assert_eq!(world.created.len(), 1, "it is not tried again by itself");
        world.edit_sql("select 2");
        assert_eq!((world.phase(), stalled(&world)), (Phase::Planning, false));
    }
}

#[test]
fn what_somebody_must_put_right_is_looked_at_again_without_flapping() {
    for (code, reason) in
        [(12, "AuthenticationFailed"), (11, "TlsFailed"), (12, "MissingPrivilege"), (11, "SecretMissing")]
    {
        let mut world = World::new();
        world.turn().reports(code, reason, |_| {});
        assert_eq!((world.phase(), world.ready().0), (Phase::Failed, reason));
        world.later(59);
        assert_eq!(world.created.len(), 1);
        world.later(1);
        assert_eq!((world.created.len(), world.phase()), (2, Phase::Failed), "{reason}: stalled while it probes");
        assert_eq!(world.ready().0, reason);
        world.reports(code, reason, |_| {});
        assert_eq!(world.phase(), Phase::Failed);
        world.later(120);
        world.planned("orders-a");
        assert_eq!((world.phase(), stalled(&world)), (Phase::Executing, false));
        assert_eq!(world.status().waits, 0);
    }
}

#[test]
fn a_changed_database_is_tried_at_once() {
    let mut world = World::new();
    world.turn().reports(12, "AuthenticationFailed", |_| {});
    world.observed.database.as_mut().unwrap().spec.connection.user =
        Some(crate::api::reference::TextSource { value: Some("other".to_owned()), secret_key_ref: None });
    world.turn();
    assert_eq!((world.created.len(), world.phase()), (2, Phase::Planning));
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_without_limit() {
    let mut world = World::new();
    world.turn();
    for count in 0..20 {
        world.reports(75, "Unreachable", |_| {});
        assert_eq!((world.phase(), world.ready().0), (Phase::Planning, "Unreachable"), "{count}");
        assert!(!stalled(&world), "a database that is down stalls nothing");
        world.later(61);
    }
    world.planned("orders-a");
    assert_eq!(world.phase(), Phase::Executing);
}

#[test]
fn a_killed_run_resumes_at_once_and_not_for_ever() {
    let mut world = World::new();
    world.turn().planned("orders-a").ends(killed());
    assert_eq!(
        (world.phase(), world.running()),
        (Phase::Executing, Some(RunAction::Execute)),
        "no pause before the second try"
    );
    world.ends(killed());
    assert_eq!(world.ready().0, "RunLost");
    assert_eq!(world.running(), None);
    world.later(5).ends(killed()).later(10).ends(killed());
    // spec.retry.limit is 3: the fourth end is the last; then the ledger is asked how far it came.
    assert_eq!(world.running(), Some(RunAction::Inspect));
    world.reports(0, "Interrupted", |report| {
        report.steps_done = 2;
        report.next_stage = Some(Stage::Backfill);
        report.rollback = Some(lossless(2));
    });
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "RetriesExhausted"));
    assert_eq!(world.status().step.as_deref(), Some("2/7"));
    world.annotate(RETRY_ANNOTATION, "now");
    assert_eq!((world.phase(), world.running()), (Phase::Executing, Some(RunAction::Execute)));
    world.executed(7, None);
    assert_eq!((world.phase(), world.status().failures), (Phase::Succeeded, 0));
}

#[test]
fn a_killed_planner_plans_again() {
    let mut world = World::new();
    world.turn().ends(killed());
    assert_eq!((world.phase(), world.running(), world.created.len()), (Phase::Planning, Some(RunAction::Plan), 2));
}

#[test]
fn ends_that_the_runner_cannot_report_have_reasons() {
    for (cause, reason) in [
        (EndCause::DeadlineExceeded, "DeadlineExceeded"),
        (EndCause::OutOfMemory, "OutOfMemory"),
        (EndCause::ReportUnreadable, "ReportUnreadable"),
    ] {
        let mut world = World::new();
        world.observed.migration.spec.retry.limit = 0;
        world.turn().ends(End { exit_code: None, report: None, cause: Some(cause) });
        assert_eq!(world.status().last_run.as_ref().unwrap().reason, reason);
        assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "RetriesExhausted"));
    }
}

#[test]
fn a_step_that_fails_for_good_stops_it() {
    let mut world = World::new();
    world.turn().planned("orders-a").reports(14, "ConstraintViolated", |report| {
        report.steps_done = 3;
        report.next_stage = Some(Stage::Validate);
        report.step = Some("004-validate".to_owned());
        report.sqlstate = Some("23505".to_owned());
        report.rollback = Some(lossless(3));
    });
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "ConstraintViolated"));
    let last = world.status().last_run.clone().unwrap();
    assert_eq!((last.step.as_deref(), last.sqlstate.as_deref()), (Some("004-validate"), Some("23505")));
    assert_eq!(world.condition(ConditionType::RollbackReady).unwrap().status, ConditionStatus::True);
    // Somebody repairs the rows.
    world.annotate(RETRY_ANNOTATION, "1");
    assert_eq!((world.phase(), world.running()), (Phase::Validating, Some(RunAction::Execute)));
}

#[test]
fn a_runner_that_stops_at_an_open_gate_does_not_spin() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    for _ in 0..3 {
        world.executed(3, Some(Stage::Validate)).later(1_000);
        assert_eq!(world.phase(), Phase::Validating);
    }
    world.executed(3, Some(Stage::Validate));
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "RetriesExhausted"));
}

#[test]
fn the_policy_rolls_back_after_a_failure() {
    let cases = [
        (RollbackPolicy::Manual, RollbackClass::Lossless, false),
        (RollbackPolicy::OnFailure, RollbackClass::Lossless, true),
        (RollbackPolicy::OnFailure, RollbackClass::Lossy, true),
        (RollbackPolicy::OnFailure, RollbackClass::ForwardOnly, false),
        (RollbackPolicy::OnFailureIfLossless, RollbackClass::Lossless, true),
        (RollbackPolicy::OnFailureIfLossless, RollbackClass::Lossy, false),
    ];
    for (policy, class, rolls_back) in cases {
        let mut world = World::new();
        world.observed.migration.spec.rollback.policy = policy;
        world.turn().planned("orders-a").reports(14, "StatementFailed", |report| {
            report.steps_done = 3;
            report.rollback =
                Some(RollbackState { class, reason: "some".to_owned(), steps: 3, ..RollbackState::default() });
        });
        assert_eq!(world.running() == Some(RunAction::Rollback), rolls_back, "{policy} {class}");
        if rolls_back {
            world.reports(0, "RolledBack", |_| {});
            assert_eq!((world.phase(), stalled(&world)), (Phase::RolledBack, true), "it is not what was asked for");
            assert!(world.ready().1.contains("the runner says StatementFailed"), "{}", world.ready().1);
            world.annotate(RETRY_ANNOTATION, "1");
            assert_eq!(world.phase(), Phase::Planning);
        } else {
            assert_eq!(world.phase(), Phase::Failed);
        }
    }
}

#[test]
fn a_first_step_that_fails_undoes_nothing() {
    let mut world = World::new();
    world.observed.migration.spec.rollback.policy = RollbackPolicy::OnFailure;
    world.turn().planned("orders-a").reports(14, "StatementFailed", |_| {});
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "StatementFailed"));
    world.edit_sql("select 2");
    assert_eq!(world.phase(), Phase::Planning, "nothing was done, so new SQL is planned");
}

#[test]
fn a_failing_rollback_is_not_hidden() {
    let mut world = World::new();
    world.turn().planned("orders-a").executed(7, None);
    let digest = world.digest();
    world.annotate(crate::api::ROLLBACK_ANNOTATION, &digest);
    world.reports(14, "StatementFailed", |report| report.steps_done = 5);
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "StatementFailed"));
    world.annotate(RETRY_ANNOTATION, "1");
    assert_eq!(world.running(), Some(RunAction::Rollback));
}

#[test]
fn an_outdated_plan_is_made_again_with_the_reason() {
    let mut world = World::new();
    world
        .turn()
        .planned("orders-a")
        .reports(11, "CatalogChanged", |report| report.message = "the catalog changed".to_owned());
    assert_eq!((world.phase(), world.running()), (Phase::Planning, Some(RunAction::Plan)));
    world.approval_required().planned("orders-b");
    assert_eq!(world.phase(), Phase::AwaitingApproval, "the new plan needs its own approval");
}

#[test]
fn a_plan_that_is_always_outdated_does_not_spin() {
    let mut world = World::new();
    world.turn();
    let mut pauses = Vec::new();
    for _ in 0..5 {
        world
            .planned("orders-a")
            .reports(11, "CatalogChanged", |report| report.message = "the catalog changed".to_owned());
        let mut pause = 0;
        while world.running().is_none() {
            assert_eq!((world.phase(), world.ready().0), (Phase::Planning, "CatalogChanged"));
            world.later(1);
            pause += 1;
        }
        pauses.push(pause);
    }
    assert_eq!(pauses, [0, 5, 10, 20, 40]);
}

#[test]
fn a_deleted_plan_is_made_again_before_and_missed_after_the_start() {
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a");
    world.observed.plan = None;
    world.turn();
    assert_eq!(world.running(), Some(RunAction::Plan));
    let mut world = World::new();
    world.turn().planned("orders-a").reports(75, "Interrupted", |report| report.steps_done = 2);
    world.observed.plan = None;
    world.later(1);
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "PlanMissing"));
}

#[test]
fn jobs_of_others_are_never_adopted() {
    let mut world = World::new();
    world.turn();
    world.observed.job = JobState::Foreign;
    world.turn();
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "NameConflict"));
    world.annotate(RETRY_ANNOTATION, "1");
    assert_ne!(world.created[0], world.created[1], "the next try has a name of its own");
}

#[test]
fn a_plan_of_another_migration_is_never_adopted() {
    let mut world = World::new();
    world.turn();
    let mut facts = world.plan_facts("orders-a");
    facts.migration_uid = "another".to_owned();
    world.planned_as(facts);
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "NameConflict"));
}

#[test]
fn a_crash_between_status_and_job_repeats_the_create() {
    let mut world = World::new();
    world.turn();
    world.observed.job = JobState::Absent;
    let decision = decide(&world.observed, world.now);
    assert_eq!(decision.actions, [Action::CreateJob]);
    assert_eq!(Some(&decision.status), world.observed.migration.status.as_ref());
    world.turn();
    assert_eq!(world.created[0], world.created[1], "the same name");
}

#[test]
fn a_pod_that_cannot_start_and_a_job_that_is_refused_are_said() {
    let mut world = World::new();
    world.turn();
    world.observed.job = JobState::Active { ending: false, stuck: Some("ImagePullBackOff: no such image".to_owned()) };
    world.turn();
    assert_eq!((world.phase(), world.ready().0), (Phase::Planning, "PodNotStarting"));
    assert!(world.ready().1.contains("ImagePullBackOff"));
    world.observed.job = JobState::Refused("exceeded quota".to_owned());
    let decision = decide(&world.observed, world.now);
    let ready = crate::controller::conditions::find(&decision.status.conditions, ConditionType::Ready).unwrap();
    assert_eq!((ready.reason.as_str(), decision.actions.contains(&Action::CreateJob)), ("JobRefused", true));
}

#[test]
fn a_database_deleted_in_the_middle_is_waited_for() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    let database = world.observed.database.take();
    world.turn();
    assert_eq!(world.running(), Some(RunAction::Execute), "what runs, runs");
    world.reports(75, "Interrupted", |report| report.steps_done = 2).later(1);
    assert_eq!((world.phase(), world.ready().0), (Phase::Blocked, "DatabaseMissing"));
    world.observed.database = database;
    world.turn();
    assert_eq!(world.phase(), Phase::Executing);
}

#[test]
fn a_forbidden_hazard_is_refused_before_planning() {
    let mut world = World::new();
    world.observed.migration.spec.allow_hazards = vec![HazardId::DataLoss];
    world.policy(|policy| policy.forbidden_hazards = vec![HazardId::DataLoss]);
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "HazardForbidden"));
    assert!(world.created.is_empty() && world.ready().1.contains("DataLoss"));
    world.policy(|policy| policy.forbidden_hazards.clear());
    assert_eq!(world.phase(), Phase::Planning);
}

#[test]
fn integrity_needs_a_person() {
    let mut world = World::new();
    world.observed.migration.spec.rollback.policy = RollbackPolicy::OnFailure;
    world.turn().planned("orders-a").reports(13, "ObjectDiffers", |report| {
        report.steps_done = 3;
        report.rollback = Some(lossless(3));
    });
    assert_eq!((world.phase(), world.running()), (Phase::Failed, None), "nothing is done behind a person's back");
    world.later(1_000_000);
    assert_eq!(world.running(), None);
}

#[test]
fn an_undo_that_has_to_wait_is_told_of() {
    use crate::api::migration::RollbackPolicy;
    let mut world = World::new();
    world.observed.migration.spec.rollback.policy = RollbackPolicy::OnFailure;
    world.turn().planned("orders-a");
    world.observed.rival = Some("other".to_owned());
    world.reports(14, "StatementFailed", |report| {
        report.message = "step 003: no".to_owned();
        report.steps_done = 2;
        report.rollback = Some(lossless(2));
    });
    assert_eq!((world.phase(), world.ready().0), (Phase::Blocked, "DatabaseBusy"));
    let expected =
        "one at a time is executed. Then what was done is undone, as spec.rollback.policy says, because step 003: no";
    assert!(world.ready().1.ends_with(expected), "{}", world.ready().1);
    world.observed.rival = None;
    world.turn();
    assert_eq!(world.running(), Some(RunAction::Rollback));
}

#[test]
fn words_of_other_versions_do_not_reach_conditions() {
    let mut world = World::new();
    world.turn().reports(10, "not one word", |report| report.message = "x".repeat(5_000));
    assert_eq!(world.ready().0, "ReportUnreadable");
    assert!(world.ready().1.len() <= 1_024);
}

#[test]
fn a_database_that_fails_again_and_again_makes_everything_wait() {
    let open = |world: &World| {
        let until = world.now.checked_add(jiff::SignedDuration::from_secs(40)).unwrap();
        Standing::Open { until, why: "3 runs in a row".to_owned() }
    };
    let mut world = World::new();
    world.observed.circuit = open(&world);
    world.turn();
    assert_eq!((world.phase(), world.ready().0, world.created.len()), (Phase::Blocked, "CircuitOpen", 0));
    assert!(world.ready().1.contains("3 runs in a row"), "{}", world.ready().1);
    assert!(decide(&world.observed, world.now).wake.is_some());
    world.observed.circuit = Standing::Closed;
    world.turn().planned("a").reports(75, "ConnectionLost", |report| report.steps_done = 1);
    world.observed.circuit = open(&world);
    world.later(5);
    assert_eq!((world.ready().0, world.running()), ("CircuitOpen", None), "what has begun waits too");
    // A pause of its own that ends earlier is not when it goes on.
    let shown = |world: &mut World, failures: i32| {
        world.reports(75, "ConnectionLost", |report| report.steps_done = 1);
        world.observed.circuit = open(world);
        world.turn();
        let hold = world.status().hold.clone().unwrap().until.unwrap();
        assert_eq!(world.status().waits, failures);
        (
            world.ready().0.to_owned(),
            world.ready().1.contains(&hold.0.to_string()),
            decide(&world.observed, world.now).wake,
        )
    };
    world.observed.circuit = Standing::Closed;
    world.turn();
    let next = world.now.checked_add(jiff::SignedDuration::from_secs(40)).unwrap();
    assert_eq!(shown(&mut world, 2), ("CircuitOpen".to_owned(), false, Some(next)));
    for failures in 3..=6 {
        world.observed.circuit = Standing::Closed;
        world.later(60);
        world.observed.circuit = Standing::Closed;
        shown(&mut world, failures);
    }
    let hold = world.status().hold.clone().unwrap().until.unwrap();
    let last = (world.ready().0, decide(&world.observed, world.now).wake);
    assert_eq!(last, ("ConnectionLost", Some(hold.0)), "{}", world.ready().1);
    world.later(60);
    world.observed.circuit = Standing::Probing { by: "parts".to_owned(), why: String::new() };
    world.turn();
    assert_eq!((world.ready().0, world.running()), ("CircuitProbing", None));
    world.annotate(RETRY_ANNOTATION, "now");
    assert_eq!(world.running(), Some(RunAction::Execute), "a person need not wait");
}
