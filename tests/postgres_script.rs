//! Long runs of statements that change rows: one step, in batches, each statement exactly once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;

use run_support::binary::Program;
use run_support::{Database, end_majors};
use strum::IntoEnumIterator;
use wesley::catalog::introspect::introspect;
use wesley::plan::{Action, HazardId, Plan, Policy, Source, plan_source, source_digest};
use wesley::run::source::{Reading, SourceFile};
use wesley::run::{Options, Reason};

const SETUP: &str = "CREATE TABLE entry (id bigint, text text); CREATE TABLE counter (id int PRIMARY KEY, n bigint);
     INSERT INTO counter SELECT i, 0 FROM generate_series(0, 9) i";

/// No key stops a statement that runs twice, and each run counts.
fn script(statements: usize) -> String {
    let mut text = String::new();
    for number in 0..statements {
        match number % 5 {
            0 => writeln!(text, "UPDATE counter SET n = n * 3 % 1000003 + {number} WHERE id = {};", number / 5 % 10),
            1 if number % 35 == 1 => writeln!(text, "DELETE FROM entry WHERE id = {} -- ;\n;", number / 2),
            _ => writeln!(text, "INSERT INTO entry VALUES ({number}, 'ü;\n''{number}') /* ; */;"),
        }
        .unwrap();
    }
    text
}

async fn state(database: &Database) -> String {
    database
        .ask(
            "SELECT (SELECT count(*) || ' ' || md5(string_agg(e::text, ',' ORDER BY id, ctid)) FROM entry e)
                    || ' ' || (SELECT string_agg(n::text, ',' ORDER BY id) FROM counter)",
        )
        .await
}

async fn expected(name: &str, major: u16, text: &str) -> String {
    let database = Database::create(&format!("script_{name}_plain"), major, SETUP).await;
    database.client.batch_execute(text).await.unwrap();
    let state = state(&database).await;
    database.drop().await;
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_each_statement_runs_once() {
    for major in end_majors() {
        let text = script(6_000);
        let wanted = expected("kill", major, &text).await;
        for failpoint in [
            "cursor-opened",
            "batch-begun:2",
            "batch-updated:1",
            "batch-updated:2",
            "batch-recorded:2",
            "batch-committed:1",
            "batch-committed:2",
            "backfill-finished",
            "backfill-recorded",
        ] {
            let database = Database::create("script_kill", major, SETUP).await;
            let program = Program::new(&database.url(), "load", &text);
            assert_eq!(program.run("apply", Some(failpoint)).code, None, "[{major}] {failpoint} was not reached");
            let ended = program.run("apply", None);
            assert_eq!(ended.code, Some(0), "[{major}] {failpoint}: {}", ended.stderr);
            assert_eq!(ended.breach(), "");
            assert_eq!(state(&database).await, wanted, "[{major}] {failpoint}");
            assert_eq!(program.run("apply", None).last()["result"], "AlreadyDone");
            database.drop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_from_outside_again_and_again_it_goes_on() {
    let major = end_majors().pop().unwrap();
    let text = script(30_000);
    let wanted = expected("sigkill", major, &text).await;
    let database = Database::create("script_sigkill", major, SETUP).await;
    let program = Program::new(&database.url(), "load", &text);
    let mut before = 0;
    for _ in 0..4 {
        let mut child = program.start("apply");
        // Killed somewhere behind a batch that was told of.
        let output = BufReader::new(child.stdout.take().unwrap());
        let told = output.lines().map_while(Result::ok).filter(|line| line.contains("statement ")).nth(1);
        child.kill().unwrap();
        child.wait().unwrap();
        let done: i64 = database.ask("SELECT statements_done FROM wesley.scripts").await;
        assert!(told.is_some() && done > before && done < 30_000, "{before} {done}");
        before = done;
    }
    assert_eq!(program.run("apply", None).code, Some(0));
    assert_eq!(state(&database).await, wanted);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_is_named_and_the_run_goes_on_behind_it() {
    let major = end_majors().pop().unwrap();
    let database = Database::create("script_fail", major, "CREATE TABLE entry (id int PRIMARY KEY)").await;
    database.client.batch_execute("INSERT INTO entry VALUES (5432)").await.unwrap();
    let text: String = (0..7_000).map(|id| format!("INSERT INTO entry VALUES ({id});\n")).collect();
    let program = Program::new(&database.url(), "load", &text);
    let ended = program.run("apply", None);
    assert_eq!(ended.last()["result"], "ConstraintViolated");
    assert!(ended.stderr.contains("statement 5433 of the step"), "{}", ended.stderr);
    assert_eq!(database.ask::<i64>("SELECT statements_done FROM wesley.scripts").await, 5432);
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM entry").await, 5433);
    let rows = async || wesley::run::status(&database.client, Some("load")).await.unwrap()[0].rows_done;
    assert_eq!(rows().await, 5432, "rows of a run that has stopped are told");
    database.client.batch_execute("DELETE FROM entry WHERE id = 5432").await.unwrap();
    assert_eq!(program.run("apply", None).code, Some(0));
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM entry").await, 7_000);
    assert_eq!(rows().await, 7_000);
    database.drop().await;
}

async fn planned(database: &Database, file: &SourceFile) -> Plan {
    let runs: Vec<_> = file.long_runs().collect();
    let source = Source { statements: &file.statements, runs: &runs };
    let catalog = introspect(&database.client).await.unwrap();
    let policy = Policy { allowed: HazardId::iter().collect(), ..Policy::default() };
    let plan = plan_source(source, &[], &catalog, &policy).unwrap();
    assert_eq!(plan.source_digest, source_digest(source));
    plan
}

fn read(path: &Path) -> SourceFile {
    Reading::new(true).file("change.sql", path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_text_that_was_planned_does_not_run() {
    let major = end_majors().pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("change.sql");
    let text = script(6_000);
    std::fs::write(&path, &text).unwrap();
    let database = Database::create("script_changed", major, SETUP).await;
    let file = read(&path);
    let plan = planned(&database, &file).await;
    // One statement in the middle is another one, of the same length.
    let other = text.replacen(
        "UPDATE counter SET n = n * 3 % 1000003 + 4000",
        "UPDATE counter SET n = n * 4 % 1000003 + 4000",
        1,
    );
    assert_ne!(other, text);
    std::fs::write(&path, &other).unwrap();
    let options = Options { runs: file.runs.iter().map(|(_, run)| run.clone()).collect(), ..Options::default() };
    let error = database.apply_with("load", &plan, &options, &()).await.ending.unwrap_err();
    assert_eq!(error.reason, Reason::SourceChanged, "{error}");
    let done: i64 = database.ask("SELECT coalesce(max(statements_done), 0) FROM wesley.scripts").await;
    assert!(done <= 4_000, "{done}");
    // Read again it is other SQL; without it there is nothing to run.
    assert_ne!(planned(&database, &read(&path)).await.source_digest, plan.source_digest);
    assert_eq!(database.apply("load", &plan).await.ending.unwrap_err().reason, Reason::SourceChanged);
    std::fs::write(&path, &text).unwrap();
    database.apply_with("load", &plan, &options, &()).await.ending.unwrap();
    assert_eq!(state(&database).await, expected("changed", major, &text).await);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_the_schema_may_stand_between_runs() {
    for major in end_majors() {
        let database = Database::create("script_between", major, SETUP).await;
        let rows = |table: &str, values: &str| format!("INSERT INTO {table} VALUES ({values});\n").repeat(6_000);
        let text = format!(
            "BEGIN;\nCREATE SCHEMA other;\nCREATE TABLE other.made (id int);\nSET search_path = other;\n{}
             ALTER TABLE made ADD COLUMN twice int;\nRESET search_path;\n{}COMMIT;\n",
            rows("made", "1"),
            rows("other.made", "1, 2")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("change.sql");
        std::fs::write(&path, &text).unwrap();
        let plan = planned(&database, &read(&path)).await;
        let scripts: Vec<_> = plan.steps.iter().filter(|step| matches!(step.action, Action::Script(_))).collect();
        assert_eq!((scripts.len(), plan.summary.statements), (2, 12_007));
        assert!(serde_json::to_string(&plan).unwrap().len() < 8_000);
        let program = Program::new(&database.url(), "load", &text);
        let ended = program.run("apply", None);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let found: String = database.ask("SELECT count(*) || ' ' || count(twice) FROM other.made").await;
        assert_eq!(found, "12000 6000");
        // The rows go with the table that the plan made.
        assert_eq!(program.run("rollback", None).code, Some(0));
        assert!(database.ask::<bool>("SELECT to_regnamespace('other') IS NULL").await);
        database.drop().await;
    }
}

/// Kilobytes of the process at its largest.
fn peak(program: &Program) -> u64 {
    let mut child = program.start("apply");
    let output = BufReader::new(child.stdout.take().unwrap());
    let drained = std::thread::spawn(move || output.lines().count());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0).max(most);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drained.join().unwrap();
    assert!(child.wait().unwrap().success());
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_script() {
    let major = end_majors().pop().unwrap();
    let database = Database::create("script_memory", major, "CREATE TABLE entry (id int, text text)").await;
    let line = format!("INSERT INTO entry VALUES (1, '{}');\n", "x".repeat(10_000));
    let small = peak(&Program::new(&database.url(), "small", &line.repeat(400)));
    let large = peak(&Program::new(&database.url(), "large", &line.repeat(4_000)));
    assert!(large < small + 10_000, "4 MB: {small} kB, 40 MB: {large} kB");
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM entry").await, 4_400);
    database.drop().await;
}
