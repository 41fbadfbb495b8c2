//! `wesley approve`: a person's decision about the plan of a Migration.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::MigrationArgs;
use super::connection::{connect, failure, namespace};
use crate::api::migration_plan::{Approval, Decision};
use crate::api::{Migration, MigrationPlan};
use crate::cli::{Failure, apply, plan, print};
use crate::exit::Exit;
use crate::plan::explain;

/// What is decided.
#[derive(Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// The plan that was read; another one is not approved. The present one when absent.
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Reject it instead.
    #[arg(long)]
    reject: bool,
    /// Why, for people.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Seconds until the approval expires, if nothing has begun until then; never when absent.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    expires_in: Option<u32>,
    /// Decide without showing the plan and asking.
    #[arg(long, short)]
    yes: bool,
}

/// Shows the plan, asks, and writes the decision into its status.
pub async fn approve(args: &ApproveArgs) -> Result<(), Failure> {
    let (name, cluster) = (&args.migration.name, &args.migration.cluster);
    let client = connect(cluster).await?;
    let namespace = namespace(cluster, &client);
    let migrations: Api<Migration> = Api::namespaced(client.clone(), &namespace);
    let migration = migrations
        .get(name)
        .await
        .map_err(|error| failure(&format!("read the Migration {name} in {namespace}"), &error))?;
    let Some(record) = migration.status.and_then(|status| status.plan) else {
        return Err(Failure::new(Exit::Precondition, format!("the Migration {name} has no plan yet: wait for it")));
    };
    if args.plan.as_ref().is_some_and(|digest| *digest != record.digest) {
        let message = format!("the Migration {name} has another plan now, {}: read that one", record.digest);
        return Err(Failure::new(Exit::Precondition, message));
    }
    let plans: Api<MigrationPlan> = Api::namespaced(client.clone(), &namespace);
    let object = plans
        .get(&record.name)
        .await
        .map_err(|error| failure(&format!("read the MigrationPlan {}", record.name), &error))?;
    if object.spec.plan.digest != record.digest {
        let message = format!("the MigrationPlan {} is not the plan of {name}: wait for the next", record.name);
        return Err(Failure::new(Exit::Precondition, message));
    }
    let decision = if args.reject { Decision::Rejected } else { Decision::Approved };
    if !args.yes {
        let color = plan::colour(&std::io::stderr());
        eprintln!("{}", explain::render(&object.spec.plan, explain::Format::Text { color }));
        let question = if args.reject { "Reject this plan?" } else { "Approve this plan?" };
        apply::confirm(false, false, question)?;
    }
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
    let expires_at =
        args.expires_in.and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds.into())).ok());
    let approval = Approval {
        decision,
        by: who(client).await,
        at: Some(Time(now)),
        expires_at: expires_at.map(Time),
        note: args.note.clone(),
    };
    // A plan is immutable: what was shown is what is approved.
    let patch = Patch::Merge(json!({"status": {"approval": approval}}));
    plans
        .patch_status(&record.name, &PatchParams::default(), &patch)
        .await
        .map_err(|error| failure(&format!("approve the MigrationPlan {}", record.name), &error))?;
    print(&format!("{} {} ({})", record.name, decision.to_string().to_lowercase(), record.digest));
    Ok(())
}

/// Who the API server takes us for; unknown where it does not say.
async fn who(client: Client) -> Option<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
    let name = review.status?.user_info?.username?;
    Some(name.chars().take(253).collect())
}
