//! Who else works on the same database or in the same window, and who comes first.
//!
//! A store shows a run only when its watch has brought it. Until then the claim on it counts, so that two Migrations
//! that are decided on in the same moment do not both begin. This is fairness and thrift: what must not happen is
//! prevented by the lock in the database.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::Timestamp;

use crate::api::migration_status::RunRecord;
use crate::api::{Migration, MigrationStatus, Reason};
use crate::report::RunAction;
use crate::run::Reason as RunReason;

use super::validation_window::decide::{seniority, waits_for};

/// Runs that were decided on, by namespace and name of the Migration.
#[derive(Debug, Default)]
pub struct Claims(Mutex<HashMap<(String, String), RunRecord>>);

/// What stands in the way of a Migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rivalry {
    /// The Migration that works on the database, or comes first.
    pub rival: Option<String>,
    /// Migrations that are planned on the database, and those that come first to be.
    pub ahead_in_planning: usize,
    /// Migrations in the window, and those that come first into it.
    pub ahead_in_window: usize,
    /// Migrations whose Job works on the database, whatever it does there, and since when.
    pub at_work: Vec<(String, Timestamp)>,
}

impl Claims {
    /// Looks for rivals and, when `wanted` allows it, claims its run in the same moment.
    ///
    /// `others` reads the Migrations that pass; most of thousands do not. `wanted` gives the run that the Migration would
    /// begin in that situation.
    pub fn claim(
        &self,
        migration: &Migration,
        others: impl FnOnce(&dyn Fn(&Migration) -> bool) -> Vec<Migration>,
        window: Option<&str>,
        wanted: impl FnOnce(&Rivalry) -> Option<RunRecord>,
    ) -> Rivalry {
        let Ok(mut claims) = self.0.lock() else { return Rivalry::default() };
        let others = others(&|other| concerns(other, migration, window, &claims));
        let rivalry = rivalry(migration, &others, window, &claims);
        if let Some(run) = wanted(&rivalry) {
            claims.insert(key(migration), run);
        }
        rivalry
    }

    /// The run was not begun after all, or the Migration is gone.
    pub fn drop_claim(&self, migration: &Migration) {
        if let Ok(mut claims) = self.0.lock() {
            claims.remove(&key(migration));
        }
    }

    /// The store shows the Migration: its claim is not needed when its status has caught up.
    pub fn seen(&self, migration: &Migration) {
        if let Ok(mut claims) = self.0.lock() {
            let runs = migration.status.as_ref().map_or(0, |status| status.runs);
            if claims.get(&key(migration)).is_some_and(|claim| claim.number <= runs) {
                claims.remove(&key(migration));
            }
        }
    }
}

fn key(migration: &Migration) -> (String, String) {
    let meta = &migration.metadata;
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Whether a Migration can stand in the way of another: it has a run, or waits for the same database or window.
fn concerns(
    other: &Migration,
    migration: &Migration,
    window: Option<&str>,
    claims: &HashMap<(String, String), RunRecord>,
) -> bool {
    let (meta, mine) = (&other.metadata, &migration.metadata);
    let waits_for_mine = || {
        other.spec.database_ref == migration.spec.database_ref
            && (waits_for_database(other) || waits_for_planning(other))
    };
    meta.namespace == mine.namespace
        && meta.name != mine.name
        && (other.status.as_ref().is_some_and(|status| status.run.is_some())
            || claims.contains_key(&key(other))
            || waits_for_mine()
            || window.is_some_and(|window| waits_for(other, window)))
}

fn rivalry(
    migration: &Migration,
    others: &[Migration],
    window: Option<&str>,
    claims: &HashMap<(String, String), RunRecord>,
) -> Rivalry {
    let others: Vec<(&Migration, Option<RunRecord>)> =
        others.iter().map(|other| (other, present_run(other, claims.get(&key(other))))).collect();
    let same_database = |other: &Migration| other.spec.database_ref == migration.spec.database_ref;
    let name = |other: &Migration| other.metadata.name.clone().unwrap_or_default();
    let holder = others.iter().find(|(other, run)| same_database(other) && run.as_ref().is_some_and(is_exclusive));
    let earlier = || {
        let mut waiting: Vec<&Migration> = others
            .iter()
            .map(|(other, _)| *other)
            .filter(|other| {
                same_database(other) && waits_for_database(other) && seniority(other) < seniority(migration)
            })
            .collect();
        waiting.sort_by_key(|other| seniority(other));
        waiting.first().map(|other| name(other))
    };
    let at_work = others.iter().filter(|(other, _)| same_database(other));
    let at_work = at_work.filter_map(|(other, run)| Some((name(other), run.as_ref()?.started_time.0))).collect();
    let rival = holder.map(|(other, _)| name(other)).or_else(earlier);
    let ahead_in_window = window.map_or(0, |window| {
        let inside =
            others.iter().filter(|(_, run)| run.as_ref().is_some_and(|run| run.window.as_deref() == Some(window)));
        let held = |database: &str| {
            others
                .iter()
                .any(|(other, run)| other.spec.database_ref.name == database && run.as_ref().is_some_and(is_exclusive))
        };
        let before = others.iter().filter(|(other, run)| {
            run.is_none()
                && waits_for(other, window)
                && seniority(other) < seniority(migration)
                // One that waits for something else, or whose database is taken, could not use the place.
                && !could_not_use_place(other)
                && !held(&other.spec.database_ref.name)
                && !same_database(other)
        });
        inside.count() + before.count()
    });
    let ahead_in_planning = others
        .iter()
        .filter(|(other, run)| {
            same_database(other)
                && match run {
                    Some(run) => run.action == RunAction::Plan,
                    None => waits_for_planning(other) && seniority(other) < seniority(migration),
                }
        })
        .count();
    Rivalry { rival, ahead_in_planning, ahead_in_window, at_work }
}

/// The run of a Migration: the store's, unless a claim is newer.
fn present_run(migration: &Migration, claim: Option<&RunRecord>) -> Option<RunRecord> {
    let status = migration.status.as_ref();
    let runs = status.map_or(0, |status| status.runs);
    match claim {
        Some(claim) if claim.number > runs => Some(claim.clone()),
        _ => status.and_then(|status: &MigrationStatus| status.run.clone()),
    }
}

/// Whether nothing else may change the database meanwhile.
pub fn is_exclusive(run: &RunRecord) -> bool {
    matches!(run.action, RunAction::Execute | RunAction::Rollback)
}

/// Whether a Migration waits for its turn on its database.
pub fn waits_for_database(migration: &Migration) -> bool {
    waits_because(migration, Reason::DatabaseBusy.word())
}

/// Whether a Migration waits until others have been planned.
pub fn waits_for_planning(migration: &Migration) -> bool {
    waits_because(migration, Reason::PlanningQueued.word())
}

/// Whether a Migration waits until its database is as the guards of its window want it, or for an opening that is long
/// enough. It says so no more when the next opening begins.
fn could_not_use_place(migration: &Migration) -> bool {
    waits_because(migration, RunReason::GuardNotMet.into()) || waits_because(migration, Reason::WindowTooShort.word())
}

/// Whether a Migration says that it waits for this reason.
pub fn waits_because(migration: &Migration, reason: &str) -> bool {
    let status = migration.status.as_ref();
    migration.metadata.deletion_timestamp.is_none()
        && !migration.spec.suspend
        && status.is_some_and(|status| {
            super::conditions::find(&status.conditions, crate::api::ConditionType::Ready)
                .is_some_and(|ready| ready.reason == reason)
        })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::reference::LocalRef;
    use crate::controller::migration::tests::world::World;

    impl Claims {
        fn claim_among(
            &self,
            migration: &Migration,
            others: &[Migration],
            window: Option<&str>,
            wanted: impl FnOnce(&Rivalry) -> Option<RunRecord>,
        ) -> Rivalry {
            let pass =
                |wanted: &dyn Fn(&Migration) -> bool| others.iter().filter(|other| wanted(other)).cloned().collect();
            self.claim(migration, pass, window, wanted)
        }

        fn look(&self, migration: &Migration, others: &[Migration], window: Option<&str>) -> Rivalry {
            self.claim_among(migration, others, window, |_| None)
        }
    }

    fn named(mut world: World, name: &str, created: i64) -> Migration {
        let meta = &mut world.observed.migration.metadata;
        meta.name = Some(name.to_owned());
        meta.creation_timestamp = Some(Time(jiff::Timestamp::from_second(created).unwrap()));
        world.observed.migration
    }

    fn ready_to_run() -> World {
        let mut world = World::new();
        world.approval_required().turn().planned("a");
        world
    }

    fn running() -> World {
        let mut world = World::new();
        world.turn().planned("a");
        world
    }

    fn busy() -> World {
        let mut world = World::new();
        world.observed.rival = Some("x".to_owned());
        world.turn().planned("a");
        world
    }

    #[test]
    fn the_one_that_runs_and_then_the_oldest() {
        let claims = Claims::default();
        let mine = named(ready_to_run(), "mine", 20);
        assert_eq!(claims.look(&mine, std::slice::from_ref(&mine), None).rival, None, "nobody is its own rival");
        let others = [named(busy(), "old", 10), named(busy(), "new", 30), named(running(), "runs", 40)];
        assert_eq!(claims.look(&mine, &others, None).rival.as_deref(), Some("runs"));
        assert_eq!(claims.look(&mine, &others[..2], None).rival.as_deref(), Some("old"));
        assert_eq!(claims.look(&mine, &others[1..2], None).rival, None);
        let mut elsewhere = named(running(), "runs", 40);
        elsewhere.spec.database_ref = LocalRef { name: "other".to_owned() };
        assert_eq!(claims.look(&mine, &[elsewhere], None).rival, None);
        let mut suspended = named(busy(), "old", 10);
        suspended.spec.suspend = true;
        assert_eq!(claims.look(&mine, &[suspended], None).rival, None);
    }

    #[test]
    fn those_that_are_planned_and_then_the_older_ones() {
        let claims = Claims::default();
        let fresh = || {
            let mut world = World::new();
            world.approval_required();
            world
        };
        let planned_now = || {
            let mut world = fresh();
            world.turn();
            world
        };
        let queued = || {
            let mut world = fresh();
            world.observed.ahead_in_planning = 9;
            world.turn();
            world
        };
        let mine = named(fresh(), "mine", 20);
        let mut others =
            vec![named(planned_now(), "young", 40), named(queued(), "old", 10), named(queued(), "new", 30)];
        assert_eq!(claims.look(&mine, &others, None).ahead_in_planning, 2, "young and old");
        for other in &mut others {
            other.spec.database_ref = LocalRef { name: "other".to_owned() };
        }
        assert_eq!(claims.look(&mine, &others, None).ahead_in_planning, 0);
    }

    #[test]
    fn a_claim_counts_until_the_store_shows_the_run() {
        let claims = Claims::default();
        let run = running().status().run.clone().unwrap();
        let first = named(ready_to_run(), "first", 10);
        let second = named(ready_to_run(), "second", 20);
        let both = [first.clone(), second.clone()];
        let seen = claims.claim_among(&first, &both, None, |rivalry| rivalry.rival.is_none().then(|| run.clone()));
        assert_eq!(seen.rival, None);
        assert_eq!(claims.look(&second, &both, None).rival.as_deref(), Some("first"));
        // The store still shows the old state.
        claims.seen(&first);
        assert_eq!(claims.look(&second, &both, None).rival.as_deref(), Some("first"));
        // It has caught up, and the run has ended since.
        let mut ended = running();
        ended.executed(7, None);
        let ended = named(ended, "first", 10);
        claims.seen(&ended);
        assert_eq!(claims.look(&second, &[ended, second.clone()], None).rival, None);
    }

    #[test]
    fn places_in_a_window() {
        let claims = Claims::default();
        let mine = named(ready_to_run(), "mine", 20);
        let mut inside = named(running(), "inside", 30);
        inside.spec.database_ref = LocalRef { name: "other".to_owned() };
        inside.status.as_mut().unwrap().run.as_mut().unwrap().window = Some("quiet".to_owned());
        assert_eq!(claims.look(&mine, &[inside.clone()], Some("quiet")).ahead_in_window, 1);
        assert_eq!(claims.look(&mine, &[inside], Some("another")).ahead_in_window, 0);
    }

    #[test]
    fn one_that_could_not_use_the_place_leaves_it_to_others() {
        use crate::controller::migration::tests::gates::{guarded, too_short, waiting};
        let claims = Claims::default();
        let mine = named(ready_to_run(), "mine", 20);
        for (world, ahead) in [(waiting(), 1), (guarded(), 0), (too_short(), 0)] {
            let mut older = named(world, "older", 10);
            older.spec.database_ref = LocalRef { name: "other".to_owned() };
            assert_eq!(claims.look(&mine, &[older], Some("quiet")).ahead_in_window, ahead);
        }
    }
}
