//! What people see, what they write, and what they do.

use serde_json::{Value, json};

use super::server::State;
use super::store::{Key, key, merge};

/// Namespace of everything.
pub const NAMESPACE: &str = "team";

pub fn at(resource: &str, name: &str) -> Key {
    key(resource, NAMESPACE, name)
}

pub fn phase(state: &State, name: &str) -> String {
    let found = state.store.get(&at("migrations", name));
    found.map(|found| found["status"]["phase"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

pub fn reason(state: &State, name: &str) -> String {
    let found = state.store.get(&at("migrations", name));
    let conditions = found.and_then(|found| found["status"]["conditions"].as_array().cloned()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    ready.and_then(|ready| ready["reason"].as_str()).unwrap_or_default().to_owned()
}

pub fn gone(state: &State, name: &str) -> bool {
    state.store.get(&at("migrations", name)).is_none()
}

pub fn done(state: &State) -> usize {
    state.ledgers.values().flat_map(|ledger| ledger.runs.values()).map(|run| run.done).sum()
}

pub fn edit(state: &mut State, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
    state.store.update(&at(resource, name), None, change).unwrap();
}

pub fn digest(state: &State, name: &str) -> Value {
    state.store.get(&at("migrations", name)).unwrap()["status"]["plan"]["digest"].clone()
}

pub fn approve(state: &mut State) {
    approve_until(state, None);
}

pub fn approve_until(state: &mut State, until: Option<&str>) {
    let plan = state.store.get(&at("migrations", "orders")).unwrap()["status"]["plan"]["name"].clone();
    edit(state, "migrationplans", plan.as_str().unwrap(), |plan| {
        plan["status"]["approval"] = json!({"decision": "Approved", "by": "ada"});
        if let Some(until) = until {
            plan["status"]["approval"]["expiresAt"] = until.into();
        }
    });
}

pub fn suspend(state: &mut State, suspended: bool) {
    edit(state, "migrations", "orders", |object| object["spec"]["suspend"] = suspended.into());
}

/// The server refuses the password of the Secret, or takes it again.
pub fn lock(state: &mut State, locked: bool) {
    state.ledgers.get_mut("shop").unwrap().locked = locked;
}

/// Nothing answers at the database's address, or something does again.
pub fn down(state: &mut State, down: bool) {
    state.ledgers.get_mut("shop").unwrap().down = down;
}

/// What the Database says of runs that it failed.
pub fn circuit(state: &State) -> Value {
    state.store.get(&at("databases", "shop")).map_or(Value::Null, |shop| shop["status"]["circuit"].clone())
}

pub fn annotate(state: &mut State, annotation: &str) {
    let digest = digest(state, "orders");
    edit(state, "migrations", "orders", |object| object["metadata"]["annotations"][annotation] = digest);
}

pub fn database() -> Value {
    json!({"connection": {"host": {"value": "db"}, "dbname": {"value": "shop"}, "user": {"value": "owner"}}})
}

pub fn shop() -> (&'static str, &'static str, Value) {
    ("databases", "shop", database())
}

/// A literal that must stay where the SQL is.
pub const CANARY: &str = "canary-literal";

pub fn with_canary(sql: &str) -> String {
    format!("{sql} {CANARY}")
}

pub fn migration(sql: &str, more: &Value) -> Value {
    let source = json!({"sql": with_canary(sql)});
    let mut spec = json!({"databaseRef": {"name": "shop"}, "source": source, "approval": "Automatic"});
    merge(&mut spec, more);
    spec
}

pub fn orders(sql: &str, more: &Value) -> (&'static str, &'static str, Value) {
    ("migrations", "orders", migration(sql, more))
}

pub fn quiet(cron: &str, seconds: i32, overrun: &str) -> (&'static str, &'static str, Value) {
    let schedule = json!({"cron": cron, "durationSeconds": seconds, "timeZone": "UTC"});
    ("validationwindows", "quiet", json!({"schedules": [schedule], "maxConcurrent": 1, "overrun": overrun}))
}

/// The same window with more in its spec.
pub fn quiet_and(cron: &str, seconds: i32, overrun: &str, more: &Value) -> (&'static str, &'static str, Value) {
    let (resource, name, mut spec) = quiet(cron, seconds, overrun);
    merge(&mut spec, more);
    (resource, name, spec)
}

/// How far the standby of the database is behind.
pub fn lag(state: &mut State, seconds: i32) {
    state.ledgers.entry("shop".to_owned()).or_default().lag = seconds;
}

/// Whether the database answers the author's check with true.
pub fn answer(state: &mut State, check: &str, passes: bool) {
    let untrue = &mut state.ledgers.entry("shop".to_owned()).or_default().untrue;
    if passes {
        untrue.remove(check);
    } else {
        untrue.insert(check.to_owned());
    }
}

/// What is said of the Jobs that sample the Database.
pub fn sampling(state: &State) -> Value {
    state.store.get(&at("databases", "shop")).map_or(Value::Null, |shop| shop["status"]["inspection"].clone())
}

pub fn succeeded(state: &State) -> bool {
    phase(state, "orders") == "Succeeded"
}
