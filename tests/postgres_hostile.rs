//! SQL that tries to be more than a schema change: what `docs/threat-model.md` says about it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use run_support::{Database, end_majors};
use wesley::catalog::introspect::introspect;
use wesley::plan::{HazardId, Policy};
use wesley::run::Reason;

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// There is no plan for it.
    NotPlanned,
    /// The server refuses it; nothing is done.
    Refused(Reason),
    /// It runs, and hurts nobody.
    Harmless,
}

const HOSTILE: &[(&str, Fate)] = &[
    ("create table a(i int); commit; create table b(i int)", Fate::NotPlanned),
    ("create table a(i int); rollback", Fate::NotPlanned),
    ("prepare transaction 'x'", Fate::NotPlanned),
    ("delete from wesley.steps", Fate::NotPlanned),
    ("insert into wesley.runs(name) values ('x')", Fate::NotPlanned),
    ("drop schema wesley cascade", Fate::NotPlanned),
    ("do $$ begin execute 'delete from wesley.steps'; end $$", Fate::NotPlanned),
    ("do $$ begin execute 'set role postgres'; end $$", Fate::Refused(Reason::MissingPrivilege)),
    ("select set_config('role', 'postgres', false)", Fate::Refused(Reason::MissingPrivilege)),
    ("select set_config('session_authorization', 'postgres', false)", Fate::Refused(Reason::MissingPrivilege)),
    ("do $$ begin execute 'copy (select 1) to program ''id'''; end $$", Fate::Refused(Reason::MissingPrivilege)),
    ("alter system set fsync = off", Fate::Refused(Reason::MissingPrivilege)),
    ("select lo_import('/etc/passwd')", Fate::Refused(Reason::MissingPrivilege)),
    ("alter role current_user superuser", Fate::Refused(Reason::MissingPrivilege)),
    // Put together at run time, so that no reader of the text sees it.
    ("do $$ begin execute 'delete from wes' || 'ley.steps'; end $$", Fate::Refused(Reason::Fenced)),
    ("do $$ begin execute 'update wes' || 'ley.runs set epoch = epoch + 5'; end $$", Fate::Refused(Reason::Fenced)),
    ("do $$ begin execute 'drop schema wes' || 'ley cascade'; end $$", Fate::Refused(Reason::StatementFailed)),
    ("do $$ begin execute 'com' || 'mit'; end $$", Fate::Refused(Reason::StatementFailed)),
    // A function of a name that the ledger uses, and a path on which it comes first.
    (
        "create function public.now() returns timestamptz language sql as 'select null::timestamptz';
         select set_config('search_path', 'public, pg_catalog', false); create table k1(i int)",
        Fate::Harmless,
    ),
    ("select set_config('lock_timeout', '0', false); create table k2(i int)", Fate::Harmless),
    ("select pg_advisory_unlock_all(); create table k3(i int)", Fate::Harmless),
    ("create table \"a\"\"; drop table shop; --\"(i int)", Fate::Harmless),
    (
        "do $$ begin perform pg_terminate_backend(pid) from pg_stat_activity
         where usename = current_user and datname = current_database() and pid <> pg_backend_pid(); end $$",
        Fate::Harmless,
    ),
];

fn all_allowed() -> Policy {
    let allowed = <HazardId as strum::IntoEnumIterator>::iter().collect();
    Policy { allowed, ..Policy::default() }
}

#[tokio::test]
async fn hostile_sql_is_refused_or_harmless() {
    for major in end_majors() {
        let database = Database::create("hostile", major, "create table shop(i int)").await;
        let mut wrong = Vec::new();
        for (number, (sql, fate)) in HOSTILE.iter().enumerate() {
            let session = database.session().await;
            let catalog = introspect(&session).await.unwrap();
            let planned = wesley::sql::parse(sql)
                .map_err(|error| error.to_string())
                .and_then(|all| wesley::plan::plan(&all, &catalog, &all_allowed()).map_err(|error| error.to_string()));
            let outcome = match (&planned, fate) {
                (Err(_), Fate::NotPlanned) => continue,
                (Err(error), _) => format!("not planned: {error}"),
                (Ok(plan), _) => {
                    let outcome = database.apply(&format!("hostile-{number}"), plan).await;
                    let message = outcome.ending.as_ref().err().map(|error| error.message.clone()).unwrap_or_default();
                    match (fate, outcome.reason()) {
                        (Fate::Refused(reason), found) if *reason == found => continue,
                        (Fate::Harmless, Reason::Done) => continue,
                        (_, found) => format!("{found}: {message}"),
                    }
                }
            };
            wrong.push(format!("{sql}: {fate:?} was expected, it is {outcome}"));
        }
        assert!(wrong.is_empty(), "PostgreSQL {major}: {wrong:#?}");
        let count = "select count(*) from pg_class where relname = 'shop'";
        let left: i64 = database.superuser().await.query_one(count, &[]).await.unwrap().get(0);
        assert_eq!(left, 1, "the table is still there");
        database.drop().await;
    }
}

/// A path of the role on which functions of the server's names come first, as any Migration can leave it.
#[tokio::test]
async fn a_role_whose_path_hides_the_servers_functions_can_be_worked_with() {
    const EVIL: &str = "create schema evil;
        create function evil.max(integer) returns setof integer language sql as 'select 7 union all select 8';
        create function evil.max(bigint) returns setof bigint language sql as 'select 7 union all select 8';
        create function evil.now() returns timestamptz language sql as 'select null::timestamptz';
        create function evil.clock_timestamp() returns timestamptz language sql as 'select null::timestamptz';
        create function evil.quote_ident(name) returns text language sql as 'select null::text';
        create function evil.current_setting(text) returns text language sql as 'select null::text';
        create function evil.count() returns bigint language sql as 'select 1/0::bigint';
        create view evil.pg_class as select 1 as nothing; create view evil.pg_namespace as select 1 as nothing;
        create view evil.pg_locks as select 1 as nothing; create view evil.pg_database as select 1 as nothing;
        do $$ begin execute format('alter role %I in database %I set search_path = evil, pg_catalog, public',
            current_user, current_database()); end $$";
    for major in end_majors() {
        let database = Database::create("hostile_path", major, "create table shop(i int)").await;
        let apply = async |name: &str, sql: &str| {
            let catalog = introspect(&database.session().await).await.unwrap();
            let plan = wesley::plan::plan(&wesley::sql::parse(sql).unwrap(), &catalog, &all_allowed()).unwrap();
            database.apply(name, &plan).await
        };
        for (name, sql) in [
            ("evil", EVIL),
            ("first", "alter table public.shop add column j int; update public.shop set j = 1"),
            ("second", "create index on public.shop (i)"),
        ] {
            let outcome = apply(name, sql).await;
            assert_eq!(outcome.reason(), Reason::Done, "{major} {name}: {:?}", outcome.ending);
        }
        // The author's statements are read in the role's path, before and after the ledger is written.
        apply("named", "create table here(i int); create table there(i int)").await;
        let places =
            "select count(*) from pg_class where relname in ('here', 'there') and relnamespace = 'evil'::regnamespace";
        let found: i64 = database.superuser().await.query_one(places, &[]).await.unwrap().get(0);
        assert_eq!(found, 2);
        let times = "select count(*) from wesley.steps where finished_at is null";
        let unknown: i64 = database.superuser().await.query_one(times, &[]).await.unwrap().get(0);
        assert_eq!(unknown, 0, "the ledger has the server's time");
        // With operators, nothing can be asked: the way out is told.
        let hides = "create function evil.equal(name, name) returns boolean language sql as 'select false';
            create operator evil.= (leftarg = name, rightarg = name, function = evil.equal)";
        database.session().await.batch_execute(hides).await.unwrap();
        let outcome = apply("hidden", "create table hidden(i int)").await;
        assert_eq!(outcome.reason(), Reason::ConnectionInvalid, "{major}: {:?}", outcome.ending);
        let message = outcome.ending.unwrap_err().message;
        assert!(message.contains("schema evil") && message.contains("RESET search_path"), "{message}");
        database.drop().await;
    }
}

/// What the author's code raises, and what rows hold, is not repeated to anybody.
#[tokio::test]
async fn literals_stay_in_the_database() {
    for major in end_majors() {
        let setup =
            "create table secret(i int, t text); insert into secret values (1, 'canary-row'), (1, 'canary-row')";
        let database = Database::create("hostile_canary", major, setup).await;
        for (number, sql) in [
            "do $$ begin raise exception 'canary-literal'; end $$",
            "alter table secret add constraint u unique (t)",
            "update secret set i = 'canary-literal'::int",
            "alter table secret add constraint c check (t <> 'canary-row')",
            // Names that code makes from values.
            "do $$ begin raise exception 'x' using errcode = '23505', schema = 'canary-literal', table = 'canary-literal',
             constraint = (select t from secret limit 1), column = 'canary-literal', datatype = 'canary-literal'; end $$",
            "do $$ begin execute format('select %I from secret', (select t from secret limit 1)); end $$",
            "do $$ begin execute format('alter table %I.t add column i int', (select t from secret limit 1)); end $$",
            "do $$ begin execute format('set role %I', (select t from secret limit 1)); end $$",
        ]
        .iter()
        .enumerate()
        {
            let session = database.session().await;
            let catalog = introspect(&session).await.unwrap();
            let statements = wesley::sql::parse(sql).unwrap();
            let Ok(plan) = wesley::plan::plan(&statements, &catalog, &all_allowed()) else {
                assert!(!sql.starts_with("do "), "{sql} has no plan");
                continue;
            };
            let outcome = database.apply(&format!("canary-{number}"), &plan).await;
            let report = serde_json::to_string(&outcome.report(wesley::report::RunAction::Execute)).unwrap();
            assert!(outcome.ending.is_err(), "{sql}");
            assert!(!report.contains("canary"), "{report}");
        }
        database.drop().await;
    }
}
