//! The ledger as rows for people and machines. Reads only; no lock, no epoch.

use serde::Serialize;
use tokio_postgres::Client;

use super::ahead;
use super::error::{Fault, RunError};
use super::execute::{name_taken, rollback_unfinished};
use super::ledger::runs::{self, RunState};
use super::ledger::{schema, steps};
use super::preflight;
use super::rollback::{self, add};
use super::session::lock_key;
use crate::plan::{Plan, RollbackClass, Stage};
use crate::report::RollbackState;

/// A run as recorded.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRow {
    /// Name.
    pub name: String,
    /// State.
    pub state: RunState,
    /// Why it is in that state, one word; null while it runs.
    pub reason: Option<String>,
    /// Steps done.
    pub steps_done: i64,
    /// Steps of the plan.
    pub steps_total: i64,
    /// First step not done.
    pub next_step: Option<String>,
    /// Its stage.
    pub next_stage: Option<Stage>,
    /// Rows written by backfills, the one that runs included.
    pub rows_done: i64,
    /// UTC, RFC 3339.
    pub started_at: String,
    /// UTC, RFC 3339.
    pub updated_at: String,
    /// UTC, RFC 3339.
    pub finished_at: Option<String>,
    /// SQLSTATE of the last failure.
    pub sqlstate: Option<String>,
    /// Step of the last failure.
    pub failed_step: Option<String>,
    /// Digest of the plan.
    pub plan_digest: String,
    /// Digest of the author's SQL.
    pub source_digest: String,
    /// Restore point made before the first step without a complete way back; null where none was made.
    pub restore_point: Option<String>,
    /// Its place in the WAL.
    pub restore_lsn: Option<String>,
    /// What a rollback at this moment would be; null once rolled back.
    pub rollback: Option<RollbackState>,
    /// Whether no step of it has changed anything.
    #[serde(skip)]
    pub untouched: bool,
    /// The plan.
    #[serde(skip)]
    pub plan: Plan,
}

/// What a name that is recorded means for a source that is to be applied under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// Nothing was done under it, or all of it was undone: it starts anew.
    Fresh,
    /// The recorded plan goes on, or is done.
    Resume,
}

impl RunRow {
    /// What this run means for the source with that digest.
    ///
    /// # Errors
    /// [`RunError`] with [`super::Reason::NameTaken`] or [`super::Reason::RollbackUnfinished`].
    pub fn recall(&self, source_digest: &str) -> Result<Recall, RunError> {
        match self.state {
            RunState::RolledBack => Ok(Recall::Fresh),
            _ if self.source_digest == source_digest => Ok(Recall::Resume),
            RunState::RollingBack => Err(rollback_unfinished(&self.name)),
            state if self.untouched && state != RunState::Done => Ok(Recall::Fresh),
            state => Err(name_taken(&self.name, state)),
        }
    }
}

// `to_jsonb` because a ledger of an earlier version lacks the columns.
const RUNS: &str = "\
SELECT r.name, r.reason, r.sqlstate, r.step, r.plan_digest,
       pg_catalog.to_char(r.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
       pg_catalog.to_char(greatest(r.updated_at, pg_catalog.max(c.updated_at), pg_catalog.max(s.finished_at)) AT TIME ZONE 'UTC',
               'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
       pg_catalog.to_char(r.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
       coalesce(pg_catalog.sum(greatest(s.rows_done, c.rows_done{ROWS})), 0)::bigint,
       pg_catalog.to_jsonb(r) ->> 'restore_point', pg_catalog.to_jsonb(r) ->> 'restore_lsn'
FROM wesley.runs r
LEFT JOIN wesley.steps s ON s.run = r.name
LEFT JOIN wesley.cursors c ON c.run = r.name AND c.step = s.id AND c.slot = -1{SCRIPTS}
WHERE $1::text IS NULL OR r.name = $1
GROUP BY r.name ORDER BY r.started_at, r.name";

/// All runs of the database, or the one of that name; none when there is no ledger.
///
/// # Errors
/// [`RunError`] when the ledger cannot be read.
pub async fn status(client: &Client, name: Option<&str>) -> Result<Vec<RunRow>, RunError> {
    let fault = match read(client, name).await {
        Ok(rows) => return Ok(rows),
        // Another role's ledger: its owner is the better word.
        Err(Fault::Server(error)) if error.sqlstate == "42501" => {
            schema::require_ours(client).await.err().unwrap_or(Fault::Server(error))
        }
        Err(fault) => fault,
    };
    Err(match fault {
        Fault::Fatal(error) => error,
        Fault::Server(error) => preflight::refusal(&error),
        Fault::Lost | Fault::Interrupted => {
            RunError::new(super::error::Reason::ConnectionLost, "the connection was lost")
        }
    })
}

async fn read(client: &Client, name: Option<&str>) -> Result<Vec<RunRow>, Fault> {
    if !schema::exists(client).await? {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    // A ledger of an earlier version has no long runs of statements.
    let scripts: bool =
        client.query_one("SELECT pg_catalog.to_regclass('wesley.scripts') IS NOT NULL", &[]).await?.try_get(0)?;
    let join = "\nLEFT JOIN wesley.scripts p ON p.run = r.name AND p.step = s.id";
    let (rows, join) = if scripts { (", p.rows_done", join) } else { ("", "") };
    let runs = RUNS.replace("{ROWS}", rows).replace("{SCRIPTS}", join);
    for row in client.query(&runs, &[&name]).await? {
        let name: String = row.try_get(0)?;
        let Some(recorded) = runs::find(client, &name).await? else { continue };
        let records = steps::read(client, &name).await?;
        let done = |id: &str| records.get(id).is_some_and(|record| record.state == steps::StepState::Done);
        let next = recorded.plan.steps.iter().find(|step| !done(&step.id));
        let count = recorded.plan.steps.iter().filter(|step| done(&step.id)).count();
        let mut rollback = rollback::with_new_data(rollback::state(&recorded.plan, &records), &recorded.plan, &records);
        (rollback.restore_point, rollback.restore_lsn) = (row.try_get(9)?, row.try_get(10)?);
        match recorded.state {
            // Nothing is asked once it has begun.
            RunState::RolledBack | RunState::RollingBack => {}
            _ if rollback.class == RollbackClass::ForwardOnly => {}
            _ => {
                // Who may not ask is told that somebody else will.
                let outlook = ahead::outlook(client, &recorded.plan, &records).await;
                add(&mut rollback, outlook.as_deref().unwrap_or(ahead::ASKS_FIRST));
            }
        }
        let state = match recorded.state {
            RunState::Running if is_orphan(client, &name).await? => RunState::Interrupted,
            state => state,
        };
        found.push(RunRow {
            state,
            reason: row.try_get(1)?,
            steps_done: i64::try_from(count).unwrap_or(i64::MAX),
            steps_total: i64::try_from(recorded.plan.steps.len()).unwrap_or(i64::MAX),
            next_step: next.map(|step| step.id.clone()),
            next_stage: next.map(|step| step.stage),
            rows_done: row.try_get(8)?,
            started_at: row.try_get(5)?,
            updated_at: row.try_get(6)?,
            finished_at: row.try_get(7)?,
            sqlstate: row.try_get(2)?,
            failed_step: row.try_get(3)?,
            restore_point: rollback.restore_point.clone(),
            restore_lsn: rollback.restore_lsn.clone(),
            plan_digest: row.try_get(4)?,
            source_digest: recorded.source_digest,
            rollback: (state != RunState::RolledBack).then_some(rollback),
            untouched: records.values().all(|record| !record.has_effects()),
            plan: recorded.plan,
            name,
        });
    }
    Ok(found)
}

/// Whether no process works on the run that was read as running. A process holds the lock before it records the
/// run as running and until it has recorded its end, so that only what is still running afterwards was left behind.
async fn is_orphan(client: &Client, name: &str) -> Result<bool, Fault> {
    let holder = preflight::lock_holder(client, lock_key()).await?;
    let works = holder.is_some_and(|holder| holder.may_be(name));
    Ok(!works && runs::find(client, name).await?.is_some_and(|run| run.state == RunState::Running))
}
