//! Writing: the only place that changes anything for a Migration. Status first, then the actions in their order.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::decide::{Action, Decision};
use super::observed::{Observed, SourceMount, SourceState, WindowState};
use crate::api::{GROUP, Migration, MigrationPlan, VERSION};
use crate::controller::context::Context;
use crate::controller::error::{Error, Result, bounded};
use crate::controller::{events, jobs, names, namespace};
use crate::report::RunAction;

/// How long an ended Job stays, for its logs.
const JOB_KEPT_SECONDS: i32 = 3_600;

/// Applies a decision.
///
/// # Errors
/// The API server's. A conflict means that somebody wrote in between: look again.
pub async fn apply(context: &Context, observed: &Observed, decision: &Decision) -> Result<()> {
    let before = observed.status();
    let mut migration = observed.migration.clone();
    if before != decision.status {
        migration = write_status(context, &migration, decision).await?;
        count_run(context, observed, decision);
        events::publish(context, &migration, events::transitions(&before, &decision.status)).await;
    }
    for action in &decision.actions {
        act(context, observed, &mut migration, action).await?;
    }
    Ok(())
}

/// The whole status, on the condition that nobody wrote since it was read.
async fn write_status(context: &Context, migration: &Migration, decision: &Decision) -> Result<Migration> {
    let name = migration.name_any();
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "Migration",
        "metadata": {"name": name, "resourceVersion": migration.resource_version()},
        "status": decision.status,
    });
    let params = PatchParams::apply(names::MANAGER).force();
    bounded("write the status", api(context, migration)?.patch_status(&name, &params, &Patch::Apply(body))).await
}

fn api<K>(context: &Context, migration: &Migration) -> Result<Api<K>>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    let namespace = migration.namespace().ok_or(Error::Incomplete("namespace"))?;
    Ok(Api::namespaced(context.client.clone(), &namespace))
}

async fn act(context: &Context, observed: &Observed, migration: &mut Migration, action: &Action) -> Result<()> {
    match action {
        Action::AddFinalizer => finalizers(context, migration, true).await,
        Action::RemoveFinalizer => finalizers(context, migration, false).await,
        Action::CreateJob => create_job(context, observed, migration).await,
        Action::TuneBackfill => {
            let namespace = migration.namespace().ok_or(Error::Incomplete("namespace"))?;
            tune_backfill(context, &namespace, migration).await
        }
        Action::StopJob(name) => {
            // The Job stays until its pods are gone, so that the next run does not begin beside the last.
            let jobs: Api<Job> = api(context, migration)?;
            gone_is_fine(bounded("stop the Job", jobs.delete(name, &DeleteParams::foreground())).await.map(|_| ()))
        }
        Action::ExpireJob(name) => {
            let jobs: Api<Job> = api(context, migration)?;
            let mut annotations = serde_json::Map::new();
            annotations.insert(names::RECORDED_ANNOTATION.to_owned(), "true".into());
            let body = json!({
                "metadata": {"annotations": annotations},
                "spec": {"ttlSecondsAfterFinished": JOB_KEPT_SECONDS},
            });
            let patch = Patch::Merge(body);
            gone_is_fine(
                bounded("let the Job expire", jobs.patch(name, &PatchParams::default(), &patch)).await.map(|_| ()),
            )
        }
        Action::DeletePlan(name) => {
            let plans: Api<MigrationPlan> = api(context, migration)?;
            gone_is_fine(
                bounded("delete an old MigrationPlan", plans.delete(name, &DeleteParams::default())).await.map(|_| ()),
            )
        }
    }
}

async fn finalizers(context: &Context, migration: &mut Migration, hold: bool) -> Result<()> {
    let mut finalizers = migration.metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|name| name != names::FINALIZER);
    if hold {
        finalizers.push(names::FINALIZER.to_owned());
    }
    let metadata = json!({"finalizers": finalizers, "resourceVersion": migration.resource_version()});
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let written: Result<Migration> = bounded(
        "write the finalizer",
        api(context, migration)?.patch(&migration.name_any(), &PatchParams::default(), &patch),
    )
    .await;
    match written {
        Ok(written) => {
            *migration = written;
            Ok(())
        }
        Err(error) if !hold => gone_is_fine(Err(error)),
        Err(error) => Err(error),
    }
}

async fn create_job(context: &Context, observed: &Observed, migration: &Migration) -> Result<()> {
    let status = migration.status.clone().unwrap_or_default();
    let (Some(run), Some(database)) = (&status.run, &observed.database) else { return Ok(()) };
    let namespace = migration.namespace().ok_or(Error::Incomplete("namespace"))?;
    let source = match &observed.source {
        SourceState::Known { digest, mount } => Some((digest.as_str(), mount)),
        SourceState::Unread | SourceState::Missing { .. } => None,
    };
    let plan = status.plan.as_ref();
    let guards = match &observed.window {
        WindowState::Known(window) => window.guards.as_ref(),
        _ => None,
    };
    let request = jobs::Request { migration, database, run, plan, source, guards, runner: &context.runner };
    let made = make(context, &namespace, &request).await;
    remember_refusal(context, &namespace, &run.job, &made);
    made
}

/// Keeps why the API server does not create a Job, until it does.
pub fn remember_refusal(context: &Context, namespace: &str, job: &str, made: &Result<()>) {
    let key = (namespace.to_owned(), job.to_owned());
    if let Ok(mut refusals) = context.refusals.lock() {
        match made {
            Err(Error::Kube { source, .. }) if is_refusal(source) => {
                refusals.insert(key, answer(source));
            }
            Err(error @ Error::Foreign(_)) => {
                refusals.insert(key, error.to_string());
            }
            Ok(()) => {
                refusals.remove(&key);
            }
            Err(_) => {}
        }
    }
}

/// Creates a Job. Whose it is that exists already, the next look tells.
///
/// # Errors
/// The API server's.
pub async fn create_job_once(context: &Context, namespace: &str, job: &Job) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    exists_is_fine(bounded("create the Job", jobs.create(&PostParams::default(), job)).await.map(|_| ()))
}

/// Writes `spec.backfill` where the Jobs read it.
async fn tune_backfill(context: &Context, namespace: &str, migration: &Migration) -> Result<()> {
    let Some(map) = jobs::backfill_config_map(migration) else { return Ok(()) };
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let name = jobs::backfill_config_map_name(migration);
    let params = PatchParams::apply(names::MANAGER).force();
    let patch = Patch::Apply(&map);
    bounded("write the ConfigMap of spec.backfill", maps.patch(&name, &params, &patch)).await.map(|_| ())
}

async fn make(context: &Context, namespace: &str, request: &jobs::Request<'_>) -> Result<()> {
    namespace::ensure_account(context, namespace).await?;
    if request.run.action == RunAction::Plan
        && let Some((digest, SourceMount::Inline)) = request.source
        && let Some(map) = jobs::sql_config_map(request.migration, digest)
    {
        create_map(context, namespace, &map).await?;
    }
    let checks = jobs::checks_config_map(request.migration).filter(|_| request.run.action == RunAction::Plan);
    for map in checks.into_iter().chain(jobs::guards_config_map(request)) {
        create_map(context, namespace, &map).await?;
    }
    if jobs::may_backfill(request.run.action) {
        tune_backfill(context, namespace, request.migration).await?;
    }
    create_job_once(context, namespace, &jobs::job(request)).await
}

/// Creates a ConfigMap for a Job, or finds that it is there as it should be. Its name can be foretold, and more people may
/// write ConfigMaps than Migrations.
async fn create_map(context: &Context, namespace: &str, wanted: &ConfigMap) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let made = bounded("create a ConfigMap for the Job", maps.create(&PostParams::default(), wanted)).await;
    let Err(error) = made else { return Ok(()) };
    if !is_there_already(&error) {
        return Err(error);
    }
    let name = wanted.name_any();
    let found = bounded("get a ConfigMap for the Job", maps.get_opt(&name)).await?.ok_or(error)?;
    if found.data == wanted.data
        && found.immutable == wanted.immutable
        && found.owner_references() == wanted.owner_references()
    {
        return Ok(());
    }
    Err(Error::Foreign(name))
}

/// Whether the API server will say the same again.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 409 && status.code != 429)
}

fn answer(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

fn exists_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if is_there_already(&error) => Ok(()),
        other => other,
    }
}

fn is_there_already(error: &Error) -> bool {
    matches!(error, Error::Kube { source, .. } if matches!(&**source, kube::Error::Api(status) if status.reason == "AlreadyExists"))
}

fn gone_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::Kube { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 404) => Ok(()),
        other => other,
    }
}

/// Metrics of a run that has ended.
fn count_run(context: &Context, observed: &Observed, decision: &Decision) {
    let before = observed.status();
    let (Some(run), Some(last)) = (before.run, &decision.status.last_run) else { return };
    if run.number != last.number {
        return;
    }
    let action = run.action.to_string();
    context.metrics.runs.with_label_values(&[action.as_str(), last.reason.as_str()]).inc();
    let seconds = last.finished_time.0.duration_since(run.started_time.0).as_secs_f64();
    context.metrics.run_duration.with_label_values(&[action.as_str()]).observe(seconds);
}
