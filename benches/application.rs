//! What an application notices of each safe form: failed statements, longest stall, throughput, against the same load
//! on the same server a moment before.
//!
//! `WESLEY_BENCH_URL=postgresql://... cargo bench --bench application [-- ROWS]` makes and drops the tables `orders` and
//! `customers` in the database it is given, and prints a JSON object a form. `WESLEY_PATTERN` keeps to forms whose name
//! begins so; `WESLEY_SESSIONS` and `WESLEY_PAUSE` (milliseconds between two statements) set the load.

#[path = "../tests/run_support/application.rs"]
#[allow(dead_code, clippy::expect_used)]
mod application;
#[path = "../tests/run_support/patterns.rs"]
#[allow(dead_code)]
mod patterns;

use std::time::{Duration, Instant};

use application::{Application, Met};
use patterns::Pattern;
use wesley::catalog::introspect::introspect;
use wesley::plan::{HazardId, Policy, plan};
use wesley::run::connect::Settings;
use wesley::run::{Options, Request, apply};
use wesley::sql;

/// Tables, types and functions of the forms, and the ledger of the run before.
const RESET: &str =
    "DROP SCHEMA IF EXISTS wesley CASCADE; DROP TABLE IF EXISTS orders, orders_1, customers, notes, remarks CASCADE;
    DROP VIEW IF EXISTS v; DROP TYPE IF EXISTS mood; DROP FUNCTION IF EXISTS seven()";
/// How long the load runs before and after the change.
const BASELINE: Duration = Duration::from_secs(4);
/// How long the application's own long transactions are open.
const OPEN: Duration = Duration::from_millis(300);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn load(url: &str, rows: u64) -> Application {
    let pause = Duration::from_millis(number("WESLEY_PAUSE", 2));
    Application::start(url, rows, number("WESLEY_SESSIONS", 4), pause, Some(OPEN)).await
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

fn line(form: &Pattern, rows: u64, took: Duration, waited: usize, before: &Met, during: &Met) -> serde_json::Value {
    let slice = Options::default().blocking_slice.1;
    let added = during.at(1.0).saturating_sub(before.at(1.0));
    serde_json::json!({
        "form": form.name,
        "rows": rows,
        "migrationMilliseconds": milliseconds(took),
        "timesWaited": waited,
        "statements": during.statements,
        "failed": during.failed,
        "cachedPlans": during.cached_plans,
        "statementsPerSecondRatio": ((during.per_second() / before.per_second()) * 100.0).round() / 100.0,
        "p99Milliseconds": [milliseconds(before.at(0.99)), milliseconds(during.at(0.99))],
        "longestMilliseconds": [milliseconds(before.at(1.0)), milliseconds(during.at(1.0))],
        "addedStallMilliseconds": milliseconds(added),
        "withinSlice": added <= slice + Duration::from_millis(50),
    })
}

async fn measure(url: &str, form: &Pattern, rows: u64) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let settings = Settings::from_url(url)?;
    let client = settings.connect().await?;
    client.batch_execute(RESET).await?;
    client.batch_execute(&form.setup.replace("2500", &rows.to_string())).await?;
    // Each by itself: not allowed in a transaction, which several statements in one message are.
    for statement in ["VACUUM ANALYZE orders", "VACUUM ANALYZE customers"] {
        client.batch_execute(statement).await?;
    }
    // Not every role may.
    let _ = client.batch_execute("CHECKPOINT").await;
    let policy = {
        use strum::IntoEnumIterator;
        Policy { in_place_bytes: 0, allowed: HazardId::iter().collect() }
    };
    let made = plan(&sql::parse(form.change)?, &introspect(&client).await?, &policy)?;

    let running = load(url, rows.min(100_000)).await;
    tokio::time::sleep(BASELINE).await;
    let before = running.stop().await;

    let running = load(url, rows.min(100_000)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waited = std::sync::atomic::AtomicUsize::new(0);
    let look = |progress: &wesley::run::Progress| {
        let waits = progress.state == wesley::run::ProgressState::Waiting;
        waited.fetch_add(usize::from(waits), std::sync::atomic::Ordering::Relaxed);
    };
    let began = Instant::now();
    let outcome = apply(&settings, form.name, Request::Start(Box::new(made)), &Options::default(), &look).await;
    let took = began.elapsed();
    // What comes just after the last step belongs to it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let during = running.stop().await;
    outcome.ending.map_err(|error| format!("{}: {}", form.name, error.message))?;
    if !client.query_one(form.holds, &[]).await?.get::<_, bool>(0) {
        return Err(format!("{}: not what was asked for", form.name).into());
    }
    Ok(line(form, rows, took, waited.into_inner(), &before, &during))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("WESLEY_BENCH_URL").map_err(|_| "set WESLEY_BENCH_URL to a database to work in")?;
    let rows: u64 = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let client = Settings::from_url(&url)?.connect().await?;
    let version: i32 = client.query_one("SELECT current_setting('server_version_num')::int / 10000", &[]).await?.get(0);
    for form in Pattern::all(u16::try_from(version)?) {
        println!("{}", measure(&url, &form, rows).await?);
    }
    client.batch_execute(RESET).await?;
    Ok(())
}
