//! The MigrationPlan in the cluster, with the only two verbs that the runner has: create it, patch its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use sha2::{Digest, Sha256};

use super::Task;
use crate::api::migration_plan::{MigrationPlan, MigrationPlanSpec, PlannedMigration};
use crate::api::{AUTHOR_ANNOTATION, GROUP, Migration, VERSION};
use crate::plan::Plan;
use crate::run::error::{Reason, RunError};

/// Largest plan that is stored, as JSON: below what etcd takes (1.5 MiB), with room for status and metadata.
const LARGEST: usize = 1_000_000;

/// Label with the Migration's name.
const MIGRATION_LABEL: &str = "wesley.dev/migration";
/// Label with the Migration's uid.
const UID_LABEL: &str = "wesley.dev/migration-uid";

/// The API of MigrationPlans.
pub(super) async fn plans(namespace: &str) -> Result<Api<MigrationPlan>, RunError> {
    let client = Client::try_default()
        .await
        .map_err(|error| RunError::new(Reason::ApiUnavailable, format!("no way to the API server: {error}")))?;
    Ok(Api::namespaced(client, namespace))
}

/// Creates it, owned by the Migration; gives its name. One that is there already must be the same.
pub(super) async fn create(task: &Task, plan: &Plan) -> Result<String, RunError> {
    let size = serde_json::to_vec(plan).map_err(RunError::defect)?.len();
    if size > LARGEST {
        return Err(RunError::new(
            Reason::PlanTooLarge,
            format!("the plan has {size} bytes, {LARGEST} can be stored: split the Migration into several"),
        ));
    }
    let name = name(task, plan);
    let object = object(task, plan, &name);
    let api = plans(&task.namespace).await?;
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(name),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let found = read(&task.namespace, &name).await?.spec;
            if found.migration.uid == task.uid && found.plan.digest == plan.digest {
                return Ok(name);
            }
            Err(RunError::new(
                Reason::PlanChanged,
                format!("a MigrationPlan {name} exists that is another: delete it, then retry"),
            ))
        }
        Err(error) => Err(refused(&error, &format!("create the MigrationPlan {name}"))),
    }
}

/// Reads it. The runner may not `get`; a patch that changes nothing gives the object as well.
pub(super) async fn read(namespace: &str, name: &str) -> Result<MigrationPlan, RunError> {
    let api = plans(namespace).await?;
    let nothing = Patch::Merge(serde_json::json!({}));
    api.patch_status(name, &PatchParams::default(), &nothing)
        .await
        .map_err(|error| refused(&error, &format!("read the MigrationPlan {name}")))
}

fn object(task: &Task, plan: &Plan, name: &str) -> MigrationPlan {
    let spec = MigrationPlanSpec {
        migration: PlannedMigration {
            name: task.migration.clone(),
            uid: task.uid.clone(),
            generation: task.generation,
        },
        plan: plan.clone(),
    };
    let owner = OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: Migration::kind(&()).into_owned(),
        name: task.migration.clone(),
        uid: task.uid.clone(),
        controller: Some(true),
        // Needs a right on the owner's finalizers that the runner does not have.
        block_owner_deletion: None,
    };
    let labels = [(MIGRATION_LABEL, &task.migration), (UID_LABEL, &task.uid)];
    MigrationPlan {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(task.namespace.clone()),
            owner_references: Some(vec![owner]),
            annotations: task.author.clone().map(|author| [(AUTHOR_ANNOTATION.to_owned(), author)].into()),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

/// The same plan of the same generation has the same name, so that a create that was cut off can be repeated.
fn name(task: &Task, plan: &Plan) -> String {
    let mut hash = Sha256::new();
    for part in [task.uid.as_str(), &task.generation.to_string(), &plan.digest] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let short: String = hex::encode(hash.finalize()).chars().take(10).collect();
    format!("{}-{short}", task.migration)
}

fn refused(error: &kube::Error, what: &str) -> RunError {
    match error {
        kube::Error::Api(status) if status.code < 500 && status.code != 429 => {
            RunError::new(Reason::ApiRefused, format!("the API server refuses to {what}: {}", status.message))
        }
        other => RunError::new(Reason::ApiUnavailable, format!("cannot {what}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Policy;
    use crate::report::RunAction;
    use crate::run::Options;

    #[test]
    fn names_are_repeatable_and_tell_plans_apart() {
        let task = Task {
            action: RunAction::Plan,
            namespace: "shop".into(),
            migration: "m".repeat(52),
            uid: "4be0e0ba-1a5b-4c64-9c0b-0d5c3f1e7d11".into(),
            generation: 3,
            source: None,
            checks: None,
            expected: Vec::new(),
            author: None,
            database: "/".into(),
            plan: None,
            digest: None,
            policy: Policy::default(),
            observation: None,
            options: Options::default(),
        };
        let plan = |digest: &str| {
            let json = serde_json::json!({
                "digest": digest, "sourceDigest": "", "catalogFingerprint": "", "steps": [],
                "target": {"serverVersion": 0, "systemIdentifier": "", "databaseOid": 0, "database": ""},
                "summary": {"statements": 0, "steps": 0, "strongestLock": null, "needsValidation": false,
                            "hasContract": false, "rollback": "Lossless"},
            });
            serde_json::from_value::<Plan>(json).unwrap()
        };
        let one = name(&task, &plan("sha256:1"));
        assert!(one.len() <= 63, "{one}");
        assert_eq!(one, name(&task, &plan("sha256:1")));
        assert_ne!(one, name(&task, &plan("sha256:2")));
        assert_ne!(one, name(&Task { generation: 4, ..task.clone() }, &plan("sha256:1")));
        assert!(crate::run::execute::require_name(&task.run_name()).is_ok());
    }
}
