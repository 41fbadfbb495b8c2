//! The way back: asked for by a person, taken by policy after a failure.

use wesley::api::{Phase, ROLLBACK_ANNOTATION};

use crate::cluster_support::scene::{condition, digest, scene, shows, stalled};

const SQL: &str = "ALTER TABLE orders ADD COLUMN public_id uuid NOT NULL DEFAULT gen_random_uuid();\n\
                   CREATE INDEX orders_number_idx ON orders (number);";

#[tokio::test]
async fn requested_rollback_brings_back_the_schema_and_the_way_forward_stays_open() {
    scene("rollback", async |scene| {
        let before = scene.database.picture().await;
        scene.migrate("m", SQL, "").await;
        let done = scene.phase("m", Phase::Succeeded).await;
        assert_ne!(scene.database.picture().await, before);

        scene.annotate("m", ROLLBACK_ANNOTATION, &digest(&done)).await;
        let back = scene.phase("m", Phase::RolledBack).await;
        shows(&back, "Ready", "True", "RolledBack", &["wesley.dev/rollback"]);
        shows(&back, "Executed", "False", "RolledBack", &[]);
        shows(&back, "RollbackReady", "False", "NothingToUndo", &[]);
        assert_eq!(scene.database.picture().await, before);
        let ledger = scene.ledger("m").await;
        assert!(ledger.starts_with("rolled-back: ") && !ledger.contains("=done"), "{ledger}");

        // The request taken back, it is applied again.
        scene.patch("m", serde_json::json!({"metadata": {"annotations": {ROLLBACK_ANNOTATION: null}}})).await;
        scene.phase("m", Phase::Succeeded).await;
        assert!(scene.database.picture().await.contains("orders_number_idx"));
    })
    .await;
}

#[tokio::test]
async fn rollback_through_git_names_its_plan() {
    scene("rollback-git", async |scene| {
        let before = scene.database.picture().await;
        scene.migrate("m", SQL, "").await;
        let done = scene.phase("m", Phase::Succeeded).await;
        scene.migrate("m", SQL, &format!("rollback: {{requestedFor: \"sha256:{}\"}}", "0".repeat(64))).await;
        let other = scene.reason("m", "RollbackReady", "OtherPlanRequested").await;
        shows(&other, "RollbackReady", "True", "OtherPlanRequested", &[&digest(&done)]);
        shows(&other, "Ready", "True", "Succeeded", &[]);
        scene.migrate("m", SQL, &format!("rollback: {{requestedFor: \"{}\"}}", digest(&done))).await;
        scene.phase("m", Phase::RolledBack).await;
        assert_eq!(scene.database.picture().await, before);
    })
    .await;
}

#[tokio::test]
async fn failure_is_undone_if_that_loses_nothing() {
    scene("lossless", async |scene| {
        scene.database.run("UPDATE orders SET number = 'A1'").await;
        let before = scene.database.picture().await;
        let sql = "ALTER TABLE orders ADD COLUMN a int;\nALTER TABLE orders ADD CONSTRAINT orders_number_key UNIQUE (number);";
        scene.migrate("m", sql, "rollback: {policy: OnFailureIfLossless}").await;
        let back = scene.until("m", "rolled back", |m| m.status.as_ref().unwrap().phase == Some(Phase::RolledBack)).await;
        stalled(&back, "RolledBack", &["undone", "orders_number_key"]);
        shows(&back, "Executed", "False", "RolledBack", &[]);
        assert_eq!(scene.database.picture().await, before);
        assert!(scene.ledger("m").await.starts_with("rolled-back: "));
    })
    .await;
}

#[tokio::test]
async fn failure_stays_where_undoing_would_lose_something() {
    scene("lossy", async |scene| {
        // The column's data is gone with it: its undo brings back the column alone.
        let sql = "ALTER TABLE orders ADD COLUMN copy text;\nUPDATE orders SET amount = amount + 1;\n\
                   ALTER TABLE orders ADD CONSTRAINT big CHECK (amount > 100000);";
        scene
            .migrate("m", sql, "rollback: {policy: OnFailureIfLossless}\nallowHazards: [LargeDataChange, DataLoss]")
            .await;
        let failed = scene.until("m", "Failed", |m| m.status.as_ref().unwrap().phase == Some(Phase::Failed)).await;
        stalled(&failed, "CheckFailed", &["big"]);
        let ready = condition(&failed, "RollbackReady").unwrap();
        assert!(["Lossy", "ForwardOnly"].contains(&ready.reason.as_str()), "{ready:?}");
        assert!(scene.database.picture().await.contains("column orders.copy text"));
        let first: i32 = scene.database.ask("SELECT amount FROM orders WHERE id = 1").await;
        assert_eq!(first, 2, "the rows were changed once");
    })
    .await;
}
