//! What the target databases remember: which steps are done, and every execution of every step.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::plan::{Plan, RollbackClass, Stage};
use crate::report::RollbackState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Done,
    RollingBack,
    RolledBack,
}

/// A run of the ledger: one Migration on one database.
#[derive(Clone, Debug)]
pub struct Run {
    pub digest: String,
    pub stages: Vec<Stage>,
    /// How the whole can be undone once its contract steps are done.
    pub class: RollbackClass,
    pub done: usize,
    pub state: State,
    /// When everything but the contract steps was done, where statements are observed.
    pub changed_at: Option<Timestamp>,
    /// Checks that were answered with true.
    pub passed: BTreeSet<String>,
}

/// A step that was executed or undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    pub at: Timestamp,
    pub run: String,
    pub digest: String,
    pub step: usize,
    pub undone: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub runs: BTreeMap<String, Run>,
    pub history: Vec<Executed>,
    /// The Job that holds the database.
    pub holder: Option<String>,
    /// Whether it refuses the password.
    pub locked: bool,
    /// Whether nothing answers at its address.
    pub down: bool,
    /// Jobs that nothing answered.
    pub unanswered: usize,
    /// Seconds that its standby is behind.
    pub lag: i32,
    /// Checks whose answer is not true.
    pub untrue: BTreeSet<String>,
    /// Hours of activity that were measured.
    pub hours_measured: i32,
}

impl Run {
    pub fn new(plan: &Plan) -> Self {
        let stages = plan.steps.iter().map(|step| step.stage).collect();
        Self {
            digest: plan.digest.clone(),
            stages,
            class: plan.summary.rollback,
            done: 0,
            state: State::Running,
            changed_at: None,
            passed: BTreeSet::new(),
        }
    }

    pub fn next_stage(&self) -> Option<Stage> {
        self.stages.get(self.done).copied()
    }

    /// What a rollback would be now: contract steps are the point of no return.
    pub fn rollback(&self) -> RollbackState {
        let contracted = self.stages.iter().take(self.done).any(|stage| *stage == Stage::Contract);
        let class = if contracted { self.class } else { RollbackClass::Lossless };
        let reason = if class == RollbackClass::Lossless { "" } else { "the old column is gone" };
        RollbackState {
            class,
            reason: reason.to_owned(),
            steps: i32::try_from(self.done).unwrap(),
            ..RollbackState::default()
        }
    }
}

impl Ledger {
    pub fn record(&mut self, at: Timestamp, name: &str, undone: bool) {
        let run = self.runs.get_mut(name).unwrap();
        if undone {
            run.done -= 1;
        }
        let executed = Executed { at, run: name.to_owned(), digest: run.digest.clone(), step: run.done, undone };
        if !undone {
            run.done += 1;
        }
        self.history.push(executed);
    }

    /// Steps that were executed although they were done, or undone although they were not.
    pub fn repeated(&self) -> Vec<Executed> {
        let mut done = BTreeMap::new();
        let mut wrong = Vec::new();
        for executed in &self.history {
            let known = done.insert((&executed.run, &executed.digest, executed.step), !executed.undone);
            if known.unwrap_or(false) != executed.undone {
                wrong.push(executed.clone());
            }
        }
        wrong
    }
}
