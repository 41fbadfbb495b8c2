//! The command line: one file per command, each a thin edge around the engine.

mod analyze;
mod apply;
mod catalog;
mod cluster;
mod diagnostic;
mod input;
mod job;
mod plan;
mod progress;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::api::backfill::PrometheusHold;
use crate::exit::Exit;
use crate::run::{Holds, Reason, RunError, Terminate};

/// Zero-downtime PostgreSQL schema changes.
#[derive(Parser)]
#[command(name = "wesley", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What each statement as written would do: locks, rewrites, scans, hazards. Executes nothing.
    Analyze {
        #[command(flatten)]
        source: SourceArgs,
        #[command(flatten)]
        schema: SchemaArgs,
        /// Output format.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// The safe plan. Executes nothing.
    Plan {
        #[command(flatten)]
        plan: PlanArgs,
        /// Output format.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// The safe plan as a page for people. Executes nothing.
    Explain {
        #[command(flatten)]
        plan: PlanArgs,
        /// Output format.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Plans again whenever a file changes. Executes nothing.
    Watch {
        #[command(flatten)]
        plan: PlanArgs,
        /// Output format.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Plans and executes all stages, recorded in the ledger under a name; resumes what was cut off.
    Apply(ApplyArgs),
    /// Runs the recorded undo of a name, which can be applied again afterwards.
    Rollback(RollbackArgs),
    /// What the ledger of a database says; without a database, what the Migrations of a cluster say.
    Status {
        #[command(flatten)]
        database: DatabaseArgs,
        #[command(flatten)]
        cluster: cluster::ClusterArgs,
        /// Only this run or Migration.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Output format.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Approves or rejects the plan of a Migration in a cluster.
    Approve(cluster::ApproveArgs),
    /// Stops a Migration in a cluster; a running Job is interrupted.
    Suspend(cluster::MigrationArgs),
    /// Lets a suspended Migration go on where it stopped.
    Resume(cluster::MigrationArgs),
    /// What the runner of a Migration in a cluster says.
    Logs(cluster::LogsArgs),
    /// The introspected schema as a file that --catalog takes.
    Catalog {
        #[command(flatten)]
        database: DatabaseArgs,
        /// Output format; there is only JSON.
        #[arg(long, value_enum, default_value_t = CatalogFormat::Json)]
        format: CatalogFormat,
    },
    /// The resource definitions, as YAML for kubectl apply.
    Crd,
    /// The operator.
    Controller(Box<crate::controller::args::ControllerArgs>),
    /// What a Job in a cluster runs.
    #[command(hide = true)]
    Run(Box<job::JobArgs>),
}

/// The author's SQL.
#[derive(Args)]
struct SourceArgs {
    /// SQL files, read in the order given; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Where the database is.
#[derive(Args)]
struct DatabaseArgs {
    /// Connection URL. Better given as DATABASE_URL: arguments are visible in the process list.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
}

/// Where the schema comes from: a server or a file.
#[derive(Args)]
struct SchemaArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// A file written by `wesley catalog`, instead of a server; DATABASE_URL is then not looked at.
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

/// What a plan is made from.
#[derive(Args)]
struct PlanArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    schema: SchemaArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// What the plan may contain.
#[derive(Args)]
struct PolicyArgs {
    /// Hazards to let pass, or `all`.
    #[arg(long, value_name = "HAZARD,...", value_delimiter = ',')]
    allow: Vec<String>,
    /// Largest table, in bytes, that may be rewritten or read in place under a blocking lock.
    #[arg(long, value_name = "BYTES", default_value_t = crate::plan::Policy::default().in_place_bytes,
        value_parser = clap::value_parser!(i64).range(0..))]
    in_place_bytes: i64,
}

/// What is executed.
#[derive(Args)]
struct ApplyArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    holds: HoldArgs,
    #[command(flatten)]
    terminate: TerminateArgs,
    #[command(flatten)]
    builds: BuildArgs,
    /// Name in the ledger: 1 to 200 of letters, digits, `.`, `_`, `-`.
    #[arg(long, value_parser = input::run_name)]
    name: String,
    /// Start without a question.
    #[arg(long, short)]
    yes: bool,
    /// Output format; JSON is one progress object a line, the last one the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// When backfills wait between two batches. 0 is without limit.
#[derive(Args)]
struct HoldArgs {
    /// Wait while a standby is so many seconds behind.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    hold_standby_seconds: f64,
    /// Wait while a replication slot retains so many bytes of WAL.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 30)]
    hold_slot_bytes: i64,
    /// Wait while the server writes more WAL in a second.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    hold_wal_bytes: i64,
    /// Wait while this query gives true.
    #[arg(long, value_name = "SQL", value_parser = input::one_select)]
    hold_query: Option<String>,
    #[command(flatten)]
    outside: OutsideArgs,
    /// Wait while the oldest transaction in the database has been open for so many seconds; 0: never for that.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    hold_transaction_seconds: f64,
    /// Wait while others vacuum the table.
    #[arg(long)]
    hold_vacuum: bool,
    /// Pause after each batch, as a multiple of the batch's duration.
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0)]
    nice: f64,
    /// Change no more rows in a second.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(i64).range(1..))]
    rows_per_second: Option<i64>,
}

/// Who is ended when a step waits for a table.
#[derive(Args)]
struct TerminateArgs {
    /// End sessions that are idle in a transaction when they have kept a table from a step for so long.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    terminate_idle_seconds: Option<u64>,
    /// End any session that has kept a table from a step for so long.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    terminate_any_seconds: Option<u64>,
}

impl TerminateArgs {
    fn policy(&self) -> Terminate {
        Terminate {
            idle_after: self.terminate_idle_seconds.map(Duration::from_secs),
            any_after: self.terminate_any_seconds.map(Duration::from_secs),
        }
    }
}

/// How much is done at a time.
#[derive(Args)]
struct BuildArgs {
    /// Most indexes that are built at a time, each on another table.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    index_builds: u8,
}

/// What else than the database is asked whether backfills wait.
#[derive(Args)]
struct OutsideArgs {
    /// Wait while this address does not answer with success (2xx).
    #[arg(long, value_name = "URL", value_parser = input::address)]
    hold_http: Option<String>,
    /// Prometheus that is asked for the expression of --hold-prometheus-query.
    #[arg(long, value_name = "URL", value_parser = input::address, requires = "hold_prometheus_query")]
    hold_prometheus: Option<String>,
    /// Wait while this expression gives anything.
    #[arg(long, value_name = "EXPRESSION", requires = "hold_prometheus", allow_hyphen_values = true)]
    hold_prometheus_query: Option<String>,
}

impl OutsideArgs {
    /// With what they say.
    fn with(&self, holds: Holds) -> Holds {
        let prometheus = self.hold_prometheus.clone().zip(self.hold_prometheus_query.clone());
        let prometheus = prometheus.map(|(url, query)| PrometheusHold { url, query });
        Holds { http: self.hold_http.clone(), prometheus, ..holds }
    }
}

/// What is undone.
#[derive(Args)]
struct RollbackArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    terminate: TerminateArgs,
    /// Name in the ledger.
    #[arg(long, value_parser = input::run_name)]
    name: String,
    /// Start without a question.
    #[arg(long, short)]
    yes: bool,
    /// Output format; JSON is one progress object a line, the last one the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

impl SourceArgs {
    /// Whether standard input holds SQL, so that it cannot answer a question.
    fn reads_stdin(&self) -> bool {
        self.files.iter().any(|file| input::is_stdin(file))
    }
}

/// How what happened is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For machines; the shape is a contract.
    Json,
}

/// How a schema is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CatalogFormat {
    /// For machines, and for `--catalog`.
    Json,
}

/// How plans are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For pull requests.
    Markdown,
    /// For machines; the shape is a contract.
    Json,
}

/// An end that is not well: what to say and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// Exit code class.
    pub exit: Exit,
    /// For standard error.
    pub message: String,
    /// One word of `docs/reasons.md`; none where the command line is wrong.
    pub reason: Option<Reason>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), reason: None }
    }

    /// With the exit code of its reason.
    fn of(reason: Reason, message: impl Into<String>) -> Self {
        Self { exit: reason.exit(), message: message.into(), reason: Some(reason) }
    }
}

/// An end of the engine; the word of its reason stands behind the message.
impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::of(error.reason, format!("{} [{}]", error.message, error.reason))
    }
}

/// A server that cannot be reached, with the exit code of its reason.
impl From<crate::run::connect::ConnectError> for Failure {
    fn from(error: crate::run::connect::ConnectError) -> Self {
        RunError::from(error).into()
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(Failure::new(Exit::Defect, format!("cannot start: {error}")))),
    };
    end(runtime.block_on(run(cli.command)))
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Analyze { source, schema, format } => analyze::run(&source, &schema, format).await,
        Command::Plan { plan, format } | Command::Explain { plan, format } => plan::run(&plan, format).await,
        Command::Watch { plan, format } => watch::run(&plan, format).await,
        Command::Apply(args) => apply::apply(&args).await,
        Command::Rollback(args) => apply::rollback(&args).await,
        Command::Status { database, cluster, name, format } => {
            if database.database_url.is_some() {
                apply::status(&database, name.as_deref(), format).await
            } else {
                cluster::status(&cluster, name.as_deref(), format).await
            }
        }
        Command::Approve(args) => cluster::approve(&args).await,
        Command::Suspend(args) => cluster::suspend(&args, true).await,
        Command::Resume(args) => cluster::suspend(&args, false).await,
        Command::Logs(args) => cluster::logs(&args).await,
        Command::Catalog { database, format: _ } => catalog::run(&database).await,
        Command::Run(args) => job::run(&args).await,
        Command::Controller(args) => {
            crate::controller::run(*args).await.map_err(|message| Failure::new(Exit::Defect, message))
        }
        Command::Crd => crate::api::schema::print()
            .map(|text| print(&text))
            .map_err(|error| Failure::new(Exit::Defect, format!("cannot write the definitions: {error}"))),
    }
}

fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::from(Exit::Done.code()),
        Err(failure) => {
            complain(&format!("error: {}\n", failure.message));
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Writes to standard error, which may be closed.
fn complain(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    let _ = out.flush();
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::new(Exit::Defect, format!("cannot write JSON: {error}")))?;
    print(&text);
    Ok(())
}
