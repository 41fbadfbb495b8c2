//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::metrics::Metrics;

/// What the server shows.
#[derive(Clone)]
pub struct Shown {
    /// Health of the process.
    pub health: Arc<Health>,
    /// Metrics.
    pub metrics: Metrics,
    /// Called before metrics are rendered, for gauges that are computed.
    pub refresh: Arc<dyn Fn(&Metrics) + Send + Sync>,
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// When the address cannot be bound, or the server ends by itself.
pub async fn serve(address: SocketAddr, shown: Shown, stop: CancellationToken) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shown);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn livez(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    if shown.health.is_alive(Instant::now()) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "a loop does not turn\n")
    }
}

async fn readyz(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    if shown.health.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the resources have not been listed yet\n")
    }
}

async fn metrics(State(shown): State<Shown>) -> (StatusCode, String) {
    (shown.refresh)(&shown.metrics);
    match shown.metrics.render() {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
