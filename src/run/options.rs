//! What a run may be told: gates, patience, batch sizes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::source::FileRun;
use super::terminate::Terminate;
use crate::api::backfill::PrometheusHold;
use crate::api::validation_window::Guards;
use crate::catalog::introspect::Moment;
use crate::plan::{Stage, Step};

/// The stages that may run now. The others are always open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// Steps that read whole tables or build indexes.
    pub validate: bool,
    /// Steps that remove what is no longer needed.
    pub contract: bool,
}

impl Gates {
    /// Everything may run.
    pub const OPEN: Self = Self { validate: true, contract: true };

    /// Whether steps of `stage` may run.
    pub const fn allow(self, stage: Stage) -> bool {
        match stage {
            Stage::Validate => self.validate,
            Stage::Contract => self.contract,
            Stage::Expand | Stage::Backfill | Stage::Switch => true,
        }
    }
}

/// The end of the window that steps of stage `Validate` run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowEnd {
    /// When it closes.
    pub closes_at: Timestamp,
    /// Seconds of the longest of its openings to come: a validation that takes longer fits into none of them.
    pub longest_seconds: i64,
    /// Whether a validation that is still running then is cancelled. If not, it goes on to its end.
    pub cancel: bool,
}

impl WindowEnd {
    /// Whether a validation step may begin now, whatever this run has done before: it fits into the rest of the
    /// opening, or waiting for another one would not help and it may overrun.
    pub fn admits(self, step: &Step, now: Timestamp) -> bool {
        // Whole seconds, as the operator reckons: what it calls too long afterwards is what was too long here.
        let rest = self.closes_at.as_second() - now.as_second();
        let seconds = step.estimate.seconds_least;
        self.closes_at > now && (seconds <= rest || !self.cancel && seconds > self.longest_seconds)
    }

    /// Cancels `interrupt` when the window closes, where it is to be so.
    pub fn watch(self, interrupt: CancellationToken) {
        if !self.cancel {
            return;
        }
        let rest = self.closes_at.duration_since(Timestamp::now());
        tokio::spawn(async move {
            tokio::time::sleep(rest.try_into().unwrap_or_default()).await;
            interrupt.cancel();
        });
    }
}

/// Patience and sizes of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The stages that may run.
    pub gates: Gates,
    /// The window that validation runs in, if there is one.
    pub window: Option<WindowEnd>,
    /// What the database must be like for a validation step to begin.
    pub guards: Option<Guards>,
    /// How long to wait for another run to give the database free.
    pub busy_wait: Duration,
    /// How long one step (or one batch) may wait for locks, all tries together.
    pub lock_budget: Duration,
    /// How long to wait for a server that went away.
    pub reconnect_budget: Duration,
    /// First and longest wait for a lock that makes readers or writers queue behind us.
    pub blocking_slice: (Duration, Duration),
    /// Whose sessions are ended when they keep a table from a step.
    pub terminate: Terminate,
    /// Longest run of a transaction whose work does not grow with a table; doubled at each of three tries.
    pub short_statement: Duration,
    /// The plan was made by another process, perhaps long ago, and was approved as it is: a recorded run goes on only
    /// with this very plan. (A new run starts only if the catalog is still the one that its plan was made for, always.)
    pub planned_earlier: bool,
    /// When the catalog was read that the plan was made for, if this process knows: while nothing has happened in the
    /// database since, it is not read again.
    pub planned_at: Option<Moment>,
    /// Most indexes that are built at a time, each on another table; 0 is as 1.
    pub index_builds: usize,
    /// Backfills.
    pub backfill: BackfillOptions,
    /// When backfills wait.
    pub holds: Holds,
    /// File with another speed and other limits of backfills, read again while one runs: JSON of
    /// [`crate::api::backfill::BackfillTuning`].
    pub tuning: Option<PathBuf>,
    /// The long runs of statements that this process has read.
    pub runs: Vec<Arc<FileRun>>,
    /// Cancelled to stop the run: the running statement is cancelled and rolled back.
    pub interrupt: CancellationToken,
}

/// Sizes of a backfill's batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackfillOptions {
    /// How long a batch should take.
    pub target: Duration,
    /// Rows of the first batch.
    pub first: i64,
    /// Fewest rows of a batch, unless one is split to find a bad row.
    pub least: i64,
    /// Most rows of a batch.
    pub most: i64,
    /// Pause after each batch, as a multiple of the batch's duration.
    pub nice: f64,
    /// Most rows in a second; `None`: as many as it can.
    pub rows_per_second: Option<i64>,
}

/// Limits over which a backfill waits between two batches; `None`: never for that.
#[derive(Clone, Debug, PartialEq)]
pub struct Holds {
    /// How often the signs are looked at.
    pub every: Duration,
    /// Seconds that a standby is behind.
    pub standby_seconds: Option<f64>,
    /// Bytes of WAL that a standby has not replayed.
    pub standby_bytes: Option<i64>,
    /// Bytes of WAL that a replication slot retains.
    pub slot_bytes: Option<i64>,
    /// WAL segments that are not archived yet.
    pub archive_segments: Option<i64>,
    /// Bytes of WAL that the server writes in a second.
    pub wal_bytes_per_second: Option<i64>,
    /// Whether it waits while others wait for a lock on the table.
    pub lock_waiters: bool,
    /// Dead rows for each live one, over which the table is vacuumed; over twice as many it waits.
    pub dead_ratio: Option<f64>,
    /// Seconds that the oldest transaction in the database has been open.
    pub transaction_seconds: Option<f64>,
    /// Whether it waits while others vacuum the table.
    pub vacuum: bool,
    /// A query; it waits while that gives one row with true.
    pub query: Option<String>,
    /// An address; it waits while that does not answer with success.
    pub http: Option<String>,
    /// A Prometheus and an expression; it waits while that gives anything.
    pub prometheus: Option<PrometheusHold>,
}

impl Default for Holds {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            standby_seconds: Some(30.0),
            standby_bytes: Some(1 << 30),
            slot_bytes: Some(16 << 30),
            archive_segments: Some(42),
            wal_bytes_per_second: None,
            lock_waiters: true,
            dead_ratio: Some(0.5),
            transaction_seconds: None,
            vacuum: false,
            query: None,
            http: None,
            prometheus: None,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gates: Gates::OPEN,
            window: None,
            guards: None,
            busy_wait: Duration::from_secs(15),
            lock_budget: Duration::from_secs(600),
            reconnect_budget: Duration::from_secs(120),
            blocking_slice: (Duration::from_millis(100), Duration::from_millis(500)),
            terminate: Terminate::default(),
            short_statement: Duration::from_secs(5),
            planned_earlier: false,
            planned_at: None,
            index_builds: 1,
            backfill: BackfillOptions::default(),
            holds: Holds::default(),
            tuning: None,
            runs: Vec::new(),
            interrupt: CancellationToken::new(),
        }
    }
}

impl Default for BackfillOptions {
    fn default() -> Self {
        Self {
            target: Duration::from_millis(150),
            first: 2_000,
            least: 100,
            most: 50_000,
            nice: 0.0,
            rows_per_second: None,
        }
    }
}

/// A token that SIGTERM or SIGINT cancels.
///
/// # Errors
/// The operating system's error when the handlers cannot be installed.
pub fn interrupt_on_signals() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(seconds_least: i64) -> Step {
        let json = serde_json::json!({
            "id": "1", "stage": "Validate", "origin": {"statement": 0, "start": 0, "end": 0}, "pattern": "", "description": "",
            "action": {"check": {"query": "", "message": ""}}, "locks": [],
            "estimate": {"rows": 0, "bytes": 0, "secondsLeast": seconds_least, "secondsMost": seconds_least},
            "postcondition": {"recorded": {}}, "undo": {"nothing": {}},
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn validation_begins_inside_its_window_only() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (seconds, now, cancelled, finished) in [
            (10, 90, true, true),
            (10, 91, false, false),
            (0, 99, true, true),
            (0, 100, false, false),
            (0, 500, false, false),
            // It fits into no opening.
            (61, 40, false, true),
            (61, 100, false, false),
        ] {
            for (cancel, admitted) in [(true, cancelled), (false, finished)] {
                let end = WindowEnd { closes_at: at(100), longest_seconds: 60, cancel };
                assert_eq!(end.admits(&step(seconds), at(now)), admitted, "{cancel} {seconds} {now}");
            }
        }
    }
}
