//! One batch: one transaction that changes rows and moves the cursor.

use std::time::Duration;

use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::statement::{self, KeyColumn};
use super::table;
use crate::plan::Backfill;
use crate::run::context::{Context, Unit};
use crate::run::error::{Fault, RunError};
use crate::run::failpoint::{Boundary, hit};
use crate::run::ledger::cursor::{self, Cursor, Place, Window};

/// Statements prepared on one connection.
pub(super) struct Prepared {
    /// The connection's generation.
    pub generation: u64,
    write: Statement,
    next: [Option<Statement>; 2],
    update: [Option<Statement>; 2],
    blocks: Option<Statement>,
    share: Option<Statement>,
}

/// In how many shares the rows of a window are changed. More leave less room unused, and read the pages more often:
/// measured, with six a table grows by a third instead of twofold, in half the time.
pub(super) const WAYS: i32 = 6;

/// Limits of one try.
pub(super) struct Limits {
    /// Rows, or blocks.
    pub units: i64,
    /// Whether to take a share of the rows of these blocks only.
    pub share: bool,
    /// For each lock.
    pub lock: Duration,
    /// For each statement; `None`: no limit.
    pub statement: Option<Duration>,
}

/// Prepares what the batches need.
pub(super) async fn prepare(
    context: &Context<'_>,
    spec: &Backfill,
    key: Option<&[KeyColumn]>,
    hash: Option<&str>,
) -> Result<Prepared, Fault> {
    let client = context.session.client();
    let mut prepared = Prepared {
        generation: context.session.generation,
        write: cursor::prepare(client).await?,
        next: [None, None],
        update: [None, None],
        blocks: None,
        share: None,
    };
    match key {
        Some(key) => {
            for from in [false, true] {
                let index = usize::from(from);
                prepared.next[index] = Some(client.prepare(&statement::next(spec, key, from)).await?);
                prepared.update[index] = Some(client.prepare(&statement::update_range(spec, key, from)).await?);
            }
        }
        None => {
            prepared.blocks = Some(client.prepare(&statement::update_blocks(spec)).await?);
            if let Some(hash) = hash {
                prepared.share = Some(client.prepare(&statement::update_share(spec, hash, WAYS)).await?);
            }
        }
    }
    Ok(prepared)
}

/// Does one batch and gives the cursor after it.
pub(super) async fn run(
    context: &Context<'_>,
    unit: &Unit<'_>,
    spec: &Backfill,
    prepared: &Prepared,
    from: &Cursor,
    limits: &Limits,
) -> Result<Cursor, Fault> {
    let done = inside(context, unit, spec, prepared, from, limits).await;
    if done.is_err() {
        context.session.roll_back().await;
    }
    done
}

async fn inside(
    context: &Context<'_>,
    unit: &Unit<'_>,
    spec: &Backfill,
    prepared: &Prepared,
    from: &Cursor,
    limits: &Limits,
) -> Result<Cursor, Fault> {
    let session = &context.session;
    let client = session.client();
    session.statement(client.batch_execute(&begin(limits))).await?;
    hit(Boundary::BatchBegun);
    let mut cursor = match &from.place {
        Place::Key { last, upper: Some(upper) } => {
            let last = last.as_deref();
            by_key(context, unit, prepared, from, (last, upper), limits).await?
        }
        Place::Key { upper: None, .. } => Cursor { finished: true, ..from.clone() },
        Place::Block { .. } => by_block(context, spec, prepared, from, limits).await?,
    };
    hit(Boundary::BatchUpdated);
    cursor.batches += 1;
    cursor::write(client, &prepared.write, &context.run, &unit.step.id, unit.slot, &cursor).await?;
    hit(Boundary::BatchRecorded);
    session.statement(client.batch_execute("COMMIT")).await?;
    hit(Boundary::BatchCommitted);
    Ok(cursor)
}

/// Row security would silently leave out rows of a table that forces it on its owner: an error is better. A plan
/// made for any parameters would not know how narrow a range is.
fn begin(limits: &Limits) -> String {
    format!(
        "BEGIN; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; \
         SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL row_security = off; \
         SET LOCAL plan_cache_mode = force_custom_plan",
        limits.lock.as_millis(),
        limits.statement.map_or(0, |limit| limit.as_millis())
    )
}

async fn by_key(
    context: &Context<'_>,
    unit: &Unit<'_>,
    prepared: &Prepared,
    from: &Cursor,
    (last, upper): (Option<&[String]>, &[String]),
    limits: &Limits,
) -> Result<Cursor, Fault> {
    let session = &context.session;
    let client = session.client();
    let index = usize::from(last.is_some());
    let (Some(next), Some(update)) = (&prepared.next[index], &prepared.update[index]) else {
        return Err(RunError::defect(format!("no statement for a batch of {}", unit.step.id)).into());
    };
    let offset = limits.units - 1;
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    parameters.extend(last.into_iter().flatten().map(|value| value as &(dyn ToSql + Sync)));
    let bounds = parameters.len();
    parameters.extend(upper.iter().map(|value| value as &(dyn ToSql + Sync)));
    parameters.push(&offset);
    table::exact_text(client, &session.server, true).await?;
    let found = session.statement(client.query_opt(next, &parameters)).await?;
    table::exact_text(client, &session.server, false).await?;
    // Fewer rows than asked for are left: the rest, up to the bound.
    let (until, finished) = match found {
        Some(row) => (table::key_of(&row)?, false),
        None => (upper.to_vec(), true),
    };
    parameters.truncate(bounds);
    parameters.extend(until.iter().map(|value| value as &(dyn ToSql + Sync)));
    let rows = session.statement(client.execute(update, &parameters)).await?;
    Ok(Cursor {
        place: Place::Key { last: Some(until), upper: Some(upper.to_vec()) },
        rows_done: from.rows_done.saturating_add_unsigned(rows),
        finished,
        ..from.clone()
    })
}

async fn by_block(
    context: &Context<'_>,
    spec: &Backfill,
    prepared: &Prepared,
    from: &Cursor,
    limits: &Limits,
) -> Result<Cursor, Fault> {
    let Place::Block { next, upper, window } = from.place else {
        return Err(RunError::defect("a batch of blocks without a block").into());
    };
    let session = &context.session;
    let client = session.client();
    let limit = next.saturating_add(limits.units).min(upper);
    let share = prepared.share.as_ref().filter(|_| limits.share);
    let (until, turn) = match (share, window) {
        // A window that was cut short leaves what is behind the cut to the next one.
        (Some(_), Some(window)) => (window.end.min(limit), window.turn),
        _ => (limit, 0),
    };
    let work = match (&prepared.blocks, share) {
        _ if is_whole(spec) => session.statement(client.execute(&statement::update_all(spec), &[])).await,
        (_, Some(share)) => session.statement(client.execute(share, &[&tid(next), &tid(until), &turn])).await,
        (Some(blocks), None) => session.statement(client.execute(blocks, &[&tid(next), &tid(until)])).await,
        (None, None) => Err(RunError::defect("no statement for a batch of blocks").into()),
    };
    let rows = work?;
    // Asked with the table's lock held: a rewrite in between gave every row another place.
    let filenode: i64 = client
        .query_one("SELECT coalesce(pg_catalog.pg_relation_filenode($1::bigint::oid)::bigint, 0)", &[&from.relation])
        .await?
        .try_get(0)?;
    let rows_done = from.rows_done.saturating_add_unsigned(rows);
    if is_whole(spec) {
        let place = Place::Block { next: upper, upper, window: None };
        return Ok(Cursor { place, rows_done, finished: true, ..from.clone() });
    }
    if filenode != from.filenode {
        let upper = table::read(client, spec, &session.server).await?.blocks;
        let place = Place::Block { next: 0, upper, window: None };
        return Ok(Cursor { filenode, place, rows_done, ..from.clone() });
    }
    let again = share.is_some() && turn + 1 < WAYS;
    let place = if again {
        Place::Block { next, upper, window: Some(Window { end: until, turn: turn + 1 }) }
    } else {
        Place::Block { next: until, upper, window: None }
    };
    Ok(Cursor { place, rows_done, finished: !again && until >= upper, ..from.clone() })
}

/// Rows move between blocks when they are changed. Where nothing tells a changed row from an unchanged one, only
/// one statement over all rows changes each of them once.
pub(super) fn is_whole(spec: &Backfill) -> bool {
    !spec.idempotent || spec.filter.is_none()
}

/// The first place in a block.
pub(super) fn tid(block: i64) -> String {
    format!("({block},0)")
}
