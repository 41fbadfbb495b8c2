//! What all reconciliations share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::batch::v1::Job;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::jobs::Runner;
use super::migration::window_name;
use super::rivals::Claims;
use crate::api::{Database, Migration, MigrationPlan, ValidationWindow};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// A resource of ours in a store. What cannot be read does not stop the others.
pub type Guarded<K> = DeserializeGuard<K>;

/// Stores that the watches fill.
#[derive(Clone)]
pub struct Stores {
    /// Migrations.
    pub migrations: Store<Guarded<Migration>>,
    /// Databases.
    pub databases: Store<Guarded<Database>>,
    /// ValidationWindows.
    pub windows: Store<Guarded<ValidationWindow>>,
    /// Jobs of ours, metadata only.
    pub jobs: Store<PartialObjectMeta<Job>>,
    /// MigrationPlans, metadata only.
    pub plans: Store<PartialObjectMeta<MigrationPlan>>,
    /// Whether all of them are filled.
    pub filled: watch::Sender<bool>,
}

impl Stores {
    /// Waits until all of them are filled.
    pub async fn listed(&self) {
        // The sender is ours.
        let _ = self.filled.subscribe().wait_for(|filled| *filled).await;
    }

    /// Tells everybody in [`Self::listed`] once all stores are filled. For one task: a store wakes only the last of
    /// those who wait for it.
    pub async fn tell_listed(&self) {
        // A writer that is gone belongs to a process that ends.
        let _ = self.migrations.wait_until_ready().await;
        let _ = self.databases.wait_until_ready().await;
        let _ = self.windows.wait_until_ready().await;
        let _ = self.jobs.wait_until_ready().await;
        let _ = self.plans.wait_until_ready().await;
        self.filled.send_replace(true);
    }
}

/// Ways to have an object of another kind looked at.
#[derive(Clone)]
pub struct Nudges {
    /// Migrations.
    pub migrations: mpsc::UnboundedSender<ObjectRef<Guarded<Migration>>>,
    /// Databases.
    pub databases: mpsc::UnboundedSender<ObjectRef<Guarded<Database>>>,
    /// ValidationWindows.
    pub windows: mpsc::UnboundedSender<ObjectRef<Guarded<ValidationWindow>>>,
}

/// What all reconciliations share.
pub struct Context {
    /// Connection to the API server.
    pub client: Client,
    /// What time it is.
    pub clock: Clock,
    /// Image of the Jobs.
    pub runner: Runner,
    /// Stores.
    pub stores: Stores,
    /// Writer of events.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Metrics,
    /// Health.
    pub health: Arc<Health>,
    /// Runs that were decided on and that the store may not show yet.
    pub claims: Claims,
    /// Errors in a row, by object.
    pub failures: Counters,
    /// Why the API server does not create a Job, by name.
    pub refusals: Mutex<HashMap<(String, String), String>>,
    /// Nudges.
    pub nudges: Nudges,
}

impl Context {
    /// A Database of the store.
    pub fn database(&self, namespace: &str, name: &str) -> Option<Database> {
        let found = self.stores.databases.get(&ObjectRef::new(name).within(namespace))?;
        found.0.as_ref().ok().cloned()
    }

    /// A Migration of the store.
    pub fn migration(&self, namespace: &str, name: &str) -> Option<Migration> {
        let found = self.stores.migrations.get(&ObjectRef::new(name).within(namespace))?;
        found.0.as_ref().ok().cloned()
    }

    /// Something of a Migration of the store.
    pub fn of_migration<T>(&self, namespace: &str, name: &str, of: impl FnOnce(&Migration) -> T) -> Option<T> {
        let found = self.stores.migrations.get(&ObjectRef::new(name).within(namespace))?;
        found.0.as_ref().ok().map(of)
    }

    /// A ValidationWindow of the store.
    pub fn window(&self, namespace: &str, name: &str) -> Option<ValidationWindow> {
        let found = self.stores.windows.get(&ObjectRef::new(name).within(namespace))?;
        found.0.as_ref().ok().cloned()
    }

    /// Name of the window that a Migration has to wait for: its own, its Database's, or the first by name that selects
    /// its Database.
    pub fn window_name(&self, migration: &Migration, database: Option<&Database>) -> Option<String> {
        window_name(migration, database).or_else(|| {
            let database = database?;
            let found = self.stores.windows.state_filter(|window| {
                window.0.as_ref().is_ok_and(|window| {
                    window.metadata.namespace == migration.metadata.namespace
                        && window
                            .spec
                            .database_selector
                            .as_ref()
                            .is_some_and(|selector| selector.matches(database.metadata.labels.as_ref()))
                })
            });
            found.iter().map(|window| window.name_any()).min()
        })
    }

    /// Databases of the store that pass.
    pub fn databases(&self, pass: impl Fn(&Database) -> bool) -> Vec<Database> {
        self.stores
            .databases
            .state_filter(|found| found.0.as_ref().is_ok_and(&pass))
            .iter()
            .filter_map(|found| found.0.as_ref().ok().cloned())
            .collect()
    }

    /// Migrations of the store that pass.
    pub fn migrations(&self, pass: impl Fn(&Migration) -> bool) -> Vec<Migration> {
        self.stores
            .migrations
            .state_filter(|found| found.0.as_ref().is_ok_and(&pass))
            .iter()
            .filter_map(|found| found.0.as_ref().ok().cloned())
            .collect()
    }
}

/// Counters by object.
#[derive(Debug, Default)]
pub struct Counters(Mutex<HashMap<String, u32>>);

impl Counters {
    /// Counts one more; gives the number.
    pub fn increase(&self, key: String) -> u32 {
        self.0.lock().map_or(1, |mut counters| {
            let count = counters.entry(key).or_insert(0);
            *count = count.saturating_add(1);
            *count
        })
    }

    /// Starts again.
    pub fn reset(&self, key: &str) {
        if let Ok(mut counters) = self.0.lock() {
            counters.remove(key);
        }
    }
}

/// `Kind/namespace/name`: key of counters and logs.
pub fn key<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let meta = object.meta();
    format!(
        "{}/{}/{}",
        K::kind(&()),
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default()
    )
}
