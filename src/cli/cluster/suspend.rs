//! `wesley suspend` and `wesley resume`: `spec.suspend` of a Migration.

use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::MigrationArgs;
use super::connection::{connect, failure, namespace};
use crate::api::Migration;
use crate::cli::{Failure, print};

/// Sets `spec.suspend`. What is so already stays so.
pub async fn suspend(args: &MigrationArgs, suspend: bool) -> Result<(), Failure> {
    let client = connect(&args.cluster).await?;
    let namespace = namespace(&args.cluster, &client);
    let migrations: Api<Migration> = Api::namespaced(client, &namespace);
    let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
    let verb = if suspend { "suspend" } else { "resume" };
    migrations
        .patch(&args.name, &PatchParams::default(), &patch)
        .await
        .map_err(|error| failure(&format!("{verb} the Migration {} in {namespace}", args.name), &error))?;
    print(&format!("{} {}", args.name, if suspend { "suspended" } else { "resumed" }));
    Ok(())
}
