//! The classifier against real servers: each statement of `tests/fixtures/claims` runs in a transaction that is
//! rolled back, and its locks, new files and full reads, as a second session and the server's own statistics see
//! them, must be what was claimed beforehand. What is not allowed in a transaction runs outside, against sessions
//! that hold locks in its way.
//!
//! Each major takes every tenth statement, another tenth than the others; all on all with `WESLEY_CLAIMS=all`. A part of
//! the statements is picked by `WESLEY_CLAIMS_ONLY`, a piece of their text or the name of a family, for all majors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod databases;
mod measure;
mod outside;
mod statements;

use compare::Fault;
use databases::{Databases, Session, Unprepared};
use statements::Set;
use wesley::plan::analyze::{Impact, TransactionRule, analyze};
use wesley::sql;

/// Of a thousand statements so many are claimed exactly. What a query reads in full depends on the rows, and what
/// another server or the session has is not in the catalog.
const EXACT: usize = 950;

fn majors() -> Vec<i32> {
    let majors = std::env::var("WESLEY_TEST_MAJORS").unwrap_or_else(|_| "14,15,16,17,18".to_owned());
    majors.split(',').map(|major| major.trim().parse().unwrap()).collect()
}

/// What was found on one major.
#[derive(Default)]
struct Figures {
    statements: usize,
    exact: usize,
    unsound: usize,
    inexact: usize,
    unforetold: usize,
    unprepared: usize,
}

/// Whether it is this major's turn to run the statement with that number.
fn turn(number: usize, major: i32) -> bool {
    let all = std::env::var("WESLEY_CLAIMS").is_ok_and(|wanted| wanted == "all");
    all || std::env::var("WESLEY_CLAIMS_ONLY").is_ok() || number % 10 == 2 * usize::try_from(major % 5).unwrap()
}

async fn judge(major: i32, set: &Set) -> Figures {
    let mut databases = Databases::start(major, &set.name, &set.schema).await;
    let mut figures = Figures::default();
    for (_, case) in set.cases.iter().enumerate().filter(|(number, _)| turn(*number, major)) {
        let prepared = match databases.prepare(&case.setup).await {
            Ok(prepared) => prepared,
            Err(Unprepared::OfALaterMajor) => continue,
            Err(Unprepared::Failed(why)) => {
                println!("{major} not prepared {}: {}: {why}", case.family, case.sql);
                figures.unprepared += 1;
                continue;
            }
        };
        let claim = match sql::parse(&case.sql) {
            Ok(statements) => match statements.as_slice() {
                [statement] => analyze(statement, &prepared.catalog),
                _ => panic!("not one statement: {}", case.sql),
            },
            Err(error) => {
                let mut claim = Impact::none();
                claim.refuse("42601", error.to_string(), "");
                claim
            }
        };
        let mut facts = measure::measure(&prepared, &prepared.worker, &case.sql).await;
        if facts.is_forbidden() && claim.transaction == TransactionRule::Forbidden {
            facts = outside::measure(&mut databases, case, &claim).await;
        }
        let mut found = compare::deviations(&case.sql, &facts, &claim, &prepared.catalog);
        if !found.is_empty() && !facts.is_outside() {
            // A session that has done nothing yet also locks what others have in their caches.
            let fresh = Session::open(major, &prepared.database).await;
            facts = measure::measure(&prepared, &fresh, &case.sql).await;
            found = compare::deviations(&case.sql, &facts, &claim, &prepared.catalog);
        }
        found.retain(|(_, deviation)| !case.excuses(deviation));
        figures.statements += 1;
        let has = |fault| usize::from(found.iter().any(|(other, _)| *other == fault));
        figures.exact += usize::from(found.is_empty());
        figures.unsound += has(Fault::Unsound);
        figures.inexact += has(Fault::Inexact);
        figures.unforetold += has(Fault::Unforetold);
        for (fault, deviation) in found {
            let after =
                if case.setup.is_empty() { String::new() } else { format!(" (after {})", case.setup.join("; ")) };
            println!("{major} {fault:?} {}: {}{after}: {deviation}", case.family, case.sql);
        }
    }
    databases.stop().await;
    figures
}

#[test]
fn claims_are_what_the_server_does() {
    let only = std::env::var("WESLEY_CLAIMS_ONLY").unwrap_or_default();
    let mut sets = statements::sets();
    for set in &mut sets {
        set.cases.retain(|case| case.sql.contains(&only) || case.family == only);
    }
    let all: Vec<(String, i32, Figures)> = std::thread::scope(|scope| {
        let run = |set, major| {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(judge(major, set))
            })
        };
        let pairs = sets.iter().flat_map(|set| majors().into_iter().map(move |major| (set, major)));
        let running: Vec<_> = pairs.map(|(set, major)| (set.name.clone(), major, run(set, major))).collect();
        running.into_iter().map(|(name, major, thread)| (name, major, thread.join().unwrap())).collect()
    });
    for (set, major, figures) in &all {
        let Figures { statements, exact, unsound, inexact, unforetold, unprepared } = figures;
        println!(
            "PostgreSQL {major}, {set}: {statements} statements, {exact} exact; {unsound} unsound, {inexact} claim too much, \
             {unforetold} refusals not foretold; {unprepared} setups failed"
        );
    }
    let unsound: usize = all.iter().map(|(.., figures)| figures.unsound).sum();
    assert_eq!(unsound, 0, "claims below what the servers did: see above");
    let unprepared: usize = all.iter().map(|(.., figures)| figures.unprepared).sum();
    assert_eq!(unprepared, 0, "setups that do not run: see above");
    let sum = |of: fn(&Figures) -> usize| all.iter().map(|(.., figures)| of(figures)).sum::<usize>();
    let share = sum(|figures| figures.exact) * 1000 / sum(|figures| figures.statements).max(1);
    assert!(share >= EXACT, "{share} of a thousand claims are exact, {EXACT} wanted");
}
