//! People change their minds while it runs.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use kube::runtime::wait::await_condition;
use wesley::api::Phase;

use crate::cluster_support::PATIENCE;
use crate::cluster_support::scene::{Scene, digest, runs, scene, shows, stalled};

const PATIENT: &str = "timeouts: {lockSliceMilliseconds: 60000, statementSeconds: 600}";

/// Two steps, between them a lock that the test holds.
const SQL: &str = "CREATE INDEX orders_number_idx ON orders (number);\nALTER TABLE customers ADD COLUMN b int;";
const HOLD: &str = "LOCK TABLE customers IN ACCESS SHARE MODE";

/// The first step is done, the second was not, and nobody is at work any more.
async fn half_done(scene: &Scene) {
    scene
        .database
        .until(
            "no session of a runner is left",
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = current_database())",
        )
        .await;
    let ledger = scene.ledger("m").await;
    assert!(ledger.contains("=done") && ledger.ends_with("=planned"), "{ledger}");
    let schema = scene.database.picture().await;
    assert!(schema.contains("orders_number_idx") && !schema.contains("customers.b"), "{schema}");
}

#[tokio::test]
async fn suspend_stops_at_once_and_resumes_there() {
    scene("suspend", async |scene| {
        let held = scene.database.hold(HOLD).await;
        scene.migrate("m", SQL, PATIENT).await;
        scene.database.until_runner_waits().await;
        scene.patch("m", serde_json::json!({"spec": {"suspend": true}})).await;
        let suspended = scene.phase("m", Phase::Suspended).await;
        shows(&suspended, "Ready", "False", "Suspended", &["spec.suspend"]);
        half_done(scene).await;
        held.release().await;
        scene.patch("m", serde_json::json!({"spec": {"suspend": false}})).await;
        let done = scene.phase("m", Phase::Succeeded).await;
        shows(&done, "Ready", "True", "Succeeded", &[]);
        assert!(scene.database.picture().await.contains("customers.b "));
    })
    .await;
}

#[tokio::test]
async fn sql_is_changed_while_it_runs() {
    scene("changed", async |scene| {
        let held = scene.database.hold(HOLD).await;
        scene.migrate("m", SQL, PATIENT).await;
        scene.database.until_runner_waits().await;
        scene.migrate("m", "ALTER TABLE customers ADD COLUMN other int", PATIENT).await;
        let stopped = scene.phase("m", Phase::Failed).await;
        stalled(&stopped, "SourceChanged", &["1 of 2 steps", "spec.rollback.requestedFor"]);
        half_done(scene).await;
        held.release().await;
        // Restored, it goes on.
        scene.migrate("m", SQL, PATIENT).await;
        scene.until("m", "Succeeded", |m| m.status.as_ref().unwrap().phase == Some(Phase::Succeeded)).await;
        let schema = scene.database.picture().await;
        assert!(schema.contains("customers.b ") && !schema.contains("customers.other"), "{schema}");
    })
    .await;
}

#[tokio::test]
async fn deleted_while_it_runs_it_stops_and_keeps_what_is_done() {
    scene("deleted", async |scene| {
        let held = scene.database.hold(HOLD).await;
        scene.migrate("m", SQL, PATIENT).await;
        scene.database.until_runner_waits().await;
        scene.delete("m").await;
        scene.gone("m").await;
        half_done(scene).await;
        held.release().await;
        // A new one of the same name is a new one: it plans on what is there.
        scene.migrate("m", "ALTER TABLE customers ADD COLUMN b int", "").await;
        scene.phase("m", Phase::Succeeded).await;
    })
    .await;
}

#[tokio::test]
async fn deleted_while_it_runs_it_is_undone_if_it_says_so() {
    scene("deleted-undone", async |scene| {
        let before = scene.database.picture().await;
        let held = scene.database.hold(HOLD).await;
        scene.migrate("m", SQL, &format!("{PATIENT}\ndeletionPolicy: Rollback")).await;
        scene.database.until_runner_waits().await;
        scene.delete("m").await;
        scene.gone("m").await;
        assert_eq!(scene.database.picture().await, before);
        assert!(scene.ledger("m").await.starts_with("rolled-back: "));
        held.release().await;
    })
    .await;
}

#[tokio::test]
async fn namespace_is_deleted_while_it_runs() {
    scene("namespace-gone", async |scene| {
        let held = scene.database.hold(HOLD).await;
        scene.migrate("m", SQL, &format!("{PATIENT}\ndeletionPolicy: Rollback")).await;
        scene.database.until_runner_waits().await;
        let namespaces: Api<Namespace> = Api::all(scene.kube.clone());
        namespaces.delete(&scene.namespace, &DeleteParams::default()).await.unwrap();
        let gone = await_condition(namespaces.clone(), &scene.namespace, |found: Option<&Namespace>| found.is_none());
        if tokio::time::timeout(PATIENCE, gone).await.is_err() {
            panic!("the namespace does not go: {:?}", namespaces.get(&scene.namespace).await.unwrap().status);
        }
        half_done(scene).await;
        held.release().await;
    })
    .await;
}

#[tokio::test]
async fn pod_that_cannot_start_is_told_with_its_reason() {
    scene("no-node", async |scene| {
        scene.apply_database("jobTemplate: {nodeSelector: {no-such-label: \"true\"}}").await;
        scene.migrate("m", "ALTER TABLE orders ADD COLUMN a int", "").await;
        let stuck = scene.reason("m", "Ready", "PodNotStarting").await;
        shows(&stuck, "Reconciling", "True", "Planning", &[]);
        shows(&stuck, "Ready", "False", "PodNotStarting", &["Job m-plan-", "node"]);
        // Suspended, the Job goes; with the template put right, the next one starts.
        scene.patch("m", serde_json::json!({"spec": {"suspend": true}})).await;
        scene.phase("m", Phase::Suspended).await;
        let plain = scene.database_manifest("tls: {mode: Require}", "");
        scene.apply(&plain).await;
        scene.patch("m", serde_json::json!({"spec": {"suspend": false}})).await;
        scene.phase("m", Phase::Succeeded).await;
    })
    .await;
}

#[tokio::test]
async fn speed_of_a_backfill_is_changed_while_it_runs() {
    scene("speed", async |scene| {
        scene.database.fill().await;
        let sql = "ALTER TABLE orders ADD COLUMN public_id uuid NOT NULL DEFAULT gen_random_uuid()";
        // At this speed it would take longer than the test waits for anything.
        scene.migrate("m", sql, "backfill: {rowsPerSecondMax: 200}").await;
        scene.database.until("some rows are done", "SELECT max(rows_done) > 0 FROM wesley.cursors").await;
        let before = scene.phase("m", Phase::Executing).await;
        scene.patch("m", serde_json::json!({"spec": {"backfill": {"rowsPerSecondMax": null}}})).await;
        let done = scene.phase("m", Phase::Succeeded).await;
        assert_eq!((runs(&done), digest(&done)), (runs(&before), digest(&before)), "no new run, no new plan");
        let missing: i64 = scene.database.ask("SELECT count(*) FROM orders WHERE public_id IS NULL").await;
        assert_eq!(missing, 0);
    })
    .await;
}
