//! One run of a scenario: the operator, the cluster and the people together, until nothing more happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::faults::{Effect, Fault, Faults, Point};
use super::people::NAMESPACE;
use super::scenarios::Scenario;
use super::server::{Command, Server, State};
use super::store::key;
use crate::controller::clock::Clock;
use crate::controller::jobs::Runner;
use crate::controller::names;
use crate::controller::scope::{Common, Scope};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Longest story.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

/// Nothing was written for that long: it is at rest.
const CALM: Duration = Duration::from_secs(180);

/// How long the rest is watched: two looks at every object.
const REST: Duration = Duration::from_secs(1_500);

/// How often a window opens or closes in that time at most. A fault then costs one more try.
const OPENINGS: usize = 6;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The end, without what differs from run to run.
    pub end: Value,
    /// What was wrong.
    pub wrong: Vec<String>,
    /// Points that were passed.
    pub trace: Vec<Point>,
    /// Whether all the faults happened.
    pub happened: bool,
    /// Requests that wrote or wanted to.
    pub writes: usize,
    /// Most pods at once that execute or undo.
    pub most_at_once: usize,
    /// Most pods at once that plan on one database.
    pub most_planning: usize,
}

/// Runs a scenario with faults.
pub fn run(scenario: &Scenario, faults: &[Fault]) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(tell(scenario, faults))
}

async fn tell(scenario: &Scenario, faults: &[Fault]) -> Outcome {
    let begin: Timestamp = "2026-06-10T12:00:00Z".parse().unwrap();
    let clock = Clock::Simulated { begin, since: Instant::now() };
    let (commands, mut commanded) = unbounded_channel();
    let server = Server::new(clock, Faults::new(faults), commands);
    server.change(|state| {
        for (resource, name, spec) in &scenario.objects {
            state.store.create(&key(resource, NAMESPACE, name), json!({"spec": spec})).unwrap();
        }
    });
    let mut helpers = vec![tokio::spawn(super::cluster::run(server.clone()))];
    let operators = tokio::spawn({
        let server = server.clone();
        async move {
            let mut present = AbortOnDrop(operator(&server));
            while let Some(command) = commanded.recv().await {
                let down = match command {
                    Command::SecondLeader => {
                        let other = AbortOnDrop(operator(&server));
                        sleep(Duration::from_secs(30)).await;
                        present = other;
                        continue;
                    }
                    Command::Restart => Duration::from_secs(2),
                    Command::Down(time) => time,
                };
                drop(present);
                sleep(down).await;
                present = AbortOnDrop(operator(&server));
            }
            drop(present);
        }
    });
    helpers.push(operators);
    let mut wrong = Vec::new();
    let story = async {
        for act in &scenario.acts {
            server.until(act.when).await;
            sleep(Duration::from_secs(act.after)).await;
            server.change(act.what);
        }
        server.until(scenario.end).await;
    };
    if tokio::time::timeout(PATIENCE, story).await.is_err() {
        wrong.push("it does not come to its end".to_owned());
    }
    calm(&server).await;
    let before = server.lock().writes.len();
    sleep(REST).await;
    for helper in helpers {
        helper.abort();
    }
    let mut state = server.lock();
    // A request that arrives when nobody waits for it any more can bring a Job that is not wanted any more: then the
    // lock in the database keeps the two apart.
    let late = faults.iter().any(|fault| matches!(fault.effect, Effect::Late | Effect::Delayed | Effect::SecondLeader));
    state.violations.retain(|what| !(late && what.starts_with(super::invariants::TWO_JOBS)));
    wrong.append(&mut state.violations);
    for ledger in state.ledgers.values() {
        wrong.extend(ledger.repeated().iter().map(|step| format!("done twice: {step:?}")));
    }
    // A window says when it opens and closes, also when nobody waits for it.
    let opens = |write: &&String| write.contains("PATCH validationwindows/");
    let windows = state.writes[before..].iter().filter(opens).count();
    let others = state.writes[before..].iter().filter(|write| windows > OPENINGS + faults.len() || !opens(write));
    wrong.extend(others.map(|write| format!("at rest: {write}")));
    if !(scenario.end)(&state) {
        wrong.push("the end did not last".to_owned());
    }
    wrong.dedup();
    Outcome {
        end: end(&state, scenario.exact),
        wrong,
        trace: std::mem::take(&mut state.faults.trace),
        happened: state.faults.happened.len() == faults.len(),
        writes: before,
        most_at_once: state.most_at_once,
        most_planning: state.most_planning,
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An operator process, from its beginning.
fn operator(server: &Arc<Server>) -> JoinHandle<()> {
    let service = {
        let server = server.clone();
        tower::service_fn(move |request| server.clone().answer(request))
    };
    let client = Client::new(service, NAMESPACE);
    let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: None };
    let common = Common {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        clock: server.clock,
        runner: Runner { image: "wesley".to_owned(), pull_policy: "Always".to_owned() },
        metrics: Metrics::new().unwrap(),
        health: Arc::new(Health::default()),
        concurrency: 4,
        stop: CancellationToken::new(),
    };
    tokio::spawn(Scope::new(&common, None).run())
}

async fn calm(server: &Server) {
    let end = Instant::now() + PATIENCE;
    let mut writes = server.lock().writes.len();
    while Instant::now() < end {
        sleep(CALM).await;
        let now = server.lock().writes.len();
        if std::mem::replace(&mut writes, now) == now {
            return;
        }
    }
}

/// The end: every Migration, and what the databases remember.
fn end(state: &State, exact: bool) -> Value {
    let migrations: Vec<Value> = state.store.list("migrations", None).into_iter().map(migration).collect();
    let jobs: Vec<&Value> = state.store.list("jobs", None);
    let left = jobs.iter().filter(|job| job["metadata"]["annotations"][names::RECORDED_ANNOTATION] != "true").count();
    let ledgers: BTreeMap<&String, Vec<Value>> = state
        .ledgers
        .iter()
        .map(|(name, ledger)| {
            let runs = ledger.runs.values();
            let run = |run: &super::ledger::Run| json!([run.digest, run.done, format!("{:?}", run.state)]);
            (name, runs.map(run).filter(|_| exact).collect())
        })
        .collect();
    json!({"migrations": migrations, "jobsNotRecorded": left, "ledgers": ledgers})
}

/// Gates that were passed before a fault may have been passed by another run.
fn gates(status: &Value) -> Vec<Value> {
    let gates = status["gates"].as_array().into_iter().flatten();
    gates.map(|gate| json!([gate["name"], gate["verdict"]])).collect()
}

fn migration(object: &Value) -> Value {
    let status = &object["status"];
    let conditions: BTreeMap<String, Value> = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|condition| {
            let kind = condition["type"].as_str().unwrap().to_owned();
            (kind, json!([condition["status"], condition["reason"], condition["observedGeneration"]]))
        })
        .collect();
    json!({
        "name": object["metadata"]["name"],
        "finalizers": object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty()),
        "phase": status["phase"],
        "step": status["step"],
        "plan": status["plan"]["digest"],
        "execution": status["execution"],
        "rollback": [status["rollback"]["class"], status["rollback"]["ready"], status["rollback"]["requestedBy"]],
        "run": status["run"],
        "hold": status["hold"],
        "window": status["window"]["name"],
        "gates": gates(status),
        "conditions": conditions,
    })
}
