//! The simulation of statements against servers: what the model says a statement does to the schema is what
//! introspection finds after the server has run it.
//!
//! The oracle's cases are no part of the repository: `WESLEY_ORACLE` names the folder with `cases.json` and
//! `fixture.sql` (default: `shared/oracle` beside the repository). Without it only the histories are compared.
//! `WESLEY_ORACLE_ONLY` picks cases by the beginnings of their ids, separated by commas; `WESLEY_ORACLE_ALL=1` takes
//! all of them on every major, not a fifth on each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod histories;
mod oracle;
mod server;

fn majors() -> Vec<i32> {
    let majors = std::env::var("WESLEY_TEST_MAJORS").unwrap_or_else(|_| "14,15,16,17,18".to_owned());
    majors.split(',').map(|major| major.trim().parse().unwrap()).collect()
}

/// Runs `body` for every major, each in a thread of its own, and gives what they return.
fn on_every_major<T: Send>(body: impl AsyncFn(i32) -> T + Sync) -> Vec<T> {
    let body = &body;
    std::thread::scope(|scope| {
        let run = |major| {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(body(major))
            })
        };
        let running: Vec<_> = majors().into_iter().map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
