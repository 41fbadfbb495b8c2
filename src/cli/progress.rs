//! Progress of a run for people and for machines.

use std::sync::Mutex;

use super::Output;
use super::print;
use crate::run::{Progress, ProgressState, Summary};

/// A person reads one line about the rows of a step in that time, in milliseconds.
const PAUSE: i64 = 1000;

/// Prints progress as it comes: all of it for machines, what a person can follow otherwise.
pub fn observer(format: Output) -> impl Fn(&Progress) + Send + Sync {
    let shown = Mutex::new((None, Pace::default()));
    move |progress: &Progress| {
        if format == Output::Json {
            if let Ok(line) = serde_json::to_string(progress) {
                print(&line);
            }
            return;
        }
        let mut guard = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (last, pace) = &mut *guard;
        match &progress.summary {
            Some(summary) => print(&ended(progress, summary)),
            None if is_news(last.as_ref(), progress) => {
                print(&(line(progress) + &pace.left(progress)));
                *last = Some(progress.clone());
            }
            None => {}
        }
    }
}

/// How fast the rows of the running step go.
#[derive(Default)]
struct Pace {
    step: Option<String>,
    /// Milliseconds and rows of the step's first figure: what is done before a run resumes took no time of it.
    from: (i64, i64),
}

impl Pace {
    /// About how long the step still takes, once rows and a second have passed; else nothing.
    fn left(&mut self, progress: &Progress) -> String {
        // What is told before the step has counted its rows is no figure of theirs.
        let Some(total) = progress.rows_total else { return String::new() };
        if self.step != progress.step || progress.rows_done < self.from.1 {
            *self = Self { step: progress.step.clone(), from: (progress.elapsed_milliseconds, progress.rows_done) };
        }
        let (time, rows) = (progress.elapsed_milliseconds - self.from.0, progress.rows_done - self.from.1);
        if progress.state != ProgressState::Running || time < PAUSE || rows <= 0 {
            return String::new();
        }
        // The total is an estimate of the server's, so it may be passed.
        let left = i128::from(total - progress.rows_done).max(0) * i128::from(time) / i128::from(rows);
        format!("  about {} left", clock(i64::try_from(left).unwrap_or(i64::MAX)).trim_start())
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
    // An error is printed by itself.
    if let Some(message) = summary.message.as_ref().filter(|_| progress.state != ProgressState::Failed) {
        text.push_str(&format!("\n          {message}"));
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
    fn the_time_left_goes_by_the_rows_of_this_run() {
        let mut pace = Pace::default();
        let uncounted = |milliseconds| Progress { rows_total: None, ..at(milliseconds, 0, ProgressState::Running) };
        assert_eq!(pace.left(&uncounted(4_000)), "");
        assert_eq!(pace.left(&at(5_000, 40, ProgressState::Running)), "", "forty were done by an earlier run");
        assert_eq!(pace.left(&at(5_400, 42, ProgressState::Running)), "", "too early to say");
        assert_eq!(pace.left(&uncounted(6_000)), "", "a wait in between");
        assert_eq!(pace.left(&at(25_000, 60, ProgressState::Running)), "  about 0:40 left");
        assert_eq!(pace.left(&at(65_000, 101, ProgressState::Running)), "  about 0:00 left");
        assert_eq!(pace.left(&at(66_000, 101, ProgressState::Done)), "");
        let other = Progress { step: Some("003-backfill".to_owned()), ..at(70_000, 50, ProgressState::Running) };
        assert_eq!(pace.left(&other), "", "another step begins anew");
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
