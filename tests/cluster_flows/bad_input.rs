//! SQL that cannot, must not or may not run: nothing is changed, and a person sees where the fault is.

use wesley::api::Phase;

use crate::cluster_support::manifest;
use crate::cluster_support::scene::{Scene, phase_of, runs, scene, shows, stalled};

/// Applies SQL, waits for the failure, and asserts that the database was not touched.
async fn refused(scene: &Scene, sql: &str, reason: &str, words: &[&str]) {
    let before = scene.database.picture().await;
    scene.migrate("bad", sql, "").await;
    let failed = scene.phase("bad", Phase::Failed).await;
    stalled(&failed, reason, words);
    shows(&failed, "Planned", "False", "NotPlanned", &[]);
    assert_eq!(runs(&failed), 1, "what is wrong is not tried again");
    assert_eq!(scene.database.picture().await, before);
    assert_eq!(scene.ledger("bad").await, "");
    assert!(scene.plans().list(&kube::api::ListParams::default()).await.unwrap().items.is_empty());
    let events = scene.events("bad").await;
    assert!(events.iter().any(|(word, _)| word == reason), "no event {reason}: {events:?}");
}

#[tokio::test]
async fn syntax_error_has_line_and_column() {
    scene("syntax", async |scene| {
        let sql = "ALTER TABLE orders ADD COLUMN a int;\nALTER TABEL orders ADD COLUMN b int;";
        refused(scene, sql, "SyntaxError", &["line 2, column 7", "TABEL"]).await;

        // Corrected, it runs.
        scene.migrate("bad", "ALTER TABLE orders ADD COLUMN a int", "").await;
        scene.phase("bad", Phase::Succeeded).await;
    })
    .await;
}

#[tokio::test]
async fn syntax_error_in_a_config_map_names_the_file() {
    scene("syntax-file", async |scene| {
        scene
            .apply(&manifest::config_map("sql", &[("10-good.sql", "SELECT 1"), ("20-bad.sql", "\n\nDORP TABLE x")]))
            .await;
        scene.apply(&manifest::with_source("bad", "source: {configMapRefs: [{name: sql}]}", "")).await;
        let failed = scene.phase("bad", Phase::Failed).await;
        stalled(&failed, "SyntaxError", &["20-bad.sql, line 3, column 1"]);
    })
    .await;
}

#[tokio::test]
async fn unknown_table_is_named_with_its_place() {
    scene("unknown-table", async |scene| {
        let sql = "ALTER TABLE orders ADD COLUMN a int;\n  ALTER TABLE ordres ADD COLUMN b int;";
        refused(scene, sql, "StatementRefused", &["line 2, column 3", "ordres", "42P01"]).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_catalog_says_the_server_will_refuse_is_refused() {
    scene("refused", async |scene| {
        let sql = "ALTER TABLE orders ADD COLUMN a int;\nALTER TABLE customers ADD COLUMN name text;";
        refused(scene, sql, "StatementRefused", &["line 2, column 1", "name", "42701"]).await;
    })
    .await;
}

#[tokio::test]
async fn hazards_that_are_not_allowed_are_named_with_the_way_out() {
    scene("hazards", async |scene| {
        let sql = "ALTER TABLE orders DROP COLUMN remark;";
        refused(scene, sql, "HazardNotAllowed", &["DataLoss", "remark", "spec.allowHazards"]).await;

        // The policy of the Database wins over the Migration.
        scene.apply_database("policy: {inPlaceBytesMax: 0, forbiddenHazards: [DataLoss]}").await;
        scene.patch("bad", serde_json::json!({"spec": {"allowHazards": ["DataLoss"]}})).await;
        let forbidden = scene.reason("bad", "Stalled", "HazardForbidden").await;
        stalled(&forbidden, "HazardForbidden", &["DataLoss", "shop"]);
        assert_eq!(phase_of(&forbidden), Some(Phase::Failed));

        scene.apply_database("").await;
        scene.patch("bad", serde_json::json!({"spec": {"allowHazards": ["DataLoss", "BreaksClients"]}})).await;
        scene.phase("bad", Phase::Succeeded).await;
        assert!(!scene.database.picture().await.contains("orders.remark"));
    })
    .await;
}

/// The catalog cannot know what the rows say: the server refuses while steps run.
#[tokio::test]
async fn what_the_server_refuses_while_it_runs_names_step_and_constraint_but_no_value() {
    scene("violated", async |scene| {
        scene.database.run("UPDATE orders SET number = 'canary-value' WHERE id IN (1, 2)").await;
        let sql = "ALTER TABLE orders ADD COLUMN a int;\nALTER TABLE orders ADD CONSTRAINT orders_number_key UNIQUE (number);";
        scene.migrate("unique", sql, "").await;
        let failed = scene.phase("unique", Phase::Failed).await;
        stalled(&failed, "ConstraintViolated", &["orders_number_key", "step "]);
        shows(&failed, "Executed", "False", "StepsLeft", &[]);
        shows(&failed, "RollbackReady", "True", "Lossless", &[]);
        let text = serde_json::to_string(&failed.status).unwrap();
        assert!(!text.contains("canary-value"), "{text}");

        let schema = scene.database.picture().await;
        assert!(schema.contains("column orders.a") && !schema.contains("constraint orders.orders_number_key"), "{schema}");
        let invalid: i64 = scene.database.ask("SELECT count(*) FROM pg_index WHERE NOT indisvalid").await;
        assert_eq!(invalid, 0, "what a failed build leaves costs every write and is removed");
        let ledger = scene.ledger("unique").await;
        assert!(ledger.starts_with("failed: ") && ledger.contains("=done") && ledger.contains("=failed"), "{ledger}");

        // The rows put right, it goes on where it stopped.
        scene.database.run("UPDATE orders SET number = 'A' || id").await;
        scene.retry("unique").await;
        scene.phase("unique", Phase::Succeeded).await;
        assert!(scene.database.picture().await.contains("constraint orders.orders_number_key UNIQUE (number) true"));
    })
    .await;
}
