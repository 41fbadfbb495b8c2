//! Steps that the server refuses inside a transaction block: an intent before, the catalog's word after.
//!
//! On resume the catalog decides: there and the same, done; there, invalid and nobody building it, dropped
//! and built again; there and another, an error. Nothing that was there before the intent is removed or undone.

use std::time::Duration;

use super::context::{Context, Unit};
use super::error::{Fault, Reason, RunError, ServerError};
use super::failpoint::{Boundary, hit};
use super::index_repair;
use super::ledger::{Slot, steps};
use super::locks;
use super::parallel;
use super::probe::{self, Probe};
use super::progress::ProgressState;
use super::retry::{Attempts, Manner, gentle_slice};
use super::session::Session;
use super::sqlstate::{Class, classify};
use super::stall;
use super::watch::{Seen, Watch};
use crate::plan::{Concurrent, IndexProbe, Postcondition};
use crate::sql::quote;

/// Runs it until the catalog has it and the ledger knows.
pub(super) async fn run(context: &mut Context<'_>, unit: &Unit<'_>, concurrent: &Concurrent) -> Result<(), RunError> {
    let mut begun = match unit.slot {
        Slot::Forward => parallel::end(context, unit).await,
        Slot::Undo(_) => None,
    };
    let mut attempts = context.attempts(Manner::Gentle);
    loop {
        let tried = match begun.take() {
            Some(error) => Err(Fault::Server(error)),
            None => attempt(context, unit, concurrent, &attempts).await,
        };
        let Err(mut fault) = tried else { return Ok(()) };
        if let Fault::Server(error) = &mut fault
            && classify(&error.sqlstate) == Class::Data
        {
            if let Postcondition::IndexValid(index) = unit.postcondition
                && let Some(places) = index_repair::duplicates(context.session.client(), index).await
            {
                error.message = format!("{}: {places}", error.message);
            }
            clean_up(context, unit, concurrent).await;
        }
        if let Err(mut error) = context.recover(unit, &mut attempts, fault).await {
            if let Some(left) = left_behind(context, unit).await {
                error.message = format!("{}; {left}", error.message);
            }
            return Err(error);
        }
    }
}

/// What the end of the run leaves of an index build.
async fn left_behind(context: &Context<'_>, unit: &Unit<'_>) -> Option<String> {
    let Postcondition::IndexValid(index) = unit.postcondition else { return None };
    let invalid = matches!(probe::ask(context.session.client(), unit.postcondition).await, Ok(Probe::Invalid));
    invalid.then(|| {
        format!(
            "the build has left the invalid index {}, which costs writes and serves no query: the next run drops it and builds \
             it again, a rollback drops it",
            quote::qualified(&index.schema, &index.index)
        )
    })
}

async fn attempt(
    context: &Context<'_>,
    unit: &Unit<'_>,
    concurrent: &Concurrent,
    attempts: &Attempts,
) -> Result<(), Fault> {
    let client = context.session.client();
    let (run, step) = (&context.run, unit.step.id.as_str());
    let record = steps::read_one(client, run, step).await?;
    let begun = match unit.slot {
        Slot::Forward => record.touched,
        Slot::Undo(_) => true,
    };
    let repair = match probe::ask(client, unit.postcondition).await? {
        Probe::Done if begun => return finish(context, unit).await,
        Probe::Done => return steps::adopt(client, run, step).await,
        Probe::Differs(what) => {
            let advice = "rename or drop it, or give the new one another name";
            return Err(RunError::new(Reason::ObjectDiffers, format!("{what}; {advice}")).into());
        }
        Probe::Building => return Err(somebody_builds()),
        Probe::Invalid => Some(repair_statement(unit, concurrent)),
        Probe::NotDone | Probe::Unknown => None,
    };
    hit(Boundary::BeforeIntent);
    steps::begin(client, run, step, unit.slot).await?;
    hit(Boundary::AfterIntent);
    if let Some(repair) = repair.flatten() {
        send(context, unit, &repair, attempts).await?;
        hit(Boundary::AfterRepair);
    }
    for left in index_repair::leftovers(client, &concurrent.statement).await? {
        send(context, unit, &format!("DROP INDEX CONCURRENTLY IF EXISTS {left}"), attempts).await?;
        hit(Boundary::AfterRepair);
    }
    let half_done = begun && matches!(unit.postcondition, Postcondition::Query(_));
    if half_done && finish_half(context, unit, concurrent, attempts).await? {
        return finish(context, unit).await;
    }
    send(context, unit, &concurrent.statement, attempts).await?;
    hit(Boundary::AfterConcurrent);
    match probe::ask(client, unit.postcondition).await? {
        // What we have just built is what the statement says, whatever the plan foretold of its definition.
        Probe::Done | Probe::Unknown | Probe::Differs(_) => finish(context, unit).await,
        Probe::NotDone | Probe::Invalid | Probe::Building => Err(RunError::new(
            Reason::PostconditionFailed,
            "the statement went well, but the catalog does not have what it should have made; somebody else may be \
             changing the same objects",
        )
        .into()),
    }
}

/// An earlier try may have stopped half-way in a way that only its own repair can end (`DETACH ... FINALIZE`).
/// The repair fails where there was nothing half done. True when the step is done by it.
async fn finish_half(
    context: &Context<'_>,
    unit: &Unit<'_>,
    concurrent: &Concurrent,
    attempts: &Attempts,
) -> Result<bool, Fault> {
    let Some(repair) = &concurrent.repair else { return Ok(false) };
    match send(context, unit, repair, attempts).await {
        Ok(()) => hit(Boundary::AfterRepair),
        Err(Fault::Server(error)) if classify(&error.sqlstate) == Class::Permanent => {}
        Err(fault) => return Err(fault),
    }
    Ok(probe::ask(context.session.client(), unit.postcondition).await? == Probe::Done)
}

async fn finish(context: &Context<'_>, unit: &Unit<'_>) -> Result<(), Fault> {
    steps::done(context.session.client(), &context.run, &unit.step.id, unit.slot, 0).await?;
    hit(Boundary::AfterConcurrentRecorded);
    Ok(())
}

/// Sends one statement outside a transaction block.
///
/// Nobody's reads or writes queue behind an index build that waits, and one that gives up leaves an invalid
/// index and all its work to be done again: it may wait for the whole budget. Where readers or writers of a table
/// would queue, the slice bounds it.
async fn send(context: &Context<'_>, unit: &Unit<'_>, statement: &str, attempts: &Attempts) -> Result<(), Fault> {
    let session = &context.session;
    let blocks = !locks::blocking_tables(context, unit).await?.is_empty();
    let patience = if blocks {
        context.options.blocking_slice.1
    } else {
        attempts.left().max(gentle_slice(session.server.deadlock_timeout))
    };
    be_patient(session, patience).await?;
    stall::tell(context, unit).await?;
    let told = |seen: &Seen| report(context, unit, seen);
    let sent = session.watched(session.client().batch_execute(statement), Some(WATCH), told).await;
    // For the short statements of the ledger.
    let reset = session.client().batch_execute("SET lock_timeout = '5s'").await;
    sent?;
    Ok(reset?)
}

/// When to look at a statement outside of a transaction block.
pub(super) const WATCH: Watch =
    Watch { after: Duration::from_millis(500), every: Duration::from_secs(1), yield_after: None, phases: true };

/// Lets the next statement wait that long for each lock.
pub(super) async fn be_patient(session: &Session, patience: Duration) -> Result<(), Fault> {
    session.statement(session.client().batch_execute(&format!("SET lock_timeout = {}", patience.as_millis()))).await
}

/// Tells how far an index build is, and who makes it wait.
pub(super) fn report(context: &Context<'_>, unit: &Unit<'_>, seen: &Seen) {
    let state = if seen.blockers.is_empty() { ProgressState::Running } else { ProgressState::Waiting };
    let rows = seen.phase.as_ref().map_or((0, None), |phase| (phase.rows, phase.of));
    let detail = seen.phase.as_ref().map(|phase| phase.text.clone());
    context.tell_more(unit, state, rows, seen.blockers.clone(), detail);
}

/// After rows did not fit an index, the invalid index would only cost the application's writes.
pub(super) async fn clean_up(context: &Context<'_>, unit: &Unit<'_>, concurrent: &Concurrent) {
    let attempts = context.attempts(Manner::Gentle);
    if matches!(probe::ask(context.session.client(), unit.postcondition).await, Ok(Probe::Invalid))
        && let Some(repair) = repair_statement(unit, concurrent)
    {
        // The failure that is reported is the first one; a leftover is dropped by the next try.
        let _ = send(context, unit, &repair, &attempts).await;
    }
}

fn repair_statement(unit: &Unit<'_>, concurrent: &Concurrent) -> Option<String> {
    match (&concurrent.repair, unit.postcondition) {
        (Some(repair), _) => Some(repair.clone()),
        (None, Postcondition::IndexValid(IndexProbe { schema, index, .. })) => {
            Some(format!("DROP INDEX CONCURRENTLY IF EXISTS {}", quote::qualified(schema, index)))
        }
        (None, _) => None,
    }
}

fn somebody_builds() -> Fault {
    Fault::Server(ServerError {
        sqlstate: "55P03".to_owned(),
        message: "another session is building the index".to_owned(),
    })
}
