//! Vacuum between batches, so that a table does not grow by a version of every row.

use super::hold::Signs;
use super::statement;
use crate::plan::Backfill;
use crate::run::context::Context;
use crate::run::error::Fault;
use crate::run::failpoint::{Boundary, hit};
use crate::run::options::Holds;
use crate::run::retry::gentle_slice;

/// Rows that have to be changed since the last time, and to be dead, at least: small tables are left to autovacuum.
pub(super) const FEWEST: i64 = 50_000;

/// Whether dead rows are so many, and so many rows were changed since the last vacuum, that another one pays.
pub(super) fn is_due(signs: &Signs, limits: &Holds, rows: (i64, Option<i64>), vacuumed_at: i64) -> bool {
    let Some((dead, limit)) = signs.dead_ratio.zip(limits.dead_ratio) else { return false };
    let since = rows.0 - vacuumed_at;
    let total = rows.1.unwrap_or(since).max(1);
    // Room that is made at the end is not used by the backfill any more.
    let ends = rows.1.is_some_and(|total| total - rows.0 < total / 5);
    #[allow(clippy::cast_precision_loss)]
    let share = since as f64 / total as f64;
    dead > limit && since >= FEWEST && share >= limit && !ends
}

/// Vacuums. Where it cannot (no right to, a lock that is held), the next time may be better. The end of the table is
/// not cut off: that needs a lock that readers wait behind.
pub(super) async fn run(context: &Context<'_>, spec: &Backfill) -> Result<(), Fault> {
    let client = context.session.client();
    let patience = gentle_slice(context.session.server.deadlock_timeout);
    client.batch_execute(&format!("SET lock_timeout = {}", patience.as_millis())).await?;
    let statement = format!("VACUUM (TRUNCATE false) {}", statement::table(spec));
    let done = context.session.statement(client.batch_execute(&statement)).await;
    let reset = client.batch_execute("SET lock_timeout = '5s'").await;
    hit(Boundary::Vacuumed);
    match done {
        Ok(()) | Err(Fault::Server(_)) => Ok(reset?),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_due_when_it_pays() {
        let limits = Holds { dead_ratio: Some(0.25), ..Holds::default() };
        let signs = |dead| Signs { dead_ratio: Some(dead), ..Signs::default() };
        for (dead, rows, vacuumed_at, due) in [
            (0.3, 300_000, 0, true),
            (0.2, 300_000, 0, false),
            (0.3, 300_000, 200_000, false),
            (0.3, 600_000, 300_000, true),
            (0.9, 1_000, 0, false),
            (0.9, 900_000, 300_000, false),
        ] {
            assert_eq!(is_due(&signs(dead), &limits, (rows, Some(1_000_000)), vacuumed_at), due, "{dead} {rows}");
        }
        assert!(!is_due(&Signs::default(), &limits, (1_000_000, None), 0));
    }
}
