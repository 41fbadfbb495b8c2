//! The operator is killed at every phase of a Migration, and the leader of two; the next one goes on as if nothing had
//! been.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use wesley::api::{CONTRACT_ANNOTATION, Migration, Phase, ROLLBACK_ANNOTATION};

use crate::alone;
use crate::cluster_support::scene::{Scene, digest, phase_of, runs, scene, shows};
use crate::cluster_support::{eventually, fault, manifest, operator_namespace};

/// SIGKILL to the operator; returns when another runs.
async fn kill_operator(scene: &Scene) {
    let pods: Api<Pod> = Api::namespaced(scene.kube.clone(), &operator_namespace());
    let selector = ListParams::default().labels("app.kubernetes.io/name=wesley");
    let containers = async || {
        let pods = pods.list(&selector).await.ok()?.items;
        let pod = pods.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none())?;
        let container = pod.status?.container_statuses?.pop()?;
        Some((pod.metadata.name?, container.container_id?, container.ready))
    };
    let (name, before, _) =
        eventually("the operator runs", async || containers().await.filter(|(.., ready)| *ready)).await;
    fault::kill(&operator_namespace(), &name);
    // A container that dies again and again is started again later and later; another pod is not.
    pods.delete(&name, &DeleteParams::default().grace_period(0)).await.unwrap();
    eventually("the operator was started again", async || {
        containers().await.filter(|(_, container, ready)| *container != before && *ready)
    })
    .await;
}

/// Kills the operator while the Migration is in that phase, which it stays in.
async fn survives(scene: &Scene, phase: Phase) -> Migration {
    let before = scene.phase("m", phase).await;
    kill_operator(scene).await;
    let after = scene.get("m").await;
    assert_eq!((phase_of(&after), runs(&after)), (Some(phase), runs(&before)), "{phase}");
    after
}

#[tokio::test]
async fn operator_is_killed_at_every_phase() {
    let _turn = alone().await;
    scene("operator", async |scene| {
        let before = scene.database.picture().await;
        let planning = scene.database.hold("LOCK TABLE pg_catalog.pg_policy IN ACCESS EXCLUSIVE MODE").await;
        let executing = scene.database.hold("LOCK TABLE customers IN ACCESS SHARE MODE").await;
        scene.apply(&manifest::window("night", "0 0 31 12 *", 60, "")).await;
        let sql = "ALTER TABLE customers ADD COLUMN b int;\n\
                   ALTER TABLE orders ADD CONSTRAINT orders_customer_fk FOREIGN KEY (customer_id) REFERENCES customers (id);\n\
                   ALTER TABLE orders DROP COLUMN remark;";
        let more = "approval: Required\nvalidation: {windowRef: {name: night}}\ncontract: {policy: Manual}\n\
                    allowHazards: [DataLoss, BreaksClients]\n\
                    timeouts: {lockSliceMilliseconds: 60000, statementSeconds: 600}";
        scene.migrate("m", sql, more).await;
        scene.database.until_runner_waits().await;
        survives(scene, Phase::Planning).await;
        planning.release().await;

        let waiting = survives(scene, Phase::AwaitingApproval).await;
        scene.grant("ann", "wesley-approver").await;
        let plan = scene.plan_of(&waiting).await.metadata.name.unwrap();
        scene.decide_as("ann", &plan, "Approved").await.unwrap();

        scene.database.until_runner_waits().await;
        survives(scene, Phase::Executing).await;
        executing.release().await;

        survives(scene, Phase::AwaitingWindow).await;
        let validating = scene.database.hold("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE").await;
        scene.apply(&manifest::window("night", "* * * * *", 3600, "")).await;
        scene.database.until_runner_waits().await;
        survives(scene, Phase::Validating).await;
        validating.release().await;

        survives(scene, Phase::Observing).await;
        let undoing = scene.database.hold("LOCK TABLE orders IN ACCESS SHARE MODE").await;
        scene.annotate("m", ROLLBACK_ANNOTATION, &digest(&waiting)).await;
        scene.database.until_runner_waits().await;
        survives(scene, Phase::RollingBack).await;
        undoing.release().await;
        let back = survives(scene, Phase::RolledBack).await;
        shows(&back, "Ready", "True", "RolledBack", &[]);
        assert_eq!(scene.database.picture().await, before);

        scene.patch("m", serde_json::json!({"metadata": {"annotations": {ROLLBACK_ANNOTATION: null}}})).await;
        // The plan is the one that was approved.
        let again = scene.phase("m", Phase::Observing).await;
        scene.annotate("m", CONTRACT_ANNOTATION, &digest(&again)).await;
        survives(scene, Phase::Succeeded).await;
        let schema = scene.database.picture().await;
        assert!(schema.contains("REFERENCES customers(id) true") && !schema.contains("orders.remark"), "{schema}");
    })
    .await;
}

/// Two replicas of the operator, one again when the test ends.
struct TwoReplicas;

impl TwoReplicas {
    fn install() -> Self {
        fault::reinstall("replicas=2");
        Self
    }
}

impl Drop for TwoReplicas {
    fn drop(&mut self) {
        fault::reinstall("replicas=1");
    }
}

/// The pod that leads, if it is there.
async fn leader(scene: &Scene) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(scene.kube.clone(), &operator_namespace());
    let name = leases.get("wesley-leader").await.ok()?.spec?.holder_identity?;
    let pods: Api<Pod> = Api::namespaced(scene.kube.clone(), &operator_namespace());
    pods.get_opt(&name).await.ok()??.metadata.deletion_timestamp.is_none().then_some(name)
}

#[tokio::test]
async fn leader_of_two_is_killed() {
    let _turn = alone().await;
    scene("replicas", async |scene| {
        let _two = TwoReplicas::install();
        let reader = scene.database.hold("LOCK TABLE customers IN ACCESS SHARE MODE").await;
        let more = "timeouts: {lockSliceMilliseconds: 60000, statementSeconds: 600}";
        scene.migrate("m", "ALTER TABLE customers ADD COLUMN b int", more).await;
        scene.database.until_runner_waits().await;
        let before = scene.phase("m", Phase::Executing).await;

        let dead = eventually("one of them leads", async || leader(scene).await).await;
        fault::kill(&operator_namespace(), &dead);
        let pods: Api<Pod> = Api::namespaced(scene.kube.clone(), &operator_namespace());
        pods.delete(&dead, &DeleteParams::default().grace_period(0)).await.unwrap();
        reader.release().await;
        let done = scene.phase("m", Phase::Succeeded).await;
        assert_ne!(leader(scene).await.as_deref(), Some(dead.as_str()));
        assert_eq!(runs(&done), runs(&before), "the run that was under way was begun again");
        assert!(scene.database.picture().await.contains("column customers.b"));
    })
    .await;
}
