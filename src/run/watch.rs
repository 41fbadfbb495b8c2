//! Looks, on a second connection, at who makes us wait and who waits for us.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Row};

use crate::sql::shape;

/// A session that holds what we wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// Backend process id; 0 for a prepared transaction.
    pub pid: i32,
    /// `application_name`.
    pub application: String,
    /// `pg_stat_activity.state`; `unknown` where the role may not see it.
    pub state: String,
    /// Age of its transaction; null where the role may not see it.
    pub transaction_seconds: Option<i64>,
    /// Whether it is a background process without a role: autovacuum.
    pub autovacuum: bool,
    /// Its last query, without literals and comments: see [`crate::sql::shape`]. Null where the role may not see it, and
    /// for statements that are no queries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

impl Blocker {
    /// From five columns of a row, the first of them at `first`: process, application, state, age of the transaction, query.
    pub(super) fn read(row: &Row, first: usize) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            pid: row.try_get(first)?,
            application: row.try_get(first + 1)?,
            state: row.try_get(first + 2)?,
            transaction_seconds: row.try_get(first + 3)?,
            autovacuum: false,
            query: row.try_get::<_, Option<&str>>(first + 4)?.and_then(shape),
        })
    }

    /// Whether the role may not see what the session does.
    fn is_hidden(&self) -> bool {
        self.pid != 0 && !self.autovacuum && self.state == "unknown"
    }
}

impl std::fmt::Display for Blocker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pid == 0 {
            return f.write_str("a prepared transaction (see pg_prepared_xacts)");
        }
        write!(f, "pid {}", self.pid)?;
        if self.autovacuum {
            return f.write_str(" (autovacuum)");
        }
        if !self.application.is_empty() {
            write!(f, " ({})", self.application)?;
        }
        write!(f, ", {}", self.state)?;
        if let Some(age) = self.transaction_seconds {
            write!(f, ", in a transaction for {age} s")?;
        }
        match &self.query {
            Some(query) => write!(f, ", {}: {query}", if self.state == "active" { "executes" } else { "last" }),
            None => Ok(()),
        }
    }
}

/// When to look, and when to give way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// Before the first look.
    pub after: Duration,
    /// Between looks.
    pub every: Duration,
    /// Cancel our own statement once another session has waited for us this long.
    pub yield_after: Option<Duration>,
    /// Ask how far an index build is.
    pub phases: bool,
}

/// What a look saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Who makes us wait.
    pub blockers: Vec<Blocker>,
    /// Longest time that another session has been waiting for us.
    pub waiting_for_us: Duration,
    /// How far the index build of the watched session is.
    pub phase: Option<Phase>,
}

/// A line of `pg_stat_progress_create_index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// The phase as the server names it, and how far it is.
    pub text: String,
    /// Rows done in this phase.
    pub rows: i64,
    /// Rows of this phase; `None` where it counts something else.
    pub of: Option<i64>,
}

// `usesysid` is null for autovacuum workers and visible to everybody, `backend_type` is not.
const LOOK: &str = "\
SELECT b.pid, coalesce(a.application_name, ''), coalesce(a.state, 'unknown'),
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::bigint,
       a.query, a.pid IS NOT NULL AND a.usesysid IS NULL
FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS b(pid)
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 4 DESC NULLS LAST, 1 LIMIT 5";

const WAITERS: &str = "\
SELECT coalesce(pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart) * 1000), 0)::bigint
FROM pg_catalog.pg_locks l
WHERE NOT l.granted AND l.pid <> $1 AND l.waitstart IS NOT NULL AND $1 = ANY (pg_catalog.pg_blocking_pids(l.pid))";

const PHASE: &str = "\
SELECT phase, blocks_done, blocks_total, tuples_done, tuples_total, partitions_done, partitions_total
FROM pg_catalog.pg_stat_progress_create_index WHERE pid = $1";

async fn phase(client: &Client, pid: i32) -> Result<Option<Phase>, tokio_postgres::Error> {
    let Some(row) = client.query_opt(PHASE, &[&pid]).await? else { return Ok(None) };
    let Some(name) = row.try_get::<_, Option<String>>(0)? else { return Ok(None) };
    let number = |index: usize| row.try_get::<_, Option<i64>>(index).map(Option::unwrap_or_default);
    let (blocks, rows) = ((number(1)?, number(2)?), (number(3)?, number(4)?));
    let text = match blocks {
        (done, total) if total > 0 => format!("{name}, {done} of {total} blocks"),
        _ => name,
    };
    Ok(Some(Phase { text, rows: rows.0, of: (rows.1 > 0).then_some(rows.1) }))
}

/// One look at the session `pid`.
pub(super) async fn look(client: &Client, pid: i32, watch: &Watch) -> Result<Seen, tokio_postgres::Error> {
    let rows = client.query(LOOK, &[&pid]).await?;
    let blockers = rows
        .iter()
        .map(|row| Ok(Blocker { autovacuum: row.try_get(5)?, ..Blocker::read(row, 0)? }))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    let phase = if watch.phases { phase(client, pid).await? } else { None };
    let mut seen = Seen { blockers, waiting_for_us: Duration::ZERO, phase };
    if watch.yield_after.is_some() {
        let milliseconds: i64 = client.query_one(WAITERS, &[&pid]).await?.try_get(0)?;
        seen.waiting_for_us = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    }
    Ok(seen)
}

/// The blockers for a message: `blocked by pid 7 (psql), idle in transaction, in a transaction for 40 s`.
pub(super) fn name_blockers(blockers: &[Blocker]) -> String {
    if blockers.is_empty() {
        return "the holder could not be seen".to_owned();
    }
    let hint = if blockers.iter().any(Blocker::is_hidden) {
        " (what they do is shown to members of pg_read_all_stats: GRANT pg_read_all_stats TO the role of this run)"
    } else {
        ""
    };
    format!("blocked by {}{hint}", name(blockers))
}

/// Sessions in a row.
pub(super) fn name(sessions: &[Blocker]) -> String {
    let named: Vec<String> = sessions.iter().map(Blocker::to_string).collect();
    named.join("; ")
}
