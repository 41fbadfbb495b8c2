//! SIGKILL at random moments, under load. Slow, so only on request:
//! `cargo test --test postgres_random_kills -- --ignored random_kills --nocapture`, with `WESLEY_KILLS` (200 for each
//! major by default) and `WESLEY_SEED` to repeat a run that failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use run_support::plans::*;
use run_support::{Database, Task, end_majors};
use wesley::plan::{Plan, Stage};
use wesley::run::Ending;

/// The body of the processes that are killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the other test"]
async fn child_process() {
    run_support::child_process().await;
}

fn way() -> Plan {
    let mut all = everything();
    all.steps
        .insert(3, step("003-raise", Stage::Backfill, backfill("orders", &["id"], ("amount", "amount + 1"), None)));
    plan("kills", all.steps)
}

/// Small and good enough to choose moments (xorshift64).
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

const RESET: &str = "DROP SCHEMA IF EXISTS wesley CASCADE; DROP TABLE IF EXISTS orders, customers";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn random_kills_lose_and_repeat_nothing() {
    let kills: u32 = std::env::var("WESLEY_KILLS").map_or(200, |text| text.parse().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed: u64 = std::env::var("WESLEY_SEED").map_or(now | 1, |text| text.parse().unwrap());
    for major in end_majors() {
        println!("PostgreSQL {major}, {kills} kills, WESLEY_SEED={seed}");
        let database = Database::create("kills", major, "").await;
        let (mut state, mut killed, mut rounds) = (seed, 0, 0);
        while killed < kills {
            database.client.batch_execute(&format!("{RESET}; {}", shop(600))).await.unwrap();
            let load = Load::start(&database).await;
            loop {
                let mut child = run_support::spawn(&database, "k", &way(), Task::Apply);
                tokio::time::sleep(Duration::from_millis(random(&mut state) % 600)).await;
                let ended = child.try_wait().unwrap();
                child.kill().unwrap();
                child.wait().unwrap();
                if let Some(status) = ended {
                    assert!(status.success(), "{major}: WESLEY_SEED={seed}, after {killed} kills");
                    break;
                }
                killed += 1;
            }
            let statements = load.stop().await;
            let outcome = database.apply("k", &way()).await;
            assert!(matches!(outcome.ending, Ok(Ending::Done | Ending::AlreadyDone)), "WESLEY_SEED={seed} {outcome:?}");
            let wrong: i64 = database
                .ask("SELECT count(*) FROM orders WHERE amount <> id + 1 OR total IS DISTINCT FROM id * 2")
                .await;
            assert_eq!(wrong, 0, "{major}: WESLEY_SEED={seed}, after {killed} kills");
            let valid: i64 = database
                .ask("SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass AND indisvalid AND indisready")
                .await;
            let all: i64 = database.ask("SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass").await;
            assert_eq!((valid, all), (2, 2), "{major}: WESLEY_SEED={seed}, after {killed} kills");
            rounds += 1;
            assert!(statements > 0);
        }
        println!("PostgreSQL {major}: {killed} kills in {rounds} runs, nothing lost, nothing done twice");
        database.drop().await;
    }
}

/// An application that changes rows all the time and must never fail.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    async fn start(database: &Database) -> Self {
        let client = database.session().await;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), done.clone());
        let task = tokio::spawn(async move {
            let mut state = 42;
            // `note` becomes `remark` at the end of the migration: this one goes on with what stays.
            while !stopped.load(Ordering::Relaxed) {
                let id = 1 + random(&mut state) % 600;
                let sql = format!(
                    "UPDATE orders SET customer_id = 1 + {id} % 50 WHERE id = {id}; SELECT count(*) FROM customers"
                );
                client.batch_execute(&sql).await.expect("a statement of the application failed");
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, done, task }
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.done.load(Ordering::Relaxed)
    }
}
