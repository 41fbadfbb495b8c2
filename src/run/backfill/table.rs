//! What must be known of a table before and while its rows are changed.

use tokio_postgres::Client;

use super::statement::{self, KeyColumn};
use crate::plan::Backfill;
use crate::run::context::Context;
use crate::run::error::{Fault, Reason, RunError};
use crate::run::ledger::cursor::{Cursor, Place};
use crate::run::preflight::Server;
use crate::sql::quote;

/// Facts of the table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Oid.
    pub relation: i64,
    /// `pg_relation_filenode`.
    pub filenode: i64,
    /// Blocks at this moment.
    pub blocks: i64,
    /// Estimated rows at this moment; `None` when it was never analysed.
    pub rows: Option<i64>,
    /// The key's columns, when they can serve: not null and not changed by the backfill itself.
    pub key: Option<Vec<KeyColumn>>,
    /// An expression that spreads the rows evenly, where going through them in shares pays.
    pub hash: Option<String>,
    /// The same of the key alone, which does not change while a share is being done.
    pub key_hash: Option<String>,
    /// How well the order of the key is the order of the rows: 1 or -1 perfectly, 0 not at all. `None`: not known.
    pub correlation: Option<f32>,
}

/// Above it, a range of keys is few pages.
const IN_ORDER: f32 = 0.9;
/// Below it, a range of keys is pages all over the table.
const SCATTERED: f32 = 0.5;
/// Blocks from which on that matters: smaller tables are in memory.
const LARGE_BLOCKS: i64 = 4_096;

impl Table {
    /// Rows in a block, one at least.
    pub fn rows_per_block(&self) -> i64 {
        match self.rows {
            Some(rows) if self.blocks > 0 => (rows / self.blocks).max(1),
            // A guess for a table without statistics: rows of about 80 bytes.
            _ => 100,
        }
    }

    /// Whether going through a range of keys in shares pays: the range has to be few pages, which are then read
    /// several times.
    pub fn key_in_shares(&self) -> bool {
        self.hash.is_some() && self.correlation.is_some_and(|correlation| correlation.abs() >= IN_ORDER)
    }

    /// Whether each batch by key would read and write pages all over the table.
    pub fn is_scattered(&self) -> bool {
        self.blocks >= LARGE_BLOCKS && self.correlation.is_some_and(|correlation| correlation.abs() < SCATTERED)
    }
}

/// Reads them.
pub(super) async fn read(client: &Client, spec: &Backfill, server: &Server) -> Result<Table, Fault> {
    let row = client
        .query_opt(
            "SELECT c.oid::bigint, pg_catalog.pg_relation_filenode(c.oid)::bigint, c.reltuples::float8, c.relpages::bigint,
                    pg_catalog.pg_relation_size(c.oid) / $3
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r'",
            &[&spec.schema, &spec.table, &server.block_bytes],
        )
        .await?
        .ok_or_else(|| gone(spec))?;
    let (tuples, pages, blocks): (f64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    // As the server's planner does: the density of the last count, the size of now.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let rows = (tuples >= 0.0).then(|| if pages > 0 { (tuples / pages as f64 * blocks as f64) as i64 } else { 0 });
    let relation = row.try_get(0)?;
    let key = key(client, spec).await?;
    Ok(Table {
        relation,
        filenode: row.try_get(1)?,
        blocks,
        rows,
        hash: hash(client, spec, relation).await?,
        key_hash: key.as_deref().and_then(key_hash),
        correlation: correlation(client, spec, key.as_deref()).await?,
        key,
    })
}

/// The same for the same key, whichever process asks: a window that one has begun is finished by another.
fn key_hash(key: &[KeyColumn]) -> Option<String> {
    key.iter().find_map(|column| {
        let function = match column.data_type.as_str() {
            "smallint" => "hashint2",
            "integer" => "hashint4",
            "bigint" => "hashint8",
            "uuid" => "uuid_hash",
            "text" => "hashtext",
            _ => return None,
        };
        Some(format!("pg_catalog.{function}({})", quote::ident(&column.name)))
    })
}

/// Of the key's first column, as the last ANALYZE found it.
async fn correlation(client: &Client, spec: &Backfill, key: Option<&[KeyColumn]>) -> Result<Option<f32>, Fault> {
    let Some([first, ..]) = key else { return Ok(None) };
    let row = client
        .query_opt(
            "SELECT correlation FROM pg_catalog.pg_stats
             WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND NOT inherited",
            &[&spec.schema, &spec.table, &first.name],
        )
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}

// Columns that are in an index, in its expressions or predicate: changing them makes an index entry for every row.
// Hash functions that all supported servers have.
const HASH: &str = "\
WITH changed AS (
    SELECT attnum FROM pg_catalog.pg_attribute WHERE attrelid = $1::bigint::oid AND attname = ANY ($2::text[])
), indexed AS (
    SELECT pg_catalog.unnest(indkey::smallint[]) AS attnum FROM pg_catalog.pg_index WHERE indrelid = $1::bigint::oid
    UNION
    SELECT d.refobjsubid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_index i ON i.indexrelid = d.objid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = $1::bigint::oid AND i.indrelid = $1::bigint::oid
)
SELECT CASE t.typname WHEN 'int2' THEN 'hashint2' WHEN 'int4' THEN 'hashint4' WHEN 'int8' THEN 'hashint8'
                      WHEN 'uuid' THEN 'uuid_hash' ELSE 'hashtext' END, a.attname::text
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typnamespace = 'pg_catalog'::regnamespace
WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
  AND t.typname IN ('int2', 'int4', 'int8', 'uuid', 'text') AND a.attname <> ALL ($2::text[])
  AND EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid = $1::bigint::oid)
  AND NOT EXISTS (SELECT FROM changed JOIN indexed USING (attnum))
ORDER BY pg_catalog.array_position($3::text[], a.attname::text) DESC NULLS LAST, a.attnum LIMIT 1";

/// When all rows of a full page change in one transaction, every new version goes to another page and into every
/// index. When a share of them changes, the next share finds the room that the first has left, stays on its page
/// and touches no index. That pays where no index has a column that changes.
async fn hash(client: &Client, spec: &Backfill, relation: i64) -> Result<Option<String>, Fault> {
    let changed: Vec<&str> = spec.assignments.iter().map(|assignment| assignment.column.as_str()).collect();
    let row = client.query_opt(HASH, &[&relation, &changed, &spec.key]).await?;
    let Some(row) = row else { return Ok(None) };
    let (function, column): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(format!("pg_catalog.{function}({})", quote::ident(column))))
}

async fn key(client: &Client, spec: &Backfill) -> Result<Option<Vec<KeyColumn>>, Fault> {
    let changed = |name: &String| spec.assignments.iter().any(|assignment| assignment.column == *name);
    if spec.key.is_empty() || spec.key.iter().any(changed) {
        return Ok(None);
    }
    let rows = client
        .query(
            "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, -1), a.attnotnull
             FROM pg_catalog.unnest($3::text[]) WITH ORDINALITY AS k(name, ordinal)
             JOIN pg_catalog.pg_attribute a ON a.attname = k.name AND NOT a.attisdropped AND a.attnum > 0
             JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = $2 ORDER BY k.ordinal",
            &[&spec.schema, &spec.table, &spec.key],
        )
        .await?;
    if rows.len() != spec.key.len() {
        return Err(RunError::new(
            Reason::ObjectDiffers,
            format!("a key column of {} that the plan counts on does not exist any more", statement::table(spec)),
        )
        .into());
    }
    let mut columns = Vec::with_capacity(rows.len());
    for row in rows {
        if !row.try_get::<_, bool>(2)? {
            return Ok(None);
        }
        columns.push(KeyColumn { name: row.try_get(0)?, data_type: row.try_get(1)? });
    }
    Ok(Some(columns))
}

fn gone(spec: &Backfill) -> RunError {
    RunError::new(
        Reason::ObjectDiffers,
        format!("the table {} does not exist any more, or is no ordinary table", statement::table(spec)),
    )
}

/// The cursor at the start: bounds are fixed now, rows that come later are not the backfill's.
pub(super) async fn first_cursor(
    client: &Client,
    spec: &Backfill,
    server: &Server,
    table: &Table,
    batch_size: i64,
    by_key: bool,
) -> Result<Cursor, Fault> {
    let place = match &table.key {
        Some(key) if by_key => {
            client.batch_execute("BEGIN; SET LOCAL row_security = off").await?;
            exact_text(client, server, true).await?;
            let row = client.query_opt(&statement::upper(spec, key), &[]).await;
            // Puts the formats back as well.
            client.batch_execute("ROLLBACK").await?;
            Place::Key { last: None, upper: row?.map(|row| key_of(&row)).transpose()?, window: None }
        }
        _ => Place::Block { next: 0, upper: table.blocks, window: None },
    };
    Ok(Cursor {
        relation: table.relation,
        filenode: table.filenode,
        place,
        pass: 1,
        batch_size,
        batches: 0,
        rows_done: 0,
        rows_total: table.rows,
        finished: false,
    })
}

/// A key read as text.
pub(super) fn key_of(row: &tokio_postgres::Row) -> Result<Vec<String>, tokio_postgres::Error> {
    (0..row.len()).map(|column| row.try_get(column)).collect()
}

/// Around statements of a transaction that read keys as text, where role or database have chosen a date or number format that
/// loses something. The author's expressions must not see it.
pub(super) async fn exact_text(client: &Client, server: &Server, on: bool) -> Result<(), Fault> {
    if server.exact_text {
        return Ok(());
    }
    let (style, digits) = if on { ("ISO", "3") } else { (server.date_style.as_str(), server.float_digits.as_str()) };
    client
        .batch_execute(&format!(
            "SET LOCAL DateStyle = {}; SET LOCAL extra_float_digits = {}",
            quote::literal(style),
            quote::literal(digits)
        ))
        .await?;
    Ok(())
}

/// Statistics of the whole table, so that the server finds the rows of a batch by index. Failing to get them is no
/// failure of the step.
pub(super) async fn analyze(context: &Context<'_>, spec: &Backfill) -> Result<(), Fault> {
    gather(context, &format!("ANALYZE {}", statement::table(spec))).await
}

/// Statistics of what was changed. The others are as true as before.
pub(super) async fn analyze_changed(context: &Context<'_>, spec: &Backfill) -> Result<(), Fault> {
    let columns: Vec<String> = spec.assignments.iter().map(|assignment| quote::ident(&assignment.column)).collect();
    gather(context, &format!("ANALYZE {} ({})", statement::table(spec), columns.join(", "))).await
}

async fn gather(context: &Context<'_>, statement: &str) -> Result<(), Fault> {
    match context.session.statement(context.session.client().batch_execute(statement)).await {
        Err(Fault::Server(_)) | Ok(()) => Ok(()),
        Err(fault) => Err(fault),
    }
}
