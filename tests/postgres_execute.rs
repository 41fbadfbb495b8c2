//! The executor on real servers: every kind of action, names, gates, rollback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use run_support::plans::*;
use run_support::{Database, Recorder, majors};
use wesley::plan::{RollbackClass, Stage};
use wesley::run::{Ending, Gates, Options, Progress, ProgressState, Reason, RunState, status};

#[tokio::test(flavor = "multi_thread")]
async fn executes_every_kind_of_action_and_undoes_it() {
    for major in majors() {
        let database = Database::create("every_kind", major, &shop(3_000)).await;
        let before = database.picture().await;
        let recorder = Recorder::default();
        let outcome = database.apply_with("all", &everything(), &Options::default(), &recorder).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        assert_eq!((outcome.steps_done, outcome.steps_total, outcome.rows_done), (7, 7, 3_000));
        let wrong: i64 = database.ask("SELECT count(*) FROM orders WHERE total IS DISTINCT FROM amount * 2").await;
        assert_eq!(wrong, 0);
        let after = database.picture().await;
        assert!(after.contains("orders_total") && after.contains("remark"), "{after}");
        expect_progress(&recorder.all());

        let again = database.apply("all", &everything()).await;
        assert_eq!((again.ending, again.steps_done), (Ok(Ending::AlreadyDone), 7));

        let rows = status(&database.client, Some("all")).await.unwrap();
        assert_eq!((rows[0].state, rows[0].steps_done, rows[0].rows_done), (RunState::Done, 7, 3_000));
        assert_eq!(rows[0].rollback.as_ref().unwrap().class, RollbackClass::Lossless);

        let back = database.rollback("all").await;
        assert_eq!(back.ending, Ok(Ending::RolledBack), "{major}");
        assert_eq!(database.picture().await, before, "{major}");
        assert_eq!(database.rollback("all").await.ending, Ok(Ending::AlreadyRolledBack));

        assert_eq!(database.apply("all", &everything()).await.ending, Ok(Ending::Done), "{major}: applied again");
        assert_eq!(database.picture().await, after, "{major}");
        database.drop().await;
    }
}

fn expect_progress(all: &[Progress]) {
    let (last, steps) = all.split_last().unwrap();
    let summary = last.summary.as_ref().unwrap();
    assert_eq!((summary.result, summary.steps, &summary.resumed_at), (Reason::Done, 7, &None));
    assert!(steps.iter().all(|progress| progress.summary.is_none() && progress.step.is_some()));
    let done: Vec<_> =
        steps.iter().filter(|p| p.state == ProgressState::Done).map(|p| p.step.clone().unwrap()).collect();
    assert_eq!(done.len(), 7);
    assert!(done.is_sorted());
    let filled = steps.iter().filter(|p| p.step.as_deref() == Some("003-fill")).map(|p| p.rows_done).max();
    assert_eq!(filled, Some(3_000));
    let json = serde_json::to_value(last).unwrap();
    for field in ["step", "stage", "state", "rowsDone", "rowsTotal", "elapsedMilliseconds", "result", "steps"] {
        assert!(json.get(field).is_some(), "{field}: {json}");
    }
    for field in ["resumedAt", "batchesRedone", "durationMilliseconds"] {
        assert!(json.get(field).is_some(), "{field}: {json}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_before_a_stage_that_is_not_open() {
    for major in majors() {
        let database = Database::create("gates", major, &shop(100)).await;
        let closed = Options { gates: Gates { validate: false, contract: false }, ..Options::default() };
        let outcome = database.apply_with("g", &everything(), &closed, &()).await;
        assert_eq!(outcome.ending, Ok(Ending::Paused(Stage::Validate)));
        assert_eq!((outcome.steps_done, outcome.next_stage), (3, Some(Stage::Validate)));
        assert_eq!(status(&database.client, Some("g")).await.unwrap()[0].state, RunState::Paused);

        let half = Options { gates: Gates { validate: true, contract: false }, ..Options::default() };
        let outcome = database.apply_with("g", &everything(), &half, &()).await;
        assert_eq!(outcome.ending, Ok(Ending::Paused(Stage::Contract)));
        assert_eq!((outcome.steps_done, outcome.resumed_at.as_deref()), (6, Some("004-index")));

        let outcome = database.apply("g", &everything()).await;
        assert_eq!((outcome.ending, outcome.next_stage), (Ok(Ending::Done), None));
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_stands_for_one_source() {
    let major = *majors().last().unwrap();
    let database = Database::create("names", major, &shop(10)).await;
    let one = |source: &str| {
        let statement = transaction(&["ALTER TABLE orders ADD COLUMN a integer"]);
        let undo = transaction(&["ALTER TABLE orders DROP COLUMN a"]);
        plan(source, vec![step("001", Stage::Expand, statement).undo(undo, recorded())])
    };
    let broken =
        plan("x", vec![step("001", Stage::Expand, transaction(&["ALTER TABLE nowhere ADD COLUMN a integer"]))]);
    let failed = database.apply("n", &broken).await.ending.unwrap_err();
    assert_eq!((failed.reason, failed.sqlstate.as_deref()), (Reason::StatementFailed, Some("42P01")));
    assert_eq!(failed.step.as_deref(), Some("001"));
    // Nothing of it was done: the name is free for corrected SQL.
    assert_eq!(database.apply("n", &one("y")).await.ending, Ok(Ending::Done));
    assert_eq!(database.apply("n", &one("z")).await.ending.unwrap_err().reason, Reason::NameTaken);
    assert_eq!(database.apply("n", &one("y")).await.ending, Ok(Ending::AlreadyDone));
    assert_eq!(database.rollback("n").await.ending, Ok(Ending::RolledBack));
    assert_eq!(database.apply("n", &one("z")).await.ending, Ok(Ending::Done));
    for name in ["", "a b", "a/b", "ä", &"x".repeat(201)] {
        assert_eq!(database.apply(name, &one("z")).await.ending.unwrap_err().reason, Reason::InvalidName);
    }
    assert_eq!(database.rollback("unknown").await.ending.unwrap_err().reason, Reason::NotRecorded);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_not_true_stops_the_run() {
    let major = *majors().first().unwrap();
    let database = Database::create("checks", major, &shop(10)).await;
    let no = plan("a", vec![step("001", Stage::Expand, check("SELECT NULL::boolean"))]);
    let error = database.apply("before", &no).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::PreconditionFailed, 11));
    assert!(error.message.contains("the check says no"));
    let late = plan(
        "b",
        vec![
            step("001", Stage::Expand, transaction(&["ALTER TABLE orders ADD COLUMN a integer"])),
            step("002", Stage::Expand, check("SELECT count(*) = 0 FROM orders")),
        ],
    );
    let error = database.apply("after", &late).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::CheckFailed, 14));
    database.client.batch_execute("DELETE FROM orders").await.unwrap();
    let outcome = database.apply("after", &late).await;
    assert_eq!((outcome.ending, outcome.resumed_at.as_deref()), (Ok(Ending::Done), Some("002")));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_irreversible_is_not_rolled_back() {
    let major = *majors().last().unwrap();
    let database = Database::create("forward", major, &shop(10)).await;
    let way = plan(
        "a",
        vec![
            step("001", Stage::Expand, transaction(&["ALTER TABLE orders ADD COLUMN a integer"]))
                .lossy(transaction(&["ALTER TABLE orders DROP COLUMN a"])),
            step("002", Stage::Contract, transaction(&["DELETE FROM orders WHERE id = 1"])).irreversible(),
        ],
    );
    let closed = Options { gates: Gates { validate: true, contract: false }, ..Options::default() };
    let outcome = database.apply_with("f", &way, &closed, &()).await;
    let state = outcome.rollback.unwrap();
    assert_eq!((state.class, state.reason.as_str(), state.steps), (RollbackClass::Lossy, "what was in it", 1));
    let back = database.rollback("f").await;
    assert_eq!(back.ending, Ok(Ending::RolledBack));
    assert!(back.summary().message.is_some_and(|told| told.contains("what was in it")), "what is lost is told");

    let outcome = database.apply("f", &way).await;
    assert_eq!(outcome.rollback.unwrap().class, RollbackClass::ForwardOnly);
    let picture = database.picture().await;
    let error = database.rollback("f").await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::ForwardOnly, 11));
    assert!(error.message.contains("rows are gone"), "{}", error.message);
    assert_eq!(database.picture().await, picture);
    assert_eq!(status(&database.client, Some("f")).await.unwrap()[0].state, RunState::Done);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_objects_and_no_values() {
    let major = *majors().last().unwrap();
    let database = Database::create("errors", major, &shop(10)).await;
    for (name, statement, sqlstate, names) in [
        ("a", "ALTER TABLE orders ALTER note TYPE integer USING 'canary'::text::integer", "22P02", "does not fit"),
        ("b", "DO $$ BEGIN RAISE EXCEPTION 'canary'; END $$", "P0001", "exception"),
        ("c", "INSERT INTO orders VALUES (1, 1, 1, 'canary')", "23505", "orders_pkey"),
        ("d", "ALTER TABLE orders ADD CHECK (note = 'canary')", "23514", "orders"),
        ("e", "DO $$ BEGIN RAISE EXCEPTION 'canary' USING ERRCODE = '23505'; END $$", "23505", "refuses"),
        ("f", "ALTER TABLE orders DROP COLUMN nothing", "42703", "nothing"),
    ] {
        let failing = plan(name, vec![step("001", Stage::Expand, long(statement))]);
        let error = database.apply(name, &failing).await.ending.unwrap_err();
        assert_eq!(error.sqlstate.as_deref(), Some(sqlstate), "{}", error.message);
        assert!(error.message.contains(names), "{}", error.message);
        assert!(!error.message.contains("canary"), "{}", error.message);
        assert_eq!(error.exit().code(), 14);
    }
    let ledger: String =
        database.ask("SELECT string_agg(r.name || coalesce(r.reason, ''), '') FROM wesley.runs r").await;
    assert!(!ledger.contains("canary"));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_point_is_made_before_what_has_no_complete_way_back() {
    let major = *majors().last().unwrap();
    let database = Database::create("restore_point", major, &shop(10)).await;
    let way = |source: &str, column: &str| {
        let drop = format!("ALTER TABLE orders DROP COLUMN {column}");
        let add = transaction(&[&format!("ALTER TABLE orders ADD COLUMN {column} text")]);
        plan(source, vec![step("001", Stage::Contract, transaction(&[&drop])).lossy(add)])
    };
    assert_eq!(database.apply("not-permitted", &way("a", "note")).await.ending, Ok(Ending::Done));
    let grant = "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO run_owner";
    database.superuser().await.batch_execute(grant).await.unwrap();
    let recorder = Recorder::default();
    let outcome = database.apply_with("permitted", &way("b", "amount"), &Options::default(), &recorder).await;
    assert_eq!(outcome.ending, Ok(Ending::Done));
    assert!(recorder.all().iter().any(|p| p.detail.as_deref().is_some_and(|text| text.starts_with("restore point"))));
    let rows = status(&database.client, None).await.unwrap();
    assert_eq!((rows[0].restore_point.as_deref(), rows[0].restore_lsn.as_deref()), (None, None));
    let name = rows[1].restore_point.as_deref().unwrap();
    assert!(name.starts_with("wesley:permitted:") && rows[1].restore_lsn.as_deref().unwrap().contains('/'), "{name}");
    database.drop().await;
}

async fn planned(database: &Database, sql: &str) -> wesley::plan::Plan {
    let catalog = wesley::catalog::introspect::introspect(&database.client).await.unwrap();
    wesley::plan::plan(&wesley::sql::parse(sql).unwrap(), &catalog, &wesley::plan::Policy::default()).unwrap()
}

/// What was small when it was planned is changed directly: not when it is large by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_grew_after_the_plan_is_not_changed_directly() {
    // An autoanalyze at work would keep VACUUM FULL from taking the rows.
    let setup = "CREATE TABLE t (id int PRIMARY KEY, pad text) WITH (autovacuum_enabled = off);
        INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g";
    let database = Database::create("grown", majors()[0], setup).await;
    let mut plan = planned(&database, "ALTER TABLE t ADD COLUMN u uuid NOT NULL DEFAULT gen_random_uuid()").await;
    let grow = "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(101, 40000) g";
    database.client.batch_execute(grow).await.unwrap();
    let error = database.apply("grown", &plan).await.ending.unwrap_err();
    assert_eq!(error.reason, Reason::CatalogChanged);
    assert!(error.message.contains("public.t has grown to"), "{}", error.message);

    // A plan in which that is seen only when the step comes.
    plan.catalog_fingerprint.clear();
    let error = database.apply("grown", &plan).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit()), (Reason::TableGrown, wesley::exit::Exit::StepFailed));
    assert!(!database.picture().await.contains("t.u "));
    database.client.batch_execute("DELETE FROM t WHERE id > 100").await.unwrap();
    database.client.batch_execute("VACUUM FULL t").await.unwrap();
    assert_eq!(database.apply("grown", &plan).await.ending, Ok(Ending::Done));
    database.drop().await;
}

/// What others have done with the type since stops the way back before anything is touched.
#[tokio::test(flavor = "multi_thread")]
async fn an_enum_value_goes_while_no_row_has_it_and_no_other_came() {
    let setup = "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (id int PRIMARY KEY, m mood DEFAULT 'a')";
    let database = Database::create("enum_back", majors()[0], setup).await;
    let before = database.picture().await;
    let plan = planned(&database, "ALTER TYPE mood ADD VALUE 'b'").await;
    assert_eq!(database.apply("b", &plan).await.ending, Ok(Ending::Done));
    assert_eq!(database.rollback("b").await.ending, Ok(Ending::RolledBack));
    assert_eq!(database.picture().await, before);

    assert_eq!(database.apply("b", &plan).await.ending, Ok(Ending::Done));
    database.client.batch_execute("INSERT INTO t VALUES (1, 'b')").await.unwrap();
    let error = database.rollback("b").await.ending.unwrap_err();
    assert_eq!(error.reason, Reason::RollbackBlocked);
    assert!(error.message.contains("public.t has rows whose m"), "{}", error.message);
    database.client.batch_execute("UPDATE t SET m = 'a'; ALTER TYPE mood ADD VALUE 'c'").await.unwrap();
    let error = database.rollback("b").await.ending.unwrap_err();
    assert_eq!(error.reason, Reason::RollbackBlocked);
    assert!(error.message.contains("has other values by now"), "{}", error.message);
    let labels: i64 = database.ask("SELECT count(*) FROM pg_enum").await;
    assert_eq!(labels, 3);
    database.drop().await;
}

/// Between the plan and the lock there is a question that somebody answers later.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_changed_after_the_plan_is_not_touched() {
    let database = Database::create("moved", majors()[0], "CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let plan = planned(&database, "ALTER TABLE t ADD COLUMN IF NOT EXISTS note text").await;
    // Somebody else's column of that name: an undo of ours would drop it.
    database.client.batch_execute("ALTER TABLE t ADD COLUMN note text").await.unwrap();
    let error = database.apply("moved", &plan).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit()), (Reason::CatalogChanged, wesley::exit::Exit::Precondition));
    assert!(error.message.contains("run it again"), "{}", error.message);
    assert!(status(&database.client, None).await.unwrap().is_empty());

    database.client.batch_execute("ALTER TABLE t DROP COLUMN note").await.unwrap();
    let plan = planned(&database, "ALTER TABLE t ADD COLUMN note text").await;
    assert_eq!(database.apply("moved", &plan).await.ending, Ok(Ending::Done));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_before_the_run_have_a_result_too() {
    let setup = "CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (1)";
    let database = Database::create("early", majors()[0], setup).await;
    let run = |name: &str, sql: &str| run_support::binary::Program::new(&database.url(), name, sql).run("apply", None);
    for (sql, code, result) in [
        ("ALTER TABEL t ADD c int", 10, "SyntaxError"),
        ("ALTER TABLE nowhere ADD c int", 10, "StatementRefused"),
        (" \n", 10, "SourceUnreadable"),
        ("SELECT 1; COMMIT; SELECT 2", 10, "StatementUnsupported"),
    ] {
        let ended = run("early", sql);
        assert_eq!(
            (ended.code, ended.last()["result"].as_str()),
            (Some(code), Some(result)),
            "{sql}: {}",
            ended.stderr
        );
        assert_eq!(ended.breach(), "", "{sql}");
    }
    assert!(status(&database.client, None).await.unwrap().is_empty());

    // Histories have files of remarks alone: a plan of nothing.
    for (name, sql) in [("remark", "-- later"), ("wrapped", "BEGIN; COMMIT")] {
        let ended = run(name, sql);
        assert_eq!((ended.code, ended.last()["result"].as_str()), (Some(0), Some("Done")), "{sql}: {}", ended.stderr);
    }

    // The first step is done, the second is not.
    let failing = "ALTER TABLE t ADD COLUMN a int; SELECT 1 / (id - 1) FROM t";
    let ended = run("begun", failing);
    assert_eq!(ended.code, Some(14), "{}", ended.stderr);
    assert!(ended.last()["step"].is_string() && ended.last()["stage"].is_string(), "{}", ended.last());
    assert!(
        ended.stderr.contains("= 1 of 2 steps are done; run it again, or `wesley rollback --name begun`"),
        "{}",
        ended.stderr
    );
    let back = status(&database.client, Some("begun")).await.unwrap()[0].rollback.clone().unwrap();
    assert_eq!(
        (back.class, back.reason.as_str()),
        (RollbackClass::Lossless, "what was written to new columns and tables goes")
    );
    let other = run("begun", "ALTER TABLE t ADD COLUMN a int; SELECT 2");
    assert_eq!((other.code, other.last()["result"].as_str()), (Some(11), Some("NameTaken")), "{}", other.stderr);
    let busy = database.session().await;
    let key: i64 = busy
        .query_one("SELECT ('x' || left(encode(sha256('wesley:execution'), 'hex'), 16))::bit(64)::bigint", &[])
        .await
        .unwrap()
        .get(0);
    busy.execute("SELECT pg_advisory_lock($1)", &[&key]).await.unwrap();
    let ended = run("waits", "ALTER TABLE t ADD COLUMN a int");
    assert_eq!((ended.code, ended.last()["result"].as_str()), (Some(20), Some("DatabaseBusy")), "{}", ended.stderr);
    assert_eq!(ended.progress[0]["state"], "Waiting");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_process_is_told_as_interrupted() {
    let database = Database::create("orphan", majors()[0], "CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let program = run_support::binary::Program::new(&database.url(), "orphan", "ALTER TABLE t ADD COLUMN a int");
    assert_eq!(program.run("apply", Some("run-recorded")).code, None);
    let state = async || status(&database.client, Some("orphan")).await.unwrap()[0].state;
    // The server may take a moment to see that the process is gone.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while state().await == RunState::Running && std::time::Instant::now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(state().await, RunState::Interrupted);
    assert_eq!(program.run("apply", None).code, Some(0));
    assert_eq!(state().await, RunState::Done);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deferred_to_the_end_of_a_step_runs_in_the_path_of_the_role() {
    for major in majors() {
        let setup = "CREATE TABLE changes (note text);
            CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN INSERT INTO changes VALUES (new.note); RETURN NULL; END';
            CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION note_it()";
        let database = Database::create("deferred", major, &format!("{}; {setup}", shop(3))).await;
        let change = transaction(&["UPDATE orders SET note = 'seen'"]);
        let outcome = database.apply("d", &plan("d", vec![step("001", Stage::Backfill, change)])).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        assert_eq!(database.ask::<i64>("SELECT count(*) FROM changes WHERE note = 'seen'").await, 3, "{major}");
        database.drop().await;
    }
}
