//! Index builds of several tables at a time, and what is told before one begins.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use run_support::plans::*;
use run_support::{Database, Recorder, end_majors};
use tokio_postgres::Client;
use wesley::plan::{LockMode, Plan, Stage, Step};
use wesley::run::{Ending, Options, Progress, ProgressState, Reason};

fn build(id: &str, table: &str, column: &str) -> Step {
    let index = format!("{table}_{column}");
    let statement = format!("CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} ({column})");
    let definition = format!("CREATE UNIQUE INDEX {index} ON public.{table} USING btree ({column})");
    let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
    let mut step = step(id, Stage::Validate, concurrent(&statement))
        .locks(&[(&format!("public.{table}"), LockMode::ShareUpdateExclusive)])
        .proven(valid(table, &index, &definition))
        .undo(concurrent(&drop), absent(table, &index));
    step.waits_for_transactions = vec![format!("public.{table}")];
    step
}

fn two() -> Plan {
    plan("two", vec![build("001", "orders", "amount"), build("002", "customers", "name")])
}

fn two_at_a_time() -> Options {
    Options { index_builds: 2, lock_budget: Duration::from_secs(60), ..Options::default() }
}

const BUILT: &str = "SELECT coalesce(string_agg(c.relname || ' ' || i.indisvalid, ',' ORDER BY c.relname), '')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname IN ('orders_amount', 'customers_name')";
const AT_WORK: &str = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()";

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

async fn writer(database: &Database, changes: &str) -> Client {
    let writer = database.session().await;
    writer.batch_execute(&format!("BEGIN; {changes}")).await.unwrap();
    writer
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tables_are_built_at_the_same_time() {
    for major in end_majors() {
        let database = Database::create("parallel", major, &shop(30)).await;
        let before = database.picture().await;
        let writer = writer(&database, "UPDATE orders SET note = note; UPDATE customers SET name = name").await;
        let looker = database.session().await;
        let both = AtomicBool::new(false);
        let look = |_: &Progress| {
            let at_work: i64 = wait(looker.query_one(AT_WORK, &[])).unwrap().get(0);
            if at_work == 2 && !both.swap(true, Ordering::SeqCst) {
                wait(writer.batch_execute("COMMIT")).unwrap();
            }
        };
        let outcome = database.apply_with("p", &two(), &two_at_a_time(), &look).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        assert!(both.into_inner(), "{major}: never at the same time");
        assert_eq!(database.ask::<String>(BUILT).await, "customers_name true,orders_amount true");
        assert_eq!(database.steps("p").await, "001=done:0 002=done:0");
        assert_eq!(database.rollback("p").await.ending, Ok(Ending::RolledBack));
        assert_eq!(database.picture().await, before, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_the_second_index_are_told_at_its_step() {
    for major in end_majors() {
        let database = Database::create("parallel_second", major, &shop(30)).await;
        database.client.batch_execute("UPDATE customers SET name = 'canary'").await.unwrap();
        let error = database.apply_with("p", &two(), &two_at_a_time(), &()).await.ending.unwrap_err();
        assert_eq!((error.reason, error.step.as_deref()), (Reason::ConstraintViolated, Some("002")), "{major}");
        assert!(error.message.contains("1 key occurs more than once"), "{}", error.message);
        assert!(!error.message.contains("canary"), "{}", error.message);
        assert_eq!(database.ask::<String>(BUILT).await, "orders_amount true", "{major}");
        database.client.batch_execute("UPDATE customers SET name = id").await.unwrap();
        assert_eq!(database.apply_with("p", &two(), &two_at_a_time(), &()).await.ending, Ok(Ending::Done), "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_first_leaves_nothing_half_built() {
    for major in end_majors() {
        let database = Database::create("parallel_first", major, &shop(30)).await;
        database.client.batch_execute("UPDATE orders SET amount = 1").await.unwrap();
        let writer = writer(&database, "UPDATE customers SET name = name").await;
        let look = |progress: &Progress| {
            if progress.state == ProgressState::Failed {
                wait(writer.batch_execute("COMMIT")).unwrap();
            }
        };
        let error = database.apply_with("p", &two(), &two_at_a_time(), &look).await.ending.unwrap_err();
        assert_eq!((error.reason, error.step.as_deref()), (Reason::ConstraintViolated, Some("001")), "{major}");
        let left: String = database.ask(BUILT).await;
        assert!(!left.contains("false"), "{major}: {left}");
        assert_eq!(database.ask::<i64>(AT_WORK).await, 0, "{major}");
        database.client.batch_execute("UPDATE orders SET amount = id").await.unwrap();
        assert_eq!(database.apply_with("p", &two(), &two_at_a_time(), &()).await.ending, Ok(Ending::Done), "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_transactions_are_named_before_the_build_begins() {
    for major in end_majors() {
        let database = Database::create("stall", major, &shop(30)).await;
        let reader = database.session().await;
        // Older than what is taken for an ordinary statement.
        reader.batch_execute("SET application_name = 'report'; BEGIN; SELECT pg_sleep(5.1)").await.unwrap();
        let recorder = Recorder::default();
        let one = plan("s", vec![build("001", "orders", "amount")]);
        assert_eq!(database.apply_with("s", &one, &Options::default(), &recorder).await.ending, Ok(Ending::Done));
        let told = foretold(&recorder);
        assert!(told.contains("(report), idle in transaction, in a transaction for"), "{major}: {told}");
        drop(reader);
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_transactions_are_named_before_the_build_begins() {
    for major in end_majors() {
        let database = Database::create("stall_prepared", major, &shop(30)).await;
        let prepare = "BEGIN; UPDATE orders SET note = 'x'; PREPARE TRANSACTION 'stall_prepared'";
        database.session().await.batch_execute(prepare).await.unwrap();
        let (recorder, one) = (Recorder::default(), plan("s", vec![build("001", "orders", "amount")]));
        let options = Options { lock_budget: Duration::from_secs(1), ..Options::default() };
        let error = database.apply_with("s", &one, &options, &recorder).await.ending.unwrap_err();
        assert_eq!(error.reason, Reason::LockBudgetSpent, "{major}: {}", error.message);
        let told = foretold(&recorder);
        assert!(told.contains("a prepared transaction (see pg_prepared_xacts)"), "{major}: {told}");
        database.client.batch_execute("ROLLBACK PREPARED 'stall_prepared'").await.unwrap();
        assert_eq!(database.apply("s", &one).await.ending, Ok(Ending::Done), "{major}");
        database.drop().await;
    }
}

/// What was told of a build before it began.
fn foretold(recorder: &Recorder) -> String {
    let told = recorder.all().into_iter().filter_map(|progress| progress.detail);
    let told: Vec<String> = told.filter(|detail| detail.starts_with("at its end it waits")).collect();
    told.join("\n")
}

/// Keeps dead rows, but no index build waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_replication_slot_holds_no_build_up() {
    for major in end_majors() {
        let database = Database::create("stall_slot", major, &shop(30)).await;
        let superuser = database.superuser().await;
        let slot = format!("stall_{major}");
        let created =
            superuser.query_one("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", &[&slot]).await;
        assert!(created.is_ok(), "{created:?}");
        let one = plan("s", vec![build("001", "orders", "amount")]);
        let options = Options { lock_budget: Duration::from_secs(5), ..Options::default() };
        let ending = database.apply_with("s", &one, &options, &()).await.ending;
        superuser.execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await.unwrap();
        assert_eq!(ending, Ok(Ending::Done), "{major}");
        database.drop().await;
    }
}
