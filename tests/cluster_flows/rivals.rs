//! Several who want the same: Migrations of one database, people who delete what is in use.

use kube::api::{Api, DeleteParams};
use wesley::api::{Database, Phase};

use crate::cluster_support::manifest::DATABASE;
use crate::cluster_support::scene::{phase_of, scene, shows};

const PATIENT: &str = "timeouts: {lockSliceMilliseconds: 60000, statementSeconds: 600}";

#[tokio::test]
async fn two_migrations_of_one_database_run_one_after_the_other() {
    scene("two", async |scene| {
        let held = scene.database.hold("LOCK TABLE orders IN ACCESS SHARE MODE").await;
        scene.migrate("first", "ALTER TABLE orders ADD COLUMN a int", PATIENT).await;
        scene.database.until_runner_waits().await;
        scene.migrate("second", "ALTER TABLE customers ADD COLUMN b int", PATIENT).await;
        let blocked = scene.phase("second", Phase::Blocked).await;
        shows(&blocked, "Ready", "False", "DatabaseBusy", &["first", DATABASE]);
        assert_eq!(scene.ledger("second").await, "");
        held.release().await;
        scene.phase("first", Phase::Succeeded).await;
        scene.phase("second", Phase::Succeeded).await;
        let schema = scene.database.picture().await;
        assert!(schema.contains("orders.a ") && schema.contains("customers.b "), "{schema}");
    })
    .await;
}

#[tokio::test]
async fn database_that_is_deleted_while_it_is_used() {
    scene("database-gone", async |scene| {
        let held = scene.database.hold("LOCK TABLE customers IN ACCESS SHARE MODE").await;
        let sql = "ALTER TABLE orders ADD COLUMN a int;\nCREATE INDEX orders_number_idx ON orders (number);\n\
                   ALTER TABLE customers ADD COLUMN b int;";
        scene.migrate("m", sql, PATIENT).await;
        scene.database.until_runner_waits().await;
        let databases: Api<Database> = Api::namespaced(scene.kube.clone(), &scene.namespace);
        databases.delete(DATABASE, &DeleteParams::default()).await.unwrap();
        // The run that goes on has all that it needs; when it is cut off, the next one has not.
        scene.kill_runner("m", "Execute").await;
        held.release().await;
        let blocked = scene.phase("m", Phase::Blocked).await;
        shows(&blocked, "Ready", "False", "DatabaseMissing", &[DATABASE, "create it"]);
        let ledger = scene.ledger("m").await;
        assert!(ledger.starts_with("running: ") && ledger.contains("=done"), "{ledger}");

        scene.apply_database("").await;
        let done = scene.phase("m", Phase::Succeeded).await;
        assert_eq!(phase_of(&done), Some(Phase::Succeeded));
        let schema = scene.database.picture().await;
        assert!(schema.contains("orders.a ") && schema.contains("customers.b "), "{schema}");
    })
    .await;
}
