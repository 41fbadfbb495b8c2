//! Servers that crash, restart, stay away, are standbys or full.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use run_support::end_majors;
use run_support::plans::*;
use run_support::server::Server;
use wesley::plan::{Plan, Stage};
use wesley::run::connect::Settings;
use wesley::run::{BackfillOptions, Ending, Observer, Options, Progress, Reason, Request, RunOutcome, apply};

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
