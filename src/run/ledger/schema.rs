//! The ledger's own tables and their migrations.

use tokio_postgres::Client;

use super::OWN_NAMES;
use crate::run::error::{Fault, Reason, RunError};
use crate::run::preflight;

/// In order; each is run once, in one transaction with its number. Never edit one that was released: add another.
const MIGRATIONS: [&str; 6] = [
    "\
CREATE TABLE wesley.runs (
    name text PRIMARY KEY,
    epoch bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'paused', 'failed', 'done', 'rolling-back', 'rolled-back')),
    plan_digest text NOT NULL,
    source_digest text NOT NULL,
    plan jsonb NOT NULL,
    system_identifier text NOT NULL,
    database_oid bigint NOT NULL,
    application text NOT NULL DEFAULT current_setting('application_name'),
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    reason text,
    sqlstate text,
    step text
);
COMMENT ON TABLE wesley.runs IS 'One row for each name: the plan and how far it is.';
CREATE TABLE wesley.steps (
    run text NOT NULL REFERENCES wesley.runs (name) ON DELETE CASCADE,
    id text NOT NULL,
    ordinal integer NOT NULL,
    state text NOT NULL CHECK (state IN ('planned', 'running', 'done', 'failed', 'undoing', 'undone')),
    touched boolean NOT NULL DEFAULT false,
    adopted boolean NOT NULL DEFAULT false,
    undone_actions integer NOT NULL DEFAULT 0,
    epoch bigint NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    rows_done bigint NOT NULL DEFAULT 0,
    sqlstate text,
    PRIMARY KEY (run, id)
);
COMMENT ON TABLE wesley.steps IS 'One row for each step. A transaction step is marked in its own transaction; \
touched: a statement outside a transaction may have begun; adopted: it was there before we began.';
CREATE TABLE wesley.cursors (
    run text NOT NULL,
    step text NOT NULL,
    slot integer NOT NULL,
    relation bigint NOT NULL,
    filenode bigint NOT NULL,
    last_key text[],
    upper_key text[],
    next_block bigint,
    upper_block bigint,
    window_block bigint,
    turn integer,
    pass integer NOT NULL DEFAULT 1,
    batch_size bigint NOT NULL,
    batches bigint NOT NULL DEFAULT 0,
    rows_done bigint NOT NULL DEFAULT 0,
    rows_total bigint,
    finished boolean NOT NULL DEFAULT false,
    epoch bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, step, slot),
    FOREIGN KEY (run, step) REFERENCES wesley.steps (run, id) ON DELETE CASCADE
);
COMMENT ON TABLE wesley.cursors IS 'Where a backfill is; moved in the transaction of each batch.';",
    "\
ALTER TABLE wesley.runs ADD COLUMN restore_point text, ADD COLUMN restore_lsn text;
COMMENT ON COLUMN wesley.runs.restore_point IS 'Name of the restore point made before the first step without a \
complete way back.';",
    "\
CREATE TABLE wesley.activity (
    hour bigint PRIMARY KEY,
    seconds bigint NOT NULL,
    transactions bigint NOT NULL,
    rows_changed bigint NOT NULL
);
COMMENT ON TABLE wesley.activity IS 'What happened in each hour (hours since 1970, UTC) of the last six weeks, and how \
many seconds of it were measured.';
CREATE TABLE wesley.activity_reading (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    taken_at bigint NOT NULL,
    transactions bigint NOT NULL,
    rows_changed bigint NOT NULL,
    stats_reset bigint NOT NULL
);
COMMENT ON TABLE wesley.activity_reading IS 'The last reading of pg_stat_database; times in seconds since 1970.';",
    "\
CREATE TABLE wesley.observations (
    run text NOT NULL,
    moment text NOT NULL CHECK (moment IN ('before', 'changed')),
    taken_at bigint NOT NULL,
    unavailable text,
    PRIMARY KEY (run, moment)
);
COMMENT ON TABLE wesley.observations IS 'Readings of pg_stat_statements around a run: before its first step, and when \
everything but the contract steps was done; seconds since 1970.';
CREATE TABLE wesley.statements (
    run text NOT NULL,
    moment text NOT NULL,
    queryid bigint NOT NULL,
    calls bigint NOT NULL,
    microseconds bigint NOT NULL,
    PRIMARY KEY (run, moment, queryid),
    FOREIGN KEY (run, moment) REFERENCES wesley.observations (run, moment) ON DELETE CASCADE
);
COMMENT ON TABLE wesley.statements IS 'The statements of a reading by queryid; never their text.';",
    "\
ALTER TABLE wesley.cursors ADD COLUMN window_key text[], ADD COLUMN reached_key text[], ADD COLUMN window_rows bigint;
COMMENT ON COLUMN wesley.cursors.window_key IS 'Key up to which rows are gone through several times, a share of them \
each time (turn); reached_key: how far this turn is.';",
    "\
CREATE TABLE wesley.scripts (
    run text NOT NULL,
    step text NOT NULL,
    epoch bigint NOT NULL,
    statements_done bigint NOT NULL,
    bytes_done bigint NOT NULL,
    rows_done bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, step),
    FOREIGN KEY (run, step) REFERENCES wesley.steps (run, id) ON DELETE CASCADE
);
COMMENT ON TABLE wesley.scripts IS 'Where a long run of statements is; moved in the transaction of each batch.';",
];

/// Whether the ledger exists here.
pub(in crate::run) async fn exists(client: &Client) -> Result<bool, tokio_postgres::Error> {
    client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'wesley' AND c.relname = 'runs' AND c.relkind = 'r')",
            &[],
        )
        .await?
        .try_get(0)
}

/// Whether the ledger is there and has the version that this program writes.
pub(in crate::run) async fn is_current(client: &Client) -> Result<bool, tokio_postgres::Error> {
    if !exists(client).await? {
        return Ok(false);
    }
    let version: i32 = client
        .query_one("SELECT coalesce(pg_catalog.max(version), 0) FROM wesley.ledger_versions", &[])
        .await?
        .try_get(0)?;
    Ok(usize::try_from(version).is_ok_and(|version| version == MIGRATIONS.len()))
}

/// Creates the ledger or brings it up to date. Call with the advisory lock held.
pub(in crate::run) async fn prepare(client: &Client, database: &str) -> Result<(), Fault> {
    if !require_ours(client).await? {
        preflight::require_create(client, database).await?;
    }
    client
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS wesley;
             CREATE TABLE IF NOT EXISTS wesley.ledger_versions (
                 version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT pg_catalog.now())",
        )
        .await?;
    let version: i32 = client
        .query_one("SELECT coalesce(pg_catalog.max(version), 0) FROM wesley.ledger_versions", &[])
        .await?
        .try_get(0)?;
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if version > known {
        return Err(RunError::new(
            Reason::LedgerTooNew,
            format!("the ledger has version {version}, this wesley knows {known}: use a newer wesley"),
        )
        .into());
    }
    for (number, migration) in (1..).zip(MIGRATIONS) {
        if number > version {
            client
                .batch_execute(&format!(
                    "BEGIN; {OWN_NAMES}; {migration}; INSERT INTO wesley.ledger_versions (version) VALUES ({number}); COMMIT"
                ))
                .await?;
        }
    }
    Ok(())
}

/// Whether the ledger's schema is there; refused when it is another role's.
pub(in crate::run) async fn require_ours(client: &Client) -> Result<bool, Fault> {
    match owner(client).await? {
        Some(owner) if !owner.ours => Err(RunError::new(
            Reason::MissingPrivilege,
            format!(
                "the schema wesley, where runs are recorded, belongs to the role {}: connect as that role, or as a \
                 member of it",
                owner.name
            ),
        )
        .into()),
        found => Ok(found.is_some()),
    }
}

struct Owner {
    name: String,
    ours: bool,
}

/// Who owns the schema `wesley`, if there is one. Another's tables could run another's triggers as us.
async fn owner(client: &Client) -> Result<Option<Owner>, Fault> {
    let row = client
        .query_opt(
            "SELECT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(nspowner)), pg_catalog.pg_has_role(nspowner, 'USAGE')
             FROM pg_catalog.pg_namespace WHERE nspname = 'wesley'",
            &[],
        )
        .await?;
    Ok(match row {
        Some(row) => Some(Owner { name: row.try_get(0)?, ours: row.try_get(1)? }),
        None => None,
    })
}
