//! Places: where a long run of statements is.

use tokio_postgres::Client;

use super::{RunKey, assert_written, fenced};
use crate::run::error::Fault;

/// How much of a long run is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::run) struct Place {
    /// Statements.
    pub statements: i64,
    /// Bytes of their texts.
    pub bytes: i64,
    /// Rows that they changed.
    pub rows: i64,
}

/// The recorded place; the beginning where none is.
pub(in crate::run) async fn read(client: &Client, run: &RunKey, step: &str) -> Result<Place, Fault> {
    let row = client
        .query_opt(
            "SELECT statements_done, bytes_done, rows_done FROM wesley.scripts WHERE run = $1 AND step = $2",
            &[&run.name, &step],
        )
        .await?;
    Ok(match row {
        Some(row) => Place { statements: row.try_get(0)?, bytes: row.try_get(1)?, rows: row.try_get(2)? },
        None => Place::default(),
    })
}

/// Writes the place, in the transaction of the statements before it.
pub(in crate::run) async fn write(client: &Client, run: &RunKey, step: &str, place: Place) -> Result<(), Fault> {
    let rows = client
        .execute(
            fenced!(
                "INSERT INTO wesley.scripts AS s (run, step, epoch, statements_done, bytes_done, rows_done)
                 SELECT $1, $3, $2, $4, $5, $6 WHERE EXISTS (SELECT FROM fence)
                 ON CONFLICT (run, step) DO UPDATE SET
                     (epoch, statements_done, bytes_done, rows_done, updated_at)
                   = (excluded.epoch, excluded.statements_done, excluded.bytes_done, excluded.rows_done, pg_catalog.now())"
            ),
            &[&run.name, &run.epoch, &step, &place.statements, &place.bytes, &place.rows],
        )
        .await?;
    assert_written(run, rows)
}
