//! What changes the fingerprint, and what does not.

use std::collections::BTreeSet;

use wesley::catalog::Catalog;
use wesley::catalog::fingerprint::{fingerprint, fingerprint_of};
use wesley::catalog::introspect::{introspect, introspect_in_transaction};

use super::support::{majors, with_database};
use super::{load, name};

/// A change, and whether a plan on `library.book` depends on it.
const CHANGES: [(&str, bool); 26] = [
    ("alter table library.book alter column added type timestamptz", true),
    ("alter table library.book alter column weight set not null", true),
    ("alter table library.book alter column code drop default", true),
    ("alter table library.rare_book alter column vault set default 2", true),
    ("create index on library.book (weight)", true),
    ("drop index library.book_genres_idx", true),
    ("alter table library.book validate constraint book_sane", true),
    ("alter table library.loan add column extra int", true),
    ("alter table library.author drop column pen_name", true),
    ("create view library.other as select price from library.book", true),
    ("create or replace view library.shelf_titles as select title, 1 as one from library.shelf", true),
    ("create or replace function library.touch() returns trigger language plpgsql as 'begin return old; end'", true),
    ("alter function library.slug(text) volatile", true),
    ("alter function library.is_isbn(text) stable", true),
    ("alter type library.genre rename value 'novel' to 'story'", true),
    ("alter table library.book disable trigger touch_book", true),
    ("drop policy writable on library.book", true),
    ("comment on column library.book.price is 'net'", true),
    ("revoke select on library.book from public", true),
    ("drop publication everything_but_loans", true),
    ("drop statistics library.book_price_weight", true),
    ("alter sequence library.book_id_seq increment 2", true),
    ("alter event trigger sleeping enable", true),
    ("create table library.unrelated (id int)", false),
    ("alter table library.desk add column extra int", false),
    ("create function library.unrelated() returns int language sql as 'select 1'", false),
];

fn of_book(catalog: &Catalog) -> String {
    fingerprint_of(catalog, &BTreeSet::from([name("library.book")]))
}

#[tokio::test]
async fn the_fingerprint_changes_with_the_schema() {
    for major in majors() {
        with_database(major, "changes", move |database| async move {
            let client = load(major, &database).await;
            let before = introspect(&client).await.unwrap();
            for (change, concerns_book) in CHANGES {
                client.batch_execute("begin").await.unwrap();
                client.batch_execute(change).await.unwrap();
                let after = introspect_in_transaction(&client).await.unwrap();
                client.batch_execute("rollback").await.unwrap();
                assert_ne!(fingerprint(&after), fingerprint(&before), "{change}");
                assert_eq!(of_book(&after) != of_book(&before), concerns_book, "{change}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn the_fingerprint_does_not_change_with_the_data() {
    for major in majors() {
        with_database(major, "data", move |database| async move {
            let client = load(major, &database).await;
            let before = introspect(&client).await.unwrap();
            let fill = "insert into library.audit select now(), g, 'x' from generate_series(1, 1000) g;
                insert into library.author (name, pen_name) select 'a' || g, g from generate_series(1, 1000) g;
                insert into library.loan select g, 1, '2024-05-05', 'x' from generate_series(1, 1000) g";
            // The loans would need books.
            client.batch_execute("set session_replication_role = replica").await.unwrap();
            client.batch_execute(fill).await.unwrap();
            client.batch_execute("analyze").await.unwrap();
            let after = introspect(&client).await.unwrap();
            let author = &after.relations[&name("library.author")].stats;
            assert_eq!((author.rows, author.empty), (1_000, false));
            assert!(author.bytes > 0 && author.total_bytes > author.bytes);
            assert_ne!(after, before);
            assert_eq!(fingerprint(&after), fingerprint(&before));
            assert_eq!(of_book(&after), of_book(&before));
        })
        .await;
    }
}
