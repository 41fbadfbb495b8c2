//! Gates: whether validation and contract steps may run now.

use jiff::{SignedDuration, Timestamp};

use crate::api::migration::ContractPolicy;
use crate::api::{CONTRACT_ANNOTATION, Reason};
use crate::controller::windows::Opening;

use super::decide::Draft;
use super::observed::WindowState;

/// Whether steps of a stage may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateState {
    /// They may.
    Open {
        /// The window whose place a run takes.
        window: Option<String>,
    },
    /// They may not.
    Shut {
        /// Why.
        reason: Reason,
        /// Why and until when, for people.
        message: String,
        /// When time alone opens it.
        opens_at: Option<Timestamp>,
    },
}

impl GateState {
    /// Whether they may.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// Whether steps that read whole tables may run.
pub fn validation(draft: &Draft<'_>) -> GateState {
    let shut = |reason, message: String, opens_at| GateState::Shut { reason, message, opens_at };
    match &draft.observed.window {
        WindowState::None => GateState::Open { window: None },
        WindowState::Missing(name) => {
            shut(Reason::WindowMissing, format!("the ValidationWindow {name} does not exist: create it"), None)
        }
        WindowState::Invalid(name, invalid) => {
            shut(Reason::WindowInvalid, format!("the ValidationWindow {name} cannot be understood: {invalid}"), None)
        }
        WindowState::Known(window) => match window.opening {
            Opening::Open { .. } if window.has_place => GateState::Open { window: Some(window.name.clone()) },
            Opening::Open { .. } => {
                let name = &window.name;
                shut(
                    Reason::WindowFull,
                    format!(
                        "the ValidationWindow {name} is open, but maxConcurrent Migrations are in it or come first"
                    ),
                    None,
                )
            }
            Opening::Shut { opens_at: Some(opens_at), .. } => shut(
                Reason::AwaitingWindow,
                format!("validation waits for the ValidationWindow {}, which opens at {opens_at}", window.name),
                Some(opens_at),
            ),
            Opening::Shut { opens_at: None, .. } => shut(
                Reason::NeverOpens,
                format!(
                    "validation waits for the ValidationWindow {}, which never opens: change its schedules",
                    window.name
                ),
                None,
            ),
        },
    }
}

/// Whether steps that remove what is no longer needed may run.
pub fn contract(draft: &Draft<'_>) -> GateState {
    let contract = &draft.spec().contract;
    let open = GateState::Open { window: None };
    match contract.policy {
        ContractPolicy::Automatic => open,
        ContractPolicy::AfterSoak => {
            let soak = SignedDuration::from_secs(contract.soak_seconds.unwrap_or_default().into());
            let opens_at = draft.status.soaking_since.as_ref().and_then(|since| since.0.checked_add(soak).ok());
            match opens_at {
                Some(opens_at) if opens_at <= draft.now => open,
                Some(opens_at) => GateState::Shut {
                    reason: Reason::Soaking,
                    message: format!("the contract steps run at {opens_at}; until then everything can be undone"),
                    opens_at: Some(opens_at),
                },
                None => GateState::Shut {
                    reason: Reason::Soaking,
                    message: "the contract steps run when the soak time is over".to_owned(),
                    opens_at: None,
                },
            }
        }
        ContractPolicy::Manual => {
            let digest = draft.status.plan.as_ref().map(|plan| plan.digest.as_str()).unwrap_or_default();
            let confirmed = contract.confirmed_plan.as_deref() == Some(digest)
                || draft.annotation(CONTRACT_ANNOTATION) == Some(digest);
            if confirmed && !digest.is_empty() {
                return open;
            }
            GateState::Shut {
                reason: Reason::AwaitingContract,
                message: format!(
                    "the contract steps, the point of no return, wait for spec.contract.confirmedPlan or the annotation \
                     wesley.dev/contract: {digest}"
                ),
                opens_at: None,
            }
        }
    }
}
