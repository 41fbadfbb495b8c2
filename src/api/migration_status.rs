//! Status of a [`Migration`](super::Migration). The controller is its only writer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::database::DatabaseIdentity;
use super::validation_window::Overrun;
use crate::inspect::statements::{Compared, Verdict};
use crate::plan::{RollbackClass, Stage};
use crate::report::RunAction;

/// Where a Migration stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// The `metadata.generation` that the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Summary of the conditions, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// `Ready`, `Reconciling`, `Stalled`, `Planned`, `Approved`, `Executed`, `Validated`, `RollbackReady`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What it has to pass, in this order, with verdict and time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub gates: Vec<GateStatus>,
    /// Steps done of steps planned, such as `3/7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub step: Option<String>,
    /// The plan that is or will be executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRecord>,
    /// The plan that was approved, and that the present one replaces; absent once that is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_plan: Option<ReplacedPlan>,
    /// What the ledger in the database said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionRecord>,
    /// What a rollback at this moment would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackRecord>,
    /// The run that goes on now. Written before its Job is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRecord>,
    /// How the last run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// Number of runs so far.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub runs: i32,
    /// Runs in a row that ended unexpectedly.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub failures: i32,
    /// Runs in a row that could not do their work because of something that passes by itself.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub waits: i32,
    /// Plans in a row that were outdated when their execution should begin.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub outdated_plans: i32,
    /// Why no run begins now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The window that the Migration waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowRecord>,
    /// What the observation of the application's statements came to so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<ObservationRecord>,
    /// When everything but the contract steps was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaking_since: Option<Time>,
    /// Value of the annotation `wesley.dev/retry` that was heeded last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub retry_handled: Option<String>,
    /// When the first step ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When the Migration succeeded or was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_time: Option<Time>,
}

/// Summary of the conditions, derived from them by one function and never read back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::EnumIter, Hash,
)]
pub enum Phase {
    /// Not looked at yet.
    Pending,
    /// Waits for something it refers to, or for another Migration of the same database.
    Blocked,
    /// A Job plans it against the live catalog.
    Planning,
    /// The plan waits for its approval.
    AwaitingApproval,
    /// A Job executes it.
    Executing,
    /// The next step waits for the ValidationWindow.
    AwaitingWindow,
    /// A Job executes it inside the window.
    Validating,
    /// Everything but the contract steps is done; they, or the success, wait for time, for the observation or for
    /// somebody.
    Observing,
    /// A Job executes the contract steps.
    Contracting,
    /// All done.
    Succeeded,
    /// Stopped until somebody changes something.
    Failed,
    /// A Job undoes it.
    RollingBack,
    /// Undone.
    RolledBack,
    /// Stopped by `spec.suspend`.
    Suspended,
}

/// The plan that is or will be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRecord {
    /// Name of the MigrationPlan.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Digest of the plan: what is approved, confirmed, rolled back.
    #[schemars(length(min = 1, max = 128))]
    pub digest: String,
    /// Fingerprint of everything it was made from: SQL, hazards, limits. Another one means another plan.
    #[schemars(length(min = 1, max = 128))]
    pub inputs: String,
    /// Fingerprint of the SQL alone.
    #[schemars(length(min = 1, max = 128))]
    pub source: String,
    /// The `metadata.generation` it was made for.
    #[schemars(range(min = 0))]
    pub generation: i64,
    /// Number of steps.
    #[schemars(range(min = 0))]
    pub steps: i32,
    /// Whether steps wait for a validation window.
    #[serde(default)]
    pub needs_validation: bool,
    /// Least seconds that all validation is expected to take.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub validation_seconds: i64,
    /// Whether steps wait for the contract gate.
    #[serde(default)]
    pub has_contract: bool,
    /// How the whole plan can be undone.
    #[serde(default)]
    pub rollback: RollbackClass,
    /// The database it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<DatabaseIdentity>,
}

/// A plan that was approved, and of which nothing will be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplacedPlan {
    /// Name of the MigrationPlan.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Why it is replaced, for people.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What the ledger said last about the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionRecord {
    /// Where the execution stands.
    pub state: ExecutionState,
    /// Digest of the plan that was executed.
    #[schemars(length(min = 1, max = 128))]
    pub digest: String,
    /// Steps that are done.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub steps_done: i32,
    /// Steps of the plan.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub steps_total: i32,
    /// Stage of the next step; absent when none is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_stage: Option<Stage>,
    /// Rows written by backfills.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rows_done: i64,
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum ExecutionState {
    /// A run was started; what it did is not known yet.
    Started,
    /// Some steps may be done, others are not.
    Partial,
    /// All steps are done.
    Done,
    /// A rollback was started and is not finished.
    RollingBack,
    /// Everything was undone.
    RolledBack,
}

/// What a rollback at this moment would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackRecord {
    /// Whether a rollback can be asked for now.
    pub ready: bool,
    /// What it would bring back.
    pub class: RollbackClass,
    /// What is lost, or why there is no way back.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Until when it stays as it is.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub until: String,
    /// Number of actions it would run.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub steps: i32,
    /// Who asked for the rollback that runs or has run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<RollbackOrigin>,
    /// What failed, where the policy asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub cause: Option<String>,
    /// Name of the restore point that was made before the first step without a complete way back, where the role may make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub restore_point: Option<String>,
    /// Its place in the WAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub restore_lsn: Option<String>,
}

/// Who asked for a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum RollbackOrigin {
    /// `spec.rollback.requestedFor`.
    Spec,
    /// The annotation `wesley.dev/rollback`.
    Annotation,
    /// `spec.rollback.policy`, after a failure.
    Policy,
    /// `spec.deletionPolicy`, before the Migration goes.
    Deletion,
}

/// A run: one Job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Name of the Job.
    #[schemars(length(min = 1, max = 63))]
    pub job: String,
    /// What it does.
    pub action: RunAction,
    /// Number of the run.
    #[schemars(range(min = 0))]
    pub number: i32,
    /// Gates that are open for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "set"))]
    pub gates: Vec<Gate>,
    /// Digest of the plan it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub digest: Option<String>,
    /// Fingerprint of what it plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub inputs: Option<String>,
    /// Whether it only looks whether somebody has put right what failed before; meanwhile the Migration stays stalled.
    #[serde(default)]
    pub probe: bool,
    /// The window whose place it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub window: Option<String>,
    /// When that window closes: no step that reads whole tables begins after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_closes_at: Option<Time>,
    /// Seconds of the longest opening of that window to come: what takes longer would wait in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub longest_opening_seconds: Option<i64>,
    /// What happens to validation that is still running then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrun: Option<Overrun>,
    /// Why it was asked to stop, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StopCause>,
    /// When it was decided.
    pub started_time: Time,
}

/// Something to pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// Which.
    pub name: GateName,
    /// Whether it is passed.
    pub verdict: GateVerdict,
    /// Why, one word; explained in `docs/reasons.md`.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Since when the verdict is this.
    pub since: Time,
}

/// What there is to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum GateName {
    /// `spec.dependsOn`.
    Dependencies,
    /// The approval of the plan.
    Approval,
    /// The turn on the database, where one Migration at a time is executed.
    Turn,
    /// The ValidationWindow, before steps that read whole tables.
    Window,
    /// `spec.observation`, before the point of no return.
    Observation,
    /// `spec.contract`, before the point of no return.
    Contract,
}

/// Whether something is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum GateVerdict {
    /// Not come to yet.
    Later,
    /// Waits for it.
    Waiting,
    /// It is passed.
    Passed,
    /// It is shut for good.
    Refused,
}

/// A gate that steps of a stage wait at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Gate {
    /// Steps that read whole tables.
    Validate,
    /// Steps that remove what is no longer needed.
    Contract,
}

/// Why a run was asked to stop before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum StopCause {
    /// `spec.suspend`.
    Suspended,
    /// The SQL or what else the plan is made from changed.
    InputsChanged,
    /// The window closed, and `overrun` is `Cancel`.
    WindowClosed,
    /// What opened the way to the contract steps was taken back: `spec.contract` or `spec.observation` changed.
    ContractShut,
    /// A rollback was asked for.
    RollbackRequested,
    /// The Migration is being deleted.
    Deleted,
}

/// Why no run begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// How the last run ended, one word.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// How the last run ended and what to do, for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Whether somebody has to do something. If not, it is only a pause between two tries.
    pub stalled: bool,
    /// When the next run begins by itself; absent when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Fingerprint of what the plan is made from; when that changes before the first step, the hold is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub inputs: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Name of the Job.
    #[schemars(length(min = 1, max = 63))]
    pub job: String,
    /// What it did.
    pub action: RunAction,
    /// Number of the run.
    #[schemars(range(min = 0))]
    pub number: i32,
    /// Exit code of the runner; absent when it could not be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How it ended, one word; explained in `docs/reasons.md`.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// How it ended, for people.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Id of the step it ended at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub step: Option<String>,
    /// SQLSTATE of the server's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    pub sqlstate: Option<String>,
    /// When it ended.
    pub finished_time: Time,
}

/// What the observation of the application's statements came to so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservationRecord {
    /// Digest of the plan that it is about.
    #[schemars(length(min = 1, max = 128))]
    pub digest: String,
    /// Since when it lasts.
    pub since: Time,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_time: Option<Time>,
    /// What came of it; absent while the time is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Percent that were tolerated.
    #[schemars(range(min = 0))]
    pub regression_percent_max: i32,
    /// Statements that were compared.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub compared: i32,
    /// Statements whose mean time grew by the most, by `queryid` of `pg_stat_statements`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["queryId"]))]
    pub worst: Vec<Compared>,
    /// Why nothing was compared, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The window that a Migration waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowRecord {
    /// Name of the ValidationWindow.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// When it opens next; absent when it is open or never opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Time>,
}
