//! The Job that samples the activity of a Database. It talks to nobody but the database.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use super::{READING_SECONDS, Runner, made, pod, volumes};
use crate::api::Database;
use crate::controller::names;
use crate::report::RunAction;

/// How long an ended Job stays, for its logs.
const KEPT_SECONDS: i32 = 600;

/// The Job of that name.
pub fn sample_job(database: &Database, name: &str, runner: &Runner) -> Job {
    let namespace = database.metadata.namespace.clone().unwrap_or_default();
    let arguments =
        ["run", "inspect", "--sample", "--namespace", &namespace, "--database-dir", volumes::DATABASE_FOLDER];
    let work = pod::Work {
        database,
        runner,
        arguments: arguments.map(str::to_owned).to_vec(),
        volumes: volumes::connection(database),
        token: false,
    };
    let mut job = made(name.to_owned(), owner(database), labels(database), READING_SECONDS, work);
    if let Some(spec) = &mut job.spec {
        // What it found is in the ledger: nothing is lost with it.
        spec.ttl_seconds_after_finished = Some(KEPT_SECONDS);
    }
    job
}

fn labels(database: &Database) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "wesley".to_owned()),
        ("app.kubernetes.io/component", "runner".to_owned()),
        (names::MANAGED_BY, names::MANAGER.to_owned()),
        (names::DATABASE_LABEL, database.metadata.name.clone().unwrap_or_default()),
        (names::ACTION_LABEL, RunAction::Inspect.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn owner(database: &Database) -> OwnerReference {
    OwnerReference {
        api_version: Database::api_version(&()).into_owned(),
        kind: Database::kind(&()).into_owned(),
        name: database.metadata.name.clone().unwrap_or_default(),
        uid: database.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        // Nothing has to be done before the Database may go.
        block_owner_deletion: None,
    }
}
