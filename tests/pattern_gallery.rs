//! `docs/patterns/`: what the planner makes of typical changes, written by the planner itself. The pages are
//! compared with what it makes today; `WESLEY_WRITE_GALLERY=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use wesley::catalog::{Catalog, RelationKind, Schema, apply::apply};
use wesley::plan::explain::{Format, render};
use wesley::plan::{HazardId, PlanError, Policy, plan};

/// A change of the gallery.
struct Page {
    file: &'static str,
    title: &'static str,
    /// The rule, its traps, and what differs between versions.
    text: &'static str,
    change: &'static str,
    /// Majors whose plans are shown.
    majors: &'static [i32],
}

/// The schema that the changes are made to; every table has 40 million rows.
const SCHEMA: &str = "
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint, state varchar(10), total numeric(10,2) NOT NULL, note text);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE TABLE order_lines (order_id int NOT NULL CONSTRAINT order_lines_order REFERENCES orders, product bigint);
CREATE TABLE events (id bigint NOT NULL, day date NOT NULL, customer_id bigint) PARTITION BY RANGE (day);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_new (id bigint NOT NULL, day date NOT NULL, customer_id bigint);
CREATE INDEX events_id ON events (id);
CREATE MATERIALIZED VIEW sales AS SELECT customer_id, count(*) AS orders FROM orders GROUP BY customer_id;
CREATE UNIQUE INDEX sales_customer ON sales (customer_id);
CREATE VIEW large_orders AS SELECT customer_id, total FROM orders WHERE total > 1000;
CREATE VIEW large_customers WITH (security_barrier) AS SELECT DISTINCT customer_id FROM large_orders;
CREATE TYPE mood AS ENUM ('sad', 'ok');
";

const PAGES: &[Page] = &[
    Page {
        file: "index",
        title: "Index",
        text: "An index is built with `CONCURRENTLY`: reads and writes go on. A build that was cut off leaves an \
               invalid index, which the next try drops first.",
        change: "CREATE INDEX orders_state ON orders (state) WHERE state <> 'done'",
        majors: &[18],
    },
    Page {
        file: "index-partitioned",
        title: "Index on a partitioned table",
        text: "The server refuses `CONCURRENTLY` on a partitioned table: the index is declared on the parent alone, \
               built on each leaf, and the parts are attached. With the last part the whole becomes valid.",
        change: "CREATE INDEX events_customer ON events (customer_id)",
        majors: &[18],
    },
    Page {
        file: "unique",
        title: "Unique constraint",
        text: "The index comes first, built concurrently; the constraint takes it over without a scan.",
        change: "ALTER TABLE customers ADD CONSTRAINT customers_email UNIQUE (email)",
        majors: &[18],
    },
    Page {
        file: "foreign-key",
        title: "Foreign key",
        text: "Added `NOT VALID`, so that new rows are checked at once and the old ones are not looked at; proven \
               afterwards under a lock that lets reads and writes go on. Both in one transaction would hold the \
               first lock during the scan.",
        change: "ALTER TABLE orders ADD CONSTRAINT orders_customer_fk FOREIGN KEY (customer_id) REFERENCES customers",
        majors: &[18],
    },
    Page {
        file: "foreign-key-partitioned",
        title: "Foreign key of a partitioned table",
        text: "Up to 17 the server refuses `NOT VALID` on a partitioned table: each leaf gets and proves its own, and \
               the parent's takes them over without a scan. From 18 on the parent's can wait itself.",
        change: "ALTER TABLE events ADD CONSTRAINT events_customer_fk FOREIGN KEY (customer_id) REFERENCES customers",
        majors: &[17, 18],
    },
    Page {
        file: "check",
        title: "Check constraint",
        text: "Once it is there, even not valid, every update of a row that breaks it fails, whatever column it \
               changes. Hence the look before.",
        change: "ALTER TABLE orders ADD CONSTRAINT orders_total CHECK (total >= 0)",
        majors: &[18],
    },
    Page {
        file: "not-null",
        title: "NOT NULL",
        text: "Up to 17 a proven check saves `SET NOT NULL` from its scan under the strongest lock. From 18 on \
               not-null constraints can be `NOT VALID` themselves.",
        change: "ALTER TABLE orders ALTER COLUMN customer_id SET NOT NULL",
        majors: &[17, 18],
    },
    Page {
        file: "add-column",
        title: "Column with a volatile default",
        text: "A default that differs from row to row would rewrite the table: the column comes empty, with the \
               default for new rows in the same statement, and is filled in batches.",
        change: "ALTER TABLE orders ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()",
        majors: &[18],
    },
    Page {
        file: "column-type",
        title: "Column type",
        text: "What the server does in place stays as written. Where it would write the table anew, a new column is \
               filled beside the old one, by a trigger and in batches; what hangs on the column is made for the new one \
               while the application goes on; one short transaction lets the two change places; and the old column is \
               kept in step until the contract, for the way back. In a partitioned table each leaf is filled by itself; \
               a key or foreign key over the column has no such form there.",
        change: "ALTER TABLE orders ALTER COLUMN id TYPE bigint",
        majors: &[18],
    },
    Page {
        file: "column-type-views",
        title: "Column type under views",
        text: "The server refuses to change the type of a column that a view, rule, policy or trigger uses. They are \
               dropped and made again, as they were, in the transaction in which the columns change places: others \
               never miss them. The same transaction takes `DROP VIEW` and `CREATE VIEW` of the author around the change.",
        change: "ALTER TABLE orders ALTER COLUMN total TYPE numeric(12,3)",
        majors: &[18],
    },
    Page {
        file: "data",
        title: "Update of many rows",
        text: "An update that looks at nothing but its own row is done in batches. Others see a part of the rows \
               changed and a part not, which one update would never show.",
        change: "UPDATE orders SET note = 'none' WHERE note IS NULL",
        majors: &[18],
    },
    Page {
        file: "enum-value",
        title: "Enum value",
        text: "A new value cannot be used before its transaction is over: it gets one of its own. The server \
               cannot take it out again: the way back makes the type anew, where its tables are small and nothing but columns \
               has it, and stops at rows with the value.",
        change: "ALTER TYPE mood ADD VALUE 'happy'; ALTER TABLE customers ADD COLUMN mood mood DEFAULT 'happy'",
        majors: &[18],
    },
    Page {
        file: "drop",
        title: "Drop",
        text: "Drops come last, and a foreign key goes in a transaction of its own first: dropping its table would \
               lock the referenced table as strongly, for longer.",
        change: "DROP TABLE order_lines; ALTER TABLE customers DROP COLUMN name",
        majors: &[18],
    },
    Page {
        file: "attach-partition",
        title: "Attach a partition",
        text: "Indexes, keys and foreign keys that the partition lacks, and a check equal to its bound, come first, \
               while reads and writes go on: attaching then reads nothing. A default partition gets a check that \
               excludes the bound. The checks go again at the end.",
        change: "ALTER TABLE events ATTACH PARTITION events_new FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
        majors: &[18],
    },
    Page {
        file: "replace-key",
        title: "Another primary key",
        text: "In one statement with the drop of the old one: the index of the new key is built first, and the two \
               change places in one short transaction.",
        change: "ALTER TABLE customers DROP CONSTRAINT customers_pkey, ADD PRIMARY KEY (email)",
        majors: &[18],
    },
    Page {
        file: "refresh",
        title: "Refresh of a materialized view",
        text: "With a unique index over plain columns of all rows the server can fill the view beside its readers.",
        change: "REFRESH MATERIALIZED VIEW sales",
        majors: &[18],
    },
    Page {
        file: "rename-table",
        title: "Rename of a table",
        text: "A view keeps the old name alive, in the transaction of the rename, and goes in a contract step. Through it \
               the old name takes reads and writes of rows, but no `TRUNCATE`, no `COPY ... FROM` and no foreign key. \
               Before 15 a view looks with the rights of its owner: tables with row security get none.",
        change: "ALTER TABLE order_lines RENAME TO order_items",
        majors: &[18],
    },
    Page {
        file: "rename",
        title: "Rename of a column",
        text: "A rename is instant for the server and breaks every client that knows the old name. There is no form that \
               keeps both: add a column, fill it, have the application write both, and drop the old one later.",
        change: "ALTER TABLE orders RENAME COLUMN note TO remark",
        majors: &[18],
    },
    Page {
        file: "exclusion",
        title: "Exclusion constraint",
        text: "The server has no form of it that lets others go on. The plan says what it costs and the way round.",
        change: "ALTER TABLE events_new ADD CONSTRAINT events_new_days EXCLUDE USING btree (day WITH =)",
        majors: &[18],
    },
];

fn catalog(major: i32) -> Catalog {
    let mut catalog = Catalog::default();
    catalog.server.version = major * 10_000;
    catalog.server.user = "app".to_owned();
    catalog.server.database = "shop".to_owned();
    catalog.server.time_zone = "UTC".to_owned();
    catalog.server.search_path = vec!["public".to_owned()];
    catalog.roles = vec!["app".to_owned()].into();
    // Every database has it from the start.
    catalog.extensions.insert("plpgsql".to_owned(), "pg_catalog".to_owned());
    catalog.schemas.insert("public".to_owned(), Schema { owner: "app".to_owned(), ..Schema::default() });
    for statement in wesley::sql::parse(SCHEMA).unwrap() {
        apply(&mut catalog, &statement).unwrap_or_else(|error| panic!("{}: {error:?}", statement.text));
    }
    for relation in catalog.relations.values_mut() {
        relation.stats.empty = false;
        if relation.kind == RelationKind::Table {
            relation.stats.rows = 40_000_000;
            relation.stats.bytes = 4 << 30;
            relation.stats.total_bytes = 5 << 30;
        }
    }
    catalog
}

fn page(page: &Page) -> String {
    use strum::IntoEnumIterator;
    let mut out = format!("# {}\n\n{}\n\nThe author writes:\n\n```sql\n", page.title, page.text);
    out.push_str(&format!("{}\n```\n", page.change.replace("; ", ";\n")));
    for major in page.majors {
        let policy = Policy { allowed: HazardId::iter().collect(), ..Policy::default() };
        let statements = wesley::sql::parse(page.change).unwrap();
        let made = match plan(&statements, &catalog(*major), &policy) {
            Ok(plan) => plan,
            Err(PlanError::NotAllowed { plan, .. }) => *plan,
            Err(error) => panic!("{}: {error}", page.file),
        };
        out.push_str(&format!("\n---\n\nOn PostgreSQL {major}, every table of 4 GiB and 40 million rows:\n\n"));
        out.push_str(render(&made, Format::Markdown).trim_end());
        out.push('\n');
    }
    out
}

fn index() -> String {
    let mut out = String::from(
        "# Patterns\n\nWhat the planner makes of typical changes, written by the planner itself; a test compares the \
         pages with what it\nmakes today (`WESLEY_WRITE_GALLERY=1 cargo test --test pattern_gallery` writes them \
         anew). The rules are in\n`src/plan/patterns/`, one file each, with their traps. A table below the limit for \
         work in place (16 MiB unless the\npolicy says otherwise) is changed directly, and the plan says so.\n\n| change | page |\n|---|---|\n",
    );
    for page in PAGES {
        out.push_str(&format!("| {} | [{2}.md]({2}.md) |{1}", page.title, "\n", page.file));
    }
    out
}

#[test]
fn the_pages_are_what_the_planner_makes() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/patterns");
    let mut wanted = vec![("README.md".to_owned(), index())];
    wanted.extend(PAGES.iter().map(|known| (format!("{}.md", known.file), page(known))));
    if std::env::var_os("WESLEY_WRITE_GALLERY").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in &wanted {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let different: Vec<&str> = wanted
        .iter()
        .filter(|(name, text)| std::fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(different.is_empty(), "run with WESLEY_WRITE_GALLERY=1 and look at the difference: {different:?}");
    let known: Vec<String> = wanted.into_iter().map(|(name, _)| name).collect();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "{name} belongs to no pattern");
    }
}
