//! `wesley apply`, `wesley rollback` and `wesley status`: the executor without a cluster.

use std::io::IsTerminal;
use std::time::Instant;

use tokio_postgres::Client;

use super::{
    ApplyArgs, DatabaseArgs, Failure, HoldArgs, Output, RollbackArgs, catalog, complain, input, plan, print,
    print_json, progress,
};
use crate::catalog::introspect::introspect_at;
use crate::exit::Exit;
use crate::plan::{Plan, RollbackClass, explain, plan_source, source_digest};
use crate::run::connect::Settings;
use crate::run::{
    self, BackfillOptions, Holds, Observer, Options, Recall, Request, RunError, RunOutcome, RunRow,
    interrupt_on_signals,
};

/// Plans and executes all stages under a name; resumes what was cut off.
pub(super) async fn apply(args: &ApplyArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let observer = progress::observer(args.format);
    let (settings, request, options) = match ready(args, &observer).await {
        Ok(ready) => ready,
        Err(failure) => {
            if let Some(reason) = failure.reason.filter(|_| args.format == Output::Json) {
                let message = failure.message.trim_end_matches(&format!(" [{reason}]"));
                let error = RunError::new(reason, message);
                RunOutcome::refused(&args.name, started, error).finish(&observer);
            }
            return Err(failure);
        }
    };
    let outcome = run::apply(&settings, &args.name, request, &options, &observer).await;
    end(&outcome).map_err(|failure| Failure { message: failure.message + &stands(&outcome), ..failure })
}

/// All that comes before the run: reading, planning, the question.
async fn ready(args: &ApplyArgs, observer: &dyn Observer) -> Result<(Settings, Request, Options), Failure> {
    let policy = plan::policy(&args.policy)?;
    let input = input::read_for_plan(&args.source)?;
    let settings = catalog::settings(&args.database)?;
    let digest = source_digest(input.source());
    let client = settings.connect_to_read().await?;
    let mut planned_at = None;
    let request = loop {
        run::wait_until_free(&client, Options::default().busy_wait, observer).await?;
        let recorded = run::status(&client, Some(&args.name)).await?.pop();
        // What is recorded for the same SQL goes on (or is done) as planned then: the catalog has moved since.
        if let Some(run) = &recorded
            && run.recall(&digest)? == Recall::Resume
        {
            confirm(args.yes, args.source.reads_stdin(), &format!("Resume {} at step {}?", args.name, next(run)))?;
            break Request::Resume { source_digest: digest };
        }
        let (catalog, moment) = introspect_at(&client).await.map_err(run::schema_unreadable)?;
        match plan_source(input.source(), &[], &catalog, &policy) {
            Ok(plan) => {
                ask(args, &plan)?;
                planned_at = Some(moment);
                break Request::Start(Box::new(plan));
            }
            // A run that has begun meanwhile changes the schema under the plan: its end is waited for.
            Err(_) if run::is_held(&client).await? || began(&client, &args.name, recorded.as_ref()).await? => {}
            Err(error) => return Err(plan::failure(&input, error)),
        }
    };
    let options = Options {
        planned_at,
        terminate: args.terminate.policy(),
        index_builds: args.builds.index_builds.into(),
        runs: input.file_runs,
        ..with_holds(options()?, &args.holds)?
    };
    Ok((settings, request, options))
}

/// Whether a run of that name was begun since its record was read.
async fn began(client: &Client, name: &str, before: Option<&RunRow>) -> Result<bool, RunError> {
    let now = run::status(client, Some(name)).await?.pop();
    Ok(now.map(|run| run.started_at) != before.map(|run| run.started_at.clone()))
}

/// Runs the recorded undo of a name.
pub(super) async fn rollback(args: &RollbackArgs) -> Result<(), Failure> {
    let settings = catalog::settings(&args.database)?;
    if !args.yes {
        let recorded = recorded(&settings, &args.name).await?;
        if let Some(state) = recorded.first().and_then(|run| run.rollback.as_ref()) {
            let loses = if state.reason.is_empty() { String::new() } else { format!(": {}", state.reason) };
            let question = format!("Roll back {} ({} actions, {}{loses})?", args.name, state.steps, state.class);
            confirm(args.yes, false, &question)?;
        }
    }
    let options = Options { terminate: args.terminate.policy(), ..options()? };
    let outcome = run::rollback(&settings, &args.name, &options, &progress::observer(args.format)).await;
    end(&outcome)
}

/// The ledger as rows.
pub(super) async fn status(database: &DatabaseArgs, name: Option<&str>, format: Output) -> Result<(), Failure> {
    let settings = catalog::settings(database)?;
    let client = settings.connect_to_read().await?;
    let rows = run::status(&client, name).await?;
    if format == Output::Json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        print(&match name {
            Some(name) => format!("no run {name} is recorded in this database"),
            None => "no runs are recorded in this database".to_owned(),
        });
        return Ok(());
    }
    let mut lines = vec![["NAME", "STATE", "STEPS", "ROWS", "ROLLBACK", "STARTED", "REASON"].map(str::to_owned)];
    lines.extend(rows.iter().map(|run| {
        [
            run.name.clone(),
            run.state.to_string(),
            format!("{}/{}", run.steps_done, run.steps_total),
            run.rows_done.to_string(),
            run.rollback.as_ref().map(|state| state.class.to_string()).unwrap_or_default(),
            run.started_at.clone(),
            run.reason.clone().unwrap_or_default(),
        ]
    }));
    print(&table(&lines));
    Ok(())
}

/// Columns as wide as their widest cell.
pub(super) fn table<const N: usize>(lines: &[[String; N]]) -> String {
    let widths: Vec<usize> =
        (0..N).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

async fn recorded(settings: &Settings, name: &str) -> Result<Vec<RunRow>, Failure> {
    let client = settings.connect_to_read().await?;
    Ok(run::status(&client, Some(name)).await?)
}

fn options() -> Result<Options, Failure> {
    let interrupt = interrupt_on_signals()
        .map_err(|error| Failure::new(Exit::Defect, format!("cannot listen for signals: {error}")))?;
    Ok(Options { interrupt, ..Options::default() })
}

fn with_holds(options: Options, args: &HoldArgs) -> Result<Options, Failure> {
    let numbers = [args.hold_standby_seconds, args.hold_transaction_seconds, args.nice];
    if numbers.iter().any(|number| !number.is_finite() || *number < 0.0)
        || args.hold_slot_bytes.min(args.hold_wal_bytes) < 0
    {
        return Err(Failure::new(Exit::Usage, "limits of --hold-... and --nice are 0 or more"));
    }
    let limit = |bytes: i64| Some(bytes).filter(|bytes| *bytes > 0);
    let holds = Holds {
        standby_seconds: Some(args.hold_standby_seconds).filter(|seconds| *seconds > 0.0),
        slot_bytes: limit(args.hold_slot_bytes),
        wal_bytes_per_second: limit(args.hold_wal_bytes),
        transaction_seconds: Some(args.hold_transaction_seconds).filter(|seconds| *seconds > 0.0),
        vacuum: args.hold_vacuum,
        query: args.hold_query.clone(),
        ..args.outside.with(options.holds)
    };
    let backfill = BackfillOptions {
        nice: args.nice,
        rows_per_second: args.rows_per_second,
        // A batch of more would be a burst, and a long pause after it.
        most: args.rows_per_second.map_or(options.backfill.most, |rows| rows.min(options.backfill.most)),
        ..options.backfill
    };
    Ok(Options { holds, backfill, ..options })
}

fn next(run: &RunRow) -> &str {
    run.next_step.as_deref().unwrap_or("none, all are done")
}

/// Shows the plan and asks.
fn ask(args: &ApplyArgs, steps: &Plan) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let color = plan::colour(&std::io::stderr());
    complain(&format!("{}\n", explain::render(steps, explain::Format::Text { color })));
    confirm(args.yes, args.source.reads_stdin(), "Run these steps?")
}

pub(super) fn confirm(yes: bool, stdin_is_taken: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let mut stdin = std::io::stdin();
    if stdin_is_taken || !stdin.is_terminal() {
        return Err(Failure::new(Exit::Usage, "there is nobody to ask: give --yes to start without a question"));
    }
    complain(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::BufRead::read_line(&mut std::io::BufReader::new(&mut stdin), &mut answer);
    if read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::NotAllowed, "not started: nothing was changed"))
}

/// Where one stands after a step failed, and the ways on from there.
fn stands(outcome: &RunOutcome) -> String {
    if outcome.step().is_none() {
        return String::new();
    }
    let back = match &outcome.rollback {
        Some(state) if state.class == RollbackClass::ForwardOnly => String::new(),
        _ => format!(", or `wesley rollback --name {}`", outcome.name),
    };
    format!("\n  = {} of {} steps are done; run it again{back}", outcome.steps_done, outcome.steps_total)
}

fn end(outcome: &RunOutcome) -> Result<(), Failure> {
    match &outcome.ending {
        Ok(_) => Ok(()),
        Err(error) => Err(error.clone().into()),
    }
}
