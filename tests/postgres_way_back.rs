//! Rollbacks that rows stand in the way of: found out before anything is undone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use run_support::{Database, end_majors};
use wesley::catalog::introspect::introspect;
use wesley::plan::{HazardId, Plan, Policy};
use wesley::run::{Ending, Gates, Options, Reason, RunState, status};

const NO_CONTRACT: Gates = Gates { validate: true, contract: false };

async fn planned(database: &Database, change: &str) -> Plan {
    use strum::IntoEnumIterator;
    let catalog = introspect(&database.client).await.unwrap();
    let policy = Policy { allowed: HazardId::iter().collect(), in_place_bytes: 0 };
    wesley::plan::plan(&wesley::sql::parse(change).unwrap(), &catalog, &policy).unwrap()
}

/// What a rollback is refused with, and that nothing of the run has changed by it.
async fn refused(database: &Database, name: &str) -> String {
    let before = (database.picture().await, database.steps(name).await);
    let state = status(&database.client, Some(name)).await.unwrap().remove(0);
    let told = state.rollback.unwrap().reason;
    assert!(told.contains("a rollback is refused at this moment"), "{told}");
    let error = database.rollback(name).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::RollbackBlocked, 11), "{}", error.message);
    assert_eq!((database.picture().await, database.steps(name).await), before);
    assert_eq!(status(&database.client, Some(name)).await.unwrap()[0].state, state.state);
    error.message
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_the_former_type_are_found_before_anything_is_undone() {
    for major in end_majors() {
        for partitioned in [false, true] {
            let table = if partitioned {
                "CREATE TABLE t (id int NOT NULL, v int) PARTITION BY RANGE (v);
                 CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
                 CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (1000) TO (3000);"
            } else {
                "CREATE TABLE t (id int PRIMARY KEY, v int);"
            };
            let setup = format!("{table} INSERT INTO t SELECT g, g FROM generate_series(1, 2000) g");
            let database = Database::create("former_type", major, &setup).await;
            let before = database.picture().await;
            let plan = planned(&database, "ALTER TABLE t ALTER id TYPE bigint").await;
            let open = Options { gates: NO_CONTRACT, ..Options::default() };
            let ending = database.apply_with("n", &plan, &open, &()).await.ending;
            assert!(matches!(ending, Ok(Ending::Paused(_))), "{ending:?}");
            let large = "INSERT INTO t (id, v) VALUES (3000000000, 2001)";
            database.client.batch_execute(large).await.unwrap();
            let told = refused(&database, "n").await;
            assert!(told.contains("the row at ctid (") && !told.contains("3000000000"), "{told}");

            // Forward is still open, and then the old column is gone.
            assert_eq!(database.apply("n", &plan).await.ending, Ok(Ending::Done), "{major} {partitioned}");
            let told = refused(&database, "n").await;
            let place: String =
                database.ask("SELECT format('%s of %s', ctid, tableoid::regclass) FROM t WHERE id = 3000000000").await;
            assert!(told.contains(&place) && told.contains("22003"), "{told} {place}");

            database.client.batch_execute("DELETE FROM t WHERE id = 3000000000").await.unwrap();
            let state = status(&database.client, Some("n")).await.unwrap().remove(0).rollback.unwrap();
            assert!(!state.reason.contains("refused"), "{}", state.reason);
            let back = database.rollback("n").await.ending;
            assert_eq!(back, Ok(Ending::RolledBack), "{major} {partitioned}");
            let same = |picture: &str| picture.matches("integer").count();
            assert_eq!(same(&database.picture().await), same(&before), "{major} {partitioned}");
            database.drop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_that_come_back_are_asked_for_before_anything_is_undone() {
    for major in end_majors() {
        let setup = "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1);
            CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, w int CONSTRAINT t_w CHECK (w > 0),
                u int CONSTRAINT t_u UNIQUE, f int CONSTRAINT t_f REFERENCES p);
            INSERT INTO t SELECT g, g, g, g, 1 FROM generate_series(1, 100) g";
        for (change, row) in [
            ("ALTER TABLE t ALTER v DROP NOT NULL", "INSERT INTO t VALUES (101, NULL, 101, 101, 1)"),
            ("ALTER TABLE t DROP CONSTRAINT t_w", "INSERT INTO t VALUES (101, 101, -1, 101, 1)"),
            ("ALTER TABLE t DROP CONSTRAINT t_u", "INSERT INTO t VALUES (101, 101, 101, 100, 1)"),
            ("ALTER TABLE t DROP CONSTRAINT t_f", "INSERT INTO t VALUES (101, 101, 101, 101, 2)"),
            // What comes first on the way back does not change the rows in question.
            (
                "ALTER TABLE t ALTER v DROP NOT NULL; ALTER TABLE t ADD COLUMN x int; CREATE INDEX ON t (w)",
                "INSERT INTO t VALUES (101, NULL, 101, 101, 1)",
            ),
        ] {
            let database = Database::create("comes_back", major, setup).await;
            let before = database.picture().await;
            let plan = planned(&database, change).await;
            assert_eq!(database.apply("n", &plan).await.ending, Ok(Ending::Done), "{major} {change}");
            database.client.batch_execute(row).await.unwrap();
            refused(&database, "n").await;
            assert_eq!(status(&database.client, Some("n")).await.unwrap()[0].state, RunState::Done);
            database.client.batch_execute("DELETE FROM t WHERE id = 101").await.unwrap();
            assert_eq!(database.rollback("n").await.ending, Ok(Ending::RolledBack), "{major} {change}");
            assert_eq!(database.picture().await, before, "{major} {change}");
            database.drop().await;
        }
    }
}
