//! Whether the plan may be executed: by a person, by the spec, or because nobody has to be asked.

use crate::api::database::ApprovalRule;
use crate::api::migration_plan::Decision as PlanDecision;
use crate::api::{ConditionStatus, Reason};

use super::decide::{Draft, Kind, Situation};

/// Whether the plan may be executed: status, reason and message of the condition `Approved`.
pub fn approved(draft: &Draft<'_>) -> (ConditionStatus, Reason, String) {
    let (status, reason, message) = approval_of_plan(draft);
    match &draft.status.replaced_plan {
        Some(replaced) if status != ConditionStatus::True => {
            let why =
                format!("The MigrationPlan {}, which was approved, is replaced: {}", replaced.name, replaced.message);
            (status, reason, format!("{message}. {why}"))
        }
        _ => (status, reason, message),
    }
}

fn approval_of_plan(draft: &Draft<'_>) -> (ConditionStatus, Reason, String) {
    let Some(plan) = &draft.status.plan else {
        return (ConditionStatus::Unknown, Reason::NotPlanned, "there is no plan yet".to_owned());
    };
    let decided = draft.plan_facts().and_then(|plan| plan.approval.clone());
    let by = decided.as_ref().and_then(|approval| approval.by.clone());
    let expires_at = decided.as_ref().and_then(|approval| approval.expires_at.as_ref()).map(|time| time.0);
    let mut expired = None;
    match decided.map(|approval| approval.decision) {
        Some(PlanDecision::Rejected) => {
            let who = by.map(|by| format!(" by {by}")).unwrap_or_default();
            let there = match draft.spec().approved_plan.as_deref() {
                Some(digest) if digest == plan.digest => " there, spec.approvedPlan does not overrule it",
                _ => "",
            };
            let message = format!(
                "the MigrationPlan {} was rejected{who}: change the Migration, or have it approved{there}",
                plan.name
            );
            return (ConditionStatus::False, Reason::PlanRejected, message);
        }
        Some(PlanDecision::Approved) => {
            let who = by.map(|by| format!(" by {by}")).unwrap_or_default();
            let Some(until) = expires_at else {
                return (ConditionStatus::True, Reason::ApprovedByPerson, format!("approved{who}"));
            };
            if until > draft.now {
                let message = format!("approved{who}; the approval expires at {until} if nothing has begun until then");
                return (ConditionStatus::True, Reason::ApprovedByPerson, message);
            }
            // As if there was none: another way of approving it may still be open.
            expired = Some(format!(
                "the approval{who} of the MigrationPlan {} expired at {until}: approve it again, or set spec.approvedPlan: {}",
                plan.name, plan.digest
            ));
        }
        None => {}
    }
    let policy = draft.observed.database.as_ref().map(|database| database.spec.policy.approval).unwrap_or_default();
    if draft.spec().approval.max(policy) == ApprovalRule::Automatic {
        return (ConditionStatus::True, Reason::Automatic, "no approval is required".to_owned());
    }
    let in_spec = draft.spec().approved_plan.as_deref();
    if let Some(message) = expired.filter(|_| in_spec != Some(plan.digest.as_str())) {
        return (ConditionStatus::False, Reason::ApprovalExpired, message);
    }
    match in_spec {
        Some(digest) if digest == plan.digest => {
            (ConditionStatus::True, Reason::ApprovedInSpec, "spec.approvedPlan names the plan".to_owned())
        }
        Some(_) => (
            ConditionStatus::False,
            Reason::OtherPlanApproved,
            format!(
                "spec.approvedPlan names another plan; read the MigrationPlan {} and set spec.approvedPlan: {}",
                plan.name, plan.digest
            ),
        ),
        None => (
            ConditionStatus::False,
            Reason::AwaitingApproval,
            format!(
                "read the MigrationPlan {} and approve it: kubectl wesley approve {}, or set spec.approvedPlan: {}",
                plan.name,
                draft.observed.migration.metadata.name.as_deref().unwrap_or_default(),
                plan.digest
            ),
        ),
    }
}

/// The message of an approval on which something has begun, with a rejection that came too late.
pub fn after_begun(draft: &Draft<'_>, message: &str) -> String {
    const LATE: &str =
        "; its MigrationPlan was rejected after it had begun, which stops nothing: set spec.suspend, or roll back";
    let decided = draft.plan_facts().and_then(|plan| plan.approval.as_ref()).map(|approval| approval.decision);
    let message = message.trim_end_matches(LATE);
    if decided == Some(PlanDecision::Rejected) { format!("{message}{LATE}") } else { message.to_owned() }
}

/// Why the Migration has to wait, if so.
pub fn waiting(draft: &Draft<'_>) -> Option<Situation> {
    match approved(draft) {
        (ConditionStatus::True, ..) => None,
        (_, Reason::PlanRejected, message) => Some(Situation::stalled(Reason::PlanRejected, message)),
        (_, reason, message) => Some(Situation::new(Kind::Working(Reason::AwaitingApproval), reason, message)),
    }
}
