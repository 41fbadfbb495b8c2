//! Databases: what the last Jobs found out about them.

pub mod decide;

use std::sync::Arc;

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use serde_json::json;

use super::context::{Context, Guarded, key};
use super::error::{Error, Result, bounded};
use super::names;
use crate::api::{Database, GROUP, VERSION};

/// Looks at a Database.
///
/// # Errors
/// The API server's.
pub async fn reconcile(guarded: Arc<Guarded<Database>>, context: Arc<Context>) -> Result<Action> {
    let database = match &guarded.0 {
        Ok(database) => database,
        Err(invalid) => {
            tracing::error!(error = %invalid.error, object = invalid.metadata.name, "a Database cannot be read");
            return Ok(Action::await_change());
        }
    };
    let _running = context.health.begin();
    let mut measured = context.metrics.reconciling("database");
    let (name, namespace) = (database.name_any(), database.namespace().ok_or(Error::Incomplete("namespace"))?);
    let migrations = context.migrations(|migration| {
        migration.spec.database_ref.name == name && migration.metadata.namespace.as_deref() == Some(namespace.as_str())
    });
    let status = decide::decide(database, migrations.iter(), context.clock.now());
    if database.status.as_ref() == Some(&status) || database.metadata.deletion_timestamp.is_some() {
        measured.ended("waiting");
        context.failures.reset(&key(database));
        return Ok(Action::await_change());
    }
    let api: Api<Database> = Api::namespaced(context.client.clone(), &namespace);
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "Database",
        "metadata": {"name": name, "resourceVersion": database.resource_version()},
        "status": status,
    });
    let params = PatchParams::apply(names::MANAGER).force();
    let written = bounded("write the status", api.patch_status(&name, &params, &Patch::Apply(body))).await;
    measured.ended(if written.is_ok() { "applied" } else { "failed" });
    written?;
    context.failures.reset(&key(database));
    Ok(Action::await_change())
}
