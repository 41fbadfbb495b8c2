//! `MigrationPlan`: what a Migration will do, step by step. Written by the runner, read and approved by people.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use crate::plan::Plan;

/// The immutable plan.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "wesley.dev",
    version = "v1alpha1",
    kind = "MigrationPlan",
    plural = "migrationplans",
    shortname = "migplan",
    category = "wesley",
    namespaced,
    status = "MigrationPlanStatus",
    derive = "PartialEq",
    doc = "What a Migration does to a database: ordered steps with their SQL, locks, cost and undo. Immutable; people read it and approve it.",
    selectable = ".spec.migration.name",
    selectable = ".spec.digest",
    printcolumn(name = "Migration", type_ = "string", json_path = ".spec.migration.name", description = "The Migration it is for."),
    printcolumn(name = "Steps", type_ = "integer", json_path = ".spec.summary.steps", description = "Number of steps."),
    printcolumn(name = "Strongest Lock", type_ = "string", json_path = ".spec.summary.strongestLock", description = "Strongest lock of any step."),
    printcolumn(name = "Rollback", type_ = "string", json_path = ".spec.summary.rollback", description = "How the whole can be undone."),
    printcolumn(name = "Approval", type_ = "string", json_path = ".status.approval.decision", description = "Approved or Rejected, and by whom in -o wide."),
    printcolumn(name = "By", type_ = "string", json_path = ".status.approval.by", priority = 1),
    printcolumn(name = "Digest", type_ = "string", json_path = ".spec.digest", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec == oldSelf.spec").message("a plan is immutable: change the Migration, and a new plan is made")
)]
#[serde(rename_all = "camelCase")]
pub struct MigrationPlanSpec {
    /// The Migration that the plan is for.
    pub migration: PlannedMigration,
    /// The plan itself.
    #[serde(flatten)]
    pub plan: Plan,
}

/// The Migration that a plan is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedMigration {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Its `metadata.generation` when the plan was made.
    #[schemars(range(min = 0))]
    pub generation: i64,
}

/// Approval by people, progress by the runner. Neither touches the other's part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationPlanStatus {
    /// What a person decided about the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Steps with their state, in the order of execution. For people: nothing decides upon it, the ledger does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub steps: Vec<StepStatus>,
    /// Conditions of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What a person decided about a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// The decision.
    pub decision: Decision,
    /// Who decided, as that person wrote it; the audit log of the API server knows for sure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// When an approval is over, if nothing has begun until then; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub note: Option<String>,
}

/// A decision about a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Decision {
    /// The plan may be executed.
    Approved,
    /// The plan must not be executed.
    Rejected,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Id of the step in the plan.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Where it stands.
    pub state: StepState,
    /// Rows written so far.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rows_done: i64,
    /// Rows to write, estimated.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rows_total: i64,
    /// Milliseconds spent on it so far.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub elapsed_milliseconds: i64,
    /// What it waits for or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum StepState {
    /// Not started.
    Pending,
    /// Running now.
    Running,
    /// Waits for a lock or for the database to calm down.
    Waiting,
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Undone by a rollback.
    Undone,
}
