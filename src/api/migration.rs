//! `Migration`: a change that a database shall have. Owned by the application team.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backfill::BackfillTuning;
use super::database::{ApprovalRule, Timeouts};
use super::migration_status::MigrationStatus;
use super::reference::{ConfigMapRef, LocalRef};
use super::validation_window::Overrun;
use crate::plan::{Assertion, HazardId};

/// A change that a database shall have.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "wesley.dev",
    version = "v1alpha1",
    kind = "Migration",
    plural = "migrations",
    shortname = "mig",
    category = "wesley",
    namespaced,
    status = "MigrationStatus",
    derive = "PartialEq",
    doc = "A schema change of a PostgreSQL database: planned, shown, approved, executed without downtime, and undone on request.",
    selectable = ".spec.databaseRef.name",
    selectable = ".status.phase",
    printcolumn(name = "Database", type_ = "string", json_path = ".spec.databaseRef.name", description = "The Database it changes."),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where it stands."),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step", description = "Steps done of steps planned."),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether the database has the change."),
    printcolumn(name = "Rollback", type_ = "string", json_path = ".status.rollback.class", description = "What a rollback at this moment would be."),
    printcolumn(name = "Window", type_ = "string", json_path = ".status.window.opensAt", description = "Next opening of the window that it waits for."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1, description = "Why it is ready or not."),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    printcolumn(name = "Plan", type_ = "string", json_path = ".status.plan.name", priority = 1, description = "The MigrationPlan."),
    printcolumn(name = "Completed", type_ = "date", json_path = ".status.completedTime", priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 52").message("metadata.name may have at most 52 characters: names of Jobs are made from it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.databaseRef == oldSelf.databaseRef").message("databaseRef cannot be changed: make a new Migration for the other Database").field_path(".databaseRef"),
    validation = Rule::new("!has(self.approvedPlan) || self.approval == 'Required'").message("approvedPlan needs approval: Required; set it, or remove approvedPlan").field_path(".approvedPlan")
)]
pub struct MigrationSpec {
    /// The Database that shall be changed; cannot be changed itself.
    pub database_ref: LocalRef,
    /// The SQL.
    pub source: Source,
    /// Migrations of this namespace, on whichever Database, that must have succeeded before this one is planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub depends_on: Vec<LocalRef>,
    /// Whether somebody has to look at the plan before it runs. The Database's policy can demand it too.
    #[serde(default = "ApprovalRule::default")]
    pub approval: ApprovalRule,
    /// Digest of the plan that may be executed: approval through Git. Find it in `status.plan.digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 71, max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub approved_plan: Option<String>,
    /// Hazards that are accepted for this change, beyond those that the Database allows to all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    pub allow_hazards: Vec<HazardId>,
    /// Patience; what is absent is the Database's.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// What happens after a run that ended unexpectedly.
    #[serde(default)]
    pub retry: Retry,
    /// How fast rows are changed in batches, and what a backfill waits for between two of them. May be changed while
    /// one runs: no new plan, no new approval, no restart; the runner follows within two minutes (`query`: the next Job).
    #[serde(default)]
    pub backfill: BackfillTuning,
    /// When steps that read whole tables may run.
    #[serde(default)]
    pub validation: Validation,
    /// Whether the application's statements are observed after the change, before the point of no return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
    /// When steps that remove what is no longer needed may run: the point of no return.
    #[serde(default)]
    pub contract: Contract,
    /// When and how the change is undone.
    #[serde(default)]
    pub rollback: Rollback,
    /// Stops the Migration: a running Job is interrupted at once and resumes exactly there when this is false again.
    #[serde(default)]
    pub suspend: bool,
    /// Questions to the database that must be answered with true, before the first step or after the change. They
    /// are steps of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub checks: Vec<Assertion>,
    /// What happens to the change when the Migration is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// The SQL, in exactly one of two forms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.sql) != has(self.configMapRefs)").message("give exactly one of source.sql and source.configMapRefs"))]
pub struct Source {
    /// The statements themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 262_144))]
    pub sql: Option<String>,
    /// ConfigMaps that hold the statements, read in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub config_map_refs: Option<Vec<ConfigMapRef>>,
    /// In the operator's memory only: fingerprint of `sql`, whose text is not kept there.
    #[serde(skip)]
    pub digest: Option<String>,
}

/// What happens after a run that ended unexpectedly: killed, out of memory, past its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.minSeconds <= self.maxSeconds").message("retry.minSeconds must not exceed retry.maxSeconds"))]
pub struct Retry {
    /// How often in a row. What waits for somebody else (a lock, another Migration, a server that does not answer)
    /// is tried again without limit; what fails for good is not tried again.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 100))]
    pub limit: i32,
    /// Seconds before the second try in a row; doubled each time.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 3_600))]
    pub min_seconds: i32,
    /// Most seconds between two tries.
    #[serde(default = "three_hundred")]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_seconds: i32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { limit: three(), min_seconds: five(), max_seconds: three_hundred() }
    }
}

fn three() -> i32 {
    3
}

fn five() -> i32 {
    5
}

fn three_hundred() -> i32 {
    300
}

/// When steps that read whole tables may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// The ValidationWindow to wait for; the Database's default when absent. Without either, validation runs at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ref: Option<LocalRef>,
    /// What happens to a validation that is still running when the window closes. With `Cancel` here or in the
    /// window, it is cancelled.
    #[serde(default)]
    pub overrun: Overrun,
}

/// How the application's statements are observed after the change. `pg_stat_statements` is read before the first step,
/// when everything but the contract steps is done, and when the time is over; meanwhile everything can be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// Seconds from the change to the comparison.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub seconds: i32,
    /// Most percent by which the mean time of a statement may grow. With more the contract steps do not run, and the
    /// Migration does not succeed, until somebody overrides it or the change is undone.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 10_000))]
    pub regression_percent_max: i32,
    /// Executions that a statement must have before and after the change to be compared.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub calls_min: i32,
    /// Go, whatever the observation says: a manual override.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub overridden: Option<ObservationOverride>,
}

fn ten() -> i32 {
    10
}

fn hundred() -> i32 {
    100
}

/// Go, whatever the observation says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservationOverride {
    /// Digest of the plan that it is about; another one is observed.
    #[schemars(length(min = 71, max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub plan: String,
    /// Who decides.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
    /// Why.
    #[schemars(length(min = 1, max = 512))]
    pub note: String,
}

/// When steps that remove what is no longer needed may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.policy == 'AfterSoak') == has(self.soakSeconds)").message("contract.soakSeconds belongs to contract.policy: AfterSoak; give both or neither"),
    validation = Rule::new("!has(self.confirmedPlan) || self.policy == 'Manual'").message("contract.confirmedPlan has an effect only with contract.policy: Manual")
)]
pub struct Contract {
    /// What opens the way.
    #[serde(default)]
    pub policy: ContractPolicy,
    /// For `AfterSoak`: seconds since everything else was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub soak_seconds: Option<i32>,
    /// For `Manual`: digest of the plan whose contract steps may run. The annotation `wesley.dev/contract` with the
    /// digest does the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 71, max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub confirmed_plan: Option<String>,
}

/// What opens the way for contract steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum ContractPolicy {
    /// Nothing: they run as soon as everything before them is done.
    #[default]
    Automatic,
    /// Time: they run `soakSeconds` after everything before them was done.
    AfterSoak,
    /// Somebody: they run when the plan's digest stands in `confirmedPlan` or in the annotation `wesley.dev/contract`.
    Manual,
}

/// When the change is undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// What happens when a step fails for good.
    #[serde(default)]
    pub policy: RollbackPolicy,
    /// Digest of the plan that shall be undone: the way to ask for a rollback through Git. The annotation
    /// `wesley.dev/rollback` with the digest does the same. Find the digest in `status.plan.digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 71, max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub requested_for: Option<String>,
}

/// What happens when a step fails for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum RollbackPolicy {
    /// Everything stays as it is; people decide.
    #[default]
    Manual,
    /// What was done is undone, even if data is lost by that.
    OnFailure,
    /// What was done is undone if that loses nothing; otherwise people decide.
    OnFailureIfLossless,
}

/// What happens to the change when the Migration is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum DeletionPolicy {
    /// The database keeps what was done.
    #[default]
    Retain,
    /// What was done is undone first; until that is finished, the Migration stays.
    Rollback,
}
