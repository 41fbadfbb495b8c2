//! Servers that crash, restart, stay away, are standbys or full.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use run_support::end_majors;
use run_support::plans::*;
use run_support::server::Server;
use tokio_postgres::error::SqlState;
use wesley::plan::{Plan, Stage};
use wesley::run::connect::Settings;
use wesley::run::{BackfillOptions, Ending, Observer, Options, Progress, Reason, Request, RunOutcome, apply, rollback};

/// The crash loses what was committed last: then ledger and data have lost it together.
const LOSSY: &str = "synchronous_commit = off";

fn raise() -> Plan {
    let mut all = everything();
    all.steps
        .insert(3, step("003-raise", Stage::Backfill, backfill("orders", &["id"], ("amount", "amount + 1"), None)));
    plan("raise", all.steps)
}

fn small() -> Options {
    Options {
        backfill: BackfillOptions { first: 200, least: 200, most: 200, ..Default::default() },
        ..Options::default()
    }
}

async fn run(server: &str, options: &Options, observer: &dyn Observer) -> RunOutcome {
    let settings = Settings::from_url(server).unwrap();
    apply(&settings, "f", Request::Start(Box::new(raise())), options, observer).await
}

async fn wrong_rows(server: &Server) -> i64 {
    let client = server.owner().await;
    let sql = "SELECT count(*) FROM orders WHERE amount <> id + 1 OR total IS DISTINCT FROM id * 2";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_again_and_again_is_waited_for() {
    for major in end_majors() {
        let server = Server::start(major, LOSSY).await;
        server.shop(&shop(3_000)).await;
        let url = server.url("owner", "shop");
        let server = Mutex::new(server);
        let events = AtomicU32::new(0);
        let crash = |_: &Progress| {
            if events.fetch_add(1, Ordering::SeqCst) % 7 == 3 {
                let mut server = server.lock().unwrap();
                server.stop("QUIT");
                server.launch();
            }
        };
        let outcome = run(&url, &small(), &crash).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        assert!(events.load(Ordering::SeqCst) > 20, "{major}");
        assert_eq!(wrong_rows(&server.into_inner().unwrap()).await, 0, "{major}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_interrupts_the_run() {
    let major = *end_majors().last().unwrap();
    let server = Server::start(major, "").await;
    server.shop(&shop(3_000)).await;
    let url = server.url("owner", "shop");
    let server = Mutex::new(server);
    let stop = |progress: &Progress| {
        if progress.step.as_deref() == Some("003-raise") && progress.rows_done > 1_000 {
            server.lock().unwrap().stop("INT");
        }
    };
    let options = Options { reconnect_budget: Duration::from_millis(500), ..small() };
    let error = run(&url, &options, &stop).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::ConnectionLost, 75));
    let mut server = server.into_inner().unwrap();
    let error = run(&url, &options, &()).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::Unreachable, 75));
    server.launch();
    server.admin("shop").await;
    let outcome = run(&url, &small(), &()).await;
    assert_eq!((outcome.ending, outcome.resumed_at.as_deref()), (Ok(Ending::Done), Some("003-raise")));
    assert_eq!(wrong_rows(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_until_it_is_promoted() {
    for major in end_majors() {
        let mut server = Server::start(major, "restore_command = 'false'").await;
        server.shop(&shop(100)).await;
        server.stop("INT");
        std::fs::write(server.data().join("standby.signal"), "").unwrap();
        server.launch();
        let admin = server.admin("shop").await;
        let url = server.url("owner", "shop");
        let error = run(&url, &small(), &()).await.ending.unwrap_err();
        assert_eq!((error.reason, error.exit().code()), (Reason::ReadOnly, 11), "{major}");
        admin.batch_execute("SELECT pg_promote()").await.unwrap();
        assert_eq!(run(&url, &small(), &()).await.ending, Ok(Ending::Done), "{major}");
        assert_eq!(wrong_rows(&server).await, 0, "{major}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_is_tried_again_later() {
    let major = *end_majors().last().unwrap();
    let settings = "max_connections = 6\nsuperuser_reserved_connections = 1\nmax_wal_senders = 0";
    let server = Server::start(major, settings).await;
    let first = server.shop(&shop(100)).await;
    let (mut held, admin) = (vec![first], server.admin("shop").await);
    let url = server.url("owner", "shop");
    while let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
        tokio::spawn(connection);
        held.push(client);
    }
    let error = run(&url, &small(), &()).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::TooManyConnections, 75));
    // One is enough: what watches on a second connection is done without.
    let last = held.pop().unwrap();
    last.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await.unwrap_err();
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'owner'";
    while admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0) > held.len() as i64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(run(&url, &small(), &()).await.ending, Ok(Ending::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_promoted_in_the_place_of_the_primary_is_gone_on_with() {
    for major in end_majors() {
        let mut primary = Server::start(major, "").await;
        primary.shop(&shop(3_000)).await;
        let standby = primary.standby().await;
        let url = format!(
            "postgres://owner@127.0.0.1:{},127.0.0.1:{}/shop?target_session_attrs=read-write",
            primary.port, standby.port
        );
        let admin = standby.admin("shop").await;
        let (primary, runtime) = (Mutex::new(primary), tokio::runtime::Handle::current());
        let fail_over = |progress: &Progress| {
            let midway = progress.step.as_deref() == Some("003-raise") && progress.rows_done > 1_000;
            let mut primary = primary.lock().unwrap();
            if midway && primary.is_running() {
                primary.stop("QUIT");
                let promote = async {
                    // What is replayed meanwhile may cancel it.
                    while let Err(error) = admin.batch_execute("SELECT pg_promote()").await {
                        assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE), "{error}");
                    }
                };
                tokio::task::block_in_place(|| runtime.block_on(promote));
            }
        };
        let outcome = run(&url, &small(), &fail_over).await;
        // The standby may lack what was committed last: that is said, and what is there is gone on with.
        if let Err(error) = &outcome.ending {
            assert_eq!((error.reason, error.exit().code()), (Reason::CommitsLost, 75), "{major}: {error}");
            assert_eq!(run(&url, &small(), &()).await.ending, Ok(Ending::Done), "{major}");
        }
        assert!(!primary.lock().unwrap().is_running(), "{major}: there was no failover");
        assert_eq!(wrong_rows(&standby).await, 0, "{major}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_database_is_refused_and_not_touched() {
    let major = *end_majors().last().unwrap();
    let server = Server::start(major, "").await;
    server.shop(&shop(100)).await;
    let closed = Options { gates: wesley::run::Gates { validate: false, contract: false }, ..small() };
    run(&server.url("owner", "shop"), &closed, &()).await.ending.unwrap();
    let admin = server.admin("postgres").await;
    admin.batch_execute("CREATE DATABASE copy TEMPLATE shop OWNER owner").await.unwrap();
    let inside = server.admin("copy").await;
    let rows = "SELECT (SELECT count(*) FROM wesley.steps WHERE state = 'done') || ' ' || (SELECT sum(epoch) FROM wesley.runs)";
    let before: String = inside.query_one(rows, &[]).await.unwrap().get(0);
    let url = server.url("owner", "copy");
    let settings = Settings::from_url(&url).unwrap();
    for ending in [run(&url, &small(), &()).await.ending, rollback(&settings, "f", &small(), &()).await.ending] {
        let error = ending.unwrap_err();
        assert_eq!((error.reason, error.exit().code()), (Reason::TargetChanged, 13));
    }
    let after: String = inside.query_one(rows, &[]).await.unwrap().get(0);
    assert_eq!(after, before);
}

/// The program as users start it, against a server of its own.
mod program {
    use super::*;
    use crate::run_support::Database;
    use crate::run_support::binary::{Ended, Program};
    use crate::run_support::patterns::{PARTITIONED, Pattern, SHOP};

    fn form(name: &str) -> Pattern {
        *crate::run_support::patterns::ALL.iter().find(|pattern| pattern.name == name).unwrap()
    }

    async fn until(client: &tokio_postgres::Client, question: &str) {
        for _ in 0..3_000 {
            if client.query_one(question, &[]).await.unwrap().get(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never true: {question}");
    }

    fn signal(child: &std::process::Child, name: &str) {
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Watching who holds the table, from outside of the queue.
    const WAITS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'wesley/%'
        AND datname = current_database() AND query LIKE '%l.virtualtransaction%')";

    #[tokio::test(flavor = "multi_thread")]
    async fn a_runner_that_was_away_and_wakes_up_writes_nothing() {
        for major in end_majors() {
            let database = Database::create("asleep", major, SHOP).await;
            let (holder, other) = (database.session().await, database.session().await);
            holder.batch_execute("BEGIN; SELECT FROM orders").await.unwrap();
            let program = Program::new(&database.url(), "asleep", form("rows_of_a_new_column").change);
            let first = program.start("apply");
            until(&other, WAITS).await;
            signal(&first, "STOP");
            // As a server does that has lost sight of the first one's node.
            other
                .batch_execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE application_name = 'wesley/asleep' AND datname = current_database()",
                )
                .await
                .unwrap();
            holder.batch_execute("COMMIT").await.unwrap();
            let second = program.run("apply", None);
            assert_eq!(second.code, Some(0), "{major}: {}", second.stderr);
            let ledger: String = database.ask("SELECT max(epoch) || ' ' || max(updated_at) FROM wesley.runs").await;
            signal(&first, "CONT");
            let first = Ended::from(first.wait_with_output().unwrap());
            assert_eq!(first.code, Some(20), "{major}: {}", first.stderr);
            assert_eq!(first.last()["result"], "Fenced", "{major}: {}", first.last());
            let after: String = database.ask("SELECT max(epoch) || ' ' || max(updated_at) FROM wesley.runs").await;
            assert_eq!(after, ledger, "{major}");
            assert!(database.ask::<bool>(form("rows_of_a_new_column").holds).await, "{major}");
            database.drop().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_started_at_once_one_is_told_to_come_again() {
        let major = *end_majors().last().unwrap();
        let database = Database::create("two", major, SHOP).await;
        let (holder, other) = (database.session().await, database.session().await);
        holder.batch_execute("BEGIN; SELECT FROM orders").await.unwrap();
        let program = Program::new(&database.url(), "two", form("column_instant").change);
        let first = program.start("apply");
        until(&other, WAITS).await;
        let second = program.run("apply", None);
        assert_eq!(second.code, Some(20), "{}", second.stderr);
        assert_eq!((second.last()["result"].as_str(), second.breach().as_str()), (Some("DatabaseBusy"), ""));
        holder.batch_execute("COMMIT").await.unwrap();
        let first = Ended::from(first.wait_with_output().unwrap());
        assert_eq!(first.code, Some(0), "{}", first.stderr);
        assert!(database.ask::<bool>(form("column_instant").holds).await);
        database.drop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_somebody_changed_by_hand_in_the_middle_is_named_and_can_be_corrected() {
        for major in end_majors() {
            let form = form("rows_of_a_new_column");
            let database = Database::create("by_hand", major, SHOP).await;
            let program = Program::new(&database.url(), "by_hand", form.change);
            assert_eq!(program.run("apply", Some("cursor-opened")).code, None);
            database.client.batch_execute("ALTER TABLE orders DROP COLUMN x").await.unwrap();
            let stopped = program.run("apply", None);
            assert_eq!(stopped.code, Some(13), "{major}: {}", stopped.stderr);
            assert_eq!(stopped.last()["result"], "ObjectDiffers");
            assert!(stopped.stderr.contains("\"x\"") && stopped.stderr.contains("run it again"), "{}", stopped.stderr);
            database.client.batch_execute("ALTER TABLE orders ADD COLUMN x int").await.unwrap();
            let done = program.run("apply", None);
            assert_eq!(done.code, Some(0), "{major}: {}", done.stderr);
            assert!(database.ask::<bool>(form.holds).await, "{major}");
            database.drop().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_switch_is_refused_when_the_trigger_that_fills_the_new_column_was_off() {
        for major in end_majors() {
            for (name, setup) in [("type_plain", SHOP), ("type_partitioned", PARTITIONED)] {
                let form = form(name);
                let database = Database::create("trigger_off", major, setup).await;
                let program = Program::new(&database.url(), "trigger_off", form.change);
                assert_eq!(program.run("apply", Some("check-answered")).code, None);
                let bulk_load = "ALTER TABLE orders DISABLE TRIGGER USER; ALTER TABLE orders ENABLE TRIGGER USER";
                database.client.batch_execute(bulk_load).await.unwrap();
                let stopped = program.run("apply", None);
                assert_eq!(stopped.code, Some(14), "{name} {major}: {}", stopped.stderr);
                assert_eq!(stopped.last()["result"], "CheckFailed");
                assert!(stopped.stderr.contains("has switched the trigger"), "{}", stopped.stderr);
                assert_eq!(program.run("rollback", None).code, Some(0), "{name} {major}");
                let done = program.run("apply", None);
                assert_eq!(done.code, Some(0), "{name} {major}: {}", done.stderr);
                assert!(database.ask::<bool>(form.holds).await, "{name} {major}");
                database.drop().await;
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_statement_that_somebody_cancels_is_tried_again() {
        for major in end_majors() {
            let database = Database::create("cancel_one", major, SHOP).await;
            let (holder, other) = (database.session().await, database.session().await);
            holder.batch_execute("BEGIN; UPDATE orders SET note = 'x' WHERE id = 7").await.unwrap();
            let form = form("index");
            let program = Program::new(&database.url(), "cancel", form.change);
            let child = program.start("apply");
            // Index builds wait for the holder; the first one is cancelled.
            until(
                &other,
                "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE datname = current_database()
                                          AND phase LIKE 'waiting%')",
            )
            .await;
            let cancel = "SELECT count(*) > 0 FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index
                                                    WHERE datname = current_database()) c";
            assert!(other.query_one(cancel, &[]).await.unwrap().get::<_, bool>(0));
            holder.batch_execute("COMMIT").await.unwrap();
            let ended = Ended::from(child.wait_with_output().unwrap());
            assert_eq!(ended.code, Some(0), "{major}: {}", ended.stderr);
            assert!(database.ask::<bool>(form.holds).await, "{major}");
            database.drop().await;
        }
    }
}
