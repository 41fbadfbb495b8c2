//! An application at work on the tables of [`super::patterns`]: it inserts, changes, reads and deletes rows over several
//! connections with prepared statements, knows only the columns from before the change, and counts what fails.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, Statement};

/// A session sees this once for each of its prepared statements that gives all columns; no server can avoid it.
const CACHED_PLAN: &str = "0A000";

const PARAMETERS: &[Type] = &[Type::INT8, Type::INT8];

/// Small and good enough to choose by (xorshift64).
pub fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// To a tenth.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// What it met with.
#[derive(Clone, Debug, Default)]
pub struct Met {
    pub statements: u64,
    /// Number of failed statements by SQLSTATE, without cached plans.
    pub failed: BTreeMap<String, u64>,
    /// "cached plan must not change result type".
    pub cached_plans: u64,
    /// How long each statement took, sorted.
    pub took: Vec<Duration>,
    /// How long it was at work.
    pub during: Duration,
}

impl Met {
    /// At `share` of all statements sorted by duration: 0.99, 1.0.
    pub fn at(&self, share: f64) -> Duration {
        let last = self.took.len().saturating_sub(1);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
        let index = (last as f64 * share).round() as usize;
        self.took.get(index).copied().unwrap_or_default()
    }

    pub fn per_second(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let statements = self.statements as f64;
        statements / self.during.as_secs_f64().max(0.001)
    }

    /// What a benchmark says of the load during a change, next to the load `before` it; times in milliseconds.
    pub fn figures(&self, before: &Met) -> serde_json::Map<String, serde_json::Value> {
        let value = serde_json::json!({
            "statements": self.statements,
            "failed": self.failed,
            "cachedPlans": self.cached_plans,
            "statementsPerSecondRatio": ((self.per_second() / before.per_second()) * 100.0).round() / 100.0,
            "p99Milliseconds": [milliseconds(before.at(0.99)), milliseconds(self.at(0.99))],
            "longestMilliseconds": [milliseconds(before.at(1.0)), milliseconds(self.at(1.0))],
        });
        value.as_object().cloned().unwrap_or_default()
    }

    fn add(&mut self, other: Met) {
        self.statements += other.statements;
        self.cached_plans += other.cached_plans;
        for (code, count) in other.failed {
            *self.failed.entry(code).or_default() += count;
        }
        self.took.extend(other.took);
    }
}

/// Sessions at work.
pub struct Application {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Met>>,
    began: Instant,
}

impl Application {
    /// Starts as many `sessions`, and one more that keeps transactions open for `open` each, when that is given.
    /// `rows` is the number of orders from 1; `pause` is between two statements.
    pub async fn start(url: &str, rows: u64, sessions: u64, pause: Duration, open: Option<Duration>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for number in 0..sessions {
            let session = Session::open(url, rows, number).await;
            tasks.push(tokio::spawn(session.work(stop.clone(), pause)));
        }
        if let Some(open) = open {
            tasks.push(tokio::spawn(slow(connect(url).await, stop.clone(), open)));
        }
        Self { stop, tasks, began: Instant::now() }
    }

    pub async fn stop(self) -> Met {
        let during = self.began.elapsed();
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Met::default();
        for task in self.tasks {
            all.add(task.await.expect("a session of the application"));
        }
        all.took.sort_unstable();
        Met { during, ..all }
    }
}

/// The beginning of a range of ids that no other session of this process inserts from.
fn range_of_ids() -> u64 {
    static RANGES: AtomicU64 = AtomicU64::new(1);
    1_000_000 * RANGES.fetch_add(1, Ordering::Relaxed)
}

async fn connect(url: &str) -> Client {
    let mut config = tokio_postgres::Config::from_str(url).expect("a URL");
    config.application_name("shop");
    let (client, connection) = config.connect(NoTls).await.expect("the application connects");
    tokio::spawn(connection);
    client
}

/// Transactions that read a row and change another, with time in between.
async fn slow(client: Client, stop: Arc<AtomicBool>, open: Duration) -> Met {
    let mut met = Met::default();
    while !stop.load(Ordering::Relaxed) {
        for text in [
            "BEGIN",
            "SELECT id, customer_id FROM orders WHERE id = 1",
            // Its own row, so that nobody waits for it but the change of the schema.
            "UPDATE customers SET seen = seen + 1 WHERE id = 100",
        ] {
            met.note(client.batch_execute(text).await, None);
        }
        tokio::time::sleep(open).await;
        met.note(client.batch_execute("COMMIT").await, None);
        tokio::time::sleep(open / 4).await;
    }
    met
}

impl Met {
    fn note(&mut self, result: Result<(), tokio_postgres::Error>, took: Option<Duration>) {
        self.statements += 1;
        self.took.extend(took);
        if let Err(error) = result {
            let code = error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned());
            if code == CACHED_PLAN {
                self.cached_plans += 1;
            } else {
                *self.failed.entry(code).or_default() += 1;
            }
        }
    }
}

struct Session {
    client: Client,
    prepared: Vec<Statement>,
    texts: Vec<String>,
    rows: u64,
    next: u64,
    seed: u64,
}

impl Session {
    async fn open(url: &str, rows: u64, number: u64) -> Self {
        let client = connect(url).await;
        let columns: Vec<String> = client
            .query("SELECT attname::text FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0", &[])
            .await
            .expect("the tables of the patterns")
            .iter()
            .map(|row| row.get(0))
            .collect();
        let has = |name: &str| columns.iter().any(|column| column == name);
        let insert = if has("day") {
            "INSERT INTO orders (id, day, customer_id) VALUES ($1, (10 + $1 % 10)::int, $2)"
        } else if has("shop") {
            "INSERT INTO orders (id, shop, customer_id) VALUES ($1, 'app', $2)"
        } else if has("m") {
            "INSERT INTO orders (id, m, customer_id) VALUES ($1, 'ok', $2)"
        } else {
            "INSERT INTO orders (id, total, customer_id) VALUES ($1, 0.5, $2)"
        };
        let texts: Vec<String> = [
            insert,
            "DELETE FROM orders WHERE id = $1 AND customer_id = $2 AND id >= 1000000",
            "UPDATE orders SET seen = seen + 1 WHERE id = $1 AND $2::bigint > 0",
            "SELECT * FROM orders WHERE id = $1 AND $2::bigint > 0",
            "SELECT id, seen FROM orders WHERE id = $1 AND $2::bigint > 0",
            "SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = $1 AND c.id < 200 + $2",
            "UPDATE customers SET seen = seen + 1 WHERE id = 1 + ($1::bigint + $2) % 90",
        ]
        .map(str::to_owned)
        .to_vec();
        let mut prepared = Vec::new();
        for text in &texts {
            prepared.push(client.prepare_typed(text, PARAMETERS).await.expect(text));
        }
        Self { client, prepared, texts, rows, next: range_of_ids(), seed: 42 + number * 7_919 }
    }

    async fn work(mut self, stop: Arc<AtomicBool>, pause: Duration) -> Met {
        let mut met = Met::default();
        while !stop.load(Ordering::Relaxed) {
            let choice = (random(&mut self.seed) % self.texts.len() as u64) as usize;
            let customer = (1 + random(&mut self.seed) % 100) as i64;
            let id = match choice {
                0 => {
                    self.next += 1;
                    self.next
                }
                1 => self.next,
                _ => 1 + random(&mut self.seed) % self.rows,
            } as i64;
            let began = Instant::now();
            let done = self.client.query(&self.prepared[choice], &[&id, &customer]).await.map(|_| ());
            let again =
                done.as_ref().err().and_then(|error| error.code()).is_some_and(|code| code.code() == CACHED_PLAN);
            met.note(done, Some(began.elapsed()));
            if again {
                // As drivers do.
                match self.client.prepare_typed(&self.texts[choice], PARAMETERS).await {
                    Ok(statement) => self.prepared[choice] = statement,
                    Err(error) => met.note(Err(error), None),
                }
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        met
    }
}
