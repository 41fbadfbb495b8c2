//! Runs: one row for each name.

use serde::Serialize;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Row};

use super::{RunKey, assert_written, corrupt};
use crate::plan::{Plan, TargetIdentity};
use crate::run::error::{Fault, Reason, RunError};
use crate::run::failpoint::{Boundary, hit};

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr, strum::Display)]
pub enum RunState {
    /// A process works on it; in the ledger, or died in it.
    #[strum(serialize = "running")]
    Running,
    /// A process died in it. Never recorded: told where a run that is recorded as running has no process.
    #[strum(serialize = "interrupted")]
    Interrupted,
    /// It stopped before a stage that is not open.
    #[strum(serialize = "paused")]
    Paused,
    /// A step failed for good.
    #[strum(serialize = "failed")]
    Failed,
    /// All steps are done.
    #[strum(serialize = "done")]
    Done,
    /// Its undo has begun.
    #[strum(serialize = "rolling-back")]
    RollingBack,
    /// Everything that was done is undone.
    #[strum(serialize = "rolled-back")]
    RolledBack,
}

/// A run as recorded.
pub(in crate::run) struct Recorded {
    /// State.
    pub state: RunState,
    /// Digest of the author's SQL.
    pub source_digest: String,
    /// The plan that is being executed.
    pub plan: Plan,
    /// The database that the ledger was written in.
    pub target: TargetIdentity,
}

/// Reads a run. Row lock and epoch are not taken.
pub(in crate::run) async fn find(client: &Client, name: &str) -> Result<Option<Recorded>, Fault> {
    let row = client
        .query_opt(
            "SELECT state, source_digest, plan::text, system_identifier, database_oid FROM wesley.runs WHERE name = $1",
            &[&name],
        )
        .await?;
    row.map(|row| recorded(&row)).transpose()
}

fn recorded(row: &Row) -> Result<Recorded, Fault> {
    let state: String = row.try_get(0)?;
    let plan: &str = row.try_get(2)?;
    Ok(Recorded {
        state: state.parse().map_err(|_| corrupt("holds an unknown state of a run"))?,
        source_digest: row.try_get(1)?,
        plan: serde_json::from_str(plan).map_err(|_| corrupt("holds a plan that cannot be read"))?,
        target: TargetIdentity {
            system_identifier: row.try_get(3)?,
            database_oid: row.try_get(4)?,
            ..TargetIdentity::default()
        },
    })
}

/// Records a new run with all its steps, in the place of an earlier one of the same name, and takes it.
pub(in crate::run) async fn create(
    client: &Client,
    name: &str,
    plan: &Plan,
    target: &TargetIdentity,
) -> Result<RunKey, Fault> {
    let ids: Vec<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    client.batch_execute("BEGIN").await?;
    let created = async {
        let epoch: i64 = client
            .query_one(
                "INSERT INTO wesley.runs AS r
                     (name, epoch, state, plan_digest, source_digest, plan, system_identifier, database_oid)
                 VALUES ($1, (SELECT coalesce(pg_catalog.max(epoch), 0) + 1 FROM wesley.runs), 'running', $2, $3, $4, $5, $6)
                 ON CONFLICT (name) DO UPDATE SET
                     (epoch, state, plan_digest, source_digest, plan, system_identifier, database_oid, application,
                      started_at, updated_at, finished_at, reason, sqlstate, step, restore_point, restore_lsn)
                   = (excluded.epoch, excluded.state, excluded.plan_digest, excluded.source_digest, excluded.plan,
                      excluded.system_identifier, excluded.database_oid, excluded.application,
                      pg_catalog.now(), pg_catalog.now(), NULL, NULL, NULL, NULL, NULL, NULL)
                 RETURNING r.epoch",
                &[
                    &name,
                    &plan.digest,
                    &plan.source_digest,
                    &Json(plan),
                    &target.system_identifier,
                    &target.database_oid,
                ],
            )
            .await?
            .try_get(0)?;
        client.execute("DELETE FROM wesley.steps WHERE run = $1", &[&name]).await?;
        client
            .execute(
                "INSERT INTO wesley.steps (run, id, ordinal, state, epoch)
                 SELECT $1, id, ordinal - 1, 'planned', $3 FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY AS s(id, ordinal)",
                &[&name, &ids, &epoch],
            )
            .await?;
        hit(Boundary::RunWritten);
        client.batch_execute("COMMIT").await?;
        Ok::<_, Fault>(epoch)
    };
    match created.await {
        Ok(epoch) => Ok(RunKey { name: name.to_owned(), epoch }),
        Err(fault) => {
            let _ = client.batch_execute("ROLLBACK").await;
            Err(fault)
        }
    }
}

/// Takes over a recorded run: from here on no older process can write. Waits for what one is writing.
pub(in crate::run) async fn take_over(client: &Client, name: &str, state: RunState) -> Result<RunKey, Fault> {
    let epoch = client.query_one(TAKE_OVER, &[&name, &<&str>::from(state)]).await?.try_get(0)?;
    Ok(RunKey { name: name.to_owned(), epoch })
}

const TAKE_OVER: &str = "\
UPDATE wesley.runs SET epoch = (SELECT pg_catalog.max(epoch) + 1 FROM wesley.runs), state = $2, updated_at = pg_catalog.now(),
    finished_at = NULL, reason = NULL, sqlstate = NULL, step = NULL, application = pg_catalog.current_setting('application_name')
WHERE name = $1 RETURNING epoch";

/// Asserts, after a new connection, that the run is still ours and that the server still knows what it has told us:
/// one that crashed without having written, or a standby promoted in its place, may have lost the last commits.
pub(in crate::run) async fn assert_ours(client: &Client, run: &RunKey, steps_done: i64) -> Result<(), Fault> {
    let row = client
        .query_opt(
            "SELECT r.epoch, (SELECT pg_catalog.count(*) FROM wesley.steps s WHERE s.run = r.name AND s.state IN ('done', 'undoing'))
             FROM wesley.runs r WHERE r.name = $1",
            &[&run.name],
        )
        .await?;
    let (epoch, done): (i64, i64) = match row {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (0, 0),
    };
    if epoch < run.epoch || epoch == run.epoch && done < steps_done {
        return Err(RunError::new(
            Reason::CommitsLost,
            "the server came back without its last commits (after a crash, or as a promoted standby); run it again \
             to resume from what is there",
        )
        .into());
    }
    assert_written(run, u64::from(epoch == run.epoch))
}

/// Records the run's restore point.
pub(in crate::run) async fn restore_point(client: &Client, run: &RunKey, name: &str, place: &str) -> Result<(), Fault> {
    let rows = client
        .execute(
            "UPDATE wesley.runs SET restore_point = $3, restore_lsn = $4, updated_at = pg_catalog.now()
             WHERE name = $1 AND epoch = $2",
            &[&run.name, &run.epoch, &name, &place],
        )
        .await?;
    assert_written(run, rows)
}

/// Name and place of the run's restore point.
pub(in crate::run) async fn made(client: &Client, name: &str) -> Result<(Option<String>, Option<String>), Fault> {
    let row = client.query_opt("SELECT restore_point, restore_lsn FROM wesley.runs WHERE name = $1", &[&name]).await?;
    Ok(match row {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (None, None),
    })
}

/// Records how the run ended.
pub(in crate::run) async fn finish(
    client: &Client,
    run: &RunKey,
    state: RunState,
    reason: Reason,
    sqlstate: Option<&str>,
    step: Option<&str>,
) -> Result<(), Fault> {
    let finished = matches!(state, RunState::Done | RunState::RolledBack);
    let rows = client
        .execute(
            "UPDATE wesley.runs SET state = $3, reason = $4, sqlstate = $5, step = $6, updated_at = pg_catalog.now(),
                 finished_at = CASE WHEN $7 THEN pg_catalog.now() END
             WHERE name = $1 AND epoch = $2",
            &[&run.name, &run.epoch, &<&str>::from(state), &<&str>::from(reason), &sqlstate, &step, &finished],
        )
        .await?;
    assert_written(run, rows)
}
