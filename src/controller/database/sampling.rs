//! Jobs that sample the activity of a Database: when, and what came of the last one. Pure.
//!
//! What they find is in the ledger of the database: a Job that is lost is made up for by the next.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::circuit::Standing;
use crate::api::database::InspectionRecord;
use crate::api::{Database, Reason};
use crate::controller::conditions::{shorten, whole_seconds, word};
use crate::controller::migration::observed::{End, EndCause, JobState};
use crate::controller::names;
use crate::inspect::activity::Activity;

/// Such Jobs of all Databases at the same time.
const AT_ONCE: usize = 10;

/// A Job that runs is looked at that often even when no event tells of it.
const LOOK: SignedDuration = SignedDuration::from_secs(30);

/// What is seen of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The Job of the record.
    pub job: JobState,
    /// Other Databases whose Job runs.
    pub others: usize,
    /// Whether the database failed so often that Jobs have to wait.
    pub circuit: Standing,
}

/// What to write and to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Next {
    /// The record.
    pub record: Option<InspectionRecord>,
    /// What is known of the activity.
    pub activity: Option<Activity>,
    /// Name of the Job to create.
    pub create: Option<String>,
    /// When to look again.
    pub wake: Option<Timestamp>,
}

/// Decides.
pub fn next(database: &Database, seen: &Seen, now: Timestamp) -> Next {
    let status = database.status.as_ref();
    let before = status.and_then(|status| status.inspection.clone());
    let mut next = Next { activity: status.and_then(|status| status.activity.clone()), ..Next::default() };
    let mut record = before.unwrap_or_default();
    if let Some(job) = record.job.clone() {
        match &seen.job {
            JobState::None | JobState::Absent => next.create = Some(job),
            JobState::Refused(why) => {
                next.create = Some(job.clone());
                tell(&mut record, Reason::JobRefused.word(), &format!("the Job {job} cannot be created: {why}"));
            }
            JobState::Active { stuck, .. } => {
                if let Some(stuck) = stuck {
                    let message = format!("the pod of Job {job} does not start: {stuck}");
                    tell(&mut record, Reason::PodNotStarting.word(), &message);
                }
            }
            JobState::Foreign => {
                let message = format!("a Job {job} exists that this Database did not make: delete it");
                tell(&mut record, Reason::NameConflict.word(), &message);
                ended(&mut record, now);
            }
            JobState::Ended(end) => {
                let (reason, message) = describe(&job, end);
                tell(&mut record, &reason, &message);
                ended(&mut record, now);
                if let Some(found) = end.report.as_ref().and_then(|report| report.activity.clone()) {
                    next.activity = Some(found);
                }
            }
        }
        if record.job.is_some() {
            next.wake = now.checked_add(LOOK).ok();
        }
    }
    if record.job.is_none()
        && let Some(seconds) = database.spec.inspection.interval_seconds
    {
        let interval = SignedDuration::from_secs(seconds.into());
        let due = record.started_time.as_ref().and_then(|time| time.0.checked_add(interval).ok()).unwrap_or(now);
        if due > now {
            next.wake = Some(due);
        } else if let Standing::Open { until, .. } = seen.circuit {
            next.wake = Some(until);
        } else if matches!(seen.circuit, Standing::Probing { .. }) || seen.others >= AT_ONCE {
            next.wake = now.checked_add(LOOK).ok();
        } else {
            record.number = record.number.saturating_add(1);
            let job = names::sample_job(
                database.metadata.name.as_deref().unwrap_or_default(),
                database.metadata.uid.as_deref().unwrap_or_default(),
                record.number,
            );
            record.job = Some(job.clone());
            record.started_time = Some(Time(whole_seconds(now)));
            next.create = Some(job);
            next.wake = now.checked_add(LOOK).ok();
        }
    }
    next.record = Some(record).filter(|record| record.number > 0);
    next
}

fn tell(record: &mut InspectionRecord, reason: &str, message: &str) {
    record.reason = Some(word(reason));
    record.message = Some(shorten(message)).filter(|message| !message.is_empty());
}

fn ended(record: &mut InspectionRecord, now: Timestamp) {
    record.job = None;
    record.finished_time = Some(Time(whole_seconds(now)));
}

fn describe(job: &str, end: &End) -> (String, String) {
    if let Some(report) = &end.report {
        return (report.reason.clone(), report.message.clone());
    }
    let reason = match end.cause {
        Some(EndCause::DeadlineExceeded) => Reason::DeadlineExceeded,
        Some(EndCause::OutOfMemory) => Reason::OutOfMemory,
        Some(EndCause::ReportUnreadable) => Reason::ReportUnreadable,
        None => Reason::RunLost,
    };
    (reason.word().to_owned(), format!("Job {job} ended without a report"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::migration::tests::world;
    use crate::report::{Report, RunAction};

    const NOW: &str = "2026-06-10T12:00:00Z";

    fn at(seconds: i64) -> Timestamp {
        let now: Timestamp = NOW.parse().unwrap();
        now.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn sampled(interval: Option<i32>) -> Database {
        let mut database = world::database();
        database.spec.inspection.interval_seconds = interval;
        database
    }

    fn seen(job: JobState) -> Seen {
        Seen { job, others: 0, circuit: Standing::Closed }
    }

    fn keep(database: &mut Database, next: &Next) {
        let status = database.status.get_or_insert_default();
        status.inspection.clone_from(&next.record);
        status.activity.clone_from(&next.activity);
    }

    fn reported(reason: &str, activity: Option<Activity>) -> JobState {
        let report = serde_json::json!({
            "v": 1, "action": RunAction::Inspect, "exitCode": 0, "reason": reason, "message": "", "activity": activity,
        });
        let report: Report = serde_json::from_value(report).unwrap();
        JobState::Ended(End { exit_code: Some(0), report: Some(Box::new(report)), cause: None })
    }

    #[test]
    fn a_database_is_left_alone_unless_asked_for() {
        assert_eq!(next(&sampled(None), &seen(JobState::None), at(0)), Next::default());
    }

    #[test]
    fn one_job_in_each_interval() {
        let mut database = sampled(Some(3_600));
        let first = next(&database, &seen(JobState::None), at(0));
        let job = first.create.clone().unwrap();
        keep(&mut database, &first);
        let again = next(&database, &seen(JobState::Absent), at(1));
        assert_eq!(
            (again.create.as_deref(), &again.record),
            (Some(job.as_str()), &first.record),
            "a create that was lost"
        );
        let running = next(&database, &seen(JobState::Active { ending: false, stuck: None }), at(2));
        assert_eq!((running.create, running.record), (None, first.record));
        let found = Activity { hours_measured: 3, ..Activity::default() };
        let done = next(&database, &seen(reported("Inspected", Some(found.clone()))), at(10));
        assert_eq!((done.activity.as_ref(), done.wake), (Some(&found), Some(at(3_600))));
        keep(&mut database, &done);
        assert_eq!(next(&database, &seen(JobState::None), at(3_599)).create, None);
        let second = next(&database, &seen(JobState::None), at(3_600));
        assert!(second.create.is_some_and(|second| second != job), "another Job has another name");
        assert_eq!(second.activity, Some(found), "what is known stays");
    }

    #[test]
    fn a_job_that_fails_is_told_of_and_forgets_nothing() {
        let mut database = sampled(Some(300));
        let first = next(&database, &seen(JobState::None), at(0));
        keep(&mut database, &first);
        database.status.as_mut().unwrap().activity = Some(Activity { hours_measured: 9, ..Activity::default() });
        let lost = next(&database, &seen(JobState::Ended(End::default())), at(5));
        assert_eq!(lost.record.as_ref().unwrap().reason.as_deref(), Some("RunLost"));
        assert_eq!(lost.activity.unwrap().hours_measured, 9);
        let refused = next(&database, &seen(JobState::Refused("quota".to_owned())), at(5)).record.unwrap();
        assert!(refused.job.is_some() && refused.message.unwrap().contains("quota"));
        let foreign = next(&database, &seen(JobState::Foreign), at(5)).record.unwrap();
        assert_eq!((foreign.job, foreign.reason.as_deref()), (None, Some("NameConflict")));
    }

    #[test]
    fn not_all_databases_at_once() {
        let crowded = Seen { others: AT_ONCE, ..seen(JobState::None) };
        let waits = next(&sampled(Some(300)), &crowded, at(0));
        assert_eq!((waits.create, waits.record, waits.wake), (None, None, Some(at(30))));
    }

    #[test]
    fn a_database_that_fails_again_and_again_is_not_asked() {
        let open = Standing::Open { until: at(40), why: String::new() };
        let waits = next(&sampled(Some(300)), &Seen { circuit: open, ..seen(JobState::None) }, at(0));
        assert_eq!((waits.create, waits.record, waits.wake), (None, None, Some(at(40))));
    }

    #[test]
    fn words_of_the_activity_are_reasons_that_are_documented() {
        use strum::IntoEnumIterator;
        for finding in crate::inspect::activity::Finding::iter() {
            assert!(finding.to_string().parse::<Reason>().is_ok(), "{finding}");
        }
    }
}
