//! Asks the catalog whether something is done.

use tokio_postgres::Client;

use super::check::is_true;
use super::error::Fault;
use crate::plan::{IndexProbe, Postcondition};
use crate::sql;

/// The catalog's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// It is done.
    Done,
    /// It is not.
    NotDone,
    /// An index of that name is there and invalid, and nobody is building it.
    Invalid,
    /// Somebody is building the index at this moment.
    Building,
    /// Something else has that name.
    Differs(String),
    /// The catalog cannot tell.
    Unknown,
}

/// Asks.
pub(super) async fn ask(client: &Client, postcondition: &Postcondition) -> Result<Probe, Fault> {
    match postcondition {
        Postcondition::Recorded(_) => Ok(Probe::Unknown),
        Postcondition::IndexValid(index) => valid_index(client, index).await,
        Postcondition::IndexAbsent(index) => absent_index(client, index).await,
        Postcondition::Query(query) => {
            let rows = client.query(query, &[]).await?;
            Ok(if is_true(&rows) { Probe::Done } else { Probe::NotDone })
        }
    }
}

// `pg_stat_progress_create_index` hides the index from roles without the right to see the session; its lock on the
// table is visible to all.
const INDEX: &str = "\
SELECT c.relkind::text, i.indisvalid AND i.indisready AND i.indislive, pg_catalog.pg_get_indexdef(i.indexrelid),
       tn.nspname::text, t.relname::text,
       EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
               WHERE p.datname = pg_catalog.current_database()
                 AND (p.index_relid = c.oid
                      OR p.index_relid IS NULL
                         AND EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = p.pid AND l.granted
                                     AND l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock')))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE n.nspname = $1 AND c.relname = $2";

async fn valid_index(client: &Client, probe: &IndexProbe) -> Result<Probe, Fault> {
    let Some(row) = client.query_opt(INDEX, &[&probe.schema, &probe.index]).await? else {
        return Ok(Probe::NotDone);
    };
    let kind: String = row.try_get(0)?;
    let name = sql::quote::qualified(&probe.schema, &probe.index);
    if !matches!(kind.as_str(), "i" | "I") {
        return Ok(Probe::Differs(format!("{name} exists and is no index")));
    }
    let (valid, definition): (bool, String) = (row.try_get(1)?, row.try_get(2)?);
    let (schema, table): (String, String) = (row.try_get(3)?, row.try_get(4)?);
    if (schema.as_str(), table.as_str()) != (probe.schema.as_str(), probe.table.as_str()) {
        let table = sql::quote::qualified(&schema, &table);
        return Ok(Probe::Differs(format!("the index {name} exists on another table, {table}")));
    }
    if row.try_get(5)? {
        return Ok(Probe::Building);
    }
    if !valid {
        return Ok(Probe::Invalid);
    }
    if !probe.definition.is_empty() && !sql::compare::same_statement(&definition, &probe.definition) {
        return Ok(Probe::Differs(format!("the index {name} exists with another definition")));
    }
    Ok(Probe::Done)
}

async fn absent_index(client: &Client, probe: &IndexProbe) -> Result<Probe, Fault> {
    let row = client.query_opt(INDEX, &[&probe.schema, &probe.index]).await?;
    Ok(if row.is_some() { Probe::NotDone } else { Probe::Done })
}
