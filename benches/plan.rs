//! Time to plan a small migration against catalogs of 100, 1 000 and 10 000 tables, after introspection.
//!
//! `cargo bench --bench plan` prints a JSON object a line: tables, milliseconds of the fastest, median and slowest
//! of the runs.

use std::time::Instant;

use wesley::catalog::{Catalog, Column, DataType, Name, Relation, RelationKind};
use wesley::plan::{Policy, plan};
use wesley::sql;

const RUNS: usize = 15;

fn catalog(tables: usize) -> Catalog {
    let mut catalog = Catalog::default();
    catalog.server.version = 180_004;
    catalog.server.search_path = vec!["public".to_owned()];
    catalog.schemas.insert("public".to_owned(), wesley::catalog::Schema::default());
    let bigint =
        DataType { name: Name::new("pg_catalog", "int8"), modifier: -1, array: false, sql: "bigint".to_owned() };
    for number in 0..tables {
        let mut table = Relation::new(RelationKind::Table, "owner");
        table.columns = (0..10).map(|column| Column::new(format!("c{column}"), bigint.clone())).collect();
        table.stats.rows = 1_000_000;
        table.stats.bytes = 1 << 30;
        catalog.relations.insert(Name::new("public", format!("t{number}")), table);
    }
    catalog
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let statements = sql::parse(
        "alter table t7 add column note text;
         create index t7_c1_idx on t7 (c1);
         alter table t8 add constraint t8_c1_check check (c1 > 0);
         alter table t9 alter column c2 set not null;",
    )?;
    for tables in [100, 1_000, 10_000] {
        let catalog = catalog(tables);
        let mut times = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let started = Instant::now();
            let made = plan(&statements, &catalog, &Policy::default())?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
            assert!(!made.steps.is_empty(), "an empty plan proves nothing");
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{}",
            serde_json::json!({
                "tables": tables,
                "fastestMilliseconds": times[0],
                "medianMilliseconds": times[RUNS / 2],
                "slowestMilliseconds": times[RUNS - 1],
            })
        );
    }
    Ok(())
}
