//! What must hold in every state that anybody can see.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::ledger::State as RunState;
use super::server::State;
use super::store::{Change, key};
use crate::api::migration::{DeletionPolicy, RollbackPolicy};
use crate::api::validation_window::Overrun;
use crate::api::{ConditionType, Database, Migration, Phase, ROLLBACK_ANNOTATION, ValidationWindow};
use crate::controller::conditions::{find, is_true};
use crate::controller::migration::window_name;
use crate::controller::phase::phase;
use crate::controller::windows::{Calendar, Opening};
use crate::inspect::statements::Verdict;
use crate::plan::{Action, Assertion, AssertionTime, RollbackClass, Stage, Step};

/// What is said of two executions on one database.
pub const TWO_JOBS: &str = "two Jobs at once";

/// After that time the operator has seen what somebody wrote, and stopped a Job because of it, whatever went wrong.
const SEEN: SignedDuration = SignedDuration::from_secs(180);

/// An object changed.
pub fn changed(state: &mut State, change: &Change, now: Timestamp) {
    let public = match change.resource.as_str() {
        // Where the SQL is, its literals are.
        "configmaps" | "migrationplans" => String::new(),
        "migrations" => change.object["status"].to_string(),
        _ => change.object.to_string(),
    };
    if public.contains(super::people::CANARY) {
        state
            .violations
            .push(format!("{now} a literal is in {} {}", change.resource, change.object["metadata"]["name"]));
    }
    if change.resource == "databases" && change.kind != "DELETED" {
        let wrong = database(state, &change.object);
        state.violations.extend(wrong.into_iter().map(|what| format!("{now} {what}")));
    }
    if change.resource == "validationwindows" && change.kind != "DELETED" {
        let meta = &change.object["metadata"];
        let (name, generation) = (meta["name"].as_str().unwrap(), meta["generation"].as_i64().unwrap_or_default());
        if state.windows_written.get(name).is_none_or(|(known, _)| *known != generation) {
            state.windows_written.insert(name.to_owned(), (generation, now));
        }
        let wrong = window(&change.object);
        state.violations.extend(wrong.into_iter().map(|what| format!("{now} {what}")));
    }
    if change.resource != "migrations" || change.kind == "DELETED" || change.object["status"].is_null() {
        return;
    }
    let migration: Migration = serde_json::from_value(change.object.clone()).unwrap();
    let mut wrong = status(&migration);
    wrong.extend(truth(state, &migration));
    let name = migration.metadata.name.unwrap_or_default();
    state.violations.extend(wrong.into_iter().map(|what| format!("{now} {name}: {what}")));
}

/// What the status of a Database may claim.
fn database(state: &State, object: &Value) -> Vec<String> {
    let database: Database = serde_json::from_value(object.clone()).unwrap();
    let Some(status) = database.status else { return Vec::new() };
    let mut wrong = Vec::new();
    for condition in &status.conditions {
        if Some(condition.observed_generation) != status.observed_generation {
            wrong.push(format!(
                "{} of a Database is about generation {}",
                condition.kind, condition.observed_generation
            ));
        }
    }
    let name = database.metadata.name.unwrap_or_default();
    let measured = state.ledgers.get(&name).map_or(0, |ledger| ledger.hours_measured);
    if status.activity.is_some_and(|activity| activity.hours_measured > measured) {
        wrong.push(format!("the Database {name} tells of activity that the ledger does not have"));
    }
    wrong
}

/// What the status of a window may claim.
fn window(object: &Value) -> Vec<String> {
    let window: ValidationWindow = serde_json::from_value(object.clone()).unwrap();
    let Some(status) = window.status else { return Vec::new() };
    let mut wrong = Vec::new();
    for condition in &status.conditions {
        if Some(condition.observed_generation) != status.observed_generation {
            wrong.push(format!("{} of a window is about generation {}", condition.kind, condition.observed_generation));
        }
    }
    if status.open != is_true(&status.conditions, ConditionType::Open) {
        wrong.push("a window is open in one place of its status and shut in another".to_owned());
    }
    wrong
}

/// What a status must be in itself.
fn status(migration: &Migration) -> Vec<String> {
    let status = migration.status.clone().unwrap_or_default();
    let mut wrong = Vec::new();
    let derived = phase(&status.conditions);
    if status.phase != Some(derived) {
        wrong.push(format!("the phase {:?} is not that of the conditions, {derived}", status.phase));
    }
    for condition in &status.conditions {
        if Some(condition.observed_generation) != status.observed_generation {
            wrong.push(format!("{} is about generation {}", condition.kind, condition.observed_generation));
        }
    }
    if is_true(&status.conditions, ConditionType::Reconciling) && is_true(&status.conditions, ConditionType::Stalled) {
        wrong.push("Reconciling and Stalled at once".to_owned());
    }
    let guarded = find(&status.conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == "GuardNotMet");
    if guarded && (derived != Phase::AwaitingWindow || status.window.is_none()) {
        wrong.push(format!("it waits for a guard, and is {derived}, for the window {:?}", status.window));
    }
    let ready = is_true(&status.conditions, ConditionType::RollbackReady);
    if status.rollback.as_ref().is_some_and(|rollback| rollback.ready != ready) {
        wrong.push(format!("RollbackReady is {ready}, status.rollback.ready is not"));
    }
    wrong
}

/// What a status may claim: no more than the ledger holds.
fn truth(state: &State, migration: &Migration) -> Vec<String> {
    let status = migration.status.clone().unwrap_or_default();
    let meta = &migration.metadata;
    let name = format!("{}.{}", meta.name.as_deref().unwrap(), meta.uid.as_deref().unwrap());
    let run = state.ledgers.get(&migration.spec.database_ref.name).and_then(|ledger| ledger.runs.get(&name));
    let done = run.map_or(0, |run| run.done);
    let ledger_state = run.map(|run| run.state);
    let mut wrong = Vec::new();
    let executing = status.run.as_ref().is_some_and(|run| run.action != crate::report::RunAction::Plan);
    let claimed = status.execution.as_ref().map_or(0, |execution| execution.steps_done);
    let undoing = matches!(ledger_state, Some(RunState::RollingBack | RunState::RolledBack));
    if usize::try_from(claimed).unwrap() > done && !undoing {
        wrong.push(format!("{claimed} steps are said to be done, the ledger has {done}"));
    }
    if let Some(observed) = &status.observation
        && observed.verdict.is_some()
        && run.is_none_or(|run| run.changed_at.is_none() && !undoing)
    {
        wrong.push("an observation has a verdict, and nothing was observed".to_owned());
    }
    let observes = migration.spec.observation.as_ref().is_some_and(|wanted| wanted.overridden.is_none());
    let refused = status.observation.as_ref().and_then(|observed| observed.verdict) == Some(Verdict::NoGo);
    if status.phase == Some(Phase::Succeeded) && observes && (status.observation.is_none() || refused) {
        wrong.push("Succeeded before the observation was passed".to_owned());
    }
    if status.phase == Some(Phase::Succeeded) {
        let asked = |name: &String| run.is_some_and(|run| run.passed.contains(name));
        let left = migration.spec.checks.iter().filter(|check| !asked(&check.name));
        wrong.extend(left.map(|check| format!("Succeeded, but the check {} was not answered with true", check.name)));
    }
    match status.phase {
        Some(Phase::Succeeded) if ledger_state != Some(RunState::Done) => {
            wrong.push(format!("Succeeded, but the ledger says {ledger_state:?}"));
        }
        Some(Phase::RolledBack) if !matches!(ledger_state, None | Some(RunState::RolledBack)) => {
            wrong.push(format!("RolledBack, but the ledger says {ledger_state:?}"));
        }
        _ => {}
    }
    if status.phase == Some(Phase::Succeeded)
        && let Some(run) = run
    {
        let possible = run.rollback().class != RollbackClass::ForwardOnly;
        if is_true(&status.conditions, ConditionType::RollbackReady) != possible {
            wrong.push(format!("Succeeded, a rollback is possible: {possible}, and RollbackReady says something else"));
        }
    }
    // A run that is under way may pass the point of no return before anybody can say so: then it is not ready.
    let ready = find(&status.conditions, ConditionType::RollbackReady);
    let ready = ready.filter(|ready| ready.status == crate::api::ConditionStatus::True);
    if ready.is_some() {
        let class = run.map(|run| run.rollback().class);
        if class == Some(RollbackClass::ForwardOnly) {
            wrong.push("RollbackReady, but there is no way back".to_owned());
        }
        if run.is_none() && !executing {
            wrong.push("RollbackReady, but nothing was done".to_owned());
        }
    }
    wrong
}

/// Pods that run whose labels pass.
fn at_work(state: &State, passes: impl Fn(&Value) -> bool) -> usize {
    let pods = state.store.list("pods", None);
    pods.into_iter().filter(|pod| pod["status"].is_null() && passes(&pod["metadata"]["labels"])).count()
}

/// Whether the pod or Job with those labels changes the database.
fn is_exclusive(labels: &Value) -> bool {
    matches!(labels["wesley.dev/action"].as_str(), Some("Execute" | "Rollback"))
}

/// A pod of a Job is about to begin.
pub fn pod_begins(state: &mut State, job: &Value) {
    let labels = &job["metadata"]["labels"];
    let label = |name: &str| labels[name].as_str().unwrap().to_owned();
    if labels["wesley.dev/action"] == "Plan" {
        let plans = |other: &Value| {
            other["wesley.dev/action"] == "Plan" && other["wesley.dev/database"] == labels["wesley.dev/database"]
        };
        state.most_planning = state.most_planning.max(at_work(state, plans) + 1);
    }
    if !is_exclusive(labels) {
        return;
    }
    let (migration, database) = (label("wesley.dev/migration"), label("wesley.dev/database"));
    state.most_at_once = state.most_at_once.max(at_work(state, is_exclusive) + 1);
    let namespace = job["metadata"]["namespace"].as_str().unwrap().to_owned();
    let mut wrong = Vec::new();
    // Another Job on the same database whose pod runs.
    for other in state.store.list("jobs", Some(("wesley.dev/database", &database))) {
        let over = !other["status"]["conditions"].is_null();
        if is_exclusive(&other["metadata"]["labels"]) && !over && other["metadata"]["name"] != job["metadata"]["name"] {
            let pods = state
                .store
                .list("pods", Some(("batch.kubernetes.io/job-name", other["metadata"]["name"].as_str().unwrap())));
            if pods.iter().any(|pod| pod["status"].is_null()) {
                wrong.push(format!(
                    "{TWO_JOBS} on {database}: {} and {}",
                    other["metadata"]["name"], job["metadata"]["name"]
                ));
            }
        }
    }
    let Some(object) = state.store.get(&key("migrations", &namespace, &migration)).cloned() else { return };
    let finalizers = super::store::finalizers(&object).contains(&"wesley.dev/migration");
    if !finalizers {
        wrong.push(format!("{} runs without the finalizer", job["metadata"]["name"]));
    }
    if labels["wesley.dev/action"] == "Execute" {
        let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
        let at =
            |name: &str| arguments.iter().position(|text| text == name).map(|at| arguments[at + 1].as_str().unwrap());
        let (plan, digest) = (at("--plan").unwrap_or_default(), at("--digest").unwrap_or_default());
        let known = state.store.get(&key("migrationplans", &namespace, plan));
        let approved = known.is_some_and(|plan| plan["status"]["approval"]["decision"] == "Approved");
        let required = object["spec"]["approval"] == "Required";
        let in_spec = object["spec"]["approvedPlan"] == digest;
        let begun = state.ledgers.get(&database).is_some_and(|ledger| !ledger.runs.is_empty());
        let expires_at =
            known.and_then(|plan| plan["status"]["approval"]["expiresAt"].as_str()?.parse::<Timestamp>().ok());
        let created = job["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        // Decided on in the second before, at the latest.
        if required && !in_spec && !begun && expires_at.is_some_and(|end| created.is_some_and(|created| created > end))
        {
            wrong.push(format!("{} begins although the approval has expired", job["metadata"]["name"]));
        }
        if required && !approved && !in_spec {
            wrong.push(format!("{} runs a plan that nobody approved", job["metadata"]["name"]));
        }
        if known.is_some_and(|plan| plan["spec"]["digest"] != digest) {
            wrong.push(format!("{} runs another plan than it names", job["metadata"]["name"]));
        }
    }
    state.violations.extend(wrong);
}

/// A contract step is about to begin: the observation must not stand in its way.
fn contract_begins(state: &mut State, job: &Value, now: Timestamp) {
    let namespace = job["metadata"]["namespace"].as_str().unwrap();
    let name = job["metadata"]["labels"]["wesley.dev/migration"].as_str().unwrap();
    let Some(migration) = state.store.get(&key("migrations", namespace, name)) else { return };
    let wanted = &migration["spec"]["observation"];
    let verdict = &migration["status"]["observation"]["verdict"];
    let gone = wanted["override"]["plan"] == migration["status"]["plan"]["digest"];
    if !wanted.is_null() && !gone && (verdict.is_null() || verdict == "NoGo") {
        state.violations.push(format!("{now} {name} passes the point of no return before its observation: {verdict}"));
    }
}

/// The Migration of a Job.
fn migration_of(state: &State, job: &Value) -> Option<Migration> {
    let namespace = job["metadata"]["namespace"].as_str().unwrap();
    let name = job["metadata"]["labels"]["wesley.dev/migration"].as_str().unwrap();
    let found = state.store.get(&key("migrations", namespace, name))?;
    Some(serde_json::from_value(found.clone()).unwrap())
}

/// A step is about to be undone: somebody asked for that, or the policy did.
pub fn undo_begins(state: &mut State, job: &Value, now: Timestamp) {
    let Some(migration) = migration_of(state, job) else { return };
    let spec = &migration.spec;
    let digest = migration.status.as_ref().and_then(|status| Some(status.plan.as_ref()?.digest.as_str()));
    let annotated = migration.metadata.annotations.as_ref().and_then(|all| all.get(ROLLBACK_ANNOTATION));
    let asked = digest.is_some()
        && (annotated.map(String::as_str) == digest || spec.rollback.requested_for.as_deref() == digest);
    let goes = migration.metadata.deletion_timestamp.is_some() && spec.deletion_policy == DeletionPolicy::Rollback;
    if !asked && !goes && spec.rollback.policy == RollbackPolicy::Manual {
        let name = migration.metadata.name.unwrap_or_default();
        state.violations.push(format!("{now} {name} is undone, and nobody asked for that"));
    }
}

/// A step is about to begin.
pub fn step_begins(state: &mut State, job: &Value, step: &Step, now: Timestamp) {
    if step.stage == Stage::Contract {
        contract_begins(state, job, now);
    }
    checks_begin(state, job, step, now);
    if step.stage == Stage::Validate {
        validation_begins(state, job, step, now);
    }
}

/// Checks before the change are answered before anything else is done, those after it before the point of no return.
fn checks_begin(state: &mut State, job: &Value, step: &Step, now: Timestamp) {
    let Some(migration) = migration_of(state, job) else { return };
    if matches!(step.action, Action::Check(_)) {
        return;
    }
    let meta = &migration.metadata;
    let name = meta.name.as_deref().unwrap();
    let run = format!("{name}.{}", meta.uid.as_deref().unwrap());
    let run = state.ledgers.get(&migration.spec.database_ref.name).and_then(|ledger| ledger.runs.get(&run));
    let due = |check: &&Assertion| check.when == AssertionTime::Before || step.stage == Stage::Contract;
    let left =
        migration.spec.checks.iter().filter(due).find(|check| run.is_none_or(|run| !run.passed.contains(&check.name)));
    let left =
        left.map(|check| format!("{now} {name}: step {} begins before the check {} is passed", step.id, check.name));
    state.violations.extend(left);
}

fn validation_begins(state: &mut State, job: &Value, step: &Step, now: Timestamp) {
    let Some(migration) = migration_of(state, job) else { return };
    let namespace = job["metadata"]["namespace"].as_str().unwrap();
    let name = job["metadata"]["labels"]["wesley.dev/migration"].as_str().unwrap();
    let lag = state.ledgers.get(&migration.spec.database_ref.name).map_or(0, |ledger| ledger.lag);
    let database = state.store.get(&key("databases", namespace, &migration.spec.database_ref.name));
    let database = database.map(|database| serde_json::from_value(database.clone()).unwrap());
    let Some(window) = window_name(&migration, database.as_ref()) else { return };
    let Some(window) = state.store.get(&key("validationwindows", namespace, &window)) else { return };
    let window: ValidationWindow = serde_json::from_value(window.clone()).unwrap();
    let guards = window.spec.guards.as_ref();
    if guards.and_then(|guards| guards.replication_lag_seconds_max).is_some_and(|most| lag > most) {
        state.violations.push(format!("{now} {name} validates while a standby is {lag} s behind"));
    }
    let calendar = Calendar::new(&window.spec).unwrap();
    let began: Timestamp = job["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
    let open = |at| matches!(calendar.at(at), Opening::Open { .. });
    let finishes = window.spec.overrun.max(migration.spec.validation.overrun) == Overrun::Finish;
    // A run goes by the calendar that it was told, under `Cancel` until the operator sees a change and stops it.
    let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let told = arguments.iter().position(|text| text == "--window-closes-at").and_then(|at| arguments[at + 1].as_str());
    let told: Option<Timestamp> = told.map(|time| time.parse().unwrap());
    let unchanged = calendar.at(began) == Opening::Open { closes_at: told };
    let name_of = window.metadata.name.as_deref().unwrap();
    let seen = state.windows_written.get(name_of).is_some_and(|(_, at)| now.duration_since(*at) > SEEN);
    let admitted = open(now) || !unchanged && (finishes || !seen) && told.is_some_and(|end| now < end);
    if let Opening::Open { closes_at: Some(closes_at) } = calendar.at(now) {
        let (rest, seconds) = (closes_at.as_second() - now.as_second(), step.estimate.seconds_least);
        let longest = calendar.longest_to_come(now).map_or(0, |longest| longest.as_secs());
        if unchanged && seconds > rest && (seconds <= longest || !finishes) {
            let what = format!("begins a validation of {seconds} s, {rest} s before its window closes");
            state.violations.push(format!("{now} {name} {what}"));
        }
    }
    let digest = migration.status.as_ref().and_then(|status| Some(status.plan.as_ref()?.digest.clone()));
    let overridden =
        window.spec.overrides.iter().any(|entry| entry.migration == name && Some(&entry.plan) == digest.as_ref());
    if !admitted && !overridden {
        state.violations.push(format!("{now} {name} validates outside its window"));
    }
}
