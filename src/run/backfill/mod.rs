//! Backfill steps: rows changed in batches, each with its cursor in its own transaction.
//!
//! By key where there is one, else by block ranges. Batches follow a target duration, are halved when they wait,
//! and split down to the single row when one does not fit.

mod batch;
mod culprit;
mod hold;
mod outside;
mod pace;
mod statement;
mod table;
mod tuning;
mod vacuum;

use std::time::{Duration, Instant};

use batch::{Limits, Prepared};
pub(crate) use outside::require_address;
pub(super) use pace::Pace;
use table::Table;
use tuning::Tuning;

use super::context::{Context, Unit};
use super::error::{Fault, Reason, RunError};
use super::failpoint::{Boundary, hit};
use super::ledger::cursor::{self, Cursor, Place};
use super::ledger::{Slot, steps};
use super::options::BackfillOptions;
use super::progress::ProgressState;
use super::retry::{Attempts, Manner};
use super::sqlstate::{Class, classify};
use crate::plan::{Action, Backfill, Undo, UndoAction};

/// Passes over the blocks after which rows that still need it are left to the next step: the application makes
/// them as fast as they are changed.
const MOST_PASSES: i32 = 3;

/// A backfill on the way.
struct Work {
    table: Table,
    cursor: Cursor,
    pace: Pace,
    prepared: Prepared,
    watch: hold::Watch,
    tuning: Tuning,
    /// Whether rows by key are changed in shares of a window.
    shares: bool,
}

/// Runs it until it is recorded as done.
pub(super) async fn run(context: &mut Context<'_>, unit: &Unit<'_>, spec: &Backfill) -> Result<(), RunError> {
    let mut attempts = context.attempts(Manner::Blocking);
    let mut work = loop {
        match open(context, unit, spec).await {
            Ok(work) => break work,
            Err(fault) => context.recover(unit, &mut attempts, fault).await?,
        }
    };
    if work.cursor.batches > 0 && !work.cursor.finished {
        // The process before this one may have died inside a batch.
        context.tally.batches_redone += 1;
    }
    loop {
        match go_on(context, unit, spec, &mut work, &mut attempts).await {
            Ok(()) => break,
            Err(fault) => context.recover(unit, &mut attempts, fault).await?,
        }
        // What is recorded counts, not what this process remembers: the answer to a COMMIT may have been lost.
        loop {
            match reopen(context, unit, spec, &mut work).await {
                Ok(()) => break,
                Err(fault) => context.recover(unit, &mut attempts, fault).await?,
            }
        }
    }
    context.tally.rows_done += work.cursor.rows_done;
    Ok(())
}

async fn open(context: &Context<'_>, unit: &Unit<'_>, spec: &Backfill) -> Result<Work, Fault> {
    let client = context.session.client();
    let mut table = table::read(client, spec, &context.session.server).await?;
    if table.rows.is_none() {
        table::analyze(context, spec).await?;
        table = table::read(client, spec, &context.session.server).await?;
    }
    let tuning = Tuning::new(context.options);
    let cursor = match cursor::read(client, &context.run, &unit.step.id, unit.slot).await? {
        Some(cursor) => cursor,
        None => {
            let server = &context.session.server;
            let by_key = !by_blocks(unit, spec, &table);
            let first = tuning.pace.first.min(tuning.pace.most);
            let mut cursor = table::first_cursor(client, spec, server, &table, first, by_key).await?;
            if let Slot::Undo(_) = unit.slot {
                within_forward(context, unit, spec, &mut cursor).await?;
            }
            steps::begin(client, &context.run, &unit.step.id, unit.slot).await?;
            let write = cursor::prepare(client).await?;
            cursor::write(client, &write, &context.run, &unit.step.id, unit.slot, &cursor).await?;
            hit(Boundary::CursorOpened);
            cursor
        }
    };
    require_same_table(spec, &table, &cursor)?;
    let prepared = prepare(context, spec, &table, &cursor).await?;
    let pace = Pace::new(tuning.pace, cursor.batch_size.min(tuning.pace.most));
    let watch = hold::Watch::new(cursor.rows_done);
    let shares = table.key_in_shares() && !undone_by_place(unit);
    Ok(Work { table, cursor, pace, prepared, watch, tuning, shares })
}

/// Whether the rows are gone through by blocks although there is a key: in shares, or because the key's order is not
/// the rows'. Only where the filter tells what is left, and where no undo needs to know how far this has come.
fn by_blocks(unit: &Unit<'_>, spec: &Backfill, table: &Table) -> bool {
    (table.hash.is_some() || table.is_scattered()) && !batch::is_whole(spec) && !undone_by_place(unit)
}

/// Whether the undo of the step has to know which rows were changed by their place.
fn undone_by_place(unit: &Unit<'_>) -> bool {
    unit.slot == Slot::Forward
        && match &unit.step.undo {
            Undo::Lossless(undo) => undo.actions.iter().any(needs_place),
            Undo::Lossy(undo) => undo.actions.iter().any(needs_place),
            Undo::Nothing(_) | Undo::Irreversible(_) => false,
        }
}

fn needs_place(undo: &UndoAction) -> bool {
    matches!(&undo.action, Action::Backfill(spec) if batch::is_whole(spec))
}

/// The undo of a backfill looks only at the rows that the backfill came to: where it stopped half-way, the rest is
/// as it was, and rows that came later were never its own.
async fn within_forward(
    context: &Context<'_>,
    unit: &Unit<'_>,
    spec: &Backfill,
    cursor: &mut Cursor,
) -> Result<(), Fault> {
    let Action::Backfill(forward) = &unit.step.action else { return Ok(()) };
    if (&forward.schema, &forward.table) != (&spec.schema, &spec.table) {
        return Ok(());
    }
    let client = context.session.client();
    let Some(done) = cursor::read(client, &context.run, &unit.step.id, Slot::Forward).await? else {
        cursor.finished = true;
        return Ok(());
    };
    match (&mut cursor.place, done.place) {
        (Place::Key { upper, .. }, Place::Key { last, window, .. }) if forward.key == spec.key => {
            *upper = window.map(|window| window.end).or(last);
        }
        // All rows or none: it was one statement.
        (_, Place::Block { .. }) if batch::is_whole(forward) => cursor.finished = !done.finished,
        _ => {}
    }
    Ok(())
}

/// Reads the cursor again, and prepares again when the connection is new.
async fn reopen(context: &Context<'_>, unit: &Unit<'_>, spec: &Backfill, work: &mut Work) -> Result<(), Fault> {
    let client = context.session.client();
    if let Some(cursor) = cursor::read(client, &context.run, &unit.step.id, unit.slot).await? {
        work.cursor = cursor;
    }
    if work.prepared.generation != context.session.generation {
        work.prepared = prepare(context, spec, &work.table, &work.cursor).await?;
    }
    Ok(())
}

async fn prepare(context: &Context<'_>, spec: &Backfill, table: &Table, cursor: &Cursor) -> Result<Prepared, Fault> {
    let key = match (&cursor.place, &table.key) {
        (Place::Key { .. }, Some(key)) => Some((key.as_slice(), table.key_hash.as_deref())),
        (Place::Key { .. }, None) => {
            return Err(RunError::new(
                Reason::ObjectDiffers,
                format!("the key of {} was changed while rows were being changed by it", statement::table(spec)),
            )
            .into());
        }
        (Place::Block { .. }, _) => None,
    };
    batch::prepare(context, spec, key, table.hash.as_deref()).await
}

fn require_same_table(spec: &Backfill, table: &Table, cursor: &Cursor) -> Result<(), RunError> {
    if table.relation == cursor.relation {
        return Ok(());
    }
    Err(RunError::new(
        Reason::ObjectDiffers,
        format!("the table {} was replaced by another while its rows were being changed", statement::table(spec)),
    ))
}

/// Batch after batch, to the recorded end.
async fn go_on(
    context: &Context<'_>,
    unit: &Unit<'_>,
    spec: &Backfill,
    work: &mut Work,
    attempts: &mut Attempts,
) -> Result<(), Fault> {
    loop {
        while !work.cursor.finished {
            step(context, unit, spec, work, attempts).await?;
        }
        if !another_pass(context, unit, spec, work).await? {
            break;
        }
    }
    hit(Boundary::BackfillFinished);
    table::analyze_changed(context, spec).await?;
    let rows = work.cursor.rows_done;
    steps::done(context.session.client(), &context.run, &unit.step.id, unit.slot, rows).await?;
    hit(Boundary::BackfillRecorded);
    Ok(())
}

/// One batch; `Ok` also when it is to be tried again at once with fewer rows.
async fn step(
    context: &Context<'_>,
    unit: &Unit<'_>,
    spec: &Backfill,
    work: &mut Work,
    attempts: &mut Attempts,
) -> Result<(), Fault> {
    let rows = (work.cursor.rows_done, work.cursor.rows_total);
    work.watch.pass(context, unit, spec, &work.table, rows, &mut work.tuning).await?;
    work.pace.retarget(work.tuning.pace);
    let limits = limits(spec, work, attempts);
    let began = Instant::now();
    work.cursor.batch_size = work.pace.size();
    match batch::run(context, unit, spec, &work.prepared, &work.cursor, &limits).await {
        Ok(cursor) => {
            let took = began.elapsed();
            let changed = cursor.rows_done - work.cursor.rows_done;
            work.pace.committed(looked_at(work, &limits), took);
            work.cursor = cursor;
            attempts.renew(context.options);
            let rows = (work.cursor.rows_done, work.cursor.rows_total);
            context.tell(unit, ProgressState::Running, rows, Vec::new());
            rest(context, work.tuning.pace, took, changed).await
        }
        Err(fault) => fail(context, spec, work, fault).await,
    }
}

fn limits(spec: &Backfill, work: &Work, attempts: &Attempts) -> Limits {
    let size = work.pace.size();
    let whole = matches!(work.cursor.place, Place::Block { .. }) && batch::is_whole(spec);
    // What moved behind the first pass is little: it needs no shares. Neither does the search for a bad row.
    let share = work.cursor.pass == 1
        && !work.pace.is_searching()
        && match work.cursor.place {
            Place::Key { .. } => work.shares,
            Place::Block { .. } => work.table.hash.is_some(),
        };
    let units = match work.cursor.place {
        Place::Key { .. } => size,
        Place::Block { .. } if share => (size * i64::from(batch::WAYS) / work.table.rows_per_block()).max(1),
        Place::Block { .. } => (size / work.table.rows_per_block()).max(1),
    };
    // A single row may take as long as the growing limit of short statements allows.
    let statement = if units == 1 {
        attempts.short_statement()
    } else {
        (work.tuning.pace.target * 10).max(Duration::from_secs(1))
    };
    Limits { units, share, lock: attempts.slice(), statement: (!whole).then_some(statement) }
}

/// Rows that a batch was to change, about: the window may be older than the present pace.
fn looked_at(work: &Work, limits: &Limits) -> i64 {
    let (next, upper, window) = match &work.cursor.place {
        Place::Key { window, .. } => {
            return window.as_ref().map_or(limits.units, |window| limits.units.min(window.rows));
        }
        Place::Block { next, upper, window } => (*next, *upper, *window),
    };
    let end = next.saturating_add(limits.units).min(upper);
    let blocks = match window {
        Some(window) if limits.share => window.end.min(end) - next,
        _ => end - next,
    };
    let ways = if limits.share { i64::from(batch::WAYS) } else { 1 };
    (blocks.max(1) * work.table.rows_per_block() / ways).max(1)
}

/// Makes the next batch smaller, or names the row when it cannot be.
async fn fail(context: &Context<'_>, spec: &Backfill, work: &mut Work, fault: Fault) -> Result<(), Fault> {
    let Fault::Server(error) = &fault else { return Err(fault) };
    let smallest = match work.cursor.place {
        Place::Key { .. } => work.pace.size() <= 1,
        Place::Block { .. } => work.pace.size() <= work.table.rows_per_block() || batch::is_whole(spec),
    };
    match classify(&error.sqlstate) {
        // Somebody holds a row: let go, pause, and hold fewer the next time.
        Class::Lock | Class::Conflict => {
            work.pace.contended();
            Err(fault)
        }
        Class::Cancelled if !smallest => {
            work.pace.contended();
            Ok(())
        }
        Class::Data if !smallest => {
            work.pace.split();
            Ok(())
        }
        Class::Data if !batch::is_whole(spec) || matches!(work.cursor.place, Place::Key { .. }) => {
            let key = (work.table.key.as_deref(), work.table.key_hash.as_deref());
            Err(culprit::name(context, spec, key, &work.cursor, error).await.into())
        }
        _ => Err(fault),
    }
}

/// Pauses as the options want it.
pub(super) async fn rest(context: &Context<'_>, pace: BackfillOptions, took: Duration, rows: i64) -> Result<(), Fault> {
    #[allow(clippy::cast_precision_loss)]
    let least = pace.rows_per_second.map(|limit| Duration::from_secs_f64(rows.max(0) as f64 / limit.max(1) as f64));
    let pause = took.mul_f64(pace.nice).max(least.unwrap_or_default().saturating_sub(took));
    if !pause.is_zero() {
        context.session.pause(pause).await?;
    }
    Ok(())
}

/// A row that the application moved to a block behind the cursor was missed: look again while there are some.
/// False when there is nothing to look for.
async fn another_pass(context: &Context<'_>, unit: &Unit<'_>, spec: &Backfill, work: &mut Work) -> Result<bool, Fault> {
    let by_key = matches!(work.cursor.place, Place::Key { .. });
    if by_key || batch::is_whole(spec) || work.cursor.pass >= MOST_PASSES {
        return Ok(false);
    }
    let Some(remaining) = statement::remaining(spec) else { return Ok(false) };
    let client = context.session.client();
    client.batch_execute("BEGIN; SET LOCAL row_security = off").await?;
    let left = context.session.statement(client.query_one(&remaining, &[])).await;
    context.session.roll_back().await;
    if !left?.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    let blocks = table::read(client, spec, &context.session.server).await?.blocks;
    let mut cursor = work.cursor.clone();
    cursor.pass += 1;
    cursor.finished = false;
    cursor.place = Place::Block { next: 0, upper: blocks, window: None };
    let write = cursor::prepare(client).await?;
    cursor::write(client, &write, &context.run, &unit.step.id, unit.slot, &cursor).await?;
    work.cursor = cursor;
    Ok(true)
}
