//! The simulated API server: requests of kube's client against the [`Store`](super::store::Store), with faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::faults::{Effect, Faults};
use super::ledger::Ledger;
use super::store::{Change, Key, Refusal, Store, key, merge};
use crate::controller::clock::Clock;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the operator process shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Be killed and begin again.
    Restart,
    /// Go on while another begins.
    SecondLeader,
    /// Be down for that time.
    Down(Duration),
}

struct Watcher {
    resource: String,
    label: Option<(String, String)>,
    events: UnboundedSender<Bytes>,
}

pub struct State {
    pub store: Store,
    pub faults: Faults,
    pub ledgers: BTreeMap<String, Ledger>,
    pub violations: Vec<String>,
    /// When the spec of a window was written last, with its generation.
    pub windows_written: BTreeMap<String, (i64, jiff::Timestamp)>,
    /// Most pods at once that execute or undo.
    pub most_at_once: usize,
    /// Most pods at once that plan on one database.
    pub most_planning: usize,
    /// Requests of the operator that changed something, or wanted to: what, and when.
    pub writes: Vec<String>,
    /// Orders to the operator process.
    pub commands: UnboundedSender<Command>,
    watchers: Vec<Watcher>,
    /// Events that wait for the next of their kind.
    behind: Vec<Change>,
    /// Watches from an older version are told to list again.
    compacted: BTreeMap<String, u64>,
    /// Changes that watches have been told of.
    told: usize,
}

pub struct Server {
    pub state: Mutex<State>,
    pub clock: Clock,
    /// Changes whenever an object does.
    pub changed: watch::Sender<u64>,
    commands: UnboundedSender<Command>,
}

#[derive(Debug)]
struct Call {
    method: Method,
    key: Key,
    part: Option<String>,
    query: BTreeMap<String, String>,
    content: String,
}

impl Server {
    pub fn new(clock: Clock, faults: Faults, commands: UnboundedSender<Command>) -> Arc<Self> {
        let state = State {
            store: Store::new(clock),
            faults,
            ledgers: BTreeMap::new(),
            violations: Vec::new(),
            windows_written: BTreeMap::new(),
            most_at_once: 0,
            most_planning: 0,
            writes: Vec::new(),
            commands: commands.clone(),
            watchers: Vec::new(),
            behind: Vec::new(),
            compacted: BTreeMap::new(),
            told: 0,
        };
        Arc::new(Self { state: Mutex::new(state), clock, changed: watch::Sender::new(0), commands })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes something without faults: people, the cluster, the runner.
    pub fn change<T>(self: &Arc<Self>, act: impl FnOnce(&mut State) -> T) -> T {
        let answer = act(&mut self.lock());
        self.tell();
        // What is not an object, a ledger for example, may have changed too.
        self.changed.send_modify(|_| {});
        answer
    }

    /// Waits until something satisfies.
    pub async fn until(&self, satisfied: impl Fn(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        while !satisfied(&self.lock()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Answers one request, or does to it what the fault says.
    pub async fn answer(self: Arc<Self>, request: Request<kube::client::Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        let call = call(&parts);
        let body = body.collect_bytes().await?;
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
        let effect = self.lock().faults.pass(&call.point());
        if call.method != Method::GET && call.key.resource != "events" {
            let at = self.clock.now();
            self.lock().writes.push(format!("{at} {}", call.point()));
        }
        if call.key.resource == "events" && body.to_string().contains(super::people::CANARY) {
            self.lock().violations.push(format!("a literal is in an event: {body}"));
        }
        match effect {
            None => self.perform(&call, &body),
            Some(Effect::Answer(code)) => {
                Ok(refusal(&Refusal { code, reason: reason(code), message: format!("a simulated {code}") }))
            }
            Some(Effect::Lost) => Err("connection reset before the request".into()),
            Some(Effect::AnswerLost) => {
                let _ = self.perform(&call, &body);
                Err("connection reset before the answer".into())
            }
            Some(Effect::Delayed) => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                self.perform(&call, &body)
            }
            Some(Effect::Late) => {
                let late = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(40)).await;
                    self.perform(&call, &body)
                });
                late.await?
            }
            Some(Effect::Doubled) => {
                let _ = self.perform(&call, &body);
                self.perform(&call, &body)
            }
            Some(effect) => {
                if effect == Effect::CrashAfter || effect == Effect::SecondLeader {
                    let answer = self.perform(&call, &body);
                    if effect == Effect::SecondLeader {
                        self.commands.send(Command::SecondLeader)?;
                        return answer;
                    }
                }
                self.commands.send(Command::Restart)?;
                std::future::pending().await
            }
        }
    }

    fn perform(self: &Arc<Self>, call: &Call, body: &Value) -> Result<Response<Body>, BoxError> {
        if call.method == Method::GET && call.query.get("watch").is_some_and(|watch| watch != "false") {
            return Ok(self.watch(call));
        }
        let answer = perform(&mut self.lock(), call, body);
        self.tell();
        Ok(match answer {
            Ok(object) => Response::new(Body::from(object.to_string())),
            Err(refused) => refusal(&refused),
        })
    }

    fn watch(self: &Arc<Self>, call: &Call) -> Response<Body> {
        let from: u64 = call.query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let resource = call.key.resource.clone();
        let mut state = self.lock();
        if state.compacted.get(&resource).is_some_and(|compacted| from < *compacted) {
            let message = "too old resource version".to_owned();
            return refusal(&Refusal { code: 410, reason: "Expired", message });
        }
        let (events, mut received) = unbounded_channel::<Bytes>();
        let label = call.query.get("labelSelector").and_then(|selector| selector.split_once('='));
        let label = label.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let watcher = Watcher { resource: resource.clone(), label, events };
        for change in state.store.log.iter().filter(|change| change.version > from && change.resource == resource) {
            watcher.tell(change);
        }
        state.watchers.push(watcher);
        drop(state);
        let seconds = call.query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(290);
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let next = stream::poll_fn(move |context| received.poll_recv(context));
        let next = futures::StreamExt::map(next, Ok::<Bytes, std::convert::Infallible>);
        Response::new(Body::from_stream(futures::StreamExt::take_until(next, tokio::time::sleep_until(end))))
    }

    /// Tells the watches what changed, each event as its fault has it.
    fn tell(self: &Arc<Self>) {
        let mut state = self.lock();
        while let Some(change) = state.store.log.get(state.told).cloned() {
            state.told += 1;
            super::invariants::changed(&mut state, &change, self.clock.now());
            let effect = state.faults.pass(&format!("EVENT {}", change.resource));
            let behind = std::mem::take(&mut state.behind);
            match effect {
                None => state.broadcast(&change),
                Some(Effect::Dropped) => self.later(60, change.clone(), |state, change| state.expire(change)),
                Some(Effect::Held) => self.later(30, change.clone(), |state, change| state.broadcast(change)),
                Some(Effect::Repeated) => {
                    state.broadcast(&change);
                    state.broadcast(&change);
                }
                Some(Effect::Reordered) => {
                    state.behind.push(change.clone());
                    self.later(60, change.clone(), |state, change| {
                        let waits = state.behind.iter().position(|behind| behind.version == change.version);
                        if waits.map(|at| state.behind.remove(at)).is_some() {
                            state.broadcast(change);
                        }
                    });
                }
                Some(Effect::Expired) => state.expire(&change),
                Some(_) => state.watchers.retain(|watcher| watcher.resource != change.resource),
            }
            for earlier in behind {
                if earlier.resource == change.resource {
                    state.broadcast(&earlier);
                } else {
                    state.behind.push(earlier);
                }
            }
        }
        let version = state.store.version();
        drop(state);
        self.changed.send_if_modified(|seen| std::mem::replace(seen, version) != version);
    }

    fn later(self: &Arc<Self>, seconds: u64, change: Change, act: fn(&mut State, &Change)) {
        let server = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            act(&mut server.lock(), &change);
        });
    }
}

impl Watcher {
    fn tell(&self, change: &Change) {
        let label = self.label.as_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        if self.resource == change.resource && label.is_none_or(|label| super::store::has_label(&change.object, label))
        {
            let line = format!("{}\n", json!({"type": change.kind, "object": change.object}));
            let _ = self.events.send(Bytes::from(line));
        }
    }
}

impl State {
    fn broadcast(&mut self, change: &Change) {
        self.watchers.retain(|watcher| !watcher.events.is_closed());
        self.watchers.iter().for_each(|watcher| watcher.tell(change));
    }

    /// The history up to now is forgotten: watches of the kind must list again.
    fn expire(&mut self, change: &Change) {
        self.compacted.insert(change.resource.clone(), self.store.version());
        let status = json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired",
            "message": "too old resource version",
        });
        let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
        self.watchers.retain(|watcher| {
            let of_kind = watcher.resource == change.resource;
            if of_kind {
                let _ = watcher.events.send(Bytes::from(line.clone()));
            }
            !of_kind
        });
    }
}

impl Call {
    /// The point of this request: verb and object, without what differs from run to run.
    fn point(&self) -> String {
        let verb = match (&self.method, self.query.contains_key("watch"), self.key.name.is_empty()) {
            (&Method::GET, true, _) => "WATCH",
            (&Method::GET, false, true) => "LIST",
            (method, ..) => method.as_str(),
        };
        let part = self.part.as_ref().map(|part| format!("/{part}")).unwrap_or_default();
        let name = if self.key.resource == "events" { "" } else { &self.key.name };
        format!("{verb} {}/{name}{part}", self.key.resource)
    }
}

fn call(parts: &axum::http::request::Parts) -> Call {
    let segments: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    // /api/v1/... or /apis/group/version/...
    let rest = &segments[if segments[0] == "api" { 2 } else { 3 }..];
    let (namespace, rest) = if rest[0] == "namespaces" { (rest[1], &rest[2..]) } else { ("", rest) };
    let at = |index: usize| rest.get(index).copied().unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let decode = |text: &str| text.replace("%2F", "/").replace("%3D", "=");
    Call {
        method: parts.method.clone(),
        key: key(at(0), namespace, at(1)),
        part: rest.get(2).map(|part| (*part).to_owned()),
        query: query.map(|(name, value)| (name.to_owned(), decode(value))).collect(),
        content: parts.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned(),
    }
}

fn perform(state: &mut State, call: &Call, body: &Value) -> Result<Value, Refusal> {
    let store = &mut state.store;
    let expected = body["metadata"]["resourceVersion"].as_str();
    if call.key.resource == "events" {
        return Ok(body.clone());
    }
    match call.method.as_str() {
        "GET" if call.key.name.is_empty() => {
            let label = call.query.get("labelSelector").and_then(|selector| selector.split_once('='));
            let items = store.list(&call.key.resource, label);
            let (version, kind) = Store::list_kind(&call.key.resource);
            let meta = json!({"resourceVersion": store.version().to_string()});
            Ok(json!({"apiVersion": version, "kind": kind, "metadata": meta, "items": items}))
        }
        "GET" => store.get(&call.key).cloned().ok_or_else(|| not_found(&call.key)),
        "POST" => {
            let name = body["metadata"]["name"].as_str().unwrap();
            let made = key(&call.key.resource, &call.key.namespace, name);
            store.create(&made, body.clone())
        }
        "PATCH" if call.part.as_deref() == Some("status") => {
            // The operator is the only manager of a whole status.
            assert!(call.content.contains("apply-patch"), "a status is applied, not merged: {call:?}");
            store.update(&call.key, expected, |object| object["status"] = body["status"].clone())
        }
        "PATCH" if call.content.contains("apply-patch") => {
            if store.get(&call.key).is_none() {
                return store.create(&call.key, body.clone());
            }
            store.update(&call.key, expected, |object| merge(object, body))
        }
        "PATCH" => {
            let mut patch = body.clone();
            if let Some(meta) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.remove("resourceVersion");
            }
            store.update(&call.key, expected, |object| merge(object, &patch))
        }
        "DELETE" => store.delete(&call.key, body["propagationPolicy"] == "Foreground"),
        other => panic!("the simulated API server does not know {other}"),
    }
}

fn not_found(key: &Key) -> Refusal {
    Refusal { code: 404, reason: "NotFound", message: format!("{} {} not found", key.resource, key.name) }
}

fn reason(code: u16) -> &'static str {
    match code {
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        _ => "InternalError",
    }
}

fn refusal(refused: &Refusal) -> Response<Body> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": refused.code, "reason": refused.reason, "message": refused.message,
    });
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = refused.code.try_into().unwrap();
    response
}
