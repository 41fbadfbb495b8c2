//! What a run may be told: gates, patience, batch sizes.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::plan::Stage;

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

/// Patience and sizes of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The stages that may run.
    pub gates: Gates,
    /// How long to wait for another run to give the database free.
    pub busy_wait: Duration,
    /// How long one step (or one batch) may wait for locks, all tries together.
    pub lock_budget: Duration,
    /// How long to wait for a server that went away.
    pub reconnect_budget: Duration,
    /// First and longest wait for a lock that makes readers or writers queue behind us.
    pub blocking_slice: (Duration, Duration),
    /// Longest run of a transaction whose work does not grow with a table; doubled at each of three tries.
    pub short_statement: Duration,
    /// The plan was made by another process, perhaps long ago, and was approved as it is: a new run starts only
    /// if the catalog is still the one it was made for, and a recorded run goes on only with this very plan.
    pub planned_earlier: bool,
    /// Backfills.
    pub backfill: BackfillOptions,
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gates: Gates::OPEN,
            busy_wait: Duration::from_secs(15),
            lock_budget: Duration::from_secs(600),
            reconnect_budget: Duration::from_secs(120),
            blocking_slice: (Duration::from_millis(100), Duration::from_secs(1)),
            short_statement: Duration::from_secs(5),
            planned_earlier: false,
            backfill: BackfillOptions::default(),
            interrupt: CancellationToken::new(),
        }
    }
}

impl Default for BackfillOptions {
    fn default() -> Self {
        Self { target: Duration::from_millis(150), first: 1_000, least: 100, most: 50_000, nice: 0.0 }
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
