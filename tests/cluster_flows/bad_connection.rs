//! A database that cannot be reached as the Database says: nothing is done, the reason says which part is wrong,
//! and once it is right the Migration goes on.

use wesley::api::Phase;

use crate::cluster_support::manifest::{self, DATABASE};
use crate::cluster_support::scene::{Scene, scene, shows, stalled};

const SQL: &str = "ALTER TABLE orders ADD COLUMN a int";

/// Waits for the reason, and for the Database to show it too.
async fn stops(scene: &Scene, reason: &str, words: &[&str]) {
    let failed = scene.reason("m", "Stalled", reason).await;
    stalled(&failed, reason, words);
    assert_eq!(scene.ledger("m").await, "");
    let databases: kube::Api<wesley::api::Database> = kube::Api::namespaced(scene.kube.clone(), &scene.namespace);
    crate::cluster_support::eventually("the Database shows it", async || {
        let conditions = databases.get(DATABASE).await.ok()?.status?.conditions;
        conditions.into_iter().find(|condition| condition.kind == "Ready" && condition.reason == reason)
    })
    .await;
}

/// Once put right, it goes on.
async fn goes_on(scene: &Scene) {
    scene.retry("m").await;
    scene.until("m", "Succeeded", |m| m.status.as_ref().unwrap().phase == Some(Phase::Succeeded)).await;
    assert!(scene.database.picture().await.contains("column orders.a integer"));
}

#[tokio::test]
async fn wrong_password() {
    scene("password", async |scene| {
        scene.apply(&manifest::secret(DATABASE, &[("password", "canary-wrong")])).await;
        scene.migrate("m", SQL, "").await;
        stops(scene, "AuthenticationFailed", &["28P01", &scene.database.server.host]).await;
        let text = serde_json::to_string(&scene.get("m").await.status).unwrap();
        assert!(!text.contains("canary"), "{text}");
        scene.apply_database("").await;
        goes_on(scene).await;
    })
    .await;
}

#[tokio::test]
async fn unknown_database() {
    scene("dbname", async |scene| {
        let manifest = scene.database_manifest("tls: {mode: Require}", "");
        scene.apply(&manifest.replace("dbname: {value: ", "dbname: {value: no_")).await;
        scene.migrate("m", SQL, "").await;
        stops(scene, "DatabaseNotFound", &["3D000"]).await;
        scene.apply_database("").await;
        goes_on(scene).await;
    })
    .await;
}

#[tokio::test]
async fn unreachable_host_is_tried_again_by_itself() {
    scene("unreachable", async |scene| {
        let manifest = scene.database_manifest("tls: {mode: Require}", "");
        let host = scene.database.server.host.clone();
        scene.apply(&manifest.replace(&host, "nowhere.invalid")).await;
        scene.migrate("m", SQL, "").await;
        let waiting = scene.reason("m", "Ready", "Unreachable").await;
        shows(&waiting, "Ready", "False", "Unreachable", &["nowhere.invalid:5432", "Next try at"]);
        shows(&waiting, "Reconciling", "True", "Planning", &[]);
        assert_eq!(scene.ledger("m").await, "");
        scene.apply_database("").await;
        scene.phase("m", Phase::Succeeded).await;
        assert!(scene.database.picture().await.contains("column orders.a integer"));
    })
    .await;
}

#[tokio::test]
async fn certificate_that_is_not_trusted() {
    scene("untrusted", async |scene| {
        // The default: VerifyFull, against the public authorities.
        scene.apply(&scene.database_manifest("tls: {}", "")).await;
        scene.migrate("m", SQL, "").await;
        stops(scene, "TlsFailed", &["certificate"]).await;

        // With its authority it is.
        scene.apply(&manifest::secret("authority", &[("ca.crt", &scene.database.server.authority)])).await;
        scene.apply(&scene.database_manifest("tls: {caSecretRef: {name: authority, key: ca.crt}}", "")).await;
        goes_on(scene).await;
    })
    .await;
}

#[tokio::test]
async fn certificate_of_another_host() {
    scene("other-host", async |scene| {
        scene.apply(&manifest::secret("authority", &[("ca.crt", &scene.database.server.authority)])).await;
        let host = scene.database.server.host.clone();
        let verified = scene.database_manifest("tls: {caSecretRef: {name: authority, key: ca.crt}}", "");
        scene.apply(&verified.replace(&host, &format!("{host}.cluster.local"))).await;
        scene.migrate("m", SQL, "").await;
        stops(scene, "TlsFailed", &["certificate"]).await;
        scene.apply(&verified).await;
        goes_on(scene).await;
    })
    .await;
}

#[tokio::test]
async fn missing_secret() {
    scene("no-secret", async |scene| {
        let manifest = scene.database_manifest("tls: {mode: Require}", "");
        scene.apply(&manifest.replace("{name: shop, key: password}", "{name: missing, key: password}")).await;
        scene.migrate("m", SQL, "").await;
        stops(scene, "ConnectionInvalid", &["Secret missing", "password"]).await;
        scene.apply(&manifest::secret("missing", &[("password", &scene.database.password)])).await;
        goes_on(scene).await;
    })
    .await;
}

#[tokio::test]
async fn missing_key_of_a_secret() {
    scene("no-key", async |scene| {
        let manifest = scene.database_manifest("tls: {mode: Require}", "");
        scene.apply(&manifest.replace("{name: shop, key: password}", "{name: shop, key: pasword}")).await;
        scene.migrate("m", SQL, "").await;
        stops(scene, "ConnectionInvalid", &["shop", "pasword"]).await;
        scene.apply_database("").await;
        goes_on(scene).await;
    })
    .await;
}

#[tokio::test]
async fn missing_config_map_and_key() {
    scene("no-config-map", async |scene| {
        let source = "source: {configMapRefs: [{name: later, key: change.sql}]}";
        scene.apply(&manifest::with_source("m", source, "")).await;
        let blocked = scene.phase("m", Phase::Blocked).await;
        shows(&blocked, "Ready", "False", "ConfigMapMissing", &["later"]);
        shows(&blocked, "Reconciling", "True", "Blocked", &[]);
        scene.apply(&manifest::config_map("later", &[("other.sql", "SELECT 1")])).await;
        let blocked = scene.reason("m", "Ready", "ConfigMapKeyMissing").await;
        shows(&blocked, "Ready", "False", "ConfigMapKeyMissing", &["later", "change.sql"]);
        // Comes by itself, without a retry.
        scene.apply(&manifest::config_map("later", &[("change.sql", SQL)])).await;
        scene.phase("m", Phase::Succeeded).await;
        assert!(scene.database.picture().await.contains("column orders.a integer"));
    })
    .await;
}

#[tokio::test]
async fn missing_database() {
    scene("no-database", async |scene| {
        let manifest = manifest::migration("m", SQL, "").replace("{name: shop}", "{name: later}");
        scene.apply(&manifest).await;
        let blocked = scene.phase("m", Phase::Blocked).await;
        shows(&blocked, "Ready", "False", "DatabaseMissing", &["later", "create it"]);
        let database = scene.database_manifest("tls: {mode: Require}", "");
        scene.apply(&database.replacen("name: shop", "name: later", 1)).await;
        scene.phase("m", Phase::Succeeded).await;
    })
    .await;
}
