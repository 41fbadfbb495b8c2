//! The process: logs, health, leader election, one set of controllers for each scope, orderly end.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args::ControllerArgs;
use super::clock::Clock;
use super::context::Stores;
use super::lease::Lease;
use super::names;
use super::scope::{Common, Scope};
use crate::api::Phase;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{logs, server};

/// How long reconciliations that are under way may take when the process ends.
const GRACE: Duration = Duration::from_secs(15);

/// A connection to the API server is there within that time, or it is tried again.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection that says nothing for that long is dead: the API server sends a bookmark on each watch every minute.
const SILENCE: Duration = Duration::from_secs(90);

/// Runs the operator until a signal or the loss of the lease.
///
/// # Errors
/// What keeps it from starting, or made it end.
pub async fn run(args: ControllerArgs) -> Result<(), String> {
    logs::start(&args.log_level, args.log_format == "json")?;
    let client = client().await?;
    let metrics = Metrics::new().map_err(|error| error.to_string())?;
    let health = Arc::new(Health::default());
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone()).map_err(|error| format!("signals cannot be received: {error}"))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), image = args.runner_image, "starting");

    let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: std::env::var("POD_NAME").ok() };
    let common = Common {
        recorder: Recorder::new(client.clone(), reporter),
        clock: Clock::System,
        runner: args.runner(),
        metrics: metrics.clone(),
        health: health.clone(),
        concurrency: args.concurrency,
        stop: stop.clone(),
        client: client.clone(),
    };
    // References stay within a namespace: each one that is watched by name is a world of its own.
    let namespaces: Vec<Option<String>> = match args.watch_namespaces.as_slice() {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    let scopes: Vec<Scope> = namespaces.into_iter().map(|namespace| Scope::new(&common, namespace)).collect();
    let stores = scopes.iter().map(Scope::stores).collect();
    let shown = server::Shown { health: health.clone(), metrics: metrics.clone(), refresh: phases(stores) };
    let mut server = tokio::spawn(server::serve(args.metrics_bind, shown, stop.clone()));
    let beat = tokio::spawn(beat(health.clone()));

    let mut lease = None;
    if args.leader_elect {
        lease = Some(take_lease(client, &args, &health, &stop).await?);
    }
    let mut outcome = Ok(());
    if !stop.is_cancelled() {
        metrics.leader.set(1);
        let stores: Vec<Stores> = scopes.iter().map(Scope::stores).collect();
        let work = join_all(scopes.into_iter().map(Scope::run));
        outcome = tokio::select! {
            _ = work => Ok(()),
            never = listed(stores, &health) => never,
            () = ended(&stop) => Ok(()),
            served = &mut server => Err(server_error(served)),
            // Another process works now; what this one still holds in memory is out of date.
            () = lost(lease.as_mut()) => Err("the lease is lost".to_owned()),
        };
    }
    stop.cancel();
    beat.abort();
    if let Some(lease) = lease {
        let _ = tokio::time::timeout(Duration::from_secs(5), lease.release()).await;
    }
    tracing::info!("stopped");
    outcome
}

async fn listed(stores: Vec<Stores>, health: &Health) -> Result<(), String> {
    for stores in stores {
        stores.listed().await;
    }
    tracing::info!("the resources are listed");
    health.set_ready();
    std::future::pending().await
}

async fn ended(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

async fn lost(lease: Option<&mut Lease>) {
    match lease {
        Some(lease) => lease.lost().await,
        None => std::future::pending().await,
    }
}

fn server_error(served: Result<std::io::Result<()>, tokio::task::JoinError>) -> String {
    match served {
        Ok(Ok(())) => "the metrics server ended".to_owned(),
        Ok(Err(error)) => format!("the metrics server: {error}"),
        Err(error) => format!("the metrics server: {error}"),
    }
}

async fn take_lease(
    client: Client,
    args: &ControllerArgs,
    health: &Health,
    stop: &CancellationToken,
) -> Result<Lease, String> {
    let mut lease = Lease::request(client, &args.leader_elect_namespace, args.leader_elect_lease_seconds)
        .await
        .map_err(|error| format!("the lease cannot be taken: {error}"))?;
    // A replica that waits is ready to take over.
    health.set_ready();
    tracing::info!("waiting for the lease");
    tokio::select! {
        () = lease.held() => tracing::info!("holding the lease"),
        () = stop.cancelled() => {}
    }
    Ok(lease)
}

fn stop_on_signals(stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    }))
}

async fn beat(health: Arc<Health>) {
    loop {
        health.beat();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Counts Migrations by phase when metrics are asked for.
fn phases(stores: Vec<Stores>) -> Arc<dyn Fn(&Metrics) + Send + Sync> {
    use strum::IntoEnumIterator;
    Arc::new(move |metrics| {
        for phase in Phase::iter() {
            metrics.migrations.with_label_values(&[phase.to_string()]).set(0);
        }
        for found in stores.iter().flat_map(|stores| stores.migrations.state()) {
            let status = found.0.as_ref().ok().and_then(|migration| migration.status.as_ref());
            let phase = status.and_then(|status| status.phase).unwrap_or(Phase::Pending);
            metrics.migrations.with_label_values(&[phase.to_string()]).inc();
        }
    })
}

async fn client() -> Result<Client, String> {
    let none = |error: &dyn std::fmt::Display| format!("no way to the API server: {error}");
    let mut config = Config::infer().await.map_err(|error| none(&error))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Client::try_from(config).map_err(|error| none(&error))
}
