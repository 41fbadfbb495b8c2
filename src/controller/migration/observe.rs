//! Reading: the only place that asks the API server about a Migration.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::dependencies::{self, Dependencies};
use super::observed::{JobState, Observed, PlanFacts, SourceMount, SourceState, Window, WindowState};
use super::{job_end, observed};
use crate::api::migration_plan::StepState;
use crate::api::migration_status::ExecutionState;
use crate::api::reference::ConfigMapRef;
use crate::api::{Database, Migration, MigrationPlan, MigrationStatus, Reason};
use crate::controller::context::Context;
use crate::controller::database::circuit::Standing;
use crate::controller::error::{Error, Result, bounded};
use crate::controller::windows::{Calendar, Opening};
use crate::controller::{jobs, names};
use crate::plan::Stage;
use crate::report::RunAction;

/// MigrationPlans of a Migration that are kept, besides the present one.
const PLANS_KEPT: usize = 10;

/// Reads everything that a decision needs. Rivals are looked for later, at the moment of the decision.
///
/// # Errors
/// The API server's; a missing object is an observation, not an error.
pub async fn observe(context: &Context, migration: Migration, now: Timestamp) -> Result<Observed> {
    let namespace = migration.namespace().ok_or(Error::Incomplete("namespace"))?;
    let status = migration.status.clone().unwrap_or_default();
    let database = context.database(&namespace, &migration.spec.database_ref.name);
    let (job, refusal) = match &status.run {
        Some(run) => job_state(context, &namespace, migration.metadata.uid.as_deref(), &run.job).await?,
        None => (JobState::None, None),
    };
    let state = status.execution.as_ref().map(|execution| execution.state);
    let complete = matches!(state, Some(ExecutionState::Done | ExecutionState::RolledBack));
    let plan = match &status.plan {
        Some(plan) if !complete || status.run.is_some() => plan_facts(context, &namespace, &plan.name).await?,
        _ => None,
    };
    let made = match &job {
        JobState::Ended(end) => match end.report.as_ref().and_then(|report| report.plan.as_deref()) {
            Some(name) if end.report.as_ref().is_some_and(|report| report.action == RunAction::Plan) => {
                plan_facts(context, &namespace, name).await?
            }
            _ => None,
        },
        _ => None,
    };
    let seen = status.observed_generation == migration.metadata.generation;
    let changing = status.run.as_ref().is_some_and(|run| run.action != RunAction::Plan);
    let busy = changing && !matches!(job, JobState::Ended(_));
    let source = if seen && (complete || busy) && migration.spec.source.sql.is_none() {
        SourceState::Unread
    } else {
        source(context, &namespace, &migration).await?
    };
    let backfill = backfill(context, &namespace, &migration, &status, &job).await?;
    Ok(Observed {
        backfill,
        window: window(context, &namespace, &migration, database.as_ref(), now),
        leftover_jobs: leftover_jobs(context, &migration),
        old_plans: old_plans(context, &migration),
        dependencies: if complete {
            Dependencies::default()
        } else {
            let needs = |name: &str| context.of_migration(&namespace, name, dependencies::names).unwrap_or_default();
            dependencies::look(&migration, |name| context.migration(&namespace, name), needs)
        },
        namespace_ending: refusal.is_some_and(|refusal| refusal.contains("being terminated")),
        migration,
        database,
        source,
        plan,
        made,
        job,
        rival: None,
        ahead_in_planning: 0,
        circuit: Standing::Closed,
    })
}

/// What the running Job is told of `spec.backfill`; empty where it is told nothing.
async fn backfill(
    context: &Context,
    namespace: &str,
    migration: &Migration,
    status: &MigrationStatus,
    job: &JobState,
) -> Result<Option<String>> {
    let reads = status.run.as_ref().is_some_and(|run| jobs::may_backfill(run.action));
    if !reads || !matches!(job, JobState::Active { ending: false, .. }) {
        return Ok(None);
    }
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let name = jobs::backfill_config_map_name(migration);
    let map = bounded("get the ConfigMap of spec.backfill", api.get_opt(&name)).await?;
    let text = map.and_then(|map| map.data?.remove(jobs::BACKFILL_KEY));
    Ok(Some(text.unwrap_or_default()))
}

/// The Job of that name, made for the object with that uid; and why the API server does not create it, if so.
///
/// # Errors
/// The API server's.
pub async fn job_state(
    context: &Context,
    namespace: &str,
    uid: Option<&str>,
    name: &str,
) -> Result<(JobState, Option<String>)> {
    let api: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    let Some(job) = bounded("get the Job", api.get_opt(name)).await? else {
        let key = (namespace.to_owned(), name.to_owned());
        let refusal = context.refusals.lock().ok().and_then(|refusals| refusals.get(&key).cloned());
        return Ok((refusal.clone().map_or(JobState::Absent, JobState::Refused), refusal));
    };
    let owned =
        job.owner_references().iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid);
    if !owned {
        return Ok((JobState::Foreign, None));
    }
    let condition = |kind: &str| {
        let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    let ended = condition("Complete").or_else(|| condition("Failed"));
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let pods = bounded("list the Job's pods", pods.list(&of_job)).await?.items;
    let state = match ended {
        Some(condition) => JobState::Ended(job_end::end(&pods, condition.reason.as_deref())),
        None => JobState::Active { ending: job.metadata.deletion_timestamp.is_some(), stuck: job_end::stuck(&pods) },
    };
    Ok((state, None))
}

async fn plan_facts(context: &Context, namespace: &str, name: &str) -> Result<Option<PlanFacts>> {
    let api: Api<MigrationPlan> = Api::namespaced(context.client.clone(), namespace);
    Ok(bounded("get the MigrationPlan", api.get_opt(name)).await?.map(facts))
}

fn facts(plan: MigrationPlan) -> PlanFacts {
    let name = plan.name_any();
    let status = plan.status.unwrap_or_default();
    let done = status.steps.iter().filter(|step| step.state == StepState::Done).count();
    let running = status.steps.iter().find(|step| matches!(step.state, StepState::Running | StepState::Waiting));
    let spec = plan.spec;
    let stage = running.and_then(|running| spec.plan.steps.iter().find(|step| step.id == running.id));
    let validations = spec.plan.steps.iter().enumerate().filter(|(_, step)| step.stage == Stage::Validate);
    let validations = validations.map(|(index, step)| (index, step.estimate.seconds_least)).collect();
    let (summary, target) = (spec.plan.summary, spec.plan.target);
    PlanFacts {
        name,
        migration_uid: spec.migration.uid,
        digest: spec.plan.digest,
        running_stage: stage.map(|step| step.stage),
        steps: i32::try_from(spec.plan.steps.len()).unwrap_or(i32::MAX),
        strongest_lock: summary.strongest_lock,
        needs_validation: summary.needs_validation,
        validations,
        has_contract: summary.has_contract,
        rollback: summary.rollback,
        rollback_reason: summary.rollback_reason,
        target: crate::api::database::DatabaseIdentity {
            server_version: target.server_version,
            system_identifier: target.system_identifier,
            database_oid: target.database_oid,
            database: target.database,
        },
        approval: status.approval,
        steps_done: i32::try_from(done).unwrap_or(i32::MAX),
    }
}

async fn source(context: &Context, namespace: &str, migration: &Migration) -> Result<SourceState> {
    if let Some(sql) = &migration.spec.source.sql {
        let kept = migration.spec.source.digest.clone();
        let digest = kept.unwrap_or_else(|| names::digest([sql.as_str()]));
        return Ok(SourceState::Known { digest, mount: SourceMount::Inline });
    }
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let mut keys = Vec::new();
    let mut texts = Vec::new();
    for reference in migration.spec.source.config_map_refs.iter().flatten() {
        let Some(map) = bounded("get the ConfigMap", api.get_opt(&reference.name)).await? else {
            return Ok(SourceState::Missing {
                reason: Reason::ConfigMapMissing,
                message: format!(
                    "the ConfigMap {} of spec.source.configMapRefs does not exist: create it",
                    reference.name
                ),
            });
        };
        match parts(reference, &map) {
            Ok(found) => {
                for (key, text) in found {
                    keys.push((reference.name.clone(), key));
                    texts.push(text);
                }
            }
            Err(missing) => return Ok(missing),
        }
    }
    let digest = names::digest(texts.iter().map(String::as_str));
    Ok(SourceState::Known { digest, mount: SourceMount::Keys(keys) })
}

/// The keys of a ConfigMap that a reference means, with their texts.
fn parts(reference: &ConfigMapRef, map: &ConfigMap) -> Result<Vec<(String, String)>, SourceState> {
    let data = map.data.clone().unwrap_or_default();
    let name = &reference.name;
    let Some(key) = &reference.key else {
        // A map keeps its keys in order.
        let found: Vec<(String, String)> = data.into_iter().filter(|(key, _)| key.ends_with(".sql")).collect();
        return if found.is_empty() {
            let message = format!("the ConfigMap {name} has no key that ends in .sql: add one, or name the key");
            Err(SourceState::Missing { reason: Reason::SourceEmpty, message })
        } else {
            Ok(found)
        };
    };
    match data.get(key) {
        Some(text) => Ok(vec![(key.clone(), text.clone())]),
        None => {
            let message = format!("the ConfigMap {name} has no key {key}: add it, or name another");
            Err(SourceState::Missing { reason: Reason::ConfigMapKeyMissing, message })
        }
    }
}

/// Name of the window that a Migration has to wait for.
pub fn window_name(migration: &Migration, database: Option<&Database>) -> Option<String> {
    let own = migration.spec.validation.window_ref.as_ref();
    let common = database.and_then(|database| database.spec.policy.default_window_ref.as_ref());
    own.or(common).map(|reference| reference.name.clone())
}

fn window(
    context: &Context,
    namespace: &str,
    migration: &Migration,
    database: Option<&Database>,
    now: Timestamp,
) -> WindowState {
    let Some(name) = context.window_name(migration, database) else { return WindowState::None };
    let Some(window) = context.window(namespace, &name) else { return WindowState::Missing(name) };
    let selector = window.spec.database_selector.as_ref();
    let labels = database.and_then(|database| database.metadata.labels.as_ref());
    if database.is_some() && selector.is_some_and(|selector| !selector.matches(labels)) {
        return WindowState::NotForDatabase(name);
    }
    match Calendar::new(&window.spec) {
        Err(invalid) => WindowState::Invalid(name, invalid),
        Ok(calendar) => {
            let opening = calendar.at(now);
            // Asked for only where an opening may be too short.
            let open = matches!(opening, Opening::Open { .. });
            let longest_seconds =
                open.then(|| calendar.longest_to_come(now)).flatten().map_or(0, |found| found.as_secs());
            WindowState::Known(Window {
                name,
                opening,
                overrun: window.spec.overrun,
                longest_seconds,
                overrides: window
                    .spec
                    .overrides
                    .iter()
                    .filter(|entry| Some(&entry.migration) == migration.metadata.name.as_ref())
                    .cloned()
                    .collect(),
                guards: window.spec.guards.clone(),
                places: window.spec.max_concurrent,
                has_place: true,
            })
        }
    }
}

/// Ended Jobs whose result is recorded, but that do not expire: the operator was stopped in between.
fn leftover_jobs(context: &Context, migration: &Migration) -> Vec<String> {
    let uid = migration.metadata.uid.as_deref();
    let jobs = context.stores.jobs.state_filter(|job| {
        job.metadata.namespace == migration.metadata.namespace
            && job.metadata.deletion_timestamp.is_none()
            && !job.annotations().contains_key(names::RECORDED_ANNOTATION)
            && job.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == uid)
    });
    let run = migration.status.as_ref().and_then(|status| status.run.as_ref()).map(|run| run.job.as_str());
    jobs.iter().map(|job| job.name_any()).filter(|name| Some(name.as_str()) != run).collect()
}

fn old_plans(context: &Context, migration: &Migration) -> Vec<String> {
    let uid = migration.metadata.uid.as_deref();
    let present = migration.status.as_ref().and_then(|status| status.plan.as_ref()).map(|plan| plan.name.clone());
    let mut plans = context.stores.plans.state_filter(|plan| {
        plan.metadata.namespace == migration.metadata.namespace
            && plan.metadata.deletion_timestamp.is_none()
            && plan.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == uid)
            && plan.metadata.name != present
    });
    plans.sort_by_key(|plan| std::cmp::Reverse(observed::created(&plan.metadata)));
    plans.iter().skip(PLANS_KEPT).map(|plan| plan.name_any()).collect()
}
