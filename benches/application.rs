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

use std::sync::Mutex;
use std::time::{Duration, Instant};

use application::{Application, Met, milliseconds};
use patterns::Pattern;
use wesley::catalog::introspect::introspect;
use wesley::plan::{HazardId, Policy, Step, plan};
use wesley::run::connect::Settings;
use wesley::run::{Options, Progress, ProgressState, Request, apply};
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

fn line(form: &Pattern, rows: u64, took: Duration, steps: &Steps, before: &Met, during: &Met) -> serde_json::Value {
    let slice = Options::default().blocking_slice.1;
    let added = during.at(1.0).saturating_sub(before.at(1.0));
    let mut line = serde_json::json!({
        "form": form.name,
        "rows": rows,
        "migrationMilliseconds": milliseconds(took),
        "timesWaited": steps.waited,
        "addedStallMilliseconds": milliseconds(added),
        "withinSlice": added <= slice + Duration::from_millis(50),
        "steps": steps.took.len(),
        "outsideEstimate": steps.outside,
    });
    if let Some(line) = line.as_object_mut() {
        line.extend(during.figures(before));
    }
    line
}

/// How long the steps of a run took, next to what the plan expected.
#[derive(Default)]
struct Steps {
    /// Times that a step waited for a lock or for the server.
    waited: usize,
    /// Milliseconds from the end of the step before to the end of each; with the time that it waited.
    took: Vec<(String, i64)>,
    /// The end of the last one.
    ended: i64,
    /// Those that took less or more than the plan said: what they do, the seconds, least and most of the estimate.
    outside: Vec<(String, f64, i64, i64)>,
}

impl Steps {
    fn look(&mut self, progress: &Progress) {
        self.waited += usize::from(progress.state == ProgressState::Waiting);
        if let (ProgressState::Done, Some(step)) = (progress.state, &progress.step) {
            self.took.push((step.clone(), progress.elapsed_milliseconds - self.ended));
            self.ended = progress.elapsed_milliseconds;
        }
    }

    /// Seconds of the estimate are whole ones: a least of 2 says at least 1.5.
    fn compare(&mut self, steps: &[Step]) {
        for (id, took) in &self.took {
            let Some(step) = steps.iter().find(|step| step.id == *id) else { continue };
            let (least, most) = (step.estimate.seconds_least, step.estimate.seconds_most);
            if *took + 500 < least * 1000 || *took > most * 1000 + 500 {
                #[allow(clippy::cast_precision_loss)]
                self.outside.push((step.id.clone(), *took as f64 / 1000.0, least, most));
            }
        }
    }
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
    let seen = Mutex::new(Steps::default());
    let look = |progress: &Progress| {
        if let Ok(mut steps) = seen.lock() {
            steps.look(progress);
        }
    };
    let planned = made.steps.clone();
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
    let mut steps = seen.into_inner()?;
    steps.compare(&planned);
    Ok(line(form, rows, took, &steps, &before, &during))
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
