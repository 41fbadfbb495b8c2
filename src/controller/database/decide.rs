//! What the last Jobs say about a database. The operator itself never connects to one.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::circuit;
use super::sampling::Next;
use crate::api::database::{Circuit, DatabaseIdentity, InspectionRecord};
use crate::api::migration_status::LastRun;
use crate::api::reference::LocalRef;
use crate::api::{ConditionStatus, ConditionType, Database, DatabaseStatus, Migration, Reason};
use crate::controller::conditions::{Conditions, whole_seconds};
use crate::controller::rivals::{is_exclusive, waits_for_database};
use crate::controller::validation_window::decide::seniority;
use crate::run::Reason as RunReason;

/// Entries of the queue that are shown.
const QUEUE_MAX: usize = 100;

/// What the end of a run says about the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It was reached.
    Reached,
    /// It was not reached, which passes by itself.
    NotNow,
    /// It was not reached, or cannot be worked with; somebody has to do something.
    NotThus,
    /// Nothing.
    Silent,
}

fn word(reason: &str) -> Word {
    use RunReason as R;
    match reason.parse() {
        Ok(R::Unreachable | R::TooManyConnections | R::ConnectionLost) => Word::NotNow,
        Ok(
            R::ConnectionInvalid
            | R::TlsFailed
            | R::AuthenticationFailed
            | R::DatabaseNotFound
            | R::PoolerInTransactionMode
            | R::ReadOnly
            | R::UnsupportedServer,
        ) => Word::NotThus,
        // Said before anything was asked of the database, or by nobody.
        Ok(
            R::SyntaxError
            | R::SourceUnreadable
            | R::SourceTooLarge
            | R::ApiUnavailable
            | R::ApiRefused
            | R::PlanChanged
            | R::InvalidName
            | R::Interrupted
            | R::Defect,
        )
        | Err(_) => Word::Silent,
        Ok(_) => Word::Reached,
    }
}

/// The status of a Database, from the Migrations that refer to it and the Jobs that sample it.
pub fn decide<'a>(
    database: &Database,
    migrations: impl Iterator<Item = &'a Migration> + Clone,
    sampling: &'a Next,
    now: Timestamp,
) -> DatabaseStatus {
    let generation = database.metadata.generation.unwrap_or_default();
    let before = database.status.clone().unwrap_or_default();
    let same = before.observed_generation == Some(generation);
    // What was found out before the spec changed is not about this one; the first has had no other.
    let created = database.metadata.creation_timestamp.clone().filter(|_| generation <= 1);
    let since = before.observed_since.clone().filter(|_| same).or(created).unwrap_or_else(|| Time(whole_seconds(now)));
    let contacts = migrations.clone().filter_map(|migration| migration.status.as_ref()?.last_run.as_ref());
    let contacts = contacts.map(Contact::of_run).chain(sampling.record.as_ref().and_then(Contact::of_sample));
    let contacts = contacts.filter(|contact| contact.time >= since.0 && !contact.is_silent());
    let last = contacts.max_by_key(|contact| (contact.time, contact.number));
    let running = migrations
        .clone()
        .find(|migration| migration.status.as_ref().and_then(|status| status.run.as_ref()).is_some_and(is_exclusive));
    let running = running.and_then(|migration| migration.metadata.name.clone());
    let mut queue: Vec<&Migration> = migrations.clone().filter(|migration| waits_for_database(migration)).collect();
    queue.sort_by_key(|migration| seniority(migration));
    let identity = newest_target(migrations.clone()).or_else(|| before.identity.clone());
    let mut conditions = Conditions::new(&before.conditions, generation, now);
    verdict(&mut conditions, last.as_ref());
    let circuit = circuit(database, sampling, migrations.clone());
    open(&mut conditions, circuit.as_ref());
    DatabaseStatus {
        observed_generation: Some(generation),
        observed_since: Some(since),
        conditions: conditions.finish(),
        server_version: identity.as_ref().map(|identity| version(identity.server_version)),
        identity,
        last_contact_time: last
            .as_ref()
            .map(|contact| contact.time)
            .max(before.last_contact_time.filter(|_| same).map(|time| time.0))
            .map(Time),
        running,
        waiting: i32::try_from(queue.len()).unwrap_or(i32::MAX),
        queue: queue
            .iter()
            .take(QUEUE_MAX)
            .filter_map(|migration| Some(LocalRef { name: migration.metadata.name.clone()? }))
            .collect(),
        circuit,
        inspection: sampling.record.clone(),
        activity: sampling.activity.clone(),
    }
}

/// The count of failures, with the Migration that tries.
fn circuit<'a>(
    database: &Database,
    sampling: &'a Next,
    migrations: impl Iterator<Item = &'a Migration> + Clone,
) -> Option<Circuit> {
    let mut circuit = circuit::count(database, sampling.record.as_ref(), migrations.clone())?;
    let begun = |migration: &'a Migration| Some((migration, migration.status.as_ref()?.run.as_ref()?.started_time.0));
    let next = circuit.next_try_time.as_ref().map(|time| time.0);
    let trying = migrations.filter_map(begun).filter(|(_, begun)| next.is_some_and(|next| *begun >= next));
    circuit.probe = trying.min_by_key(|(_, begun)| *begun).and_then(|(migration, _)| migration.metadata.name.clone());
    Some(circuit)
}

/// The condition of an open circuit.
fn open(conditions: &mut Conditions<'_>, circuit: Option<&Circuit>) {
    let Some((circuit, next)) = circuit.and_then(|circuit| Some((circuit, circuit.next_try_time.as_ref()?))) else {
        return;
    };
    let why = circuit::why(circuit);
    let (reason, message) = match &circuit.probe {
        Some(name) => (Reason::CircuitProbing, format!("it failed {why}: the Job of {name} tries whether it is back")),
        None => (Reason::CircuitOpen, format!("it failed {why}: no Job works on it until {}, then one tries", next.0)),
    };
    conditions.set(ConditionType::CircuitOpen, ConditionStatus::True, reason, &message);
}

/// The end of a Job that tried to reach the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact<'a> {
    pub time: Timestamp,
    pub number: i32,
    pub reason: &'a str,
    pub message: &'a str,
}

impl<'a> Contact<'a> {
    pub fn of_run(run: &'a LastRun) -> Self {
        Self { time: run.finished_time.0, number: run.number, reason: &run.reason, message: &run.message }
    }

    /// Whether it says nothing about the database.
    pub fn is_silent(&self) -> bool {
        word(self.reason) == Word::Silent
    }

    pub fn of_sample(record: &'a InspectionRecord) -> Option<Self> {
        Some(Self {
            time: record.finished_time.as_ref()?.0,
            number: record.number,
            reason: record.reason.as_deref()?,
            message: record.message.as_deref().unwrap_or_default(),
        })
    }
}

fn verdict(conditions: &mut Conditions<'_>, last: Option<&Contact<'_>>) {
    use ConditionStatus::{False, True, Unknown};
    let Some(last) = last else {
        let message = "no Job has tried to reach the database yet; the first Migration does";
        conditions.set(ConditionType::Ready, True, Reason::NotContacted, message);
        return conditions.set(ConditionType::Reachable, Unknown, Reason::NotContacted, message);
    };
    let kind = match word(last.reason) {
        Word::NotNow => ConditionType::Reconciling,
        Word::NotThus => ConditionType::Stalled,
        Word::Reached | Word::Silent => {
            let message = "the last Job reached the database";
            conditions.set(ConditionType::Ready, True, Reason::Connected, message);
            return conditions.set(ConditionType::Reachable, True, Reason::Connected, message);
        }
    };
    conditions.set_word(ConditionType::Ready, False, last.reason, last.message);
    conditions.set_word(ConditionType::Reachable, False, last.reason, last.message);
    conditions.set_word(kind, True, last.reason, last.message);
}

fn newest_target<'a>(migrations: impl Iterator<Item = &'a Migration>) -> Option<DatabaseIdentity> {
    migrations
        .filter_map(|migration| {
            let status = migration.status.as_ref()?;
            let target = status.plan.as_ref()?.target.clone()?;
            Some((status.last_run.as_ref()?.finished_time.0, target))
        })
        .max_by_key(|(time, _)| *time)
        .map(|(_, target)| target)
}

/// `180004` is 18.4.
fn version(number: i32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::conditions::{find, is_true};
    use crate::controller::migration::tests::world::{World, database};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn fresh() -> Database {
        let mut database = database();
        database.metadata.generation = Some(1);
        database.metadata.creation_timestamp = Some(Time(at(0)));
        database
    }

    fn ended(code: i32, reason: &str) -> Migration {
        let mut world = World::new();
        world.turn().reports(code, reason, |_| {});
        world.observed.migration
    }

    #[test]
    fn nothing_is_claimed_before_a_job_has_tried() {
        let status = decide(&fresh(), [].iter(), &Next::default(), at(100));
        assert_eq!(find(&status.conditions, ConditionType::Reachable).unwrap().status, ConditionStatus::Unknown);
        assert!(is_true(&status.conditions, ConditionType::Ready), "a Database must not hold up what refers to it");
    }

    #[test]
    fn the_last_job_counts() {
        for (code, reason, kind) in [
            (75, "Unreachable", ConditionType::Reconciling),
            (12, "AuthenticationFailed", ConditionType::Stalled),
            (11, "TlsFailed", ConditionType::Stalled),
        ] {
            let migration = ended(code, reason);
            let status = decide(&fresh(), [&migration].into_iter(), &Next::default(), at(100));
            assert_eq!(find(&status.conditions, ConditionType::Ready).unwrap().reason, reason);
            assert!(is_true(&status.conditions, kind), "{reason}");
            assert!(status.last_contact_time.is_some());
        }
        let status = decide(&fresh(), [&ended(10, "SyntaxError")].into_iter(), &Next::default(), at(100));
        assert_eq!(find(&status.conditions, ConditionType::Reachable).unwrap().status, ConditionStatus::Unknown);
        let status = decide(&fresh(), [&ended(12, "HazardNotAllowed")].into_iter(), &Next::default(), at(100));
        assert!(is_true(&status.conditions, ConditionType::Reachable), "planning had to read the catalog");
    }

    #[test]
    fn failures_of_all_migrations_open_the_circuit_and_the_status_keeps_it() {
        let failed = |name: &str| {
            let mut migration = ended(75, "Unreachable");
            migration.metadata.name = Some(name.to_owned());
            migration
        };
        let mut all = vec![failed("a"), failed("b"), failed("c")];
        let end = all[0].status.as_ref().unwrap().last_run.as_ref().unwrap().finished_time.0;
        let mut database = fresh();
        database.status = Some(decide(&database, all.iter(), &Next::default(), end));
        let status = database.status.clone().unwrap();
        let open = find(&status.conditions, ConditionType::CircuitOpen).unwrap();
        assert_eq!((open.reason.as_str(), status.circuit.as_ref().unwrap().failures), ("CircuitOpen", 3));
        assert_eq!(decide(&database, all.iter(), &Next::default(), end), status, "a fixpoint");
        let pruned = decide(&database, [].iter(), &Next::default(), end);
        assert_eq!(pruned.circuit, status.circuit, "it does not depend on those who failed");
        // One tries, and reaches it.
        let mut world = World::new();
        world.now = status.circuit.unwrap().next_try_time.unwrap().0;
        world.turn();
        all.push(world.observed.migration.clone());
        let probing = decide(&database, all.iter(), &Next::default(), world.now);
        assert_eq!(probing.circuit.as_ref().unwrap().probe.as_deref(), Some("orders"));
        assert_eq!(find(&probing.conditions, ConditionType::CircuitOpen).unwrap().reason, "CircuitProbing");
        world.planned("a");
        all.push(world.observed.migration.clone());
        let closed = decide(&database, all.iter(), &Next::default(), world.now);
        assert_eq!((closed.circuit, find(&closed.conditions, ConditionType::CircuitOpen)), (None, None));
    }

    #[test]
    fn who_has_the_database_and_who_waits_for_it() {
        let busy = |name: &str, created: i64| {
            let mut world = World::new();
            world.observed.rival = Some("x".to_owned());
            world.turn().planned("a");
            world.observed.migration.metadata.name = Some(name.to_owned());
            world.observed.migration.metadata.creation_timestamp = Some(Time(at(created)));
            world.observed.migration
        };
        let mut world = World::new();
        world.turn().planned("a");
        let all = [busy("second", 20), busy("first", 10), world.observed.migration];
        let status = decide(&fresh(), all.iter(), &Next::default(), at(100));
        assert_eq!((status.running.as_deref(), status.waiting), (Some("orders"), 2));
        assert_eq!(status.queue.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn identity_comes_from_the_plan() {
        let mut world = World::new();
        world.turn().planned("orders-a");
        let status = decide(&fresh(), [&world.observed.migration].into_iter(), &Next::default(), at(100));
        assert_eq!(status.server_version.as_deref(), Some("18.4"));
        assert_eq!(status.identity.unwrap().database, "shop");
    }

    #[test]
    fn a_changed_spec_forgets_what_was_found_out_before() {
        let migration = ended(12, "AuthenticationFailed");
        let mut database = fresh();
        database.status = Some(decide(&database, [&migration].into_iter(), &Next::default(), at(100)));
        database.metadata.generation = Some(2);
        let later = migration.status.as_ref().unwrap().last_run.as_ref().unwrap().finished_time.0.as_second() + 10;
        let status = decide(&database, [&migration].into_iter(), &Next::default(), at(later));
        assert_eq!(find(&status.conditions, ConditionType::Reachable).unwrap().status, ConditionStatus::Unknown);
        database.status = Some(status.clone());
        assert_eq!(decide(&database, [&migration].into_iter(), &Next::default(), at(later + 50)), status, "a fixpoint");
    }
}
