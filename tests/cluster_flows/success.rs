//! A Migration that goes well, without anybody's help.

use wesley::api::Phase;

use crate::cluster_support::manifest;
use crate::cluster_support::scene::{condition, runs, scene, shows};

#[tokio::test]
async fn runs_from_apply_to_success_by_itself() {
    scene("success", async |scene| {
        let sql = "ALTER TABLE orders ADD COLUMN public_id uuid NOT NULL DEFAULT gen_random_uuid();\n\
                   ALTER TABLE orders ADD CONSTRAINT orders_customer_fk FOREIGN KEY (customer_id) REFERENCES customers (id);\n\
                   CREATE INDEX orders_number_idx ON orders (number);";
        scene.migrate("public-id", sql, "").await;
        let done = scene.phase("public-id", Phase::Succeeded).await;
        shows(&done, "Ready", "True", "Succeeded", &[]);
        shows(&done, "Planned", "True", "PlanReady", &["MigrationPlan"]);
        shows(&done, "Approved", "True", "Automatic", &[]);
        shows(&done, "Executed", "True", "StepsDone", &[]);
        shows(&done, "Validated", "True", "StepsDone", &[]);
        shows(&done, "RollbackReady", "True", "Lossless", &[]);
        assert!(condition(&done, "Reconciling").is_none() && condition(&done, "Stalled").is_none());
        assert_eq!(runs(&done), 2, "one run plans, one executes");

        let schema = scene.database.picture().await;
        for line in [
            "column orders.public_id uuid true gen_random_uuid()",
            "orders_number_idx ON public.orders USING btree (number) true true",
            "orders_customer_fk FOREIGN KEY (customer_id) REFERENCES customers(id) true",
        ] {
            assert!(schema.contains(line), "{line} is not in\n{schema}");
        }
        let distinct: i64 = scene.database.ask("SELECT count(DISTINCT public_id) FROM orders").await;
        assert_eq!(distinct, 5000);
        let ledger = scene.ledger("public-id").await;
        assert!(ledger.starts_with("done: ") && !ledger.contains("=planned"), "{ledger}");

        let plan = scene.plan_of(&done).await;
        let steps = plan.status.unwrap().steps;
        assert!(steps.iter().all(|step| step.state.to_string() == "Done"), "{steps:?}");
        assert_eq!(steps.len(), plan.spec.plan.steps.len());
    })
    .await;
}

#[tokio::test]
async fn reads_sql_from_several_config_maps_in_their_order() {
    scene("config-maps", async |scene| {
        let files =
            [("10.sql", "ALTER TABLE orders ADD COLUMN a int"), ("20.sql", "COMMENT ON COLUMN orders.a IS 'x'")];
        scene.apply(&manifest::config_map("first", &files)).await;
        scene.apply(&manifest::config_map("second", &[("only", "ALTER TABLE orders ADD COLUMN b int")])).await;
        let source = "source: {configMapRefs: [{name: first}, {name: second, key: only}]}";
        scene.apply(&manifest::with_source("several", source, "")).await;
        scene.phase("several", Phase::Succeeded).await;
        let columns: String = scene
            .database
            .ask(
                "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
                 WHERE attrelid = 'orders'::regclass AND attname IN ('a', 'b')",
            )
            .await;
        assert_eq!(columns, "a b");
        let comment: String = scene
            .database
            .ask("SELECT description FROM pg_description WHERE objoid = 'orders'::regclass AND objsubid > 0")
            .await;
        assert_eq!(comment, "x");
    })
    .await;
}

#[tokio::test]
async fn says_what_happened_in_events_once_each() {
    scene("events", async |scene| {
        scene.migrate("remark", "ALTER TABLE orders ADD COLUMN note text", "").await;
        scene.phase("remark", Phase::Succeeded).await;
        let events = crate::cluster_support::eventually("the event of success", async || {
            let events = scene.events("remark").await;
            events.iter().any(|(reason, _)| reason == "Succeeded").then_some(events)
        })
        .await;
        let mut reasons: Vec<&str> = events.iter().map(|(reason, _)| reason.as_str()).collect();
        let all = reasons.len();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), all, "{events:?}");
    })
    .await;
}
