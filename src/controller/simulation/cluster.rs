//! The Job controller, the kubelet and the runner: pods that work on the [`Ledger`](super::ledger::Ledger).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::faults::Effect;
use super::ledger::{Run, State as RunState};
use super::server::{Server, State};
use super::store::{Key, has_label, key};
use crate::api::validation_window::Guards;
use crate::plan::{Action, Plan, Stage};
use crate::report::Report;
use crate::run::WindowEnd;

/// How long a step takes.
const STEP: Duration = Duration::from_secs(3);

/// How a pod ends.
pub enum Ended {
    /// The process ended with a report.
    Reported(Box<Report>),
    /// The process was killed.
    Killed,
    /// The pod is gone, and nobody knows about its process.
    Lost,
    /// The pod was evicted; another takes its place.
    Evicted,
}

/// Makes pods for Jobs, for ever.
pub async fn run(server: Arc<Server>) {
    loop {
        server.until(|state| !state.store.new_jobs.is_empty()).await;
        let jobs = std::mem::take(&mut server.lock().store.new_jobs);
        for job in jobs {
            tokio::spawn(attend(server.clone(), job));
        }
    }
}

/// One Job, from its first pod to its removal.
async fn attend(server: Arc<Server>, job: Key) {
    let mut pods = 0;
    loop {
        sleep(Duration::from_millis(500)).await;
        let Some(object) = present(&server, &job).filter(|job| job["metadata"]["deletionTimestamp"].is_null()) else {
            break;
        };
        if !server.lock().store.is_owned(&object) {
            // Garbage collection: it came when its owner was gone.
            server.change(|state| drop(state.store.remove(&job)));
            return;
        }
        pods += 1;
        let pod = key("pods", &job.namespace, &format!("{}-{pods}", job.name));
        server.change(|state| super::invariants::pod_begins(state, &object));
        server.change(|state| state.store.create(&pod, pod_of(&object)).unwrap());
        let process = Process { server: server.clone(), job: job.clone(), pod: pod.clone(), object };
        let ended = process.run().await;
        server.change(|state| state.ended(&job, &pod, &ended));
        if !matches!(ended, Ended::Evicted) {
            break;
        }
    }
    sleep(Duration::from_millis(500)).await;
    server.change(|state| state.conclude(&job));
    expire(&server, &job).await;
}

fn present(server: &Server, job: &Key) -> Option<Value> {
    server.lock().store.get(job).cloned()
}

/// Removes the Job when it is deleted, or when its time is over.
async fn expire(server: &Arc<Server>, job: &Key) {
    let lives =
        |state: &State| state.store.get(job).filter(|job| job["metadata"]["deletionTimestamp"].is_null()).cloned();
    server.until(|state| lives(state).is_none_or(|job| !job["spec"]["ttlSecondsAfterFinished"].is_null())).await;
    let kept = lives(&server.lock()).and_then(|job| job["spec"]["ttlSecondsAfterFinished"].as_u64());
    if let Some(kept) = kept {
        tokio::select! {
            () = sleep(Duration::from_secs(kept)) => {}
            () = server.until(|state| lives(state).is_none()) => {}
        }
    }
    server.change(|state| {
        state.store.remove(job);
        let pods: Vec<Key> = state.pods_of(job);
        pods.iter().for_each(|pod| drop(state.store.remove(pod)));
    });
}

fn pod_of(job: &Value) -> Value {
    let template = &job["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels["batch.kubernetes.io/job-name"] = job["metadata"]["name"].clone();
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]});
    json!({"metadata": {"labels": labels, "ownerReferences": [owner]}, "spec": template["spec"]})
}

impl State {
    fn pods_of(&self, job: &Key) -> Vec<Key> {
        let label = ("batch.kubernetes.io/job-name", job.name.as_str());
        let pods = self.store.list("pods", None).into_iter().filter(|pod| has_label(pod, label));
        pods.map(|pod| key("pods", &job.namespace, pod["metadata"]["name"].as_str().unwrap())).collect()
    }

    fn ended(&mut self, job: &Key, pod: &Key, ended: &Ended) {
        let (code, message) = match ended {
            Ended::Reported(report) => (report.exit_code, serde_json::to_string(report).unwrap()),
            Ended::Killed => (137, String::new()),
            Ended::Evicted => (143, String::new()),
            Ended::Lost => {
                self.store.remove(pod);
                return;
            }
        };
        let finished = self.store.log.len();
        let terminated = json!({
            "exitCode": code, "message": message,
            "finishedAt": jiff::Timestamp::from_second(i64::try_from(finished).unwrap()).unwrap().to_string(),
        });
        let container = json!({
            "name": "runner", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"terminated": terminated},
        });
        let _ = self.store.update(pod, None, |pod| pod["status"] = json!({"containerStatuses": [container]}));
        if self.store.get(job).is_none_or(|job| !job["metadata"]["deletionTimestamp"].is_null()) {
            self.store.remove(pod);
        }
    }

    /// The Job is over.
    fn conclude(&mut self, job: &Key) {
        let pods = self.pods_of(job);
        let code = pods
            .iter()
            .filter_map(|pod| self.store.get(pod))
            .next_back()
            .map(|pod| pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].clone());
        let kind = if code == Some(json!(0)) { "Complete" } else { "Failed" };
        let _ = self.store.update(job, None, |job| {
            job["status"] = json!({"conditions": [{"type": kind, "status": "True", "reason": kind}]});
        });
    }
}

/// A runner in its pod.
pub struct Process {
    pub server: Arc<Server>,
    pub job: Key,
    pod: Key,
    pub object: Value,
}

impl Process {
    async fn run(&self) -> Ended {
        let arguments = self.arguments();
        if self.server.lock().ledgers.entry(self.database()).or_default().locked {
            return self.report(12, "AuthenticationFailed", |_| {});
        }
        if self.is_down() {
            return self.report(75, "Unreachable", |_| {});
        }
        match arguments["action"].as_str() {
            "plan" => self.plan(&arguments).await,
            "inspect" if arguments.contains_key("sample") => self.sample().await,
            "inspect" => {
                let inspected = self.inspect(&arguments).await;
                self.observe(inspected, &arguments, true)
            }
            action => {
                let busy = {
                    let mut state = self.server.lock();
                    let ledger = state.ledgers.entry(self.database()).or_default();
                    let busy = ledger.holder.is_some();
                    ledger.holder.get_or_insert_with(|| self.pod.name.clone());
                    busy
                };
                if busy {
                    return self.report(20, "DatabaseBusy", |_| {});
                }
                let ended = self.work(&arguments, action == "rollback").await;
                let ended = self.observe(ended, &arguments, false);
                if !matches!(ended, Ended::Lost) {
                    self.server.lock().ledgers.get_mut(&self.database()).unwrap().holder = None;
                }
                ended
            }
        }
    }

    fn arguments(&self) -> BTreeMap<String, String> {
        let container = &self.object["spec"]["template"]["spec"]["containers"][0];
        let texts: Vec<&str> =
            container["args"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        assert_eq!(texts[0], "run");
        let mut found = BTreeMap::from([("action".to_owned(), texts[1].to_owned())]);
        let mut rest = texts[2..].iter().peekable();
        while let Some(name) = rest.next() {
            let value = rest.next_if(|value| !value.starts_with("--")).copied().unwrap_or_default();
            found.insert(name.trim_start_matches("--").to_owned(), value.to_owned());
        }
        found
    }

    pub fn database(&self) -> String {
        self.object["metadata"]["labels"]["wesley.dev/database"].as_str().unwrap().to_owned()
    }

    pub fn report(&self, exit_code: i32, reason: &str, change: impl FnOnce(&mut Report)) -> Ended {
        let action = self.object["metadata"]["labels"]["wesley.dev/action"].clone();
        let action = serde_json::from_value(action).unwrap();
        let mut report = Report::new(action, exit_code, reason, String::new());
        change(&mut report);
        Ended::Reported(Box::new(report))
    }

    /// What the ledger knows, told.
    pub fn tell(&self, exit_code: i32, reason: &str, name: &str) -> Ended {
        let run = self.server.lock().ledgers[&self.database()].runs[name].clone();
        let count = |number: usize| i32::try_from(number).unwrap();
        self.report(exit_code, reason, |report| {
            report.digest = Some(run.digest.clone());
            report.steps_done = count(run.done);
            report.steps_total = count(run.stages.len());
            report.next_stage = run.next_stage().filter(|_| run.state != RunState::RolledBack);
            report.rollback = Some(run.rollback()).filter(|_| run.state != RunState::RolledBack);
        })
    }

    fn stopped(&self) -> bool {
        let state = self.server.lock();
        let goes =
            |object: Option<&Value>| object.is_none_or(|object| !object["metadata"]["deletionTimestamp"].is_null());
        goes(state.store.get(&self.job)) || goes(state.store.get(&self.pod))
    }

    /// Works for a while; whether somebody told it to stop meanwhile.
    pub async fn takes(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        tokio::select! {
            () = tokio::time::sleep_until(end) => false,
            () = async {
                let mut changes = self.server.changed.subscribe();
                while !self.stopped() {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
            } => true,
        }
    }

    async fn work(&self, arguments: &BTreeMap<String, String>, undo: bool) -> Ended {
        let name = self.run_name(arguments);
        if let Err(ended) = self.enter(arguments, &name, undo) {
            return *ended;
        }
        let gates = arguments.get("gates").cloned().unwrap_or_default();
        let closes_at = arguments.get("window-closes-at").map(|time| time.parse().unwrap());
        let cancel = arguments.get("overrun").is_some_and(|overrun| overrun == "cancel");
        let longest_seconds =
            arguments.get("longest-opening-seconds").map_or(i64::MAX, |seconds| seconds.parse().unwrap());
        let window = closes_at.map(|closes_at| WindowEnd { closes_at, longest_seconds, cancel });
        let plan = key("migrationplans", &self.job.namespace, &arguments["plan"]);
        let plan = self.server.lock().store.get(&plan).cloned().unwrap_or_default();
        let steps: Vec<crate::plan::Step> = serde_json::from_value(plan["spec"]["steps"].clone()).unwrap_or_default();
        loop {
            let run = self.server.lock().ledgers[&self.database()].runs[&name].clone();
            let next = if undo { run.done.checked_sub(1) } else { Some(run.done).filter(|at| *at < run.stages.len()) };
            let Some(next) = next else {
                let state = if undo { RunState::RolledBack } else { RunState::Done };
                self.server.lock().ledgers.get_mut(&self.database()).unwrap().runs.get_mut(&name).unwrap().state =
                    state;
                return self.tell(0, if undo { "RolledBack" } else { "Done" }, &name);
            };
            let stage = run.stages[next];
            let gate = match stage {
                Stage::Validate => "validate",
                Stage::Contract => "contract",
                _ => "",
            };
            let late = window.is_some_and(|window| {
                stage == Stage::Validate && !window.admits(&steps[next], self.server.clock.now())
            });
            if !undo && (!gates.contains(gate) || late) {
                return self.tell(0, "Paused", &name);
            }
            if !undo && stage == Stage::Validate && arguments.contains_key("guards") {
                let Some(guards) = self.file("guards") else { return Ended::Killed };
                let guards: Guards = serde_json::from_str(&guards).unwrap();
                let lag = self.server.lock().ledgers[&self.database()].lag;
                if guards.replication_lag_seconds_max.is_some_and(|most| lag > most) {
                    return self.tell(20, "GuardNotMet", &name);
                }
            }
            let step = steps.get(next);
            self.server.change(|state| {
                let now = self.server.clock.now();
                match step {
                    _ if undo => super::invariants::undo_begins(state, &self.object, now),
                    Some(step) => super::invariants::step_begins(state, &self.object, step, now),
                    None => {}
                }
            });
            let seconds = step.filter(|_| !undo).map_or(0, |step| step.estimate.seconds_least);
            if self.takes(STEP.max(Duration::from_secs(seconds.unsigned_abs()))).await {
                return self.tell(75, "Interrupted", &name);
            }
            let what = format!("STEP {} {next}{}", arguments["migration"], if undo { " back" } else { "" });
            let effect = self.server.lock().faults.pass(&what);
            let poison = !undo && super::plans::fails_at(&self.server.lock(), &arguments["plan"], next);
            match effect {
                Some(Effect::KilledBefore) => return Ended::Killed,
                Some(Effect::Cut) => {
                    // The process goes on for a while, and holds the database.
                    let (server, database, pod) = (self.server.clone(), self.database(), self.pod.name.clone());
                    let check = step.filter(|step| !undo && matches!(step.action, Action::Check(_)));
                    if !poison && check.is_none() {
                        self.record(&name, undo);
                    }
                    tokio::spawn(async move {
                        sleep(Duration::from_secs(50)).await;
                        let mut state = server.lock();
                        let holder = &mut state.ledgers.get_mut(&database).unwrap().holder;
                        holder.take_if(|holder| *holder == pod);
                    });
                    return Ended::Lost;
                }
                _ => {}
            }
            if self.is_down() {
                return self.tell(75, "ConnectionLost", &name);
            }
            if poison {
                return self.tell(14, "StatementFailed", &name);
            }
            if let Some(Action::Check(check)) = step.filter(|_| !undo).map(|step| &step.action)
                && !self.passes(&name, &check.query)
            {
                let touched = steps[..next].iter().any(|step| !matches!(step.action, Action::Check(_)));
                let (code, reason) = if touched { (14, "CheckFailed") } else { (11, "PreconditionFailed") };
                return self.tell(code, reason, &name);
            }
            self.record(&name, undo);
            match effect {
                Some(Effect::KilledAfter) => return Ended::Killed,
                Some(Effect::Evicted) => return Ended::Evicted,
                _ => {}
            }
        }
    }

    /// Whether a check is answered with true. That it was asked is remembered with its step.
    fn passes(&self, name: &str, check: &str) -> bool {
        let mut state = self.server.lock();
        let ledger = state.ledgers.get_mut(&self.database()).unwrap();
        let passes = !ledger.untrue.contains(check);
        if passes {
            ledger.runs.get_mut(name).unwrap().passed.insert(check.to_owned());
        }
        passes
    }

    /// Whether nothing answers.
    fn is_down(&self) -> bool {
        let mut state = self.server.lock();
        let ledger = state.ledgers.entry(self.database()).or_default();
        ledger.unanswered += usize::from(ledger.down);
        ledger.down
    }

    fn record(&self, name: &str, undo: bool) {
        let now = self.server.clock.now();
        self.server.change(|state| state.ledgers.get_mut(&self.database()).unwrap().record(now, name, undo));
    }

    /// Takes the run of the ledger up, or begins it.
    fn enter(&self, arguments: &BTreeMap<String, String>, name: &str, undo: bool) -> Result<(), Box<Ended>> {
        let mut state = self.server.lock();
        let plan = state.store.get(&key("migrationplans", &self.job.namespace, &arguments["plan"])).cloned();
        let ledger = state.ledgers.get_mut(&self.database()).unwrap();
        let known = ledger.runs.get_mut(name);
        if undo {
            let Some(run) = known else {
                return Err(Box::new(self.report(0, "AlreadyRolledBack", |_| {})));
            };
            run.state = RunState::RollingBack;
            return Ok(());
        }
        let Some(plan) = plan else { return Err(Box::new(self.report(11, "PlanChanged", |_| {}))) };
        let plan: Plan = serde_json::from_value(plan["spec"].clone()).unwrap();
        assert_eq!(plan.digest, arguments["digest"]);
        match known {
            Some(run) if run.state == RunState::RollingBack => {
                Err(Box::new(self.report(11, "RollbackUnfinished", |_| {})))
            }
            Some(run) if run.state != RunState::RolledBack && run.digest != plan.digest => {
                Err(Box::new(self.report(13, "OtherPlanRecorded", |_| {})))
            }
            Some(run) if run.state != RunState::RolledBack => Ok(()),
            _ => {
                ledger.runs.insert(name.to_owned(), Run::new(&plan));
                Ok(())
            }
        }
    }
}
