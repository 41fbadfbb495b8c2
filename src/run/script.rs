//! Script steps: a long run of the author's statements, in batches, each with its place in its own transaction.
//!
//! Batches follow a target duration like those of a backfill, and are halved to the single statement when one does not
//! go through. A batch is one message to the server: its statements run one after another as they would alone.

use std::sync::Arc;
use std::time::Instant;

use futures::TryStreamExt;
use tokio_postgres::SimpleQueryMessage;

use super::backfill::{Pace, rest};
use super::context::{Context, Unit};
use super::error::{Fault, Reason, RunError, ServerError};
use super::failpoint::{Boundary, hit};
use super::ledger::script::{self as ledger, Place};
use super::ledger::{COMMIT, OWN_NAMES, steps};
use super::progress::ProgressState;
use super::retry::Attempts;
use super::source::{FileRun, Reader};
use super::sqlstate::{Class, classify};
use super::watch::Seen;
use crate::plan::{LongRun, Script};

/// Bytes of text in one batch, unless a single statement is longer: the server holds the text and its trees.
const BATCH: usize = 1 << 20;

/// A script on the way.
struct Work {
    reader: Reader,
    /// What is recorded.
    place: Place,
    pace: Pace,
}

/// Statements that are sent together.
#[derive(Default)]
struct Batch {
    text: String,
    statements: i64,
    bytes: i64,
}

/// Runs it until it is recorded as done.
pub(super) async fn run(context: &mut Context<'_>, unit: &Unit<'_>, script: &Script) -> Result<(), RunError> {
    let run = found(context, script).map_err(|error| error.at(&unit.step.id))?;
    let mut attempts = context.attempts(unit.manner());
    let tuning = context.options.backfill;
    let mut pace = Pace::new(tuning, tuning.first);
    let mut begun = false;
    loop {
        match open(context, unit, &run, pace.clone()).await {
            Ok(mut work) => {
                if !begun && work.place.statements > 0 {
                    // The process before this one may have died inside a batch.
                    context.tally.batches_redone += 1;
                }
                begun = true;
                let ended = go_on(context, unit, (script, &run), &mut work, &mut attempts).await;
                pace = work.pace;
                match ended {
                    Ok(()) => {
                        context.tally.rows_done += work.place.rows;
                        return Ok(());
                    }
                    Err(fault) => context.recover(unit, &mut attempts, fault).await?,
                }
            }
            Err(fault) => context.recover(unit, &mut attempts, fault).await?,
        }
    }
}

/// The text of the step among what this process has read.
fn found(context: &Context<'_>, script: &Script) -> Result<Arc<FileRun>, RunError> {
    context.options.runs.iter().find(|run| run.digest() == script.digest).cloned().ok_or_else(|| {
        RunError::new(
            Reason::SourceChanged,
            "the statements of this step are in the file that it was planned from, which is not given here: run \
             `wesley apply` with that file",
        )
    })
}

/// Begins, or goes on from what is recorded: what this process remembers may be more than the server does.
async fn open(context: &Context<'_>, unit: &Unit<'_>, run: &Arc<FileRun>, pace: Pace) -> Result<Work, Fault> {
    let client = context.session.client();
    steps::begin(client, &context.run, &unit.step.id, unit.slot).await?;
    let place = ledger::read(client, &context.run, &unit.step.id).await?;
    hit(Boundary::CursorOpened);
    Ok(Work { reader: run.reader(place.statements), place, pace })
}

async fn go_on(
    context: &Context<'_>,
    unit: &Unit<'_>,
    (script, run): (&Script, &Arc<FileRun>),
    work: &mut Work,
    attempts: &mut Attempts,
) -> Result<(), Fault> {
    let mut batch = Batch::default();
    loop {
        if batch.statements == 0 {
            batch = next(&mut work.reader, work.pace.size())?;
        }
        if batch.statements == 0 {
            break;
        }
        let began = Instant::now();
        let place =
            match context.session.in_transaction(commit(context, unit, script, &batch, work.place, attempts)).await {
                Ok(place) => place,
                Err(fault) => {
                    smaller(work, &batch, fault)?;
                    work.reader = run.reader(work.place.statements);
                    batch = Batch::default();
                    continue;
                }
            };
        let took = began.elapsed();
        work.pace.committed(batch.statements, took);
        let rows = place.rows - work.place.rows;
        work.place = place;
        batch = Batch::default();
        attempts.renew(context.options);
        tell(context, unit, script, place);
        rest(context, context.options.backfill, took, rows).await?;
    }
    if work.place.statements != script.statements {
        return Err(RunError::defect("a script has other statements than its plan says").into());
    }
    hit(Boundary::BackfillFinished);
    steps::done(context.session.client(), &context.run, &unit.step.id, unit.slot, work.place.rows).await?;
    hit(Boundary::BackfillRecorded);
    Ok(())
}

/// The next statements, `most` of them at most.
fn next(reader: &mut Reader, most: i64) -> Result<Batch, RunError> {
    let mut batch = Batch::default();
    let changed = |message: String| RunError::new(Reason::SourceChanged, message);
    while batch.statements < most {
        let Some(text) = reader.peek().map_err(changed)? else { break };
        if batch.statements > 0 && batch.text.len() + text.len() > BATCH {
            break;
        }
        batch.text.push_str(text);
        // A statement may end in a comment.
        batch.text.push_str("\n;\n");
        batch.statements += 1;
        batch.bytes += i64::try_from(text.len()).unwrap_or(i64::MAX);
        reader.take();
    }
    Ok(batch)
}

async fn commit(
    context: &Context<'_>,
    unit: &Unit<'_>,
    script: &Script,
    batch: &Batch,
    place: Place,
    attempts: &Attempts,
) -> Result<Place, Fault> {
    let session = &context.session;
    let client = session.client();
    let mut begin = format!(
        "BEGIN; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = 0; \
         SET LOCAL idle_in_transaction_session_timeout = '5s'",
        attempts.slice().as_millis()
    );
    for setting in &script.settings {
        begin.push_str("; ");
        begin.push_str(setting);
    }
    session.statement(client.batch_execute(&begin)).await?;
    hit(Boundary::BatchBegun);
    let run = async {
        let mut rows = 0;
        let messages = client.simple_query_raw(&batch.text).await?;
        futures::pin_mut!(messages);
        while let Some(message) = messages.try_next().await? {
            // Rows of RETURNING have nobody to go to.
            if let SimpleQueryMessage::CommandComplete(count) = message {
                rows += i64::try_from(count).unwrap_or(0);
            }
        }
        Ok::<_, tokio_postgres::Error>(rows)
    };
    let told = |seen: &Seen| {
        let done = (place.rows, None);
        context.tell(unit, ProgressState::Waiting, done, seen.blockers.clone());
    };
    let rows = session.watched(run, Some(context.watch(attempts, true)), told).await?;
    hit(Boundary::BatchUpdated);
    // The author's settings, and functions that set something, end here.
    session.statement(client.batch_execute(&format!("RESET ROLE; {OWN_NAMES}"))).await?;
    let place = Place {
        statements: place.statements + batch.statements,
        bytes: place.bytes + batch.bytes,
        rows: place.rows + rows,
    };
    ledger::write(client, &context.run, &unit.step.id, place).await?;
    hit(Boundary::BatchRecorded);
    session.statement(client.batch_execute(COMMIT)).await?;
    hit(Boundary::BatchCommitted);
    Ok(place)
}

/// Makes the next batch smaller, to hold fewer locks or to find the statement that does not go through; `Ok` when it is to
/// be tried at once. The statement is named when it is found.
fn smaller(work: &mut Work, batch: &Batch, fault: Fault) -> Result<(), Fault> {
    let Fault::Server(error) = &fault else { return Err(fault) };
    match classify(&error.sqlstate) {
        Class::Lock | Class::Conflict | Class::Cancelled => {
            work.pace.contended();
            Err(fault)
        }
        Class::Data | Class::Permanent if batch.statements > 1 && work.pace.split() => Ok(()),
        Class::Data | Class::Permanent => Err(Fault::Server(ServerError {
            message: format!("statement {} of the step: {}", work.place.statements + 1, error.message),
            ..error.clone()
        })),
        Class::Saturated | Class::Gone => Err(fault),
    }
}

fn tell(context: &Context<'_>, unit: &Unit<'_>, script: &Script, place: Place) {
    let detail = format!("statement {} of {}", place.statements, script.statements);
    context.tell_more(unit, ProgressState::Running, (place.rows, None), Vec::new(), Some(detail));
}
