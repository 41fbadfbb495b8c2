//! No secret, SQL literal or row value where people and tools look.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use wesley::api::{Database, Phase};

use crate::cluster_support::scene::{Scene, scene};
use crate::cluster_support::{client, operator_namespace};

async fn all<K>(scene: &Scene) -> String
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    let api: Api<K> = Api::namespaced(scene.kube.clone(), &scene.namespace);
    serde_json::to_string(&api.list(&ListParams::default()).await.unwrap().items).unwrap()
}

/// Status, events, Jobs, pods and logs of everything, by name.
async fn everything(scene: &Scene) -> Vec<(&'static str, String)> {
    let migrations = scene.migrations().list(&ListParams::default()).await.unwrap().items;
    let plans = scene.plans().list(&ListParams::default()).await.unwrap().items;
    let status: Vec<_> = migrations.iter().map(|migration| &migration.status).collect();
    let progress: Vec<_> = plans.iter().map(|plan| &plan.status).collect();
    let mut found = vec![
        ("status of Migrations", serde_json::to_string(&status).unwrap()),
        ("status of MigrationPlans", serde_json::to_string(&progress).unwrap()),
        ("Databases", all::<Database>(scene).await),
        ("events", all::<Event>(scene).await),
        ("Jobs", all::<Job>(scene).await),
        ("pods", all::<Pod>(scene).await),
        ("logs of runners", scene.logs().await),
    ];
    let kube = client(None).await;
    let operators: Api<Pod> = Api::namespaced(kube, &operator_namespace());
    let selector = ListParams::default().labels("app.kubernetes.io/name=wesley");
    for pod in operators.list(&selector).await.unwrap().items {
        let log = operators.logs(&pod.metadata.name.unwrap(), &LogParams::default()).await.unwrap_or_default();
        found.push(("log of the operator", log));
    }
    found
}

#[tokio::test]
async fn no_secret_literal_or_row_value_is_shown_anywhere() {
    scene("secrecy", async |scene| {
        scene.database.run("UPDATE orders SET remark = 'canary-row', number = 'canary-row'").await;
        let ways = [
            ("good", "ALTER TABLE orders ADD COLUMN a text DEFAULT 'canary-literal'", Phase::Succeeded),
            ("syntax", "ALTER TABLE orders ADD COLUMN b text DEFAULT 'canary-literal' 'canary-literal'", Phase::Failed),
            ("refused", "ALTER TABLE missing ADD COLUMN b text DEFAULT 'canary-literal'", Phase::Failed),
            ("violated", "ALTER TABLE orders ADD CONSTRAINT k UNIQUE (number)", Phase::Failed),
            ("check", "ALTER TABLE orders ADD CONSTRAINT c CHECK (remark <> 'canary-row')", Phase::Failed),
            ("cast", "ALTER TABLE orders ADD COLUMN n int; UPDATE orders SET n = remark::int", Phase::Failed),
            ("hazard", "DELETE FROM orders WHERE remark = 'canary-row'", Phase::Failed),
        ];
        for (name, sql, phase) in ways {
            scene.migrate(name, sql, "").await;
            scene.phase(name, phase).await;
        }
        for (place, text) in everything(scene).await {
            for canary in ["canary-literal", "canary-row", scene.database.password.as_str()] {
                let at = text.find(canary);
                let around = at.map(|at| text.chars().skip(at.saturating_sub(300)).take(600).collect::<String>());
                assert!(at.is_none(), "{canary} is in {place}: ...{}", around.unwrap_or_default());
            }
        }
    })
    .await;
}
