//! Faults of the cluster itself: they hurt everybody on it, so they come one at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../cluster_support/mod.rs"]
mod cluster_support;

mod api_server;
mod image;
mod operator;

use tokio::sync::{Mutex, MutexGuard};

/// Whoever has it may break the cluster.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
