//! The phase: a summary of the conditions for people, derived here and read back nowhere.

use crate::api::{Condition, ConditionType, Phase, Reason};

use super::conditions::{find, is_true};

/// The phase that the conditions of a Migration amount to.
pub fn phase(conditions: &[Condition]) -> Phase {
    let reason = |kind| find(conditions, kind).and_then(|condition| condition.reason.parse::<Reason>().ok());
    let rolled_back = reason(ConditionType::Ready) == Some(Reason::RolledBack);
    if is_true(conditions, ConditionType::Ready) {
        return if rolled_back { Phase::RolledBack } else { Phase::Succeeded };
    }
    if is_true(conditions, ConditionType::Stalled) {
        return if rolled_back { Phase::RolledBack } else { Phase::Failed };
    }
    if is_true(conditions, ConditionType::Reconciling) {
        return reason(ConditionType::Reconciling).map_or(Phase::Pending, activity);
    }
    if reason(ConditionType::Ready) == Some(Reason::Suspended) { Phase::Suspended } else { Phase::Pending }
}

fn activity(reason: Reason) -> Phase {
    match reason {
        Reason::Blocked => Phase::Blocked,
        Reason::Planning => Phase::Planning,
        Reason::AwaitingApproval => Phase::AwaitingApproval,
        Reason::Executing => Phase::Executing,
        Reason::AwaitingWindow => Phase::AwaitingWindow,
        Reason::Validating => Phase::Validating,
        Reason::Observing => Phase::Observing,
        Reason::Contracting => Phase::Contracting,
        Reason::RollingBack => Phase::RollingBack,
        _ => Phase::Pending,
    }
}
