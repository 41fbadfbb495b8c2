//! `wesley logs`: what the runner of a Migration says.

use clap::Args;
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use super::MigrationArgs;
use super::connection::{connect, failure, namespace};
use crate::api::Migration;
use crate::cli::{Failure, print};
use crate::exit::Exit;

/// Whose logs.
#[derive(Args)]
pub struct LogsArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// Go on while the runner does.
    #[arg(long, short)]
    follow: bool,
}

/// Prints the logs of the present run's pods, or of the last one's.
pub async fn logs(args: &LogsArgs) -> Result<(), Failure> {
    let (name, cluster) = (&args.migration.name, &args.migration.cluster);
    let client = connect(cluster).await?;
    let namespace = namespace(cluster, &client);
    let migrations: Api<Migration> = Api::namespaced(client.clone(), &namespace);
    let migration = migrations
        .get(name)
        .await
        .map_err(|error| failure(&format!("read the Migration {name} in {namespace}"), &error))?;
    let status = migration.status.unwrap_or_default();
    let run = status.run.map(|run| run.job).or(status.last_run.map(|run| run.job));
    let Some(job) = run else {
        return Err(Failure::new(Exit::Precondition, format!("the Migration {name} has not run anything yet")));
    };
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let found = pods.list(&of_job).await.map_err(|error| failure(&format!("list the pods of Job {job}"), &error))?;
    let Some(pod) = found.items.iter().max_by_key(|pod| pod.creation_timestamp().map(|time| time.0)) else {
        let message = format!(
            "the pods of Job {job} are gone: a Job that ended by itself is kept for an hour, one that was stopped \
             (suspend, rollback, end of a window) goes at once; status.lastRun has what it came to"
        );
        return Err(Failure::new(Exit::Precondition, message));
    };
    let params = LogParams { follow: args.follow, ..LogParams::default() };
    let what = format!("read the logs of pod {}", pod.name_any());
    let mut lines = pods.log_stream(&pod.name_any(), &params).await.map_err(|error| failure(&what, &error))?.lines();
    while let Some(line) =
        lines.try_next().await.map_err(|error| Failure::new(Exit::Interrupted, format!("cannot {what}: {error}")))?
    {
        print(&line);
    }
    Ok(())
}
