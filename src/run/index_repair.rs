//! What index builds leave behind when they fail, and why they failed.

use pg_query::protobuf::{ReindexObjectType, node::Node};
use tokio_postgres::Client;

use super::error::Fault;
use crate::plan::IndexProbe;
use crate::sql::{self, quote};

/// Names of the invalid indexes that a `REINDEX CONCURRENTLY` of the same index or table has left, whoever sent it:
/// `_ccnew` was never finished, `_ccold` is what it replaced. The server's manual says to drop both. None when the
/// statement is no such one, or somebody is building at this moment.
pub(super) async fn leftovers(client: &Client, statement: &str) -> Result<Vec<String>, Fault> {
    let Some(target) = reindexed(statement) else { return Ok(Vec::new()) };
    let rows = client.query(LEFTOVERS, &[&target]).await?;
    rows.iter().map(|row| Ok(quote::qualified(row.try_get(0)?, row.try_get(1)?))).collect()
}

const LEFTOVERS: &str = "\
WITH wanted AS (
    SELECT pg_catalog.to_regclass($1)::oid AS oid UNION SELECT relid::oid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1))
), tables AS (
    SELECT coalesce(i.indrelid, w.oid) AS oid FROM wanted w LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = w.oid
)
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_index i JOIN tables t ON t.oid = i.indrelid
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname ~ '_cc(new|old)[0-9]*$'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.relation = c.oid AND l.granted AND l.pid <> pg_catalog.pg_backend_pid())
ORDER BY 1, 2";

/// The index or table that a `REINDEX CONCURRENTLY` names.
fn reindexed(statement: &str) -> Option<String> {
    let parsed = sql::parse(statement).ok()?;
    let [statement] = parsed.as_slice() else { return None };
    let Node::ReindexStmt(reindex) = &statement.node else { return None };
    if !matches!(reindex.kind(), ReindexObjectType::ReindexObjectIndex | ReindexObjectType::ReindexObjectTable) {
        return None;
    }
    let range = reindex.relation.as_ref()?;
    Some(if range.schemaname.is_empty() {
        quote::ident(&range.relname)
    } else {
        quote::qualified(&range.schemaname, &range.relname)
    })
}

/// How many keys are looked for at most.
const MOST_KEYS: i64 = 100;

/// Where the rows are that a unique index cannot hold, told from the invalid index that its build has left: a count
/// and places, no values. `None` when it cannot be told, or not within a minute.
pub(super) async fn duplicates(client: &Client, index: &IndexProbe) -> Option<String> {
    let query = duplicates_query(client, index).await.ok().flatten()?;
    client
        .batch_execute("BEGIN READ ONLY; SET LOCAL statement_timeout = '60s'; SET LOCAL row_security = off")
        .await
        .ok()?;
    let found = client.query_one(&query, &[]).await;
    client.batch_execute("ROLLBACK").await.ok()?;
    let row = found.ok()?;
    let (keys, places): (i64, Option<String>) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
    let places = places?;
    let count = if keys >= MOST_KEYS { format!("{MOST_KEYS} keys or more occur") } else { keys_occur(keys) };
    Some(format!("{count} more than once, the first in the rows at ctid {places}"))
}

fn keys_occur(keys: i64) -> String {
    if keys == 1 { "1 key occurs".to_owned() } else { format!("{keys} keys occur") }
}

// `to_jsonb` because the column for NULLS NOT DISTINCT came with PostgreSQL 15.
const KEYS: &str = "\
SELECT ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, false) FROM pg_catalog.generate_series(1, i.indnkeyatts) k),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid), tn.nspname::text, t.relname::text,
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE i.indisunique AND NOT i.indisvalid AND n.nspname = $1 AND c.relname = $2";

async fn duplicates_query(client: &Client, index: &IndexProbe) -> Result<Option<String>, tokio_postgres::Error> {
    let Some(row) = client.query_opt(KEYS, &[&index.schema, &index.index]).await? else { return Ok(None) };
    let (keys, predicate): (Vec<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    let table = quote::qualified(row.try_get(2)?, row.try_get(3)?);
    let nulls_are_equal: bool = row.try_get(4)?;
    let mut conditions: Vec<String> = predicate.map(|predicate| format!("({predicate})")).into_iter().collect();
    if !nulls_are_equal {
        conditions.extend(keys.iter().map(|key| format!("({key}) IS NOT NULL")));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let keys: Vec<String> = keys.iter().map(|key| format!("({key})")).collect();
    Ok(Some(format!(
        "SELECT pg_catalog.count(*), pg_catalog.min(places) FROM (SELECT pg_catalog.min(ctid)::text || ' and ' || pg_catalog.max(ctid)::text AS places \
         FROM ONLY {table}{filter} GROUP BY {} HAVING pg_catalog.count(*) > 1 LIMIT {MOST_KEYS}) AS keys",
        keys.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::reindexed;

    #[test]
    fn knows_what_is_reindexed() {
        for (statement, target) in [
            ("REINDEX INDEX CONCURRENTLY a", Some("a")),
            ("REINDEX (CONCURRENTLY, VERBOSE) TABLE public.\"T\"", Some("public.\"T\"")),
            ("REINDEX SCHEMA CONCURRENTLY s", None),
            ("CREATE INDEX CONCURRENTLY i ON t (a)", None),
        ] {
            assert_eq!(reindexed(statement).as_deref(), target, "{statement}");
        }
    }
}
