//! Errors of the controller, by what they mean for the next try.

use std::future::Future;
use std::time::Duration;

/// Longest single request to the API server.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server said no, or nothing.
    #[error("{what}: {source}")]
    Kube {
        /// What was asked for.
        what: &'static str,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{what}: no answer within {} s", REQUEST_MAX.as_secs())]
    Timeout {
        /// What was asked for.
        what: &'static str,
    },
    /// A ConfigMap of the name that a Job needs is not what it should be: somebody else made it.
    #[error("the ConfigMap {0} was not made by the operator, or was changed: delete it")]
    Foreign(String),
    /// An object has no name or namespace: it does not come from the API server.
    #[error("an object without {0}")]
    Incomplete(&'static str),
    /// Something that should be JSON is not: a defect.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Class for metrics: a closed list.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Kube { source, .. } => match &**source {
                kube::Error::Api(status) if status.code == 409 => "conflict",
                kube::Error::Api(status) if status.code == 403 => "forbidden",
                kube::Error::Api(status) if status.code == 429 || status.code >= 500 => "server",
                kube::Error::Api(_) => "refused",
                _ => "connection",
            },
            Self::Timeout { .. } => "timeout",
            Self::Foreign(_) => "refused",
            Self::Incomplete(_) | Self::Json(_) => "defect",
        }
    }

    /// Whether somebody else wrote first: not a failure, only a reason to look again.
    pub fn is_conflict(&self) -> bool {
        self.class() == "conflict"
    }
}

/// Result of the controller.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A request with a bound on its duration.
///
/// # Errors
/// The API server's, or [`Error::Timeout`].
pub async fn bounded<T>(what: &'static str, request: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match tokio::time::timeout(REQUEST_MAX, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Error::Kube { what, source: Box::new(source) }),
        Err(_) => Err(Error::Timeout { what }),
    }
}
