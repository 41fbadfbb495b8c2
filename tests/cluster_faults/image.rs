//! The runner's image cannot be pulled.

use kube::api::DeleteParams;
use wesley::api::Phase;

use crate::alone;
use crate::cluster_support::fault;
use crate::cluster_support::scene::{scene, shows};

const NOWHERE: &str = "registry.invalid/wesley:none";

/// Installs the operator with another image for its Jobs; returns when it is ready. Empty is its own image.
fn install(runner_image: &str) {
    fault::reinstall(&format!("runner.image={runner_image}"));
}

/// Puts the image right, also when the test fails in between.
struct Right;

impl Drop for Right {
    fn drop(&mut self) {
        install("");
    }
}

#[tokio::test]
async fn image_that_cannot_be_pulled_is_told_and_put_right() {
    let _turn = alone().await;
    scene("image", async |scene| {
        let right = Right;
        install(NOWHERE);
        scene.migrate("m", "ALTER TABLE orders ADD COLUMN a int", "").await;
        let stuck = scene.reason("m", "Ready", "PodNotStarting").await;
        shows(&stuck, "Ready", "False", "PodNotStarting", &[NOWHERE]);
        shows(&stuck, "Reconciling", "True", "Planning", &[]);
        assert_eq!(scene.ledger("m").await, "");
        drop(right);
        // The Job was made with the bad image; the message says how to have another.
        shows(&stuck, "Ready", "False", "PodNotStarting", &["delete the Job"]);
        let job = stuck.status.unwrap().run.unwrap().job;
        scene.jobs().delete(&job, &DeleteParams::background()).await.unwrap();
        scene.phase("m", Phase::Succeeded).await;
        assert!(scene.database.picture().await.contains("column orders.a integer"));
    })
    .await;
}
