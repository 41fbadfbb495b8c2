//! Deletion.

use super::world::{World, lossless};
use crate::api::Phase;
use crate::api::migration::DeletionPolicy;
use crate::controller::migration::decide::Action;
use crate::controller::migration::observed::JobState;
use crate::plan::RollbackClass;
use crate::report::{RollbackState, RunAction};

#[test]
fn a_running_job_is_stopped_before_the_migration_goes() {
    let mut world = World::new();
    world.turn().planned("orders-a").delete();
    assert!(matches!(world.done.last(), Some(Action::StopJob(_))));
    assert!(!world.finalizers().is_empty());
    assert_eq!(world.ready().0, "Deleting");
    world.gone();
    assert!(world.finalizers().is_empty());
    assert_eq!(world.running(), None);
}

#[test]
fn what_has_not_begun_goes_at_once() {
    let mut world = World::new();
    world.turn();
    assert!(world.finalizers().is_empty());
    world.delete();
    assert!(!world.done.iter().any(|action| matches!(action, Action::StopJob(_))), "garbage collection does it");
}

#[test]
fn deletion_can_roll_back_first() {
    let mut world = World::new();
    world.observed.migration.spec.deletion_policy = DeletionPolicy::Rollback;
    world.turn().planned("orders-a").executed(7, None);
    assert!(!world.finalizers().is_empty(), "it has something to do before it may go");
    world.delete();
    assert_eq!((world.phase(), world.running()), (Phase::RollingBack, Some(RunAction::Rollback)));
    world.reports(0, "RolledBack", |_| {});
    assert!(world.finalizers().is_empty());
}

#[test]
fn a_running_execution_is_stopped_and_undone() {
    let mut world = World::new();
    world.observed.migration.spec.deletion_policy = DeletionPolicy::Rollback;
    world.turn().planned("orders-a").delete();
    world.gone();
    assert_eq!(world.running(), Some(RunAction::Rollback));
    world.reports(0, "RolledBack", |_| {});
    assert!(world.finalizers().is_empty());
}

#[test]
fn a_rollback_that_cannot_be_done_says_how_to_let_go() {
    for missing_database in [true, false] {
        let mut world = World::new();
        world.observed.migration.spec.deletion_policy = DeletionPolicy::Rollback;
        world.turn().planned("orders-a").reports(0, "Done", |report| {
            report.steps_done = 7;
            let class = if missing_database { RollbackClass::Lossless } else { RollbackClass::ForwardOnly };
            report.rollback =
                Some(RollbackState { class, reason: String::new(), steps: 7, ..RollbackState::default() });
        });
        if missing_database {
            world.observed.database = None;
        }
        world.delete();
        assert_eq!(world.phase(), Phase::Failed);
        assert!(world.ready().1.contains("spec.deletionPolicy: Retain"), "{}", world.ready().1);
        world.edit(|spec| spec.deletion_policy = DeletionPolicy::Retain);
        assert!(world.finalizers().is_empty());
    }
}

#[test]
fn a_namespace_that_ends_is_not_held() {
    let mut world = World::new();
    world.observed.migration.spec.deletion_policy = DeletionPolicy::Rollback;
    world.turn().planned("orders-a").reports(0, "Done", |report| {
        report.steps_done = 7;
        report.rollback = Some(lossless(7));
    });
    world.observed.namespace_ending = true;
    world.delete();
    assert!(world.finalizers().is_empty());
}

#[test]
fn nothing_is_started_for_a_migration_that_goes() {
    let mut world = World::new();
    world.turn().planned("orders-a");
    world.observed.job = JobState::Absent;
    let before = world.created.len();
    world.delete();
    assert_eq!(world.created.len(), before);
    assert!(world.finalizers().is_empty());
}
