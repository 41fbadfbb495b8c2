//! Killed anywhere: what is left is taken up to the same end, forward and back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::sync::atomic::{AtomicBool, Ordering};

use run_support::plans::*;
use run_support::{Database, Task, end_majors, in_a_process, proxy};
use wesley::plan::{Plan, Stage};
use wesley::run::connect::Settings;
use wesley::run::failpoint::Boundary;
use wesley::run::{Ending, Options, Progress, ProgressState, Reason, Request, apply};

/// [`everything`], and a backfill that would show it if a batch were done twice.
fn swept() -> Plan {
    let mut all = everything();
    let again = step("003-raise", Stage::Backfill, backfill("orders", &["id"], ("amount", "amount + 1"), None))
        .undo(backfill("orders", &["id"], ("amount", "amount - 1"), None), recorded());
    all.steps.insert(3, again);
    plan("swept", all.steps)
}

const RESET: &str = "DROP SCHEMA IF EXISTS wesley CASCADE; DROP TABLE IF EXISTS orders, customers";

async fn reset(database: &Database) {
    database.client.batch_execute(&format!("{RESET}; {}", shop(100))).await.unwrap();
}

/// The body of the processes that are killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the other tests"]
async fn child_process() {
    run_support::child_process().await;
}

/// More boundaries than any run here has.
const MANY: u32 = 200;

/// The boundaries to try on a major: the majors share them; each has all of them with `WESLEY_SWEEP=all`.
fn boundaries_on(major: u16) -> impl Iterator<Item = u32> {
    let ends = end_majors();
    let all = std::env::var("WESLEY_SWEEP").is_ok_and(|text| text == "all");
    let (shares, own) = if all { (1, 0) } else { (ends.len(), ends.iter().position(|end| *end == major).unwrap()) };
    (1..MANY).filter(move |count| *count as usize % shares == own)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_boundary_a_run_resumes_to_the_same_end() {
    for major in end_majors() {
        let database = Database::create("sweep_forward", major, "").await;
        reset(&database).await;
        let way = swept();
        assert!(in_a_process(&database, "s", &way, Task::Apply, ""), "{major}: not interrupted");
        let (end, steps) = (database.picture().await, database.steps("s").await);
        let mut boundaries = 0;
        for count in boundaries_on(major) {
            reset(&database).await;
            if in_a_process(&database, "s", &way, Task::Apply, &format!("any:{count}")) {
                break;
            }
            boundaries = count;
            let outcome = database.apply("s", &way).await;
            assert!(matches!(outcome.ending, Ok(Ending::Done | Ending::AlreadyDone)), "{major} {count}: {outcome:?}");
            assert!(outcome.batches_redone <= 1);
            assert_eq!(database.picture().await, end, "{major}: killed at boundary {count}");
            assert_eq!(database.steps("s").await, steps, "{major}: killed at boundary {count}");
        }
        assert!((40..MANY - 1).contains(&boundaries), "{major}: {boundaries} boundaries");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_boundary_a_run_can_be_rolled_back() {
    for major in end_majors() {
        let database = Database::create("sweep_undo", major, "").await;
        reset(&database).await;
        let (way, before, mut recorded) = (swept(), database.picture().await, false);
        for count in boundaries_on(major) {
            reset(&database).await;
            let lived = in_a_process(&database, "s", &way, Task::Apply, &format!("any:{count}"));
            let outcome = database.rollback("s").await;
            // Before the run was recorded there is nothing to undo.
            if outcome.reason() != Reason::NotRecorded {
                assert_eq!(outcome.ending, Ok(Ending::RolledBack), "{major}: killed at boundary {count}");
                recorded = true;
            }
            assert!(recorded || count < 5, "{major}: killed at boundary {count}");
            assert_eq!(database.picture().await, before, "{major}: killed at boundary {count}");
            if lived {
                break;
            }
        }
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_killed_at_any_boundary_resumes() {
    let mut finished = 0;
    for major in end_majors() {
        let database = Database::create("sweep_back", major, "").await;
        reset(&database).await;
        let (way, before) = (swept(), database.picture().await);
        let mut boundaries = 0;
        for count in boundaries_on(major) {
            reset(&database).await;
            assert!(in_a_process(&database, "s", &way, Task::Apply, ""));
            if in_a_process(&database, "s", &way, Task::Rollback, &format!("any:{count}")) {
                break;
            }
            boundaries = count;
            match database.apply("s", &way).await.ending {
                // Killed after the very last record: the name is free again.
                Ok(Ending::Done) => finished += 1,
                other => assert_eq!(other.unwrap_err().reason, Reason::RollbackUnfinished),
            }
            let outcome = database.rollback("s").await;
            assert_eq!(outcome.ending, Ok(Ending::RolledBack), "{major}: killed at boundary {count}");
            assert_eq!(database.picture().await, before, "{major}: killed at boundary {count}");
        }
        assert!((15..MANY - 1).contains(&boundaries), "{major}: {boundaries} boundaries");
        database.drop().await;
    }
    assert!(finished > 0, "no process was killed after the last record");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_commit_is_looked_up() {
    for major in end_majors() {
        let database = Database::create("lost_commit", major, "").await;
        reset(&database).await;
        let way = swept();
        assert_eq!(database.apply("s", &way).await.ending, Ok(Ending::Done));
        let (end, steps) = (database.picture().await, database.steps("s").await);
        for nth in 1..20 {
            reset(&database).await;
            let port = proxy::losing_commit(database.port(), nth).await;
            let settings = Settings::from_url(&database.url_at(port)).unwrap();
            let request = Request::Start(Box::new(way.clone()));
            let outcome = apply(&settings, "s", request, &Options::default(), &()).await;
            // Before a run has begun there is nothing to look up: it is run again.
            if let Err(error) = &outcome.ending {
                assert!(matches!(error.reason, Reason::ConnectionLost | Reason::Unreachable), "{nth}: {error}");
                assert_eq!(database.apply("s", &way).await.ending, Ok(Ending::Done), "{major} {nth}");
            }
            assert_eq!(database.picture().await, end, "{major}: commit {nth}");
            assert_eq!(database.steps("s").await, steps, "{major}: commit {nth}");
        }
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_session_is_taken_up_by_a_new_one() {
    for major in end_majors() {
        let database = Database::create("terminated", major, &shop(3_000)).await;
        let (other, before) = (database.session().await, database.picture().await);
        let runtime = tokio::runtime::Handle::current();
        let hit = AtomicBool::new(false);
        let terminate = |progress: &Progress| {
            let midway = progress.step.as_deref() == Some("003-raise") && (1..3_000).contains(&progress.rows_done);
            if midway && !hit.swap(true, Ordering::SeqCst) {
                tokio::task::block_in_place(|| {
                    runtime.block_on(other.batch_execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE application_name = 'wesley/s' AND datname = current_database()",
                    ))
                })
                .unwrap();
            }
        };
        let outcome = database.apply_with("s", &swept(), &Options::default(), &terminate).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        assert!(hit.load(Ordering::SeqCst));
        let wrong: i64 = database.ask("SELECT count(*) FROM orders WHERE amount <> id + 1").await;
        assert_eq!(wrong, 0, "{major}");
        hit.store(false, Ordering::SeqCst);
        let outcome = wesley::run::rollback(&database.settings(), "s", &Options::default(), &terminate).await;
        assert_eq!(outcome.ending, Ok(Ending::RolledBack), "{major}");
        assert!(hit.load(Ordering::SeqCst));
        assert_eq!(database.picture().await, before, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_stops_and_resumes() {
    for major in end_majors() {
        let database = Database::create("interrupted", major, &shop(3_000)).await;
        let options = Options::default();
        let token = options.interrupt.clone();
        let stop = |progress: &Progress| {
            if progress.step.as_deref() == Some("003-raise") && progress.rows_done > 0 {
                token.cancel();
            }
        };
        let outcome = database.apply_with("s", &swept(), &options, &stop).await;
        let error = outcome.ending.unwrap_err();
        assert_eq!((error.reason, error.exit().code()), (Reason::Interrupted, 75));
        let outcome = database.apply("s", &swept()).await;
        assert_eq!((outcome.ending, outcome.resumed_at.as_deref()), (Ok(Ending::Done), Some("003-raise")));
        let wrong: i64 = database.ask("SELECT count(*) FROM orders WHERE amount <> id + 1").await;
        assert_eq!(wrong, 0, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_statement_is_cancelled_when_interrupted() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("cancelled", major, &shop(10)).await;
    let other = database.session().await;
    let way = plan("c", vec![step("001", Stage::Expand, long("SELECT pg_sleep(3600)")).locks(&[])]);
    let options = Options::default();
    let token = options.interrupt.clone();
    let watch = tokio::spawn(async move {
        wait_until(
            &other,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'
                            AND datname = current_database())",
        )
        .await;
        token.cancel();
        wait_until(
            &other,
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'
                            AND datname = current_database())",
        )
        .await;
    });
    let outcome = database.apply_with("c", &way, &options, &()).await;
    assert_eq!(outcome.ending.unwrap_err().reason, Reason::Interrupted);
    watch.await.unwrap();
    database.drop().await;
}

async fn wait_until(client: &tokio_postgres::Client, question: &str) {
    for _ in 0..6_000 {
        if client.query_one(question, &[]).await.unwrap().get(0) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never true: {question}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("busy", major, &shop(10)).await;
    let other = database.session().await;
    let way = plan("b", vec![step("001", Stage::Expand, long("SELECT pg_sleep(3600)"))]);
    let (settings, options) = (database.settings(), Options::default());
    let token = options.interrupt.clone();
    let request = Request::Start(Box::new(way.clone()));
    let first = tokio::spawn(async move { apply(&settings, "first", request, &options, &()).await });
    wait_until(
        &other,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'
                        AND datname = current_database())",
    )
    .await;
    let impatient = Options { busy_wait: std::time::Duration::ZERO, ..Options::default() };
    let error = database.apply_with("second", &way, &impatient, &()).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::DatabaseBusy, 20));
    assert!(error.message.contains("wesley/first"), "{}", error.message);
    token.cancel();
    assert_eq!(first.await.unwrap().ending.unwrap_err().reason, Reason::Interrupted);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_taken_over_writes_nothing() {
    for major in end_majors() {
        let database = Database::create("fenced", major, &shop(3_000)).await;
        let other = database.session().await;
        let runtime = tokio::runtime::Handle::current();
        let rows = AtomicBool::new(false);
        // As a successor does that holds the lock because the server has dropped this one's session.
        let take_over = |progress: &Progress| {
            if progress.step.as_deref() == Some("003-raise")
                && progress.rows_done > 0
                && progress.state == ProgressState::Running
                && !rows.swap(true, Ordering::SeqCst)
            {
                tokio::task::block_in_place(|| {
                    runtime.block_on(other.batch_execute("UPDATE wesley.runs SET epoch = epoch + 1"))
                })
                .unwrap();
            }
        };
        let options = Options {
            backfill: wesley::run::BackfillOptions { first: 100, most: 100, ..Default::default() },
            ..Options::default()
        };
        let error = database.apply_with("s", &swept(), &options, &take_over).await.ending.unwrap_err();
        assert_eq!((error.reason, error.exit().code()), (Reason::Fenced, 20), "{major}");
        let raised: i64 = database.ask("SELECT count(*) FROM orders WHERE amount = id + 1").await;
        assert_eq!(raised, 100, "{major}: only what was committed before the take-over");
        assert_eq!(database.apply("s", &swept()).await.ending, Ok(Ending::Done));
        let wrong: i64 = database.ask("SELECT count(*) FROM orders WHERE amount <> id + 1").await;
        assert_eq!(wrong, 0, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_another_database_is_refused() {
    let major = *end_majors().first().unwrap();
    let database = Database::create("copied", major, &shop(10)).await;
    let closed = Options { gates: wesley::run::Gates { validate: false, contract: false }, ..Options::default() };
    database.apply_with("s", &everything(), &closed, &()).await.ending.unwrap();
    // What a copy made by CREATE DATABASE ... TEMPLATE, or a restore on another cluster, looks like.
    database.client.batch_execute("UPDATE wesley.runs SET database_oid = database_oid + 1").await.unwrap();
    let picture = database.picture().await;
    for outcome in [database.apply("s", &everything()).await, database.rollback("s").await] {
        let error = outcome.ending.unwrap_err();
        assert_eq!((error.reason, error.exit().code()), (Reason::TargetChanged, 13));
    }
    assert_eq!(database.picture().await, picture);
    let mut elsewhere = everything();
    elsewhere.target.database_oid = 1;
    let error = database.apply("new", &elsewhere).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::TargetMismatch, 11));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_boundary_can_be_named() {
    use strum::IntoEnumIterator;
    let major = *end_majors().last().unwrap();
    let database = Database::create("named", major, "").await;
    let way = swept();
    for boundary in Boundary::iter() {
        reset(&database).await;
        // A repair needs an invalid index, a restore point a privilege, a vacuum a large table, and only a run that
        // was cut off is taken over. The others are met on the way there or back.
        if matches!(boundary, Boundary::AfterRepair | Boundary::RestorePoint | Boundary::Vacuumed | Boundary::TakenOver)
        {
            continue;
        }
        let forward = in_a_process(&database, "s", &way, Task::Apply, &boundary.to_string());
        let back = forward && in_a_process(&database, "s", &way, Task::Rollback, &boundary.to_string());
        assert!(!forward || !back, "{boundary} is never met");
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_inside_a_waiting_statement_gives_the_database_free() {
    for major in end_majors() {
        let database = Database::create("orphan", major, &shop(100)).await;
        let (holder, other) = (database.session().await, database.session().await);
        holder.batch_execute("BEGIN; UPDATE customers SET name = name").await.unwrap();
        let definition = "CREATE INDEX customers_name ON public.customers USING btree (name)";
        let build =
            step("001", Stage::Validate, concurrent("CREATE INDEX CONCURRENTLY customers_name ON customers (name)"))
                .locks(&[("public.customers", wesley::plan::LockMode::ShareUpdateExclusive)])
                .proven(valid("customers", "customers_name", definition));
        let way = plan("o", vec![build]);
        let mut child = run_support::spawn(&database, "o", &way, Task::Apply);
        wait_until(
            &other,
            "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index
                            WHERE datname = current_database() AND phase LIKE 'waiting%')",
        )
        .await;
        child.kill().unwrap();
        child.wait().unwrap();
        // The holder is still there: only the server's own look at the dead connection can end the orphan.
        let settings = database.settings();
        let request = Request::Start(Box::new(way));
        let run = tokio::spawn(async move { apply(&settings, "o", request, &Options::default(), &()).await });
        wait_until(
            &other,
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted)
                            AND NOT EXISTS (SELECT FROM pg_index WHERE indisready AND NOT indisvalid)",
        )
        .await;
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(run.await.unwrap().ending, Ok(Ending::Done), "{major}");
        let valid: bool =
            database.ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'customers_name'::regclass").await;
        assert!(valid, "{major}");
        database.drop().await;
    }
}
