//! Observation of the application's statements after the change: the gate before the point of no return.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::Reason;
use crate::api::migration::Observation;
use crate::api::migration_status::{ExecutionState, ObservationRecord};
use crate::controller::conditions::shorten;
use crate::inspect::statements::{Compared, Verdict};
use crate::plan::Stage;
use crate::report;

use super::decide::Draft;

/// Where the observation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None is asked for.
    NotAsked,
    /// The change is not made yet.
    Later,
    /// The time is not over.
    Running(Timestamp),
    /// The time is over, and nothing was measured yet.
    Due,
    /// It is passed, with the reason.
    Passed(Reason, String),
    /// It is not passed.
    Refused(String),
}

impl Standing {
    /// Whether what comes behind it may run.
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::NotAsked | Self::Passed(..))
    }
}

/// Where it stands.
pub fn standing(draft: &Draft<'_>) -> Standing {
    let Some(wanted) = &draft.spec().observation else { return Standing::NotAsked };
    let Some(plan) = &draft.status.plan else { return Standing::Later };
    if let Some(entry) = wanted.overridden.as_ref().filter(|entry| entry.plan == plan.digest) {
        let message = format!("{} decided to go: {}", entry.by, entry.note);
        return Standing::Passed(Reason::ObservationOverridden, message);
    }
    let record = draft.status.observation.as_ref().filter(|record| record.digest == plan.digest);
    if let Some(found) = record.and_then(|record| verdict(record, wanted)) {
        return found;
    }
    let since = record.map(|record| record.since.0);
    let Some(since) = since.or_else(|| draft.status.soaking_since.as_ref().map(|time| time.0)) else {
        return Standing::Later;
    };
    match since.checked_add(SignedDuration::from_secs(wanted.seconds.into())) {
        Ok(end) if end > draft.now => Standing::Running(end),
        _ => Standing::Due,
    }
}

/// What was measured, with its figures. Another limit than that of the measurement asks for another one.
fn verdict(record: &ObservationRecord, wanted: &Observation) -> Option<Standing> {
    let limit = record.regression_percent_max;
    if limit != wanted.regression_percent_max {
        return None;
    }
    Some(match record.verdict? {
        Verdict::Go => {
            let message = format!(
                "{} statements were compared; none became slower by more than {limit} % and 50 µs a call{}",
                record.compared,
                figures(&record.worst)
            );
            Standing::Passed(Reason::NoRegression, message)
        }
        Verdict::NoGo => Standing::Refused(format!(
            "statements became slower by more than {limit} %{}. Undo the change, override it with \
             spec.observation.override, or change the annotation wesley.dev/retry to measure again",
            figures(&record.worst)
        )),
        Verdict::NothingToCompare => {
            let message = "no statement was executed often enough before and after the change".to_owned();
            Standing::Passed(Reason::NothingToCompare, message)
        }
        Verdict::Unavailable => Standing::Passed(Reason::StatementsUnavailable, record.message.clone()),
    })
}

fn figures(worst: &[Compared]) -> String {
    let Some(first) = worst.first() else { return String::new() };
    format!(
        "; the worst is queryid {}: {} to {} microseconds in the mean ({:+} %, {} and {} calls)",
        first.query_id,
        first.mean_microseconds_before,
        first.mean_microseconds_after,
        first.percent,
        first.calls_before,
        first.calls_after
    )
}

/// Whether a run that looks shall measure: everything but the contract steps is done.
pub fn is_measured(execution: Option<(ExecutionState, Option<Stage>)>) -> bool {
    match execution {
        Some((ExecutionState::Done, _)) => true,
        Some((ExecutionState::Partial, next)) => next == Some(Stage::Contract),
        _ => false,
    }
}

/// Records what a runner found.
pub fn learn(draft: &mut Draft<'_>, found: &report::Observation) {
    let (Some(wanted), Some(plan)) = (draft.spec().observation.clone(), draft.status.plan.as_ref()) else { return };
    let since = found.since.and_then(|second| Timestamp::from_second(second).ok());
    let since = since.map(Time).or_else(|| draft.status.soaking_since.clone()).unwrap_or_else(|| draft.time());
    draft.status.observation = Some(ObservationRecord {
        digest: plan.digest.clone(),
        since,
        measured_time: found.verdict.map(|_| draft.time()),
        verdict: found.verdict,
        regression_percent_max: wanted.regression_percent_max,
        compared: found.compared.max(0),
        worst: found.worst.iter().take(5).cloned().collect(),
        message: shorten(&found.message),
    });
}
