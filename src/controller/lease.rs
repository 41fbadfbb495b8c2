//! Leader election by a Lease. It saves work; it is not what keeps two operators from harming each other: that are
//! the names of the Jobs, the resource versions of every write, and the lock in the target database.

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Name of the Lease.
const NAME: &str = "wesley-leader";

/// The Lease, held or waited for.
pub struct Lease {
    state: watch::Receiver<bool>,
    task: JoinHandle<Result<LeaseManager, kube_lease_manager::LeaseManagerError>>,
}

impl Lease {
    /// Begins to wait for it. It is good for `seconds` after the last renewal, which comes a third of that before its
    /// end.
    ///
    /// # Errors
    /// When the Lease cannot be read or created.
    pub async fn request(
        client: Client,
        namespace: &str,
        seconds: u64,
    ) -> Result<Self, kube_lease_manager::LeaseManagerError> {
        let identity = std::env::var("POD_NAME").unwrap_or_default();
        let builder = LeaseManagerBuilder::new(client, NAME)
            .with_namespace(namespace)
            .with_duration(seconds)
            .with_grace(seconds / 3);
        let builder = if identity.is_empty() { builder } else { builder.with_identity(identity) };
        let (state, task) = builder.build().await?.watch().await;
        Ok(Self { state, task })
    }

    /// Waits until it is held.
    pub async fn held(&mut self) {
        while !*self.state.borrow_and_update() {
            if self.state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until it is held no more.
    pub async fn lost(&mut self) {
        while *self.state.borrow_and_update() {
            if self.state.changed().await.is_err() {
                return;
            }
        }
    }

    /// Gives it back.
    pub async fn release(self) {
        let Self { state, task } = self;
        drop(state);
        match task.await {
            Ok(Ok(_)) => tracing::info!("the lease is released"),
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be released; it expires"),
            Err(error) => tracing::warn!(%error, "the lease task ended badly"),
        }
    }
}
