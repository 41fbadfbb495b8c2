//! What to do about a Migration: a pure function from what was observed to the status to write and the actions to
//! take.
//!
//! The order of the questions is the order of the modules: is it being deleted ([`super::deletion`]), does a run go
//! on or has one ended ([`super::settle`]), what comes next ([`super::next`]). Conditions and phase are made from the
//! answer in [`super::status`]. Applying a decision and deciding again gives the same status and no action.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::migration::DeletionPolicy;
use crate::api::migration_status::{ExecutionState, Gate, ReplacedPlan, RunRecord};
use crate::api::{ConditionStatus, ConditionType, MigrationSpec, MigrationStatus, RETRY_ANNOTATION, Reason};
use crate::controller::conditions::{find, shorten, whole_seconds};
use crate::controller::{jobs, names};
use crate::report::RunAction;

use super::gates::Place;
use super::observed::{Observed, PlanFacts};
use super::{deletion, inputs, next, settle, status};

/// What to write and to do.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The status to write, if it differs from the present one.
    pub status: MigrationStatus,
    /// What to do after that, in order.
    pub actions: Vec<Action>,
    /// When to look again although nothing changed.
    pub wake: Option<Timestamp>,
}

/// What the operator can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hold the Migration when it is deleted.
    AddFinalizer,
    /// Let the Migration go.
    RemoveFinalizer,
    /// Create the Job of `status.run`.
    CreateJob,
    /// Tell the running Job what `spec.backfill` says now.
    TuneBackfill,
    /// Delete the Job; its pod gets a signal and time to stop at a checkpoint.
    StopJob(String),
    /// Let the ended Job expire: its result is in the status.
    ExpireJob(String),
    /// Delete an old MigrationPlan.
    DeletePlan(String),
}

/// Where the Migration stands: conditions are made from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What kind of situation.
    pub kind: Kind,
    /// Why: a word of [`Reason`] or of the runner.
    pub reason: String,
    /// Why and what to do, for people.
    pub message: String,
    /// When time alone changes it.
    pub wake: Option<Timestamp>,
}

/// Kinds of situations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work goes on or will go on by itself; the reason of `Reconciling`.
    Working(Reason),
    /// Somebody has to do something.
    Stalled,
    /// Stopped by `spec.suspend`.
    Suspended,
    /// All done.
    Succeeded,
    /// Undone, as asked for.
    RolledBack,
    /// Undone after a failure.
    RolledBackByPolicy,
}

impl Situation {
    /// A situation without a time.
    pub fn new(kind: Kind, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, reason: reason.word().to_owned(), message: message.into(), wake: None }
    }

    /// Work of which `activity` is all there is to say.
    pub fn working(activity: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::Working(activity), activity, message)
    }

    /// Waiting for something else.
    pub fn blocked(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::Working(Reason::Blocked), reason, message)
    }

    /// Somebody has to do something.
    pub fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::Stalled, reason, message)
    }

    /// The same, to be looked at again at that time.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.wake = Some(time);
        self
    }
}

/// A decision in the making.
pub struct Draft<'a> {
    /// What was observed.
    pub observed: &'a Observed,
    /// The time.
    pub now: Timestamp,
    /// The status so far.
    pub status: MigrationStatus,
    /// The actions so far.
    pub actions: Vec<Action>,
    /// Whether somebody wants a try now, by a new value of the retry annotation.
    pub retried: bool,
}

/// Decides. Pure: same observation and time, same decision.
pub fn decide(observed: &Observed, now: Timestamp) -> Decision {
    let mut draft =
        Draft { observed, now: whole_seconds(now), status: observed.status(), actions: Vec::new(), retried: false };
    draft.heed_retry();
    let situation = situation(&mut draft);
    finish(draft, &situation)
}

fn situation(draft: &mut Draft<'_>) -> Situation {
    if draft.observed.deleting() {
        return deletion::situation(draft);
    }
    match settle::settle(draft) {
        Some(running) => running,
        None => next::next(draft),
    }
}

fn finish(mut draft: Draft<'_>, situation: &Situation) -> Decision {
    draft.hold_or_release();
    for job in &draft.observed.leftover_jobs {
        if draft.status.run.as_ref().is_none_or(|run| run.job != *job) {
            draft.act(Action::ExpireJob(job.clone()));
        }
    }
    if situation.kind == Kind::Succeeded {
        for plan in &draft.observed.old_plans {
            draft.act(Action::DeletePlan(plan.clone()));
        }
    }
    let told = draft.observed.backfill.as_ref();
    if told.is_some_and(|told| jobs::backfill_text(&draft.observed.migration).is_some_and(|wanted| wanted != *told)) {
        draft.act(Action::TuneBackfill);
    }
    let status = status::compose(&draft, situation);
    Decision { status, actions: draft.actions, wake: situation.wake }
}

impl Draft<'_> {
    /// The spec.
    pub fn spec(&self) -> &MigrationSpec {
        &self.observed.migration.spec
    }

    /// Adds an action, once.
    pub fn act(&mut self, action: Action) {
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }

    /// Value of an annotation of the Migration.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.observed.migration.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// The MigrationPlan of the plan in the status: one that was just taken over is known as the Job's result only.
    pub fn plan_facts(&self) -> Option<&PlanFacts> {
        let name = &self.status.plan.as_ref()?.name;
        [&self.observed.plan, &self.observed.made].into_iter().flatten().find(|plan| plan.name == *name)
    }

    /// Now, as it is written into status.
    pub fn time(&self) -> Time {
        Time(self.now)
    }

    /// State of the execution, if there is one.
    pub fn state(&self) -> Option<ExecutionState> {
        self.status.execution.as_ref().map(|execution| execution.state)
    }

    /// Whether steps may have been done that a new plan would have to know of.
    pub fn has_begun(&self) -> bool {
        self.status.execution.as_ref().is_some_and(|execution| match execution.state {
            ExecutionState::Partial => execution.steps_done > 0,
            ExecutionState::Started | ExecutionState::Done | ExecutionState::RollingBack => true,
            ExecutionState::RolledBack => false,
        })
    }

    /// Drops a plan of which nothing was done. Where it was approved, people are told why that counts no more.
    pub fn replace_plan(&mut self, why: &str) {
        let approved = find(&self.status.conditions, ConditionType::Approved);
        let by_somebody = approved.is_some_and(|approved| {
            approved.status == ConditionStatus::True && approved.reason != Reason::Automatic.word()
        });
        if let Some(plan) = self.status.plan.take().filter(|_| by_somebody) {
            self.status.replaced_plan = Some(ReplacedPlan { name: plan.name, message: shorten(why) });
        }
        self.status.execution = None;
    }

    /// Forgets plan and execution: the next thing is to plan.
    pub fn start_over(&mut self) {
        self.status.plan = None;
        self.status.replaced_plan = None;
        self.status.execution = None;
        self.status.rollback = None;
        self.status.hold = None;
        self.status.soaking_since = None;
        self.status.observation = None;
        self.status.completed_time = None;
        self.status.started_time = None;
        self.status.step = None;
        self.status.failures = 0;
        self.status.waits = 0;
        self.status.outdated_plans = 0;
    }

    /// A new value of the retry annotation ends a hold.
    fn heed_retry(&mut self) {
        let wanted = self.annotation(RETRY_ANNOTATION).map(|value| value.chars().take(253).collect::<String>());
        if wanted.is_none() || wanted == self.status.retry_handled {
            return;
        }
        self.status.retry_handled = wanted;
        self.retried = true;
        self.status.hold = None;
        self.status.failures = 0;
        self.status.waits = 0;
        if let Some(observation) = &mut self.status.observation {
            // It is measured again, from the same beginning.
            observation.verdict = None;
        }
        if self.state() == Some(ExecutionState::RolledBack) && super::rollback::by_policy(&self.status) {
            self.start_over();
        }
    }

    /// Decides on a run and its Job, and gives the situation meanwhile. The status with the run is written before the
    /// Job is created.
    pub fn start(&mut self, action: RunAction, gates: Vec<Gate>, place: Option<Place>) -> Situation {
        let inputs = inputs::inputs(self.observed);
        let digest = self.status.plan.as_ref().map(|plan| plan.digest.clone());
        let subject = match action {
            RunAction::Plan => inputs.clone().unwrap_or_default(),
            RunAction::Execute | RunAction::Rollback | RunAction::Inspect => digest.clone().unwrap_or_default(),
        };
        let meta = &self.observed.migration.metadata;
        let number = self.status.runs.saturating_add(1);
        let job = names::job(
            meta.name.as_deref().unwrap_or_default(),
            meta.uid.as_deref().unwrap_or_default(),
            action,
            &subject,
            number,
        );
        let probe = self.status.hold.as_ref().is_some_and(|hold| hold.stalled);
        if !probe {
            self.status.hold = None;
        }
        self.status.runs = number;
        let run = RunRecord {
            job,
            action,
            number,
            gates,
            digest: if action == RunAction::Plan { None } else { digest },
            inputs: if action == RunAction::Plan { inputs } else { None },
            window_closes_at: place.as_ref().and_then(|place| place.closes_at).map(Time),
            longest_opening_seconds: place.as_ref().map(|place| place.longest_seconds),
            overrun: place.as_ref().map(|place| place.overrun),
            window: place.map(|place| place.window),
            probe,
            stopping: None,
            started_time: self.time(),
        };
        self.status.run = Some(run.clone());
        self.act(Action::CreateJob);
        settle::running(self, &run, None)
    }

    /// The finalizer is there while the operator would have something to do before the Migration may go.
    fn hold_or_release(&mut self) {
        let has = self.observed.migration.metadata.finalizers.iter().flatten().any(|name| name == names::FINALIZER);
        if self.observed.deleting() {
            return;
        }
        let undo = self.spec().deletion_policy == DeletionPolicy::Rollback;
        let wanted = match self.state() {
            None | Some(ExecutionState::RolledBack) => false,
            Some(ExecutionState::Done) => undo || self.status.run.is_some(),
            Some(ExecutionState::Started | ExecutionState::Partial | ExecutionState::RollingBack) => true,
        };
        if wanted && !has {
            // Before the Job, so that no step runs without it.
            self.actions.insert(0, Action::AddFinalizer);
        } else if !wanted && has {
            self.act(Action::RemoveFinalizer);
        }
    }

    /// A time that many seconds from now.
    pub fn after(&self, pause: SignedDuration) -> Timestamp {
        self.now.checked_add(pause).unwrap_or(self.now)
    }
}
