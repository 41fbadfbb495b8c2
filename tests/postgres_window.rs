//! Validation steps begin inside of their window and with its guards met, on real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use jiff::{SignedDuration, Timestamp};
use run_support::{Database, end_majors};
use wesley::api::validation_window::{Guards, Question};
use wesley::catalog::introspect::introspect;
use wesley::plan::{Plan, Policy, Stage};
use wesley::run::{Options, Reason, WindowEnd};

const SETUP: &str = "create table parts(id int primary key, n int);
    insert into parts select i, i from generate_series(1, 1000) i";

/// A plan with a step of stage `Validate`.
async fn plan(database: &Database) -> Plan {
    let catalog = introspect(&database.session().await).await.unwrap();
    let statements = wesley::sql::parse("alter table parts add constraint positive check (n > 0)").unwrap();
    let policy = Policy { in_place_bytes: 0, ..Policy::default() };
    let plan = wesley::plan::plan(&statements, &catalog, &policy).unwrap();
    assert!(plan.steps.iter().any(|step| step.stage == Stage::Validate), "{plan:#?}");
    plan
}

fn window(seconds: i64, cancel: bool) -> Options {
    let closes_at = Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
    Options { window: Some(WindowEnd { closes_at, longest_seconds: i64::MAX, cancel }), ..Options::default() }
}

fn guarded(guards: Guards) -> Options {
    Options { guards: Some(guards), ..window(3_600, false) }
}

async fn valid(database: &Database) -> bool {
    let query = "select coalesce(bool_and(convalidated), false) from pg_constraint where conname = 'positive'";
    database.client.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn nothing_validates_after_the_window_has_closed() {
    for major in end_majors() {
        let database = Database::create("window_closed", major, SETUP).await;
        let plan = plan(&database).await;
        for cancel in [true, false] {
            let late = database.apply_with("parts", &plan, &window(-1, cancel), &()).await;
            assert_eq!((late.reason(), late.next_stage), (Reason::Paused, Some(Stage::Validate)), "{major}");
            assert!(!valid(&database).await);
        }
        let open = database.apply_with("parts", &plan, &window(3_600, true), &()).await;
        assert_eq!(open.reason(), Reason::Done, "{major}: {:?}", open.ending);
        assert!(valid(&database).await);
        database.drop().await;
    }
}

#[tokio::test]
async fn a_validation_that_does_not_fit_behind_another_does_not_begin() {
    for major in end_majors() {
        let database = Database::create("window_rest", major, SETUP).await;
        let catalog = introspect(&database.session().await).await.unwrap();
        let sql = "alter table parts add constraint positive check (n > 0); alter table parts add constraint small check (n < 9999)";
        let policy = Policy { in_place_bytes: 0, ..Policy::default() };
        let mut plan = wesley::plan::plan(&wesley::sql::parse(sql).unwrap(), &catalog, &policy).unwrap();
        let last = plan.steps.iter_mut().rfind(|step| step.stage == Stage::Validate).unwrap();
        last.estimate.seconds_least = 7_200;
        for cancel in [true, false] {
            let outcome = database.apply_with("parts", &plan, &window(3_600, cancel), &()).await;
            assert_eq!((outcome.reason(), outcome.next_stage), (Reason::Paused, Some(Stage::Validate)), "{major}");
            assert!(valid(&database).await, "{major}: the first one fits");
            let query = "select convalidated from pg_constraint where conname = 'small'";
            assert!(!database.client.query_one(query, &[]).await.unwrap().get::<_, bool>(0), "{major} {cancel}");
        }
        let never = WindowEnd { longest_seconds: 3_600, ..window(3_600, false).window.unwrap() };
        let options = Options { window: Some(never), ..Options::default() };
        let done = database.apply_with("parts", &plan, &options, &()).await;
        assert_eq!(done.reason(), Reason::Done, "{major}: waiting would not help: {:?}", done.ending);
        database.drop().await;
    }
}

#[tokio::test]
async fn guards_say_what_they_measured_and_hold_validation_back() {
    for major in end_majors() {
        let database = Database::create("window_guards", major, SETUP).await;
        let plan = plan(&database).await;
        let question = |sql: &str| Guards {
            questions: vec![Question { name: "calm".to_owned(), sql: sql.to_owned() }],
            ..Guards::default()
        };
        let oldest = |seconds| Guards { oldest_transaction_seconds_max: Some(seconds), ..Guards::default() };

        let role: String = database.client.query_one("select current_user::text", &[]).await.unwrap().get(0);
        database.superuser().await.batch_execute(&format!("revoke pg_read_all_stats from {role}")).await.unwrap();
        let blind = database.apply_with("parts", &plan, &guarded(oldest(10)), &()).await;
        assert_eq!(blind.reason(), Reason::MissingPrivilege, "who sees nothing must not say that all is calm");
        database.superuser().await.batch_execute(&format!("grant pg_read_all_stats to {role}")).await.unwrap();

        let old = database.session().await;
        old.batch_execute("begin; select 1; select pg_sleep(1.1)").await.unwrap();
        let held = database.apply_with("parts", &plan, &guarded(oldest(0)), &()).await;
        let message = held.ending.as_ref().unwrap_err().message.clone();
        assert_eq!((held.reason(), held.exit().code()), (Reason::GuardNotMet, 20), "{message}");
        assert!(message.contains("oldestTransactionSecondsMax") && message.contains("the limit is 0"), "{message}");
        assert!(!valid(&database).await);
        old.batch_execute("rollback").await.unwrap();

        let never = database.apply_with("parts", &plan, &guarded(question("select 'canary' = 'x'")), &()).await;
        let message = never.ending.as_ref().unwrap_err().message.clone();
        assert_eq!(never.reason(), Reason::GuardNotMet);
        assert!(message.contains("calm") && !message.contains("canary"), "{message}");
        let writes =
            database.apply_with("parts", &plan, &guarded(question("delete from parts returning true")), &()).await;
        assert_eq!(writes.reason(), Reason::PreconditionFailed, "{:?}", writes.ending);
        let sneaks = "with gone as (delete from parts returning 1) select count(*) > 0 from gone";
        let sneaks = database.apply_with("parts", &plan, &guarded(question(sneaks)), &()).await;
        assert!(sneaks.ending.is_err());
        let rows: i64 = database.client.query_one("select count(*) from parts", &[]).await.unwrap().get(0);
        assert_eq!(rows, 1_000, "a question reads only");

        let calm = Guards {
            active_sessions_max: Some(1_000),
            replication_lag_seconds_max: Some(60),
            ..question("select true")
        };
        let done = database.apply_with("parts", &plan, &guarded(calm), &()).await;
        assert_eq!(done.reason(), Reason::Done, "{major}: {:?}", done.ending);
        assert!(valid(&database).await);
        database.superuser().await.batch_execute(&format!("revoke pg_read_all_stats from {role}")).await.unwrap();
        database.drop().await;
    }
}
