//! The Job of a run: one pod, one try, no way to do anything but talk to the database and to its MigrationPlan.
//!
//! Built from data, without asking anybody: the same run gives the same Job. What the runner is told is a contract
//! with `wesley run`: arguments for what to do, environment for what is public, files for what is secret.

mod pod;
mod sample;
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use sha2::{Digest, Sha256};

pub use sample::sample_job;

use super::migration::inputs::allowed_hazards;
use super::migration::observation;
use super::migration::observed::SourceMount;
use super::names;
use crate::api::database::Timeouts;
use crate::api::migration_status::{Gate, PlanRecord, RunRecord};
use crate::api::validation_window::Guards;
use crate::api::{AUTHOR_ANNOTATION, Database, Migration};
use crate::report::RunAction;

/// Longest run of a Job that only reads.
const READING_SECONDS: i32 = 600;

/// Longest run of a Job that changes something, where neither Migration nor Database say otherwise.
const CHANGING_SECONDS: i32 = 86_400;

/// Key of the guards in the ConfigMap that is made of them.
const GUARDS_KEY: &str = "guards.json";

/// Key of the checks in the ConfigMap that is made of them.
const CHECKS_KEY: &str = "checks.json";

/// Key of `spec.backfill` in the ConfigMap that is made of it.
pub const BACKFILL_KEY: &str = "backfill.json";

/// Key of the SQL in the ConfigMap that is made of it.
const SQL_KEY: &str = "migration.sql";

/// Image of the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// Full reference.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
}

/// What a Job is made from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The Migration.
    pub migration: &'a Migration,
    /// Its Database.
    pub database: &'a Database,
    /// The run as it stands in the status.
    pub run: &'a RunRecord,
    /// The plan as it stands in the status.
    pub plan: Option<&'a PlanRecord>,
    /// Fingerprint and place of the SQL, where it is known.
    pub source: Option<(&'a str, &'a SourceMount)>,
    /// Guards of the window that it runs in.
    pub guards: Option<&'a Guards>,
    /// Image of the runner.
    pub runner: &'a Runner,
}

/// The Job.
pub fn job(request: &Request<'_>) -> Job {
    let deadline = match request.run.action {
        RunAction::Plan | RunAction::Inspect => READING_SECONDS,
        RunAction::Execute | RunAction::Rollback => timeouts(request).run_seconds.unwrap_or(CHANGING_SECONDS),
    };
    let work = pod::Work {
        database: request.database,
        runner: request.runner,
        arguments: arguments(request),
        volumes: volumes::volumes(request),
        token: true,
    };
    made(request.run.job.clone(), owner(request.migration), labels_of(request), deadline, work)
}

/// A Job of that name.
fn made(
    name: String,
    owner: OwnerReference,
    own_labels: BTreeMap<String, String>,
    deadline: i32,
    work: pod::Work<'_>,
) -> Job {
    let template = &work.database.spec.job_template;
    let mut labels = template.labels.clone();
    labels.extend(own_labels);
    let annotations = Some(template.annotations.clone()).filter(|annotations| !annotations.is_empty());
    Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: work.database.metadata.namespace.clone(),
            labels: Some(labels.clone()),
            annotations: annotations.clone(),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            // Whether to try again is decided by the operator and visible in the Migration.
            backoff_limit: Some(0),
            completions: Some(1),
            parallelism: Some(1),
            active_deadline_seconds: Some(deadline.into()),
            // Never two pods of one run at a time.
            pod_replacement_policy: Some("Failed".to_owned()),
            pod_failure_policy: Some(failure_policy()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), annotations, ..ObjectMeta::default() }),
                spec: Some(pod::spec(work)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// The ConfigMap with the SQL of the Migration itself, named by its content.
pub fn sql_config_map(migration: &Migration, source_digest: &str) -> Option<ConfigMap> {
    // One of the store has no text.
    let sql = migration.spec.source.sql.clone().filter(|_| migration.spec.source.digest.is_none())?;
    Some(config_map(migration, sql_config_map_name(migration, source_digest), SQL_KEY, sql))
}

/// The ConfigMap with the checks of the Migration, named by its content; nothing when it has none.
pub fn checks_config_map(migration: &Migration) -> Option<ConfigMap> {
    let (name, text) = checks(migration)?;
    Some(config_map(migration, name, CHECKS_KEY, text))
}

/// Name and content of that ConfigMap.
fn checks(migration: &Migration) -> Option<(String, String)> {
    let text = serde_json::to_string(&migration.spec.checks).ok().filter(|_| !migration.spec.checks.is_empty())?;
    let meta = &migration.metadata;
    let name = names::checks_config_map(
        meta.name.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
        &text,
    );
    Some((name, text))
}

/// The ConfigMap with the guards of the window, named by its content; nothing when there are none.
pub fn guards_config_map(request: &Request<'_>) -> Option<ConfigMap> {
    let (name, text) = guards(request)?;
    Some(config_map(request.migration, name, GUARDS_KEY, text))
}

/// Name and content of that ConfigMap.
fn guards(request: &Request<'_>) -> Option<(String, String)> {
    // Also where somebody let it in: an override stands for the calendar, not for the database's state.
    let validates = request.run.action == RunAction::Execute && request.run.gates.contains(&Gate::Validate);
    let text = serde_json::to_string(request.guards.filter(|_| validates)?).ok()?;
    let meta = &request.migration.metadata;
    let name = names::checks_config_map(
        meta.name.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
        &text,
    );
    Some((name, text))
}

/// The ConfigMap with `spec.backfill`, which a running Job reads again and again. Not immutable.
pub fn backfill_config_map(migration: &Migration) -> Option<ConfigMap> {
    let text = backfill_text(migration)?;
    let mut map = config_map(migration, backfill_config_map_name(migration), BACKFILL_KEY, text);
    map.immutable = None;
    Some(map)
}

/// What it has to say: numbers. Queries and addresses are arguments of the Job, which fewer people may write than
/// ConfigMaps.
pub fn backfill_text(migration: &Migration) -> Option<String> {
    let mut tuning = migration.spec.backfill.clone();
    let holds = &mut tuning.holds;
    (holds.query, holds.http, holds.prometheus) = (None, None, None);
    serde_json::to_string(&tuning).ok()
}

/// Its name.
pub fn backfill_config_map_name(migration: &Migration) -> String {
    let meta = &migration.metadata;
    names::backfill_config_map(meta.name.as_deref().unwrap_or_default(), meta.uid.as_deref().unwrap_or_default())
}

/// Whether a run may change rows in batches.
pub fn may_backfill(action: RunAction) -> bool {
    matches!(action, RunAction::Execute | RunAction::Rollback)
}

fn config_map(migration: &Migration, name: String, key: &str, text: String) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: migration.metadata.namespace.clone(),
            labels: Some(BTreeMap::from([
                (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
                (names::MIGRATION_LABEL.to_owned(), migration.metadata.name.clone().unwrap_or_default()),
            ])),
            owner_references: Some(vec![owner(migration)]),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(key.to_owned(), text)])),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

fn sql_config_map_name(migration: &Migration, source_digest: &str) -> String {
    let meta = &migration.metadata;
    names::sql_config_map(
        meta.name.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
        source_digest,
    )
}

/// The Migration as the owner of what is made for it. Labels and annotations of it are not passed on: tools that
/// track ownership by them would take the Job for their own.
pub fn owner(migration: &Migration) -> OwnerReference {
    OwnerReference {
        api_version: Migration::api_version(&()).into_owned(),
        kind: Migration::kind(&()).into_owned(),
        name: migration.metadata.name.clone().unwrap_or_default(),
        uid: migration.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn labels_of(request: &Request<'_>) -> BTreeMap<String, String> {
    let meta = &request.migration.metadata;
    [
        ("app.kubernetes.io/name", "wesley".to_owned()),
        ("app.kubernetes.io/component", "runner".to_owned()),
        (names::MANAGED_BY, names::MANAGER.to_owned()),
        (names::MIGRATION_LABEL, meta.name.clone().unwrap_or_default()),
        (names::UID_LABEL, meta.uid.clone().unwrap_or_default()),
        (names::DATABASE_LABEL, request.migration.spec.database_ref.name.clone()),
        (names::ACTION_LABEL, request.run.action.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// A drained node is no failure of the run: the Job makes another pod, and that one resumes.
fn failure_policy() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".to_owned(),
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".to_owned(),
                    status: "True".to_owned(),
                }]),
                on_exit_codes: None,
            },
            PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_pod_conditions: None,
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(pod::CONTAINER.to_owned()),
                    operator: "In".to_owned(),
                    values: (10..20).collect(),
                }),
            },
        ],
    }
}

/// The Migration's patience, else the Database's.
fn timeouts(request: &Request<'_>) -> Timeouts {
    let (own, common) = (request.migration.spec.timeouts, request.database.spec.timeouts);
    Timeouts {
        lock_slice_milliseconds: own.lock_slice_milliseconds.or(common.lock_slice_milliseconds),
        lock_budget_seconds: own.lock_budget_seconds.or(common.lock_budget_seconds),
        statement_seconds: own.statement_seconds.or(common.statement_seconds),
        run_seconds: own.run_seconds.or(common.run_seconds),
    }
}

/// Whether the run compares the application's statements before and after the change.
fn measures(request: &Request<'_>) -> bool {
    let execution = request.migration.status.as_ref().and_then(|status| status.execution.as_ref());
    let execution = execution.map(|execution| (execution.state, execution.next_stage));
    request.run.action == RunAction::Inspect && observation::is_measured(execution)
}

/// What the run is told in files that come from ConfigMaps of ours, but for `spec.backfill`, which may change. Others may
/// have written the ConfigMap since.
fn told(request: &Request<'_>) -> Vec<(String, String)> {
    let plans = request.run.action == RunAction::Plan;
    let inline = matches!(request.source, Some((_, SourceMount::Inline)));
    let source = &request.migration.spec.source;
    let sql = source.sql.clone().filter(|_| plans && inline && source.digest.is_none());
    let sql = sql.map(|sql| (format!("{}/{}", volumes::SOURCE_FOLDER, volumes::source_file(0, SQL_KEY)), sql));
    let checks = checks(request.migration).filter(|_| plans);
    let checks = checks.map(|(_, text)| (format!("{}/{CHECKS_KEY}", volumes::CHECKS_FOLDER), text));
    let guards = guards(request).map(|(_, text)| (format!("{}/{GUARDS_KEY}", volumes::GUARDS_FOLDER), text));
    [sql, checks, guards].into_iter().flatten().collect()
}

/// Arguments of `wesley`.
fn arguments(request: &Request<'_>) -> Vec<String> {
    let meta = &request.migration.metadata;
    let run = request.run;
    let mut arguments = vec!["run".to_owned(), run.action.to_string().to_lowercase()];
    let mut option = |name: &str, value: String| {
        arguments.push(format!("--{name}"));
        arguments.push(value);
    };
    option("migration", meta.name.clone().unwrap_or_default());
    option("uid", meta.uid.clone().unwrap_or_default());
    option("namespace", meta.namespace.clone().unwrap_or_default());
    option("generation", meta.generation.unwrap_or_default().to_string());
    option("database-dir", volumes::DATABASE_FOLDER.to_owned());
    if run.action == RunAction::Plan {
        option("source", volumes::SOURCE_FOLDER.to_owned());
        if !request.migration.spec.checks.is_empty() {
            option("checks", format!("{}/{CHECKS_KEY}", volumes::CHECKS_FOLDER));
        }
        if let Some(author) = meta.annotations.as_ref().and_then(|all| all.get(AUTHOR_ANNOTATION)) {
            option("author", author.chars().take(253).collect());
        }
        let hazards = allowed_hazards(request.database, &request.migration.spec);
        let hazards: Vec<String> = hazards.iter().map(ToString::to_string).collect();
        if !hazards.is_empty() {
            option("allow", hazards.join(","));
        }
        option("in-place-bytes", request.database.spec.policy.in_place_bytes_max.to_string());
    } else if let Some(plan) = request.plan {
        option("plan", plan.name.clone());
        option("digest", plan.digest.clone());
    }
    if let Some(observation) = &request.migration.spec.observation
        && (run.action == RunAction::Execute || measures(request))
    {
        option("regression-percent-max", observation.regression_percent_max.to_string());
        option("calls-min", observation.calls_min.to_string());
    }
    if run.action == RunAction::Execute && !run.gates.is_empty() {
        let gates: Vec<String> = run.gates.iter().map(|gate| gate.to_string().to_lowercase()).collect();
        option("gates", gates.join(","));
        if let Some(closes_at) = &run.window_closes_at {
            option("window-closes-at", closes_at.0.to_string());
            if let Some(seconds) = run.longest_opening_seconds {
                option("longest-opening-seconds", seconds.to_string());
            }
            option("overrun", run.overrun.unwrap_or_default().to_string().to_lowercase());
        }
    }
    if may_backfill(run.action) {
        option("backfill", format!("{}/{BACKFILL_KEY}", volumes::BACKFILL_FOLDER));
        let holds = &request.migration.spec.backfill.holds;
        if let Some(query) = &holds.query {
            option("hold-query", query.clone());
        }
        if let Some(address) = &holds.http {
            option("hold-http", address.clone());
        }
        if let Some(prometheus) = &holds.prometheus {
            option("hold-prometheus", prometheus.url.clone());
            option("hold-prometheus-query", prometheus.query.clone());
        }
    }
    if guards(request).is_some() {
        option("guards", format!("{}/{GUARDS_KEY}", volumes::GUARDS_FOLDER));
    }
    for (file, text) in told(request) {
        option("expect", format!("{file}={}", hex::encode(Sha256::digest(text))));
    }
    let patience = timeouts(request);
    let policy = &request.database.spec.policy;
    let terminate = policy.terminate_blockers.unwrap_or_default();
    let patience = [
        ("lock-slice-milliseconds", patience.lock_slice_milliseconds),
        ("lock-budget-seconds", patience.lock_budget_seconds),
        ("statement-seconds", patience.statement_seconds),
        ("terminate-idle-seconds", terminate.idle_seconds),
        ("terminate-any-seconds", terminate.any_seconds),
        ("index-builds", policy.index_builds_max),
    ];
    for (name, value) in patience {
        if let Some(value) = value {
            option(name, value.to_string());
        }
    }
    arguments
}

#[cfg(test)]
mod tests;
