//! Scenes on a real cluster: a namespace and a database of its own for each test, both gone afterwards.
//!
//! `./e2e/test cluster` sets what is needed (see `e2e/README.md`): a kubeconfig, the installed operator, images.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod canary;
mod dump;
pub mod fault;
pub mod manifest;
pub mod postgres;
pub mod scene;

use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};

/// Longest wait for anything that a test expects.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// Pause between two looks at what cannot be watched.
pub const LOOK: Duration = Duration::from_millis(200);

/// Label of every namespace that tests make: what a killed run left is found by it.
pub const TEST_LABEL: &str = "wesley.dev/test";

/// A variable of `./e2e/test cluster`.
pub fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run ./e2e/test cluster (see e2e/README.md)"))
}

/// Namespace of the operator.
pub fn operator_namespace() -> String {
    env("WESLEY_NAMESPACE")
}

/// A client of the cluster; with a name, as that user.
pub async fn client(user: Option<&str>) -> kube::Client {
    let options = KubeConfigOptions { context: Some(env("WESLEY_TEST_CONTEXT")), ..KubeConfigOptions::default() };
    let kubeconfig = Kubeconfig::read().expect("KUBECONFIG names a file that can be read");
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a usable kubeconfig");
    config.auth_info.impersonate = user.map(str::to_owned);
    kube::Client::try_from(config).expect("a client of the cluster")
}

/// Looks again and again until `look` gives something; fails after [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < until, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(LOOK).await;
    }
}
