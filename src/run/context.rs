//! What every unit of work needs: session, ownership of the run, patience, and somebody to tell.

use std::time::{Duration, Instant};

use super::error::{Fault, Reason, RunError, ServerError};
use super::failpoint::{Boundary, hit};
use super::ledger::{RunKey, Slot, runs, steps};
use super::options::Options;
use super::parallel::Builds;
use super::progress::{Observer, Progress, ProgressState};
use super::retry::{Attempts, Manner, Next};
use super::session::Session;
use super::sqlstate::{self, Class};
use super::watch::{Blocker, Seen, Watch, name_blockers};
use crate::plan::{Action, Blocks, Postcondition, Step, StepLock};

/// One thing to do and where it is recorded: a step, or one action of a step's undo.
#[derive(Clone, Copy)]
pub(super) struct Unit<'a> {
    /// The step.
    pub step: &'a Step,
    /// Itself, or one of its undo actions.
    pub slot: Slot,
    /// What runs.
    pub action: &'a Action,
    /// How to tell that it is done.
    pub postcondition: &'a Postcondition,
    /// What it locks; empty where that is not known.
    pub locks: &'a [StepLock],
}

impl<'a> Unit<'a> {
    /// The step itself.
    pub fn forward(step: &'a Step) -> Self {
        Self { step, slot: Slot::Forward, action: &step.action, postcondition: &step.postcondition, locks: &step.locks }
    }

    /// Whether the plan knew what it does: then its simulation found every object that it names.
    pub fn foreseeable(&self) -> bool {
        self.step.locks.iter().all(|lock| lock.relation != "*")
    }

    /// How its locks meet the application.
    pub fn manner(&self) -> Manner {
        // Where the locks are not known, the worst is assumed.
        let gentle = !self.locks.is_empty() && self.locks.iter().all(|lock| lock.blocks == Blocks::Nothing);
        if gentle { Manner::Gentle } else { Manner::Blocking }
    }
}

/// What a run has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Steps done in the ledger.
    pub steps_done: i64,
    /// Steps undone by a rollback.
    pub steps_undone: i64,
    /// Whether anything in the database was changed, by this process or an earlier one of the same run.
    pub changed: bool,
    /// Rows written by backfills.
    pub rows_done: i64,
    /// Where an interrupted run was taken up.
    pub resumed_at: Option<String>,
    /// See [`super::progress::Summary`].
    pub batches_redone: i64,
}

/// A run in execution.
pub(super) struct Context<'a> {
    /// Connections.
    pub session: Session,
    /// Name and epoch.
    pub run: RunKey,
    /// Patience.
    pub options: &'a Options,
    /// Who is told.
    pub observer: &'a dyn Observer,
    /// When the process began with the run.
    pub started: Instant,
    /// What it has come to.
    pub tally: Tally,
    /// Index builds that go on beside the step that it is at.
    pub builds: Builds,
}

impl Context<'_> {
    /// Tells about a unit.
    pub fn tell(&self, unit: &Unit<'_>, state: ProgressState, rows: (i64, Option<i64>), blockers: Vec<Blocker>) {
        self.tell_more(unit, state, rows, blockers, None);
    }

    /// Tells about a unit, and why it is held or what it is doing.
    pub fn tell_more(
        &self,
        unit: &Unit<'_>,
        state: ProgressState,
        rows: (i64, Option<i64>),
        blockers: Vec<Blocker>,
        detail: Option<String>,
    ) {
        self.observer.progress(&Progress {
            step: Some(unit.step.id.clone()),
            stage: Some(unit.step.stage),
            state,
            rows_done: rows.0,
            rows_total: rows.1,
            elapsed_milliseconds: milliseconds(self.started.elapsed()),
            detail,
            blockers,
            summary: None,
        });
        hit(Boundary::Reported);
    }

    /// Starts counting the tries of a unit.
    pub fn attempts(&self, manner: Manner) -> Attempts {
        Attempts::new(manner, self.options, self.session.server.deadlock_timeout)
    }

    /// When to look at blockers during a try.
    pub fn watch(&self, attempts: &Attempts, long: bool) -> Watch {
        match attempts.manner() {
            Manner::Blocking => Watch {
                after: attempts.slice() / 2,
                every: (attempts.slice() / 4).max(Duration::from_millis(50)),
                // One lock at a time is bounded by the slice; what several add up to is bounded here.
                yield_after: (!long).then(|| attempts.slice() + Duration::from_millis(50)),
                phases: false,
            },
            Manner::Gentle => Watch {
                after: Duration::from_millis(500),
                every: Duration::from_secs(1),
                yield_after: None,
                phases: false,
            },
        }
    }

    /// Runs one statement and tells who makes it wait.
    pub async fn execute(&self, unit: &Unit<'_>, sql: &str, watch: Watch) -> Result<(), Fault> {
        let told = |seen: &Seen| self.tell(unit, ProgressState::Waiting, (0, None), seen.blockers.clone());
        self.session.watched(self.session.client().batch_execute(sql), Some(watch), told).await
    }

    /// After a try failed: pauses, connects again, or ends with the error to give.
    pub async fn recover(&mut self, unit: &Unit<'_>, attempts: &mut Attempts, fault: Fault) -> Result<(), RunError> {
        let recovered = match fault {
            Fault::Fatal(error) => Err(error),
            Fault::Interrupted => Err(interrupted()),
            Fault::Lost => self.reconnect(attempts).await,
            Fault::Server(error) => match sqlstate::classify(&error.sqlstate) {
                Class::Gone => self.reconnect(attempts).await,
                class => self.wait(unit, attempts, class, &error).await,
            },
        };
        recovered.map_err(|error| error.at(&unit.step.id))
    }

    async fn reconnect(&mut self, attempts: &mut Attempts) -> Result<(), RunError> {
        if !attempts.lost() {
            return Err(RunError::new(
                Reason::ConnectionLost,
                "the connection was lost again and again in the same place; look at the server's log, then run it \
                 again to resume",
            ));
        }
        loop {
            self.session.reopen(self.options).await?;
            match runs::assert_ours(self.session.client(), &self.run, self.tally.steps_done).await {
                Ok(()) => return Ok(()),
                Err(Fault::Fatal(error)) => return Err(error),
                Err(Fault::Interrupted) => return Err(interrupted()),
                Err(Fault::Server(error)) if sqlstate::classify(&error.sqlstate) != Class::Gone => {
                    return Err(self.refused(&error));
                }
                Err(Fault::Lost | Fault::Server(_)) => {}
            }
        }
    }

    async fn wait(
        &self,
        unit: &Unit<'_>,
        attempts: &mut Attempts,
        class: Class,
        error: &ServerError,
    ) -> Result<(), RunError> {
        let blockers = self.session.blockers();
        if class == Class::Lock && !blockers.is_empty() {
            attempts.evict_autovacuum |= blockers.iter().any(|blocker| blocker.autovacuum);
            attempts.blockers.clone_from(&blockers);
        }
        match attempts.after(class, self.session.yielded()) {
            Next::GiveUp if self.tally.changed && unit.foreseeable() && sqlstate::is_about_names(&error.sqlstate) => {
                Err(RunError {
                    sqlstate: Some(error.sqlstate.clone()),
                    ..RunError::new(
                        Reason::ObjectDiffers,
                        format!(
                            "{}: the schema is not as the steps before have left it, somebody has changed it; undo \
                             that, then run it again to go on from here",
                            error.message
                        ),
                    )
                })
            }
            Next::GiveUp => Err(self.refused(error)),
            Next::Spent => Err(RunError {
                sqlstate: Some(error.sqlstate.clone()),
                ..RunError::new(
                    Reason::LockBudgetSpent,
                    format!(
                        "waited {} s for a lock: {}; run it again when that has ended",
                        self.options.lock_budget.as_secs(),
                        name_blockers(&attempts.blockers)
                    ),
                )
            }),
            Next::Again(pause) => {
                self.tell(unit, ProgressState::Waiting, (0, None), blockers);
                self.session.pause(pause).await.map_err(|_| interrupted())
            }
        }
    }

    /// The server's refusal as the run's end.
    pub fn refused(&self, error: &ServerError) -> RunError {
        let reason = match error.sqlstate.as_str() {
            "57014" => Reason::StatementTimeout,
            "53100" => Reason::DiskFull,
            "42501" | "01006" | "01007" if !self.tally.changed => Reason::MissingPrivilege,
            code if code.starts_with("23") => Reason::ConstraintViolated,
            _ => Reason::StatementFailed,
        };
        RunError { sqlstate: Some(error.sqlstate.clone()), ..RunError::new(reason, error.message.clone()) }
    }

    /// Whether the ledger says that the unit is done: asked after a connection was lost at a COMMIT.
    pub async fn recorded(&self, unit: &Unit<'_>) -> Result<bool, Fault> {
        let record = steps::read_one(self.session.client(), &self.run, &unit.step.id).await?;
        Ok(match unit.slot {
            Slot::Forward => record.state == steps::StepState::Done,
            Slot::Undo(index) => record.undone_actions > index,
        })
    }
}

/// Asked to stop.
pub(super) fn interrupted() -> RunError {
    RunError::new(Reason::Interrupted, "interrupted; run it again to resume")
}

/// For JSON.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
