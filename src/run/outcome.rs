//! What a run came to, for people, machines and the termination message.

use std::time::{Duration, Instant};

use super::context::{Tally, milliseconds};
use super::error::{Reason, RunError};
use super::progress::{Observer, Progress, ProgressState, Summary};
use crate::exit::Exit;
use crate::plan::{Plan, RollbackClass, Stage};
use crate::report::{Report, RollbackState, RunAction};

/// How a run ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done.
    Done,
    /// They were before.
    AlreadyDone,
    /// The next step is of a stage that is not open.
    Paused(Stage),
    /// Everything done is undone.
    RolledBack,
    /// There was nothing left to undo.
    AlreadyRolledBack,
}

impl Ending {
    /// As one word.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Done => Reason::Done,
            Self::AlreadyDone => Reason::AlreadyDone,
            Self::Paused(_) => Reason::Paused,
            Self::RolledBack => Reason::RolledBack,
            Self::AlreadyRolledBack => Reason::AlreadyRolledBack,
        }
    }
}

/// The end of a run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// How it ended.
    pub ending: Result<Ending, RunError>,
    /// Name of the run.
    pub name: String,
    /// Digest of the plan, once one is known.
    pub plan_digest: Option<String>,
    /// Steps done in the ledger.
    pub steps_done: i64,
    /// Steps undone by a rollback.
    pub steps_undone: i64,
    /// Steps of the plan.
    pub steps_total: i64,
    /// Stage of the first step not done.
    pub next_stage: Option<Stage>,
    /// Rows written by backfills.
    pub rows_done: i64,
    /// What a rollback at this moment would be.
    pub rollback: Option<RollbackState>,
    /// Step at which an interrupted run was taken up.
    pub resumed_at: Option<String>,
    /// See [`Summary::batches_redone`].
    pub batches_redone: i64,
    /// Stage of each step of the plan, by id.
    stages: Vec<(String, Stage)>,
    /// When it began.
    pub(super) started: Instant,
    /// How long it took.
    pub duration: Duration,
}

impl RunOutcome {
    pub(super) fn new(name: &str, started: Instant) -> Self {
        Self {
            ending: Ok(Ending::Done),
            name: name.to_owned(),
            plan_digest: None,
            steps_done: 0,
            steps_undone: 0,
            steps_total: 0,
            next_stage: None,
            rows_done: 0,
            rollback: None,
            resumed_at: None,
            batches_redone: 0,
            stages: Vec::new(),
            started,
            duration: Duration::ZERO,
        }
    }

    /// A run that ended before it began.
    pub fn refused(name: &str, started: Instant, error: RunError) -> Self {
        Self { ending: Err(error), ..Self::new(name, started) }
    }

    /// Copies what is known of plan and progress.
    pub(super) fn describe(&mut self, plan: &Plan, tally: &Tally) {
        if self.stages.is_empty() {
            self.stages = plan.steps.iter().map(|step| (step.id.clone(), step.stage)).collect();
        }
        self.plan_digest = Some(plan.digest.clone());
        self.steps_total = i64::try_from(plan.steps.len()).unwrap_or(i64::MAX);
        self.steps_done = tally.steps_done;
        self.steps_undone = tally.steps_undone;
        self.rows_done = tally.rows_done;
        self.resumed_at.clone_from(&tally.resumed_at);
        self.batches_redone = tally.batches_redone;
        self.next_stage =
            usize::try_from(tally.steps_done).ok().and_then(|done| plan.steps.get(done)).map(|step| step.stage);
    }

    /// Tells the last progress object.
    pub fn finish(&mut self, observer: &dyn Observer) {
        self.duration = self.started.elapsed();
        let state = match &self.ending {
            Ok(Ending::Done | Ending::AlreadyDone) => ProgressState::Done,
            Ok(Ending::Paused(_)) => ProgressState::Waiting,
            Ok(Ending::RolledBack | Ending::AlreadyRolledBack) => ProgressState::Undone,
            Err(_) => ProgressState::Failed,
        };
        observer.progress(&Progress {
            step: self.step().map(str::to_owned),
            stage: match self.ending {
                Ok(Ending::Paused(stage)) => Some(stage),
                _ => {
                    self.step().and_then(|id| self.stages.iter().find(|(step, _)| step == id)).map(|(_, stage)| *stage)
                }
            },
            state,
            rows_done: self.rows_done,
            rows_total: None,
            elapsed_milliseconds: milliseconds(self.duration),
            detail: None,
            blockers: Vec::new(),
            summary: Some(self.summary()),
        });
    }

    /// What the last progress object adds.
    pub fn summary(&self) -> Summary {
        Summary {
            result: self.reason(),
            steps: if self.steps_undone > 0 { self.steps_undone } else { self.steps_done },
            resumed_at: self.resumed_at.clone(),
            batches_redone: self.batches_redone,
            duration_milliseconds: milliseconds(self.duration),
            message: match &self.ending {
                Err(error) => Some(error.message.clone()),
                Ok(Ending::RolledBack) => self.what_stays(),
                Ok(_) => None,
            },
        }
    }

    /// What a rollback that lost something did not bring back.
    fn what_stays(&self) -> Option<String> {
        let state = self.rollback.as_ref().filter(|state| state.class == RollbackClass::Lossy)?;
        Some(format!("undone, but for this: {}; applying it again does that again", state.reason))
    }

    /// Id of the step that the run failed at.
    pub fn step(&self) -> Option<&str> {
        self.ending.as_ref().err().and_then(|error| error.step.as_deref())
    }

    /// One word.
    pub fn reason(&self) -> Reason {
        match &self.ending {
            Ok(ending) => ending.reason(),
            Err(error) => error.reason,
        }
    }

    /// The process exit code.
    pub fn exit(&self) -> Exit {
        self.reason().exit()
    }

    /// The termination message.
    pub fn report(&self, action: RunAction) -> Report {
        let failure = self.ending.as_ref().err();
        let clip = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
        let message = clip_text(failure.map(|error| error.message.as_str()).unwrap_or_default());
        Report {
            digest: self.plan_digest.clone(),
            steps_done: clip(self.steps_done),
            steps_total: clip(self.steps_total),
            next_stage: self.next_stage,
            step: self.step().map(str::to_owned),
            sqlstate: failure.and_then(|error| error.sqlstate.clone()),
            rows_done: self.rows_done,
            rollback: self.rollback.clone(),
            ..Report::new(action, i32::from(self.exit().code()), &self.reason().to_string(), message)
        }
    }
}

/// At most 1 KiB, cut at a character.
pub(super) fn clip_text(text: &str) -> String {
    let end = (0..=text.len().min(1024)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}
