//! Validation waits for its window; contract steps for time or somebody's word.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use wesley::api::{CONTRACT_ANNOTATION, Phase};

use crate::cluster_support::manifest;
use crate::cluster_support::scene::{digest, phase_of, scene, shows};

const SQL: &str =
    "ALTER TABLE orders ADD CONSTRAINT orders_customer_fk FOREIGN KEY (customer_id) REFERENCES customers (id)";

/// A schedule whose next opening is hours away, and when that is.
fn far_away() -> (String, String) {
    let opening = (Timestamp::now() + 6.hours()).to_zoned(TimeZone::UTC);
    let opening = opening.date().at(opening.hour(), 30, 0, 0).to_zoned(TimeZone::UTC).unwrap();
    (format!("30 {} * * *", opening.hour()), opening.timestamp().to_string())
}

#[tokio::test]
async fn waits_for_the_window_and_says_when_it_opens() {
    scene("window", async |scene| {
        let (cron, opening) = far_away();
        scene.apply(&manifest::window("night", &cron, 3600, "")).await;
        scene.migrate("m", SQL, "validation: {windowRef: {name: night}}").await;
        let waiting = scene.phase("m", Phase::AwaitingWindow).await;
        shows(&waiting, "Ready", "False", "AwaitingWindow", &["night", &opening]);
        shows(&waiting, "Validated", "False", "StepsLeft", &[]);
        let window = waiting.status.as_ref().unwrap().window.clone().unwrap();
        assert_eq!((window.name.as_str(), window.opens_at.unwrap().0.to_string()), ("night", opening));
        // New rows are checked at once, those that are there wait.
        let schema = scene.database.picture().await;
        assert!(
            schema.contains("orders_customer_fk FOREIGN KEY (customer_id) REFERENCES customers(id) NOT VALID false"),
            "{schema}"
        );
        let ledger = scene.ledger("m").await;
        assert!(ledger.starts_with("paused: ") && ledger.contains("=done") && ledger.contains("=planned"), "{ledger}");

        scene.apply(&manifest::window("night", "* * * * *", 3600, "")).await;
        let done = scene.phase("m", Phase::Succeeded).await;
        shows(&done, "Validated", "True", "StepsDone", &[]);
        assert!(done.status.as_ref().unwrap().window.is_none());
        assert!(scene.database.picture().await.contains("REFERENCES customers(id) true"));
    })
    .await;
}

#[tokio::test]
async fn deny_keeps_a_window_shut_and_a_missing_one_is_named() {
    scene("deny", async |scene| {
        scene.migrate("m", SQL, "validation: {windowRef: {name: night}}").await;
        let blocked = scene.phase("m", Phase::Blocked).await;
        shows(&blocked, "Ready", "False", "WindowMissing", &["night", "create it"]);

        let deny = "deny: [{cron: \"* * * * *\", durationSeconds: 3600}]";
        scene.apply(&manifest::window("night", "* * * * *", 3600, deny)).await;
        let waiting = scene.phase("m", Phase::AwaitingWindow).await;
        shows(&waiting, "Ready", "False", "NeverOpens", &["night"]);

        scene.apply(&manifest::window("night", "* * * * *", 3600, "deny: []")).await;
        scene.phase("m", Phase::Succeeded).await;
    })
    .await;
}

#[tokio::test]
async fn contract_steps_wait_for_somebody() {
    scene("contract", async |scene| {
        let more = "contract: {policy: Manual}\nallowHazards: [DataLoss, BreaksClients]";
        let sql = "ALTER TABLE orders ADD COLUMN a int;\nALTER TABLE orders DROP COLUMN remark;";
        scene.migrate("m", sql, more).await;
        let waiting = scene.phase("m", Phase::Observing).await;
        shows(&waiting, "Ready", "False", "AwaitingContract", &[&digest(&waiting), "wesley.dev/contract"]);
        shows(&waiting, "Executed", "True", "StepsDone", &[]);
        shows(&waiting, "RollbackReady", "True", "Lossless", &["until the contract steps run"]);
        let schema = scene.database.picture().await;
        assert!(schema.contains("orders.remark") && schema.contains("column orders.a"), "{schema}");

        scene.annotate("m", CONTRACT_ANNOTATION, "sha256:of-another-plan").await;
        let still = scene.phase("m", Phase::Observing).await;
        scene.annotate("m", CONTRACT_ANNOTATION, &digest(&still)).await;
        let done = scene.phase("m", Phase::Succeeded).await;
        shows(&done, "RollbackReady", "True", "Lossy", &[]);
        assert!(!scene.database.picture().await.contains("orders.remark"));
    })
    .await;
}

#[tokio::test]
async fn contract_steps_wait_for_the_soak_time() {
    scene("soak", async |scene| {
        let more = "contract: {policy: AfterSoak, soakSeconds: 86400}\nallowHazards: [DataLoss, BreaksClients]";
        let sql = "ALTER TABLE orders ADD COLUMN a int;\nALTER TABLE orders DROP COLUMN remark;";
        scene.migrate("m", sql, more).await;
        let waiting = scene.reason("m", "Ready", "Soaking").await;
        assert_eq!(phase_of(&waiting), Some(Phase::Observing));
        let until = waiting.status.as_ref().unwrap().soaking_since.clone().unwrap().0 + 24.hours();
        shows(&waiting, "Ready", "False", "Soaking", &[&until.to_string()]);
        scene.patch("m", serde_json::json!({"spec": {"contract": {"soakSeconds": 1}}})).await;
        scene.phase("m", Phase::Succeeded).await;
        assert!(!scene.database.picture().await.contains("orders.remark"));
    })
    .await;
}

#[tokio::test]
async fn validation_is_cancelled_at_closing_time_and_goes_on_in_the_next_opening() {
    scene("overrun", async |scene| {
        let (cron, opening) = far_away();
        scene.apply(&manifest::window("night", &cron, 3600, "")).await;
        let more = "validation: {windowRef: {name: night}}\n\
                    timeouts: {lockSliceMilliseconds: 60000, statementSeconds: 600}";
        scene.migrate("m", SQL, more).await;
        scene.phase("m", Phase::AwaitingWindow).await;

        let reader = scene.database.hold("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE").await;
        let now = Timestamp::now();
        let closing = now + 75.seconds();
        let today = format!("openings: [{{startTime: \"{now}\", endTime: \"{closing}\"}}]\noverrun: Cancel");
        scene.apply(&manifest::window("night", &cron, 3600, &today)).await;
        scene.database.until_runner_waits().await;
        let waiting = scene.phase("m", Phase::AwaitingWindow).await;
        assert!(Timestamp::now() >= closing);
        shows(&waiting, "Ready", "False", "AwaitingWindow", &["night", &opening]);
        let ledger = scene.ledger("m").await;
        assert!(ledger.ends_with("-validate=planned"), "{ledger}");

        reader.release().await;
        scene.apply(&manifest::window("night", "* * * * *", 3600, "openings: []")).await;
        let done = scene.phase("m", Phase::Succeeded).await;
        shows(&done, "Validated", "True", "StepsDone", &[]);
    })
    .await;
}
