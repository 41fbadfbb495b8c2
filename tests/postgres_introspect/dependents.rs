//! What depends on tables: views, rules, triggers, policies, functions, publications, statistics.

use wesley::catalog::{Catalog, TriggerTiming};

use super::tables::reference;
use super::{name, relation};

pub fn check_views_and_rules(catalog: &Catalog) {
    let view = |text: &str| relation(catalog, text).view.as_ref().unwrap();
    let shelf = view("library.shelf");
    let expected = ["genres", "id", "title"].map(|column| reference("library.book", Some(column)));
    assert_eq!(shelf.references, expected);
    assert_eq!(
        (shelf.functions.as_slice(), shelf.types.as_slice()),
        (&[name("library.slug")][..], &[name("library.genre")][..])
    );
    assert!(shelf.definition.contains("FROM library.book"));
    assert_eq!(relation(catalog, "library.shelf").comment.as_deref(), Some("for readers"));
    assert_eq!(view("library.counted").references, [reference("library.book", None)]);
    assert_eq!(relation(catalog, "library.counted").options, ["security_barrier=true"]);
    assert_eq!(view("library.shelf_titles").references, [reference("library.shelf", Some("title"))]);
    assert!(!view("library.prices").populated && shelf.populated);

    let [rule] = relation(catalog, "library.audit").rules.as_slice() else { panic!("one rule") };
    assert_eq!(rule.name, "audit_only");
    let expected = [
        reference("library.audit", Some("what")),
        reference("library.session", Some("data")),
        reference("library.session", Some("id")),
    ];
    assert_eq!(rule.references, expected);
    assert!(relation(catalog, "library.shelf").rules.is_empty(), "its own rule is the view");
}

pub fn check_triggers(catalog: &Catalog) {
    let [touch] = relation(catalog, "library.book").triggers.as_slice() else { panic!("one trigger") };
    assert_eq!((touch.timing, touch.for_each_row, touch.enabled), (TriggerTiming::Before, true, 'O'));
    assert_eq!(touch.columns, ["title", "price", "weight"], "of UPDATE OF and WHEN, in the table's order");
    assert!(touch.on_update && !touch.on_insert && !touch.on_delete && !touch.on_truncate);
    assert_eq!((touch.function.clone(), touch.comment.as_deref()), (name("library.touch"), Some("before all else")));
    let audit = &relation(catalog, "library.audit").triggers;
    assert_eq!(audit[0].name, "count_audit");
    assert!(audit[0].on_insert && audit[0].on_delete && audit[0].on_truncate && !audit[0].for_each_row);
    assert_eq!(audit[0].enabled, 'D');
    assert_eq!((audit[1].name.as_str(), &audit[1].references), ("late_check", &Some(name("library.book"))));
    for (table, from_parent) in [
        ("library.loan", false),
        ("library.loan_2024", true),
        ("library.loan_2025", true),
        ("library.loan_2025_a", true),
        ("library.loan_rest", true),
    ] {
        let [trigger] = relation(catalog, table).triggers.as_slice() else { panic!("one trigger on {table}") };
        assert_eq!(trigger.from_parent, from_parent, "{table}");
    }
    assert!(relation(catalog, "library.author").triggers.is_empty(), "those of foreign keys are internal");
}

pub fn check_policies(catalog: &Catalog) {
    let book = relation(catalog, "library.book");
    assert!(book.row_security && !book.force_row_security && relation(catalog, "library.audit").force_row_security);
    let [readable, writable] = book.policies.as_slice() else { panic!("two policies") };
    assert_eq!(
        (readable.command, readable.permissive, readable.roles.as_slice()),
        ('r', true, &["public".to_owned()][..])
    );
    let expected = [
        reference("library.audit", Some("book_id")),
        reference("library.book", Some("id")),
        reference("library.book", Some("weight")),
    ];
    assert_eq!(readable.references, expected);
    assert!(readable.using.is_some() && readable.with_check.is_none());
    assert_eq!((writable.permissive, writable.functions.as_slice()), (false, &[name("library.slug")][..]));
    assert_eq!(writable.with_check.as_deref(), Some("(library.slug((title)::text) <> ''::text)"));
}

pub fn check_functions(catalog: &Catalog) {
    let functions: Vec<_> = catalog.functions.iter().filter(|function| function.extension.is_none()).collect();
    let names: Vec<&str> = functions.iter().map(|function| function.name.name.as_str()).collect();
    let expected = ["cheap", "fresh_code", "is_isbn", "of_genre", "slug", "tidy", "total", "touch", "watch"];
    assert_eq!(names, expected, "without the constructors of the range type");
    let cheap = functions[0];
    let expected = ["id", "price", "title"].map(|column| reference("library.book", Some(column)));
    assert_eq!((cheap.references.as_slice(), cheap.functions.as_slice()), (&expected[..], &[name("library.slug")][..]));
    assert_eq!((cheap.volatility, cheap.result.as_str()), ('s', "SETOF integer"));
    assert!(cheap.definition.contains("FROM library.book"));
    assert_eq!(functions[3].types, [name("library.author"), name("library.genre")]);
    assert!(functions[2].strict);
    let kinds: String = functions[5..8].iter().map(|function| function.kind).collect();
    assert_eq!(kinds, "paf");
    assert!(functions[6].definition.is_empty());
    assert_eq!((functions[7].comment.as_deref(), functions[7].owner.as_str()), (Some("keeps the row"), "postgres"));
    let mut of_extension = catalog.functions.iter().filter(|function| function.extension.is_some());
    assert!(of_extension.any(|function| function.name == name("library.citext_eq") && function.definition.is_empty()));
}

pub fn check_database_objects(catalog: &Catalog) {
    assert_eq!(catalog.extensions.get("citext").map(String::as_str), Some("library"));
    let own = catalog.casts.iter().find(|cast| cast.source == name("library.genre")).unwrap();
    assert_eq!((own.target.clone(), own.method, own.context), (name("pg_catalog.int4"), 'i', 'a'));
    let trigger = &catalog.event_triggers["watch_drops"];
    assert_eq!((trigger.event.as_str(), trigger.tags.as_slice()), ("sql_drop", &["DROP TABLE".to_owned()][..]));
    assert!(!catalog.event_triggers.contains_key("sleeping"), "disabled");
    let publication = &catalog.publications["everything_but_loans"];
    assert!(publication.updates_or_deletes && !publication.all_tables && publication.columns.is_empty());
    assert!(publication.tables.contains(&name("library.book")) && !publication.tables.contains(&name("library.loan")));
    let heavy = &catalog.statistics[&name("library.book_expression")];
    assert_eq!(
        (heavy.columns.as_slice(), heavy.comment.as_deref()),
        (&["title".to_owned(), "weight".to_owned()][..], Some("heavy titles"))
    );
    assert_eq!(catalog.schemas["library"].comment.as_deref(), Some("books and readers"));
    assert_eq!(catalog.schemas["library"].privileges.len(), 2);
    let [default] = catalog.default_privileges.as_slice() else { panic!("one entry") };
    assert_eq!((default.schema.as_deref(), default.object), (Some("library"), 'r'));
    assert!(catalog.roles.contains(&"postgres".to_owned()) && catalog.tablespaces.contains(&"pg_default".to_owned()));
    let of_system = |schema: &String| schema.starts_with("pg_") || schema == "information_schema";
    assert!(!catalog.schemas.keys().any(of_system));
}

pub fn check_publications_since_15(catalog: &Catalog) {
    let narrow = &catalog.publications["narrow"];
    let expected = ["born", "id", "name"].map(|column| reference("library.author", Some(column)));
    assert_eq!(narrow.columns, expected, "of the column list and the row filter");
    assert_eq!(catalog.publications["odd"].schemas, ["Odd \"schema\""]);
}
