//! Steps: what is done, what may be half done.

use std::collections::HashMap;

use serde::Serialize;
use tokio_postgres::Client;

use super::{RunKey, Slot, assert_written, corrupt, fenced};
use crate::run::error::Fault;

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum StepState {
    /// Not begun.
    Planned,
    /// A concurrent statement's intent, or a backfill's bounds, are recorded.
    Running,
    /// Done.
    Done,
    /// The server refused it for good.
    Failed,
    /// Its undo has begun.
    Undoing,
    /// Undone.
    Undone,
}

/// A step as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) struct StepRecord {
    /// State.
    pub state: StepState,
    /// It may have changed something outside a transaction that records it.
    pub touched: bool,
    /// Its object was there before we began: it is not ours to remove.
    pub adopted: bool,
    /// Undo actions that are done.
    pub undone_actions: usize,
    /// Rows written.
    pub rows_done: i64,
}

impl StepRecord {
    /// Not begun.
    pub const PLANNED: Self =
        Self { state: StepState::Planned, touched: false, adopted: false, undone_actions: 0, rows_done: 0 };

    /// Whether there may be something to undo.
    pub fn has_effects(self) -> bool {
        match self.state {
            StepState::Done | StepState::Undoing => true,
            StepState::Undone => false,
            StepState::Planned | StepState::Running | StepState::Failed => self.touched,
        }
    }
}

/// All steps of a run by id.
pub(in crate::run) async fn read(client: &Client, name: &str) -> Result<HashMap<String, StepRecord>, Fault> {
    select(client, name, None).await
}

/// One step.
pub(in crate::run) async fn read_one(client: &Client, run: &RunKey, step: &str) -> Result<StepRecord, Fault> {
    let mut found = select(client, &run.name, Some(step)).await?;
    found.remove(step).ok_or_else(|| corrupt("lacks a step of its plan").into())
}

async fn select(client: &Client, name: &str, step: Option<&str>) -> Result<HashMap<String, StepRecord>, Fault> {
    let rows = client
        .query(
            "SELECT id, state, touched, adopted, undone_actions, rows_done FROM wesley.steps
             WHERE run = $1 AND ($2::text IS NULL OR id = $2)",
            &[&name, &step],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let state: String = row.try_get(1)?;
            let undone: i32 = row.try_get(4)?;
            let record = StepRecord {
                state: state.parse().map_err(|_| corrupt("holds an unknown state of a step"))?,
                touched: row.try_get(2)?,
                adopted: row.try_get(3)?,
                undone_actions: usize::try_from(undone).unwrap_or(0),
                rows_done: row.try_get(5)?,
            };
            Ok((row.try_get(0)?, record))
        })
        .collect()
}

/// Records that a statement outside a transaction is about to be sent, or that a backfill begins.
pub(in crate::run) async fn begin(client: &Client, run: &RunKey, step: &str, slot: Slot) -> Result<(), Fault> {
    let state = if slot == Slot::Forward { StepState::Running } else { StepState::Undoing };
    let rows = client
        .execute(
            fenced!(
                "UPDATE wesley.steps SET state = $4, touched = true, epoch = $2, sqlstate = NULL,
                     started_at = coalesce(started_at, pg_catalog.clock_timestamp())
                 WHERE run = $1 AND id = $3 AND EXISTS (SELECT FROM fence)"
            ),
            &[&run.name, &run.epoch, &step, &<&str>::from(state)],
        )
        .await?;
    assert_written(run, rows)
}

/// Records a unit of work as done: the step itself, or one of its undo actions. Inside the transaction of the
/// work where there is one.
pub(in crate::run) async fn done(
    client: &Client,
    run: &RunKey,
    step: &str,
    slot: Slot,
    rows_done: i64,
) -> Result<(), Fault> {
    let rows = match slot {
        Slot::Forward => {
            client
                .execute(
                    fenced!(
                        "UPDATE wesley.steps SET state = 'done', epoch = $2, rows_done = $4, sqlstate = NULL,
                             started_at = coalesce(started_at, pg_catalog.now()), finished_at = pg_catalog.clock_timestamp()
                         WHERE run = $1 AND id = $3 AND EXISTS (SELECT FROM fence)"
                    ),
                    &[&run.name, &run.epoch, &step, &rows_done],
                )
                .await?
        }
        Slot::Undo(_) => {
            client
                .execute(
                    fenced!(
                        "UPDATE wesley.steps SET state = 'undoing', epoch = $2, undone_actions = $4 + 1
                         WHERE run = $1 AND id = $3 AND EXISTS (SELECT FROM fence)"
                    ),
                    &[&run.name, &run.epoch, &step, &slot.number()],
                )
                .await?
        }
    };
    assert_written(run, rows)
}

/// Records a concurrent step as done by somebody else, before we began.
pub(in crate::run) async fn adopt(client: &Client, run: &RunKey, step: &str) -> Result<(), Fault> {
    let rows = client
        .execute(
            fenced!(
                "UPDATE wesley.steps SET state = 'done', adopted = NOT touched, epoch = $2, sqlstate = NULL,
                     started_at = coalesce(started_at, pg_catalog.now()), finished_at = pg_catalog.clock_timestamp()
                 WHERE run = $1 AND id = $3 AND EXISTS (SELECT FROM fence)"
            ),
            &[&run.name, &run.epoch, &step],
        )
        .await?;
    assert_written(run, rows)
}

/// Records a step as undone.
pub(in crate::run) async fn undone(client: &Client, run: &RunKey, step: &str) -> Result<(), Fault> {
    let rows = client
        .execute(
            fenced!(
                "UPDATE wesley.steps SET state = 'undone', epoch = $2, finished_at = pg_catalog.clock_timestamp()
                 WHERE run = $1 AND id = $3 AND EXISTS (SELECT FROM fence)"
            ),
            &[&run.name, &run.epoch, &step],
        )
        .await?;
    assert_written(run, rows)
}

/// Records that a step failed for good. A step whose undo failed stays `undoing`.
pub(in crate::run) async fn failed(
    client: &Client,
    run: &RunKey,
    step: &str,
    sqlstate: Option<&str>,
) -> Result<(), Fault> {
    let rows = client
        .execute(
            fenced!(
                "UPDATE wesley.steps SET sqlstate = $4, epoch = $2,
                     state = CASE WHEN state IN ('planned', 'running') THEN 'failed' ELSE state END
                 WHERE run = $1 AND id = $3 AND EXISTS (SELECT FROM fence)"
            ),
            &[&run.name, &run.epoch, &step, &sqlstate],
        )
        .await?;
    assert_written(run, rows)
}
