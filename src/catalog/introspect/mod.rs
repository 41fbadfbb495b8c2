//! Reads the catalog of a live server: some twenty-five set-based queries, whatever the number of tables.
//!
//! One file per subject, its query beside its reader. Rows are streamed, so that what is held is the catalog
//! and a few maps from oids to names. Definitions are read with an empty `search_path` and fixed output
//! settings: every name in them is qualified and the same schema gives the same text in every session.
//! [`super::Server`] has the session's own search path and time zone, read before.
//!
//! Only user schemas are read: not `pg_*`, `information_schema` or the ledger's schema `wesley`. Any role that
//! may connect can do it; nothing asks for a privilege beyond the defaults of PostgreSQL.

mod columns;
mod comments;
mod constraints;
mod database;
mod dependencies;
mod functions;
mod indexes;
mod moment;
mod names;
mod partitions;
mod policies;
mod publications;
mod query;
mod relations;
mod sequences;
mod server;
mod sizes;
mod statistics;
mod triggers;
mod types;
mod views;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use self::comments::Comments;
use self::dependencies::Dependencies;
pub use self::moment::{Moment, moment};
use self::names::Names;
use super::{Catalog, Server};

/// Why the catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectError {
    /// The server refused a query, or the connection broke.
    #[error("reading {subject} from the server's catalog: {}", describe(source))]
    Query {
        /// What was being read.
        subject: &'static str,
        /// The driver's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A server older than 13.
    #[error("PostgreSQL {0} is not supported; use 13 or later")]
    UnsupportedVersion(i32),
}

impl IntrospectError {
    /// SQLSTATE, where the server gave one.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Query { source, .. } => source.code(),
            Self::UnsupportedVersion(_) => None,
        }
    }

    /// An object was dropped while it was read. The deparsing functions see the newest catalog, not the
    /// transaction's snapshot: they fail, or give NULL where a definition must be, which the driver reports
    /// without an SQLSTATE. The same reading can succeed when it starts anew.
    fn is_race(&self) -> bool {
        const VANISHED: [SqlState; 5] = [
            SqlState::INTERNAL_ERROR,
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
            SqlState::UNDEFINED_OBJECT,
            SqlState::UNDEFINED_FUNCTION,
        ];
        match self {
            Self::Query { source, .. } => match source.code() {
                Some(code) => VANISHED.contains(code),
                None => !source.is_closed(),
            },
            Self::UnsupportedVersion(_) => false,
        }
    }
}

/// What the server said, with its SQLSTATE; the driver's own text is "db error".
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => error.to_string(),
    }
}

/// Output settings of definitions, and a bound for waiting: most functions that deparse a definition, and the one
/// that measures a relation, lock the table for an instant and so wait behind an `ACCESS EXCLUSIVE` lock.
/// Compilation of the queries costs more than it saves.
const SETTINGS: &str = "
set local search_path = '';
set local datestyle = 'ISO, MDY';
set local intervalstyle = 'postgres';
set local timezone = 'UTC';
set local bytea_output = 'hex';
set local extra_float_digits = 1;
set local standard_conforming_strings = on;
set local quote_all_identifiers = off;
set local lock_timeout = '5s';
set local jit = off";

/// Reads everything the planner needs, in one read-only snapshot of the database. The connection must not be in
/// a transaction: see [`introspect_in_transaction`].
///
/// # Errors
/// [`IntrospectError`]; with SQLSTATE 55P03 when a table stayed locked for five seconds: it can be tried again.
pub async fn introspect(client: &Client) -> Result<Catalog, IntrospectError> {
    introspect_at(client).await.map(|(catalog, _)| catalog)
}

/// [`introspect`], and the moment of the snapshot.
///
/// # Errors
/// As [`introspect`].
pub async fn introspect_at(client: &Client) -> Result<(Catalog, Moment), IntrospectError> {
    const ATTEMPTS: usize = 10;
    let mut attempt = 1;
    loop {
        query::execute(client, "a snapshot", "begin isolation level repeatable read read only").await?;
        let result = read_at(client).await;
        let end = query::execute(client, "a snapshot", "rollback").await;
        match result {
            Err(error) if error.is_race() && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
            Ok(read) => return end.map(|()| read),
        }
    }
}

/// Reads the catalog as the caller's open transaction sees it, its own changes included. Settings and locks are
/// as before afterwards. Only under `REPEATABLE READ` is it one snapshot.
///
/// # Errors
/// [`IntrospectError`]; the transaction can go on.
pub async fn introspect_in_transaction(client: &Client) -> Result<Catalog, IntrospectError> {
    query::execute(client, "a snapshot", "savepoint wesley_introspect").await?;
    let result = read(client).await;
    let end = "rollback to savepoint wesley_introspect; release savepoint wesley_introspect";
    let end = query::execute(client, "a snapshot", end).await;
    let catalog = result?;
    end.map(|()| catalog)
}

/// What every reader may ask.
struct Context<'a> {
    client: &'a Client,
    /// `server_version_num`.
    version: i32,
    names: Names,
    comments: Comments,
    dependencies: Dependencies,
}

impl Context<'_> {
    /// `expression` from that major on, `otherwise` before.
    fn since(&self, major: i32, expression: &'static str, otherwise: &'static str) -> &'static str {
        if self.version >= major * 10_000 { expression } else { otherwise }
    }
}

async fn read_at(client: &Client) -> Result<(Catalog, Moment), IntrospectError> {
    let moment = moment(client).await?;
    Ok((read(client).await?, moment))
}

async fn read(client: &Client) -> Result<Catalog, IntrospectError> {
    let server = server::read(client).await?;
    if server.version < 130_000 {
        return Err(IntrospectError::UnsupportedVersion(server.major()));
    }
    query::execute(client, "a snapshot", SETTINGS).await?;
    read_objects(client, server).await
}

async fn read_objects(client: &Client, server: Server) -> Result<Catalog, IntrospectError> {
    let mut context = Context {
        client,
        version: server.version,
        names: names::read(client).await?,
        comments: comments::read(client).await?,
        dependencies: dependencies::read(client).await?,
    };
    let mut catalog = Catalog { server, ..Catalog::default() };
    database::read(&context, &mut catalog).await?;
    relations::read(&mut context, &mut catalog).await?;
    types::read(&mut context, &mut catalog).await?;
    columns::read(&mut context, &mut catalog).await?;
    partitions::read(&context, &mut catalog).await?;
    sizes::read(&context, &mut catalog).await?;
    constraints::read(&context, &mut catalog).await?;
    indexes::read(&context, &mut catalog).await?;
    sequences::read(&context, &mut catalog).await?;
    views::read(&context, &mut catalog).await?;
    triggers::read(&context, &mut catalog).await?;
    policies::read(&context, &mut catalog).await?;
    functions::read(&context, &mut catalog).await?;
    publications::read(&context, &mut catalog).await?;
    statistics::read(&context, &mut catalog).await?;
    catalog.relations.values_mut().for_each(|relation| relation.details.shrink());
    Ok(catalog)
}
