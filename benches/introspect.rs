//! Time to read the catalog of a database with 10 columns, two indexes and a foreign key in each table, and the
//! memory that the catalog takes.
//!
//! `WESLEY_BENCH_URL=postgresql://... cargo bench --bench introspect [-- TABLES]` makes and drops a schema in the
//! database it is given, and prints a JSON object: tables, columns, milliseconds of the fastest, median and slowest
//! run, megabytes of memory at the peak.

use std::time::Instant;

use tokio_postgres::NoTls;
use wesley::catalog::introspect::introspect;

const RUNS: usize = 5;
/// Tables made in one transaction: each holds locks in shared memory.
const CHUNK: usize = 200;

fn make(number: usize) -> String {
    let columns: Vec<String> = (1..=8).map(|column| format!("c{column} text")).collect();
    let reference = if number == 0 { String::new() } else { " references bench_introspect.t0".to_owned() };
    format!(
        "create table bench_introspect.t{number} (id bigint primary key, other bigint{reference}, {});
         create index on bench_introspect.t{number} (other);",
        columns.join(", ")
    )
}

/// Peak of the resident memory of this process, in megabytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1000)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("WESLEY_BENCH_URL").map_err(|_| "set WESLEY_BENCH_URL to a database to work in")?;
    let tables: usize = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("create schema bench_introspect").await?;
    for first in (0..tables).step_by(CHUNK) {
        let text: String = (first..tables.min(first + CHUNK)).map(make).collect();
        client.batch_execute(&text).await?;
    }
    client.batch_execute("analyze").await?;
    let mut times = Vec::with_capacity(RUNS);
    let mut columns = 0;
    for _ in 0..RUNS {
        let started = Instant::now();
        let catalog = introspect(&client).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        columns = catalog.relations.values().map(|relation| relation.columns.len()).sum();
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{}",
        serde_json::json!({
            "tables": tables,
            "columns": columns,
            "fastestMilliseconds": times[0],
            "medianMilliseconds": times[RUNS / 2],
            "slowestMilliseconds": times[RUNS - 1],
            "peakMegabytes": peak(),
        })
    );
    for first in (0..tables).rev().collect::<Vec<_>>().chunks(CHUNK) {
        let names: Vec<String> = first.iter().map(|number| format!("bench_introspect.t{number}")).collect();
        client.batch_execute(&format!("drop table {} cascade", names.join(", "))).await?;
    }
    client.batch_execute("drop schema bench_introspect cascade").await?;
    Ok(())
}
