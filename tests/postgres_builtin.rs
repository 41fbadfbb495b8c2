//! The data about what PostgreSQL brings, and the rules for types and operator classes, against the servers.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

use tokio_postgres::Client;
use wesley::catalog::builtin;
use wesley::catalog::introspect::introspect;
use wesley::catalog::types::parse_type;
use wesley::sql::quote;

use support::{connect, majors, with_database};

async fn text(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let rows = client.simple_query(sql).await.unwrap();
    rows.iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|field| row.get(field).unwrap_or("-").to_owned()).collect())
            }
            _ => None,
        })
        .collect()
}

fn letter(text: &str) -> char {
    text.chars().next().unwrap()
}

#[tokio::test]
async fn data_is_what_the_server_has() {
    for major in majors() {
        let client = connect(major, "postgres", "template1").await;
        let major = i32::from(major);
        let functions = "select proname, case when bool_or(provolatile = 'v') then 'v'
                when bool_or(provolatile = 's') then 's' else 'i' end,
                string_agg(distinct prokind::text, '' order by prokind::text)
            from pg_proc where pronamespace = 'pg_catalog'::regnamespace group by 1";
        for row in text(&client, functions).await {
            let known = builtin::function(&row[0], major).unwrap_or_else(|| panic!("{} on {major}", row[0]));
            assert_eq!((known.volatility, known.kinds), (letter(&row[1]), row[2].as_str()), "{} on {major}", row[0]);
        }
        let types = "select typname, typcategory, typispreferred from pg_type
            where typnamespace = 'pg_catalog'::regnamespace and typtype = 'b' and typelem = 0";
        for row in text(&client, types).await {
            let known = builtin::type_by_name(&row[0], major).unwrap_or_else(|| panic!("{} on {major}", row[0]));
            assert_eq!((known.category, known.preferred), (letter(&row[1]), row[2] == "t"), "{} on {major}", row[0]);
        }
        let casts = "select s.typname, t.typname, castmethod, castcontext from pg_cast
            join pg_type s on s.oid = castsource join pg_type t on t.oid = casttarget";
        for row in text(&client, casts).await {
            let known = builtin::cast(&row[0], &row[1], major).map(|cast| (cast.method, cast.context));
            assert_eq!(known, Some((letter(&row[2]), letter(&row[3]))), "{} to {} on {major}", row[0], row[1]);
        }
    }
}

/// For every type and access method, what an index without a named class gets.
#[tokio::test]
async fn default_operator_classes_are_the_servers() {
    const TRY: &str = "
        create table result (method text, type text, class text);
        do $$
        declare m text; t text; c text;
        begin
            for m in select amname from pg_am where amtype = 'i' loop
                for t in select typname from pg_type where typnamespace = 'pg_catalog'::regnamespace
                        and typtype in ('b', 'r', 'm') and not exists (
                            select from pg_type e where e.typarray = pg_type.oid and e.typtype in ('c', 'p')) loop
                    c := null;
                    begin
                        execute format('create table probe (x pg_catalog.%I)', t);
                        execute format('create index probe_x on probe using %I (x)', m);
                        select opcname into c from pg_opclass
                        where oid = (select indclass[0] from pg_index where indexrelid = 'probe_x'::regclass);
                    exception when others then null;
                    end;
                    insert into result values (m, t, c);
                    execute 'drop table if exists probe';
                end loop;
            end loop;
        end $$";
    for major in majors() {
        with_database(major, "classes", move |database| async move {
            let client = connect(major, "postgres", &database).await;
            client.batch_execute("set client_min_messages = error").await.unwrap();
            client.batch_execute(TRY).await.unwrap();
            let rows = text(&client, "select method, type, class from result").await;
            assert!(rows.len() > 500);
            for row in rows {
                // GIN looks for a comparison of the elements as well, which a few types do not have.
                if row[0] == "gin" && row[1].starts_with('_') && row[2] == "-" {
                    continue;
                }
                let class = builtin::default_operator_class(&row[0], &row[1], i32::from(major));
                assert_eq!(class.map_or("-", |class| class.name), row[2], "{} on {}", row[0], row[1]);
            }
        })
        .await;
    }
}

/// Every spelling of a type, with and without modifiers, is what the server makes of a column of it.
#[tokio::test]
async fn types_resolve_as_the_server_does() {
    const SPELLINGS: &str = "int|int2|smallint|int4|integer|bigint|int8|real|float|float(3)|float(30)|float8|double precision|
        numeric|decimal(7)|dec(10,2)|numeric(1000)|numeric(5,0)|bool|boolean|text|varchar|varchar(7)|character varying(3)|
        char|char(9)|character(2)|nchar(4)|national character varying(4)|bpchar|\"char\"|name|bytea|bit|bit(8)|varbit|
        bit varying(9)|date|time|time(2)|time with time zone|timetz(1)|timestamp|timestamp(0)|timestamptz|timestamptz(5)|
        timestamp(4) with time zone|timestamp(9)|interval|interval(2)|interval year|interval month|interval day|
        interval hour|interval minute|interval second|interval second(3)|interval year to month|interval day to hour|
        interval day to minute|interval day to second|interval day to second(1)|interval hour to minute|
        interval hour to second(0)|interval minute to second|uuid|json|jsonb|xml|inet|cidr|macaddr|money|oid|regclass|
        point|box|tsvector|tsquery|pg_lsn|int4range|tstzrange|daterange|int[]|text[][]|varchar(5)[]|numeric(4,1)[3]|
        int array|timestamptz(2)[]|_int4|_varchar|pg_catalog.int4|pg_catalog.varchar(9)|pg_catalog.bpchar|
        pg_catalog.\"bit\"|mood|mood[]|public.mood|\"Other S\".\"Möd\"|\"Other S\".\"Möd\"[]|code|holder|holder[]|pair|
        int4multirange|int2vector|oidvector|information_schema.sql_identifier";
    for major in majors() {
        with_database(major, "spellings", move |database| async move {
            let client = connect(major, "postgres", &database).await;
            let setup = "create type mood as enum ('a'); create schema \"Other S\"; create type \"Other S\".\"Möd\" as enum ('a');
                create domain code as varchar(9); create table holder (x int); create type pair as (a int, b text)";
            client.batch_execute(setup).await.unwrap();
            let mut spellings: Vec<String> = SPELLINGS.split('|').map(|text| text.trim().to_owned()).collect();
            if major >= 15 {
                spellings.extend(["numeric(3,-2)", "numeric(2,5)", "numeric(1000,1000)"].map(str::to_owned));
            }
            let columns: Vec<String> =
                spellings.iter().enumerate().map(|(index, spelling)| format!("c{index} {spelling}")).collect();
            client.batch_execute(&format!("create table probe ({})", columns.join(", "))).await.unwrap();
            let catalog = introspect(&client).await.unwrap();
            let probe = &catalog.relations[&"public.probe".parse().unwrap()];
            for (column, spelling) in probe.columns.iter().zip(&spellings) {
                let resolved = parse_type(spelling, &catalog);
                if spelling.starts_with("information_schema") {
                    assert_eq!(resolved, None, "not in the catalog, so not known");
                } else {
                    assert_eq!(resolved.as_ref(), Some(&*column.data_type), "{spelling}");
                }
            }
        })
        .await;
    }
}

/// What the server refuses is not resolved.
#[tokio::test]
async fn impossible_modifiers_are_refused() {
    for major in majors() {
        let client = connect(major, "postgres", "postgres").await;
        let mut catalog = wesley::catalog::Catalog::default();
        catalog.server.version = i32::from(major) * 10_000;
        for spelling in [
            "varchar(0)",
            "varchar(10485761)",
            "varchar(1,2)",
            "numeric(0)",
            "numeric(1001)",
            "numeric(5,1001)",
            "numeric(5,-1001)",
            "numeric(1,2,3)",
            "bit(0)",
            "bit(83886081)",
            "int(3)",
            "text(4)",
            "timestamp(-1)",
            "date(2)",
            "json(1)",
            "nothing",
        ] {
            assert!(client.simple_query(&format!("select null::{spelling}")).await.is_err(), "{spelling} on {major}");
            assert_eq!(parse_type(spelling, &catalog), None, "{spelling} on {major}");
        }
        let negative_scale = client.simple_query("select null::numeric(5,-2)").await.is_ok();
        assert_eq!(parse_type("numeric(5,-2)", &catalog).is_some(), negative_scale, "on {major}");
    }
}

/// The grammar in use is 18's; to quote a word that an older server would not is harmless.
#[tokio::test]
async fn identifiers_are_quoted_as_the_server_does() {
    for major in majors() {
        let client = connect(major, "postgres", "postgres").await;
        for row in text(&client, "select word, quote_ident(word) from pg_get_keywords()").await {
            let quoted = quote::ident(&row[0]);
            let bare_there = !row[1].starts_with('"');
            assert!(quoted == row[1] || major < 18 && bare_there, "{} on {major}", row[0]);
        }
    }
}
