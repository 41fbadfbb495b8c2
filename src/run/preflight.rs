//! What must hold before anything is done, each with its reason.

use std::time::Duration;

use tokio_postgres::Client;

use super::error::{Fault, Reason, RunError, ServerError};
use crate::plan::TargetIdentity;
use crate::sql::quote;

/// Facts of the server that the execution depends on.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Physical identity of the database.
    pub identity: TargetIdentity,
    /// `deadlock_timeout`: a waiter makes autovacuum give way only after it.
    pub deadlock_timeout: Duration,
    /// Whether keys read as text come out unambiguous (ISO dates, exact floats).
    pub exact_text: bool,
    /// The session's `DateStyle`, to be restored where it is changed.
    pub date_style: String,
    /// The session's `extra_float_digits`.
    pub float_digits: String,
    /// `block_size`.
    pub block_bytes: i64,
}

impl TargetIdentity {
    /// Whether both are the same physical database, as far as both are known.
    pub(super) fn same_database(&self, other: &Self) -> bool {
        let systems = self.system_identifier.is_empty()
            || other.system_identifier.is_empty()
            || self.system_identifier == other.system_identifier;
        let oids = self.database_oid == 0 || other.database_oid == 0 || self.database_oid == other.database_oid;
        systems && oids
    }
}

const OLDEST: i32 = 14;

// Before it is known what the role's path hides: no operator without its schema.
const FACTS: &str = "\
SELECT pg_catalog.current_setting('server_version_num')::int, pg_catalog.pg_is_in_recovery(),
       (SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()), pg_catalog.current_database()::text,
       (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'deadlock_timeout'),
       pg_catalog.current_setting('DateStyle'), pg_catalog.current_setting('extra_float_digits'),
       pg_catalog.current_setting('block_size')::bigint, pg_catalog.current_setting('synchronous_commit'),
       pg_catalog.current_setting('default_transaction_read_only')::bool,
       pg_catalog.current_schemas(false)::text[]";

/// An operator of the schemas `$1` that is found instead of the server's own where they come before `pg_catalog`.
const HIDES: &str = "\
SELECT n.nspname::text, o.oprname::text
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
JOIN pg_catalog.pg_operator own ON own.oprname OPERATOR(pg_catalog.=) o.oprname
    AND own.oprleft OPERATOR(pg_catalog.=) o.oprleft AND own.oprright OPERATOR(pg_catalog.=) o.oprright
    AND own.oprnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
WHERE n.nspname::text OPERATOR(pg_catalog.=) ANY ($1::text[]) LIMIT 1";

// What a role or database may have set for its sessions must neither kill a step nor hang one. The client check
// and the keepalives make the server notice within seconds that a runner is gone, and give its locks free.
const SETTINGS: &str = "\
SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '30s';
SET idle_session_timeout = 0; SET default_transaction_isolation = 'read committed';
SET default_transaction_deferrable = off;
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
SET client_min_messages = warning";

/// Reads the server's facts, refuses what cannot be worked with, and makes the session independent of what role
/// and database have set.
pub(super) async fn prepare(client: &Client) -> Result<Server, Fault> {
    client.batch_execute("SET statement_timeout = 0").await?;
    let row = client.query_one(FACTS, &[]).await?;
    let version: i32 = row.try_get(0)?;
    if version / 10_000 < OLDEST {
        return Err(RunError::new(
            Reason::UnsupportedServer,
            format!("the server is PostgreSQL {}; {OLDEST} is the oldest supported", version / 10_000),
        )
        .into());
    }
    if row.try_get(1)? {
        return Err(read_only().into());
    }
    // Whoever freezes a database so, or keeps a role from writing, means us too.
    if row.try_get(9)? {
        let message = "default_transaction_read_only is on for the role or the database: nothing is written there. Use another \
                       role, or take the setting back (ALTER ROLE ... or ALTER DATABASE ... RESET default_transaction_read_only)";
        return Err(RunError::new(Reason::ReadOnly, message).into());
    }
    require_own_operators(client, &row.try_get::<_, Vec<String>>(10)?).await?;
    client.batch_execute(SETTINGS).await?;
    // What this process remembers as done must not vanish in a crash of the server.
    if row.try_get::<_, &str>(8)? == "off" {
        client.batch_execute("SET synchronous_commit = on").await?;
    }
    if version >= 170_000 {
        client.batch_execute("SET transaction_timeout = 0").await?;
    }
    // Some platforms cannot check a socket without reading from it; the keepalives remain.
    if let Err(error) = client.batch_execute("SET client_connection_check_interval = '1s'").await
        && error.as_db_error().is_none()
    {
        return Err(error.into());
    }
    let date_style: String = row.try_get(5)?;
    let float_digits: String = row.try_get(6)?;
    let milliseconds: i64 = row.try_get(4)?;
    Ok(Server {
        identity: TargetIdentity {
            server_version: version,
            system_identifier: system_identifier(client).await?,
            database_oid: row.try_get(2)?,
            database: row.try_get(3)?,
        },
        deadlock_timeout: Duration::from_millis(u64::try_from(milliseconds).unwrap_or(1_000)),
        exact_text: date_style.starts_with("ISO") && float_digits.parse::<i32>().is_ok_and(|digits| digits >= 1),
        date_style,
        float_digits,
        block_bytes: row.try_get(7)?,
    })
}

/// The questions of a run to the server and to its ledger are only as good as the operators in them. Functions are called
/// by schema and name instead: extensions that give `substr` and the like another meaning on purpose may come first.
async fn require_own_operators(client: &Client, path: &[String]) -> Result<(), Fault> {
    let own = path.iter().position(|schema| schema == "pg_catalog").unwrap_or(0);
    if own == 0 {
        return Ok(());
    }
    let Some(row) = client.query_opt(HIDES, &[&&path[..own]]).await? else { return Ok(()) };
    let (schema, operator): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    Err(RunError::new(
        Reason::ConnectionInvalid,
        format!(
            "the search_path of the role has the schema {} before pg_catalog, whose operator {operator} hides the server's own: \
             nothing can be asked reliably. Put pg_catalog first (ALTER ROLE ... or ALTER ROLE ... IN DATABASE ... RESET \
             search_path), or drop the operator",
            quote::ident(&schema)
        ),
    )
    .into())
}

/// `system_identifier`; empty where the role may not read it.
async fn system_identifier(client: &Client) -> Result<String, Fault> {
    match client.query_one("SELECT system_identifier::text FROM pg_catalog.pg_control_system()", &[]).await {
        Ok(row) => Ok(row.try_get(0)?),
        Err(error) if error.as_db_error().is_some() => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

/// The watcher must never wait for anything itself.
pub(super) async fn prepare_watcher(watcher: &Client) -> Result<(), Fault> {
    watcher
        .batch_execute("SET statement_timeout = '5s'; SET lock_timeout = '1s'; SET idle_session_timeout = 0")
        .await?;
    Ok(())
}

/// A pooler in transaction mode gives each transaction whichever server connection is free: while the watcher
/// keeps one busy, ours moves, or the watcher gets ours. Then session locks and settings belong to nobody.
pub(super) async fn refuse_pooler(client: &Client, watcher: &Client) -> Result<(), Fault> {
    const PID: &str = "SELECT pg_catalog.pg_backend_pid()";
    let before: i32 = client.query_one(PID, &[]).await?.try_get(0)?;
    watcher.batch_execute("BEGIN").await?;
    let other: i32 = watcher.query_one(PID, &[]).await?.try_get(0)?;
    let after = tokio::time::timeout(Duration::from_secs(5), client.query_one(PID, &[])).await;
    let _ = watcher.batch_execute("COMMIT").await;
    let stable = match after {
        Ok(row) => row?.try_get::<_, i32>(0)? == before && other != before,
        // A pool of one: we wait for the connection that the watcher's transaction holds.
        Err(_) => false,
    };
    if stable { Ok(()) } else { Err(pooler().into()) }
}

/// The same, as far as one connection can tell: transactions one after the other in different sessions, or a setting that
/// is gone. A pooler that others leave in peace may give the same session each time, so each step asks again.
pub(super) async fn refuse_moving(client: &Client) -> Result<(), Fault> {
    const ASK: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('wesley.session', true) IS NOT DISTINCT FROM $1::text";
    let pid: i32 = client.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await?.try_get(0)?;
    let mark = pid.to_string();
    client.execute("SELECT pg_catalog.set_config('wesley.session', $1::text, false)", &[&mark]).await?;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let row = client.query_one(ASK, &[&mark]).await?;
        if row.try_get::<_, i32>(0)? != pid || !row.try_get::<_, bool>(1)? {
            return Err(pooler().into());
        }
    }
    Ok(())
}

/// A pooler in transaction mode.
pub(super) fn pooler() -> RunError {
    RunError::new(
        Reason::PoolerInTransactionMode,
        "a connection pooler in transaction mode stands between wesley and the server: session locks and settings \
         do not survive there. Give the server's own address, or a pool in session mode",
    )
}

/// The session that holds the advisory lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Holder {
    /// `application_name`, at most 63 bytes; empty where the role may not see it.
    pub application: String,
    /// Backend process id.
    pub pid: i32,
}

impl Holder {
    /// Whether it may be a process of the run `name`: the server cuts the name of an application off.
    pub fn may_be(&self, name: &str) -> bool {
        let full = application_name(name);
        self.application.is_empty() || self.application.as_bytes() == &full.as_bytes()[..full.len().min(63)]
    }
}

/// `application_name` of a run's sessions.
pub(super) fn application_name(run: &str) -> String {
    format!("wesley/{run}")
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.application.is_empty() {
            return write!(f, "another run (pid {})", self.pid);
        }
        write!(f, "another run ({}, pid {})", self.application, self.pid)
    }
}

/// Who holds the advisory lock, if anybody does.
pub(super) async fn lock_holder(client: &Client, key: i64) -> Result<Option<Holder>, tokio_postgres::Error> {
    let (high, low) = ((key >> 32) & 0xFFFF_FFFF, key & 0xFFFF_FFFF);
    let row = client
        .query_opt(
            "SELECT coalesce(a.application_name, ''), l.pid FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
             WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
               AND l.classid::bigint = $1 AND l.objid::bigint = $2 LIMIT 1",
            &[&high, &low],
        )
        .await?;
    row.map(|row| Ok(Holder { application: row.try_get(0)?, pid: row.try_get(1)? })).transpose()
}

/// Refuses when the role may not create the ledger's schema.
pub(super) async fn require_create(client: &Client, database: &str) -> Result<(), Fault> {
    let allowed = client
        .query_one("SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), pg_catalog.quote_ident(current_user)", &[])
        .await?;
    if allowed.try_get(0)? {
        return Ok(());
    }
    let user: String = allowed.try_get(1)?;
    Err(RunError::new(
        Reason::MissingPrivilege,
        format!(
            "the role {user} may not create the schema wesley, where runs are recorded. As the database's owner: \
             GRANT CREATE ON DATABASE {} TO {user}",
            quote::ident(database)
        ),
    )
    .into())
}

fn read_only() -> RunError {
    RunError::new(Reason::ReadOnly, "the server is a standby and read-only: give the primary's address")
}

/// A statement of ours that the server refused before any step started.
pub(super) fn refusal(error: &ServerError) -> RunError {
    let reason = match error.sqlstate.as_str() {
        "25006" => return read_only(),
        "42501" => Reason::MissingPrivilege,
        "55P03" | "40P01" => Reason::LockBudgetSpent,
        _ => Reason::StatementFailed,
    };
    RunError { sqlstate: Some(error.sqlstate.clone()), ..RunError::new(reason, error.message.clone()) }
}
