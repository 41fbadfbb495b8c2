//! A script of INSERTs through `wesley apply` and through psql, one after the other on the same server: time and peak memory.
//!
//! `WESLEY_BENCH_URL=postgresql://... cargo bench --bench script -- [MEGABYTES[xBYTES]...]` writes each script to the folder for
//! temporary files, runs it in the database it is given, and prints a JSON object. `xBYTES` is the length of a statement, 1000
//! unless given. `WESLEY_PROGRAM` is another build of the program, `WESLEY_PG_TOOLS` the folder with psql. The memory is the
//! kernel's high-water mark (`VmHWM`) of the process.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Client;
use wesley::run::connect::Settings;

type Failed = Box<dyn std::error::Error>;

const TABLE: &str = "drop table if exists bench_script; create table bench_script (id bigint, note text)";

/// Writes the script; gives the number of its statements and its bytes.
fn write(path: &Path, megabytes: u64, length: usize) -> Result<(u64, u64), Failed> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut statements, mut bytes) = (0, 0);
    while bytes < megabytes * 1_000_000 {
        let start = format!("INSERT INTO bench_script VALUES ({statements}, '");
        let line = format!("{start}{}');\n", "x".repeat(length.saturating_sub(start.len() + 4)));
        file.write_all(line.as_bytes())?;
        (statements, bytes) = (statements + 1, bytes + line.len() as u64);
    }
    file.flush()?;
    Ok((statements, bytes))
}

/// Kilobytes of the process at its largest, so far.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Seconds and kilobytes of a process that has to end well.
fn measure(command: &mut Command) -> Result<(f64, u64), Failed> {
    let began = Instant::now();
    let mut child: Child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut most = 0;
    let status = loop {
        most = peak(child.id()).unwrap_or(0).max(most);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok((began.elapsed().as_secs_f64(), most))
}

async fn fresh(client: &Client) -> Result<(), Failed> {
    client.batch_execute(TABLE).await?;
    Ok(client.batch_execute("checkpoint").await?)
}

async fn compared(url: &str, client: &Client, argument: &str) -> Result<Value, Failed> {
    let (megabytes, length) = argument.split_once('x').unwrap_or((argument, "1000"));
    let path = std::env::temp_dir().join(format!("wesley-bench-{}.sql", std::process::id()));
    let (statements, bytes) = write(&path, megabytes.parse()?, length.parse()?)?;
    let count = "select count(*), coalesce(sum(id), 0)::bigint from bench_script";
    let program = std::env::var("WESLEY_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wesley").to_owned());
    let psql = std::env::var("WESLEY_PG_TOOLS").map_or_else(|_| "psql".to_owned(), |tools| format!("{tools}/psql"));
    let measured = async {
        fresh(client).await?;
        let plain =
            measure(Command::new(psql).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"]).arg(&path))?;
        let (rows, sum): (i64, i64) = client.query_one(count, &[]).await.map(|row| (row.get(0), row.get(1)))?;
        fresh(client).await?;
        let name = format!("bench-script-{megabytes}-{length}-{}", std::process::id());
        let ours = measure(
            Command::new(program)
                .args(["apply", "--yes", "--format", "json", "--name", &name])
                .arg(&path)
                .env("DATABASE_URL", url),
        )?;
        let found: (i64, i64) = client.query_one(count, &[]).await.map(|row| (row.get(0), row.get(1)))?;
        assert_eq!(found, (rows, sum), "a script that leaves other rows proves nothing");
        let of = |(seconds, kilobytes): (f64, u64)| json!({"seconds": (seconds * 10.0).round() / 10.0, "peakKilobytes": kilobytes});
        Ok(json!({"bytes": bytes, "statements": statements, "psql": of(plain), "wesley": of(ours)}))
    };
    let result = measured.await;
    std::fs::remove_file(&path)?;
    result
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let url = std::env::var("WESLEY_BENCH_URL").map_err(|_| "set WESLEY_BENCH_URL to a database to work in")?;
    let client = Settings::from_url(&url)?.connect().await?;
    let sizes: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument.starts_with(|c: char| c.is_ascii_digit())).collect();
    for size in if sizes.is_empty() { vec!["1".to_owned(), "100".to_owned()] } else { sizes } {
        println!("{}", compared(&url, &client, &size).await?);
    }
    client.batch_execute("drop table bench_script").await?;
    Ok(())
}
