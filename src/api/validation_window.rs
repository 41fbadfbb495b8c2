//! `ValidationWindow`: when validation, which reads whole tables, may run. Owned by the platform team.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;

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
    doc = "Quiet hours: steps that read whole tables or build indexes wait for them.",
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
pub struct ValidationWindowSpec {
    /// Regular openings. The window is open while any of them is and no `deny` is in force.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub schedules: Vec<Schedule>,
    /// Times at which the window stays shut: freezes, month ends, sales. They win over `schedules`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub deny: Vec<Schedule>,
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
    /// The run that began in the window goes on to its end.
    #[default]
    Finish,
    /// The run is cancelled; what it did not finish waits for the next opening.
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
