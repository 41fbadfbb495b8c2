//! Cursors: where a backfill is.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::{RunKey, Slot, assert_written, fenced};
use crate::run::error::Fault;

/// A backfill's place and bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) struct Cursor {
    /// The table's oid.
    pub relation: i64,
    /// Its `pg_relation_filenode`: another one means that block numbers have no meaning any more.
    pub filenode: i64,
    /// By blocks, or by key.
    pub place: Place,
    /// Number of the pass over the blocks, from 1.
    pub pass: i32,
    /// Rows (by key) or blocks of the next batch.
    pub batch_size: i64,
    /// Batches committed.
    pub batches: i64,
    /// Rows written.
    pub rows_done: i64,
    /// Rows of the table when it began; `None` when not known.
    pub rows_total: Option<i64>,
    /// Nothing is left.
    pub finished: bool,
}

/// How far, and how far to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) enum Place {
    /// Rows with keys greater than `last`, up to `upper`. Values as text, in the order of the key's columns.
    Key {
        /// Last key done; `None` at the start.
        last: Option<Vec<String>>,
        /// Greatest key when it began; `None`: the table was empty.
        upper: Option<Vec<String>>,
        /// Rows that are gone through several times, a share of them each time.
        window: Option<KeyWindow>,
    },
    /// Blocks from `next` to before `upper`.
    Block {
        /// First block not done.
        next: i64,
        /// Number of blocks when the pass began.
        upper: i64,
        /// Blocks that are gone through several times, a share of their rows each time.
        window: Option<Window>,
    },
}

/// See [`Place::Block`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) struct Window {
    /// First block behind it.
    pub end: i64,
    /// Which share is next, from 0.
    pub turn: i32,
}

/// See [`Place::Key`]. Each row of it is in one share for as long as its key does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) struct KeyWindow {
    /// Its last key.
    pub end: Vec<String>,
    /// Which share is next or has begun, from 0.
    pub turn: i32,
    /// Last key done of this share; `None` when it has not begun.
    pub reached: Option<Vec<String>>,
    /// Rows of a share, about.
    pub rows: i64,
}

/// The recorded cursor, if the backfill has begun.
pub(in crate::run) async fn read(
    client: &Client,
    run: &RunKey,
    step: &str,
    slot: Slot,
) -> Result<Option<Cursor>, Fault> {
    let row = client
        .query_opt(
            "SELECT relation, filenode, last_key, upper_key, next_block, upper_block, pass, batch_size, batches,
                 rows_done, rows_total, finished, window_block, turn, window_key, reached_key, window_rows
             FROM wesley.cursors WHERE run = $1 AND step = $2 AND slot = $3",
            &[&run.name, &step, &slot.number()],
        )
        .await?;
    Ok(match row {
        Some(row) => Some(from_row(&row)?),
        None => None,
    })
}

fn from_row(row: &Row) -> Result<Cursor, tokio_postgres::Error> {
    let (next, upper): (Option<i64>, Option<i64>) = (row.try_get(4)?, row.try_get(5)?);
    let place = match (next, upper) {
        (Some(next), Some(upper)) => {
            let window = match (row.try_get::<_, Option<i64>>(12)?, row.try_get::<_, Option<i32>>(13)?) {
                (Some(end), Some(turn)) => Some(Window { end, turn }),
                _ => None,
            };
            Place::Block { next, upper, window }
        }
        _ => Place::Key { last: row.try_get(2)?, upper: row.try_get(3)?, window: key_window(row)? },
    };
    Ok(Cursor {
        relation: row.try_get(0)?,
        filenode: row.try_get(1)?,
        place,
        pass: row.try_get(6)?,
        batch_size: row.try_get(7)?,
        batches: row.try_get(8)?,
        rows_done: row.try_get(9)?,
        rows_total: row.try_get(10)?,
        finished: row.try_get(11)?,
    })
}

fn key_window(row: &Row) -> Result<Option<KeyWindow>, tokio_postgres::Error> {
    let (end, turn) = (row.try_get::<_, Option<Vec<String>>>(14)?, row.try_get::<_, Option<i32>>(13)?);
    let rows = row.try_get::<_, Option<i64>>(16)?;
    let reached = row.try_get(15)?;
    Ok(match (end, turn, rows) {
        (Some(end), Some(turn), Some(rows)) => Some(KeyWindow { end, turn, reached, rows }),
        _ => None,
    })
}

/// See [`write`].
const WRITE: &str = fenced!(
    "INSERT INTO wesley.cursors AS c (run, step, slot, epoch, relation, filenode, last_key, upper_key,
         next_block, upper_block, pass, batch_size, batches, rows_done, rows_total, finished, window_block, turn,
         window_key, reached_key, window_rows)
     SELECT $1, $3, $4, $2, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
     WHERE EXISTS (SELECT FROM fence)
     ON CONFLICT (run, step, slot) DO UPDATE SET
         (epoch, relation, filenode, last_key, upper_key, next_block, upper_block, pass, batch_size,
          batches, rows_done, rows_total, finished, window_block, turn, window_key, reached_key, window_rows,
          updated_at)
       = (excluded.epoch, excluded.relation, excluded.filenode, excluded.last_key, excluded.upper_key,
          excluded.next_block, excluded.upper_block, excluded.pass, excluded.batch_size,
          excluded.batches, excluded.rows_done, excluded.rows_total, excluded.finished,
          excluded.window_block, excluded.turn, excluded.window_key, excluded.reached_key, excluded.window_rows,
          pg_catalog.now())"
);

/// Prepares the statement of [`write`].
pub(in crate::run) async fn prepare(client: &Client) -> Result<Statement, Fault> {
    use tokio_postgres::types::Type;
    let types = [
        Type::TEXT,
        Type::INT8,
        Type::TEXT,
        Type::INT4,
        Type::INT8,
        Type::INT8,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::INT8,
        Type::INT8,
        Type::INT4,
        Type::INT8,
        Type::INT8,
        Type::INT8,
        Type::INT8,
        Type::BOOL,
        Type::INT8,
        Type::INT4,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::INT8,
    ];
    Ok(client.prepare_typed(WRITE, &types).await?)
}

/// Writes the cursor, in the transaction of the batch it stands for. `statement` is of [`prepare`].
pub(in crate::run) async fn write(
    client: &Client,
    statement: &Statement,
    run: &RunKey,
    step: &str,
    slot: Slot,
    cursor: &Cursor,
) -> Result<(), Fault> {
    let (last, upper, key_window) = match &cursor.place {
        Place::Key { last, upper, window } => (last.as_ref(), upper.as_ref(), window.as_ref()),
        Place::Block { .. } => (None, None, None),
    };
    let (next_block, upper_block, window) = match &cursor.place {
        Place::Key { .. } => (None, None, None),
        Place::Block { next, upper, window } => (Some(next), Some(upper), window.as_ref()),
    };
    let window_block = window.map(|window| window.end);
    let turn = window.map(|window| window.turn).or(key_window.map(|window| window.turn));
    let window_key = key_window.map(|window| &window.end);
    let reached_key = key_window.and_then(|window| window.reached.as_ref());
    let window_rows = key_window.map(|window| window.rows);
    let values: [&(dyn ToSql + Sync); 21] = [
        &run.name,
        &run.epoch,
        &step,
        &slot.number(),
        &cursor.relation,
        &cursor.filenode,
        &last,
        &upper,
        &next_block,
        &upper_block,
        &cursor.pass,
        &cursor.batch_size,
        &cursor.batches,
        &cursor.rows_done,
        &cursor.rows_total,
        &cursor.finished,
        &window_block,
        &turn,
        &window_key,
        &reached_key,
        &window_rows,
    ];
    assert_written(run, client.execute(statement, &values).await?)
}
