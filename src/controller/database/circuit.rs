//! The circuit breaker of a Database: after several runs in a row that the database failed, no Job works on it for a
//! while, then one tries. Pure.
//!
//! The count is in the status of the Database. What Migrations and samples tell of runs that ended since is added each
//! time, so that a decision is right also before that status is written.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::database::{Circuit, InspectionRecord};
use crate::api::{Database, Migration};
use crate::controller::conditions::word;
use crate::controller::retry;
use crate::run::Reason;

use super::decide::Contact;

/// Failures in a row that open the circuit.
pub const LIMIT: i32 = 3;

/// A Job that has not ended after that time does not keep others from trying: it may well be at work for hours.
const PROBE: SignedDuration = SignedDuration::from_secs(60);

/// Whether a Job may work on the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    #[default]
    Closed,
    /// Not before that time.
    Open {
        /// When one may try.
        until: Timestamp,
        /// How often it failed, for people.
        why: String,
    },
    /// Another one tries.
    Probing {
        /// Whose.
        by: String,
        /// How often it failed, for people.
        why: String,
    },
}

/// What the end of a run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Nothing.
    Silent,
    /// The database failed, which passes by itself.
    Failed,
    /// The server answered.
    Answered,
}

fn outcome(contact: &Contact<'_>) -> Outcome {
    match contact.reason.parse() {
        Ok(Reason::Unreachable | Reason::TooManyConnections | Reason::ConnectionLost | Reason::CommitsLost) => {
            Outcome::Failed
        }
        Ok(Reason::ConnectionInvalid) => Outcome::Silent,
        _ if contact.is_silent() => Outcome::Silent,
        _ => Outcome::Answered,
    }
}

/// The count as it is now: what the status of the Database says, and what ended since.
pub fn count<'a>(
    database: &Database,
    sample: Option<&'a InspectionRecord>,
    migrations: impl Iterator<Item = &'a Migration>,
) -> Option<Circuit> {
    let generation = database.metadata.generation.unwrap_or_default();
    let status = database.status.as_ref().filter(|status| status.observed_generation == Some(generation));
    let since = match status {
        Some(status) => status.observed_since.as_ref(),
        None if generation <= 1 => database.metadata.creation_timestamp.as_ref(),
        // What was found out before the spec changed is not about this one.
        None => return None,
    };
    let sample = sample.and_then(Contact::of_sample);
    let runs = migrations.filter_map(|migration| migration.status.as_ref()?.last_run.as_ref()).map(Contact::of_run);
    let contacts = runs.chain(sample).filter(|contact| since.is_none_or(|since| contact.time >= since.0)).collect();
    let known = status.and_then(|status| status.last_contact_time.as_ref()).map(|time| time.0);
    advance(status.and_then(|status| status.circuit.clone()), known, contacts)
}

/// Counts on with runs that ended; those that ended before `known` are counted already. Of two that ended in the same
/// second, the one that was answered counts.
pub(super) fn advance(
    before: Option<Circuit>,
    known: Option<Timestamp>,
    mut contacts: Vec<Contact<'_>>,
) -> Option<Circuit> {
    contacts.sort_by_key(|contact| (contact.time, outcome(contact)));
    let mut circuit = before;
    for contact in contacts {
        let is_new = known.is_none_or(|known| contact.time > known);
        match outcome(&contact) {
            Outcome::Failed if is_new => {
                let (failures, since) = circuit
                    .map_or_else(|| (1, Time(contact.time)), |was| (was.failures.saturating_add(1), was.since.clone()));
                let next = (failures >= LIMIT).then(|| retry::after_failing(failures - LIMIT));
                let next = next.and_then(|pause| contact.time.checked_add(pause).ok());
                circuit = Some(Circuit {
                    failures,
                    since,
                    reason: word(contact.reason),
                    next_try_time: next.map(Time),
                    probe: None,
                });
            }
            Outcome::Answered if is_new || known == Some(contact.time) => circuit = None,
            _ => {}
        }
    }
    circuit
}

/// Migrations whose Job works on the database, and since when.
pub fn at_work<'a>(migrations: impl Iterator<Item = &'a Migration>) -> impl Iterator<Item = (&'a str, Timestamp)> {
    migrations.filter_map(|migration| {
        let run = migration.status.as_ref()?.run.as_ref()?;
        Some((migration.metadata.name.as_deref()?, run.started_time.0))
    })
}

/// The Job that samples the Database, and since when.
pub fn sampling(database: &Database) -> Option<(&str, Timestamp)> {
    let record = database.status.as_ref()?.inspection.as_ref()?;
    Some((record.job.as_deref()?, record.started_time.as_ref()?.0))
}

/// Whether another Job may begin, beside those that others began: whose, and when.
pub fn standing<'a>(
    circuit: Option<&Circuit>,
    at_work: impl Iterator<Item = (&'a str, Timestamp)>,
    now: Timestamp,
) -> Standing {
    let Some((circuit, next)) = circuit.and_then(|circuit| Some((circuit, circuit.next_try_time.as_ref()?.0))) else {
        return Standing::Closed;
    };
    let why = why(circuit);
    if now < next {
        return Standing::Open { until: next, why };
    }
    let trying = at_work.filter(|(_, began)| began.checked_add(PROBE).is_ok_and(|end| now < end)).min();
    trying.map_or(Standing::Closed, |(by, _)| Standing::Probing { by: by.to_owned(), why })
}

/// How often it failed, for people.
pub fn why(circuit: &Circuit) -> String {
    format!("{} runs in a row since {}, the last one with {}", circuit.failures, circuit.since.0, circuit.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ended(second: i64, reason: &str) -> Contact<'_> {
        Contact { time: at(second), number: 1, reason, message: "" }
    }

    fn after(reasons: &[(i64, &str)]) -> Option<Circuit> {
        advance(None, None, reasons.iter().map(|(second, reason)| ended(*second, reason)).collect())
    }

    fn next(circuit: Option<&Circuit>) -> Option<i64> {
        circuit?.next_try_time.as_ref().map(|time| time.0.as_second())
    }

    #[test]
    fn it_opens_at_the_limit_and_the_pauses_grow() {
        let mut circuit = None;
        let mut pauses = Vec::new();
        for second in 1..=10 {
            circuit = advance(circuit, Some(at(second - 1)), vec![ended(second, "Unreachable")]);
            pauses.push(next(circuit.as_ref()).map_or(0, |next| next - second));
        }
        assert_eq!(pauses, [0, 0, 10, 20, 40, 80, 160, 300, 300, 300]);
        let circuit = circuit.unwrap();
        assert_eq!((circuit.failures, circuit.since.0), (10, at(1)));
    }

    #[test]
    fn any_answer_closes_it_and_what_never_asked_says_nothing() {
        let failed = [(1, "Unreachable"), (2, "TooManyConnections"), (3, "ConnectionLost")];
        let with = |last: &'static str| after(&[failed.as_slice(), &[(4, last)]].concat()).map(|found| found.failures);
        for answered in ["Done", "Planned", "AuthenticationFailed", "StatementFailed", "LockBudgetSpent"] {
            assert_eq!(with(answered), None, "{answered}");
        }
        for silent in ["SyntaxError", "Interrupted", "RunLost", "ApiUnavailable", "ConnectionInvalid"] {
            assert_eq!(with(silent), Some(3), "{silent}");
        }
        assert_eq!(with("CommitsLost"), Some(4));
    }

    #[test]
    fn no_run_is_counted_twice() {
        let runs = || vec![ended(1, "Unreachable"), ended(5, "Unreachable"), ended(5, "Unreachable")];
        let circuit = advance(None, None, runs());
        assert_eq!(circuit.as_ref().map(|circuit| circuit.failures), Some(3));
        assert_eq!(advance(circuit.clone(), Some(at(5)), runs()), circuit);
        // An answer of the same second, seen later.
        assert_eq!(advance(circuit, Some(at(5)), [runs(), vec![ended(5, "Planned")]].concat()), None);
    }

    #[test]
    fn one_at_a_time_tries() {
        let circuit = after(&[(1, "Unreachable"), (2, "Unreachable"), (3, "Unreachable")]);
        let standing = |second: i64, at_work: &[(&'static str, i64)]| {
            let at_work = at_work.iter().map(|(name, began)| (*name, at(*began)));
            super::standing(circuit.as_ref(), at_work, at(second))
        };
        assert!(matches!(standing(12, &[]), Standing::Open { until, .. } if until == at(13)));
        assert_eq!(standing(13, &[]), Standing::Closed);
        assert!(matches!(standing(14, &[("orders", 13)]), Standing::Probing { by, .. } if by == "orders"));
        assert_eq!(standing(73, &[("orders", 13)]), Standing::Closed, "a long run holds up nobody");
        assert_eq!(super::standing(after(&[(1, "Unreachable")]).as_ref(), [].into_iter(), at(1)), Standing::Closed);
    }
}
