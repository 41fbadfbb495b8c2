//! Named boundaries at which a test build can be made to die: `WESLEY_FAILPOINT=<name>[:n]` ends the process
//! at the n-th time (from 1) that the boundary is reached, `any:n` at the n-th boundary of whatever name.
//!
//! Active only in builds with debug assertions or the feature `failpoints`. The process ends as if killed: no
//! destructor runs, the kernel closes the sockets.

use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The boundaries.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::EnumIter, strum::Display, strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Boundary {
    /// Connected, with the advisory lock; nothing is written.
    Connected,
    /// The ledger's tables are made or brought up to date.
    LedgerPrepared,
    /// The run's row and its steps are written, not committed.
    RunWritten,
    /// A recorded run is taken over by this process.
    TakenOver,
    /// Progress has been told.
    Reported,
    /// The run's row and its steps are recorded; no step has started.
    RunRecorded,
    /// A transaction step has begun its transaction.
    TransactionBegun,
    /// Before each statement of a transaction step.
    BeforeStatement,
    /// After each statement of a transaction step.
    AfterStatement,
    /// The ledger row is written, the transaction not committed.
    BeforeCommit,
    /// The transaction is committed.
    AfterCommit,
    /// Before a concurrent step's intent is recorded.
    BeforeIntent,
    /// The intent is recorded, the statement not sent.
    AfterIntent,
    /// An invalid leftover has been dropped.
    AfterRepair,
    /// A concurrent step's statement has ended, nothing is recorded.
    AfterConcurrent,
    /// A concurrent step is recorded as done.
    AfterConcurrentRecorded,
    /// A backfill's bounds are recorded.
    CursorOpened,
    /// A batch's transaction has begun.
    BatchBegun,
    /// A batch's rows are changed, its cursor is not.
    BatchUpdated,
    /// A batch's cursor is moved, its transaction not committed.
    BatchRecorded,
    /// A batch is committed.
    BatchCommitted,
    /// All batches are done, the step is not recorded.
    BackfillFinished,
    /// A backfill is recorded as done.
    BackfillRecorded,
    /// A check has been answered.
    CheckAnswered,
    /// A restore point is made and recorded.
    RestorePoint,
    /// A table has been vacuumed between two batches.
    Vacuumed,
    /// A rollback is recorded as begun.
    RollbackRecorded,
    /// A step is recorded as undone.
    StepUndone,
    /// All steps are done, the run is not recorded as such.
    BeforeFinish,
    /// The run is recorded as finished.
    AfterFinish,
}

/// Ends the process when this boundary is the chosen one.
pub(super) fn hit(boundary: Boundary) {
    if !cfg!(any(debug_assertions, feature = "failpoints")) {
        return;
    }
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    static HITS: AtomicU32 = AtomicU32::new(0);
    let armed = ARMED.get_or_init(|| std::env::var("WESLEY_FAILPOINT").ok().and_then(|text| text.parse().ok()));
    if let Some(armed) = armed
        && armed.boundary.is_none_or(|chosen| chosen == boundary)
        && HITS.fetch_add(1, Ordering::Relaxed) + 1 == armed.count
    {
        std::process::abort();
    }
}

#[derive(Debug, PartialEq)]
struct Armed {
    /// `None`: any.
    boundary: Option<Boundary>,
    count: u32,
}

impl FromStr for Armed {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, count) = text.split_once(':').unwrap_or((text, "1"));
        let boundary = if name == "any" { None } else { Some(name.parse().map_err(|_| ())?) };
        Ok(Self { boundary, count: count.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_name_and_count() {
        assert_eq!("after-commit".parse(), Ok(Armed { boundary: Some(Boundary::AfterCommit), count: 1 }));
        assert_eq!("any:17".parse(), Ok(Armed { boundary: None, count: 17 }));
        assert!("after-coffee".parse::<Armed>().is_err());
    }
}
