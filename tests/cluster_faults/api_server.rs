//! The API server is away: what runs goes on, what was decided is not lost.

use std::time::Duration;

use wesley::api::Phase;

use crate::alone;
use crate::cluster_support::fault;
use crate::cluster_support::scene::{scene, shows};
use crate::cluster_support::{PATIENCE, eventually};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(30);

/// Brings the API server back, also when the test fails in between.
struct Back;

impl Drop for Back {
    fn drop(&mut self) {
        fault::start("kube-apiserver");
    }
}

#[tokio::test]
async fn api_server_is_away_for_half_a_minute() {
    let _turn = alone().await;
    scene("api-server", async |scene| {
        let held = scene.database.hold("LOCK TABLE customers IN ACCESS SHARE MODE").await;
        let sql = "CREATE INDEX orders_number_idx ON orders (number);\nALTER TABLE customers ADD COLUMN b int;\n\
                   ALTER TABLE orders ADD COLUMN public_id uuid NOT NULL DEFAULT gen_random_uuid();";
        let patient = "timeouts: {lockSliceMilliseconds: 60000, statementSeconds: 600}";
        scene.migrate("running", sql, patient).await;
        scene.migrate("waiting", "CREATE TABLE apart (id bigint)", "approval: Required").await;
        scene.database.until_runner_waits().await;
        let waiting = scene.phase("waiting", Phase::AwaitingApproval).await;

        let back = Back;
        fault::end("kube-apiserver");
        let until = tokio::time::Instant::now() + AWAY;
        // The runner needs nobody but the database.
        held.release().await;
        eventually("the run is done without the API server", async || {
            scene.ledger("running").await.starts_with("done: ").then_some(())
        })
        .await;
        tokio::time::sleep_until(until).await;
        drop(back);

        eventually("the API server answers", async || scene.kube.apiserver_version().await.ok()).await;
        let done = tokio::time::timeout(PATIENCE, scene.phase("running", Phase::Succeeded)).await.unwrap();
        shows(&done, "Ready", "True", "Succeeded", &[]);
        let plan = scene.plan_of(&waiting).await.metadata.name.unwrap();
        scene.grant("ann", "wesley-approver").await;
        scene.decide_as("ann", &plan, "Approved").await.unwrap();
        scene.phase("waiting", Phase::Succeeded).await;
        let schema = scene.database.picture().await;
        for line in ["orders_number_idx", "customers.b ", "orders.public_id uuid true", "apart.id "] {
            assert!(schema.contains(line), "{line} is not in\n{schema}");
        }
    })
    .await;
}
