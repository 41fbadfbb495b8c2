//! Rows per second of a backfill against one plain UPDATE of the whole table, in turn, on the same server.
//!
//! `WESLEY_BENCH_URL=postgresql://... cargo bench --bench backfill [-- ROWS]` makes and drops tables in the database
//! it is given, and prints a JSON object a pair: rows, rows per second of both, their ratio.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use wesley::catalog::introspect::introspect;
use wesley::plan::{Policy, plan};
use wesley::run::connect::Settings;
use wesley::run::{Options, Request, apply};
use wesley::sql;

const PAIRS: usize = 5;

async fn table(client: &Client, rows: i64) -> Result<(), tokio_postgres::Error> {
    client
        .batch_execute(&format!(
            "drop table if exists bench_backfill;
             create table bench_backfill (id bigint primary key, customer bigint not null, note text not null, placed timestamptz not null);
             insert into bench_backfill select n, n % 1000, repeat('x', 80), now() from generate_series(1, {rows}) n;
             create index bench_backfill_customer on bench_backfill (customer);"
        ))
        .await?;
    // Each by itself: not allowed in a transaction, which several statements in one message are.
    client.batch_execute("vacuum analyze bench_backfill").await?;
    client.batch_execute("checkpoint").await
}

async fn plain(client: &Client) -> Result<Duration, tokio_postgres::Error> {
    client.batch_execute("alter table bench_backfill add column token uuid").await?;
    let started = Instant::now();
    client.batch_execute("update bench_backfill set token = gen_random_uuid()").await?;
    Ok(started.elapsed())
}

async fn batched(settings: &Settings, client: &Client, pair: usize) -> Result<Duration, Box<dyn std::error::Error>> {
    let statements = sql::parse("alter table bench_backfill add column token uuid default gen_random_uuid()")?;
    let policy = Policy { in_place_bytes: 0, ..Policy::default() };
    let made = plan(&statements, &introspect(client).await?, &policy)?;
    let started = Instant::now();
    let outcome = apply(
        settings,
        &format!("bench-backfill-{pair}-{}", std::process::id()),
        Request::Start(Box::new(made)),
        &Options::default(),
        &(),
    )
    .await;
    let took = started.elapsed();
    outcome.ending.map_err(|error| error.message)?;
    Ok(took)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("WESLEY_BENCH_URL").map_err(|_| "set WESLEY_BENCH_URL to a database to work in")?;
    let rows: i64 = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(500_000);
    let settings = Settings::from_url(&url)?;
    let client = settings.connect().await?;
    #[allow(clippy::cast_precision_loss)]
    let per_second = |took: Duration| rows as f64 / took.as_secs_f64();
    for pair in 0..PAIRS {
        table(&client, rows).await?;
        let one_update = plain(&client).await?;
        table(&client, rows).await?;
        let in_batches = batched(&settings, &client, pair).await?;
        let remaining: i64 =
            client.query_one("select count(*) from bench_backfill where token is null", &[]).await?.get(0);
        assert_eq!(remaining, 0, "a backfill that leaves rows proves nothing");
        println!(
            "{}",
            serde_json::json!({
                "rows": rows,
                "oneUpdateRowsPerSecond": per_second(one_update).round(),
                "backfillRowsPerSecond": per_second(in_batches).round(),
                "ratio": per_second(in_batches) / per_second(one_update),
            })
        );
    }
    client.batch_execute("drop table bench_backfill").await?;
    Ok(())
}
