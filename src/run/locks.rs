//! Taking a step's locks so that what it holds while it waits is bounded as a whole.

use std::time::{Duration, Instant};

use super::context::{Context, Unit};
use super::error::Fault;
use super::retry::{Attempts, gentle_slice};
use crate::plan::{Blocks, LockMode};

/// Tables whose readers or writers a unit blocks and that `LOCK TABLE` may be used on, in the plan's order.
pub(super) async fn blocking_tables(context: &Context<'_>, unit: &Unit<'_>) -> Result<Vec<(String, LockMode)>, Fault> {
    let wanted: Vec<(&str, LockMode)> = unit
        .locks
        .iter()
        .filter(|lock| lock.blocks != Blocks::Nothing && lock.relation != "*")
        .map(|lock| (lock.relation.as_str(), lock.mode))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    let rows = context
        .session
        .client()
        .query(
            "SELECT w.name FROM pg_catalog.unnest($1::text[]) AS w(name)
             JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(w.name)
             WHERE c.relkind IN ('r', 'p')
               AND (pg_catalog.pg_has_role(c.relowner, 'USAGE')
                    OR pg_catalog.has_table_privilege(c.oid, 'UPDATE')
                    OR pg_catalog.has_table_privilege(c.oid, 'DELETE')
                    OR pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'))",
            &[&names],
        )
        .await?;
    let mut lockable = std::collections::HashSet::new();
    for row in rows {
        lockable.insert(row.try_get::<_, String>(0)?);
    }
    Ok(wanted.into_iter().filter(|(name, _)| lockable.contains(*name)).map(|(n, m)| (n.to_owned(), m)).collect())
}

/// Inside the transaction, before its statements.
///
/// `lock_timeout` counts for each lock, so that three tables could be waited for three slices while the first is
/// already held: all locks together get one slice. Autovacuum gives way only to who waits longer than
/// `deadlock_timeout`; it is made to by a mode that no reader and no writer queues behind, which also keeps
/// it away while the strong mode is asked for.
pub(super) async fn take(context: &Context<'_>, unit: &Unit<'_>, attempts: &Attempts) -> Result<(), Fault> {
    let tables = blocking_tables(context, unit).await?;
    let watch = context.watch(attempts, false);
    if attempts.evict_autovacuum {
        let patience = gentle_slice(context.session.server.deadlock_timeout);
        for (table, _) in &tables {
            let lock = lock_table(table, LockMode::ShareUpdateExclusive, patience);
            context.execute(unit, &lock, watch).await?;
        }
    }
    if tables.len() < 2 {
        return Ok(());
    }
    let until = Instant::now() + attempts.slice();
    for (table, mode) in &tables {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        context.execute(unit, &lock_table(table, *mode, left), watch).await?;
    }
    Ok(())
}

fn lock_table(table: &str, mode: LockMode, patience: Duration) -> String {
    format!("SET LOCAL lock_timeout = {}; LOCK TABLE ONLY {table} IN {} MODE", patience.as_millis().max(1), mode.sql())
}
