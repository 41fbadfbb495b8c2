//! Verbs on resources, with the ordinary kubeconfig: the same as `kubectl wesley`.

mod approve;
mod connection;
mod logs;
mod status;
mod suspend;

use clap::Args;

pub(super) use approve::{ApproveArgs, approve};
pub(super) use logs::{LogsArgs, logs};
pub(super) use status::status;
pub(super) use suspend::suspend;

/// Which cluster.
#[derive(Args, Clone)]
pub(super) struct ClusterArgs {
    /// Namespace; that of the kubeconfig's context when absent.
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// A Migration of the cluster.
#[derive(Args)]
pub(super) struct MigrationArgs {
    /// Name of the Migration.
    #[arg(value_name = "MIGRATION")]
    pub name: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
}
