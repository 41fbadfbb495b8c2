//! Conditions, in the shape of `metav1.Condition`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aspect of the state of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about. `Ready`, `Reconciling` and `Stalled` are read by kstatus, Helm, Flux and Argo CD.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Z][A-Za-z]*$"))]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, one word of a closed list; explained in `docs/reasons.md`.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// Why and what to do, for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// The `metadata.generation` that the condition is about.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: Time,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known (yet).
    Unknown,
}

/// The types of conditions that are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter, strum::IntoStaticStr)]
pub enum ConditionType {
    /// The object is in the state that its spec asks for.
    Ready,
    /// Work towards that state is going on or will go on by itself. Absent when not.
    Reconciling,
    /// Nothing will happen until somebody changes something. Absent when not.
    Stalled,
    /// A plan exists for the present SQL, policy and database.
    Planned,
    /// The plan may be executed.
    Approved,
    /// All steps that applications need are done.
    Executed,
    /// All validation is done.
    Validated,
    /// The change can be undone at this moment.
    RollbackReady,
    /// The database answered the last time it was asked.
    Reachable,
    /// The database failed so often in a row that no Job works on it for a while. Absent when not.
    CircuitOpen,
    /// The window is open now.
    Open,
}
