//! Arguments of `wesley controller`.

use std::net::SocketAddr;

use super::jobs::Runner;

/// The operator: watches resources and runs Jobs.
#[derive(Clone, Debug, clap::Args)]
pub struct ControllerArgs {
    /// Namespaces to watch; all when not given. Can be repeated.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE")]
    pub watch_namespaces: Vec<String>,
    /// Image of the Jobs.
    #[arg(long, env = "WESLEY_RUNNER_IMAGE", value_name = "IMAGE")]
    pub runner_image: String,
    /// When the kubelet pulls it.
    #[arg(long, default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub runner_image_pull_policy: String,
    /// Address of /metrics, /livez and /readyz.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub metrics_bind: SocketAddr,
    /// Take a Lease first, so that of several replicas one works.
    #[arg(long)]
    pub leader_elect: bool,
    /// Seconds that the Lease is good for after its last renewal: so long may nobody lead after the leader died. It is
    /// renewed a third of that before its end.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=300), value_name = "SECONDS")]
    pub leader_elect_lease_seconds: u64,
    /// Namespace of the Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", value_name = "NAMESPACE")]
    pub leader_elect_namespace: String,
    /// Objects of a kind that are reconciled at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
    /// error, warn, info, debug, trace, or a filter such as wesley=debug,kube=warn.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
    /// How logs are written.
    #[arg(long, default_value = "json", value_parser = ["json", "text"])]
    pub log_format: String,
}

impl ControllerArgs {
    /// The image of the Jobs.
    pub fn runner(&self) -> Runner {
        Runner { image: self.runner_image.clone(), pull_policy: self.runner_image_pull_policy.clone() }
    }
}
