//! The classifier against real servers: each statement of `tests/fixtures/claims` runs in a transaction that is
//! rolled back, and its locks, new files and full reads, as a second session and the server's own statistics see
//! them, must be what was claimed beforehand.
//!
//! A part of the statements is picked by `WESLEY_CLAIMS_ONLY`, a piece of their text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod databases;
mod measure;
mod statements;

use databases::Databases;
use statements::Case;
use wesley::plan::analyze::analyze;
use wesley::sql;

fn majors() -> Vec<i32> {
    let majors = std::env::var("WESLEY_TEST_MAJORS").unwrap_or_else(|_| "14,15,16,17,18".to_owned());
    majors.split(',').map(|major| major.trim().parse().unwrap()).collect()
}

/// What is wrong on one major, a line each.
async fn judge(major: i32, cases: &[Case]) -> Vec<String> {
    let mut databases = Databases::start(major, include_str!("../fixtures/claims/schema.sql")).await;
    let mut wrong = Vec::new();
    let mut judged = 0;
    for case in cases {
        let Some(prepared) = databases.prepare(&case.setup).await else { continue };
        let claim = match sql::parse(&case.sql).unwrap().as_slice() {
            [statement] => analyze(statement, &prepared.catalog),
            _ => panic!("not one statement: {}", case.sql),
        };
        let facts = measure::measure(&prepared, &case.sql).await;
        judged += 1;
        let found = compare::deviations(&facts, &claim, &prepared.catalog);
        wrong.extend(found.into_iter().filter(|deviation| !case.excuses(deviation)).map(|deviation| {
            let after = if case.setup.is_empty() { String::new() } else { format!(" (after {})", case.setup.join("; ")) };
            format!("PostgreSQL {major}: {deviation}\n    {}{after}", case.sql)
        }));
    }
    databases.stop().await;
    println!("PostgreSQL {major}: {judged} statements, {} deviations", wrong.len());
    wrong
}

#[test]
fn claims_are_what_the_server_does() {
    let only = std::env::var("WESLEY_CLAIMS_ONLY").unwrap_or_default();
    let cases: Vec<Case> = statements::all().into_iter().filter(|case| case.sql.contains(&only)).collect();
    let cases = &cases;
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let run = |major| {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(judge(major, cases))
            })
        };
        let running: Vec<_> = majors().into_iter().map(run).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
