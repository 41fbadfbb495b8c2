//! Names the row that a backfill cannot change, without its values.

use tokio_postgres::types::ToSql;

use super::batch::tid;
use super::statement::{self, KeyColumn};
use crate::plan::Backfill;
use crate::run::context::Context;
use crate::run::error::{Fault, Reason, RunError, ServerError};
use crate::run::ledger::cursor::{Cursor, Place};
use crate::run::sqlstate::{Class, classify};

/// The error for a batch of one row (or one block) that fails.
pub(super) async fn name(
    context: &Context<'_>,
    spec: &Backfill,
    key: Option<&[KeyColumn]>,
    cursor: &Cursor,
    error: &ServerError,
) -> RunError {
    let place = match (&cursor.place, key) {
        (Place::Key { last, upper: Some(upper) }, Some(key)) => {
            by_key(context, spec, key, last.as_deref(), upper).await.unwrap_or(None)
        }
        (Place::Block { next, .. }, _) => by_block(context, spec, *next).await.unwrap_or(None),
        _ => None,
    };
    context.session.roll_back().await;
    let row = match place {
        Some(ctid) => format!("the row at ctid {ctid}"),
        None => "a row".to_owned(),
    };
    let columns = match key {
        Some(key) => {
            let names: Vec<String> = key.iter().map(|column| crate::sql::quote::ident(&column.name)).collect();
            format!(" (key: {})", names.join(", "))
        }
        None => String::new(),
    };
    let message = format!(
        "{row} of {}{columns} cannot be changed: {}; correct the row, then run it again to go on from there",
        statement::table(spec),
        error.message
    );
    RunError { sqlstate: Some(error.sqlstate.clone()), ..RunError::new(Reason::PoisonRow, message) }
}

/// The first row after the last key.
async fn by_key(
    context: &Context<'_>,
    spec: &Backfill,
    key: &[KeyColumn],
    last: Option<&[String]>,
    upper: &[String],
) -> Result<Option<String>, Fault> {
    let client = context.session.client();
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    parameters.extend(last.into_iter().flatten().map(|value| value as &(dyn ToSql + Sync)));
    parameters.extend(upper.iter().map(|value| value as &(dyn ToSql + Sync)));
    let row = client.query_opt(&statement::locate(spec, key, last.is_some()), &parameters).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Tries the rows of one block, each in a transaction of its own that is rolled back.
async fn by_block(context: &Context<'_>, spec: &Backfill, block: i64) -> Result<Option<String>, Fault> {
    let client = context.session.client();
    let rows = client.query(&statement::list_blocks(spec), &[&tid(block), &tid(block + 1)]).await?;
    let update = statement::update_row(spec);
    for row in rows {
        let ctid: String = row.try_get(0)?;
        client.batch_execute("BEGIN").await?;
        let tried = client.execute(&update, &[&ctid]).await.map_err(Fault::from);
        context.session.roll_back().await;
        if let Err(Fault::Server(error)) = tried
            && classify(&error.sqlstate) == Class::Data
        {
            return Ok(Some(ctid));
        }
    }
    Ok(None)
}
