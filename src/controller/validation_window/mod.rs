//! ValidationWindows: open or shut, and the queue.

pub mod decide;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use serde_json::json;

use super::context::{Context, Guarded, key};
use super::error::{Error, Result, bounded};
use super::names;
use crate::api::{GROUP, VERSION, ValidationWindow};

/// Longest time until the calendar is looked at again: clocks are set, and laptops sleep.
const LOOK_MAX: Duration = Duration::from_secs(600);

/// Looks at a ValidationWindow.
///
/// # Errors
/// The API server's.
pub async fn reconcile(guarded: Arc<Guarded<ValidationWindow>>, context: Arc<Context>) -> Result<Action> {
    let window = match &guarded.0 {
        Ok(window) => window,
        Err(invalid) => {
            tracing::error!(error = %invalid.error, object = invalid.metadata.name, "a ValidationWindow cannot be read");
            return Ok(Action::await_change());
        }
    };
    let _running = context.health.begin();
    let mut measured = context.metrics.reconciling("validationwindow");
    let (name, namespace) = (window.name_any(), window.namespace().ok_or(Error::Incomplete("namespace"))?);
    let migrations =
        context.migrations(|migration| migration.metadata.namespace.as_deref() == Some(namespace.as_str()));
    let databases = context.databases(|database| database.metadata.namespace.as_deref() == Some(namespace.as_str()));
    let now = context.clock.now();
    let (status, wake) = decide::decide(window, migrations.iter(), &databases, now);
    let again = wake
        .map_or(LOOK_MAX, |wake| (wake.duration_since(now).unsigned_abs() + Duration::from_millis(50)).min(LOOK_MAX));
    if window.status.as_ref() == Some(&status) || window.metadata.deletion_timestamp.is_some() {
        measured.ended("waiting");
        context.failures.reset(&key(window));
        return Ok(Action::requeue(again));
    }
    let api: Api<ValidationWindow> = Api::namespaced(context.client.clone(), &namespace);
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ValidationWindow",
        "metadata": {"name": name, "resourceVersion": window.resource_version()},
        "status": status,
    });
    let params = PatchParams::apply(names::MANAGER).force();
    let written = bounded("write the status", api.patch_status(&name, &params, &Patch::Apply(body))).await;
    measured.ended(if written.is_ok() { "applied" } else { "failed" });
    written?;
    context.failures.reset(&key(window));
    Ok(Action::requeue(again))
}
