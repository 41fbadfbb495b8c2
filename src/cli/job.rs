//! `wesley run`: what Jobs in a cluster run. Not for people.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{BuildArgs, Failure, OutsideArgs, PolicyArgs, TerminateArgs, plan};
use crate::api::validation_window::Guards;
use crate::exit::Exit;
use crate::inspect::statements::Limits;
use crate::report::RunAction;
use crate::run::job::{self, Expected, Task};
use crate::run::{Gates, Holds, Options, WindowEnd, interrupt_on_signals};

/// Arguments of a Job's container.
#[derive(Args)]
pub(super) struct JobArgs {
    /// What to do.
    #[arg(value_enum)]
    action: Action,
    /// Namespace of the Migration.
    #[arg(long)]
    namespace: String,
    /// Name of the Migration.
    #[arg(long, required_unless_present = "sample", requires = "uid")]
    migration: Option<String>,
    /// Its uid.
    #[arg(long)]
    uid: Option<String>,
    /// For `inspect`: samples the activity of the database instead of reading the ledger of a Migration.
    #[arg(long, conflicts_with = "migration")]
    sample: bool,
    /// Its metadata.generation.
    #[arg(long, default_value_t = 0)]
    generation: i64,
    /// Folder with the SQL: files in the order of their paths.
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// File with the author's checks.
    #[arg(long, value_name = "FILE")]
    checks: Option<PathBuf>,
    /// Files that must have that content (SHA-256, in hex).
    #[arg(long, value_name = "FILE=DIGEST", value_parser = expected)]
    expect: Vec<Expected>,
    /// Who wrote what is planned.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Folder with the parts of the connection.
    #[arg(long, value_name = "DIR")]
    database_dir: PathBuf,
    /// Name of the MigrationPlan.
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// Digest that the plan must have.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Gates that are open.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "GATE,...")]
    gates: Vec<GateArg>,
    /// File with the speed and the limits of backfills, read again while one runs.
    #[arg(long, value_name = "FILE")]
    backfill: Option<PathBuf>,
    /// A backfill waits while this query gives true.
    #[arg(long, value_name = "SQL", allow_hyphen_values = true)]
    hold_query: Option<String>,
    #[command(flatten)]
    outside: OutsideArgs,
    /// File with the guards of that window.
    #[arg(long, value_name = "FILE")]
    guards: Option<PathBuf>,
    /// When the window that validation runs in closes.
    #[arg(long, value_name = "TIME")]
    window_closes_at: Option<jiff::Timestamp>,
    /// How long the longest of its openings to come is.
    #[arg(long, value_name = "SECONDS", default_value_t = i64::MAX)]
    longest_opening_seconds: i64,
    /// What happens to validation that is still running then.
    #[arg(long, value_enum, default_value_t = OverrunArg::Finish)]
    overrun: OverrunArg,
    /// Observes the application's statements around the change: by how many percent the mean of one may grow.
    #[arg(long, value_name = "PERCENT", requires = "calls_min")]
    regression_percent_max: Option<i32>,
    /// Executions that a statement must have before and after to be compared.
    #[arg(long, value_name = "NUMBER")]
    calls_min: Option<i32>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Longest single wait for a lock that makes others queue.
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    lock_slice_milliseconds: Option<u64>,
    /// How long one step waits for its locks, all tries together.
    #[arg(long, value_name = "SECONDS")]
    lock_budget_seconds: Option<u64>,
    /// Longest run of a statement whose work does not grow with a table.
    #[arg(long, value_name = "SECONDS")]
    statement_seconds: Option<u64>,
    #[command(flatten)]
    terminate: TerminateArgs,
    #[command(flatten)]
    builds: BuildArgs,
    /// Where the report is written.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    report: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    /// Plan and write the MigrationPlan.
    Plan,
    /// Execute it as far as the gates are open.
    Execute,
    /// Run the recorded undo.
    Rollback,
    /// Read the ledger.
    Inspect,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GateArg {
    /// Steps that read whole tables.
    Validate,
    /// Steps that remove what is no longer needed.
    Contract,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OverrunArg {
    /// What was begun goes on to its end.
    Finish,
    /// It is cancelled.
    Cancel,
}

/// Runs it, writes the report, and ends with its exit code.
pub(super) async fn run(args: &JobArgs) -> Result<(), Failure> {
    let task = task(args)?;
    let report = job::run(&task).await;
    job::write_report(&report, &args.report)
        .map_err(|error| Failure::new(Exit::Defect, format!("cannot write {}: {error}", args.report.display())))?;
    match Exit::from_code(report.exit_code) {
        Some(Exit::Done) => Ok(()),
        Some(exit) => Err(Failure::new(exit, format!("{} [{}]", report.message, report.reason))),
        None => Err(Failure::new(Exit::Defect, report.message)),
    }
}

/// The guards of a file; none without one.
fn guards(file: Option<&std::path::Path>) -> Result<Option<Guards>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let unreadable = |error: String| Failure::new(Exit::Usage, format!("cannot read {}: {error}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(format!("line {}", error.line())))
}

fn expected(text: &str) -> Result<Expected, String> {
    let (file, sha256) = text.rsplit_once('=').ok_or("a file, =, and the digest of its content")?;
    Ok(Expected { file: file.into(), sha256: sha256.to_owned() })
}

fn observation(args: &JobArgs) -> Option<Limits> {
    Some(Limits { regression_percent_max: args.regression_percent_max?, calls_min: args.calls_min? })
}

fn task(args: &JobArgs) -> Result<Task, Failure> {
    if args.sample && !matches!(args.action, Action::Inspect) {
        return Err(Failure::new(Exit::Usage, "--sample belongs to `wesley run inspect`"));
    }
    let interrupt = interrupt_on_signals()
        .map_err(|error| Failure::new(Exit::Defect, format!("cannot listen for signals: {error}")))?;
    let defaults = Options::default();
    let longest = args.lock_slice_milliseconds.map_or(defaults.blocking_slice.1, Duration::from_millis);
    let options = Options {
        gates: Gates {
            validate: args.gates.contains(&GateArg::Validate),
            contract: args.gates.contains(&GateArg::Contract),
        },
        window: args.window_closes_at.map(|closes_at| WindowEnd {
            closes_at,
            longest_seconds: args.longest_opening_seconds,
            cancel: args.overrun == OverrunArg::Cancel,
        }),
        guards: guards(args.guards.as_deref())?,
        blocking_slice: (defaults.blocking_slice.0.min(longest), longest),
        lock_budget: args.lock_budget_seconds.map_or(defaults.lock_budget, Duration::from_secs),
        short_statement: args.statement_seconds.map_or(defaults.short_statement, Duration::from_secs),
        terminate: args.terminate.policy(),
        index_builds: args.builds.index_builds.into(),
        tuning: args.backfill.clone(),
        holds: Holds { query: args.hold_query.clone(), ..args.outside.with(defaults.holds.clone()) },
        interrupt,
        ..defaults
    };
    Ok(Task {
        action: match args.action {
            Action::Plan => RunAction::Plan,
            Action::Execute => RunAction::Execute,
            Action::Rollback => RunAction::Rollback,
            Action::Inspect => RunAction::Inspect,
        },
        namespace: args.namespace.clone(),
        migration: args.migration.clone().unwrap_or_default(),
        uid: args.uid.clone().unwrap_or_default(),
        generation: args.generation,
        source: args.source.clone(),
        checks: args.checks.clone(),
        expected: args.expect.clone(),
        author: args.author.clone(),
        database: args.database_dir.clone(),
        plan: args.plan.clone(),
        digest: args.digest.clone(),
        observation: observation(args),
        policy: plan::policy(&args.policy)?,
        options,
    })
}
