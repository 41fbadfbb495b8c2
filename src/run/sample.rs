//! Activity of a database: what the server has counted since the last reading, kept in the ledger by the hour.
//!
//! Six weeks of hours are kept, so at most 1009 rows. The readings are of `pg_stat_database`, which every role may
//! read: `xact_commit`, `tup_inserted`, `tup_updated`, `tup_deleted` are totals since `stats_reset`.

use tokio_postgres::Client;

use super::error::{Fault, Reason, RunError};
use super::ledger::schema;
use super::{preflight, session};
use crate::inspect::activity::{Activity, Hour, spread, suggest};

/// The server's totals at this moment, in whole seconds since 1970.
const READ: &str = "\
SELECT extract(epoch FROM pg_catalog.clock_timestamp())::bigint, xact_commit, tup_inserted + tup_updated + tup_deleted,
       coalesce(extract(epoch FROM stats_reset)::bigint, 0)
FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database()";

/// The last reading; who comes second waits, and finds nothing new.
const LAST: &str = "SELECT taken_at, transactions, rows_changed, stats_reset FROM wesley.activity_reading FOR UPDATE";

const KEEP: &str = "\
INSERT INTO wesley.activity_reading (taken_at, transactions, rows_changed, stats_reset) VALUES ($1, $2, $3, $4)
ON CONFLICT (single) DO UPDATE SET (taken_at, transactions, rows_changed, stats_reset)
    = (excluded.taken_at, excluded.transactions, excluded.rows_changed, excluded.stats_reset)";

const ADD: &str = "\
INSERT INTO wesley.activity AS a (hour, seconds, transactions, rows_changed) VALUES ($1, $2, $3, $4)
ON CONFLICT (hour) DO UPDATE SET seconds = least(a.seconds + excluded.seconds, 3600),
    transactions = a.transactions + excluded.transactions, rows_changed = a.rows_changed + excluded.rows_changed";

/// Hours that are kept: six weeks.
const HOURS_KEPT: i64 = 6 * 168;

/// A reading of the server's totals.
#[derive(Clone, Copy)]
struct Reading {
    taken_at: i64,
    transactions: i64,
    rows_changed: i64,
    stats_reset: i64,
}

impl Reading {
    fn of(row: &tokio_postgres::Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            taken_at: row.try_get(0)?,
            transactions: row.try_get(1)?,
            rows_changed: row.try_get(2)?,
            stats_reset: row.try_get(3)?,
        })
    }

    /// What happened since an earlier one; nothing when the server has begun to count anew, as after a crash.
    fn since(self, before: Self) -> Vec<Hour> {
        let (transactions, rows) = (self.transactions - before.transactions, self.rows_changed - before.rows_changed);
        if self.stats_reset != before.stats_reset || transactions < 0 || rows < 0 {
            return Vec::new();
        }
        spread(before.taken_at, self.taken_at, transactions, rows)
    }
}

/// Reads, records, and says what is known of the hours of the week.
pub(super) async fn sample(client: &Client) -> Result<Activity, Fault> {
    let server = preflight::prepare(client).await?;
    if !schema::is_current(client).await? {
        prepare_ledger(client, &server.identity.database).await?;
    }
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '30s'").await?;
    let hours = record(client).await;
    client.batch_execute(if hours.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    Ok(suggest(&hours?))
}

/// The ledger's tables are made under the lock that keeps executions apart.
pub(super) async fn prepare_ledger(client: &Client, database: &str) -> Result<(), Fault> {
    let key = session::lock_key();
    let held: bool = client.query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&key]).await?.try_get(0)?;
    if !held {
        return Err(RunError::new(
            Reason::DatabaseBusy,
            "another run holds this database; try again when it has ended",
        )
        .into());
    }
    let prepared = schema::prepare(client, database).await;
    client.execute("SELECT pg_catalog.pg_advisory_unlock($1)", &[&key]).await?;
    prepared
}

async fn record(client: &Client) -> Result<Vec<Hour>, Fault> {
    let last = client.query_opt(LAST, &[]).await?.map(|row| Reading::of(&row)).transpose()?;
    let now = Reading::of(&client.query_one(READ, &[]).await?)?;
    for hour in last.map(|last| now.since(last)).unwrap_or_default() {
        client.execute(ADD, &[&hour.number, &hour.seconds, &hour.transactions, &hour.rows_changed]).await?;
    }
    client.execute(KEEP, &[&now.taken_at, &now.transactions, &now.rows_changed, &now.stats_reset]).await?;
    let oldest = now.taken_at.div_euclid(3_600) - HOURS_KEPT;
    client.execute("DELETE FROM wesley.activity WHERE hour < $1", &[&oldest]).await?;
    let rows = client.query("SELECT hour, seconds, transactions, rows_changed FROM wesley.activity", &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Hour {
                number: row.try_get(0)?,
                seconds: row.try_get(1)?,
                transactions: row.try_get(2)?,
                rows_changed: row.try_get(3)?,
            })
        })
        .collect()
}
