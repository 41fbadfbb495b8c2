//! Why a backfill waits: each sign holds it with its reason, and it goes on when the sign is gone. Vacuum in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use run_support::plans::*;
use run_support::server::Server;
use run_support::{Database, end_majors};
use tokio_util::sync::CancellationToken;
use wesley::api::backfill::PrometheusHold;
use wesley::plan::{Plan, Stage};
use wesley::run::connect::Settings;
use wesley::run::{Ending, Holds, Options, Progress, ProgressState, Reason, Request, apply};

fn fill() -> Plan {
    plan("f", vec![step("001-fill", Stage::Backfill, backfill("t", &["k"], ("n", "k"), None))])
}

const TABLE: &str = "CREATE TABLE t (k integer PRIMARY KEY, n integer);
    INSERT INTO t SELECT g FROM generate_series(1, 5000) g";

/// Runs something on another session when the backfill is held for a reason that `says` this.
struct Release<'a> {
    says: &'a str,
    sql: &'a str,
    client: tokio_postgres::Client,
    runtime: tokio::runtime::Handle,
    held: AtomicUsize,
    done: AtomicBool,
}

impl<'a> Release<'a> {
    fn new(says: &'a str, sql: &'a str, client: tokio_postgres::Client) -> Self {
        let runtime = tokio::runtime::Handle::current();
        Self { says, sql, client, runtime, held: AtomicUsize::new(0), done: AtomicBool::new(false) }
    }
}

impl wesley::run::Observer for Release<'_> {
    fn progress(&self, progress: &Progress) {
        let detail = progress.detail.as_deref().unwrap_or_default();
        if progress.state != ProgressState::Waiting || !detail.contains(self.says) {
            return;
        }
        assert!(detail.starts_with("held for "), "{detail}");
        // Held more than once, so that holding on is what is tested.
        if self.held.fetch_add(1, Ordering::SeqCst) == 1 && !self.done.swap(true, Ordering::SeqCst) {
            tokio::task::block_in_place(|| self.runtime.block_on(self.client.batch_execute(self.sql))).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_ones_own_holds_it() {
    for major in end_majors() {
        let setup = format!("{TABLE}; CREATE TABLE busy (since timestamptz); INSERT INTO busy VALUES (now())");
        let database = Database::create("hold_query", major, &setup).await;
        let release = Release::new("the given query says so", "DELETE FROM busy", database.session().await);
        let query = Some("SELECT EXISTS (SELECT FROM busy)".to_owned());
        let options = Options { holds: Holds { query, ..Holds::default() }, ..Options::default() };
        assert_eq!(database.apply_with("h", &fill(), &options, &release).await.ending, Ok(Ending::Done), "{major}");
        assert!(release.done.into_inner(), "{major}: not held");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_does_more_than_ask_is_refused() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("hold_acts", major, TABLE).await;
    let query = Some("SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity WHERE pid < 0".to_owned());
    let options = Options { holds: Holds { query, ..Holds::default() }, ..Options::default() };
    let error = database.apply_with("h", &fill(), &options, &|_: &Progress| ()).await.ending.unwrap_err();
    assert_eq!(error.reason, Reason::StatementUnsupported);
    assert!(error.message.contains("spec.backfill.holds.query") && error.message.contains("beyond this database"));
    database.drop().await;
}

/// A service that is busy, and a Prometheus that gives a series, until they are told that all is well.
async fn service(busy: Arc<AtomicBool>) -> String {
    use axum::http::StatusCode;
    use axum::routing::get;
    let gate = busy.clone();
    let answers = move || async move {
        if gate.load(Ordering::SeqCst) { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::NO_CONTENT }
    };
    let expression = move |query: axum::extract::RawQuery| async move {
        assert_eq!(query.0.as_deref(), Some("query=lag%7Bdb%3D%22a%22%7D+%3E+1"));
        let series = if busy.load(Ordering::SeqCst) { r#"{"metric":{},"value":[1,"2"]}"# } else { "" };
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
    };
    let routes = axum::Router::new().route("/gate", get(answers)).route("/api/v1/query", get(expression));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_an_expression_of_ones_own_hold_it() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("hold_outside", major, TABLE).await;
    let busy = Arc::new(AtomicBool::new(true));
    let url = service(busy.clone()).await;
    let gate = Holds { http: Some(format!("{url}/gate")), ..Holds::default() };
    let query = r#"lag{db="a"} > 1"#.to_owned();
    let metric = Holds { prometheus: Some(PrometheusHold { url, query }), ..Holds::default() };
    for (run, holds, says) in [
        ("gate", gate, "the given address answers with status 429"),
        ("metric", metric, "the expression for Prometheus gives something"),
    ] {
        busy.store(true, Ordering::SeqCst);
        let release = |progress: &Progress| {
            if progress
                .detail
                .as_deref()
                .is_some_and(|detail| detail.starts_with("held for ") && detail.ends_with(says))
            {
                busy.store(false, Ordering::SeqCst);
            }
        };
        let options = Options { holds: Holds { every: Duration::from_millis(20), ..holds }, ..Options::default() };
        assert_eq!(database.apply_with(run, &fill(), &options, &release).await.ending, Ok(Ending::Done), "{run}");
        assert!(!busy.load(Ordering::SeqCst), "{run}: not held");
        database.client.batch_execute("UPDATE t SET n = NULL").await.unwrap();
    }
    // Nobody answers there.
    let holds = Holds { http: Some("http://127.0.0.1:1/".to_owned()), ..Holds::default() };
    let interrupt = CancellationToken::new();
    let options = Options { holds, interrupt: interrupt.clone(), ..Options::default() };
    let release = |progress: &Progress| {
        if progress.detail.as_deref().is_some_and(|detail| detail.ends_with("the given address does not answer")) {
            interrupt.cancel();
        }
    };
    let ending = database.apply_with("silent", &fill(), &options, &release).await.ending;
    assert_eq!(ending.unwrap_err().reason, Reason::Interrupted);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_transaction_holds_it_where_it_may_be_seen() {
    for major in end_majors() {
        let database = Database::create("hold_transaction", major, TABLE).await;
        let old = database.session().await;
        old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_catalog.txid_current()").await.unwrap();
        let release = Release::new("a transaction has been open for", "COMMIT", old);
        let every = Duration::from_millis(20);
        let holds = Holds { transaction_seconds: Some(0.001), every, ..Holds::default() };
        let options = Options { holds, ..Options::default() };
        assert_eq!(database.apply_with("h", &fill(), &options, &release).await.ending, Ok(Ending::Done), "{major}");
        assert!(release.done.into_inner(), "{major}: not held");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_change_while_it_runs() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("hold_tuning", major, TABLE).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backfill.json");
    std::fs::write(&file, r#"{"rowsPerSecondMax": 2000, "holds": {"walBytesPerSecond": 1}}"#).unwrap();
    let every = Duration::from_millis(20);
    let holds = Holds { every, ..Holds::default() };
    let options = Options { holds, tuning: Some(file.clone()), ..Options::default() };
    let released = AtomicBool::new(false);
    let release = |progress: &Progress| {
        if progress.detail.as_deref().is_some_and(|detail| detail.contains("of WAL a second")) {
            std::fs::write(&file, r#"{"rowsPerSecondMax": 2000}"#).unwrap();
            released.store(true, Ordering::SeqCst);
        }
    };
    assert_eq!(database.apply_with("h", &fill(), &options, &release).await.ending, Ok(Ending::Done));
    assert!(released.into_inner(), "not held");
    let batches: i64 = database.ask("SELECT batches FROM wesley.cursors WHERE run = 'h'").await;
    assert!(batches >= 3, "{batches} batches of 5000 rows, 2000 a second");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_stays_behind_holds_it_until_it_has_caught_up() {
    for major in end_majors() {
        let mut primary = Server::start(major, "").await;
        primary.shop("CREATE TABLE t (k integer PRIMARY KEY, n integer); INSERT INTO t SELECT g FROM generate_series(1, 60000) g").await;
        // What an ordinary role may not see holds nothing: it is given the right to see.
        primary.admin("shop").await.batch_execute("GRANT pg_monitor TO owner").await.unwrap();
        let standby = primary.standby().await;
        let paused = standby.admin("shop").await;
        paused.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
        let release = Release::new("a standby is", "SELECT pg_wal_replay_resume()", paused);
        let every = Duration::from_millis(20);
        let holds = Holds { standby_bytes: Some(1 << 20), standby_seconds: None, every, ..Holds::default() };
        let options = Options { holds, ..Options::default() };
        let settings = Settings::from_url(&primary.url("owner", "shop")).unwrap();
        let outcome = apply(&settings, "h", Request::Start(Box::new(fill())), &options, &release).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        assert!(release.done.into_inner(), "{major}: not held");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_vacuumed_in_between_so_that_it_does_not_double() {
    let major = *end_majors().last().unwrap();
    let setup = "CREATE TABLE t (k integer PRIMARY KEY, n integer, filler text) WITH (autovacuum_enabled = off);
        INSERT INTO t SELECT g, 0, repeat('x', 200) FROM generate_series(1, 300000) g; CREATE INDEX t_n ON t (n)";
    let database = Database::create("hold_vacuum", major, setup).await;
    database.client.batch_execute("VACUUM ANALYZE t").await.unwrap();
    let before: i64 = database.ask("SELECT pg_relation_size('t')").await;
    // An index has the column: every new version goes to another page.
    let every = Duration::from_millis(100);
    let holds = Holds { dead_ratio: Some(0.25), every, ..Holds::default() };
    let options = Options { holds, ..Options::default() };
    assert_eq!(database.apply_with("v", &fill(), &options, &()).await.ending, Ok(Ending::Done));
    let (after, vacuums): (i64, i64) = (
        database.ask("SELECT pg_relation_size('t')").await,
        database.ask("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 't'").await,
    );
    assert!(vacuums > 1, "{vacuums} vacuums, one of them before; {before} bytes have become {after}");
    assert!(after * 10 < before * 18, "{before} bytes have become {after}");
    let right: bool = database.ask("SELECT bool_and(n = k) FROM t").await;
    assert!(right);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_backfill_can_be_interrupted_and_resumed() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("hold_stop", major, TABLE).await;
    let holds = Holds { query: Some("SELECT true".into()), ..Holds::default() };
    let options = Options { holds, ..Options::default() };
    let token = options.interrupt.clone();
    let stop = |progress: &Progress| {
        if progress.detail.as_deref().is_some_and(|detail| detail.starts_with("held for")) {
            token.cancel();
        }
    };
    let error = database.apply_with("h", &fill(), &options, &stop).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::Interrupted, 75));
    assert_eq!(database.apply("h", &fill()).await.ending, Ok(Ending::Done));
    database.drop().await;
}
