//! The catalog as read from a server, against what the fixture makes there.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod dependents;
mod tables;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use wesley::catalog::introspect::{introspect, introspect_in_transaction};
use wesley::catalog::{Catalog, Name, Relation, types};
use wesley::sql;

use support::{connect, create_role, drop_role, majors, with_database};

const LIBRARY: &str = include_str!("../fixtures/library.sql");
const SINCE_15: &str = include_str!("../fixtures/library_15.sql");
const SINCE_18: &str = include_str!("../fixtures/library_18.sql");

async fn load(major: u16, database: &str) -> Client {
    let client = connect(major, "postgres", database).await;
    let scripts = [(13, LIBRARY), (15, SINCE_15), (18, SINCE_18)];
    for (_, script) in scripts.into_iter().filter(|(since, _)| major >= *since) {
        // One by one: a new enum value cannot be used in the transaction that adds it.
        for statement in sql::parse(script).unwrap() {
            client.batch_execute(&statement.text).await.unwrap();
        }
    }
    client
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn relation<'a>(catalog: &'a Catalog, text: &str) -> &'a Relation {
    catalog.relations.get(&name(text)).unwrap_or_else(|| panic!("no relation {text}"))
}

/// Without what other tests change at the same time in the same cluster.
async fn of_database(client: &Client) -> Catalog {
    let mut catalog = introspect(client).await.unwrap();
    catalog.roles.clear();
    catalog.tablespaces.clear();
    catalog
}

#[tokio::test]
async fn reads_everything_that_the_library_has() {
    for major in majors() {
        with_database(major, "library", move |database| async move {
            let client = load(major, &database).await;
            let catalog = introspect(&client).await.unwrap();
            assert_eq!(catalog.server.major(), i32::from(major));
            tables::check_columns(&catalog);
            tables::check_constraints(&catalog);
            tables::check_indexes(&catalog);
            tables::check_partitions(&catalog);
            tables::check_sequences_and_types(&catalog);
            tables::check_odd_names(&catalog);
            dependents::check_views_and_rules(&catalog);
            dependents::check_triggers(&catalog);
            dependents::check_policies(&catalog);
            dependents::check_functions(&catalog);
            dependents::check_database_objects(&catalog);
            if major >= 15 {
                tables::check_since_15(&catalog);
                dependents::check_publications_since_15(&catalog);
            }
            if major >= 18 {
                tables::check_since_18(&catalog);
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_type_reads_back_from_its_text() {
    for major in majors() {
        with_database(major, "types", move |database| async move {
            let client = load(major, &database).await;
            let catalog = introspect(&client).await.unwrap();
            let columns = catalog.relations.values().flat_map(|relation| &relation.columns);
            let mut count = 0;
            for column in columns {
                let read = types::parse_type(&column.data_type.sql, &catalog);
                assert_eq!(read.as_ref(), Some(&*column.data_type));
                count += 1;
            }
            assert!(count > 50);
        })
        .await;
    }
}

#[tokio::test]
async fn a_file_gives_the_same_catalog() {
    for major in majors() {
        with_database(major, "file", move |database| async move {
            let client = load(major, &database).await;
            let catalog = of_database(&client).await;
            let again = of_database(&client).await;
            assert_eq!(catalog, again);
            let file = serde_json::to_vec(&catalog).unwrap();
            assert_eq!(file, serde_json::to_vec(&again).unwrap());
            let read: Catalog = serde_json::from_slice(&file).unwrap();
            assert_eq!(catalog, read);
        })
        .await;
    }
}

/// Without any privilege, and with another search path, time zone and output format, the schema reads the same.
#[tokio::test]
async fn an_ordinary_role_reads_the_same_schema() {
    for major in majors() {
        let role = create_role(major, "reader").await;
        let user = role.clone();
        with_database(major, "reader", move |database| async move {
            let admin = load(major, &database).await;
            // Its privileges would be one more difference.
            admin.batch_execute("revoke usage on schema library from public").await.unwrap();
            let expected = of_database(&admin).await;
            let client = connect(major, &user, &database).await;
            let odd = "set search_path = library, public; set timezone = 'Asia/Kathmandu'; set datestyle = 'german';
                set intervalstyle = 'iso_8601'; set quote_all_identifiers = on; set standard_conforming_strings = off";
            client.batch_execute(odd).await.unwrap();
            let mut catalog = of_database(&client).await;
            assert_eq!(catalog.server.user, user);
            assert!(!catalog.server.superuser);
            assert_eq!(catalog.server.time_zone, "Asia/Kathmandu");
            assert_eq!(catalog.server.system_identifier, expected.server.system_identifier);
            catalog.server = expected.server.clone();
            assert_eq!(catalog, expected);
            let row = client.query_one("select current_setting('search_path'), current_setting('timezone')", &[]);
            assert_eq!(row.await.unwrap().get::<_, String>(1), "Asia/Kathmandu");
        })
        .await;
        drop_role(major, &role).await;
    }
}

#[tokio::test]
async fn the_search_path_is_the_sessions_own() {
    for major in majors() {
        with_database(major, "path", move |database| async move {
            let client = load(major, &database).await;
            client.batch_execute("set search_path = library, nowhere, public").await.unwrap();
            assert_eq!(introspect(&client).await.unwrap().server.search_path, ["library", "public"]);
        })
        .await;
    }
}

#[tokio::test]
async fn an_open_transaction_sees_its_own_changes_and_goes_on() {
    for major in majors() {
        with_database(major, "transaction", move |database| async move {
            let client = load(major, &database).await;
            let before = of_database(&client).await;
            client.batch_execute("begin; create table library.extra (id int)").await.unwrap();
            let inside = introspect_in_transaction(&client).await.unwrap();
            assert!(inside.relations.contains_key(&name("library.extra")));
            // The path that the reading sets is gone: an unqualified name works.
            client.batch_execute("create table more (id int); rollback").await.unwrap();
            assert_eq!(of_database(&client).await, before);
        })
        .await;
    }
}

/// Whoever holds a table for long makes the reading fail in time; nothing hangs.
#[tokio::test]
async fn a_locked_table_is_not_waited_for_long() {
    let major = majors().last().copied().unwrap();
    with_database(major, "locked", move |database| async move {
        let client = load(major, &database).await;
        let other = connect(major, "postgres", &database).await;
        other.batch_execute("begin; lock table library.session").await.unwrap();
        let error = introspect(&client).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
        other.batch_execute("rollback").await.unwrap();
        introspect(&client).await.unwrap();
    })
    .await;
}

/// Where the provider has taken it away, the identity is just not known.
#[tokio::test]
async fn the_system_identifier_is_optional() {
    for major in majors() {
        let role = create_role(major, "identity").await;
        let user = role.clone();
        with_database(major, "identity", move |database| async move {
            let admin = connect(major, "postgres", &database).await;
            admin.batch_execute("revoke execute on function pg_control_system() from public").await.unwrap();
            let client = connect(major, &user, &database).await;
            let server = introspect(&client).await.unwrap().server;
            assert_eq!((server.system_identifier.as_str(), server.database), ("", database));
            assert!(!introspect(&admin).await.unwrap().server.system_identifier.is_empty());
        })
        .await;
        drop_role(major, &role).await;
    }
}

/// Tables that come and go meanwhile are either read or not; they do not make the reading fail.
#[tokio::test]
async fn tables_may_vanish_while_they_are_read() {
    for major in majors() {
        with_database(major, "vanish", move |database| async move {
            let client = load(major, &database).await;
            let other = connect(major, "postgres", &database).await;
            let churn = tokio::spawn(async move {
                for _ in 0..40 {
                    let create =
                        "create table public.brief (id serial primary key, n int check (n > 0), d text default 'x')";
                    other.batch_execute(create).await.unwrap();
                    other.batch_execute("create index on public.brief (lower(d)) where n > 1").await.unwrap();
                    other.batch_execute("drop table public.brief").await.unwrap();
                }
            });
            let expected = introspect(&client).await.unwrap().relations[&name("library.book")].clone();
            while !churn.is_finished() {
                let catalog = introspect(&client).await.unwrap();
                assert_eq!(catalog.relations[&name("library.book")], expected);
            }
            churn.await.unwrap();
        })
        .await;
    }
}
