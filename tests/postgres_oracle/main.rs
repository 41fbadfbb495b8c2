//! The classifier against facts that were measured on real servers: locks, rewrites, scans and refusals of some
//! five hundred statements on every major.
//!
//! The cases are no part of the repository: `WESLEY_ORACLE` names the folder with `cases.json` and
//! `fixture.sql` (default: `shared/oracle` beside the repository). Without it there is nothing to compare. Cells
//! that are known to be inexact stand in `tests/fixtures/oracle_inexact.txt`, each with its reason. A part of the
//! cases is picked by `WESLEY_ORACLE_ONLY`, the beginnings of their ids, separated by commas.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod compare;
mod report;
mod schema;

use std::path::PathBuf;

use cases::{Case, Cell};
use report::Report;

fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("WESLEY_ORACLE") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared/oracle"),
    };
    folder.join("cases.json").exists().then_some(folder)
}

fn picked(case: &Case) -> bool {
    match std::env::var("WESLEY_ORACLE_ONLY") {
        Ok(only) => only.split(',').any(|start| case.id.starts_with(start.trim())),
        Err(_) => true,
    }
}

fn majors() -> Vec<i32> {
    let majors = std::env::var("WESLEY_TEST_MAJORS").unwrap_or_else(|_| "14,15,16,17,18".to_owned());
    majors.split(',').map(|major| major.trim().parse().unwrap()).collect()
}

/// Judges every case that has a cell for the major.
async fn judge(major: i32, fixture: &str, cases: &[Case]) -> Report {
    let mut report = Report::new(major);
    let mut schemas = schema::Schemas::start(major, fixture).await;
    for case in cases {
        let Some(cell) = case.versions.get(&major.to_string()) else { continue };
        match schemas.catalog(&case.setup).await {
            Ok(catalog) => {
                let verdict = compare::verdict(case, cell, &catalog);
                report.add(case, matches!(cell, Cell::Facts(_)), verdict);
            }
            Err(error) => report.skip(case, &error),
        }
    }
    schemas.stop().await;
    report
}

#[test]
fn claims_cover_what_servers_did_and_nothing_more() {
    let Some(folder) = folder() else {
        println!("no cases: set WESLEY_ORACLE to the folder with cases.json and fixture.sql");
        return;
    };
    let fixture = std::fs::read_to_string(folder.join("fixture.sql")).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let cases: Vec<Case> = cases.into_iter().filter(picked).collect();
    let (fixture, cases) = (&fixture, &cases);

    let reports: Vec<Report> = std::thread::scope(|scope| {
        let run = |major| {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(judge(major, fixture, cases))
            })
        };
        let running: Vec<_> = majors().into_iter().map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let known = report::known_inexact(include_str!("../fixtures/oracle_inexact.txt"));
    let failures: usize = reports.iter().map(|report| report.print(&known)).sum();
    assert_eq!(failures, 0, "unsound cells, wrong refusals, or inexact cells without a reason on the list: see above");
}
