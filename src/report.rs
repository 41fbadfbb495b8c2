//! What a runner says at its end: the pod's termination message, read by the controller.
//!
//! Holds no SQL, no literals, no secrets, and stays below 2 KiB (the kubelet cuts at 4 KiB).

use serde::{Deserialize, Serialize};

use crate::inspect::activity::Activity;
use crate::inspect::statements::{Compared, Verdict};
use crate::plan::{RollbackClass, Stage};

/// The termination message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Format version, 1.
    pub v: i32,
    /// What the runner was asked to do.
    pub action: RunAction,
    /// The exit code it ends with.
    pub exit_code: i32,
    /// One word, closed list: see `docs/reasons.md`.
    pub reason: String,
    /// For people, at most 1 KiB.
    pub message: String,
    /// Name of the MigrationPlan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Digest of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Steps that are done in the ledger.
    #[serde(default)]
    pub steps_done: i32,
    /// Steps of the plan.
    #[serde(default)]
    pub steps_total: i32,
    /// The stage of the next step not yet run; absent when all are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_stage: Option<Stage>,
    /// Id of the step that the run ended at, if it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// SQLSTATE of the server's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// Rows written by backfills.
    #[serde(default)]
    pub rows_done: i64,
    /// What a rollback at this moment would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackState>,
    /// What is known of the activity of the database, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// What the observation after the change came to, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
}

impl Report {
    /// One without facts of a run.
    pub fn new(action: RunAction, exit_code: i32, reason: &str, message: String) -> Self {
        Self {
            v: 1,
            action,
            exit_code,
            reason: reason.to_owned(),
            message,
            plan: None,
            digest: None,
            steps_done: 0,
            steps_total: 0,
            next_stage: None,
            step: None,
            sqlstate: None,
            rows_done: 0,
            rollback: None,
            activity: None,
            observation: None,
        }
    }
}

/// What an observation came to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// When everything but the contract steps was done: seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Absent while the time is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Statements that were compared.
    #[serde(default)]
    pub compared: i32,
    /// Those that became slower by the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst: Vec<Compared>,
    /// Why nothing was compared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a runner was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, strum::Display)]
pub enum RunAction {
    /// Plan against the live catalog and write the MigrationPlan.
    Plan,
    /// Execute the plan's steps as far as the open gates allow.
    Execute,
    /// Run the recorded undo.
    Rollback,
    /// Change nothing that is the application's: read the ledger of a Migration, or sample the activity of a Database.
    Inspect,
}

/// What a rollback at this moment would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackState {
    /// Class over all steps done so far.
    pub class: RollbackClass,
    /// What is lost, or why there is no way back; what it depends on: rows that were written since; in `wesley status` also
    /// what goes with new columns and tables.
    pub reason: String,
    /// Until when it is so, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub until: String,
    /// Number of undo actions it would run.
    pub steps: i32,
    /// Name of the restore point that was made before the first step without a complete way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<String>,
    /// Its place in the WAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_lsn: Option<String>,
}
