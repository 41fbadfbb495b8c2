//! What the role may not do is found before the first step, with the statement that grants it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use run_support::plans::*;
use run_support::{Database, end_majors};
use wesley::plan::{Plan, Stage};
use wesley::run::connect::Settings;
use wesley::run::{Ending, Options, Reason, Request, RunError, apply};

const SETUP: &str = "CREATE TABLE t (a int); CREATE SEQUENCE s; CREATE SCHEMA inner_schema;
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'";

/// A statement, what a role that lacks its privilege is told, and who then grants it.
const CASES: &[(&str, &str)] = &[
    ("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", "GRANT TRIGGER ON t TO run_guest"),
    ("TRUNCATE t", "GRANT TRUNCATE ON t TO run_guest"),
    ("GRANT SELECT ON t TO run_reader", "GRANT SELECT ON t TO run_guest WITH GRANT OPTION"),
    ("REVOKE SELECT ON t FROM run_reader", "GRANT SELECT ON t TO run_guest WITH GRANT OPTION"),
    ("GRANT USAGE ON SEQUENCE s TO run_reader", "GRANT USAGE ON s TO run_guest WITH GRANT OPTION"),
    (
        "GRANT USAGE ON SCHEMA inner_schema TO run_reader",
        "GRANT USAGE ON SCHEMA inner_schema TO run_guest WITH GRANT OPTION",
    ),
];

async fn guest(database: &Database) -> Settings {
    let admin = database.superuser().await;
    admin
        .batch_execute(&format!(
            "DO $$ BEGIN CREATE ROLE run_guest LOGIN PASSWORD 'postgres';
                EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
             DO $$ BEGIN CREATE ROLE run_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
             GRANT CREATE ON DATABASE {} TO run_guest; GRANT USAGE ON SCHEMA public TO run_guest",
            database.name
        ))
        .await
        .unwrap();
    Settings::from_url(&database.url().replace("run_owner", "run_guest")).unwrap()
}

fn one(statement: &str) -> Plan {
    plan(statement, vec![step("001", Stage::Expand, transaction(&[statement]))])
}

async fn run(settings: &Settings, name: &str, statement: &str) -> Result<Ending, RunError> {
    apply(settings, name, Request::Start(Box::new(one(statement))), &Options::default(), &()).await.ending
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_is_named_and_what_is_named_is_enough() {
    for major in end_majors() {
        let database = Database::create("missing", major, SETUP).await;
        let guest = guest(&database).await;
        for (number, (statement, grant)) in CASES.iter().enumerate() {
            let name = format!("n{number}");
            let error = run(&guest, &name, statement).await.unwrap_err();
            assert_eq!((error.reason, error.step), (Reason::MissingPrivilege, None), "{major} {statement}");
            assert!(error.message.contains(grant), "{statement}: {}", error.message);
            database.client.batch_execute(grant).await.unwrap();
            assert_eq!(run(&guest, &name, statement).await, Ok(Ending::Done), "{major} {statement}");
            database.client.batch_execute(&grant_back(grant)).await.unwrap();
        }
        for (statement, told) in [
            ("ALTER TABLE t FORCE ROW LEVEL SECURITY", "run_guest is not the owner of t"),
            ("CREATE POLICY p ON t", "run_guest is not the owner of t"),
            ("CREATE PUBLICATION p FOR TABLE t", "run_guest is not the owner of t"),
            ("CREATE PUBLICATION p FOR ALL TABLES", "run_guest is not a superuser"),
            ("ALTER PUBLICATION owned DROP TABLE t", "the publication owned belongs to run_owner"),
        ] {
            let _ = database.client.batch_execute("CREATE PUBLICATION owned FOR TABLE t").await;
            let error = run(&guest, "p", statement).await.unwrap_err();
            assert_eq!((error.reason, error.step), (Reason::MissingPrivilege, None), "{major} {statement}");
            assert!(error.message.contains(told), "{statement}: {}", error.message);
        }
        database.drop().await;
    }
}

fn grant_back(grant: &str) -> String {
    let taken = grant.replace("GRANT ", "REVOKE ").replace(" WITH REVOKE OPTION", "").replace(" WITH GRANT OPTION", "");
    taken.replace(" TO run_guest", " FROM run_guest") + " CASCADE"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_grants_nothing_is_no_success() {
    for major in end_majors() {
        let database = Database::create("granted", major, SETUP).await;
        let guest = guest(&database).await;
        // What the statement is about, only the server tells: it grants nothing, warns, and calls it done.
        database.client.batch_execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO run_guest").await.unwrap();
        for statement in [
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO run_reader",
            "REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM run_reader",
        ] {
            let error = run(&guest, "n", statement).await.unwrap_err();
            assert_eq!(error.step.as_deref(), Some("001"), "{major} {statement}");
            assert!(matches!(error.sqlstate.as_deref(), Some("01007" | "01006")), "{major} {:?}", error.sqlstate);
            assert!(error.message.contains("grant option"), "{}", error.message);
        }
        database.drop().await;
    }
}
