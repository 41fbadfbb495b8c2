//! `wesley status` with a cluster: Migrations and where they stand.

use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde::Serialize;

use super::ClusterArgs;
use super::connection::{connect, failure, namespace};
use crate::api::Migration;
use crate::api::migration_status::Phase;
use crate::cli::apply::table;
use crate::cli::{Failure, Output, print, print_json};
use crate::plan::RollbackClass;

/// A Migration in one row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    name: String,
    database: String,
    phase: Phase,
    /// Steps done of steps planned.
    step: Option<String>,
    /// Reason of the condition `Ready`.
    reason: Option<String>,
    /// Its message.
    message: Option<String>,
    /// Digest of the plan.
    plan: Option<String>,
    rollback: Option<Rollback>,
}

/// Whether it can be undone now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rollback {
    ready: bool,
    class: RollbackClass,
    until: String,
}

/// Prints the Migrations of a namespace, or one of them.
pub async fn status(args: &ClusterArgs, name: Option<&str>, format: Output) -> Result<(), Failure> {
    let client = connect(args).await?;
    let namespace = namespace(args, &client);
    let migrations: Api<Migration> = Api::namespaced(client, &namespace);
    let found = match name {
        Some(name) => {
            let what = format!("read the Migration {name} in {namespace}");
            vec![migrations.get(name).await.map_err(|error| failure(&what, &error))?]
        }
        None => {
            let what = format!("list the Migrations in {namespace}");
            migrations.list(&ListParams::default()).await.map_err(|error| failure(&what, &error))?.items
        }
    };
    let rows: Vec<Row> = found.into_iter().map(row).collect();
    match format {
        Output::Json => print_json(&rows),
        Output::Text => {
            print(&text(&rows, name.is_some()));
            Ok(())
        }
    }
}

fn row(migration: Migration) -> Row {
    let (namespace, name) = (migration.namespace().unwrap_or_default(), migration.name_any());
    let status = migration.status.unwrap_or_default();
    let ready = status.conditions.into_iter().find(|condition| condition.kind == "Ready");
    Row {
        namespace,
        name,
        database: migration.spec.database_ref.name,
        phase: status.phase.unwrap_or(Phase::Pending),
        step: status.step,
        reason: ready.as_ref().map(|ready| ready.reason.clone()),
        message: ready.map(|ready| ready.message),
        plan: status.plan.map(|plan| plan.digest),
        rollback: status.rollback.map(|record| Rollback {
            ready: record.ready,
            class: record.class,
            until: record.until,
        }),
    }
}

fn text(rows: &[Row], one: bool) -> String {
    if rows.is_empty() {
        return "no Migrations".to_owned();
    }
    let head = ["NAME", "DATABASE", "PHASE", "STEP", "ROLLBACK", "REASON"].map(str::to_owned);
    let mut table_rows = vec![head];
    for row in rows {
        let undo = row.rollback.as_ref().filter(|undo| undo.ready).map(|undo| undo.class.to_string());
        let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table_rows.push([
            row.name.clone(),
            row.database.clone(),
            row.phase.to_string(),
            cell(&row.step),
            cell(&undo),
            cell(&row.reason),
        ]);
    }
    let mut text = table(&table_rows);
    for message in rows.iter().filter(|_| one).filter_map(|row| row.message.as_ref()) {
        text.push_str(&format!("\n{message}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(name: &str, status: serde_json::Value) -> Migration {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "wesley.dev/v1alpha1", "kind": "Migration",
            "metadata": {"name": name, "namespace": "team"},
            "spec": {"databaseRef": {"name": "shop"}, "source": {"sql": "select 1"}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn rows_for_people_and_machines() {
        let ready = serde_json::json!({
            "type": "Ready", "status": "False", "reason": "AwaitingWindow", "message": "opens at two",
            "lastTransitionTime": "2026-06-10T12:00:00Z",
        });
        let status = serde_json::json!({
            "phase": "AwaitingWindow", "step": "3/7", "conditions": [ready],
            "rollback": {"ready": true, "class": "Lossless", "until": "until the contract steps run"},
        });
        let rows = [row(migration("orders", status)), row(migration("new", serde_json::json!({})))];
        assert_eq!(
            text(&rows, false),
            "NAME    DATABASE  PHASE           STEP  ROLLBACK  REASON\n\
             orders  shop      AwaitingWindow  3/7   Lossless  AwaitingWindow\n\
             new     shop      Pending         -     -         -\n"
        );
        assert!(text(&rows[..1], true).ends_with("\n\nopens at two\n"));
        let json = serde_json::to_value(&rows[0]).unwrap();
        assert_eq!((json["phase"].as_str(), json["rollback"]["ready"].as_bool()), (Some("AwaitingWindow"), Some(true)));
    }
}
