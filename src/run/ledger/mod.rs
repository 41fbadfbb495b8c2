//! The ledger: tables in the schema `wesley` of the target database; the one truth about what has been done.
//!
//! Every write asserts the epoch of the run that makes it, while it locks the run's row until its transaction
//! ends: a runner that was taken over writes nothing, and one that takes over waits for what is being written.

pub(super) mod cursor;
pub(super) mod runs;
pub(super) mod schema;
pub(super) mod script;
pub(super) mod steps;

use super::error::{Fault, Reason, RunError};

/// For the rest of a transaction, names mean the server's own objects and not what a path of the role, or one that the
/// author's code has set, finds first. The session's path is the role's again when the transaction ends.
///
/// Statements outside of such transactions run in the role's path: they name the schema of all that they call.
pub(super) const OWN_NAMES: &str = "RESET search_path; SET LOCAL search_path TO pg_catalog, pg_temp";

/// Ends a transaction with [`OWN_NAMES`]: what is deferred to its end is the author's, and runs in the role's path.
pub(super) const COMMIT: &str = "RESET search_path; COMMIT";

/// A run and the epoch in which this process owns it.
#[derive(Clone, Debug)]
pub(super) struct RunKey {
    /// Name of the run.
    pub name: String,
    /// Epoch.
    pub epoch: i64,
}

/// Which direction's record of a step is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The step itself.
    Forward,
    /// One of its undo actions, by index.
    Undo(usize),
}

impl Slot {
    /// As stored: -1 for the step itself.
    fn number(self) -> i32 {
        match self {
            Self::Forward => -1,
            Self::Undo(index) => i32::try_from(index).unwrap_or(i32::MAX),
        }
    }
}

/// The common beginning of every write: one row while the run is ours, locked until the transaction ends.
macro_rules! fenced {
    ($sql:literal) => {
        concat!("WITH fence AS (SELECT name FROM wesley.runs WHERE name = $1 AND epoch = $2 FOR SHARE) ", $sql)
    };
}
pub(super) use fenced;

/// A newer run has taken over.
fn taken_over(run: &RunKey) -> Fault {
    RunError::new(
        Reason::Fenced,
        format!("a newer process has taken over the run {}; this one has stopped without writing", run.name),
    )
    .into()
}

/// Turns "no row written" into [`Reason::Fenced`].
fn assert_written(run: &RunKey, rows: u64) -> Result<(), Fault> {
    if rows == 0 { Err(taken_over(run)) } else { Ok(()) }
}

/// What the ledger should not hold.
fn corrupt(what: &str) -> RunError {
    RunError::new(
        Reason::LedgerCorrupt,
        format!("the ledger (schema wesley) {what}; it was changed by hand or by another program"),
    )
}
