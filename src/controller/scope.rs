//! The watches, stores and controllers of one namespace, or of all.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{Controller, PredicateConfig, WatchStreamExt, predicates, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::context::{Context, Counters, Guarded, Nudges, Stores, key};
use super::error::Error;
use super::jobs::Runner;
use super::rivals::Claims;
use super::{database, migration, names, retry, validation_window, wake};
use crate::api::{Database, Migration, MigrationPlan, ValidationWindow};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Objects of one page of a list.
const PAGE: u32 = 100;

/// Changes within that time are one.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// What all scopes share.
pub struct Common {
    /// Connection to the API server.
    pub client: Client,
    /// What time it is.
    pub clock: Clock,
    /// Image of the Jobs.
    pub runner: Runner,
    /// Writer of events.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Metrics,
    /// Health.
    pub health: Arc<Health>,
    /// Objects of a kind that are reconciled at the same time.
    pub concurrency: u16,
    /// Ends everything.
    pub stop: CancellationToken,
}

/// One namespace, or all.
pub struct Scope {
    namespace: Option<String>,
    context: Arc<Context>,
    writers: Writers,
    nudged: Nudged,
    concurrency: u16,
    stop: CancellationToken,
}

struct Writers {
    migrations: Writer<Guarded<Migration>>,
    databases: Writer<Guarded<Database>>,
    windows: Writer<Guarded<ValidationWindow>>,
    jobs: Writer<PartialObjectMeta<Job>>,
    plans: Writer<PartialObjectMeta<MigrationPlan>>,
}

struct Nudged {
    migrations: UnboundedReceiver<ObjectRef<Guarded<Migration>>>,
    databases: UnboundedReceiver<ObjectRef<Guarded<Database>>>,
    windows: UnboundedReceiver<ObjectRef<Guarded<ValidationWindow>>>,
}

impl Scope {
    /// Prepares stores; nothing is watched before [`Self::run`].
    pub fn new(common: &Common, namespace: Option<String>) -> Self {
        let (migrations, migrations_writer) = reflector::store();
        let (databases, databases_writer) = reflector::store();
        let (windows, windows_writer) = reflector::store();
        let (jobs, jobs_writer) = reflector::store();
        let (plans, plans_writer) = reflector::store();
        let (nudge_migrations, nudged_migrations) = unbounded_channel();
        let (nudge_databases, nudged_databases) = unbounded_channel();
        let (nudge_windows, nudged_windows) = unbounded_channel();
        let context = Context {
            client: common.client.clone(),
            clock: common.clock,
            runner: common.runner.clone(),
            stores: Stores { migrations, databases, windows, jobs, plans, filled: watch::Sender::new(false) },
            recorder: common.recorder.clone(),
            metrics: common.metrics.clone(),
            health: common.health.clone(),
            claims: Claims::default(),
            failures: Counters::default(),
            refusals: std::sync::Mutex::default(),
            nudges: Nudges { migrations: nudge_migrations, databases: nudge_databases, windows: nudge_windows },
        };
        Self {
            namespace,
            context: Arc::new(context),
            writers: Writers {
                migrations: migrations_writer,
                databases: databases_writer,
                windows: windows_writer,
                jobs: jobs_writer,
                plans: plans_writer,
            },
            nudged: Nudged { migrations: nudged_migrations, databases: nudged_databases, windows: nudged_windows },
            concurrency: common.concurrency,
            stop: common.stop.clone(),
        }
    }

    /// The stores.
    pub fn stores(&self) -> Stores {
        self.context.stores.clone()
    }

    /// Watches and reconciles until stopped; what is under way then is finished.
    pub async fn run(self) {
        let Self { namespace, context, writers, nudged, concurrency, stop } = self;
        let watch = Watch { context: context.clone(), namespace };
        let config = || Config::default().concurrency(concurrency).debounce(DEBOUNCE);
        let ours = watcher::Config::default().labels(&format!("{}={}", names::MANAGED_BY, names::MANAGER));
        let all = watcher::Config::default;

        let waker = context.clone();
        let migrations = watch
            .kind("Migration", all(), &context.stores.migrations, writers.migrations, without_sql)
            .inspect_ok(move |found| {
                if let Ok(migration) = &found.0 {
                    wake::migration_changed(&waker, migration);
                }
            });
        let waker = context.clone();
        let jobs = watch
            .kind("Job", ours, &context.stores.jobs, writers.jobs, as_it_is)
            .inspect_ok(move |job| wake::job_changed(&waker, job));
        let plans = watch.kind("MigrationPlan", all(), &context.stores.plans, writers.plans, as_it_is);
        let waker = context.clone();
        let databases = watch.kind("Database", all(), &context.stores.databases, writers.databases, as_it_is);
        let gone = context.clone();
        let databases = databases
            // A filter swallows deletions: nothing of the object changes by them.
            .inspect_ok(move |found| {
                if gone.stores.databases.get(&ObjectRef::from_obj(found)).is_none() {
                    wake::database_changed(&gone, found);
                }
            })
            .predicate_filter(changed, PredicateConfig::default())
            .inspect_ok(move |found| wake::database_changed(&waker, found));
        let waker = context.clone();
        let windows = watch.kind("ValidationWindow", all(), &context.stores.windows, writers.windows, as_it_is);
        let gone = context.clone();
        let windows = windows
            .inspect_ok(move |found| {
                if gone.stores.windows.get(&ObjectRef::from_obj(found)).is_none() {
                    wake::window_changed(&gone, found);
                }
            })
            .predicate_filter(changed, PredicateConfig::default())
            .inspect_ok(move |found| wake::window_changed(&waker, found));

        let stores = context.stores.clone();
        let migrations = migrations.predicate_filter(changed, PredicateConfig::default());
        let migrations = Controller::for_stream(migrations, stores.migrations.clone())
            .with_config(config())
            .owns_stream(jobs.predicate_filter(predicates::resource_version, PredicateConfig::default()))
            .owns_stream(plans.predicate_filter(predicates::resource_version, PredicateConfig::default()))
            .reconcile_on(receiver(nudged.migrations))
            .graceful_shutdown_on(stop.clone().cancelled_owned())
            .run(after_listing(migration::reconcile), error_policy, context.clone())
            .for_each(|result| finished("migration", result));
        let databases = Controller::for_stream(databases, stores.databases.clone())
            .with_config(config())
            .reconcile_on(receiver(nudged.databases))
            .graceful_shutdown_on(stop.clone().cancelled_owned())
            .run(after_listing(database::reconcile), error_policy, context.clone())
            .for_each(|result| finished("database", result));
        let windows = Controller::for_stream(windows, stores.windows.clone())
            .with_config(config())
            .reconcile_on(receiver(nudged.windows))
            .graceful_shutdown_on(stop.cancelled_owned())
            .run(after_listing(validation_window::reconcile), error_policy, context)
            .for_each(|result| finished("validationwindow", result));
        futures::join!(migrations, databases, windows, stores.tell_listed());
    }
}

/// A reconciliation waits until all stores are filled: what is not listed yet must not count as missing.
fn after_listing<K, F, R>(
    reconcile: F,
) -> impl FnMut(Arc<K>, Arc<Context>) -> futures::future::BoxFuture<'static, Result<Action, Error>>
where
    K: Send + Sync + 'static,
    F: Fn(Arc<K>, Arc<Context>) -> R + Copy + Send + 'static,
    R: Future<Output = Result<Action, Error>> + Send + 'static,
{
    move |object, context| {
        Box::pin(async move {
            context.stores.listed().await;
            reconcile(object, context).await
        })
    }
}

struct Watch {
    context: Arc<Context>,
    namespace: Option<String>,
}

impl Watch {
    /// A kind, kept in a store. Lists come in pages; what nobody reads is not kept. Errors end here.
    fn kind<K>(
        &self,
        kind: &'static str,
        config: watcher::Config,
        store: &Store<K>,
        writer: Writer<K>,
        lighten: fn(&mut K),
    ) -> impl Stream<Item = Result<K, watcher::Error>> + Send + 'static + use<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let client = self.context.client.clone();
        let api: Api<K> = match &self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let errors = self.context.metrics.watch_errors.clone();
        let store = store.clone();
        watcher(api, config.page_size(PAGE))
            .inspect_err(move |error| {
                tracing::warn!(kind, %error, "a watch failed; it is repeated");
                errors.with_label_values(&[kind]).inc();
            })
            .default_backoff()
            .modify(move |object| {
                lighten(object);
                object.meta_mut().managed_fields = None;
                object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
            })
            .try_filter(move |event| std::future::ready(!is_outdated(event, &store)))
            .reflect(writer)
            .touched_objects()
            // Told and waited for above. A controller that sees an error stops looking at all of its streams for a while.
            .filter_map(|found| std::future::ready(found.ok().map(Ok)))
    }
}

/// Texts of Migrations are many times what is needed of them: the fingerprint. Before anything is done about a
/// Migration it is read anew, with its text.
fn without_sql(migration: &mut Guarded<Migration>) {
    let Ok(migration) = &mut migration.0 else { return };
    let source = &mut migration.spec.source;
    if let Some(sql) = &mut source.sql {
        source.digest = Some(names::digest([sql.as_str()]));
        *sql = String::new();
    }
}

fn as_it_is<K>(_: &mut K) {}

/// Whether a watch shows an older state of an object than the store has: it would hide what is known already, such as a
/// run. Versions of one resource are numbers that grow (Kubernetes documentation, "Resource versions"); where they are
/// something else, nothing is outdated.
fn is_outdated<K>(event: &watcher::Event<K>, store: &Store<K>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let watcher::Event::Apply(object) = event else { return false };
    let Some(known) = store.get(&ObjectRef::from_obj(object)) else { return false };
    let version = |object: &K| object.resource_version()?.parse::<u128>().ok();
    object.meta().uid == known.meta().uid
        && matches!((version(object), version(&known)), (Some(new), Some(old)) if new < old)
}

/// What makes an object worth a look: everything but its status. The status is ours, and writing it must not wake us.
fn changed<K: Resource>(object: &K) -> Option<u64> {
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    (&meta.uid, meta.generation, meta.deletion_timestamp.is_some(), &meta.finalizers).hash(&mut hasher);
    (&meta.annotations, &meta.labels).hash(&mut hasher);
    Some(hasher.finish())
}

fn receiver<T: Send + 'static>(receiver: UnboundedReceiver<T>) -> impl Stream<Item = T> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) })
}

/// When to try again after an error: soon after a conflict, with growing pauses otherwise.
fn error_policy<K>(object: Arc<K>, error: &Error, context: Arc<Context>) -> Action
where
    K: Resource<DynamicType = ()>,
{
    let kind = K::kind(&()).to_lowercase();
    context.metrics.errors.with_label_values(&[kind.as_str(), error.class()]).inc();
    if error.is_conflict() {
        tracing::debug!(object = key(&*object), %error, "written by somebody else meanwhile");
        return Action::requeue(Duration::from_millis(250));
    }
    let count = context.failures.increase(key(&*object));
    let pause = retry::after_error(count);
    tracing::warn!(object = key(&*object), %error, seconds = pause.as_secs(), "failed; trying again");
    Action::requeue(pause)
}

async fn finished<K, E>(controller: &'static str, result: Result<(ObjectRef<K>, Action), ControllerError<Error, E>>)
where
    K: Resource<DynamicType = ()>,
    E: std::error::Error + 'static,
{
    match result {
        // It was deleted between the event and the look: normal.
        Ok(_) | Err(ControllerError::ObjectNotFound(_)) => {}
        // Told by the error policy, with its pause.
        Err(ControllerError::ReconcilerFailed(..)) => {}
        Err(error) => tracing::warn!(controller, %error, "the controller's queue"),
    }
}
