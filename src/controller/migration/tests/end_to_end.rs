//! The life of a Migration when nothing goes wrong.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::world::World;
use crate::api::migration::ContractPolicy;
use crate::api::migration_plan::Decision as Verdict;
use crate::api::migration_status::Gate;
use crate::api::{ConditionStatus, ConditionType, Phase, RETRY_ANNOTATION, ROLLBACK_ANNOTATION};
use crate::controller::migration::decide::Action;
use crate::plan::Stage;
use crate::report::{RollbackState, RunAction};

#[test]
fn plan_execute_succeed() {
    let mut world = World::new();
    world.turn();
    assert_eq!((world.phase(), world.running()), (Phase::Planning, Some(RunAction::Plan)));
    assert_eq!(world.status().observed_generation, Some(1));
    world.planned("orders-a");
    assert_eq!((world.phase(), world.running()), (Phase::Executing, Some(RunAction::Execute)));
    let run = world.status().run.clone().unwrap();
    assert_eq!(run.gates, [Gate::Validate, Gate::Contract]);
    assert_eq!(run.digest, Some(world.digest()));
    assert!(world.finalizers().iter().any(|name| name == "wesley.dev/migration"));
    world.executed(7, None);
    assert_eq!((world.phase(), world.running()), (Phase::Succeeded, None));
    assert_eq!(world.status().step.as_deref(), Some("7/7"));
    for kind in [ConditionType::Ready, ConditionType::Planned, ConditionType::Approved, ConditionType::Executed] {
        assert_eq!(world.condition(kind).unwrap().status, ConditionStatus::True, "{kind}");
    }
    assert!(world.condition(ConditionType::Reconciling).is_none());
    assert!(world.condition(ConditionType::Stalled).is_none());
    assert!(world.finalizers().is_empty(), "nothing holds a finished Migration");
    assert_eq!(world.created.len(), 2);
    assert!(world.status().completed_time.is_some());
    assert_eq!(world.phases, [Phase::Planning, Phase::Executing, Phase::Succeeded]);
}

#[test]
fn a_restore_point_is_shown_and_stays() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    let made = RollbackState {
        restore_point: Some("wesley:orders:1".to_owned()),
        restore_lsn: Some("0/16B3748".to_owned()),
        ..RollbackState::default()
    };
    world.reports(20, "LockBudgetSpent", |report| report.rollback = Some(made));
    world.later(3_600).executed(7, None);
    assert_eq!(world.phase(), Phase::Succeeded);
    let shown = world.status().rollback.as_ref().unwrap();
    assert_eq!(shown.restore_point.as_deref(), Some("wesley:orders:1"));
    assert_eq!(shown.restore_lsn.as_deref(), Some("0/16B3748"));
}

#[test]
fn a_running_backfill_follows_the_spec() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    let (run, jobs) = (world.status().run.clone(), world.created.len());
    world.observed.backfill = crate::controller::jobs::backfill_text(&world.observed.migration);
    assert!(!world.turn().done.contains(&Action::TuneBackfill), "nothing has changed");
    world.observed.migration.spec.backfill.rows_per_second_max = Some(500);
    world.observed.migration.metadata.generation = Some(2);
    world.turn();
    assert_eq!(world.done.iter().filter(|action| **action == Action::TuneBackfill).count(), 1);
    assert_eq!((world.status().run.clone(), world.created.len()), (run, jobs), "the Job goes on");
    // Lost, or deleted by somebody.
    world.observed.backfill = Some(String::new());
    world.turn();
    assert_eq!(world.done.iter().filter(|action| **action == Action::TuneBackfill).count(), 2);
}

#[test]
fn the_finalizer_comes_before_the_first_job_that_changes_something() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    let at = |wanted: &Action| world.done.iter().position(|action| action == wanted);
    let jobs: Vec<usize> =
        world.done.iter().enumerate().filter(|(_, action)| **action == Action::CreateJob).map(|(at, _)| at).collect();
    assert_eq!(jobs.len(), 2);
    assert!(at(&Action::AddFinalizer).is_some_and(|at| at > jobs[0] && at < jobs[1]), "{:?}", world.done);
}

#[test]
fn approval_on_the_plan() {
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a");
    assert_eq!(world.phase(), Phase::AwaitingApproval);
    assert!(world.ready().1.contains(&world.digest()), "{}", world.ready().1);
    world.decided(Verdict::Approved);
    assert_eq!(world.phase(), Phase::Executing);
    let approved = world.condition(ConditionType::Approved).unwrap();
    assert_eq!((approved.reason.as_str(), approved.message.as_str()), ("ApprovedByPerson", "approved by ada"));
}

#[test]
fn an_approval_can_expire_before_the_start_only() {
    let approval = |world: &World, until: &str| crate::api::migration_plan::Approval {
        decision: Verdict::Approved,
        by: Some("ada".to_owned()),
        at: None,
        expires_at: Some(Time(until.parse().unwrap())),
        note: world.status().step.clone(),
    };
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a");
    world.observed.plan.as_mut().unwrap().approval = Some(approval(&world, "2026-06-10T12:00:00Z"));
    world.turn();
    assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingApproval, "ApprovalExpired"));
    world.observed.plan.as_mut().unwrap().approval = Some(approval(&world, "2026-06-10T12:00:01Z"));
    world.turn();
    assert_eq!(world.phase(), Phase::Executing);
    assert!(world.condition(ConditionType::Approved).unwrap().message.contains("by ada"));
    world.reports(75, "Interrupted", |report| report.steps_done = 2);
    world.later(3_600);
    assert_eq!(world.running(), Some(RunAction::Execute), "what has begun goes on");
}

#[test]
fn an_approval_counts_once_more_where_nothing_could_begin() {
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a").decided(Verdict::Approved);
    assert_eq!(world.running(), Some(RunAction::Execute));
    world.reports(75, "Unreachable", |report| report.steps_total = 0);
    world.decided(Verdict::Rejected);
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "PlanRejected"));
    world.later(3_600);
    assert_eq!(world.running(), None);
    world.decided(Verdict::Approved).later(3_600);
    assert_eq!(world.running(), Some(RunAction::Execute));
    // What has begun goes on; that the rejection came too late is said.
    world.reports(75, "Interrupted", |report| report.steps_done = 2);
    world.decided(Verdict::Rejected).later(3_600);
    assert_eq!(world.running(), Some(RunAction::Execute));
    let approved = world.condition(ConditionType::Approved).unwrap().clone();
    assert!(approved.message.ends_with("stops nothing: set spec.suspend, or roll back"), "{}", approved.message);
    world.later(60);
    assert_eq!(world.condition(ConditionType::Approved).unwrap().message, approved.message);
}

#[test]
fn approval_in_git() {
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a");
    let digest = world.digest();
    world.edit(|spec| spec.approved_plan = Some("sha256:other".to_owned()));
    assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingApproval, "OtherPlanApproved"));
    world.edit(|spec| spec.approved_plan = Some(digest));
    assert_eq!(world.phase(), Phase::Executing, "the digest in the spec does not outdate the plan");
    assert_eq!(world.condition(ConditionType::Approved).unwrap().reason, "ApprovedInSpec");
}

#[test]
fn an_approval_in_git_renews_one_that_expired_but_overrules_no_rejection() {
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a").decided(Verdict::Rejected);
    let digest = world.digest();
    world.edit(|spec| spec.approved_plan = Some(digest.clone()));
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "PlanRejected"));
    assert!(world.ready().1.contains("approved there, spec.approvedPlan does not overrule it"), "{}", world.ready().1);
    let approval = world.observed.plan.as_mut().unwrap().approval.as_mut().unwrap();
    (approval.decision, approval.expires_at) = (Verdict::Approved, Some(Time("2026-06-10T11:00:00Z".parse().unwrap())));
    world.turn();
    assert_eq!(world.condition(ConditionType::Approved).unwrap().reason, "ApprovedInSpec");
    assert_eq!(world.phase(), Phase::Executing);
    // Without it, what to do is said.
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a");
    world.observed.plan.as_mut().unwrap().approval = Some(crate::api::migration_plan::Approval {
        decision: Verdict::Approved,
        by: Some("ada".to_owned()),
        at: None,
        expires_at: Some(Time("2026-06-10T11:00:00Z".parse().unwrap())),
        note: None,
    });
    world.turn();
    assert_eq!(world.ready().0, "ApprovalExpired");
    assert!(world.ready().1.contains(&format!("or set spec.approvedPlan: {}", world.digest())), "{}", world.ready().1);
}

#[test]
fn why_an_approved_plan_is_replaced_stays_in_sight_until_the_new_one_is_approved() {
    let approved = |world: &World| world.condition(ConditionType::Approved).unwrap().message.clone();
    // The runner finds another schema than the plan was made for.
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a").decided(Verdict::Approved);
    world.reports(11, "CatalogChanged", |report| {
        report.message = "the schema has changed since the plan was made. Nothing was touched".to_owned();
    });
    world.later(600).planned("orders-b");
    assert_eq!((world.phase(), world.ready().0), (Phase::AwaitingApproval, "AwaitingApproval"));
    let message = approved(&world);
    assert!(message.contains("orders-a, which was approved, is replaced: the schema has changed since"), "{message}");
    assert!(message.contains("approve it") && !message.contains("Nothing was touched"), "{message}");
    assert_eq!(world.ready().1, message, "who waits for it sees it");
    world.later(3_600);
    assert_eq!(approved(&world), message);
    world.decided(Verdict::Approved);
    assert_eq!((world.phase(), world.status().replaced_plan.as_ref()), (Phase::Executing, None));
    // Somebody changes what it is made from.
    let mut world = World::new();
    world.approval_required();
    world.observed.rival = Some("other".to_owned());
    world.turn().planned("orders-a").decided(Verdict::Approved);
    world.edit_sql("select 2").planned("orders-b");
    assert!(approved(&world).contains("orders-a, which was approved, is replaced: the SQL has changed"));
    world.policy(|policy| policy.in_place_bytes_max += 1).planned("orders-c");
    assert!(approved(&world).contains("orders-a"), "nobody approved the second: {}", approved(&world));
    // A plan that nobody approved is replaced without a word.
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a").edit_sql("select 2").planned("orders-b");
    assert!(!approved(&world).contains("replaced"), "{}", approved(&world));
}

#[test]
fn the_database_can_demand_approval() {
    let mut world = World::new();
    world.policy(|policy| policy.approval = crate::api::database::ApprovalRule::Required).planned("orders-a");
    assert_eq!(world.phase(), Phase::AwaitingApproval);
}

#[test]
fn a_rejected_plan_stops_it_until_something_changes() {
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a").decided(Verdict::Rejected);
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "PlanRejected"));
    world.edit_sql("select 2");
    assert_eq!(world.phase(), Phase::Planning);
}

#[test]
fn a_changed_spec_before_the_first_step_is_planned_again() {
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a");
    world.edit_sql("select 2");
    assert_eq!((world.phase(), world.running()), (Phase::Planning, Some(RunAction::Plan)));
    world.planned("orders-b");
    assert_eq!(world.phase(), Phase::AwaitingApproval, "the approval of one plan is not that of another");
    assert_eq!(world.status().plan.as_ref().unwrap().name, "orders-b");
}

#[test]
fn a_planning_job_of_outdated_input_is_stopped() {
    let mut world = World::new();
    world.turn().edit_sql("select 2");
    assert!(world.done.iter().any(|action| matches!(action, Action::StopJob(_))));
    world.gone();
    assert_eq!((world.phase(), world.created.len()), (Phase::Planning, 2));
    assert_ne!(world.created[0], world.created[1]);
}

#[test]
fn rollback_asked_for_by_annotation_and_taken_back() {
    let mut world = World::new();
    world.turn().planned("orders-a").executed(7, None);
    let digest = world.digest();
    world.annotate(ROLLBACK_ANNOTATION, "sha256:other");
    assert_eq!(world.phase(), Phase::Succeeded, "another digest asks for nothing");
    world.annotate(ROLLBACK_ANNOTATION, &digest);
    assert_eq!((world.phase(), world.running()), (Phase::RollingBack, Some(RunAction::Rollback)));
    world.reports(0, "RolledBack", |_| {});
    assert_eq!(world.phase(), Phase::RolledBack);
    assert_eq!(
        world.condition(ConditionType::Ready).unwrap().status,
        ConditionStatus::True,
        "it is what was asked for"
    );
    assert_eq!(world.status().step.as_deref(), Some("0/7"));
    assert_eq!(world.condition(ConditionType::Executed).unwrap().status, ConditionStatus::False);
    world.observed.migration.metadata.annotations = None;
    world.turn();
    assert_eq!(world.phase(), Phase::Planning, "the request is taken back: apply it again");
}

#[test]
fn rollback_asked_for_in_the_spec_while_executing() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    let digest = world.digest();
    world.edit(|spec| spec.rollback.requested_for = Some(digest));
    assert!(matches!(world.done.last(), Some(Action::StopJob(_))));
    assert_eq!(world.running(), Some(RunAction::Execute), "one Job after the other");
    world.gone();
    assert_eq!((world.phase(), world.running()), (Phase::RollingBack, Some(RunAction::Rollback)));
    world.reports(0, "RolledBack", |_| {});
    assert_eq!(world.phase(), Phase::RolledBack);
    world.edit_sql("select 2");
    assert_eq!(world.phase(), Phase::Planning, "new SQL is a new change");
}

#[test]
fn rollback_before_anything_ran_does_nothing_and_stays() {
    let mut world = World::new();
    world.approval_required().turn().planned("orders-a");
    let digest = world.digest();
    world.edit(|spec| spec.rollback.requested_for = Some(digest)).decided(Verdict::Approved);
    assert_eq!((world.phase(), world.created.len()), (Phase::RolledBack, 1));
}

#[test]
fn rollback_is_continued_also_when_the_request_is_withdrawn() {
    let mut world = World::new();
    world.turn().planned("orders-a").executed(7, None);
    let digest = world.digest();
    world.annotate(ROLLBACK_ANNOTATION, &digest);
    world.observed.migration.metadata.annotations = None;
    world.reports(75, "Interrupted", |report| report.steps_done = 3);
    world.later(1);
    assert_eq!(world.running(), Some(RunAction::Rollback));
    world.reports(0, "RolledBack", |_| {});
    assert_eq!(world.phase(), Phase::Planning);
}

#[test]
fn a_rollback_that_rows_stand_in_the_way_of_has_not_begun() {
    let mut world = World::new();
    world.turn().planned("orders-a").executed(7, None);
    assert_eq!(world.phase(), Phase::Succeeded);
    let digest = world.digest();
    let refused = |report: &mut crate::report::Report| {
        report.steps_done = 7;
        report.steps_total = 7;
    };
    world.annotate(ROLLBACK_ANNOTATION, &digest).reports(11, "RollbackBlocked", refused);
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "RollbackBlocked"));
    let jobs = world.created.len();
    world.later(59);
    assert_eq!(world.created.len(), jobs, "the same rows would be found again");
    world.later(1).reports(11, "RollbackBlocked", refused);
    world.later(119);
    assert_eq!(world.created.len(), jobs + 1, "less and less often");
    world.annotate(RETRY_ANNOTATION, "1");
    assert_eq!(world.running(), Some(RunAction::Rollback), "somebody says that they are changed");
    world.reports(11, "RollbackBlocked", refused);
    world.observed.migration.metadata.annotations = None;
    world.turn();
    assert_eq!(world.phase(), Phase::Succeeded, "the request is taken back: what was executed stands");
    world.annotate(ROLLBACK_ANNOTATION, &digest).reports(0, "RolledBack", |_| {});
    assert_eq!(world.phase(), Phase::RolledBack);
}

#[test]
fn no_way_back_is_said() {
    let mut world = World::new();
    world.turn().planned("orders-a").reports(0, "Done", |report| {
        report.steps_done = 7;
        report.rollback = Some(crate::report::RollbackState {
            class: crate::plan::RollbackClass::ForwardOnly,
            reason: "the column is gone".to_owned(),
            ..Default::default()
        });
    });
    assert_eq!(world.phase(), Phase::Succeeded);
    let ready = world.condition(ConditionType::RollbackReady).unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, "ForwardOnly"));
    let digest = world.digest();
    world.annotate(ROLLBACK_ANNOTATION, &digest);
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "ForwardOnly"));
    assert!(world.ready().1.contains("the column is gone"));
}

#[test]
fn suspend_stops_and_resumes() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    world.observed.plan.as_mut().unwrap().steps_done = 3;
    world.edit(|spec| spec.suspend = true);
    assert!(matches!(world.done.last(), Some(Action::StopJob(_))));
    world.gone();
    assert_eq!(world.status().last_run.as_ref().unwrap().reason, "RunStopped");
    assert_eq!(world.status().step.as_deref(), Some("3/7"), "what the stopped run told stays");
    let plan = world.observed.plan.take();
    world.turn();
    assert_eq!(world.status().step.as_deref(), Some("3/7"), "without the MigrationPlan as well");
    world.observed.plan = plan;
    assert_eq!((world.phase(), world.ready().0), (Phase::Suspended, "Suspended"));
    assert!(world.condition(ConditionType::Reconciling).is_none());
    world.edit(|spec| spec.suspend = false);
    assert_eq!((world.phase(), world.running()), (Phase::Executing, Some(RunAction::Execute)));
    assert_eq!(world.status().failures, 0, "stopping is no failure");
}

#[test]
fn suspend_has_no_effect_on_what_is_done() {
    let mut world = World::new();
    world.turn().planned("orders-a").executed(7, None).edit(|spec| spec.suspend = true);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn sql_changed_after_success_is_not_run_and_can_be_restored() {
    let mut world = World::new();
    world.turn().planned("orders-a").executed(7, None).edit_sql("select 2");
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "SourceChanged"));
    assert!(world.ready().1.contains("7 of 7"), "{}", world.ready().1);
    world.edit_sql("select 1");
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn sql_changed_while_executing_stops_at_a_checkpoint_and_looks_up_what_was_done() {
    let mut world = World::new();
    world.turn().planned("orders-a").edit_sql("select 2");
    world.gone();
    assert_eq!(world.running(), Some(RunAction::Inspect));
    world.reports(0, "Interrupted", |report| {
        report.steps_done = 3;
        report.next_stage = Some(Stage::Backfill);
        report.rollback = Some(super::world::lossless(3));
    });
    assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "SourceChanged"));
    assert!(world.ready().1.contains("3 of 7"), "{}", world.ready().1);
    // Restored: it goes on where it stopped.
    world.edit_sql("select 1");
    assert_eq!((world.phase(), world.running()), (Phase::Executing, Some(RunAction::Execute)));
}

#[test]
fn sql_changed_while_executing_with_nothing_done_is_planned_again() {
    let mut world = World::new();
    world.turn().planned("orders-a").edit_sql("select 2");
    world.gone().reports(0, "NotRecorded", |report| report.steps_total = 0);
    assert_eq!(world.running(), Some(RunAction::Plan));
}

#[test]
fn policy_changes_do_not_disturb_what_has_begun() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    world.policy(|policy| policy.in_place_bytes_max = 1);
    assert_eq!(world.running(), Some(RunAction::Execute));
    assert!(!world.done.iter().any(|action| matches!(action, Action::StopJob(_))));
}

#[test]
fn contract_by_hand() {
    let mut world = World::new();
    world.observed.migration.spec.contract.policy = ContractPolicy::Manual;
    world.turn().planned("orders-a");
    assert_eq!(world.status().run.as_ref().unwrap().gates, [Gate::Validate]);
    world.executed(6, Some(Stage::Contract));
    assert_eq!((world.phase(), world.ready().0), (Phase::Observing, "AwaitingContract"));
    assert_eq!(world.condition(ConditionType::Executed).unwrap().status, ConditionStatus::True);
    let digest = world.digest();
    world.annotate(crate::api::CONTRACT_ANNOTATION, &digest);
    assert_eq!(world.phase(), Phase::Contracting);
    world.executed(7, None);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn contract_after_soaking() {
    let mut world = World::new();
    world.observed.migration.spec.contract.policy = ContractPolicy::AfterSoak;
    world.observed.migration.spec.contract.soak_seconds = Some(3_600);
    world.turn().planned("orders-a").executed(6, Some(Stage::Contract));
    assert_eq!((world.phase(), world.ready().0), (Phase::Observing, "Soaking"));
    assert!(world.ready().1.contains("2026-06-10T13:00:00Z"), "{}", world.ready().1);
    world.later(3_599);
    assert_eq!(world.phase(), Phase::Observing);
    world.later(1);
    assert_eq!(world.phase(), Phase::Contracting);
}

#[test]
fn old_plans_and_jobs_go() {
    let mut world = World::new();
    world.turn().planned("orders-a").executed(7, None);
    world.observed.old_plans = vec!["orders-old".to_owned()];
    world.observed.leftover_jobs = vec!["orders-plan-1".to_owned()];
    world.turn();
    assert!(world.done.contains(&Action::DeletePlan("orders-old".to_owned())));
    assert!(world.done.contains(&Action::ExpireJob("orders-plan-1".to_owned())));
}

#[test]
fn a_handled_retry_is_not_handled_twice() {
    let mut world = World::new();
    world.annotate(RETRY_ANNOTATION, "1").reports(10, "SyntaxError", |_| {});
    assert_eq!(world.phase(), Phase::Failed);
    world.turn();
    assert_eq!(world.phase(), Phase::Failed);
    world.annotate(RETRY_ANNOTATION, "2");
    assert_eq!(world.phase(), Phase::Planning);
}

#[test]
fn a_run_that_may_pass_the_point_of_no_return_is_not_said_to_be_reversible() {
    let mut world = World::new();
    world.observed.migration.spec.contract.policy = ContractPolicy::Manual;
    world.turn();
    let mut facts = world.plan_facts("orders-a");
    facts.rollback = crate::plan::RollbackClass::ForwardOnly;
    world.planned_as(facts).executed(6, Some(Stage::Contract));
    let ready = |world: &World| world.condition(ConditionType::RollbackReady).unwrap().status;
    assert_eq!((world.phase(), ready(&world)), (Phase::Observing, ConditionStatus::True));
    let digest = world.digest();
    world.edit(|spec| spec.contract.confirmed_plan = Some(digest));
    assert_eq!((world.phase(), ready(&world)), (Phase::Contracting, ConditionStatus::False));
    // Killed twice: nobody knows how far it came, and there is a pause before the next.
    let killed = || crate::controller::migration::observed::End { exit_code: Some(137), report: None, cause: None };
    world.ends(killed()).ends(killed());
    assert_eq!((world.running(), ready(&world)), (None, ConditionStatus::False));
}
