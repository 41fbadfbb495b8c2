//! Check steps: a question whose answer must be true.

use super::context::{Context, Unit};
use super::error::{Fault, Reason, RunError};
use super::failpoint::{Boundary, hit};
use super::ledger::steps;
use super::retry::{Attempts, Manner};
use super::watch::Watch;
use crate::plan::{ASSERTION, Check};

/// Asks until there is an answer. Anything but true ends the run.
pub(super) async fn run(context: &mut Context<'_>, unit: &Unit<'_>, check: &Check) -> Result<(), RunError> {
    let mut attempts = context.attempts(Manner::Gentle);
    loop {
        let Err(fault) = context.session.in_transaction(commit(context, unit, check, &attempts)).await else {
            return Ok(());
        };
        context.recover(unit, &mut attempts, fault).await?;
        match context.recorded(unit).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(fault) => context.recover(unit, &mut attempts, fault).await?,
        }
    }
}

async fn commit(context: &Context<'_>, unit: &Unit<'_>, check: &Check, attempts: &Attempts) -> Result<(), Fault> {
    let session = &context.session;
    let client = session.client();
    let begin = format!("BEGIN; SET LOCAL lock_timeout = {}", attempts.slice().as_millis());
    session.statement(client.batch_execute(&begin)).await?;
    let watch = context.watch(attempts, true);
    require(context, unit, check, watch).await?;
    steps::done(client, &context.run, &unit.step.id, unit.slot, 0).await?;
    hit(Boundary::BeforeCommit);
    session.statement(client.batch_execute("COMMIT")).await?;
    hit(Boundary::AfterCommit);
    Ok(())
}

/// Asks in the present transaction; any answer but true is the error.
pub(super) async fn require(context: &Context<'_>, unit: &Unit<'_>, check: &Check, watch: Watch) -> Result<(), Fault> {
    let session = &context.session;
    let rows = session.watched(session.client().query(&check.query, &[]), Some(watch), |_| ()).await?;
    hit(Boundary::CheckAnswered);
    if is_true(&rows) {
        return Ok(());
    }
    let reason = if context.tally.changed { Reason::CheckFailed } else { Reason::PreconditionFailed };
    let message = if unit.step.pattern == ASSERTION {
        format!("{}: the answer was {}", check.message, answer(&rows))
    } else {
        check.message.clone()
    };
    Err(RunError::new(reason, message).into())
}

/// What was answered, without any data.
fn answer(rows: &[tokio_postgres::Row]) -> &'static str {
    match rows {
        [] => "no row",
        [row] if row.len() != 1 => "a row of several columns",
        [row] => match row.try_get::<_, Option<bool>>(0) {
            Ok(Some(true)) => "true",
            Ok(Some(false)) => "false",
            Ok(None) => "null",
            Err(_) => "no boolean",
        },
        _ => "several rows",
    }
}

/// One row, one column, true. Null is not true.
pub(super) fn is_true(rows: &[tokio_postgres::Row]) -> bool {
    matches!(rows, [row] if row.len() == 1 && row.try_get::<_, Option<bool>>(0).is_ok_and(|answer| answer == Some(true)))
}
