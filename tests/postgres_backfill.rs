//! Backfills: keys of every kind, tables without one, bad rows, contention.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use run_support::plans::*;
use run_support::{Database, Recorder, end_majors};
use wesley::plan::{Action, Plan, Stage};
use wesley::run::{BackfillOptions, Ending, Options, ProgressState, Reason};

fn fill(action: Action) -> Plan {
    plan("f", vec![step("001-fill", Stage::Backfill, action)])
}

/// Small batches, so that there are many.
fn small() -> Options {
    Options { backfill: BackfillOptions { first: 7, least: 7, most: 7, ..Default::default() }, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_once_whatever_the_key() {
    for major in end_majors() {
        for (number, (columns, row, key)) in [
            ("k bigint PRIMARY KEY", "g * 3 - 200", &["k"][..]),
            ("k text COLLATE \"C\" PRIMARY KEY", "chr(33 + g % 90) || g", &["k"]),
            ("k uuid PRIMARY KEY", "md5(g::text)::uuid", &["k"]),
            ("k timestamptz PRIMARY KEY", "'2020-01-01'::timestamptz + g * interval '1.000001 s'", &["k"]),
            ("k numeric PRIMARY KEY", "g / 7.0", &["k"]),
            ("k float8 PRIMARY KEY", "g / 7.0", &["k"]),
            ("k char(8) PRIMARY KEY", "g::text", &["k"]),
            ("k date, \"K 2\" integer, PRIMARY KEY (k, \"K 2\")", "'2020-01-01'::date + g % 5, g", &["k", "K 2"]),
            ("k boolean, l text, m smallint, PRIMARY KEY (k, l, m)", "g % 2 = 0, (g % 7)::text, g", &["k", "l", "m"]),
            ("k integer", "g", &[]),
        ]
        .into_iter()
        .enumerate()
        {
            let setup = format!(
                "CREATE TABLE t ({columns}, n integer NOT NULL DEFAULT 0, done integer);
                 INSERT INTO t SELECT {row}, 0 FROM generate_series(1, 500) g"
            );
            let database = Database::create("keys", major, &setup).await;
            let counted = fill(backfill("t", key, ("n", "n + 1"), None));
            assert_eq!(database.apply_with("a", &counted, &small(), &()).await.ending, Ok(Ending::Done), "{columns}");
            let right: bool = database.ask("SELECT bool_and(n = 1) AND count(*) = 500 FROM t").await;
            assert!(right, "{major} {columns}");

            let filtered = fill(backfill("t", key, ("done", "n"), Some("done IS NULL -- not yet")));
            let outcome = database.apply_with("b", &filtered, &small(), &()).await;
            assert_eq!((outcome.ending, outcome.rows_done), (Ok(Ending::Done), 500), "{major} {columns}");
            let batches: i64 = database.ask("SELECT batches FROM wesley.cursors WHERE run = 'b'").await;
            assert!(batches > 1, "{number}: {batches} batches");
            let right: bool = database.ask("SELECT bool_and(done = 1) FROM t").await;
            assert!(right, "{major} {columns}");
            database.drop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_is_done() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("empty", major, "CREATE TABLE t (k integer PRIMARY KEY, n integer)").await;
    for (name, key, filter) in [("a", &["k"][..], None), ("b", &[], None), ("c", &[], Some("n IS NULL"))] {
        let outcome = database.apply(name, &fill(backfill("t", key, ("n", "1"), filter))).await;
        assert_eq!((outcome.ending, outcome.rows_done), (Ok(Ending::Done), 0));
    }
    database.drop().await;
}

const MIXED: &str = "CREATE TABLE t (k integer PRIMARY KEY, v text, n integer);
    INSERT INTO t SELECT g, g::text FROM generate_series(1, 2000) g;
    UPDATE t SET v = 'canary' WHERE k IN (1234, 1700)";

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_found_and_named_without_its_values() {
    for major in end_majors() {
        // In shares of blocks, in shares of keys, without a key, and where the filter is what fails.
        let (filter, fails) = (Some("n IS NULL"), Some("n IS DISTINCT FROM v::integer"));
        for (key, filter) in [(&["k"][..], filter), (&["k"], None), (&[], filter), (&["k"], fails), (&[], fails)] {
            let database = Database::create("poison", major, MIXED).await;
            let way = fill(backfill("t", key, ("n", "v::integer"), filter));
            for _ in [1234, 1700] {
                let error = database.apply("p", &way).await.ending.unwrap_err();
                assert_eq!((error.reason, error.exit().code()), (Reason::PoisonRow, 14), "{}", error.message);
                assert_eq!(error.sqlstate.as_deref(), Some("22P02"));
                // Which of the two comes first is a matter of shares.
                let place = error.message.split("ctid ").nth(1).and_then(|rest| rest.split_inclusive(')').next());
                let named = format!("SELECT k FROM t WHERE v = 'canary' AND ctid = '{}'", place.unwrap_or("(0,0)"));
                let bad: i32 = database.ask(&named).await;
                assert!(!error.message.contains("canary") && !error.message.contains(&bad.to_string()));
                assert_eq!(error.message.contains("key: k"), !key.is_empty(), "{}", error.message);
                database.client.batch_execute(&format!("UPDATE t SET v = '0' WHERE k = {bad}")).await.unwrap();
            }
            let outcome = database.apply("p", &way).await;
            assert_eq!((outcome.ending, outcome.rows_done), (Ok(Ending::Done), 2_000), "{major}");
            let left: i64 = database.ask("SELECT count(*) FROM t WHERE n IS DISTINCT FROM v::integer").await;
            assert_eq!(left, 0);
            database.drop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_is_waited_for() {
    for major in end_majors() {
        let setup = "CREATE TABLE t (k integer PRIMARY KEY, n integer);
            INSERT INTO t SELECT g FROM generate_series(1, 2000) g";
        let database = Database::create("locked_row", major, setup).await;
        let holder = database.session().await;
        holder
            .batch_execute("SET application_name = 'shop'; BEGIN; SELECT FROM t WHERE k = 1500 FOR UPDATE")
            .await
            .unwrap();
        let runtime = tokio::runtime::Handle::current();
        let recorder = Recorder::default();
        let copy = recorder.clone();
        let release = move |progress: &wesley::run::Progress| {
            use wesley::run::Observer;
            copy.progress(progress);
            if progress.state == ProgressState::Waiting {
                tokio::task::block_in_place(|| runtime.block_on(holder.batch_execute("COMMIT"))).unwrap();
            }
        };
        let way = fill(backfill("t", &["k"], ("n", "k"), None));
        let outcome = database.apply_with("l", &way, &Options::default(), &release).await;
        assert_eq!((outcome.ending, outcome.rows_done), (Ok(Ending::Done), 2_000), "{major}");
        assert!(recorder.all().iter().any(|progress| progress.state == ProgressState::Waiting));
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_move_between_blocks_are_not_missed() {
    for major in end_majors() {
        // Few rows in a block, and free space in front: an update moves a row there.
        let setup = "CREATE TABLE t (k integer, v text, n integer) WITH (autovacuum_enabled = off);
            INSERT INTO t SELECT g, repeat('x', 900) FROM generate_series(1, 400) g;
            DELETE FROM t WHERE k <= 100";
        let database = Database::create("moving", major, setup).await;
        database.client.batch_execute("VACUUM t").await.unwrap();
        let other = database.session().await;
        let runtime = tokio::runtime::Handle::current();
        let moved = std::sync::atomic::AtomicBool::new(false);
        let mover = move |progress: &wesley::run::Progress| {
            let midway = progress.rows_done > 50 && progress.state == ProgressState::Running;
            if midway && !moved.swap(true, std::sync::atomic::Ordering::SeqCst) {
                tokio::task::block_in_place(|| {
                    runtime.block_on(other.batch_execute("UPDATE t SET v = repeat('y', 950) WHERE k > 380"))
                })
                .unwrap();
            }
        };
        let way = fill(backfill("t", &[], ("n", "k"), Some("n IS NULL")));
        let outcome = database.apply_with("m", &way, &small(), &mover).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        let left: i64 = database.ask("SELECT count(*) FROM t WHERE n IS NULL").await;
        assert_eq!(left, 0, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_rewritten_or_replaced_in_between_is_noticed() {
    let major = *end_majors().last().unwrap();
    let setup = "CREATE TABLE t (k integer, n integer); INSERT INTO t SELECT g FROM generate_series(1, 5000) g;
        DELETE FROM t WHERE k % 2 = 0";
    for (statement, expected) in [
        ("VACUUM FULL t", Ok(Ending::Done)),
        (
            "CREATE TABLE u (LIKE t); INSERT INTO u SELECT * FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t",
            Err(Reason::ObjectDiffers),
        ),
    ] {
        let database = Database::create("rewritten", major, setup).await;
        let options = Options {
            backfill: BackfillOptions { first: 100, least: 100, most: 100, ..Default::default() },
            ..Options::default()
        };
        let token = options.interrupt.clone();
        let stop = move |progress: &wesley::run::Progress| {
            if progress.rows_done > 500 {
                token.cancel();
            }
        };
        let way = fill(backfill("t", &[], ("n", "k"), Some("n IS NULL")));
        let error = database.apply_with("r", &way, &options, &stop).await.ending.unwrap_err();
        assert_eq!(error.reason, Reason::Interrupted);
        database.client.batch_execute(statement).await.unwrap();
        let outcome = database.apply("r", &way).await;
        assert_eq!(outcome.ending.map_err(|error| error.reason), expected, "{statement}");
        if expected.is_ok() {
            let left: i64 = database.ask("SELECT count(*) FROM t WHERE n IS NULL").await;
            assert_eq!(left, 0);
        }
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_row_security_does_not_hide_rows() {
    let major = *end_majors().last().unwrap();
    let setup = "CREATE TABLE t (k integer PRIMARY KEY, n integer); INSERT INTO t SELECT generate_series(1, 10);
        ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY";
    let database = Database::create("row_security", major, setup).await;
    for (name, key, filter) in [("a", &["k"][..], None), ("b", &[], None), ("c", &[], Some("n IS NULL"))] {
        let error = database.apply(name, &fill(backfill("t", key, ("n", "k"), filter))).await.ending.unwrap_err();
        assert_eq!(error.sqlstate.as_deref(), Some("42501"), "{}", error.message);
    }
    database.drop().await;
}
