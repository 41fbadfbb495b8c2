//! Rows per second of a backfill against one plain UPDATE of the whole table, in turn, on the same server.
//!
//! `WESLEY_BENCH_URL=postgresql://... cargo bench --bench backfill [-- ROWS...]` makes and drops a table in the database
//! it is given, and prints a JSON object a pair. `WESLEY_PAIRS` is the number of pairs, `WESLEY_PATTERN` keeps to forms
//! whose name begins so. Where the server runs on the same Linux machine, the CPU time that its processes took is given
//! too: on a machine with other work, that is the ratio to look at.

use std::sync::Mutex;
use std::time::Instant;

use serde_json::json;
use tokio_postgres::Client;
use wesley::catalog::introspect::introspect;
use wesley::plan::{HazardId, Policy, Stage, plan};
use wesley::run::connect::Settings;
use wesley::run::{Options, Progress, ProgressState, Request, apply};
use wesley::sql;

/// A way to change all rows.
struct Form {
    name: &'static str,
    /// Before the plain UPDATE: what a plan's other steps do.
    first: &'static str,
    /// The plain UPDATE.
    update: &'static str,
    /// What is planned.
    change: &'static str,
    /// Counts rows that are not as they should be.
    wrong: &'static str,
}

const FORMS: [Form; 3] = [
    Form {
        name: "new column, by blocks",
        first: "alter table bench_backfill add column token uuid",
        update: "update bench_backfill set token = gen_random_uuid()",
        change: "alter table bench_backfill add column token uuid default gen_random_uuid()",
        wrong: "token is null",
    },
    Form {
        name: "each row exactly once, by key",
        first: "select 1",
        update: "update bench_backfill set visits = visits + 1",
        change: "update bench_backfill set visits = visits + 1",
        wrong: "visits <> 1",
    },
    Form {
        name: "column of an index, by key",
        first: "select 1",
        update: "update bench_backfill set customer = customer + 1",
        change: "update bench_backfill set customer = customer + 1",
        wrong: "customer <> id % 1000 + 1",
    },
];

async fn table(client: &Client, rows: i64) -> Result<(), tokio_postgres::Error> {
    client
        .batch_execute(&format!(
            "drop table if exists bench_backfill;
             create table bench_backfill (id bigint primary key, customer bigint not null, visits bigint not null, note text not null, placed timestamptz not null);
             insert into bench_backfill select n, n % 1000, 0, repeat('x', 80), now() from generate_series(1, {rows}) n;
             create index bench_backfill_customer on bench_backfill (customer);"
        ))
        .await?;
    // Each by itself: not allowed in a transaction, which several statements in one message are.
    client.batch_execute("vacuum analyze bench_backfill").await?;
    client.batch_execute("checkpoint").await
}

async fn megabytes(client: &Client) -> Result<i64, tokio_postgres::Error> {
    client.query_one("select pg_relation_size('bench_backfill') >> 20", &[]).await?.try_get(0)
}

/// CPU time of the process `pid` and, with `children`, of the ended children of its parent, in clock ticks.
fn ticks(pid: i32, children: bool) -> Option<u64> {
    let stat = |pid: &str| -> Option<Vec<u64>> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may hold anything. Fields from the third on: proc(5).
        let rest = text.rsplit_once(')')?.1;
        Some(rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
    };
    let own = stat(&pid.to_string())?;
    let sum = own.get(11)? + own.get(12)?;
    if !children {
        return Some(sum);
    }
    let parent = stat(&own.get(1)?.to_string())?;
    Some(sum + parent.get(13)? + parent.get(14)?)
}

/// Milliseconds of the step that changes rows, and of the whole run.
async fn batched(
    settings: &Settings,
    client: &Client,
    form: &Form,
    name: &str,
) -> Result<(i64, i64), Box<dyn std::error::Error>> {
    use strum::IntoEnumIterator;
    let policy = Policy { in_place_bytes: 0, allowed: HazardId::iter().collect() };
    let made = plan(&sql::parse(form.change)?, &introspect(client).await?, &policy)?;
    let times = Mutex::new((None, 0));
    let look = |progress: &Progress| {
        if progress.stage != Some(Stage::Backfill) {
            return;
        }
        let Ok(mut times) = times.lock() else { return };
        let begun = *times.0.get_or_insert(progress.elapsed_milliseconds);
        if progress.state == ProgressState::Done {
            times.1 = progress.elapsed_milliseconds - begun;
        }
    };
    let outcome = apply(settings, name, Request::Start(Box::new(made)), &Options::default(), &look).await;
    outcome.ending.map_err(|error| error.message)?;
    let step = times.lock().map(|times| times.1).unwrap_or_default();
    Ok((step, i64::try_from(outcome.duration.as_millis())?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("WESLEY_BENCH_URL").map_err(|_| "set WESLEY_BENCH_URL to a database to work in")?;
    let sizes: Vec<i64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![500_000] } else { sizes };
    let pairs: usize = std::env::var("WESLEY_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let wanted = std::env::var("WESLEY_PATTERN").unwrap_or_default();
    let settings = Settings::from_url(&url)?;
    let client = settings.connect().await?;
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
    for rows in sizes {
        for form in FORMS.iter().filter(|form| form.name.starts_with(&wanted)) {
            for pair in 0..pairs {
                table(&client, rows).await?;
                let before = megabytes(&client).await?;
                client.batch_execute(form.first).await?;
                let (started, at) = (Instant::now(), ticks(pid, false));
                client.batch_execute(form.update).await?;
                let one_update = started.elapsed().as_secs_f64();
                let plain_ticks = ticks(pid, false).zip(at).map(|(end, begin)| end - begin);
                let plain_size = megabytes(&client).await?;
                table(&client, rows).await?;
                let name = format!("bench-{}-{rows}-{pair}-{}", form.name.len(), std::process::id());
                let at = ticks(pid, true);
                let (step, whole) = batched(&settings, &client, form, &name).await?;
                // The server's processes of the run have ended a moment after it.
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                let run_ticks = ticks(pid, true).zip(at).map(|(end, begin)| end - begin);
                let query = format!("select count(*) from bench_backfill where {}", form.wrong);
                let wrong: i64 = client.query_one(&query, &[]).await?.get(0);
                assert_eq!(wrong, 0, "a backfill that leaves rows proves nothing");
                #[allow(clippy::cast_precision_loss)]
                let (rows_, seconds) = (rows as f64, step.max(1) as f64 / 1_000.0);
                println!(
                    "{}",
                    json!({
                        "form": form.name, "rows": rows,
                        "oneUpdateRowsPerSecond": (rows_ / one_update).round(),
                        "backfillRowsPerSecond": (rows_ / seconds).round(),
                        "ratio": (one_update / seconds * 100.0).round() / 100.0,
                        "wholeRunMilliseconds": whole,
                        "serverCpuTicks": {"oneUpdate": plain_ticks, "wholeRun": run_ticks},
                        "megabytes": {"before": before, "afterOneUpdate": plain_size, "afterBackfill": megabytes(&client).await?},
                    })
                );
            }
        }
    }
    client.batch_execute("drop table bench_backfill").await?;
    Ok(())
}
