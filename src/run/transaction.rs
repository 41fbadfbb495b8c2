//! Transaction steps: the statements and the ledger row are one transaction, so that done and recorded are one
//! fact.

use super::check;
use super::context::{Context, Unit};
use super::error::{Fault, Reason, RunError};
use super::failpoint::{Boundary, hit};
use super::ledger::{COMMIT, OWN_NAMES, steps};
use super::locks;
use super::queue;
use super::retry::Attempts;
use crate::plan::{SmallTables, Transaction};

/// Runs it until it is recorded as done.
pub(super) async fn run(context: &mut Context<'_>, unit: &Unit<'_>, transaction: &Transaction) -> Result<(), RunError> {
    let mut attempts = context.attempts(unit.manner());
    loop {
        let tried = match queue::stay_out(context, unit, &mut attempts).await {
            Ok(()) => context.session.in_transaction(commit(context, unit, transaction, &attempts)).await,
            Err(fault) => Err(fault),
        };
        let Err(fault) = tried else {
            return Ok(());
        };
        context.recover(unit, &mut attempts, fault).await?;
        // The answer to a COMMIT may have been lost with the connection. The lock is ours again, so the session
        // that sent it has ended: the ledger has the outcome.
        match context.recorded(unit).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(fault) => context.recover(unit, &mut attempts, fault).await?,
        }
    }
}

async fn commit(
    context: &Context<'_>,
    unit: &Unit<'_>,
    transaction: &Transaction,
    attempts: &Attempts,
) -> Result<(), Fault> {
    let session = &context.session;
    let client = session.client();
    session.statement(client.batch_execute("BEGIN")).await?;
    hit(Boundary::TransactionBegun);
    locks::take(context, unit, attempts).await?;
    if let Some(small) = &transaction.small {
        require_small(context, small).await?;
    }
    for guard in &transaction.guards {
        check::require(context, unit, guard, context.watch(attempts, true)).await?;
    }
    let limit = if transaction.long { 0 } else { attempts.short_statement().as_millis() };
    let settings = format!(
        "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {limit}; \
         SET LOCAL idle_in_transaction_session_timeout = '5s'",
        attempts.slice().as_millis()
    );
    session.statement(client.batch_execute(&settings)).await?;
    let watch = context.watch(attempts, transaction.long);
    let _ = session.warned();
    for statement in &transaction.statements {
        hit(Boundary::BeforeStatement);
        context.execute(unit, statement, watch).await?;
        if let Some(warned) = session.warned() {
            return Err(Fault::Server(warned));
        }
        hit(Boundary::AfterStatement);
    }
    // A function of the author may have set them (set_config): names in what follows mean what they say.
    session.statement(client.batch_execute(&format!("RESET ROLE; {OWN_NAMES}"))).await?;
    steps::done(client, &context.run, &unit.step.id, unit.slot, 0).await?;
    hit(Boundary::BeforeCommit);
    session.statement(client.batch_execute(COMMIT)).await?;
    hit(Boundary::AfterCommit);
    Ok(())
}

/// The locks of the step are held: what is measured stays.
async fn require_small(context: &Context<'_>, small: &SmallTables) -> Result<(), Fault> {
    // As the plan counts: a table without any page of rows is 0 bytes, whatever its indexes keep.
    const GROWN: &str = "select name, bytes from (select name, pg_catalog.pg_total_relation_size(pg_catalog.to_regclass(name)) \
                         as bytes from pg_catalog.unnest($1::text[]) name \
                         where pg_catalog.pg_relation_size(pg_catalog.to_regclass(name)) > 0) t \
                         where bytes > $2 order by bytes desc limit 1";
    let session = &context.session;
    let grown = session.statement(session.client().query_opt(GROWN, &[&small.tables, &small.bytes_max])).await?;
    let Some(row) = grown else { return Ok(()) };
    let (table, bytes): (String, i64) = (row.get(0), row.get(1));
    Err(RunError::new(
        Reason::TableGrown,
        format!(
            "{table} has grown to {} MiB since the plan was made, which changes it directly because it was small: the others \
             would wait too long. Roll back and apply again, which plans it for a large table",
            bytes >> 20
        ),
    )
    .into())
}
