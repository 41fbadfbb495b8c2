//! Who will hold up a statement that waits, at its end, for transactions which are older than itself: told before it begins,
//! because it may work for hours before it comes to them.

use super::context::{Context, Unit};
use super::error::Fault;
use super::ledger::Slot;
use super::progress::ProgressState;
use super::watch::{Blocker, name};

// What the server waits for: virtual transactions of the same database that hold a snapshot, and whoever has written the
// table, prepared transactions included (`DefineIndex` in indexcmds.c). Neither a replication slot nor a standby's feedback
// is one, though both keep dead rows. What has been open for less than five seconds is taken for an ordinary statement.
const OLDER: &str = "\
SELECT * FROM (
    SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.state, 'unknown'),
           extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::bigint AS age, a.query
    FROM pg_catalog.pg_stat_activity a
    WHERE a.datname = pg_catalog.current_database() AND a.backend_type = 'client backend'
      AND coalesce(a.application_name, '') NOT LIKE 'wesley/%'
      AND a.xact_start < pg_catalog.clock_timestamp() - interval '5 s'
    UNION ALL
    SELECT 0, '', 'unknown', extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::bigint, NULL
    FROM pg_catalog.pg_prepared_xacts p
    WHERE p.database = pg_catalog.current_database() AND EXISTS (
        SELECT FROM pg_catalog.pg_locks own
        JOIN pg_catalog.pg_locks l ON l.virtualtransaction = own.virtualtransaction AND l.pid IS NULL
        JOIN pg_catalog.unnest($1::text[]) AS w(name) ON l.relation = pg_catalog.to_regclass(w.name)
        WHERE own.pid IS NULL AND own.transactionid = p.transaction)
) AS older ORDER BY age DESC LIMIT 5";

/// Tells who they are, if there is anybody.
pub(super) async fn tell(context: &Context<'_>, unit: &Unit<'_>) -> Result<(), Fault> {
    let waits = &unit.step.waits_for_transactions;
    if waits.is_empty() || unit.slot != Slot::Forward {
        return Ok(());
    }
    let rows = context.session.statement(context.session.client().query(OLDER, &[waits])).await?;
    let older: Vec<Blocker> = rows.iter().map(|row| Blocker::read(row, 0)).collect::<Result<_, _>>()?;
    if !older.is_empty() {
        let detail = format!("at its end it waits for transactions older than itself: {}", name(&older));
        tracing::info!(step = unit.step.id, "{detail}");
        context.tell_more(unit, ProgressState::Running, (0, None), Vec::new(), Some(detail));
    }
    Ok(())
}
