//! Who has to be looked at because something else changed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use super::context::{Context, Guarded};
use super::rivals::{is_exclusive, waits_because, waits_for_database, waits_for_planning};
use crate::api::{Database, Migration, Phase, Reason, ValidationWindow};

/// A run that ended longer ago has woken everybody already.
const RECENT: Duration = Duration::from_secs(30);

/// A Migration changed, its status included: its Database and windows show that, and others may go on.
pub fn migration_changed(context: &Context, migration: &Migration) {
    let Some(namespace) = migration.namespace() else { return };
    context.claims.seen(migration);
    let database = &migration.spec.database_ref.name;
    // Receivers end only with the process.
    let _ = context.nudges.databases.send(ObjectRef::new(database).within(&namespace));
    if let Some(window) = context.window_name(migration, context.database(&namespace, database).as_ref()) {
        let _ = context.nudges.windows.send(ObjectRef::new(&window).within(&namespace));
    }
    let stored = ObjectRef::<Guarded<Migration>>::new(&migration.name_any()).within(&namespace);
    let goes = migration.metadata.deletion_timestamp.is_some() || context.stores.migrations.get(&stored).is_none();
    if goes || has_just_ended(migration, context.clock.now()) {
        let waiting = |other: &Migration| {
            let queued = || waits_for_database(other) || waits_for_planning(other);
            other.metadata.namespace == migration.metadata.namespace
                && (phase(other) == Some(Phase::AwaitingWindow)
                    || other.spec.database_ref == migration.spec.database_ref && queued()
                    || depends(other, migration))
        };
        send(context, waiting);
    } else if migration.status.as_ref().and_then(|status| status.observed_generation) != migration.metadata.generation {
        // It is new or was edited.
        send(context, |other| other.metadata.namespace == migration.metadata.namespace && depends(other, migration));
    }
}

/// Whether a Migration has to be looked at because another one appeared, changed, ended or went: it names that in its
/// `dependsOn`, or it is in a circle, which that may have been a part of, at whatever distance.
fn depends(migration: &Migration, other: &Migration) -> bool {
    let names =
        || migration.spec.depends_on.iter().any(|reference| Some(&reference.name) == other.metadata.name.as_ref());
    waits_because(migration, Reason::DependencyCycle.word()) || names()
}

/// A Database appeared, changed or went: those who refer to it are looked at.
pub fn database_changed(context: &Context, database: &Guarded<Database>) {
    let (name, namespace) = (database.name_any(), database.namespace());
    send(context, |migration| migration.metadata.namespace == namespace && migration.spec.database_ref.name == name);
}

/// A Job changed: where a Database made it, that is looked at.
pub fn job_changed(context: &Context, job: &PartialObjectMeta<Job>) {
    let Some(namespace) = job.namespace() else { return };
    for owner in job.owner_references().iter().filter(|owner| owner.kind == Database::kind(&())) {
        let _ = context.nudges.databases.send(ObjectRef::new(&owner.name).within(&namespace));
    }
}

/// A ValidationWindow appeared, changed or went: those who are not at rest are looked at.
pub fn window_changed(context: &Context, window: &Guarded<ValidationWindow>) {
    let namespace = window.namespace();
    send(context, |migration| {
        migration.metadata.namespace == namespace
            && !matches!(phase(migration), Some(Phase::Succeeded | Phase::RolledBack | Phase::Failed))
    });
}

fn send(context: &Context, wanted: impl Fn(&Migration) -> bool) {
    let found = context.stores.migrations.state_filter(|found| found.0.as_ref().is_ok_and(&wanted));
    for migration in found {
        let _ = context.nudges.migrations.send(ObjectRef::from_obj(&*migration));
    }
}

fn phase(migration: &Migration) -> Option<Phase> {
    migration.status.as_ref().and_then(|status| status.phase)
}

fn has_just_ended(migration: &Migration, now: Timestamp) -> bool {
    let Some(status) = &migration.status else { return false };
    let exclusive = status.run.as_ref().is_some_and(is_exclusive);
    let ended = status.last_run.as_ref().map(|run| run.finished_time.0);
    !exclusive && ended.is_some_and(|ended| now.duration_since(ended).unsigned_abs() < RECENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reference::LocalRef;
    use crate::controller::migration::tests::world::World;

    #[test]
    fn who_is_in_a_circle_is_looked_at_when_any_part_of_it_changes() {
        let needs = |names: &[&str], cycle: bool| {
            let mut world = World::new();
            let needed = names.iter().map(|name| LocalRef { name: (*name).to_owned() }).collect();
            world.observed.migration.spec.depends_on = needed;
            world.observed.dependencies.cycle = cycle.then(|| vec!["orders".to_owned()]);
            world.observed.dependencies.missing = vec!["b".to_owned()];
            world.turn();
            world.observed.migration
        };
        let mut far = World::new().observed.migration;
        far.metadata.name = Some("c".to_owned());
        assert!(depends(&needs(&["b", "c"], false), &far));
        assert!(!depends(&needs(&["b"], false), &far));
        assert!(depends(&needs(&["b"], true), &far), "b may need c");
    }
}
