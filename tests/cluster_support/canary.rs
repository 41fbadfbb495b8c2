//! No secret, SQL literal or row value where people and tools look: searched for after every scene. Passwords of test
//! databases begin with `canary`, and tests put the word into literals and rows.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use wesley::api::{Database, ValidationWindow};

use super::operator_namespace;
use super::scene::Scene;

/// The word.
const CANARY: &str = "canary";

/// Port of the operator's metrics.
const METRICS_PORT: u16 = 8080;

/// Fails when the word is anywhere.
pub async fn search(scene: &Scene) {
    for (place, text) in everything(scene).await {
        let at = text.find(CANARY);
        let around = at.map(|at| text.chars().skip(at.saturating_sub(300)).take(600).collect::<String>());
        assert!(at.is_none(), "a canary is in {place}: ...{}", around.unwrap_or_default());
    }
}

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

/// Status, events, Jobs, pods, logs and metrics, by name.
async fn everything(scene: &Scene) -> Vec<(&'static str, String)> {
    let migrations = scene.migrations().list(&ListParams::default()).await.unwrap().items;
    let plans = scene.plans().list(&ListParams::default()).await.unwrap().items;
    let status: Vec<_> = migrations.iter().map(|migration| &migration.status).collect();
    let progress: Vec<_> = plans.iter().map(|plan| &plan.status).collect();
    let mut found = vec![
        ("status of Migrations", serde_json::to_string(&status).unwrap()),
        ("status of MigrationPlans", serde_json::to_string(&progress).unwrap()),
        ("Databases", all::<Database>(scene).await),
        ("ValidationWindows", all::<ValidationWindow>(scene).await),
        ("events", all::<Event>(scene).await),
        ("Jobs", all::<Job>(scene).await),
        ("pods", all::<Pod>(scene).await),
        ("logs of runners", scene.logs().await),
    ];
    let operators: Api<Pod> = Api::namespaced(scene.kube.clone(), &operator_namespace());
    let selector = ListParams::default().labels("app.kubernetes.io/name=wesley");
    for pod in operators.list(&selector).await.unwrap().items {
        let name = pod.metadata.name.unwrap();
        let log = operators.logs(&name, &LogParams::default()).await.unwrap_or_default();
        found.push(("log of the operator", log));
        let path = format!("/api/v1/namespaces/{}/pods/{name}:{METRICS_PORT}/proxy/metrics", operator_namespace());
        let request = axum::http::Request::get(path).body(Vec::new()).unwrap();
        // One that is being replaced does not answer.
        found.push(("metrics", scene.kube.request_text(request).await.unwrap_or_default()));
    }
    found
}
