//! The process in a Job: plans, executes, rolls back or inspects one Migration, and ends with a [`Report`].
//!
//! It may only create MigrationPlans and patch their status; what it needs besides is mounted or given as arguments.

mod database;
mod live;
mod object;
mod source;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::connect::Settings;
use super::error::{Fault, Reason, RunError};
use super::execute::unreadable;
use super::options::Options;
use super::outcome::RunOutcome;
use super::{Request, RunRow, RunState, apply, observe, preflight, rollback, status};
use crate::api::MigrationPlan;
use crate::catalog::introspect::introspect;
use crate::inspect::statements::Limits;
use crate::plan::{self, Policy, Stage};
use crate::report::{Report, RunAction};

/// What a Job is for.
#[derive(Clone, Debug)]
pub struct Task {
    /// What to do.
    pub action: RunAction,
    /// Namespace of the Migration.
    pub namespace: String,
    /// Name of the Migration; empty where a Database is inspected.
    pub migration: String,
    /// Its uid.
    pub uid: String,
    /// Its `metadata.generation` that is planned.
    pub generation: i64,
    /// Folder with the author's SQL, for planning.
    pub source: Option<PathBuf>,
    /// File with the author's checks, for planning.
    pub checks: Option<PathBuf>,
    /// What files must hold that were made for the run.
    pub expected: Vec<Expected>,
    /// Who wrote what is planned, as the Migration says.
    pub author: Option<String>,
    /// Folder with the parts of the connection.
    pub database: PathBuf,
    /// Name of the MigrationPlan, for execution.
    pub plan: Option<String>,
    /// Digest that the MigrationPlan must have.
    pub digest: Option<String>,
    /// What planning may let pass.
    pub policy: Policy,
    /// Whether statements are observed around the change, and what is tolerated.
    pub observation: Option<Limits>,
    /// Gates and patience.
    pub options: Options,
}

/// A file that somebody else may have replaced since it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The file.
    pub file: PathBuf,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
}

impl Expected {
    fn require(&self) -> Result<(), RunError> {
        let content = std::fs::read(&self.file).unwrap_or_default();
        if hex::encode(Sha256::digest(content)) == self.sha256 {
            return Ok(());
        }
        let message = format!(
            "{} is not what the operator made for this run: somebody has replaced its ConfigMap. Delete that, then change the \
             annotation wesley.dev/retry",
            self.file.display()
        );
        Err(RunError::new(Reason::SourceUnreadable, message))
    }
}

fn require_expected(task: &Task) -> Result<(), RunError> {
    task.expected.iter().try_for_each(Expected::require)
}

/// Name of a Migration's run in the ledger: the same for all its Jobs, another for its namesake made later.
pub fn run_name(namespace: &str, migration: &str, uid: &str) -> String {
    let uid: String = uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("{namespace}.{migration}.{uid}")
}

impl Task {
    /// [`run_name`] of the Migration.
    pub fn run_name(&self) -> String {
        run_name(&self.namespace, &self.migration, &self.uid)
    }
}

/// Does it. Never fails: what went wrong is in the report.
pub async fn run(task: &Task) -> Report {
    let interrupt = task.options.interrupt.clone();
    if let Err(error) = require_expected(task) {
        return failure(task, &error);
    }
    match task.action {
        RunAction::Plan => {
            let planned = tokio::select! {
                planned = plan_it(task) => planned,
                () = interrupt.cancelled() => Err(super::context::interrupted()),
            };
            planned.unwrap_or_else(|error| failure(task, &error))
        }
        RunAction::Execute => execute(task).await.unwrap_or_else(|error| failure(task, &error)),
        RunAction::Rollback => undo(task).await.unwrap_or_else(|error| failure(task, &error)),
        RunAction::Inspect => {
            let inspected = tokio::select! {
                inspected = inspect_or_sample(task) => inspected,
                () = interrupt.cancelled() => Err(super::context::interrupted()),
            };
            inspected.unwrap_or_else(|error| failure(task, &error))
        }
    }
}

/// Writes the report where the kubelet looks for it.
///
/// # Errors
/// The operating system's, when the file cannot be written.
pub fn write_report(report: &Report, file: &Path) -> std::io::Result<()> {
    std::fs::write(file, serde_json::to_vec(report)?)
}

/// A report without facts of a run.
fn report(task: &Task, reason: Reason, message: &str) -> Report {
    let message = super::outcome::clip_text(message);
    Report {
        plan: task.plan.clone(),
        digest: task.digest.clone(),
        ..Report::new(task.action, i32::from(reason.exit().code()), &reason.to_string(), message)
    }
}

fn failure(task: &Task, error: &RunError) -> Report {
    Report { step: error.step.clone(), sqlstate: error.sqlstate.clone(), ..report(task, error.reason, &error.message) }
}

async fn connect(settings: &Settings) -> Result<tokio_postgres::Client, RunError> {
    settings.connect().await.map_err(RunError::from)
}

async fn plan_it(task: &Task) -> Result<Report, RunError> {
    let Some(folder) = &task.source else {
        return Err(RunError::new(Reason::SourceUnreadable, "no folder with the SQL was given"));
    };
    let source = source::read(folder)?;
    require_expected(task)?;
    let settings = database::settings(&task.database)?;
    let client = connect(&settings).await?;
    preflight::prepare(&client).await.map_err(outside)?;
    let catalog = introspect(&client).await.map_err(unreadable).map_err(outside)?;
    let checks = source::checks(task.checks.as_deref())?;
    let plan = plan::plan_with_checks(&source.statements, &checks, &catalog, &task.policy)
        .map_err(|error| source.explain(error))?;
    let name = object::create(task, &plan).await?;
    let next_stage = plan.steps.first().map(|step| step.stage);
    Ok(Report {
        plan: Some(name),
        digest: Some(plan.digest.clone()),
        steps_total: i32::try_from(plan.steps.len()).unwrap_or(i32::MAX),
        next_stage,
        ..report(task, Reason::Planned, "")
    })
}

async fn execute(task: &Task) -> Result<Report, RunError> {
    let object = wanted_plan(task).await?;
    let settings = database::settings(&task.database)?;
    let options = Options { planned_earlier: true, ..task.options.clone() };
    if let Some(window) = options.window {
        window.watch(options.interrupt.clone());
    }
    let observed = task.observation.is_some();
    if observed {
        // A change without a reading before it could not be compared with anything.
        let client = connect(&settings).await?;
        observe::before(&client, &task.run_name()).await.map_err(outside)?;
    }
    let live = live::Live::start(task, &object).await;
    let request = Request::Start(Box::new(object.spec.plan));
    let outcome = apply(&settings, &task.run_name(), request, &options, &live).await;
    live.end().await;
    let report = told(task, &outcome);
    if observed && report.exit_code == 0 && matches!(report.next_stage, None | Some(Stage::Contract)) {
        // Where it fails, the comparison takes the reading later, and the time begins then.
        let mark = async {
            let client = connect(&settings).await?;
            observe::changed(&client, &task.run_name()).await.map_err(outside)
        };
        if let Err(error) = mark.await {
            tracing::warn!(reason = %error.reason, error = error.message, "statements could not be counted");
        }
    }
    Ok(report)
}

async fn undo(task: &Task) -> Result<Report, RunError> {
    let settings = database::settings(&task.database)?;
    // The plan is in the ledger; the object is only where progress is shown.
    let live = match wanted_plan(task).await {
        Ok(object) => live::Live::start(task, &object).await,
        Err(_) => live::Live::blind(),
    };
    let outcome = rollback(&settings, &task.run_name(), &task.options, &live).await;
    live.end().await;
    if outcome.reason() == Reason::NotRecorded {
        return Ok(report(task, Reason::AlreadyRolledBack, "nothing of it was ever done"));
    }
    Ok(told(task, &outcome))
}

fn told(task: &Task, outcome: &RunOutcome) -> Report {
    let report = outcome.report(task.action);
    Report { plan: task.plan.clone(), digest: report.digest.or_else(|| task.digest.clone()), ..report }
}

/// The MigrationPlan, when it is the one that was asked for.
async fn wanted_plan(task: &Task) -> Result<MigrationPlan, RunError> {
    let Some(name) = &task.plan else {
        return Err(RunError::new(Reason::PlanChanged, "no MigrationPlan was named"));
    };
    let object = object::read(&task.namespace, name).await?;
    let digest = plan::digest_of(&object.spec.plan);
    if digest != object.spec.plan.digest || task.digest.as_ref().is_some_and(|wanted| *wanted != digest) {
        return Err(RunError::new(
            Reason::PlanChanged,
            format!("the MigrationPlan {name} is not the one that is to be executed: its digest differs"),
        ));
    }
    Ok(object)
}

async fn inspect_or_sample(task: &Task) -> Result<Report, RunError> {
    if !task.migration.is_empty() {
        return inspect(task).await;
    }
    let settings = database::settings(&task.database)?.with_application_name("wesley/sample");
    let client = connect(&settings).await?;
    let activity = super::sample::sample(&client).await.map_err(outside)?;
    Ok(Report { activity: Some(activity), ..report(task, Reason::Inspected, "") })
}

async fn inspect(task: &Task) -> Result<Report, RunError> {
    let client = connect(&database::settings(&task.database)?).await?;
    preflight::prepare(&client).await.map_err(outside)?;
    let rows = status(&client, Some(&task.run_name())).await?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(Report { exit_code: 0, ..report(task, Reason::NotRecorded, "") });
    };
    let report = seen(task, &row);
    let Some(limits) = task.observation.filter(|_| matches!(report.next_stage, None | Some(Stage::Contract))) else {
        return Ok(report);
    };
    let observation = observe::measure(&client, &task.run_name(), limits).await;
    Ok(Report { observation: Some(observation.map_err(outside)?), ..report })
}

fn seen(task: &Task, row: &RunRow) -> Report {
    let reason = match row.state {
        RunState::Done => Reason::Done,
        RunState::RolledBack => Reason::RolledBack,
        RunState::RollingBack => Reason::RollbackUnfinished,
        RunState::Running | RunState::Interrupted | RunState::Paused | RunState::Failed => Reason::Inspected,
    };
    let next: Option<Stage> = row.next_stage.filter(|_| row.state != RunState::RolledBack);
    Report {
        exit_code: 0,
        digest: Some(row.plan_digest.clone()),
        steps_done: i32::try_from(row.steps_done).unwrap_or(i32::MAX),
        steps_total: i32::try_from(row.steps_total).unwrap_or(i32::MAX),
        next_stage: next,
        step: row.failed_step.clone(),
        sqlstate: row.sqlstate.clone(),
        rows_done: row.rows_done,
        rollback: row.rollback.clone(),
        ..report(task, reason, row.reason.as_deref().unwrap_or_default())
    }
}

/// A fault before anything was begun.
fn outside(fault: Fault) -> RunError {
    match fault {
        Fault::Fatal(error) => error,
        Fault::Interrupted => super::context::interrupted(),
        Fault::Lost => RunError::new(Reason::ConnectionLost, "the connection was lost"),
        Fault::Server(error) => preflight::refusal(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guards.json");
        std::fs::write(&file, "{\"activeSessionsMax\":1}").unwrap();
        let sha256 = hex::encode(Sha256::digest("{\"activeSessionsMax\":1}"));
        let expected = Expected { file: file.clone(), sha256 };
        assert_eq!(expected.require(), Ok(()));
        std::fs::write(&file, "{}").unwrap();
        let error = expected.require().unwrap_err();
        assert_eq!(error.reason, Reason::SourceUnreadable);
        assert!(error.message.contains("guards.json is not what the operator made"), "{}", error.message);
        std::fs::remove_file(&file).unwrap();
        assert!(expected.require().is_err());
    }
}
