//! Databases: what the last Jobs found out about them, and the Jobs that sample their activity.

pub mod circuit;
pub mod decide;
mod sampling;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use serde_json::json;

use self::sampling::{Next, Seen};
use super::context::{Context, Guarded, key};
use super::error::{Error, Result, bounded};
use super::migration::observed::JobState;
use super::migration::{create_job_once, job_state, remember_refusal};
use super::{jobs, names, namespace};
use crate::api::{Database, DatabaseStatus, GROUP, VERSION};

/// Looks at a Database. As with a Migration, what the store shows is read anew before anything is done about it.
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
    let look = look(&context, database, context.clock.now()).await;
    measured.ended(match &look {
        Ok(Look::Rest(_)) => "waiting",
        Ok(Look::Applied) => "applied",
        Err(_) => "failed",
    });
    let look = look?;
    context.failures.reset(&key(database));
    Ok(match look {
        Look::Rest(None) => Action::await_change(),
        Look::Rest(Some(pause)) => Action::requeue(pause),
        Look::Applied => Action::requeue(Duration::from_millis(500)),
    })
}

enum Look {
    /// Nothing to do for that time.
    Rest(Option<Duration>),
    /// Something was written.
    Applied,
}

async fn look(context: &Context, database: &Database, now: Timestamp) -> Result<Look> {
    let (status, next) = decide(context, database, now).await?;
    if is_rest(database, &status, &next) {
        return Ok(Look::Rest(pause(&next, now)));
    }
    let (name, namespace) = (database.name_any(), database.namespace().ok_or(Error::Incomplete("namespace"))?);
    let api: Api<Database> = Api::namespaced(context.client.clone(), &namespace);
    let Some(fresh) = bounded("get the Database", api.get_opt(&name)).await? else { return Ok(Look::Rest(None)) };
    let (status, next) = decide(context, &fresh, now).await?;
    if is_rest(&fresh, &status, &next) {
        return Ok(Look::Rest(pause(&next, now)));
    }
    if fresh.status.as_ref() != Some(&status) {
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "Database",
            "metadata": {"name": name, "resourceVersion": fresh.resource_version()},
            "status": status,
        });
        let params = PatchParams::apply(names::MANAGER).force();
        bounded("write the status", api.patch_status(&name, &params, &Patch::Apply(body))).await?;
    }
    if let Some(job) = &next.create {
        let made = create(context, &fresh, &namespace, job).await;
        remember_refusal(context, &namespace, job, &made);
        made?;
    }
    Ok(Look::Applied)
}

async fn decide(context: &Context, database: &Database, now: Timestamp) -> Result<(DatabaseStatus, Next)> {
    let (name, namespace) = (database.name_any(), database.namespace().ok_or(Error::Incomplete("namespace"))?);
    let migrations = context.migrations(|migration| {
        migration.spec.database_ref.name == name && migration.metadata.namespace.as_deref() == Some(namespace.as_str())
    });
    let job = database.status.as_ref().and_then(|status| status.inspection.as_ref()?.job.as_deref());
    let job = match job {
        Some(job) => job_state(context, &namespace, database.metadata.uid.as_deref(), job).await?.0,
        None => JobState::None,
    };
    let others = context.stores.databases.state_filter(|other| {
        other.0.as_ref().is_ok_and(|other| {
            other.metadata.uid != database.metadata.uid
                && other
                    .status
                    .as_ref()
                    .is_some_and(|status| status.inspection.as_ref().is_some_and(|record| record.job.is_some()))
        })
    });
    let record = database.status.as_ref().and_then(|status| status.inspection.as_ref());
    let circuit = circuit::count(database, record, migrations.iter());
    let circuit = circuit::standing(circuit.as_ref(), circuit::at_work(migrations.iter()), now);
    let next = sampling::next(database, &Seen { job, others: others.len(), circuit }, now);
    Ok((decide::decide(database, migrations.iter(), &next, now), next))
}

fn is_rest(database: &Database, status: &DatabaseStatus, next: &Next) -> bool {
    database.metadata.deletion_timestamp.is_some() || database.status.as_ref() == Some(status) && next.create.is_none()
}

fn pause(next: &Next, now: Timestamp) -> Option<Duration> {
    let wake = next.wake?;
    Some(wake.duration_since(now).unsigned_abs().max(Duration::from_millis(200)) + Duration::from_millis(50))
}

async fn create(context: &Context, database: &Database, namespace: &str, job: &str) -> Result<()> {
    namespace::ensure_account(context, namespace).await?;
    create_job_once(context, namespace, &jobs::sample_job(database, job, &context.runner)).await
}
