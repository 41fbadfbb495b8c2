//! Statements outside of transactions: the catalog decides what is done.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use run_support::plans::*;
use run_support::{Database, Recorder, end_majors};
use wesley::plan::{Action, Concurrent, LockMode, Plan, Postcondition, Stage};
use wesley::run::{Ending, Options, ProgressState, Reason};

const DEFINITION: &str = "CREATE UNIQUE INDEX orders_note ON public.orders USING btree (note)";

fn unique() -> Plan {
    let statement = concurrent("CREATE UNIQUE INDEX CONCURRENTLY orders_note ON orders (note)");
    plan(
        "u",
        vec![
            step("001-index", Stage::Validate, statement)
                .locks(&[("public.orders", LockMode::ShareUpdateExclusive)])
                .proven(valid("orders", "orders_note", DEFINITION))
                .undo(concurrent("DROP INDEX CONCURRENTLY orders_note"), absent("orders", "orders_note")),
        ],
    )
}

const INDEXES: &str = "SELECT coalesce(string_agg(c.relname || ' ' || i.indisvalid, ',' ORDER BY 1), '')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'orders'::regclass
    AND c.relname LIKE 'orders_note%'";

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_index_left_behind_is_built_again() {
    for major in end_majors() {
        let database = Database::create("invalid", major, &shop(30)).await;
        database.client.batch_execute("UPDATE orders SET note = 'same'").await.unwrap();
        let left = "CREATE UNIQUE INDEX CONCURRENTLY orders_note ON orders (note)";
        assert!(database.client.batch_execute(left).await.is_err());
        assert_eq!(database.ask::<String>(INDEXES).await, "orders_note false");
        database.client.batch_execute("UPDATE orders SET note = id").await.unwrap();
        assert_eq!(database.apply("i", &unique()).await.ending, Ok(Ending::Done), "{major}");
        assert_eq!(database.ask::<String>(INDEXES).await, "orders_note true");
        assert_eq!(database.rollback("i").await.ending, Ok(Ending::RolledBack));
        assert_eq!(database.ask::<String>(INDEXES).await, "");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_index_that_the_end_of_a_run_leaves_is_named() {
    for major in end_majors() {
        let database = Database::create("left_invalid", major, &shop(30)).await;
        let holder = database.session().await;
        // The build has its entry in the catalog when it waits for this transaction.
        holder.batch_execute("BEGIN; UPDATE orders SET note = id").await.unwrap();
        let options = Options { lock_budget: std::time::Duration::from_millis(500), ..Options::default() };
        let error = database.apply_with("l", &unique(), &options, &()).await.ending.unwrap_err();
        assert_eq!(error.reason, Reason::LockBudgetSpent, "{major} {}", error.message);
        assert_eq!(database.ask::<String>(INDEXES).await, "orders_note false");
        assert!(error.message.contains("has left the invalid index public.orders_note"), "{}", error.message);
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(database.apply("l", &unique()).await.ending, Ok(Ending::Done), "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_fail_the_step_leave_no_index_and_can_be_corrected() {
    for major in end_majors() {
        let database = Database::create("duplicates", major, &shop(30)).await;
        database.client.batch_execute("UPDATE orders SET note = 'canary'").await.unwrap();
        let error = database.apply("d", &unique()).await.ending.unwrap_err();
        assert_eq!((error.reason, error.exit().code()), (Reason::ConstraintViolated, 14), "{major}");
        assert_eq!(error.sqlstate.as_deref(), Some("23505"));
        assert!(error.message.contains("orders_note") && !error.message.contains("canary"), "{}", error.message);
        assert!(
            error.message.contains("1 key occurs more than once, the first in the rows at ctid ("),
            "{}",
            error.message
        );
        assert_eq!(database.ask::<String>(INDEXES).await, "", "{major}");
        database.client.batch_execute("UPDATE orders SET note = id").await.unwrap();
        let outcome = database.apply("d", &unique()).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_object_of_that_name_is_left_alone() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("differs", major, &shop(30)).await;
    for (name, other, says) in [
        ("a", "CREATE INDEX orders_note ON orders (note, id)", "another definition"),
        ("b", "CREATE INDEX orders_note ON customers (name)", "another table, public.customers"),
        ("c", "CREATE SEQUENCE orders_note", "no index"),
    ] {
        database.client.batch_execute(other).await.unwrap();
        let picture = database.picture().await;
        let error = database.apply(name, &unique()).await.ending.unwrap_err();
        assert_eq!((error.reason, error.exit().code()), (Reason::ObjectDiffers, 13));
        assert!(error.message.contains(says), "{}", error.message);
        assert_eq!(database.rollback(name).await.ending, Ok(Ending::RolledBack));
        assert_eq!(database.picture().await, picture, "{other}");
        let kind = if name == "c" { "SEQUENCE" } else { "INDEX" };
        database.client.batch_execute(&format!("DROP {kind} orders_note")).await.unwrap();
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_is_not_undone() {
    let major = *end_majors().first().unwrap();
    let database = Database::create("adopted", major, &shop(30)).await;
    database.client.batch_execute("CREATE UNIQUE INDEX orders_note ON orders USING btree (note)").await.unwrap();
    let outcome = database.apply("a", &unique()).await;
    assert_eq!((outcome.ending, outcome.rollback.unwrap().steps), (Ok(Ending::Done), 0));
    assert_eq!(database.rollback("a").await.ending, Ok(Ending::RolledBack));
    assert_eq!(database.ask::<String>(INDEXES).await, "orders_note true");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_is_waited_for_and_named() {
    for major in end_majors() {
        let database = Database::create("snapshot", major, &shop(30)).await;
        database.client.batch_execute("UPDATE orders SET note = id").await.unwrap();
        let holder = database.session().await;
        holder.batch_execute("SET application_name = 'report'; BEGIN; UPDATE orders SET amount = 1").await.unwrap();
        let recorder = Recorder::default();
        let runtime = tokio::runtime::Handle::current();
        let copy = recorder.clone();
        let observer = move |progress: &wesley::run::Progress| {
            use wesley::run::Observer;
            copy.progress(progress);
            if progress.blockers.iter().any(|blocker| blocker.application == "report") {
                tokio::task::block_in_place(|| runtime.block_on(holder.batch_execute("COMMIT"))).unwrap();
            }
        };
        let outcome = database.apply_with("l", &unique(), &Options::default(), &observer).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        let named = recorder.all().iter().any(|p| p.state == ProgressState::Waiting && !p.blockers.is_empty());
        assert!(named, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_dropped_outside_a_transaction_comes_back() {
    for major in end_majors() {
        let setup = format!("{}; CREATE INDEX orders_note ON orders (note)", shop(30));
        let database = Database::create("dropped", major, &setup).await;
        let before = database.picture().await;
        let definition = "CREATE INDEX orders_note ON public.orders USING btree (note)";
        let drop = step("001-drop", Stage::Contract, concurrent("DROP INDEX CONCURRENTLY orders_note"))
            .locks(&[("public.orders", LockMode::ShareUpdateExclusive)])
            .proven(absent("orders", "orders_note"))
            .undo(
                concurrent("CREATE INDEX CONCURRENTLY orders_note ON public.orders USING btree (note)"),
                valid("orders", "orders_note", definition),
            );
        let way = plan("d", vec![drop]);
        assert_eq!(database.apply("d", &way).await.ending, Ok(Ending::Done));
        assert_eq!(database.ask::<String>(INDEXES).await, "");
        assert_eq!(database.rollback("d").await.ending, Ok(Ending::RolledBack));
        assert_eq!(database.picture().await, before, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detach_that_stopped_half_way_is_finished() {
    for major in end_majors() {
        let setup = "CREATE TABLE events (at integer, v text) PARTITION BY RANGE (at);
             CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10)";
        let database = Database::create("detach", major, setup).await;
        let detach = "ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY";
        let action = Action::Concurrent(Concurrent {
            statement: detach.into(),
            repair: Some("ALTER TABLE events DETACH PARTITION events_1 FINALIZE".into()),
        });
        let gone = "SELECT NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'events_1'::regclass)";
        let way = plan(
            "d",
            vec![
                step("001-detach", Stage::Switch, action)
                    .locks(&[
                        ("public.events", LockMode::ShareUpdateExclusive),
                        ("public.events_1", LockMode::AccessExclusive),
                    ])
                    .proven(Postcondition::Query(gone.into())),
            ],
        );
        // A reader keeps the second half waiting until the time is up; then the run is taken up without it.
        let holder = database.session().await;
        holder.batch_execute("BEGIN; SELECT * FROM events").await.unwrap();
        let options = Options { lock_budget: std::time::Duration::from_secs(2), ..Options::default() };
        let error = database.apply_with("d", &way, &options, &()).await.ending.unwrap_err();
        assert_eq!(error.reason, Reason::LockBudgetSpent, "{major}: {}", error.message);
        let pending: bool = database.ask("SELECT inhdetachpending FROM pg_inherits").await;
        assert!(pending, "{major}");
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(database.apply("d", &way).await.ending, Ok(Ending::Done), "{major}");
        assert!(database.ask::<bool>(gone).await);
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rebuild_left_behind_is_removed_by_the_next() {
    for major in end_majors() {
        let setup = format!("{}; CREATE INDEX orders_note ON orders (note)", shop(30));
        let database = Database::create("rebuilt", major, &setup).await;
        let before = database.picture().await;
        let (holder, other) = (database.session().await, database.session().await);
        holder.batch_execute("BEGIN; UPDATE orders SET amount = 1 WHERE id = 1").await.unwrap();
        other.batch_execute("SET lock_timeout = '50ms'").await.unwrap();
        for _ in 0..2 {
            other.batch_execute("REINDEX INDEX CONCURRENTLY orders_note").await.unwrap_err();
        }
        holder.batch_execute("ROLLBACK").await.unwrap();
        assert!(database.ask::<String>(INDEXES).await.contains("orders_note_ccnew"), "{major}: nothing is left behind");
        let rebuild = step("001", Stage::Expand, concurrent("REINDEX INDEX CONCURRENTLY public.orders_note"))
            .locks(&[("public.orders", LockMode::ShareUpdateExclusive)]);
        assert_eq!(database.apply("r", &plan("r", vec![rebuild])).await.ending, Ok(Ending::Done), "{major}");
        assert_eq!(database.picture().await, before, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_waits_tells_its_phase() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("phase", major, &shop(30)).await;
    database.client.batch_execute("UPDATE orders SET note = id").await.unwrap();
    let holder = database.session().await;
    holder.batch_execute("BEGIN; UPDATE orders SET amount = 1 WHERE id = 1").await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let seen = std::sync::atomic::AtomicBool::new(false);
    let look = |progress: &wesley::run::Progress| {
        let phase = progress.detail.as_deref().unwrap_or_default();
        if phase.starts_with("waiting for writers") && !seen.swap(true, std::sync::atomic::Ordering::SeqCst) {
            assert_eq!((progress.state, progress.blockers.len()), (ProgressState::Waiting, 1));
            tokio::task::block_in_place(|| runtime.block_on(holder.batch_execute("COMMIT"))).unwrap();
        }
    };
    let outcome = database.apply_with("p", &unique(), &Options::default(), &look).await;
    assert_eq!(outcome.ending, Ok(Ending::Done));
    assert!(seen.into_inner());
    database.drop().await;
}
