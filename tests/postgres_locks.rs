//! Waiting for locks, privileges, and servers that cannot be worked with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use run_support::plans::*;
use run_support::{Database, Recorder, end_majors};
use wesley::plan::{LockMode, Plan, Stage};
use wesley::run::connect::Settings;
use wesley::run::{Ending, Options, Progress, ProgressState, Reason, RunOutcome, Terminate};

fn add_column() -> Plan {
    let statement = transaction(&["ALTER TABLE orders ADD COLUMN a integer"]);
    let locks = [("public.orders", LockMode::AccessExclusive)];
    plan("a", vec![step("001-add", Stage::Expand, statement).locks(&locks)])
}

fn two_tables() -> Plan {
    let statement = transaction(&["ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID"]);
    let locks = [("public.customers", LockMode::ShareRowExclusive), ("public.orders", LockMode::ShareRowExclusive)];
    plan("f", vec![step("001-key", Stage::Expand, statement).locks(&locks)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_and_its_holder_named() {
    for major in end_majors() {
        for way in [add_column(), two_tables()] {
            let database = Database::create("contended", major, &shop(10)).await;
            let holder = database.session().await;
            holder.batch_execute("SET application_name = 'shop'; BEGIN; UPDATE orders SET note = 'x'").await.unwrap();
            let runtime = tokio::runtime::Handle::current();
            let seen = AtomicU32::new(0);
            let release = |progress: &Progress| {
                let named = progress.blockers.iter().any(|blocker| blocker.application == "shop");
                // Several reports have to pass, so that waiting on is what is tested.
                if progress.state == ProgressState::Waiting && named && seen.fetch_add(1, Ordering::SeqCst) == 4 {
                    tokio::task::block_in_place(|| runtime.block_on(holder.batch_execute("COMMIT"))).unwrap();
                }
            };
            let outcome = database.apply_with("w", &way, &Options::default(), &release).await;
            assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
            assert!(seen.load(Ordering::SeqCst) > 4);
            database.drop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_from_outside_comes_back_when_its_connection_is_lost() {
    for major in end_majors() {
        let database = Database::create("watcher_lost", major, &shop(10)).await;
        let (holder, admin) = (database.session().await, database.superuser().await);
        // A lock that is waited for inside the server, where only a second connection sees who has it.
        holder.batch_execute("SET application_name = 'shop'; BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
        let runtime = tokio::runtime::Handle::current();
        let (named, lost, after) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let observer = |progress: &Progress| {
            let run = |sql: &str| tokio::task::block_in_place(|| runtime.block_on(admin.batch_execute(sql))).unwrap();
            if !progress.blockers.iter().any(|blocker| blocker.application == "shop") {
                return;
            }
            if lost.load(Ordering::SeqCst) == 0 && named.fetch_add(1, Ordering::SeqCst) == 1 {
                lost.store(1, Ordering::SeqCst);
                // The watcher is the one that has asked last who blocks whom.
                run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                     AND application_name LIKE 'wesley/%' AND query LIKE '%pg_blocking_pids%'");
            } else if lost.load(Ordering::SeqCst) == 1 && after.fetch_add(1, Ordering::SeqCst) == 1 {
                tokio::task::block_in_place(|| runtime.block_on(holder.batch_execute("COMMIT"))).unwrap();
            }
        };
        // Index builds wait in the queue, for nobody queues behind them.
        let index =
            step("001-index", Stage::Validate, concurrent("CREATE INDEX CONCURRENTLY orders_n ON orders (note)"));
        let index = index.proven(valid("orders", "orders_n", ""));
        let outcome = database.apply_with("w", &plan("i", vec![index]), &Options::default(), &observer).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        assert_eq!(lost.load(Ordering::SeqCst), 1, "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_one_connection_can_work() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("one_connection", major, &shop(10)).await;
    let admin = database.superuser().await;
    let name = &database.name;
    admin.batch_execute(&format!("ALTER DATABASE {name} CONNECTION LIMIT 3")).await.unwrap();
    // Two sessions are the test's own: one is left for the run.
    assert_eq!(database.apply("w", &everything()).await.ending, Ok(Ending::Done));
    let error = {
        let _second = database.session().await;
        database.apply("x", &add_column()).await.ending.unwrap_err()
    };
    assert_eq!(error.reason, Reason::TooManyConnections);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_transaction_holds_the_table_nobody_stands_in_the_queue() {
    for major in end_majors() {
        let database = Database::create("outside", major, &shop(10)).await;
        let (settings, options, recorder) = (database.settings(), Options::default(), Recorder::default());
        let (request, told) = (wesley::run::Request::Start(Box::new(two_tables_and_a_column())), recorder.clone());
        let run = async move { wesley::run::apply(&settings, "o", request, &options, &told).await };
        assert_eq!(stays_out(&database, run, &recorder).await.ending, Ok(Ending::Done), "{major}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_transaction_holds_the_table_no_rollback_stands_in_the_queue() {
    for major in end_majors() {
        let database = Database::create("outside_back", major, &shop(10)).await;
        let before = database.picture().await;
        let catalog = wesley::catalog::introspect::introspect(&database.client).await.unwrap();
        let change = wesley::sql::parse("ALTER TABLE orders ADD COLUMN a integer; CREATE INDEX ON orders (a)").unwrap();
        let plan = wesley::plan::plan(&change, &catalog, &wesley::plan::Policy::default()).unwrap();
        assert_eq!(database.apply("o", &plan).await.ending, Ok(Ending::Done), "{major}");
        let (settings, options, recorder) = (database.settings(), Options::default(), Recorder::default());
        let told = recorder.clone();
        let run = async move { wesley::run::rollback(&settings, "o", &options, &told).await };
        assert_eq!(stays_out(&database, run, &recorder).await.ending, Ok(Ending::RolledBack), "{major}");
        assert_eq!(database.picture().await, before, "{major}");
        database.drop().await;
    }
}

/// What the run comes to when a cursor is open on `orders`, as of a report or of `pg_dump`, until it has been seen for a
/// second that nobody is in the queue for the table.
async fn stays_out(
    database: &Database,
    run: impl Future<Output = RunOutcome> + Send + 'static,
    recorder: &Recorder,
) -> RunOutcome {
    let (holder, other) = (database.session().await, database.session().await);
    holder.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT * FROM orders; FETCH 1 FROM c").await.unwrap();
    let run = tokio::spawn(run);
    while !recorder.all().iter().any(|progress| progress.state == ProgressState::Waiting) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..100 {
        let queued: i64 = other
            .query_one("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(queued, 0, "{}", database.major);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!run.is_finished());
    holder.batch_execute("COMMIT").await.unwrap();
    run.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_the_table_is_ended_where_the_policy_says_so() {
    for major in end_majors() {
        let database = Database::create("terminate", major, &shop(10)).await;
        let (idle, admin) = (database.session().await, database.superuser().await);
        for holder in [&idle, &admin] {
            holder.batch_execute("BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE").await.unwrap();
        }
        let soon = Some(Duration::from_millis(1));
        let (never, recorder) = (Options::default().terminate, Recorder::default());
        let told = |text: &str| recorder.all().iter().any(|p| p.detail.as_deref().is_some_and(|d| d.contains(text)));
        // The states of a superuser's sessions are not visible: it goes only where any may go, and not by this role.
        for (terminate, ends) in
            [(Terminate { idle_after: soon, ..never }, true), (Terminate { any_after: soon, ..never }, false)]
        {
            let options = Options { terminate, lock_budget: Duration::from_millis(500), ..Options::default() };
            let error = database.apply_with("w", &add_column(), &options, &recorder).await.ending.unwrap_err();
            assert_eq!(error.reason, Reason::LockBudgetSpent, "{major}");
            assert_eq!((told("ended pid"), told("GRANT pg_signal_backend")), (true, !ends), "{major}");
            assert!(idle.batch_execute("COMMIT").await.is_err(), "{major}: the session is still there");
        }
        admin.batch_execute("COMMIT").await.unwrap();
        assert_eq!(database.apply("w", &add_column()).await.ending, Ok(Ending::Done), "{major}");
        database.drop().await;
    }
}

fn two_tables_and_a_column() -> Plan {
    let statements = transaction(&[
        "ALTER TABLE orders ADD COLUMN a integer",
        "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID",
    ]);
    let locks = [("public.customers", LockMode::ShareRowExclusive), ("public.orders", LockMode::AccessExclusive)];
    plan("o", vec![step("001", Stage::Expand, statements).locks(&locks)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_names_the_holder_and_changes_nothing() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("budget", major, &shop(10)).await;
    let holder = database.session().await;
    holder.batch_execute("SET application_name = 'shop'; BEGIN; SELECT 'canary' FROM orders").await.unwrap();
    let options = Options { lock_budget: Duration::from_secs(1), ..Options::default() };
    let picture = database.picture().await;
    let error = database.apply_with("w", &add_column(), &options, &()).await.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::LockBudgetSpent, 20));
    assert!(error.message.contains("(shop), idle in transaction"), "{}", error.message);
    assert!(!error.message.contains("canary"));
    assert_eq!(database.picture().await, picture);
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(database.apply("w", &add_column()).await.ending, Ok(Ending::Done));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_let_through_while_a_blocking_lock_is_waited_for() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("readers", major, &shop(10)).await;
    let (holder, reader) = (database.session().await, database.session().await);
    holder.batch_execute("BEGIN; UPDATE orders SET note = 'x'").await.unwrap();
    let (settings, options) = (database.settings(), Options::default());
    let token = options.interrupt.clone();
    let request = wesley::run::Request::Start(Box::new(add_column()));
    let run = tokio::spawn(async move { wesley::run::apply(&settings, "w", request, &options, &()).await });
    // While the holder never lets go, every read must come through: a request that stays in the queue would
    // stop the first one that meets it for ever.
    for _ in 0..200 {
        reader.query("SELECT * FROM orders", &[]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!run.is_finished());
    token.cancel();
    assert_eq!(run.await.unwrap().ending.unwrap_err().reason, Reason::Interrupted);
    holder.batch_execute("ROLLBACK").await.unwrap();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_role_and_database_have_set_does_not_matter() {
    for major in end_majors() {
        let database = Database::create("settings", major, &shop(300)).await;
        let admin = database.superuser().await;
        let name = &database.name;
        for setting in [
            "statement_timeout = '20ms'",
            "lock_timeout = '1ms'",
            "default_transaction_isolation = 'serializable'",
            "DateStyle = 'German, DMY'",
            "extra_float_digits = -5",
            "search_path = public",
        ] {
            admin.batch_execute(&format!("ALTER DATABASE {name} SET {setting}")).await.unwrap();
        }
        let outcome = database.apply("w", &everything()).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        assert_eq!(database.rollback("w").await.ending, Ok(Ending::RolledBack), "{major}");
        // But for this one, which says that nothing shall be written.
        admin.batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await.unwrap();
        let refused = database.apply("again", &everything()).await.ending.unwrap_err();
        assert_eq!(refused.reason, Reason::ReadOnly, "{major}");
        assert!(refused.message.contains("default_transaction_read_only"), "{}", refused.message);
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_is_named_with_the_statement_that_grants_it() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("privileges", major, &shop(10)).await;
    let admin = database.superuser().await;
    admin
        .batch_execute(&format!(
            "DO $$ BEGIN CREATE ROLE run_guest LOGIN PASSWORD 'postgres'; EXCEPTION WHEN duplicate_object THEN END $$;
             REVOKE CREATE ON DATABASE {} FROM run_guest",
            database.name
        ))
        .await
        .unwrap();
    let url = database.url().replace("run_owner", "run_guest");
    let guest = Settings::from_url(&url).unwrap();
    let request = || wesley::run::Request::Start(Box::new(add_column()));
    let outcome = wesley::run::apply(&guest, "g", request(), &Options::default(), &()).await;
    let error = outcome.ending.unwrap_err();
    assert_eq!((error.reason, error.exit().code()), (Reason::MissingPrivilege, 12));
    let grant = format!("GRANT CREATE ON DATABASE {} TO run_guest", database.name);
    assert!(error.message.contains(&grant), "{}", error.message);

    admin.batch_execute(&grant).await.unwrap();
    let error = wesley::run::apply(&guest, "g", request(), &Options::default(), &()).await.ending.unwrap_err();
    assert_eq!((error.reason, error.sqlstate.as_deref()), (Reason::MissingPrivilege, Some("42501")));
    assert!(error.message.contains("GRANT run_owner TO run_guest"), "{}", error.message);
    let rows = plan("r", vec![step("001", Stage::Backfill, backfill("orders", &["id"], ("note", "note"), None))]);
    let request_rows = wesley::run::Request::Start(Box::new(rows));
    let error = wesley::run::apply(&guest, "r", request_rows, &Options::default(), &()).await.ending.unwrap_err();
    assert!(error.message.contains("GRANT UPDATE ON orders TO run_guest"), "{}", error.message);

    let needs = plan(
        "n",
        vec![
            step("001", Stage::Expand, transaction(&["CREATE TABLE public.remarks (id int)"])),
            step("002", Stage::Expand, transaction(&["INSERT INTO customers VALUES (99, 'x')"])),
        ],
    );
    let request_needs = wesley::run::Request::Start(Box::new(needs));
    admin.batch_execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await.unwrap();
    let error = wesley::run::apply(&guest, "n", request_needs, &Options::default(), &()).await.ending.unwrap_err();
    assert!(error.message.contains("GRANT CREATE ON SCHEMA public TO run_guest"), "{}", error.message);
    assert!(error.message.contains("GRANT INSERT ON customers TO run_guest"), "{}", error.message);

    // The ledger is the guest's now: another role could be tricked by what stands in it.
    let error = database.apply("o", &add_column()).await.ending.unwrap_err();
    assert_eq!(error.reason, Reason::MissingPrivilege);
    assert!(error.message.contains("run_guest"), "{}", error.message);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_errors_have_their_reasons() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("refusals", major, "").await;
    let (url, closed) = (database.url(), database.url_at(1));
    for (url, reason, exit) in [
        (url.replace(":postgres@", ":wrong@"), Reason::AuthenticationFailed, 12),
        (url.replace(&database.name, "run_no_such"), Reason::DatabaseNotFound, 11),
        (closed, Reason::Unreachable, 75),
    ] {
        let settings = Settings::from_url(&url).unwrap();
        let request = wesley::run::Request::Start(Box::new(add_column()));
        let recorder = Recorder::default();
        let error =
            wesley::run::apply(&settings, "c", request, &Options::default(), &recorder).await.ending.unwrap_err();
        assert_eq!((error.reason, error.exit().code()), (reason, exit), "{}", error.message);
        assert!(!error.message.contains("wrong"));
        assert_eq!(recorder.all().last().unwrap().summary.as_ref().unwrap().result, reason);
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_statement_that_is_not_short_is_given_up() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("short", major, &shop(10)).await;
    let slow = plan("s", vec![step("001", Stage::Expand, transaction(&["SELECT pg_sleep(60)"]))]);
    let options = Options { short_statement: Duration::from_millis(20), ..Options::default() };
    let error = database.apply_with("s", &slow, &options, &()).await.ending.unwrap_err();
    assert_eq!((error.reason, error.sqlstate.as_deref()), (Reason::StatementTimeout, Some("57014")));
    database.drop().await;
}

/// Autovacuum gives way only to who waits longer than `deadlock_timeout`, which a slice never does.
#[tokio::test(flavor = "multi_thread")]
async fn autovacuum_is_made_to_give_way() {
    for major in end_majors() {
        // A worker that looks at its tables every second, and one that is slow once it has begun.
        let settings =
            "autovacuum_naptime = '1s'\nautovacuum_vacuum_cost_delay = '100ms'\nautovacuum_vacuum_cost_limit = 1";
        let server = run_support::server::Server::start(major, settings).await;
        let setup = format!("{}; DELETE FROM orders WHERE id % 2 = 0", shop(100_000));
        server.shop(&setup).await;
        let client = server.admin("shop").await;
        let running = "SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE relid = 'orders'::regclass)";
        while !client.query_one(running, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let recorder = Recorder::default();
        let settings = Settings::from_url(&server.url("owner", "shop")).unwrap();
        let request = wesley::run::Request::Start(Box::new(add_column()));
        let options = Options { lock_budget: Duration::from_secs(60), ..Options::default() };
        let outcome = wesley::run::apply(&settings, "v", request, &options, &recorder).await;
        assert_eq!(outcome.ending, Ok(Ending::Done), "{major}");
        let seen = recorder.all().iter().any(|p| p.blockers.iter().any(|blocker| blocker.autovacuum));
        assert!(seen, "{major}: autovacuum was never in the way");
    }
}
