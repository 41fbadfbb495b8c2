//! Waiting for a table's lock without standing in its queue.
//!
//! A request that readers or writers queue behind makes them wait as long as it waits itself. While a transaction
//! that will not end soon holds the table, asking achieves nothing but that: so it is watched until it is gone, and
//! only then is the lock asked for, in a short slice, against what comes and goes in milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::context::{Context, Unit};
use super::error::{Fault, ServerError};
use super::locks;
use super::progress::ProgressState;
use super::retry::Attempts;
use super::terminate;
use super::watch::Blocker;
use crate::plan::LockMode;

/// Between two looks. What is gone by the second one was no reason to stay out.
const EVERY: Duration = Duration::from_millis(25);
/// Between two reports of who is waited for.
const REPORT: Duration = Duration::from_millis(500);

// A transaction is known by its virtual id, a prepared one has no process. Autovacuum gives way only to who stands
// in the queue.
const HOLDERS: &str = "\
SELECT DISTINCT l.virtualtransaction, coalesce(l.pid, 0), coalesce(a.application_name, ''),
       coalesce(a.state, 'unknown'), extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::bigint, a.query
FROM unnest($1::text[], $2::text[]) AS w(name, modes)
JOIN pg_catalog.pg_locks l ON l.relation = pg_catalog.to_regclass(w.name)
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.mode = ANY (string_to_array(w.modes, ',')) AND (a.pid IS NULL OR a.usesysid IS NOT NULL)";

/// Returns when every transaction that held the unit's tables at the beginning has ended, or fails like a lock that
/// could not be had when the budget is spent.
pub(super) async fn stay_out(context: &Context<'_>, unit: &Unit<'_>, attempts: &mut Attempts) -> Result<(), Fault> {
    let tables = locks::blocking_tables(context, unit).await?;
    if tables.is_empty() {
        return Ok(());
    }
    let mut known = holders(context, &tables).await?;
    let began = Instant::now();
    let mut reported = began;
    let mut ended = BTreeSet::new();
    while !known.is_empty() {
        context.session.pause(EVERY).await?;
        let mut now = holders(context, &tables).await?;
        now.retain(|transaction, _| known.contains_key(transaction));
        known = now;
        if known.is_empty() {
            break;
        }
        attempts.blockers = known.values().cloned().collect();
        if attempts.left().is_zero() {
            return Err(Fault::Server(ServerError {
                sqlstate: "55P03".to_owned(),
                message: "the lock could not be had".to_owned(),
            }));
        }
        for (transaction, holder) in &known {
            let due = context.options.terminate.covers(holder, began.elapsed());
            if due && ended.insert(transaction.clone()) {
                terminate::end(context, unit, transaction, holder).await?;
            }
        }
        if reported.elapsed() >= REPORT {
            context.tell(unit, ProgressState::Waiting, (0, None), attempts.blockers.clone());
            reported = Instant::now();
        }
    }
    Ok(())
}

async fn holders(context: &Context<'_>, tables: &[(String, LockMode)]) -> Result<BTreeMap<String, Blocker>, Fault> {
    let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
    let modes: Vec<String> = tables.iter().map(|(_, mode)| conflicting(*mode)).collect();
    let client = context.session.client();
    let rows = context.session.statement(client.query(HOLDERS, &[&names, &modes])).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, Blocker::read(row, 1)?))).collect()
}

/// The modes in whose way `mode` stands, as `pg_locks` names them.
fn conflicting(mode: LockMode) -> String {
    let modes: Vec<String> = LockMode::ALL
        .into_iter()
        .filter(|other| mode.conflicts_with(*other))
        .map(|other| format!("{other}Lock"))
        .collect();
    modes.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_named_as_the_server_does() {
        assert_eq!(
            conflicting(LockMode::RowExclusive),
            "ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock"
        );
    }
}
