//! Why a backfill waits between two batches: signs of a server or of replicas that cannot keep up.
//!
//! Any one sign holds it. A sign that the role may not see, or the server does not have, holds nothing.

use std::time::{Duration, Instant};

use super::outside::Outside;
use super::table::Table;
use super::tuning::Tuning;
use super::{statement, vacuum};
use crate::plan::Backfill;
use crate::run::context::{Context, Unit};
use crate::run::error::Fault;
use crate::run::options::Holds;
use crate::run::progress::ProgressState;

/// After which a vacuum that did not help is tried again.
const VACUUM_AGAIN: Duration = Duration::from_secs(30);

/// What was seen; `None`: cannot be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Signs {
    /// Longest `replay_lag` of a standby, in seconds.
    pub standby_seconds: Option<f64>,
    /// Most WAL that a standby has not replayed.
    pub standby_bytes: Option<i64>,
    /// Most WAL that a replication slot retains.
    pub slot_bytes: Option<i64>,
    /// Name of a slot that is about to lose WAL it needs.
    pub slot_in_danger: Option<String>,
    /// WAL segments not archived yet.
    pub archive_segments: Option<i64>,
    /// Bytes of WAL written by everybody since the last look, a second.
    pub wal_bytes_per_second: Option<i64>,
    /// Sessions that wait for a lock on the table.
    pub lock_waiters: i64,
    /// Dead rows for each live one; `None` also when they are few.
    pub dead_ratio: Option<f64>,
    /// Whether the table has been vacuumed since the last batch.
    pub vacuumed: bool,
    /// Seconds that the oldest transaction in the database has been open.
    pub transaction_seconds: Option<f64>,
    /// Vacuums of the table that run.
    pub vacuums: i64,
    /// What those say whom the user has given to ask, when they say that it waits.
    pub told: Option<String>,
}

/// The watch over one backfill.
pub(super) struct Watch {
    looked: Option<Instant>,
    wal: Option<(i64, Instant)>,
    outside: Outside,
    /// Rows changed when the table was vacuumed last.
    vacuumed_at: i64,
}

// Everything in one look. Columns of other roles' sessions are null without `pg_monitor`.
const LOOK: &str = "\
SELECT (SELECT extract(epoch FROM pg_catalog.max(replay_lag))::float8 FROM pg_catalog.pg_stat_replication),
       (SELECT pg_catalog.max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn))::bigint FROM pg_catalog.pg_stat_replication),
       (SELECT pg_catalog.max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn))::bigint FROM pg_catalog.pg_replication_slots
        WHERE wal_status IS DISTINCT FROM 'lost'),
       (SELECT pg_catalog.min(slot_name)::text FROM pg_catalog.pg_replication_slots WHERE wal_status = 'unreserved'),
       CASE WHEN pg_catalog.current_setting('archive_mode') <> 'off' THEN (
           SELECT (pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')
                   / (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'))::bigint
                - ('x' || pg_catalog.substr(last_archived_wal, 9, 8))::bit(32)::bigint
                  * (4294967296 / (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'))
                - ('x' || pg_catalog.substr(last_archived_wal, 17, 8))::bit(32)::bigint
           FROM pg_catalog.pg_stat_archiver WHERE last_archived_wal ~ '^[0-9A-F]{24}$') END,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::bigint,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks
        WHERE locktype = 'relation' AND NOT granted AND relation = $1::bigint::oid
          AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())),
       CASE WHEN pg_catalog.pg_stat_get_dead_tuples($1::bigint::oid) >= $2::bigint THEN
           pg_catalog.pg_stat_get_dead_tuples($1::bigint::oid)::float8
           / (SELECT greatest(CASE WHEN reltuples >= 0 THEN reltuples
                                   ELSE pg_catalog.pg_stat_get_live_tuples($1::bigint::oid) END, 1)
              FROM pg_catalog.pg_class WHERE oid = $1::bigint::oid) END,
       (SELECT extract(epoch FROM pg_catalog.max(pg_catalog.clock_timestamp() - began))::float8 FROM (
            SELECT xact_start FROM pg_catalog.pg_stat_activity
            WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND backend_type = 'client backend'
              AND datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
              AND pid NOT IN (SELECT pid FROM pg_catalog.pg_stat_progress_vacuum)
            UNION ALL SELECT prepared FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()) AS open (began)),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_progress_vacuum WHERE relid = $1::bigint::oid AND datname = pg_catalog.current_database())";

// A session tells its own counts once a second at most, and what has not been told is not seen. (PostgreSQL 15,
// pgstat_report_stat; before it, a process of its own collects them.)
const TELL: &str = "SELECT pg_catalog.pg_stat_force_next_flush()";

impl Watch {
    pub fn new(rows_done: i64) -> Self {
        Self { looked: None, wal: None, outside: Outside::default(), vacuumed_at: rows_done }
    }

    /// Returns when no sign holds the backfill any more; vacuums the table where that is what helps.
    pub async fn pass(
        &mut self,
        context: &Context<'_>,
        unit: &Unit<'_>,
        spec: &Backfill,
        table: &Table,
        rows: (i64, Option<i64>),
        tuning: &mut Tuning,
    ) -> Result<(), Fault> {
        let mut held: Option<Instant> = None;
        let mut vacuumed: Option<Instant> = None;
        loop {
            let every = tuning.holds.every;
            if self.looked.is_some_and(|looked| looked.elapsed() < every) {
                return Ok(());
            }
            tuning.refresh();
            let mut signs = self.look(context, table, &tuning.holds).await?;
            self.looked = Some(Instant::now());
            let again = vacuumed.is_some_and(|at| at.elapsed() >= VACUUM_AGAIN);
            if again || vacuum::is_due(&signs, &tuning.holds, rows, self.vacuumed_at) {
                context.tell_more(unit, ProgressState::Running, rows, Vec::new(), Some("vacuuming".to_owned()));
                vacuum::run(context, spec).await?;
                (self.vacuumed_at, vacuumed) = (rows.0, Some(Instant::now()));
                signs = self.look(context, table, &tuning.holds).await?;
            }
            signs.vacuumed = vacuumed.is_some();
            let Some(reason) = judge(&signs, &tuning.holds, &statement::table(spec)) else {
                return Ok(());
            };
            let since = held.get_or_insert_with(Instant::now).elapsed().as_secs();
            let detail = format!("held for {since} s: {reason}");
            context.tell_more(unit, ProgressState::Waiting, rows, Vec::new(), Some(detail));
            context.session.pause(every).await?;
        }
    }

    async fn look(&mut self, context: &Context<'_>, table: &Table, holds: &Holds) -> Result<Signs, Fault> {
        let client = context.session.client();
        if context.session.server.identity.server_version >= 150_000 {
            client.batch_execute(TELL).await?;
        }
        let row = match context.session.statement(client.query_one(LOOK, &[&table.relation, &vacuum::FEWEST])).await {
            Ok(row) => row,
            // Managed servers hide this and that: then nothing is seen.
            Err(Fault::Server(error)) => {
                tracing::debug!(sqlstate = error.sqlstate, "signs of load cannot be read");
                return Ok(Signs { told: self.told(context, holds).await?, ..Signs::default() });
            }
            Err(fault) => return Err(fault),
        };
        let position: i64 = row.try_get(5)?;
        let before = self.wal.replace((position, Instant::now()));
        Ok(Signs {
            standby_seconds: row.try_get(0)?,
            standby_bytes: row.try_get(1)?,
            slot_bytes: row.try_get(2)?,
            slot_in_danger: row.try_get(3)?,
            archive_segments: row.try_get(4)?,
            wal_bytes_per_second: before.and_then(|(from, at)| rate(position - from, at.elapsed())),
            lock_waiters: row.try_get(6)?,
            dead_ratio: row.try_get(7)?,
            vacuumed: false,
            transaction_seconds: row.try_get(8)?,
            vacuums: row.try_get(9)?,
            told: self.told(context, holds).await?,
        })
    }

    async fn told(&mut self, context: &Context<'_>, holds: &Holds) -> Result<Option<String>, Fault> {
        if let Some(reason) = asked(context, holds).await? {
            return Ok(Some(reason.to_owned()));
        }
        tokio::select! {
            told = self.outside.says(holds) => Ok(told),
            () = context.options.interrupt.cancelled() => Err(Fault::Interrupted),
        }
    }
}

fn rate(bytes: i64, during: Duration) -> Option<i64> {
    let milliseconds = i64::try_from(during.as_millis()).ok().filter(|milliseconds| *milliseconds > 0)?;
    Some(bytes.saturating_mul(1_000) / milliseconds)
}

/// What the given query says. One that fails holds the backfill: whoever gave it counts on it.
async fn asked(context: &Context<'_>, holds: &Holds) -> Result<Option<&'static str>, Fault> {
    let Some(query) = &holds.query else { return Ok(None) };
    let client = context.session.client();
    client.batch_execute("BEGIN READ ONLY; SET LOCAL statement_timeout = '5s'").await?;
    let answer = context.session.statement(client.query(query.as_str(), &[])).await;
    context.session.roll_back().await;
    match answer {
        Ok(rows) => Ok(crate::run::check::is_true(&rows).then_some("the given query says so")),
        Err(Fault::Server(error)) => {
            tracing::warn!(sqlstate = error.sqlstate, "the query that holds a backfill fails");
            Ok(Some("the given query fails"))
        }
        Err(fault) => Err(fault),
    }
}

/// What was seen and its limit, where it is over that.
fn over<T: PartialOrd>(seen: Option<T>, limit: Option<T>) -> Option<(T, T)> {
    seen.zip(limit).filter(|(seen, limit)| seen > limit)
}

/// The first sign that is over its limit, in words.
fn judge(signs: &Signs, limits: &Holds, table: &str) -> Option<String> {
    let megabytes = |bytes: i64| bytes / (1 << 20);
    if let Some((seen, limit)) = over(signs.standby_seconds, limits.standby_seconds) {
        return Some(format!("a standby is {seen:.0} s behind, more than {limit:.0} s"));
    }
    if let Some((seen, limit)) = over(signs.standby_bytes, limits.standby_bytes) {
        let (seen, limit) = (megabytes(seen), megabytes(limit));
        return Some(format!("a standby is {seen} MiB behind, more than {limit} MiB"));
    }
    if let Some(slot) = &signs.slot_in_danger {
        return Some(format!("the replication slot {slot} is about to lose WAL that it needs"));
    }
    if let Some((seen, limit)) = over(signs.slot_bytes, limits.slot_bytes) {
        let (seen, limit) = (megabytes(seen), megabytes(limit));
        return Some(format!("a replication slot retains {seen} MiB of WAL, more than {limit} MiB"));
    }
    if let Some((seen, limit)) = over(signs.archive_segments, limits.archive_segments) {
        return Some(format!("{seen} WAL segments are not archived yet, more than {limit}"));
    }
    if let Some((seen, limit)) = over(signs.wal_bytes_per_second, limits.wal_bytes_per_second) {
        let (seen, limit) = (megabytes(seen), megabytes(limit));
        return Some(format!("the server writes {seen} MiB of WAL a second, more than {limit} MiB"));
    }
    if let Some((seen, limit)) = over(signs.transaction_seconds, limits.transaction_seconds) {
        return Some(format!(
            "a transaction has been open for {seen:.0} s, more than {limit:.0} s: nothing is vacuumed until it ends"
        ));
    }
    if signs.vacuums > 0 && limits.vacuum {
        return Some(format!("{table} is being vacuumed"));
    }
    if signs.lock_waiters > 0 && limits.lock_waiters {
        return Some(format!("{} sessions wait for a lock on {table}", signs.lock_waiters));
    }
    let dead = signs.dead_ratio.zip(limits.dead_ratio).filter(|(seen, limit)| signs.vacuumed && *seen > limit * 2.0);
    if let Some((seen, limit)) = dead {
        return Some(format!(
            "{table} has {seen:.1} dead rows for each live one, more than {:.1}, and vacuum cannot remove them: look for \
             old transactions, prepared ones and replication slots",
            limit * 2.0
        ));
    }
    signs.told.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(signs: &Signs) -> Option<String> {
        judge(signs, &Holds::default(), "public.t")
    }

    #[test]
    fn nothing_seen_holds_nothing() {
        assert_eq!(reason(&Signs::default()), None);
    }

    #[test]
    fn each_sign_has_its_reason() {
        let none = Signs::default();
        for (signs, says) in [
            (Signs { standby_seconds: Some(1e6), ..none.clone() }, "a standby is 1000000 s behind"),
            (Signs { standby_bytes: Some(1 << 40), ..none.clone() }, "1048576 MiB behind"),
            (Signs { slot_bytes: Some(1 << 40), ..none.clone() }, "retains 1048576 MiB"),
            (Signs { slot_in_danger: Some("s".into()), ..none.clone() }, "slot s is about to lose"),
            (Signs { archive_segments: Some(1_000), ..none.clone() }, "1000 WAL segments"),
            (Signs { lock_waiters: 2, ..none.clone() }, "2 sessions wait for a lock on public.t"),
            (Signs { dead_ratio: Some(9.0), vacuumed: true, ..none.clone() }, "9.0 dead rows"),
            (Signs { told: Some("the given query fails".into()), ..none.clone() }, "the given query fails"),
        ] {
            assert!(reason(&signs).is_some_and(|reason| reason.contains(says)), "{signs:?}");
        }
    }

    #[test]
    fn what_is_below_its_limit_passes() {
        let signs = Signs {
            standby_seconds: Some(0.1),
            standby_bytes: Some(1),
            slot_bytes: Some(1),
            archive_segments: Some(1),
            wal_bytes_per_second: Some(i64::MAX),
            // Not vacuumed yet: it may help.
            dead_ratio: Some(9.0),
            ..Signs::default()
        };
        assert_eq!(reason(&signs), None);
        let limited = Holds { wal_bytes_per_second: Some(1 << 20), ..Holds::default() };
        assert!(judge(&signs, &limited, "t").is_some());
        // Only on request.
        let signs = Signs { transaction_seconds: Some(1e6), vacuums: 1, ..Signs::default() };
        assert_eq!(reason(&signs), None);
        let limited = Holds { transaction_seconds: Some(60.0), ..Holds::default() };
        assert!(judge(&signs, &limited, "t").is_some_and(|reason| reason.contains("open for 1000000 s")));
        let limited = Holds { vacuum: true, ..Holds::default() };
        assert!(judge(&signs, &limited, "t").is_some_and(|reason| reason == "t is being vacuumed"));
    }
}
