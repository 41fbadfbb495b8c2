//! SIGKILL at the worst moments: the next run finds out what was done and goes on from there.

use kube::api::ListParams;
use wesley::api::Phase;

use crate::cluster_support::fault;
use crate::cluster_support::scene::{Scene, runs, scene, scene_with_server, shows};

const PATIENT: &str = "timeouts: {lockSliceMilliseconds: 60000, statementSeconds: 600}";

/// One more run than without the kill, and nothing left behind.
async fn resumed(scene: &Scene, migration: &str) {
    let done = scene.phase(migration, Phase::Succeeded).await;
    shows(&done, "Ready", "True", "Succeeded", &[]);
    assert!(runs(&done) >= 3, "one plans, one is killed, one resumes: {}", runs(&done));
    let ledger = scene.ledger(migration).await;
    assert!(ledger.starts_with("done: ") && !ledger.contains("=planned") && !ledger.contains("=running"), "{ledger}");
    let invalid: i64 = scene.database.ask("SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready)").await;
    assert_eq!(invalid, 0);
    scene
        .database
        .until(
            "no session of a runner is left",
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = current_database())",
        )
        .await;
}

#[tokio::test]
async fn plan_job_is_killed() {
    scene("kill-plan", async |scene| {
        let before = scene.database.picture().await;
        let held = scene.database.hold("LOCK TABLE pg_catalog.pg_policy IN ACCESS EXCLUSIVE MODE").await;
        scene.migrate("m", "ALTER TABLE orders ADD COLUMN a int", "").await;
        scene.database.until_runner_waits().await;
        scene.kill_runner("m", "Plan").await;
        let retrying = scene.until("m", "planning again", |m| runs(m) == 2).await;
        shows(&retrying, "Reconciling", "True", "Planning", &[]);
        let told = retrying.status.unwrap().last_run.unwrap();
        assert_eq!((told.reason.as_str(), told.exit_code), ("RunLost", fault::exit_code_of_killed()));
        assert_eq!(scene.database.picture().await, before);
        held.release().await;
        resumed(scene, "m").await;
        assert_eq!(scene.plans().list(&ListParams::default()).await.unwrap().items.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn runner_is_killed_in_a_transaction() {
    scene("kill-transaction", async |scene| {
        // Holds every DDL transaction of the runner after its statement, before its commit.
        scene
            .database
            .run(
                "CREATE FUNCTION public.brake() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
                 BEGIN IF tg_tag = 'ALTER TABLE' THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; END $$;
                 CREATE EVENT TRIGGER brake ON ddl_command_end EXECUTE FUNCTION public.brake()",
            )
            .await;
        let before = scene.database.picture().await;
        let held = scene.database.hold("SELECT pg_advisory_xact_lock(4711)").await;
        scene.migrate("m", "ALTER TABLE orders ADD COLUMN a int, ADD COLUMN b int", PATIENT).await;
        scene.database.until_runner_waits().await;
        scene.kill_runner("m", "Execute").await;
        scene.until("m", "executing again", |m| runs(m) >= 3).await;
        assert!(!scene.ledger("m").await.contains("=done"), "done and recorded are one fact");
        assert_eq!(scene.database.picture().await, before);
        held.release().await;
        resumed(scene, "m").await;
        let schema = scene.database.picture().await;
        assert!(schema.contains("column orders.a ") && schema.contains("column orders.b "), "{schema}");
    })
    .await;
}

#[tokio::test]
async fn runner_is_killed_in_a_concurrent_index_build() {
    scene("kill-index", async |scene| {
        let held = scene.database.hold("UPDATE orders SET amount = amount WHERE id = 1").await;
        scene.migrate("m", "CREATE INDEX orders_number_idx ON orders (number)", "").await;
        scene
            .database
            .until(
                "the build waits for writers",
                "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%')",
            )
            .await;
        scene.kill_runner("m", "Execute").await;
        scene.until("m", "executing again", |m| runs(m) >= 3).await;
        held.release().await;
        resumed(scene, "m").await;
        let indexes: i64 =
            scene.database.ask("SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass").await;
        assert_eq!(indexes, 2, "the primary key's and the new one");
    })
    .await;
}

#[tokio::test]
async fn runner_is_killed_in_a_backfill() {
    scene("kill-backfill", async |scene| {
        scene.database.fill().await;
        scene
            .database
            .run(
                "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM pg_advisory_xact_lock_shared(60000); RETURN NEW; END';
                 CREATE TRIGGER stop BEFORE UPDATE ON orders FOR EACH ROW WHEN (old.id = 60000) EXECUTE FUNCTION stop()",
            )
            .await;
        // A row in the middle that waits for somebody. A lock on the row would keep the column from being added.
        let held = scene.database.hold("SELECT pg_advisory_xact_lock(60000)").await;
        scene.migrate("m", "ALTER TABLE orders ADD COLUMN public_id uuid NOT NULL DEFAULT gen_random_uuid()", PATIENT).await;
        scene.database.until("some rows are done", "SELECT max(rows_done) > 0 FROM wesley.cursors").await;
        scene.database.until_runner_waits().await;
        scene.kill_runner("m", "Execute").await;
        scene.until("m", "executing again", |m| runs(m) >= 3).await;
        let filled: i64 = scene.database.ask("SELECT count(*) FROM orders WHERE public_id IS NOT NULL").await;
        let recorded: i64 = scene.database.ask("SELECT rows_done FROM wesley.cursors").await;
        assert!(filled > 0 && filled == recorded, "{filled} rows have a value, the ledger says {recorded}");
        scene
            .database
            .run("CREATE TABLE first_batches AS SELECT id, public_id FROM orders WHERE public_id IS NOT NULL")
            .await;
        held.release().await;
        resumed(scene, "m").await;
        let missing: i64 = scene.database.ask("SELECT count(*) FROM orders WHERE public_id IS NULL").await;
        assert_eq!(missing, 0);
        let redone: i64 = scene
            .database
            .ask("SELECT count(*) FROM first_batches f JOIN orders o USING (id) WHERE f.public_id <> o.public_id")
            .await;
        assert_eq!(redone, 0, "what was done before the kill was not done again");
    })
    .await;
}

#[tokio::test]
async fn server_crashes_in_the_middle() {
    scene_with_server("crash", async |scene| {
        let held = scene.database.hold("LOCK TABLE customers IN ACCESS SHARE MODE").await;
        let sql = "CREATE INDEX orders_number_idx ON orders (number);\nALTER TABLE customers ADD COLUMN b int;\n\
                   ALTER TABLE orders ADD COLUMN public_id uuid NOT NULL DEFAULT gen_random_uuid();";
        scene.migrate("m", sql, PATIENT).await;
        scene.database.until_runner_waits().await;
        fault::crash_server(&scene.namespace, "pg-0");
        drop(held);
        let done = scene.phase("m", Phase::Succeeded).await;
        shows(&done, "Ready", "True", "Succeeded", &[]);
        let ledger = scene.ledger("m").await;
        assert!(ledger.starts_with("done: "), "{ledger}");
        let schema = scene.database.picture().await;
        for line in [
            "orders_number_idx ON public.orders USING btree (number) true true",
            "customers.b ",
            "orders.public_id uuid true",
        ] {
            assert!(schema.contains(line), "{line} is not in\n{schema}");
        }
        let missing: i64 = scene.database.ask("SELECT count(*) FROM orders WHERE public_id IS NULL").await;
        assert_eq!(missing, 0);
    })
    .await;
}
