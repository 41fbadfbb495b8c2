//! Progress of a run for people and for machines.

use std::sync::Mutex;

use super::Format;
use super::print;
use crate::run::{Progress, ProgressState, Summary};

/// A person reads one line about the rows of a step in that time, in milliseconds.
const PAUSE: i64 = 1000;

/// Prints progress as it comes: all of it for machines, what a person can follow otherwise.
pub fn observer(format: Format) -> impl Fn(&Progress) + Send + Sync {
    let shown = Mutex::new(None);
    move |progress: &Progress| {
        if format == Format::Json {
            if let Ok(line) = serde_json::to_string(progress) {
                print(&line);
            }
            return;
        }
        let mut last = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &progress.summary {
            Some(summary) => print(&ended(progress, summary)),
            None if is_news(last.as_ref(), progress) => {
                print(&line(progress));
                *last = Some(progress.clone());
            }
            None => {}
        }
    }
}

fn is_news(last: Option<&Progress>, progress: &Progress) -> bool {
    let Some(last) = last else { return true };
    (&last.step, last.state) != (&progress.step, progress.state)
        || last.detail.is_some() != progress.detail.is_some()
        || last.blockers.len() != progress.blockers.len()
        || progress.elapsed_milliseconds - last.elapsed_milliseconds >= PAUSE
}

fn clock(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    format!("{:>3}:{:02}", seconds / 60, seconds % 60)
}

fn line(progress: &Progress) -> String {
    let mut text = format!("{}  {:<8}", clock(progress.elapsed_milliseconds), progress.state.to_string());
    if let Some(stage) = progress.stage {
        text.push_str(&format!(" {:<9}", stage.to_string()));
    }
    text.push_str(progress.step.as_deref().unwrap_or(""));
    match (progress.rows_done, progress.rows_total) {
        (0, None) => {}
        (done, Some(total)) if total > 0 => text.push_str(&format!("  {done}/{total} rows")),
        (done, _) if done > 0 => text.push_str(&format!("  {done} rows")),
        _ => {}
    }
    if let Some(detail) = &progress.detail {
        text.push_str(&format!("  ({detail})"));
    }
    for blocker in &progress.blockers {
        text.push_str(&format!("\n          blocked by {blocker}"));
    }
    text
}

fn ended(progress: &Progress, summary: &Summary) -> String {
    let state = if progress.state == ProgressState::Failed { ProgressState::Failed } else { ProgressState::Done };
    let mut text = format!(
        "{}  {state:<8} {}: {} step{} in the ledger",
        clock(summary.duration_milliseconds),
        summary.result,
        summary.steps,
        if summary.steps == 1 { "" } else { "s" },
    );
    if let Some(step) = &summary.resumed_at {
        text.push_str(&format!(", resumed at {step}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64, rows: i64, state: ProgressState) -> Progress {
        Progress {
            step: Some("002-backfill".to_owned()),
            stage: Some(crate::plan::Stage::Backfill),
            state,
            rows_done: rows,
            rows_total: Some(100),
            elapsed_milliseconds: milliseconds,
            detail: None,
            blockers: Vec::new(),
            summary: None,
        }
    }

    #[test]
    fn every_change_of_state_is_told_and_rows_once_a_second() {
        let first = at(0, 0, ProgressState::Running);
        assert!(is_news(None, &first));
        assert!(!is_news(Some(&first), &at(400, 10, ProgressState::Running)));
        assert!(is_news(Some(&first), &at(1000, 30, ProgressState::Running)));
        assert!(is_news(Some(&first), &at(400, 100, ProgressState::Done)));
        assert_eq!(
            line(&at(61_000, 30, ProgressState::Running)),
            "  1:01  Running  Backfill 002-backfill  30/100 rows"
        );
    }
}
