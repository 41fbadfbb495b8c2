//! Names the row that a backfill cannot change, without its values.

use tokio_postgres::types::ToSql;

use super::batch::{WAYS, tid};
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
    (key, hash): (Option<&[KeyColumn]>, Option<&str>),
    cursor: &Cursor,
    error: &ServerError,
) -> RunError {
    let place = match (&cursor.place, key) {
        (Place::Key { last, upper: Some(upper), window }, Some(key)) => {
            let from = window.as_ref().and_then(|window| window.reached.as_deref()).or(last.as_deref());
            let (end, share) = match (window, hash) {
                (Some(window), Some(hash)) => (&window.end, Some((window.turn, hash))),
                _ => (upper, None),
            };
            by_key(context, spec, key, from, end, share).await.unwrap_or(None)
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

/// One of the first rows after the last key, up to `end`; of one share of them, by its turn and hash, where one is given.
async fn by_key(
    context: &Context<'_>,
    spec: &Backfill,
    key: &[KeyColumn],
    last: Option<&[String]>,
    end: &[String],
    share: Option<(i32, &str)>,
) -> Result<Option<String>, Fault> {
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    parameters.extend(last.into_iter().flatten().map(|value| value as &(dyn ToSql + Sync)));
    parameters.extend(end.iter().map(|value| value as &(dyn ToSql + Sync)));
    parameters.extend(share.iter().map(|(turn, _)| turn as &(dyn ToSql + Sync)));
    let text = statement::locate(spec, key, last.is_some(), share.map(|(_, hash)| (hash, WAYS)));
    let rows = context.session.client().query(&text, &parameters).await?;
    first_bad(context, spec, &rows).await
}

/// One of the rows of a block.
async fn by_block(context: &Context<'_>, spec: &Backfill, block: i64) -> Result<Option<String>, Fault> {
    let client = context.session.client();
    let rows = client.query(&statement::list_blocks(spec), &[&tid(block), &tid(block + 1)]).await?;
    first_bad(context, spec, &rows).await
}

/// Tries rows by their `ctid`, each in a transaction of its own that is rolled back.
async fn first_bad(
    context: &Context<'_>,
    spec: &Backfill,
    rows: &[tokio_postgres::Row],
) -> Result<Option<String>, Fault> {
    let client = context.session.client();
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
