//! The same changes on the same server in one run: as one plain statement, with Reshape, and with this program. What an
//! application beside them notices, how long they take, and what becomes of them when they are killed half-way.
//!
//! `benches/side_by_side.sh` installs what is needed and runs it. Prints a JSON object a run.

#[path = "../tests/run_support/application.rs"]
#[allow(dead_code, clippy::expect_used)]
mod application;
#[path = "../tests/run_support/patterns.rs"]
#[allow(dead_code)]
mod patterns;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use application::{Application, Met, milliseconds};
use serde_json::{Value, json};
use tokio::task::block_in_place;
use tokio_postgres::{Client, NoTls};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The database that each run makes anew.
const DATABASE: &str = "wesley_side_by_side";
/// How long the load runs before.
const BASELINE: Duration = Duration::from_secs(4);
/// How long each of the application's own long transactions is open.
const OPEN: Duration = Duration::from_millis(300);
/// After a kill a tool is called again at most so often.
const TRIES: u32 = 3;

/// One change, as an author writes it for each tool.
struct Change {
    name: &'static str,
    sql: &'static str,
    toml: &'static str,
    /// A question whose answer is true once all is done.
    holds: &'static str,
}

const CHANGES: [Change; 6] = [
    Change {
        name: "column with a volatile default",
        sql: "ALTER TABLE orders ADD COLUMN public_id uuid NOT NULL DEFAULT gen_random_uuid()",
        toml: r#"
            [[actions]]
            type = "add_column"
            table = "orders"
            [actions.column]
            name = "public_id"
            type = "UUID"
            nullable = false
            default = "gen_random_uuid()""#,
        holds: "SELECT count(*) = count(DISTINCT public_id) FROM orders",
    },
    Change {
        name: "type of a column",
        sql: "ALTER TABLE orders ALTER COLUMN total TYPE numeric(14,4)",
        toml: r#"
            [[actions]]
            type = "alter_column"
            table = "orders"
            column = "total"
            up = "total"
            down = "total"
            [actions.changes]
            type = "NUMERIC(14,4)""#,
        holds: "SELECT count(*) = 1 FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'total'
                AND format_type(atttypid, atttypmod) = 'numeric(14,4)' AND attnotnull",
    },
    Change {
        name: "not null",
        sql: "ALTER TABLE orders ALTER COLUMN state SET NOT NULL",
        toml: r#"
            [[actions]]
            type = "alter_column"
            table = "orders"
            column = "state"
            up = "COALESCE(state, 'new')"
            down = "state"
            [actions.changes]
            nullable = false"#,
        holds: "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'state'",
    },
    Change {
        name: "index",
        sql: "CREATE INDEX orders_total ON orders (total)",
        toml: r#"
            [[actions]]
            type = "add_index"
            table = "orders"
            [actions.index]
            name = "orders_total"
            columns = ["total"]"#,
        holds: "SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_total'::regclass",
    },
    Change {
        name: "unique index",
        sql: "CREATE UNIQUE INDEX orders_once ON orders (id, total)",
        toml: r#"
            [[actions]]
            type = "add_index"
            table = "orders"
            [actions.index]
            name = "orders_once"
            columns = ["id", "total"]
            unique = true"#,
        holds: "SELECT indisvalid AND indisunique FROM pg_index WHERE indexrelid = 'orders_once'::regclass",
    },
    Change {
        name: "foreign key",
        sql: "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id)",
        toml: r#"
            [[actions]]
            type = "add_foreign_key"
            table = "orders"
            [actions.foreign_key]
            columns = ["customer_id"]
            referenced_table = "customers"
            referenced_columns = ["id"]"#,
        holds: "SELECT bool_and(convalidated) AND count(*) = 1 FROM pg_constraint
                WHERE conrelid = 'orders'::regclass AND contype = 'f'",
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Plain,
    Reshape,
    Wesley,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Plain, Self::Reshape, Self::Wesley];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain SQL",
            Self::Reshape => "Reshape",
            Self::Wesley => "Wesley",
        }
    }
}

/// Where things are.
struct Bench {
    /// A database of the server, to make and drop [`DATABASE`] from.
    url: String,
    /// Of [`DATABASE`].
    target: String,
    reshape: PathBuf,
    psql: PathBuf,
    pg_dump: PathBuf,
    /// Folder for files of the tools.
    folder: PathBuf,
    rows: u64,
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl Bench {
    fn new(rows: u64) -> Result<Self> {
        let url = std::env::var("WESLEY_BENCH_URL").map_err(|_| "set WESLEY_BENCH_URL to a database of the server")?;
        let (server, _) = url.rsplit_once('/').ok_or("WESLEY_BENCH_URL names no database")?;
        let program = |variable: &str, name: &str| {
            std::env::var_os(variable).map_or_else(|| name.into(), |folder| Path::new(&folder).join(name))
        };
        let folder = std::env::temp_dir().join(format!("wesley-side-by-side-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            target: format!("{server}/{DATABASE}"),
            url,
            reshape: program("RESHAPE_FOLDER", "reshape"),
            psql: program("WESLEY_PG_TOOLS", "psql"),
            pg_dump: program("WESLEY_PG_TOOLS", "pg_dump"),
            folder,
            rows,
        })
    }

    /// A new database with the application's tables, vacuumed.
    async fn prepare(&self) -> Result<Client> {
        let server = connect(&self.url).await?;
        server.batch_execute(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")).await?;
        server.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
        let client = connect(&self.target).await?;
        client.batch_execute(&patterns::SHOP.replace("2500", &self.rows.to_string())).await?;
        for statement in ["VACUUM ANALYZE orders", "VACUUM ANALYZE customers", "CHECKPOINT"] {
            client.batch_execute(statement).await?;
        }
        Ok(client)
    }

    /// Starts the tool on the change; what it says goes to a file.
    fn start(&self, tool: Tool, change: &Change) -> Result<Child> {
        let mut command = match tool {
            Tool::Plain => {
                let mut command = Command::new(&self.psql);
                command.args(["-X", "-v", "ON_ERROR_STOP=1", "-d", &self.target, "-c", change.sql]);
                command
            }
            Tool::Reshape => {
                let folder = self.folder.join("migrations");
                std::fs::create_dir_all(&folder)?;
                std::fs::write(folder.join("1_change.toml"), change.toml)?;
                let mut command = Command::new(&self.reshape);
                command.args(["migration", "start", "--complete", "--url", &self.target, "--dirs"]).arg(&folder);
                command
            }
            Tool::Wesley => {
                let file = self.folder.join("change.sql");
                std::fs::write(&file, change.sql)?;
                let mut command = Command::new(env!("CARGO_BIN_EXE_wesley"));
                command.env("DATABASE_URL", &self.target).arg("apply").args(["--name", "change", "--yes"]);
                command.args(["--allow", "all", "--in-place-bytes", "0"]).arg(&file);
                command
            }
        };
        let said = std::fs::File::create(self.folder.join("said"))?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        Ok(command.spawn()?)
    }

    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("said")).unwrap_or_default();
        text.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    }

    async fn load(&self) -> Application {
        Application::start(&self.target, self.rows.min(100_000), 4, Duration::from_millis(2), Some(OPEN)).await
    }

    /// The schema of the application, without the tools' own.
    fn schema(&self) -> Result<String> {
        let dump = Command::new(&self.pg_dump).args(["-s", "-n", "public", "-d", &self.target]).output()?;
        let text = String::from_utf8(dump.stdout)?;
        // Its key is another in each dump.
        Ok(text.lines().filter(|line| !line.contains("restrict")).collect::<Vec<_>>().join("\n"))
    }

    /// Once without any harm.
    async fn undisturbed(&self, tool: Tool, change: &Change) -> Result<(Value, Duration, String)> {
        let client = self.prepare().await?;
        let running = self.load().await;
        tokio::time::sleep(BASELINE).await;
        let before = running.stop().await;
        let running = self.load().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        let mut child = self.start(tool, change)?;
        let done = block_in_place(|| child.wait())?.success();
        let took = began.elapsed();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let during = running.stop().await;
        let holds = done && self.holds(&client, change).await;
        let mut line = line(tool, change, self.rows, took, &before, &during);
        line["done"] = holds.into();
        if !holds {
            line["said"] = self.said().into();
        }
        Ok((line, took, self.schema()?))
    }

    async fn holds(&self, client: &Client, change: &Change) -> bool {
        client.query_one(change.holds, &[]).await.is_ok_and(|row| row.get::<_, Option<bool>>(0) == Some(true))
    }

    /// Killed after `when`, then called again until it is done.
    async fn killed(&self, tool: Tool, change: &Change, when: Duration, schema: &str) -> Result<Value> {
        let client = self.prepare().await?;
        let running = self.load().await;
        let mut child = self.start(tool, change)?;
        tokio::time::sleep(when).await;
        let was_killed = child.try_wait()?.is_none();
        child.kill()?;
        block_in_place(|| child.wait())?;
        let began = Instant::now();
        let mut tries = 0;
        let mut done = !was_killed;
        while !done && tries < TRIES {
            tries += 1;
            let mut child = self.start(tool, change)?;
            done = block_in_place(|| child.wait())?.success();
        }
        let took = began.elapsed();
        let met = running.stop().await;
        let holds = done && self.holds(&client, change).await;
        let mut line = json!({
            "tool": tool.name(),
            "change": change.name,
            "killedAfterMilliseconds": was_killed.then(|| milliseconds(when)),
            "calledAgain": tries,
            "untilDoneMilliseconds": milliseconds(took),
            "failed": met.failed,
            "done": holds,
            "schemaAsWithoutKill": self.schema()? == schema,
        });
        if !holds {
            line["said"] = self.said().into();
        }
        Ok(line)
    }
}

fn line(tool: Tool, change: &Change, rows: u64, took: Duration, before: &Met, during: &Met) -> Value {
    let mut line = json!({
        "tool": tool.name(),
        "change": change.name,
        "rows": rows,
        "migrationMilliseconds": milliseconds(took),
    });
    if let Some(line) = line.as_object_mut() {
        line.extend(during.figures(before));
    }
    line
}

#[tokio::main]
async fn main() -> Result<()> {
    let rows: u64 = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(500_000);
    let only = std::env::var("WESLEY_PATTERN").unwrap_or_default();
    let bench = Bench::new(rows)?;
    for change in CHANGES.iter().filter(|change| change.name.starts_with(&only)) {
        for tool in Tool::ALL {
            let (line, took, schema) = bench.undisturbed(tool, change).await?;
            let done = line["done"] == true;
            println!("{line}");
            if done {
                println!("{}", bench.killed(tool, change, took / 2, &schema).await?);
            }
        }
    }
    connect(&bench.url).await?.batch_execute(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")).await?;
    std::fs::remove_dir_all(&bench.folder)?;
    Ok(())
}
