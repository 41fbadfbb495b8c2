//! What a run tells while it goes on.

use serde::{Deserialize, Serialize};

use super::error::Reason;
use super::watch::Blocker;
use crate::plan::Stage;

/// State of the step that a progress object speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum ProgressState {
    /// It runs.
    Running,
    /// It waits for locks or for the server.
    Waiting,
    /// It is done.
    Done,
    /// It failed for good.
    Failed,
    /// It is undone.
    Undone,
}

/// One line of progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Id of the step; null while another run is waited for, and on the last object when the run did not end at a step.
    pub step: Option<String>,
    /// Its stage.
    pub stage: Option<Stage>,
    /// Its state.
    pub state: ProgressState,
    /// Rows written by the step so far.
    pub rows_done: i64,
    /// Rows it is expected to look at; null when that is not known.
    pub rows_total: Option<i64>,
    /// Since the run started.
    pub elapsed_milliseconds: i64,
    /// Why it is held, or what it is doing, for people; left out when there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Sessions that hold the lock it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<Blocker>,
    /// Only on the last object.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// What the last progress object adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How the run ended.
    pub result: Reason,
    /// Steps done in the ledger (after a rollback: undone).
    pub steps: i64,
    /// The step at which an interrupted run was taken up again; null for a run from the start.
    pub resumed_at: Option<String>,
    /// Batches that may have been done twice because the process before this one died in them.
    pub batches_redone: i64,
    /// Of the whole run.
    pub duration_milliseconds: i64,
    /// For people: why it did not end well, or what a rollback did not bring back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Takes progress as it comes. Must not block.
pub trait Observer: Send + Sync {
    /// Called at every change of a step, after every batch and while waiting.
    fn progress(&self, progress: &Progress);
}

/// Nobody looks.
impl Observer for () {
    fn progress(&self, _: &Progress) {}
}

impl<F: Fn(&Progress) + Send + Sync> Observer for F {
    fn progress(&self, progress: &Progress) {
        self(progress);
    }
}
