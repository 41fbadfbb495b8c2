//! The status of a window: its calendar, and who is in it and waits for it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::migration_status::Phase;
use crate::api::validation_window::{QueueEntry, Suggestion};
use crate::api::{
    ConditionStatus, ConditionType, Database, Migration, Reason, ValidationWindow, ValidationWindowStatus,
};
use crate::controller::conditions::{Conditions, find, shorten};
use crate::controller::windows::{Calendar, Opening};
use crate::inspect::activity::{Activity, QuietPeriod, common};

/// Entries of the queue that are shown.
const QUEUE_MAX: usize = 100;

/// The status, and when it changes by itself.
pub fn decide<'a>(
    window: &ValidationWindow,
    migrations: impl Iterator<Item = &'a Migration> + Clone,
    databases: &[Database],
    now: Timestamp,
) -> (ValidationWindowStatus, Option<Timestamp>) {
    use ConditionStatus::{False, True};
    let generation = window.metadata.generation.unwrap_or_default();
    let before = window.status.clone().unwrap_or_default();
    let name = window.metadata.name.as_deref().unwrap_or_default();
    let mut conditions = Conditions::new(&before.conditions, generation, now);
    let opening = match Calendar::new(&window.spec) {
        Ok(calendar) => Some(calendar.at(now)),
        Err(invalid) => {
            let message = invalid.to_string();
            conditions.set(ConditionType::Ready, False, Reason::ScheduleInvalid, &message);
            conditions.set(ConditionType::Stalled, True, Reason::ScheduleInvalid, &message);
            conditions.set(ConditionType::Open, False, Reason::ScheduleInvalid, &message);
            None
        }
    };
    let mut status = ValidationWindowStatus { observed_generation: Some(generation), ..Default::default() };
    let mut wake = None;
    match opening {
        Some(Opening::Open { closes_at }) => {
            status.open = true;
            status.closes_at = closes_at.map(Time);
            wake = closes_at;
            conditions.set(ConditionType::Ready, True, Reason::Scheduled, "the schedules are understood");
            conditions.set(ConditionType::Open, True, Reason::WindowOpen, "the window is open");
        }
        Some(Opening::Shut { opens_at, denied }) => {
            status.opens_at = opens_at.map(Time);
            wake = opens_at;
            let reason = if denied { Reason::Denied } else { Reason::WindowClosed };
            match opens_at {
                Some(time) => {
                    conditions.set(ConditionType::Ready, True, Reason::Scheduled, "the schedules are understood");
                    conditions.set(ConditionType::Open, False, reason, &format!("the window opens at {time}"));
                }
                None => {
                    let message = "the window does not open within four years: change schedules or deny";
                    conditions.set(ConditionType::Ready, False, Reason::NeverOpens, message);
                    conditions.set(ConditionType::Stalled, True, Reason::NeverOpens, message);
                    conditions.set(ConditionType::Open, False, Reason::NeverOpens, message);
                }
            }
        }
        None => {}
    }
    status.running = count(migrations.clone().filter(|migration| takes_place(migration, name)).count());
    let mut waiting: Vec<&Migration> = migrations.filter(|migration| waits_for(migration, name)).collect();
    waiting.sort_by_key(|migration| seniority(migration));
    status.waiting = count(waiting.len());
    status.queue = waiting
        .into_iter()
        .take(QUEUE_MAX)
        .map(|migration| QueueEntry {
            migration: migration.metadata.name.clone().unwrap_or_default(),
            database: migration.spec.database_ref.name.clone(),
            reason: reason(migration),
            estimated_seconds: migration
                .status
                .as_ref()
                .and_then(|status| status.plan.as_ref())
                .map_or(0, |plan| plan.validation_seconds),
        })
        .collect();
    status.suggestion = suggestion(window, databases);
    status.conditions = conditions.finish();
    (status, wake)
}

/// Hours in which all Databases that use the window are quiet; nothing while none of them is sampled. `databases` are
/// those of the namespace.
fn suggestion(window: &ValidationWindow, databases: &[Database]) -> Option<Suggestion> {
    let name = window.metadata.name.as_deref();
    let selector = window.spec.database_selector.as_ref();
    let may_use =
        |database: &Database| selector.is_none_or(|selector| selector.matches(database.metadata.labels.as_ref()));
    let uses = |database: &&Database| {
        let default = database.spec.policy.default_window_ref.as_ref();
        may_use(database) && default.is_none_or(|reference| Some(reference.name.as_str()) == name)
    };
    let used: Vec<&Database> = databases.iter().filter(uses).collect();
    let known: Vec<(&Database, &Activity)> =
        used.iter().filter_map(|database| Some((*database, database.status.as_ref()?.activity.as_ref()?))).collect();
    if known.is_empty() {
        return None;
    }
    let told = |reason: &str, message: String, quiet: Vec<QuietPeriod>| {
        let (databases, databases_total) = (count(known.len()), count(used.len()));
        Some(Suggestion { databases, databases_total, reason: reason.to_owned(), message: shorten(&message), quiet })
    };
    let lacks = known.iter().filter(|(_, activity)| activity.quiet.is_empty());
    if let Some((database, activity)) = lacks.min_by_key(|(database, _)| &database.metadata.name) {
        let name = database.metadata.name.as_deref().unwrap_or_default();
        return told(&activity.reason, format!("Database {name}: {}", activity.message), Vec::new());
    }
    let activities: Vec<&Activity> = known.iter().map(|(_, activity)| *activity).collect();
    let quiet = common(&activities);
    if quiet.is_empty() {
        let message = "the Databases that use it have quiet hours, but none in common".to_owned();
        return told(Reason::NoQuietHours.word(), message, quiet);
    }
    told(Reason::QuietHours.word(), "hours in which all of its sampled Databases are quiet".to_owned(), quiet)
}

/// Why it waits.
fn reason(migration: &Migration) -> String {
    let status = migration.status.as_ref();
    let ready = status.and_then(|status| find(&status.conditions, ConditionType::Ready));
    ready.map(|ready| ready.reason.clone()).unwrap_or_default()
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Whether a Migration validates in the window now.
pub fn takes_place(migration: &Migration, window: &str) -> bool {
    let run = migration.status.as_ref().and_then(|status| status.run.as_ref());
    run.is_some_and(|run| run.window.as_deref() == Some(window))
}

/// Whether a Migration waits for the window.
pub fn waits_for(migration: &Migration, window: &str) -> bool {
    migration.metadata.deletion_timestamp.is_none()
        && migration.status.as_ref().is_some_and(|status| {
            status.phase == Some(Phase::AwaitingWindow)
                && status.window.as_ref().is_some_and(|record| record.name == window)
        })
}

/// Older ones first; names decide between those of the same second.
pub fn seniority(migration: &Migration) -> (Option<Timestamp>, Option<String>) {
    let meta = &migration.metadata;
    (meta.creation_timestamp.as_ref().map(|time| time.0), meta.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ValidationWindowSpec;
    use crate::api::validation_window::Schedule;
    use crate::controller::conditions::is_true;
    use crate::controller::migration::observed::{Window, WindowState};
    use crate::controller::migration::tests::world::World;
    use crate::plan::Stage;

    fn window(cron: &str) -> ValidationWindow {
        let schedule = Schedule { cron: cron.to_owned(), duration_seconds: 3_600, time_zone: "UTC".to_owned() };
        let spec = ValidationWindowSpec {
            schedules: vec![schedule],
            openings: Vec::new(),
            deny: Vec::new(),
            freezes: Vec::new(),
            database_selector: None,
            overrides: Vec::new(),
            guards: None,
            max_concurrent: 1,
            overrun: Default::default(),
        };
        let mut window = ValidationWindow::new("quiet", spec);
        window.metadata.generation = Some(1);
        window
    }

    fn waiting(name: &str, created: &str) -> Migration {
        let mut world = World::new();
        world.observed.migration.metadata.name = Some(name.to_owned());
        world.observed.migration.metadata.creation_timestamp = Some(Time(created.parse().unwrap()));
        world.observed.window = WindowState::Known(Window {
            name: "quiet".to_owned(),
            opening: Opening::Shut { opens_at: None, denied: false },
            overrun: Default::default(),
            longest_seconds: 10_800,
            overrides: Vec::new(),
            guards: None,
            places: 1,
            has_place: true,
        });
        world.turn().planned("a").executed(3, Some(Stage::Validate));
        world.observed.migration
    }

    #[test]
    fn open_shut_and_the_queue() {
        let migrations = [waiting("b", "2026-06-02T00:00:00Z"), waiting("a", "2026-06-03T00:00:00Z")];
        let now = "2026-06-10T01:00:00Z".parse().unwrap();
        let (status, wake) = decide(&window("0 2 * * *"), migrations.iter(), &[], now);
        assert_eq!((status.open, wake), (false, Some("2026-06-10T02:00:00Z".parse().unwrap())));
        assert_eq!(status.queue.iter().map(|entry| entry.migration.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!((status.waiting, status.running), (2, 0));
        assert_eq!((status.queue[0].reason.as_str(), status.queue[0].estimated_seconds), ("NeverOpens", 120));
        let (status, wake) = decide(&window("0 1 * * *"), migrations.iter(), &[], now);
        assert_eq!((status.open, wake), (true, Some("2026-06-10T02:00:00Z".parse().unwrap())));
        assert!(is_true(&status.conditions, ConditionType::Open));
    }

    #[test]
    fn a_window_that_cannot_open_is_stalled() {
        let now = "2026-06-10T01:00:00Z".parse().unwrap();
        for (cron, reason) in [("0 25 * * *", "ScheduleInvalid"), ("0 0 30 2 *", "NeverOpens")] {
            let (status, wake) = decide(&window(cron), [].iter(), &[], now);
            assert_eq!(find(&status.conditions, ConditionType::Stalled).unwrap().reason, reason);
            assert!(!status.open && wake.is_none());
        }
    }

    #[test]
    fn the_status_is_a_fixpoint() {
        let mut window = window("0 2 * * *");
        let now: Timestamp = "2026-06-10T01:00:00Z".parse().unwrap();
        let (status, _) = decide(&window, [].iter(), &[], now);
        window.status = Some(status.clone());
        assert_eq!(decide(&window, [].iter(), &[], "2026-06-10T01:30:00Z".parse().unwrap()).0, status);
    }

    #[test]
    fn hours_are_suggested_in_which_all_databases_of_the_window_are_quiet() {
        use crate::api::reference::LocalRef;
        use crate::api::validation_window::DatabaseSelector;
        use crate::controller::migration::tests::world::database;
        let now = "2026-06-10T01:00:00Z".parse().unwrap();
        let sampled = |name: &str, crons: &[&str]| {
            let mut database = database();
            database.metadata.name = Some(name.to_owned());
            let quiet = crons.iter().map(|cron| QuietPeriod {
                cron: (*cron).to_owned(),
                duration_seconds: 7_200,
                transactions_per_hour: 5,
                rows_changed_per_hour: 0,
                percent_of_mean: 2,
            });
            let quiet: Vec<QuietPeriod> = quiet.collect();
            let reason = if quiet.is_empty() { "TooFewSamples" } else { "QuietHours" }.to_owned();
            let activity = Activity { quiet, reason, ..Activity::default() };
            database.status.get_or_insert_default().activity = Some(activity);
            database
        };
        let window = window("0 2 * * *");
        let told = |databases: &[Database]| decide(&window, [].iter(), databases, now).0.suggestion;
        assert_eq!(told(&[database()]), None, "nothing is sampled");
        let both = told(&[sampled("a", &["0 1 * * *"]), sampled("b", &["0 2 * * *"]), database()]).unwrap();
        assert_eq!((both.databases, both.databases_total, both.reason.as_str()), (2, 3, "QuietHours"));
        assert_eq!((both.quiet[0].cron.as_str(), both.quiet[0].transactions_per_hour), ("0 2 * * *", 10));
        let few = told(&[sampled("a", &["0 1 * * *"]), sampled("b", &[])]).unwrap();
        assert!(few.reason == "TooFewSamples" && few.message.contains("Database b"), "{few:?}");
        // One that names the window and may not use it.
        let mut selecting = window.clone();
        let labels = [("tier".to_owned(), "large".to_owned())].into();
        selecting.spec.database_selector = Some(DatabaseSelector { match_labels: labels });
        let [mut large, mut small] = [sampled("a", &["0 1 * * *"]), sampled("b", &["0 9 * * *"])];
        large.metadata.labels = Some([("tier".to_owned(), "large".to_owned())].into());
        small.spec.policy.default_window_ref = Some(LocalRef { name: "quiet".to_owned() });
        let of = |databases: &[Database]| decide(&selecting, [].iter(), databases, now).0.suggestion;
        assert_eq!(of(&[small.clone()]), None);
        let one = of(&[large, small]).unwrap();
        assert_eq!((one.databases, one.databases_total, one.reason.as_str()), (1, 1, "QuietHours"));
        let apart = told(&[sampled("a", &["0 1 * * *"]), sampled("b", &["0 9 * * *"])]).unwrap();
        assert_eq!((apart.reason.as_str(), apart.quiet.len()), ("NoQuietHours", 0));
    }
}
