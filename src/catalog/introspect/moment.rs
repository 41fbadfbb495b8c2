//! When a catalog was read, so that one need not be read again while nothing has happened.

use tokio_postgres::Client;

use super::IntrospectError;
use super::query::all;

/// A state of a database as a session sees it. Two equal ones have the same catalog, sizes left out: who changes one
/// has a transaction number, and its commit changes the snapshot (`pg_current_snapshot()`). What else the reading
/// depends on is compared too: settings of the session, and that the server process is the same (another one may count
/// on from a backup).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment(String);

const MOMENT: &str = "
select pg_catalog.concat_ws(' ', pg_catalog.pg_current_snapshot(), pg_catalog.pg_postmaster_start_time(),
    pg_catalog.current_database(), current_user, pg_catalog.current_schemas(false),
    pg_catalog.current_setting('TimeZone'), pg_catalog.current_setting('default_table_access_method'))";

/// The state of the database now, or as the open transaction sees it. Must run before the session's settings are
/// changed.
///
/// # Errors
/// [`IntrospectError`] when the server does not answer.
pub async fn moment(client: &Client) -> Result<Moment, IntrospectError> {
    let mut moment = Moment(String::new());
    all(client, "a snapshot", MOMENT, |row| {
        moment.0 = row.take()?;
        Ok(())
    })
    .await?;
    Ok(moment)
}
