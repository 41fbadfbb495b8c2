//! ValidationWindows: open or shut, and the queue.

pub mod decide;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use serde_json::json;

use super::context::{Context, Guarded, key};
use super::error::{Error, Result, bounded};
use super::names;
use crate::api::{GROUP, VERSION, ValidationWindow, ValidationWindowStatus};

/// Longest time until the calendar is looked at again: clocks are set, and laptops sleep.
const LOOK_MAX: Duration = Duration::from_secs(600);

/// Looks at a ValidationWindow. As with a Migration, what the store shows is read anew before anything is written: a
/// store that is behind would make us write against the same old version again and again.
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
    let look = look(&context, window, context.clock.now()).await;
    measured.ended(match &look {
        Ok(Look { written: false, .. }) => "waiting",
        Ok(Look { written: true, .. }) => "applied",
        Err(_) => "failed",
    });
    let look = look?;
    context.failures.reset(&key(window));
    Ok(Action::requeue(look.again))
}

struct Look {
    /// Whether the status was written.
    written: bool,
    /// When to look again.
    again: Duration,
}

async fn look(context: &Context, window: &ValidationWindow, now: Timestamp) -> Result<Look> {
    let (name, namespace) = (window.name_any(), window.namespace().ok_or(Error::Incomplete("namespace"))?);
    let migrations =
        context.migrations(|migration| migration.metadata.namespace.as_deref() == Some(namespace.as_str()));
    let databases = context.databases(|database| database.metadata.namespace.as_deref() == Some(namespace.as_str()));
    let (status, wake) = decide::decide(window, migrations.iter(), &databases, now);
    if is_rest(window, &status) {
        return Ok(Look { written: false, again: again(wake, now) });
    }
    let api: Api<ValidationWindow> = Api::namespaced(context.client.clone(), &namespace);
    let fresh = bounded("get the ValidationWindow", api.get_opt(&name)).await?;
    let Some(fresh) = fresh else { return Ok(Look { written: false, again: LOOK_MAX }) };
    let (status, wake) = decide::decide(&fresh, migrations.iter(), &databases, now);
    let again = again(wake, now);
    if is_rest(&fresh, &status) {
        return Ok(Look { written: false, again });
    }
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ValidationWindow",
        "metadata": {"name": name, "resourceVersion": fresh.resource_version()},
        "status": status,
    });
    let params = PatchParams::apply(names::MANAGER).force();
    bounded("write the status", api.patch_status(&name, &params, &Patch::Apply(body))).await?;
    Ok(Look { written: true, again })
}

fn is_rest(window: &ValidationWindow, status: &ValidationWindowStatus) -> bool {
    window.status.as_ref() == Some(status) || window.metadata.deletion_timestamp.is_some()
}

fn again(wake: Option<Timestamp>, now: Timestamp) -> Duration {
    wake.map_or(LOOK_MAX, |wake| (wake.duration_since(now).unsigned_abs() + Duration::from_millis(50)).min(LOOK_MAX))
}
