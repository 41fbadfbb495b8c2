//! One look at a Migration.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::controller::Action as Requeue;

use super::apply::apply;
use super::decide::{Decision, decide};
use super::observe::observe;
use super::observed::{Observed, WindowState};
use crate::api::Migration;
use crate::api::migration_status::RunRecord;
use crate::controller::context::{Context, Guarded, key};
use crate::controller::database::circuit::{self, Standing};
use crate::controller::error::{Error, Result, bounded};
use crate::controller::rivals::{Rivalry, is_exclusive};
use crate::report::RunAction;

/// Looks at a Migration: reads, decides, and writes if there is something to write.
///
/// The first look is at the store. Only when that asks for a change is the object read anew and decided on again, so
/// that nothing is done because of something that is no longer true, and a Migration at rest costs nothing.
///
/// # Errors
/// The API server's.
pub async fn reconcile(guarded: Arc<Guarded<Migration>>, context: Arc<Context>) -> Result<Requeue> {
    let migration = match &guarded.0 {
        Ok(migration) => migration.clone(),
        Err(invalid) => {
            tracing::error!(error = %invalid.error, object = invalid.metadata.name, "a Migration cannot be read");
            return Ok(Requeue::await_change());
        }
    };
    let _running = context.health.begin();
    let mut measured = context.metrics.reconciling("migration");
    context.claims.seen(&migration);
    let now = context.clock.now();
    let result = look(&context, migration.clone(), now).await;
    match &result {
        Ok(Look::Rest(_)) => measured.ended("waiting"),
        Ok(Look::Applied) => measured.ended("applied"),
        Err(_) => measured.ended("failed"),
    }
    let counter = key(&migration);
    match result {
        Ok(look) => {
            context.failures.reset(&counter);
            Ok(match look {
                Look::Rest(wake) => requeue(wake, now, &counter),
                // What was written is looked at again, in case that its own event is swallowed.
                Look::Applied => Requeue::requeue(Duration::from_millis(500)),
            })
        }
        Err(error) => Err(error),
    }
}

enum Look {
    /// Nothing to do until then.
    Rest(Option<Timestamp>),
    /// Something was written.
    Applied,
}

async fn look(context: &Context, migration: Migration, now: Timestamp) -> Result<Look> {
    let mut observed = observe(context, migration, now).await?;
    let cached = settle_rivalry(context, &mut observed, now, false);
    if is_rest(&observed, &cached) {
        return Ok(Look::Rest(cached.wake));
    }
    let namespace = observed.migration.namespace().ok_or(Error::Incomplete("namespace"))?;
    let api: Api<Migration> = Api::namespaced(context.client.clone(), &namespace);
    let Some(fresh) = bounded("get the Migration", api.get_opt(&observed.migration.name_any())).await? else {
        context.claims.drop_claim(&observed.migration);
        return Ok(Look::Rest(None));
    };
    let mut observed = observe(context, fresh, now).await?;
    forget_gone_jobs(context, &namespace, &mut observed).await?;
    let decision = settle_rivalry(context, &mut observed, now, true);
    if is_rest(&observed, &decision) {
        return Ok(Look::Rest(decision.wake));
    }
    tracing::info!(
        migration = observed.migration.name_any(),
        namespace,
        phase = decision.status.phase.map(|phase| phase.to_string()),
        actions = ?decision.actions,
        "applying"
    );
    let applied = apply(context, &observed, &decision).await;
    if applied.is_err() && begins(&observed, &decision) {
        // A claim on a run that is in the status is dropped by the store; one that is not, here.
        context.claims.drop_claim(&observed.migration);
    }
    applied.map(|()| Look::Applied)
}

/// A store may still show a Job that is gone: nothing is to be done about it, and nothing must be tried again and again.
async fn forget_gone_jobs(context: &Context, namespace: &str, observed: &mut Observed) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    for job in std::mem::take(&mut observed.leftover_jobs) {
        if bounded("look whether the Job exists", jobs.get_metadata_opt(&job)).await?.is_some() {
            observed.leftover_jobs.push(job);
        }
    }
    Ok(())
}

fn is_rest(observed: &Observed, decision: &Decision) -> bool {
    decision.actions.is_empty() && observed.migration.status.as_ref() == Some(&decision.status)
}

/// Whether the decision begins a run.
fn begins(observed: &Observed, decision: &Decision) -> bool {
    let before = observed.status().run.map(|run| run.number);
    decision.status.run.as_ref().is_some_and(|run| Some(run.number) != before)
}

/// Whether the decision begins a run of which only so many are on a database at a time; any is, on one that has failed.
fn starts(observed: &Observed, decision: &Decision) -> bool {
    let bounded = |run: &RunRecord| is_exclusive(run) || run.action == RunAction::Plan;
    begins(observed, decision) && (has_failed(observed) || decision.status.run.as_ref().is_some_and(bounded))
}

fn has_failed(observed: &Observed) -> bool {
    let status = observed.database.as_ref().and_then(|database| database.status.as_ref());
    status.is_some_and(|status| status.circuit.is_some())
}

/// Looks for rivals and decides. With `claim`, a run that is begun is claimed in the same moment.
fn settle_rivalry(context: &Context, observed: &mut Observed, now: Timestamp, claim: bool) -> Decision {
    // Most Migrations are at rest: rivals matter only to one that would begin something, or that waits for them.
    let alone = decide(observed, now);
    let pauses = alone.status.hold.is_some() && has_failed(observed);
    let waits = observed.status().run.is_none() && (alone.status.window.is_some() || pauses);
    if !starts(observed, &alone) && !waits {
        return alone;
    }
    let window = context.window_name(&observed.migration, observed.database.as_ref());
    let migration = observed.migration.clone();
    let mut decided = None;
    let kin = if has_failed(observed) { of_its_database(context, &migration) } else { Vec::new() };
    let others = |pass: &dyn Fn(&Migration) -> bool| context.migrations(pass);
    context.claims.claim(&migration, others, window.as_deref(), |rivalry| {
        enter(observed, rivalry, &kin, now);
        let decision = decide(observed, now);
        let run = if claim && starts(observed, &decision) { decision.status.run.clone() } else { None };
        decided = Some(decision);
        run
    });
    decided.unwrap_or(alone)
}

fn of_its_database(context: &Context, migration: &Migration) -> Vec<Migration> {
    context.migrations(|other| {
        other.metadata.namespace == migration.metadata.namespace
            && other.spec.database_ref == migration.spec.database_ref
            && other.metadata.name != migration.metadata.name
    })
}

fn enter(observed: &mut Observed, rivalry: &Rivalry, kin: &[Migration], now: Timestamp) {
    observed.rival.clone_from(&rivalry.rival);
    observed.ahead_in_planning = rivalry.ahead_in_planning;
    observed.circuit = circuit(observed, rivalry, kin, now);
    if let WindowState::Known(window) = &mut observed.window {
        let places = usize::try_from(window.places).unwrap_or(0);
        window.has_place = rivalry.ahead_in_window < places;
    }
}

fn circuit(observed: &Observed, rivalry: &Rivalry, kin: &[Migration], now: Timestamp) -> Standing {
    let Some(database) = observed.database.as_ref().filter(|_| has_failed(observed)) else { return Standing::Closed };
    let sample = database.status.as_ref().and_then(|status| status.inspection.as_ref());
    let count = circuit::count(database, sample, kin.iter().chain([&observed.migration]));
    let at_work = rivalry.at_work.iter().map(|(name, began)| (name.as_str(), *began));
    circuit::standing(count.as_ref(), at_work.chain(circuit::sampling(database)), now)
}

/// When to look again: at the time that the decision names, else every ten minutes or so. Each object has its own
/// minutes, so that they do not come all at once.
fn requeue(wake: Option<Timestamp>, now: Timestamp, key: &str) -> Requeue {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let resync = Duration::from_secs(540 + hasher.finish() % 120);
    let Some(wake) = wake else { return Requeue::requeue(resync) };
    let pause = wake.duration_since(now).unsigned_abs() + Duration::from_millis(50);
    Requeue::requeue(if wake <= now { Duration::from_millis(250) } else { pause.min(resync) })
}
