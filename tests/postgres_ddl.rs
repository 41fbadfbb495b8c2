//! The statements between two catalogs, on real servers: after a change they bring back the schema from before.
//!
//! The changes are the measured cases in the folder of `WESLEY_ORACLE` (default: `shared/oracle` beside the
//! repository); without it there is nothing to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio_postgres::{Client, NoTls};
use wesley::catalog::introspect::introspect_in_transaction;
use wesley::catalog::{Catalog, Server, Statistics};
use wesley::plan::ddl;

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    sql: String,
    setup: Vec<String>,
    versions: BTreeMap<String, serde_json::Value>,
}

fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("WESLEY_ORACLE") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared/oracle"),
    };
    folder.join("cases.json").exists().then_some(folder)
}

async fn connect(major: u16, database: &str) -> Client {
    let base: u16 = std::env::var("WESLEY_PG_PORT_BASE").map_or(54_000, |base| base.parse().unwrap());
    let url = format!("host=127.0.0.1 port={} user=postgres password=postgres dbname={database}", base + major);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a test server of that major");
    tokio::spawn(connection);
    client
}

/// Sizes, the session and column order are left out; and so is what says the same: privileges of the owner that
/// are spelled out, and whether an inherited column was also declared.
fn plain(mut catalog: Catalog) -> Catalog {
    for relation in catalog.relations.values_mut() {
        let owners = format!("{}=", relation.owner);
        relation.privileges.retain(|item| !item.starts_with(&owners));
        for column in relation.columns.iter_mut().filter(|column| column.inherited > 0) {
            column.local = true;
        }
        relation.stats = Statistics::default();
        relation.columns.sort_by(|a, b| a.name.cmp(&b.name));
        relation.constraints.sort_by(|a, b| a.name.cmp(&b.name));
        relation.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        relation.policies.sort_by(|a, b| a.name.cmp(&b.name));
    }
    catalog.server = Server::default();
    catalog
}

fn differences(is: &Catalog, expected: &Catalog) -> Vec<String> {
    let mut found = Vec::new();
    for (name, relation) in &is.relations {
        match expected.relations.get(name) {
            None => found.push(format!("{name} should not be there")),
            Some(other) if other != relation => {
                found.push(format!("{name}: {}", parts(relation, other)));
            }
            Some(_) => {}
        }
    }
    for name in expected.relations.keys().filter(|name| !is.relations.contains_key(name)) {
        found.push(format!("{name} is missing"));
    }
    let rest = |catalog: &Catalog| Catalog { relations: wesley::catalog::Relations::new(), ..catalog.clone() };
    if rest(is) != rest(expected) {
        found.push(format!("outside: {}", parts(&rest(is), &rest(expected))));
    }
    found
}

/// The fields that differ.
fn parts(is: &impl serde::Serialize, expected: &impl serde::Serialize) -> String {
    let (is, expected) = (serde_json::to_value(is).unwrap(), serde_json::to_value(expected).unwrap());
    let (is, expected) = (is.as_object().unwrap(), expected.as_object().unwrap());
    let absent = serde_json::Value::Null;
    is.keys()
        .chain(expected.keys().filter(|key| !is.contains_key(*key)))
        .map(|key| (key, is.get(key).unwrap_or(&absent), expected.get(key).unwrap_or(&absent)))
        .filter(|(_, is, expected)| is != expected)
        .map(|(key, is, expected)| format!("{key}\n    is       {is}\n    expected {expected}"))
        .collect::<Vec<_>>()
        .join("\n  ")
}

/// Cases that cannot return exactly, with the reason.
const KNOWN: [(&str, &str); 4] = [
    ("dropcol.pk_referenced_cascade", "the referenced values are gone: the foreign key is not proven"),
    ("drop.table_fk_parent_cascade", "the referenced rows are gone: the foreign key is not proven"),
    ("drop.table_view_cascade", "the referenced rows are gone: the foreign key is not proven"),
    ("tbl.detach_nodefault", "ATTACH takes an index over that had been left out of the partitioned index"),
];

/// What the case came to.
enum Outcome {
    /// It cannot run in a transaction, or not on this server.
    Skipped,
    /// The script says itself that it cannot bring everything back.
    Gap(String),
    Returned,
    Failed(String),
}

async fn turn_back(client: &Client, case: &Case) -> Outcome {
    client.batch_execute("begin").await.unwrap();
    let outcome = in_transaction(client, case).await;
    client.batch_execute("rollback").await.unwrap();
    outcome
}

async fn in_transaction(client: &Client, case: &Case) -> Outcome {
    for statement in &case.setup {
        if statement.starts_with("alter database") || client.batch_execute(statement).await.is_err() {
            return Outcome::Skipped;
        }
    }
    let before = introspect_in_transaction(client).await.unwrap();
    if client.batch_execute(&case.sql).await.is_err() {
        return Outcome::Skipped;
    }
    // Deferred constraint events of the change keep tables from being altered again in its transaction.
    if client.batch_execute("set constraints all immediate").await.is_err() {
        return Outcome::Skipped;
    }
    let after = introspect_in_transaction(client).await.unwrap();
    let script = ddl::between(&after, &before);
    if !script.gaps.is_empty() {
        return Outcome::Gap(script.gaps.join("; "));
    }
    let statements = script.statements();
    let listing = statements.join(";\n    ");
    for statement in &statements {
        if let Err(error) = client.batch_execute(statement).await {
            let message = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
            return Outcome::Failed(format!("{message}\n    at {statement}\n    {listing}"));
        }
    }
    let returned = introspect_in_transaction(client).await.unwrap();
    let found = differences(&plain(returned), &plain(before));
    if found.is_empty() { Outcome::Returned } else { Outcome::Failed(format!("{}\n    {listing}", found.join("\n"))) }
}

async fn judge(major: u16, fixture: &str, cases: &[Case]) -> Vec<String> {
    let name = "pln_ddl";
    let admin = connect(major, "postgres").await;
    admin.batch_execute(&format!("drop database if exists {name} with (force)")).await.unwrap();
    admin.batch_execute(&format!("create database {name} template template0")).await.unwrap();
    let client = connect(major, name).await;
    for statement in wesley::sql::parse(fixture).unwrap() {
        client.batch_execute(&statement.text).await.unwrap();
    }
    let only = std::env::var("WESLEY_ORACLE_ONLY").unwrap_or_default();
    let (mut returned, mut known, mut gaps, mut failures) = (0, 0, Vec::new(), Vec::new());
    // Each major has another part of the cases.
    let whole = !only.is_empty() || std::env::var_os("WESLEY_ORACLE_ALL").is_some();
    let part = |at: usize| whole || at % 5 == usize::from(major) % 5;
    for (_, case) in cases.iter().enumerate().filter(|(at, case)| part(*at) && case.id.starts_with(&only)) {
        if !case.versions.contains_key(&major.to_string()) || is_rename(&case.sql) {
            continue;
        }
        match turn_back(&client, case).await {
            Outcome::Skipped => {}
            Outcome::Gap(why) => gaps.push(format!("[{major}] {}: {why}", case.id)),
            Outcome::Returned => returned += 1,
            Outcome::Failed(_) if KNOWN.iter().any(|(id, _)| *id == case.id) => known += 1,
            Outcome::Failed(why) => failures.push(format!("[{major}] {} ({}): {why}", case.id, case.sql)),
        }
    }
    drop(client);
    admin.batch_execute(&format!("drop database if exists {name} with (force)")).await.unwrap();
    println!(
        "{major}: {returned} returned, {} say that they cannot, {known} known, {} failed",
        gaps.len(),
        failures.len()
    );
    for gap in gaps {
        println!("  {gap}");
    }
    failures
}

/// Two catalogs cannot tell a rename from a drop and a new object.
fn is_rename(sql: &str) -> bool {
    use pg_query::NodeEnum as N;
    wesley::sql::parse(sql).is_ok_and(|statements| {
        statements.iter().any(|statement| matches!(statement.node, N::RenameStmt(_) | N::AlterObjectSchemaStmt(_)))
    })
}

#[test]
fn every_change_is_turned_back() {
    let Some(folder) = folder() else {
        println!("no cases: set WESLEY_ORACLE to the folder with cases.json and fixture.sql");
        return;
    };
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(folder.join("cases.json")).unwrap()).unwrap();
    let fixture = std::fs::read_to_string(folder.join("fixture.sql")).unwrap();
    let majors = std::env::var("WESLEY_TEST_MAJORS").unwrap_or_else(|_| "14,15,16,17,18".to_owned());
    let majors: Vec<u16> = majors.split(',').map(|major| major.trim().parse().unwrap()).collect();
    let (cases, fixture) = (&cases, &fixture);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = majors
            .into_iter()
            .map(|major| {
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(judge(major, fixture, cases))
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
