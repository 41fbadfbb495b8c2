//! Approval: by a person on the MigrationPlan, in Git by digest; what takes it back.

use kube::api::{DeleteParams, ListParams};
use wesley::api::Phase;

use crate::cluster_support::scene::{digest, phase_of, runs, scene, shows, stalled};

const SQL: &str = "ALTER TABLE orders ADD COLUMN a int";

#[tokio::test]
async fn waits_for_an_approver_and_for_nobody_else() {
    scene("approver", async |scene| {
        let before = scene.database.picture().await;
        scene.migrate("m", SQL, "approval: Required").await;
        let waiting = scene.phase("m", Phase::AwaitingApproval).await;
        let plan = scene.plan_of(&waiting).await.metadata.name.unwrap();
        shows(&waiting, "Approved", "False", "AwaitingApproval", &[&plan, &digest(&waiting)]);
        shows(&waiting, "Reconciling", "True", "AwaitingApproval", &[]);
        assert_eq!(scene.database.picture().await, before);

        // Whoever writes Migrations may not approve them.
        scene.grant("dev", "edit").await;
        let error = scene.decide_as("dev", &plan, "Approved").await.unwrap_err().to_string();
        assert!(error.contains("cannot patch resource \"migrationplans/status\""), "{error}");

        scene.grant("ann", "wesley-approver").await;
        scene.decide_as("ann", &plan, "Approved").await.unwrap();
        let done = scene.phase("m", Phase::Succeeded).await;
        shows(&done, "Approved", "True", "ApprovedByPerson", &["ann"]);
        assert!(scene.database.picture().await.contains("column orders.a integer"));
    })
    .await;
}

#[tokio::test]
async fn rejected_plan_is_not_executed() {
    scene("rejected", async |scene| {
        let before = scene.database.picture().await;
        scene.migrate("m", SQL, "approval: Required").await;
        let waiting = scene.phase("m", Phase::AwaitingApproval).await;
        let plan = scene.plan_of(&waiting).await.metadata.name.unwrap();
        scene.grant("ann", "wesley-approver").await;
        scene.decide_as("ann", &plan, "Rejected").await.unwrap();
        let rejected = scene.phase("m", Phase::Failed).await;
        stalled(&rejected, "PlanRejected", &["ann", &plan]);
        assert_eq!(scene.database.picture().await, before);
        assert_eq!(scene.ledger("m").await, "");

        scene.migrate("m", "ALTER TABLE orders ADD COLUMN b int", "approval: Required").await;
        let again = scene.phase("m", Phase::AwaitingApproval).await;
        assert_ne!(digest(&again), digest(&waiting));
    })
    .await;
}

#[tokio::test]
async fn approval_in_git_by_digest() {
    scene("git", async |scene| {
        scene.migrate("m", SQL, "approval: Required").await;
        let waiting = scene.phase("m", Phase::AwaitingApproval).await;
        let other = format!("approval: Required\napprovedPlan: sha256:{}", "0".repeat(64));
        scene.migrate("m", SQL, &other).await;
        let waiting_still = scene.reason("m", "Approved", "OtherPlanApproved").await;
        shows(&waiting_still, "Approved", "False", "OtherPlanApproved", &[&digest(&waiting)]);

        scene.migrate("m", SQL, &format!("approval: Required\napprovedPlan: {}", digest(&waiting))).await;
        let done = scene.phase("m", Phase::Succeeded).await;
        shows(&done, "Approved", "True", "ApprovedInSpec", &[]);
        assert_eq!(digest(&done), digest(&waiting), "what was approved is what ran");
    })
    .await;
}

#[tokio::test]
async fn the_database_can_demand_approval() {
    scene("demanded", async |scene| {
        scene.apply_database("policy: {inPlaceBytesMax: 0, approval: Required}").await;
        scene.migrate("m", SQL, "approval: Automatic").await;
        scene.phase("m", Phase::AwaitingApproval).await;
    })
    .await;
}

/// A plan that was approved for one catalog must not run on another.
#[tokio::test]
async fn approval_is_stale_after_the_catalog_changed() {
    scene("stale", async |scene| {
        scene.migrate("m", "ALTER TABLE orders ALTER COLUMN remark SET NOT NULL", "approval: Required").await;
        scene.database.run("UPDATE orders SET remark = ''").await;
        let first = scene.phase("m", Phase::AwaitingApproval).await;
        scene.database.run("ALTER TABLE orders ADD COLUMN slipped_in int").await;
        let before = scene.database.picture().await;
        scene.grant("ann", "wesley-approver").await;
        scene
            .decide_as("ann", first.status.as_ref().unwrap().plan.as_ref().unwrap().name.as_str(), "Approved")
            .await
            .unwrap();

        let second = scene
            .until("m", "waiting for the approval of another plan", |m| {
                phase_of(m) == Some(Phase::AwaitingApproval) && digest(m) != digest(&first)
            })
            .await;
        shows(&second, "Approved", "False", "AwaitingApproval", &[&digest(&second)]);
        let told = scene.events("m").await;
        assert!(told.iter().any(|(reason, _)| reason == "CatalogChanged"), "{told:?}");
        assert_eq!(scene.database.picture().await, before);
        assert_eq!(scene.ledger("m").await, "");

        let name = second.status.as_ref().unwrap().plan.as_ref().unwrap().name.clone();
        scene.decide_as("ann", &name, "Approved").await.unwrap();
        scene.phase("m", Phase::Succeeded).await;
    })
    .await;
}

/// A plan that somebody deleted before it ran is made again, and needs its approval again.
#[tokio::test]
async fn deleted_plan_is_made_again() {
    scene("deleted-plan", async |scene| {
        scene.migrate("m", SQL, "approval: Required").await;
        let first = scene.phase("m", Phase::AwaitingApproval).await;
        let name = scene.plan_of(&first).await.metadata.name.unwrap();
        scene.plans().delete(&name, &DeleteParams::default()).await.unwrap();
        let second = scene
            .until("m", "planned again", |m| phase_of(m) == Some(Phase::AwaitingApproval) && runs(m) > runs(&first))
            .await;
        assert_eq!(digest(&second), digest(&first), "same SQL, same catalog, same plan");
        assert_eq!(scene.plans().list(&ListParams::default()).await.unwrap().items.len(), 1);
    })
    .await;
}
