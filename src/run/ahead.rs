//! What stands in the way of a rollback, asked before its first action: see [`crate::plan::ahead`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Row};

use super::context::Context;
use super::error::{Fault, Reason, RunError, ServerError};
use super::ledger::steps::StepRecord;
use super::rollback;
use super::sqlstate::{Class, classify};
use crate::plan::Plan;
use crate::plan::ahead::{Asked, Question, questions};

/// Bytes of tables that are read to say whether a rollback is possible at this moment, when nobody has asked for one.
const CHEAP_BYTES: i64 = 16 * 1024 * 1024;

/// Said where rows were not asked, or may be others by the time of the rollback.
pub(super) const ASKS_FIRST: &str =
    "rows written since may stand in the way: a rollback asks for them first, and touches nothing when they do";

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// Step whose undo it would stop.
    pub step: String,
    /// What, without values, with the place of a row where it is known.
    pub message: String,
    /// SQLSTATE, where the server refuses a value.
    pub sqlstate: Option<String>,
}

impl From<Obstacle> for RunError {
    fn from(obstacle: Obstacle) -> Self {
        let message = format!(
            "its undo would fail: {}. Put that right and roll back again; nothing was touched, and the run is as it was",
            obstacle.message
        );
        let error = Self::new(Reason::RollbackBlocked, message).at(&obstacle.step);
        Self { sqlstate: obstacle.sqlstate, ..error }
    }
}

/// Whether a rollback would ask anything.
pub(super) fn asks(plan: &Plan, records: &HashMap<String, StepRecord>) -> bool {
    !of(plan, records, &str::to_owned).is_empty()
}

fn of(plan: &Plan, records: &HashMap<String, StepRecord>, root: &dyn Fn(&str) -> String) -> Vec<Question> {
    questions(rollback::actions_left(plan, records), root)
}

/// Refuses the rollback of these steps where something stands in its way. A table that somebody has locked is waited for.
pub(super) async fn require(
    context: &Context<'_>,
    plan: &Plan,
    records: &HashMap<String, StepRecord>,
) -> Result<(), Fault> {
    let until = Instant::now() + context.options.lock_budget;
    loop {
        let found = tokio::select! {
            found = obstacle(context.session.client(), plan, records) => found,
            () = context.options.interrupt.cancelled() => Err(Fault::Interrupted),
        };
        match found {
            Ok(None) => return Ok(()),
            Ok(Some(obstacle)) => return Err(RunError::from(obstacle).into()),
            Err(Fault::Server(error))
                if matches!(classify(&error.sqlstate), Class::Lock | Class::Conflict) && Instant::now() < until =>
            {
                context.session.pause(Duration::from_secs(1)).await?;
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// The first thing that stands in the way of a rollback of these steps.
async fn obstacle(
    client: &Client,
    plan: &Plan,
    records: &HashMap<String, StepRecord>,
) -> Result<Option<Obstacle>, Fault> {
    for question in with_roots(client, plan, records).await? {
        if let Some(found) = ask(client, &question).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What to say of the rows that a rollback asks for: what stands in the way at this moment, where the tables are small
/// enough to be read for it; empty where nothing does.
pub(super) async fn outlook(
    client: &Client,
    plan: &Plan,
    records: &HashMap<String, StepRecord>,
) -> Result<String, Fault> {
    let questions = with_roots(client, plan, records).await?;
    let tables: Vec<&str> = questions.iter().flat_map(|question| &question.tables).map(String::as_str).collect();
    if !tables.is_empty() && bytes(client, &tables).await? > CHEAP_BYTES {
        return Ok(ASKS_FIRST.to_owned());
    }
    for question in questions {
        if let Some(found) = ask(client, &question).await? {
            return Ok(format!("a rollback is refused at this moment: step {}: {}", found.step, found.message));
        }
    }
    Ok(String::new())
}

async fn bytes(client: &Client, tables: &[&str]) -> Result<i64, Fault> {
    const BYTES: &str = "\
        SELECT coalesce(pg_catalog.sum(pg_catalog.pg_table_size(p.relid)), 0)::bigint
        FROM (SELECT DISTINCT pg_catalog.to_regclass(n) AS table FROM pg_catalog.unnest($1::text[]) n) t
        CROSS JOIN LATERAL (SELECT t.table AS relid UNION SELECT relid FROM pg_catalog.pg_partition_tree(t.table)) p";
    Ok(client.query_one(BYTES, &[&tables]).await?.try_get(0)?)
}

/// The questions, with the tables that partitions belong to.
async fn with_roots(
    client: &Client,
    plan: &Plan,
    records: &HashMap<String, StepRecord>,
) -> Result<Vec<Question>, Fault> {
    const ROOTS: &str = "\
        SELECT n, r.nspname::text, c.relname::text FROM pg_catalog.unnest($1::text[]) n
        JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.pg_partition_root(pg_catalog.to_regclass(n))
        JOIN pg_catalog.pg_namespace r ON r.oid = c.relnamespace";
    let plain = of(plan, records, &str::to_owned);
    let mut tables: Vec<&str> = plain.iter().flat_map(|question| &question.tables).map(String::as_str).collect();
    tables.sort_unstable();
    tables.dedup();
    if tables.is_empty() {
        return Ok(plain);
    }
    let mut roots = HashMap::new();
    for row in client.query(ROOTS, &[&tables]).await? {
        let (name, schema, table): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        roots.insert(name, crate::sql::quote::qualified(&schema, &table));
    }
    Ok(of(plan, records, &|name| roots.get(name).cloned().unwrap_or_else(|| name.to_owned())))
}

async fn ask(client: &Client, question: &Question) -> Result<Option<Obstacle>, Fault> {
    client.batch_execute("BEGIN READ ONLY; SET LOCAL row_security = off; SET LOCAL lock_timeout = '2s'").await?;
    let asked = answer(client, question).await;
    let ended = client.batch_execute("ROLLBACK").await;
    let asked = match asked {
        // The question itself meets a value that does not fit.
        Err(Fault::Server(error)) if classify(&error.sqlstate) == Class::Data => Some(Obstacle {
            step: question.step.clone(),
            message: format!("{}: {}", question.message, error.message),
            sqlstate: Some(error.sqlstate),
        }),
        // What the role may not read, or what is not there any more, is found out at its moment.
        Err(Fault::Server(error)) if classify(&error.sqlstate) == Class::Permanent => None,
        asked => asked?,
    };
    ended?;
    Ok(asked)
}

async fn answer(client: &Client, question: &Question) -> Result<Option<Obstacle>, Fault> {
    let obstacle = |place: Option<Row>| -> Result<Obstacle, Fault> {
        let message = match place {
            Some(row) => format!("{} ({})", question.message, place_of(&row)?),
            None => question.message.clone(),
        };
        Ok(Obstacle { step: question.step.clone(), message, sqlstate: None })
    };
    match &question.what {
        Asked::Query(query) => {
            let rows = client.query(query, &[]).await?;
            let holds = matches!(rows.as_slice(), [row] if row.try_get(0).ok() == Some(Some(true)));
            Ok(if holds { None } else { Some(obstacle(None)?) })
        }
        Asked::NoRow { from, wrong } => {
            let query = format!("SELECT tableoid::regclass::text, ctid::text FROM {from} WHERE ({wrong}) LIMIT 1");
            client.query_opt(&query, &[]).await?.map(|row| obstacle(Some(row))).transpose()
        }
        Asked::Values { from, filter, expression } => {
            let values = Values { from, filter: filter.as_deref(), expression };
            let Err(error) = values.between(client, None).await? else { return Ok(None) };
            let place = values.locate(client).await?;
            let message = match place {
                Some(place) => format!("{} ({place}): {}", question.message, error.message),
                None => format!("{}: {}", question.message, error.message),
            };
            Ok(Some(Obstacle { step: question.step.clone(), message, sqlstate: Some(error.sqlstate) }))
        }
    }
}

/// Where a row is.
fn place_of(row: &Row) -> Result<String, Fault> {
    let (table, ctid): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(format!("the row at ctid {ctid} of {table}"))
}

/// See [`Asked::Values`].
struct Values<'a> {
    from: &'a str,
    filter: Option<&'a str>,
    expression: &'a str,
}

impl Values<'_> {
    /// Whether all rows of a range of places have a value; the server's refusal where one has none.
    async fn between(&self, client: &Client, range: Option<(i64, i64)>) -> Result<Result<(), ServerError>, Fault> {
        let mut terms: Vec<String> = Vec::new();
        if let Some((first, end)) = range {
            terms.push(format!("ctid >= '({first},0)'::tid AND ctid < '({end},0)'::tid"));
        }
        terms.extend(self.filter.map(|filter| format!("({filter})")));
        let filter = if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) };
        // The expression is the argument of an aggregate, so that it is computed for every row.
        self.value(client, &format!("SELECT pg_catalog.count({}) FROM {}{filter}", self.expression, self.from)).await
    }

    async fn value(&self, client: &Client, query: &str) -> Result<Result<(), ServerError>, Fault> {
        client.batch_execute("SAVEPOINT value").await?;
        let refused = match client.query(query, &[]).await.map_err(Fault::from) {
            Ok(_) => None,
            Err(Fault::Server(error)) if classify(&error.sqlstate) == Class::Data => Some(error),
            Err(fault) => return Err(fault),
        };
        client.batch_execute("ROLLBACK TO value; RELEASE value").await?;
        Ok(refused.map_or(Ok(()), Err))
    }

    /// The place of one row without a value: half of the blocks is looked at, then half of that half, then single rows.
    /// Only where one table has the rows.
    async fn locate(&self, client: &Client) -> Result<Option<String>, Fault> {
        let Some(table) = self.from.strip_prefix("ONLY ") else { return Ok(None) };
        let size = "SELECT pg_catalog.pg_relation_size(pg_catalog.to_regclass($1)) \
                    / pg_catalog.current_setting('block_size')::bigint";
        let blocks: i64 = client.query_one(size, &[&table]).await?.try_get(0)?;
        let (mut first, mut end) = (0, blocks.max(1));
        while end - first > 1 {
            let middle = first + (end - first) / 2;
            match self.between(client, Some((first, middle))).await? {
                Ok(()) => first = middle,
                Err(_) => end = middle,
            }
        }
        let places = format!(
            "SELECT tableoid::regclass::text, ctid::text FROM {} WHERE ctid >= '({first},0)'::tid AND ctid < '({end},0)'::tid",
            self.from
        );
        for row in client.query(&places, &[]).await? {
            let ctid: String = row.try_get(1)?;
            let filter = self.filter.map(|filter| format!(" AND ({filter})")).unwrap_or_default();
            let query = format!(
                "SELECT pg_catalog.count({}) FROM {} WHERE ctid = '{ctid}'::tid{filter}",
                self.expression, self.from
            );
            if self.value(client, &query).await?.is_err() {
                return Ok(Some(place_of(&row)?));
            }
        }
        Ok(None)
    }
}
