//! Progress into the status of the MigrationPlan, for people. Nothing depends on it: what cannot be written is
//! left out.

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Task, object as objects};
use crate::api::migration_plan::{MigrationPlan, StepState, StepStatus};
use crate::exit::Class;
use crate::run::progress::{Observer, Progress, ProgressState};
use crate::run::watch::name_blockers;

/// Least time between two writes of the same step's progress.
const PERIOD: Duration = Duration::from_secs(2);
/// How long the last write may take.
const LAST: Duration = Duration::from_secs(5);

/// Takes progress and writes it in the background.
pub(super) struct Live {
    events: Option<mpsc::UnboundedSender<Progress>>,
    writer: Option<tokio::task::JoinHandle<()>>,
}

impl Observer for Live {
    fn progress(&self, progress: &Progress) {
        tracing::info!(
            step = progress.step.as_deref(),
            state = %progress.state,
            rows_done = progress.rows_done,
            rows_total = progress.rows_total,
            "progress"
        );
        if let Some(events) = &self.events {
            // The writer ends only after this sender.
            let _ = events.send(progress.clone());
        }
    }
}

impl Live {
    /// Nothing is written.
    pub fn blind() -> Self {
        Self { events: None, writer: None }
    }

    /// Writes to the task's MigrationPlan.
    pub async fn start(task: &Task, object: &MigrationPlan) -> Self {
        let (Some(name), Ok(api)) = (task.plan.clone(), objects::plans(&task.namespace).await) else {
            return Self::blind();
        };
        let shown = object.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
        let known = |id: &str| shown.iter().find(|step| step.id == id).cloned();
        let steps = object.spec.plan.steps.iter().map(|step| known(&step.id).unwrap_or_else(|| pending(&step.id)));
        let steps = steps.collect();
        let (events, received) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write(api, name, steps, received));
        Self { events: Some(events), writer: Some(writer) }
    }

    /// Writes what is left and ends.
    pub async fn end(mut self) {
        drop(self.events.take());
        if let Some(writer) = self.writer.take() {
            let _ = tokio::time::timeout(LAST, writer).await;
        }
    }
}

fn pending(id: &str) -> StepStatus {
    StepStatus {
        id: id.to_owned(),
        state: StepState::Pending,
        rows_done: 0,
        rows_total: 0,
        elapsed_milliseconds: 0,
        message: None,
    }
}

async fn write(
    api: Api<MigrationPlan>,
    name: String,
    mut steps: Vec<StepStatus>,
    mut events: mpsc::UnboundedReceiver<Progress>,
) {
    let mut began = (String::new(), 0);
    let mut due: Option<Instant> = None;
    let mut last = Instant::now();
    loop {
        let wake = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
        let event = tokio::select! {
            event = events.recv() => event,
            () = tokio::time::sleep_until(wake) => {
                send(&api, &name, &steps).await;
                (due, last) = (None, Instant::now());
                continue;
            }
        };
        let Some(progress) = event else { break };
        let changed = take(&mut steps, &progress, &mut began);
        // A new state is shown at once, rows from time to time.
        let at = if changed { Instant::now() } else { last + PERIOD };
        due = Some(due.map_or(at, |earlier| earlier.min(at)));
    }
    send(&api, &name, &steps).await;
}

/// Enters it; true when the step's state is another than before.
fn take(steps: &mut [StepStatus], progress: &Progress, began: &mut (String, i64)) -> bool {
    let Some(id) = &progress.step else { return false };
    let Some(at) = steps.iter().position(|step| step.id == *id) else { return false };
    if began.0 != *id {
        *began = (id.clone(), progress.elapsed_milliseconds);
        // Steps are taken in order: what comes before one that runs is done, whoever did it.
        if matches!(progress.state, ProgressState::Running) {
            for earlier in &mut steps[..at] {
                earlier.state = StepState::Done;
            }
        }
    }
    let step = &mut steps[at];
    let state = match (progress.state, &progress.summary) {
        (ProgressState::Running, _) => StepState::Running,
        (ProgressState::Waiting, _) => StepState::Waiting,
        (ProgressState::Done, _) => StepState::Done,
        // Only the end of the run tells whether it is for good.
        (ProgressState::Failed, None) => step.state,
        (ProgressState::Failed, Some(summary)) if summary.result.exit().class() == Class::Waiting => StepState::Pending,
        (ProgressState::Failed, Some(_)) => StepState::Failed,
        (ProgressState::Undone, _) => StepState::Undone,
    };
    let changed = step.state != state;
    step.state = state;
    step.rows_done = step.rows_done.max(progress.rows_done);
    step.rows_total = progress.rows_total.unwrap_or(step.rows_total).max(0);
    step.elapsed_milliseconds = progress.elapsed_milliseconds - began.1;
    let said = progress.summary.as_ref().and_then(|summary| summary.message.clone());
    step.message = match state {
        StepState::Waiting if !progress.blockers.is_empty() => Some(name_blockers(&progress.blockers)),
        StepState::Waiting | StepState::Running => progress.detail.clone(),
        StepState::Failed | StepState::Pending => said.or_else(|| step.message.take()),
        _ => None,
    }
    .map(|text| crate::run::outcome::clip_text(&text));
    changed
}

async fn send(api: &Api<MigrationPlan>, name: &str, steps: &[StepStatus]) {
    let patch = Patch::Merge(serde_json::json!({ "status": { "steps": steps } }));
    if let Err(error) = api.patch_status(name, &PatchParams::default(), &patch).await {
        tracing::warn!(%error, "progress could not be written to the MigrationPlan");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Reason;
    use crate::run::progress::Summary;

    fn progress(step: &str, state: ProgressState, rows_done: i64, elapsed: i64) -> Progress {
        Progress {
            step: Some(step.into()),
            stage: None,
            state,
            rows_done,
            rows_total: None,
            elapsed_milliseconds: elapsed,
            detail: None,
            blockers: Vec::new(),
            summary: None,
        }
    }

    #[test]
    fn a_resumed_run_shows_what_was_done_before() {
        let mut steps: Vec<StepStatus> = ["a", "b", "c"].map(pending).into();
        let mut began = (String::new(), 0);
        assert!(take(&mut steps, &progress("b", ProgressState::Running, 0, 100), &mut began));
        assert!(!take(&mut steps, &progress("b", ProgressState::Running, 50, 700), &mut began));
        assert_eq!(
            steps.iter().map(|step| step.state).collect::<Vec<_>>(),
            [StepState::Done, StepState::Running, StepState::Pending]
        );
        assert_eq!((steps[1].rows_done, steps[1].elapsed_milliseconds), (50, 600));
    }

    #[test]
    fn a_step_has_failed_only_when_nothing_tries_it_again() {
        for (result, state) in [(Reason::Interrupted, StepState::Pending), (Reason::StatementFailed, StepState::Failed)]
        {
            let mut steps: Vec<StepStatus> = ["a", "b"].map(pending).into();
            let mut began = (String::new(), 0);
            take(&mut steps, &progress("a", ProgressState::Running, 0, 100), &mut began);
            take(&mut steps, &progress("a", ProgressState::Failed, 0, 200), &mut began);
            assert_eq!(steps[0].state, StepState::Running);
            let summary = Summary {
                result,
                steps: 0,
                resumed_at: None,
                batches_redone: 0,
                duration_milliseconds: 200,
                message: Some("why".into()),
            };
            let end = Progress { summary: Some(summary), ..progress("a", ProgressState::Failed, 0, 200) };
            assert!(take(&mut steps, &end, &mut began));
            assert_eq!((steps[0].state, steps[0].message.as_deref()), (state, Some("why")));
        }
    }
}
