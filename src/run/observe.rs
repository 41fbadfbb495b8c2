//! Observation of the application's statements around a change: `pg_stat_statements` is read before the first step,
//! when everything but the contract steps is done, and in the end. The readings are kept in the ledger, so that a
//! runner that is killed loses nothing: `queryid`, calls and time, never the text.

use tokio_postgres::Client;

use super::error::Fault;
use super::ledger::schema;
use super::preflight;
use super::sample::prepare_ledger;
use crate::inspect::statements::{Comparison, Counted, Limits, Reading, Verdict, compare};
use crate::report::Observation;

/// Statements of a reading: those that took the most time.
const STATEMENTS_MAX: i64 = 2_000;

/// The extension's schema, quoted; no row where it is not installed.
const EXTENSION: &str = "\
SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'";

/// When a reading was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Before the first step.
    Before,
    /// When everything but the contract steps was done.
    Changed,
}

impl Moment {
    const fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Changed => "changed",
        }
    }
}

/// Why there is nothing to read.
struct Unavailable(String);

/// Takes the reading before the first step of a run, unless the run has begun.
pub(super) async fn before(client: &Client, run: &str) -> Result<(), Fault> {
    let server = preflight::prepare(client).await?;
    if !schema::is_current(client).await? {
        prepare_ledger(client, &server.identity.database).await?;
    }
    let begun = "SELECT EXISTS (SELECT FROM wesley.runs WHERE name = $1 AND state <> 'rolled-back')";
    if client.query_one(begun, &[&run]).await?.try_get(0)? {
        return Ok(());
    }
    client.execute("DELETE FROM wesley.observations WHERE run = $1", &[&run]).await?;
    keep(client, run, Moment::Before).await
}

/// Takes the reading of the change, once; whether it did. Nothing without a reading before.
pub(super) async fn changed(client: &Client, run: &str) -> Result<bool, Fault> {
    if !schema::is_current(client).await?
        || taken(client, run, Moment::Before).await?.is_none()
        || taken(client, run, Moment::Changed).await?.is_some()
    {
        return Ok(false);
    }
    keep(client, run, Moment::Changed).await?;
    Ok(true)
}

/// Compares. Where the reading of the change could not be taken before, it is taken now, and there is no verdict yet.
pub(super) async fn measure(client: &Client, run: &str, limits: Limits) -> Result<Observation, Fault> {
    let late = changed(client, run).await?;
    let since = match schema::is_current(client).await? {
        true => taken(client, run, Moment::Changed).await?.map(|(second, _)| second),
        false => None,
    };
    let Some(since) = since else {
        return Ok(without("no statements were counted before the first step: there is nothing to compare with", None));
    };
    let unavailable = match (taken(client, run, Moment::Before).await?, taken(client, run, Moment::Changed).await?) {
        (Some((_, Some(why))), _) | (_, Some((_, Some(why)))) => Some(why),
        _ => None,
    };
    if let Some(why) = unavailable {
        return Ok(without(&why, Some(since)));
    }
    if late {
        return Ok(Observation { since: Some(since), ..Observation::default() });
    }
    match read(client).await? {
        Err(Unavailable(why)) => Ok(without(&why, Some(since))),
        Ok(after) => {
            let (before, changed) =
                (kept(client, run, Moment::Before).await?, kept(client, run, Moment::Changed).await?);
            let Comparison { verdict, compared, worst } = compare(&before, &changed, &after, limits);
            Ok(Observation { since: Some(since), verdict: Some(verdict), compared, worst, message: String::new() })
        }
    }
}

fn without(why: &str, since: Option<i64>) -> Observation {
    Observation { since, verdict: Some(Verdict::Unavailable), message: why.to_owned(), ..Observation::default() }
}

/// When a reading was taken, and why it is empty, if it is.
async fn taken(client: &Client, run: &str, moment: Moment) -> Result<Option<(i64, Option<String>)>, Fault> {
    let sql = "SELECT taken_at, unavailable FROM wesley.observations WHERE run = $1 AND moment = $2";
    let row = client.query_opt(sql, &[&run, &moment.word()]).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// A reading and its statements are one transaction.
async fn keep(client: &Client, run: &str, moment: Moment) -> Result<(), Fault> {
    let (reading, unavailable) = match read(client).await? {
        Ok(reading) => (reading, None),
        Err(Unavailable(why)) => (Reading::new(), Some(why)),
    };
    let ids: Vec<i64> = reading.keys().copied().collect();
    let calls: Vec<i64> = reading.values().map(|counted| counted.calls).collect();
    let times: Vec<i64> = reading.values().map(|counted| counted.microseconds).collect();
    client
        .execute(
            "WITH taken AS (
                 INSERT INTO wesley.observations (run, moment, taken_at, unavailable)
                 VALUES ($1, $2, extract(epoch FROM pg_catalog.clock_timestamp())::bigint, $3) RETURNING run, moment)
             INSERT INTO wesley.statements (run, moment, queryid, calls, microseconds)
             SELECT run, moment, s.* FROM taken, unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS s",
            &[&run, &moment.word(), &unavailable, &ids, &calls, &times],
        )
        .await?;
    Ok(())
}

async fn kept(client: &Client, run: &str, moment: Moment) -> Result<Reading, Fault> {
    let sql = "SELECT queryid, calls, microseconds FROM wesley.statements WHERE run = $1 AND moment = $2";
    let rows = client.query(sql, &[&run, &moment.word()]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, Counted { calls: row.try_get(1)?, microseconds: row.try_get(2)? })))
        .collect()
}

/// What the server has counted in this database, without what only looks into catalogs: that is this program's own, and
/// tools'. `queryid` of another role's statement is null to a role without
/// `pg_read_all_stats`; the columns are those of version 1.8 of the extension, which PostgreSQL 13 brought.
async fn read(client: &Client) -> Result<Result<Reading, Unavailable>, Fault> {
    let Some(row) = client.query_opt(EXTENSION, &[]).await? else {
        return Ok(Err(Unavailable(
            "the extension pg_stat_statements is not installed in the database: nothing was compared".to_owned(),
        )));
    };
    let schema: String = row.try_get(0)?;
    let may_see: bool =
        client.query_one("SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')", &[]).await?.try_get(0)?;
    if !may_see {
        return Ok(Err(Unavailable(
            "the role may not see the statements of others: GRANT pg_read_all_stats to it; nothing was compared"
                .to_owned(),
        )));
    }
    let sql = format!(
        "SELECT queryid, pg_catalog.sum(calls)::bigint, (pg_catalog.sum(total_exec_time) * 1000)::bigint
         FROM {schema}.pg_stat_statements
         WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
           AND queryid IS NOT NULL AND calls > 0
           AND query NOT LIKE ALL (ARRAY['%pg_catalog.%', '%wesley.%'])
         GROUP BY queryid ORDER BY pg_catalog.sum(total_exec_time) DESC LIMIT {STATEMENTS_MAX}"
    );
    match client.query(&sql, &[]).await {
        Ok(rows) => rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, Counted { calls: row.try_get(1)?, microseconds: row.try_get(2)? })))
            .collect::<Result<Reading, Fault>>()
            .map(Ok),
        // Installed, but not loaded by the server (object_not_in_prerequisite_state), or out of reach.
        Err(error) if error.code().is_some_and(|code| ["55000", "42501", "42703"].contains(&code.code())) => {
            Ok(Err(Unavailable(
                "the server does not load pg_stat_statements (shared_preload_libraries), or the role may not read it: \
                 nothing was compared"
                    .to_owned(),
            )))
        }
        Err(error) => Err(error.into()),
    }
}
