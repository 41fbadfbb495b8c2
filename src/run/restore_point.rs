//! A named restore point in the WAL before the first step that has no complete way back.
//!
//! Who archives WAL can bring a copy of the database to that moment. It is made once for each run, where the role may.

use super::context::{Context, Unit};
use super::error::Fault;
use super::failpoint::{Boundary, hit};
use super::ledger::runs;
use super::progress::ProgressState;
use crate::plan::{Stage, Step, Undo};

/// The longest name that the server takes.
const LONGEST: usize = 63;

/// Whether what the step does is not brought back by its undo.
pub(super) fn is_wanted(step: &Step) -> bool {
    step.stage == Stage::Contract || matches!(step.undo, Undo::Lossy(_) | Undo::Irreversible(_))
}

/// Makes it, unless the run has one, the role may not, or the server writes too little WAL for it.
pub(super) async fn make(context: &Context<'_>, unit: &Unit<'_>) -> Result<(), Fault> {
    let client = context.session.client();
    let row = client
        .query_one(
            "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_create_restore_point(text)', 'EXECUTE')
                    AND pg_catalog.current_setting('wal_level') <> 'minimal'
                    AND EXISTS (SELECT FROM wesley.runs WHERE name = $1 AND restore_point IS NULL)",
            &[&context.run.name],
        )
        .await?;
    if !row.try_get::<_, bool>(0)? {
        return Ok(());
    }
    let name = name_of(&context.run.name, context.run.epoch);
    let made = client.query_one("SELECT pg_catalog.pg_create_restore_point($1)::text", &[&name]).await;
    let place: String = match made.map_err(Fault::from) {
        Ok(row) => row.try_get(0)?,
        // It is a help, not a condition.
        Err(Fault::Server(error)) => {
            tracing::warn!(sqlstate = error.sqlstate, "no restore point could be made");
            return Ok(());
        }
        Err(fault) => return Err(fault),
    };
    runs::restore_point(client, &context.run, &name, &place).await?;
    hit(Boundary::RestorePoint);
    let detail = format!("restore point {name} at {place}");
    context.tell_more(unit, ProgressState::Running, (0, None), Vec::new(), Some(detail));
    Ok(())
}

/// `wesley:name:epoch`, the name cut where it is too long: names are ASCII.
fn name_of(run: &str, epoch: i64) -> String {
    let tail = format!(":{epoch}");
    let room = LONGEST - "wesley:".len() - tail.len();
    format!("wesley:{}{tail}", &run[..run.len().min(room)])
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn names_fit() {
        assert_eq!(name_of("add-note", 7), "wesley:add-note:7");
        assert_eq!(name_of(&"x".repeat(200), i64::MAX).len(), 63);
    }
}
