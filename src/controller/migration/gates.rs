//! Gates: whether validation and contract steps may run now.

use jiff::{SignedDuration, Timestamp};

use crate::api::migration::ContractPolicy;
use crate::api::validation_window::{Override, Overrun};
use crate::api::{CONTRACT_ANNOTATION, Reason};
use crate::controller::windows::Opening;
use crate::plan::RollbackClass;

use super::decide::Draft;
use super::observation::{self, Standing};
use super::observed::{Window, WindowState};

/// Whether steps of a stage may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateState {
    /// They may.
    Open {
        /// The place that a run takes in a window.
        place: Option<Place>,
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

/// A place in a window that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the window.
    pub window: String,
    /// When it closes; absent when not in foreseeable time.
    pub closes_at: Option<Timestamp>,
    /// Seconds of its longest opening to come.
    pub longest_seconds: i64,
    /// What happens to validation that is still running then.
    pub overrun: Overrun,
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
        WindowState::None => GateState::Open { place: None },
        WindowState::Missing(name) => {
            shut(Reason::WindowMissing, format!("the ValidationWindow {name} does not exist: create it"), None)
        }
        WindowState::Invalid(name, invalid) => {
            shut(Reason::WindowInvalid, format!("the ValidationWindow {name} cannot be understood: {invalid}"), None)
        }
        WindowState::NotForDatabase(name) => shut(
            Reason::WindowNotForDatabase,
            format!("the ValidationWindow {name} is not for this Database: its databaseSelector does not select it"),
            None,
        ),
        // Let in by hand: neither the calendar nor a place nor the rest of the opening counts.
        WindowState::Known(window) if overridden(draft, window).is_some() => GateState::Open { place: None },
        WindowState::Known(window) => match window.opening {
            Opening::Open { closes_at } if window.has_place => match too_long(draft, window, closes_at) {
                Some(message) => shut(Reason::WindowTooShort, message, closes_at),
                None => {
                    let (window_name, longest_seconds) = (window.name.clone(), window.longest_seconds);
                    let overrun = overrun(draft, window);
                    let place = Place { window: window_name, closes_at, longest_seconds, overrun };
                    GateState::Open { place: Some(place) }
                }
            },
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

/// The override by which the present plan is let in.
pub fn overridden<'a>(draft: &Draft<'_>, window: &'a Window) -> Option<&'a Override> {
    let digest = &draft.status.plan.as_ref()?.digest;
    window.overrides.iter().find(|entry| entry.plan == *digest)
}

/// What happens to validation that is still running when the window closes.
pub fn overrun(draft: &Draft<'_>, window: &Window) -> Overrun {
    window.overrun.max(draft.spec().validation.overrun)
}

/// Why the next validation step does not begin in what is left of an opening. One that no later opening is long enough for
/// begins nevertheless where it may overrun: waiting would not help.
fn too_long(draft: &Draft<'_>, window: &Window, closes_at: Option<Timestamp>) -> Option<String> {
    let done = draft.status.execution.as_ref().map_or(0, |execution| execution.steps_done);
    let done = usize::try_from(done).ok()?;
    let seconds = draft.plan_facts()?.validations.iter().find(|(at, _)| *at >= done)?.1;
    let closes_at = closes_at?;
    let rest = closes_at.duration_since(draft.now).as_secs();
    let (name, longest) = (&window.name, window.longest_seconds);
    if seconds <= rest {
        return None;
    }
    if seconds <= longest {
        return Some(format!(
            "the next validation takes {seconds} s or more, and the ValidationWindow {name} closes at {closes_at}: it \
             waits for the next opening"
        ));
    }
    (overrun(draft, window) == Overrun::Cancel).then(|| {
        format!(
            "the next validation takes {seconds} s or more, the longest opening to come of the ValidationWindow \
             {name} has {longest} s: name a longer window, or let it overrun (overrun: Finish in window and Migration)"
        )
    })
}

/// The gate of the observation, while it is shut.
pub fn observation(draft: &Draft<'_>) -> Option<GateState> {
    let (reason, message, opens_at) = match observation::standing(draft) {
        Standing::NotAsked | Standing::Passed(..) => return None,
        Standing::Later => (Reason::ObservationRunning, "statements are observed after the change".to_owned(), None),
        Standing::Due => (Reason::ObservationRunning, "the statements are being compared".to_owned(), None),
        Standing::Running(end) => {
            let message = format!("the application's statements are observed until {end}{}", undoable(draft));
            (Reason::ObservationRunning, message, Some(end))
        }
        Standing::Refused(message) => (Reason::RegressionFound, message, None),
    };
    Some(GateState::Shut { reason, message, opens_at })
}

/// What can be undone meanwhile.
fn undoable(draft: &Draft<'_>) -> &'static str {
    match draft.status.rollback.as_ref().map(|record| record.class) {
        Some(RollbackClass::Lossless) => "; until then everything can be undone",
        Some(RollbackClass::Lossy) => "; what was done can be undone but for what status.rollback says",
        Some(RollbackClass::ForwardOnly) | None => "",
    }
}

/// Whether steps that remove what is no longer needed may run: the observation is passed, and the policy opens the way.
pub fn contract(draft: &Draft<'_>) -> GateState {
    let contract = &draft.spec().contract;
    let open = GateState::Open { place: None };
    if let Some(shut) = observation(draft) {
        return shut;
    }
    match contract.policy {
        ContractPolicy::Automatic => open,
        ContractPolicy::AfterSoak => {
            let soak = SignedDuration::from_secs(contract.soak_seconds.unwrap_or_default().into());
            let opens_at = draft.status.soaking_since.as_ref().and_then(|since| since.0.checked_add(soak).ok());
            match opens_at {
                Some(opens_at) if opens_at <= draft.now => open,
                Some(opens_at) => GateState::Shut {
                    reason: Reason::Soaking,
                    message: format!("the contract steps run at {opens_at}{}", undoable(draft)),
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
