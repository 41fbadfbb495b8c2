//! The pod of a Job: restricted in every way that Kubernetes knows.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, LocalObjectReference, PodSecurityContext, PodSpec, ResourceRequirements,
    SeccompProfile, SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Runner, volumes};
use crate::api::Database;
use crate::api::job_template::{Amounts, JobTemplate};
use crate::api::reference::TextSource;
use crate::controller::names;

/// Name of the container.
pub const CONTAINER: &str = "runner";

/// User and group of the process.
const USER: i64 = 65_532;

/// Time from the signal to the kill: enough to cancel a statement and to write a report.
const GRACE_SECONDS: i64 = 60;

/// What is particular about a pod.
pub(super) struct Work<'a> {
    /// The database that it works on.
    pub database: &'a Database,
    /// Image.
    pub runner: &'a Runner,
    /// Arguments of `wesley`.
    pub arguments: Vec<String>,
    /// What is mounted, and where.
    pub volumes: (Vec<Volume>, Vec<VolumeMount>),
    /// Whether it may talk to the API server: to create the MigrationPlan and report progress in it; it can do nothing
    /// else.
    pub token: bool,
}

pub(super) fn spec(work: Work<'_>) -> PodSpec {
    let template = &work.database.spec.job_template;
    let (volumes, mounts) = work.volumes;
    PodSpec {
        service_account_name: Some(names::RUNNER_ACCOUNT.to_owned()),
        automount_service_account_token: Some(work.token),
        enable_service_links: Some(false),
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            // The group reads the mounted Secrets.
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: CONTAINER.to_owned(),
            image: Some(work.runner.image.clone()),
            image_pull_policy: Some(work.runner.pull_policy.clone()),
            // The kubelet takes `$(NAME)` for a variable, and `$$` for a dollar sign.
            args: Some(work.arguments.iter().map(|argument| argument.replace('$', "$$")).collect()),
            env: Some(environment(work.database)),
            volume_mounts: Some(mounts),
            resources: Some(resources(template)),
            // Logs are no substitute: they are not made for status.
            termination_message_policy: Some("File".to_owned()),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                run_as_non_root: Some(true),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }],
        volumes: Some(volumes),
        node_selector: Some(template.node_selector.clone()).filter(|selector| !selector.is_empty()),
        tolerations: tolerations(template),
        image_pull_secrets: pull_secrets(template),
        priority_class_name: template.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

/// What is public of the connection, and which files are expected.
fn environment(database: &Database) -> Vec<EnvVar> {
    let connection = &database.spec.connection;
    let value = |source: &Option<TextSource>| source.as_ref().and_then(|source| source.value.clone());
    let port = connection.port.as_ref().and_then(|port| port.value).map(|port| port.to_string());
    let secrets: Vec<String> = volumes::secret_files(&database.spec)
        .iter()
        .map(|file| format!("{}={}/{}", file.path, file.secret, file.key))
        .collect();
    [
        ("HOST", value(&connection.host)),
        ("PORT", port),
        ("DBNAME", value(&connection.dbname)),
        ("USER", value(&connection.user)),
        ("TLS_MODE", Some(database.spec.tls.mode.to_string())),
        ("SECRETS", Some(secrets.join(",")).filter(|secrets| !secrets.is_empty())),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        Some(EnvVar { name: format!("WESLEY_DATABASE_{name}"), value: Some(value?), value_from: None })
    })
    .collect()
}

fn resources(template: &JobTemplate) -> ResourceRequirements {
    let overrides = template.resources.clone().unwrap_or_default();
    let amounts = |amounts: &Amounts, cpu: Option<&str>, memory: &str| {
        let cpu = amounts.cpu.clone().or(cpu.map(|cpu| Quantity(cpu.to_owned())));
        let memory = amounts.memory.clone().unwrap_or_else(|| Quantity(memory.to_owned()));
        let mut map = BTreeMap::from([("memory".to_owned(), memory)]);
        if let Some(cpu) = cpu {
            map.insert("cpu".to_owned(), cpu);
        }
        Some(map)
    };
    ResourceRequirements {
        requests: amounts(&overrides.requests, Some("50m"), "64Mi"),
        limits: amounts(&overrides.limits, None, "256Mi"),
        claims: None,
    }
}

fn tolerations(template: &JobTemplate) -> Option<Vec<Toleration>> {
    let convert = |toleration: &crate::api::job_template::Toleration| Toleration {
        key: toleration.key.clone(),
        operator: Some(toleration.operator.to_string()),
        value: toleration.value.clone(),
        effect: toleration.effect.map(|effect| effect.to_string()),
        toleration_seconds: toleration.toleration_seconds,
    };
    (!template.tolerations.is_empty()).then(|| template.tolerations.iter().map(convert).collect())
}

fn pull_secrets(template: &JobTemplate) -> Option<Vec<LocalObjectReference>> {
    let convert = |secret: &crate::api::reference::LocalRef| LocalObjectReference { name: secret.name.clone() };
    (!template.image_pull_secrets.is_empty()).then(|| template.image_pull_secrets.iter().map(convert).collect())
}
