//! Time to plan and to analyse without a server, after introspection: a small migration against catalogs of 100, 1 000
//! and 10 000 tables, long scripts, a megabyte of SQL. Every table has ten columns, a primary key, an index and a
//! foreign key.
//!
//! `cargo bench --bench plan` prints a JSON object a line: what, tables, statements, milliseconds of the fastest,
//! median and slowest run, milliseconds that the processor worked in the median run (which other work on the machine does
//! not stretch), and at the end megabytes of memory at the peak.

use std::time::Instant;

use strum::IntoEnumIterator;
use wesley::catalog::{Catalog, RelationKind, Schema, apply::apply};
use wesley::plan::analyze::analyze;
use wesley::plan::{HazardId, Policy, plan};
use wesley::sql::{self, Statement};

type Failure = Box<dyn std::error::Error>;

fn catalog(tables: usize) -> Result<Catalog, Failure> {
    let mut catalog = Catalog::of_version(180_004);
    catalog.server.search_path = vec!["public".to_owned()];
    catalog.schemas.insert("public".to_owned(), Schema::default());
    let columns: Vec<String> = (1..=8).map(|column| format!("c{column} text")).collect();
    for number in 0..tables {
        let reference = if number == 0 { "" } else { " references t0" };
        let text = format!(
            "create table t{number} (id bigint primary key, other bigint{reference}, {});
             create index t{number}_other on t{number} (other);",
            columns.join(", ")
        );
        for statement in sql::parse(&text)? {
            apply(&mut catalog, &statement)?;
        }
    }
    for relation in catalog.relations.values_mut().filter(|relation| relation.kind == RelationKind::Table) {
        relation.stats.rows = 1_000_000;
        relation.stats.bytes = 1 << 30;
        relation.stats.empty = false;
    }
    Ok(catalog)
}

/// Changes of many kinds, each on another table.
fn changes(count: usize) -> String {
    let change = |number: usize| match number % 8 {
        0 => format!("alter table t{number} add column note text;\n"),
        1 => format!("create index t{number}_c1 on t{number} (c1);\n"),
        2 => format!("alter table t{number} add constraint t{number}_c1_check check (c1 <> '');\n"),
        3 => format!("alter table t{number} alter column c2 set not null;\n"),
        4 => format!("create table new{number} (id bigint primary key, t bigint references t{number});\n"),
        5 => format!("drop index t{number}_other;\n"),
        6 => format!("create view v{number} as select id, c1 from t{number} where other > {number};\n"),
        _ => format!("update t{number} set c3 = 'x' where id = {number};\n"),
    };
    (0..count).map(change).collect()
}

fn measure(
    what: &str,
    tables: usize,
    statements: usize,
    runs: usize,
    mut run: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut times, mut worked) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    for _ in 0..runs {
        let (started, work) = (Instant::now(), processor());
        run()?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        worked.push(processor() - work);
    }
    times.sort_by(f64::total_cmp);
    worked.sort_by(f64::total_cmp);
    println!(
        "{}",
        serde_json::json!({
            "what": what,
            "tables": tables,
            "statements": statements,
            "fastestMilliseconds": times[0],
            "medianMilliseconds": times[runs / 2],
            "slowestMilliseconds": times[runs - 1],
            "processorMilliseconds": worked[runs / 2],
        })
    );
    Ok(())
}

fn plans(what: &str, text: &str, tables: usize, catalog: &Catalog, runs: usize) -> Result<(), Failure> {
    let statements = sql::parse(text)?;
    let policy = Policy { allowed: HazardId::iter().collect(), ..Policy::default() };
    // Each run has a catalog that nothing has been looked up in, as after introspection.
    let text = serde_json::to_vec(catalog)?;
    let mut fresh: Vec<Catalog> = Vec::new();
    for _ in 0..runs {
        fresh.push(serde_json::from_slice(&text)?);
    }
    measure(what, tables, statements.len(), runs, || {
        let catalog = fresh.pop().ok_or("as many catalogs as runs")?;
        let made = plan(&statements, &catalog, &policy)?;
        if made.steps.is_empty() { Err("an empty plan proves nothing".into()) } else { Ok(()) }
    })
}

fn analyzes(tables: usize, catalog: &Catalog) -> Result<(), Failure> {
    let mut text = changes(tables);
    while text.len() < 1_000_000 {
        let number = text.len();
        text.push_str(&format!("insert into t{} (id, c1) values ({number}, 'some text of a row');\n", number % tables));
    }
    let count = sql::parse(&text)?.len();
    measure("analyze 1 MB", tables, count, 5, || {
        let mut catalog = catalog.clone();
        let statements: Vec<Statement> = sql::parse(&text)?;
        for statement in &statements {
            if analyze(statement, &catalog).refused.is_none() {
                drop(apply(&mut catalog, statement));
            }
        }
        Ok(())
    })
}

/// Milliseconds that a processor has worked for this thread; 0 where the system does not tell.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e6
}

/// Peak of the resident memory of this process, in megabytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1000)
}

fn main() -> Result<(), Failure> {
    let small = "alter table t7 add column note text;
         create index t7_c1_idx on t7 (c1);
         alter table t8 add constraint t8_c1_check check (c1 <> '');
         alter table t9 alter column c2 set not null;";
    for tables in [100, 1_000, 10_000] {
        let catalog = catalog(tables)?;
        plans("plan", small, tables, &catalog, if tables > 1_000 { 5 } else { 15 })?;
    }
    let catalog = catalog(1_000)?;
    for count in [100, 1_000] {
        plans("plan", &changes(count), 1_000, &catalog, 3)?;
    }
    let drops: String = (0..541).map(|number| format!("drop index t{number}_other;\n")).collect();
    plans("plan of dropped indexes", &drops, 1_000, &catalog, 3)?;
    analyzes(1_000, &catalog)?;
    println!("{}", serde_json::json!({ "peakMegabytes": peak() }));
    Ok(())
}
