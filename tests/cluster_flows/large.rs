//! As much SQL as a ConfigMap holds.

use std::fmt::Write as _;

use kube::api::ListParams;
use wesley::api::Phase;

use crate::cluster_support::manifest;
use crate::cluster_support::scene::{scene, stalled};

#[tokio::test]
async fn ten_thousand_statements_are_one_migration() {
    scene("ten-thousand", async |scene| {
        let mut sql = "CREATE TABLE many (id int PRIMARY KEY, name text);\n".to_owned();
        for id in 0..10_000 {
            writeln!(sql, "INSERT INTO many (id, name) VALUES ({id}, 'name {id}');").unwrap();
        }
        scene.apply(&manifest::config_map("many", &[("many.sql", &sql)])).await;
        scene.apply(&manifest::with_source("many", "source: {configMapRefs: [{name: many}]}", "")).await;
        scene.phase("many", Phase::Succeeded).await;
        let rows: i64 = scene.database.ask("SELECT count(DISTINCT name) FROM many").await;
        assert_eq!(rows, 10_000);
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_the_cluster_cannot_hold_is_refused() {
    scene("full-config-map", async |scene| {
        let mut sql = String::new();
        for number in 0.. {
            let comment = format!("COMMENT ON COLUMN orders.remark IS '{number:0900}';\n");
            if sql.len() + comment.len() > 1_048_000 {
                break;
            }
            sql += &comment;
        }
        let before = scene.database.picture().await;
        scene.apply(&manifest::config_map("full", &[("full.sql", &sql)])).await;
        scene.apply(&manifest::with_source("full", "source: {configMapRefs: [{name: full}]}", "")).await;
        let failed = scene.phase("full", Phase::Failed).await;
        stalled(&failed, "PlanTooLarge", &["split the Migration"]);
        assert_eq!(scene.database.picture().await, before);
        assert!(scene.plans().list(&ListParams::default()).await.unwrap().items.is_empty());
    })
    .await;
}
