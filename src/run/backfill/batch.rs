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
use crate::run::ledger::cursor::{self, Cursor, KeyWindow, Place, Window};

/// Statements prepared on one connection.
pub(super) struct Prepared {
    /// The connection's generation.
    pub generation: u64,
    write: Statement,
    next: [Option<Statement>; 2],
    update: [Option<Statement>; 2],
    update_share: [Option<Statement>; 2],
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
    /// Whether to take a share of the rows of so many blocks, or of so many times more rows, only.
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
    key: Option<(&[KeyColumn], Option<&str>)>,
    hash: Option<&str>,
) -> Result<Prepared, Fault> {
    let client = context.session.client();
    let mut prepared = Prepared {
        generation: context.session.generation,
        write: cursor::prepare(client).await?,
        next: [None, None],
        update: [None, None],
        update_share: [None, None],
        blocks: None,
        share: None,
    };
    match key {
        Some((key, key_hash)) => {
            for from in [false, true] {
                let index = usize::from(from);
                if let Some(hash) = key_hash {
                    let text = statement::update_range_share(spec, key, from, (hash, WAYS));
                    prepared.update_share[index] = Some(client.prepare(&text).await?);
                }
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
    context.session.in_transaction(commit(context, unit, spec, prepared, from, limits)).await
}

async fn commit(
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
        Place::Key { last, upper: Some(upper), window } => {
            let work = Keys { last: last.as_deref(), upper, window: window.as_ref() };
            by_key(context, unit, prepared, from, work, limits).await?
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

/// What is left of a table by key.
#[derive(Clone, Copy)]
struct Keys<'a> {
    last: Option<&'a [String]>,
    upper: &'a [String],
    window: Option<&'a KeyWindow>,
}

/// Where a batch ends.
enum Until<'a> {
    /// At this key.
    Known(&'a [String]),
    /// So many rows behind its start, at `upper` at the latest.
    Behind {
        /// Key.
        upper: &'a [String],
        /// Rows.
        rows: i64,
    },
}

impl<'a> Keys<'a> {
    /// The key that the next batch begins behind.
    fn start(self) -> Option<&'a [String]> {
        self.window.and_then(|window| window.reached.as_deref()).or(self.last)
    }

    /// A window that was begun is finished share by share, in smaller pieces where it was made for more rows.
    fn until(self, limits: &Limits) -> Until<'a> {
        let of_all = limits.units.saturating_mul(i64::from(WAYS));
        match self.window {
            Some(window) if limits.units >= window.rows => Until::Known(&window.end),
            Some(window) => Until::Behind { upper: &window.end, rows: of_all },
            None if limits.share => Until::Behind { upper: self.upper, rows: of_all },
            None => Until::Behind { upper: self.upper, rows: limits.units },
        }
    }

    /// The share that a batch up to `until` takes; `None`: it takes all rows.
    fn share(self, until: &[String], limits: &Limits) -> Option<KeyWindow> {
        let begun = || KeyWindow { end: until.to_vec(), turn: 0, reached: None, rows: limits.units };
        self.window.cloned().or_else(|| limits.share.then(begun))
    }

    /// The cursor's place after the rows up to `until` were changed, all or a share, and whether nothing is left.
    fn after(self, until: Vec<String>, share: Option<KeyWindow>) -> (Place, bool) {
        let (last, window) = match share {
            Some(share) if until != share.end => (self.last, Some(KeyWindow { reached: Some(until.clone()), ..share })),
            Some(share) if share.turn + 1 < WAYS => {
                (self.last, Some(KeyWindow { turn: share.turn + 1, reached: None, ..share }))
            }
            _ => (Some(until.as_slice()), None),
        };
        let finished = window.is_none() && last == Some(self.upper);
        (Place::Key { last: last.map(<[String]>::to_vec), upper: Some(self.upper.to_vec()), window }, finished)
    }
}

async fn by_key(
    context: &Context<'_>,
    unit: &Unit<'_>,
    prepared: &Prepared,
    from: &Cursor,
    keys: Keys<'_>,
    limits: &Limits,
) -> Result<Cursor, Fault> {
    let lacking = || RunError::defect(format!("no statement for a batch of {}", unit.step.id));
    let start = keys.start();
    let index = usize::from(start.is_some());
    let until = match keys.until(limits) {
        Until::Known(key) => key.to_vec(),
        Until::Behind { upper, rows } => {
            let next = prepared.next[index].as_ref().ok_or_else(lacking)?;
            bound(context, next, start, upper, rows).await?
        }
    };
    let share = keys.share(&until, limits);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    parameters.extend(start.into_iter().flatten().map(|value| value as &(dyn ToSql + Sync)));
    parameters.extend(until.iter().map(|value| value as &(dyn ToSql + Sync)));
    let statements = if share.is_some() { &prepared.update_share } else { &prepared.update };
    let update = statements[index].as_ref().ok_or_else(lacking)?;
    if let Some(share) = &share {
        parameters.push(&share.turn);
    }
    let client = context.session.client();
    let rows = context.session.statement(client.execute(update, &parameters)).await?;
    let (place, finished) = keys.after(until.clone(), share);
    Ok(Cursor { place, rows_done: from.rows_done.saturating_add_unsigned(rows), finished, ..from.clone() })
}

/// The key of the row that is `rows` behind `start`; `upper` when fewer are left.
async fn bound(
    context: &Context<'_>,
    next: &Statement,
    start: Option<&[String]>,
    upper: &[String],
    rows: i64,
) -> Result<Vec<String>, Fault> {
    let session = &context.session;
    let client = session.client();
    let offset = rows - 1;
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    parameters.extend(start.into_iter().flatten().map(|value| value as &(dyn ToSql + Sync)));
    parameters.extend(upper.iter().map(|value| value as &(dyn ToSql + Sync)));
    parameters.push(&offset);
    table::exact_text(client, &session.server, true).await?;
    let found = session.statement(client.query_opt(next, &parameters)).await?;
    table::exact_text(client, &session.server, false).await?;
    Ok(match found {
        Some(row) => table::key_of(&row)?,
        None => upper.to_vec(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: i64) -> Vec<String> {
        vec![value.to_string()]
    }

    fn number(key: &[String]) -> i64 {
        key[0].parse().unwrap()
    }

    /// Rows with the keys 1 to 100, the key itself as its hash.
    #[test]
    fn every_row_is_changed_once_whatever_sizes_the_batches_have() {
        let upper = key(100);
        for (sizes, share) in [([10, 10, 10], true), ([10, 3, 1], true), ([2, 30, 7], true), ([9, 1, 40], false)] {
            let (mut last, mut window, mut finished, mut changed) = (None::<Vec<String>>, None, false, [0; 101]);
            for units in sizes.into_iter().cycle().take(1_000) {
                let limits = Limits { units, share, lock: Duration::ZERO, statement: None };
                let keys = Keys { last: last.as_deref(), upper: &upper, window: window.as_ref() };
                let from = keys.start().map_or(0, number);
                let until = match keys.until(&limits) {
                    Until::Known(key) => key.to_vec(),
                    Until::Behind { upper, rows } => key((from + rows).min(number(upper))),
                };
                let of = keys.share(&until, &limits);
                for row in from + 1..=number(&until) {
                    if of.as_ref().is_none_or(|share| row % i64::from(WAYS) == i64::from(share.turn)) {
                        changed[usize::try_from(row).unwrap()] += 1;
                    }
                }
                let (place, end) = keys.after(until, of);
                let Place::Key { last: next, window: left, .. } = place else { panic!("by key") };
                (last, window, finished) = (next, left, end);
                if finished {
                    break;
                }
            }
            assert!(finished && changed[1..].iter().all(|times| *times == 1), "{sizes:?} {changed:?}");
        }
    }
}
