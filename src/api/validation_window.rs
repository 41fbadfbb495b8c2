//! `ValidationWindow`: when validation, which reads whole tables, may run. Owned by the platform team.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use crate::inspect::activity::QuietPeriod;

/// When validation may run.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "wesley.dev",
    version = "v1alpha1",
    kind = "ValidationWindow",
    plural = "validationwindows",
    shortname = "vw",
    category = "wesley",
    namespaced,
    status = "ValidationWindowStatus",
    derive = "PartialEq",
    doc = "Quiet hours: steps that prove constraints on the rows of whole tables wait for them.",
    printcolumn(name = "Open", type_ = "boolean", json_path = ".status.open", description = "Whether it is open now."),
    printcolumn(name = "Opens", type_ = "string", json_path = ".status.opensAt", description = "Next opening."),
    printcolumn(name = "Closes", type_ = "string", json_path = ".status.closesAt", description = "End of the present opening."),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.running", description = "Migrations that validate now."),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting", description = "Migrations that wait for it."),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name may have at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.schedules) && self.schedules.size() > 0) || (has(self.openings) && self.openings.size() > 0)").message("give at least one of spec.schedules or spec.openings: otherwise the window never opens"))]
pub struct ValidationWindowSpec {
    /// Regular openings. The window is open while any of them or of `openings` is, and nothing of `deny` or `freezes`
    /// is in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub schedules: Vec<Schedule>,
    /// Openings that happen once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub openings: Vec<Period>,
    /// Times at which the window stays shut: freezes, month ends, sales. They win over `schedules`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub deny: Vec<Schedule>,
    /// Times, once, at which the window stays shut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub freezes: Vec<Period>,
    /// Databases whose Migrations may use the window, by their labels; all of the namespace when absent. A Database
    /// without `policy.defaultWindowRef` that is named here has this window, the first by name if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_selector: Option<DatabaseSelector>,
    /// Migrations that are let in although the window is shut, full or too short: a manual override.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["migration"]))]
    pub overrides: Vec<Override>,
    /// What the database must be like for a validation step to begin; measured by the runner before each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards: Option<Guards>,
    /// How many Migrations validate at the same time, over all databases that use the window.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub max_concurrent: i32,
    /// What happens to a validation that is still running when the window closes. With `Cancel` here or in the
    /// Migration, it is cancelled.
    #[serde(default)]
    pub overrun: Overrun,
}

fn one() -> i32 {
    1
}

/// A time from one moment to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.startTime < self.endTime").message("endTime must be later than startTime"))]
pub struct Period {
    /// Its first moment.
    pub start_time: Time,
    /// The first moment that does not belong to it any more.
    pub end_time: Time,
}

/// Databases by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSelector {
    /// Labels that a Database must have, all of them.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 32))]
    pub match_labels: BTreeMap<String, String>,
}

impl DatabaseSelector {
    /// Whether a Database with these labels is meant.
    pub fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.match_labels.iter().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
    }
}

/// What a database must be like for a validation step to begin. Where it is not, the run ends and is tried again
/// while the window is open; the Migration's status has the measured value and the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guards {
    /// Most seconds that any standby may be behind. Needs `pg_read_all_stats`, as the next two do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub replication_lag_seconds_max: Option<i32>,
    /// Most client sessions of the server that run a statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub active_sessions_max: Option<i32>,
    /// Most seconds since the oldest transaction of the database began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub oldest_transaction_seconds_max: Option<i32>,
    /// Own questions, asked with the Database's role in a transaction that reads only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub questions: Vec<Question>,
}

/// A question of the platform team to a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Its name in messages.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// One SELECT that answers with one row of one boolean; validation begins when it is true.
    #[schemars(length(min = 1, max = 8_192))]
    pub sql: String,
}

/// A Migration that is let in at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Name of the Migration.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub migration: String,
    /// Digest of the plan that is let in; another one waits.
    #[schemars(length(min = 71, max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub plan: String,
    /// Who lets it in.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
    /// Why.
    #[schemars(length(min = 1, max = 512))]
    pub note: String,
}

/// Openings that begin by a calendar and last for a fixed time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When it begins: minute, hour, day of month, month, day of week, as in cron (`0 2 * * 1-5`), in `timeZone`.
    /// A single time that a clock change skips is taken at the change, one that it repeats is taken the first time.
    #[schemars(length(min = 9, max = 200))]
    #[x_kube(validation = Rule::new("self.trim().split(' ').filter(part, part != '').size() == 5").message("cron needs five fields: minute hour day-of-month month day-of-week, such as '0 2 * * 1-5'"))]
    pub cron: String,
    /// How long it lasts, in elapsed seconds, also over a clock change.
    #[schemars(range(min = 60, max = 2_678_400))]
    pub duration_seconds: i32,
    /// Time zone by its IANA name, such as `Europe/Berlin`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"))]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What happens to a validation that is still running when its window closes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::Display,
)]
pub enum Overrun {
    /// It goes on to its end; the next one waits for the next opening.
    #[default]
    Finish,
    /// It is cancelled; what it did not finish waits for the next opening.
    Cancel,
}

/// State of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidationWindowStatus {
    /// The `metadata.generation` that the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `Open`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Whether it is open now.
    #[serde(default)]
    pub open: bool,
    /// When it opens next; absent when it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Time>,
    /// When it closes, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<Time>,
    /// Number of Migrations that validate now.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub running: i32,
    /// Number of Migrations that wait for the window.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub waiting: i32,
    /// Migrations that wait, in the order in which they will be let in; the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["migration"]))]
    pub queue: Vec<QueueEntry>,
    /// Quiet hours of the Databases that use it, from their sampled activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
}

/// Hours in which all Databases of a window are quiet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// Databases whose activity is known.
    #[schemars(range(min = 0))]
    pub databases: i32,
    /// Databases that use the window.
    #[schemars(range(min = 0))]
    pub databases_total: i32,
    /// Whether there are such hours, one word; explained in `docs/reasons.md`.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// The same for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// The hours, the longest first; transactions and rows are summed up over the Databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "atomic"))]
    pub quiet: Vec<QuietPeriod>,
}

/// A Migration that waits for a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueEntry {
    /// Name of the Migration.
    #[schemars(length(min = 1, max = 253))]
    pub migration: String,
    /// Database that it changes.
    #[schemars(length(min = 1, max = 253))]
    pub database: String,
    /// Why it waits, one word; explained in `docs/reasons.md`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Least seconds that all its validation is expected to take.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub estimated_seconds: i64,
}
