//! Histories of migrations, statement by statement in the model and on the server.

use std::path::PathBuf;

use wesley::catalog::introspect::introspect;
use wesley::catalog::{Catalog, apply};
use wesley::sql::{self, Statement};

use super::server::{connect, create, drop_database, message};

/// Differences of one history that are told when it is not ours; it goes on after each from the server's schema.
const TOLD: usize = 20;

/// Name, text and first major of each history; the first line may say `-- from 15`. Those of the folder
/// `WESLEY_HISTORIES`, or ours.
fn histories() -> Vec<(String, String, i32)> {
    let ours = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/histories");
    let folder = foreign().map_or_else(ours, PathBuf::from);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let only = std::env::var("WESLEY_HISTORIES_ONLY").unwrap_or_default();
    paths
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(&only))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let first = text
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("-- from "))
                .map_or(14, |major| major.trim().parse().unwrap());
            (path.file_stem().unwrap().to_string_lossy().into_owned(), text, first)
        })
        .collect()
}

fn foreign() -> Option<std::ffi::OsString> {
    std::env::var_os("WESLEY_HISTORIES")
}

/// Runs one history; gives what went wrong.
async fn run(major: i32, name: &str, text: &str) -> Vec<String> {
    let database = format!("sim_history_{}_{major}_{}", std::process::id(), name.replace('-', "_"));
    let admin = connect(major, "postgres").await;
    create(&admin, &database, "template0").await;
    let client = connect(major, &database).await;
    let mut simulated = introspect(&client).await.unwrap();
    let mut problems = Vec::new();
    let mut checked = 0;
    let mut found = 0;
    let mut in_transaction = false;
    for statement in sql::parse(text).unwrap() {
        if found > 0 && (foreign().is_none() || found >= TOLD) {
            break;
        }
        let Statement { text, .. } = &statement;
        if let Err(error) = client.batch_execute(text).await {
            problems.push(format!("the server refuses: {}\n    {text:.2000}", message(&error)));
            found += 1;
            continue;
        }
        if let Err(error) = apply::apply(&mut simulated, &statement) {
            problems.push(format!("{error}\n    {text:.2000}"));
            found += 1;
            simulated = introspect(&client).await.unwrap();
            continue;
        }
        checked += 1;
        match text.to_ascii_lowercase().as_str() {
            "begin" => in_transaction = true,
            "commit" => in_transaction = false,
            _ => {}
        }
        // The first difference is the interesting one.
        if checked % 10 == 0 && !in_transaction && !compare(&simulated, &database, major, &mut problems, text).await {
            found += 1;
            simulated = introspect(&client).await.unwrap();
        }
    }
    if found == 0 {
        compare(&simulated, &database, major, &mut problems, "the end").await;
    }
    drop(client);
    drop_database(&admin, &database).await;
    problems
}

async fn compare(simulated: &Catalog, database: &str, major: i32, problems: &mut Vec<String>, after: &str) -> bool {
    let client = connect(major, database).await;
    let real = introspect(&client).await.unwrap();
    let lines = simulated.same_schema(&real);
    if lines.is_empty() {
        return true;
    }
    problems.push(format!("after {after}:"));
    problems.extend(lines.into_iter().take(12).map(|line| format!("    {line:.500}")));
    false
}

#[test]
fn simulated_histories_end_where_the_server_does() {
    let histories = histories();
    let results = super::on_every_major(async |major| {
        let mut failed = 0;
        for (name, text, first) in &histories {
            if major < *first {
                continue;
            }
            let problems = run(major, name, text).await;
            if !problems.is_empty() {
                failed += 1;
                println!("PostgreSQL {major}, {name}:");
                problems.iter().for_each(|problem| println!("  {problem}"));
            }
        }
        failed
    });
    assert_eq!(results.iter().sum::<usize>(), 0, "the model differs from the server: see above");
}
