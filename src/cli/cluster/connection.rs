//! The way to the API server, and what its answers mean for the exit code.

use kube::config::KubeConfigOptions;
use kube::{Client, Config};

use super::ClusterArgs;
use crate::cli::Failure;
use crate::exit::Exit;

/// The API server of the kubeconfig, or of the pod that this runs in.
pub async fn connect(args: &ClusterArgs) -> Result<Client, Failure> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let config = match Config::from_kubeconfig(&options).await {
        Ok(config) => config,
        Err(error) => match Config::incluster() {
            Ok(config) if args.context.is_none() => config,
            _ => {
                let message = format!(
                    "no way to a cluster: {error}. Give --context, or set KUBECONFIG; for the ledger of a database, give \
                     status --database-url or DATABASE_URL"
                );
                return Err(Failure::new(Exit::Precondition, message));
            }
        },
    };
    Client::try_from(config)
        .map_err(|error| Failure::new(Exit::Precondition, format!("the kubeconfig cannot be used: {error}")))
}

/// The namespace that is meant.
pub fn namespace(args: &ClusterArgs, client: &Client) -> String {
    args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned())
}

/// What an answer of the API server means.
pub fn failure(what: &str, error: &kube::Error) -> Failure {
    let (exit, message) = match error {
        kube::Error::Api(status) if status.code == 401 || status.code == 403 => (Exit::NotAllowed, &status.message),
        kube::Error::Api(status) if status.code == 429 || status.code >= 500 => (Exit::Interrupted, &status.message),
        kube::Error::Api(status) => (Exit::Precondition, &status.message),
        other => return Failure::new(Exit::Interrupted, format!("cannot {what}: {other}")),
    };
    Failure::new(exit, format!("cannot {what}: {message}"))
}
