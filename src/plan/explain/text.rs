//! For a terminal.

use super::words;
use crate::plan::model::{Plan, RollbackClass, Step};

struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }

    fn good(&self, text: &str) -> String {
        self.with("32", text)
    }

    fn caution(&self, text: &str) -> String {
        self.with("33", text)
    }

    fn bad(&self, text: &str) -> String {
        self.with("31", text)
    }
}

pub(super) fn render(plan: &Plan, color: bool) -> String {
    let paint = Paint(color);
    let mut out = first_screen(plan, &paint);
    for step in &plan.steps {
        details(step, &paint, &mut out);
    }
    out
}

fn first_screen(plan: &Plan, paint: &Paint) -> String {
    let mut out = format!("{}\n", paint.bold(&words::headline(plan)));
    out.push_str(&paint.dim(&format!(
        "{} for PostgreSQL {}, database {}",
        words::short(&plan.digest),
        words::version(plan.target.server_version),
        plan.target.database
    )));
    out.push_str("\n\n");
    let blocked = words::blocked(plan);
    let calm = blocked.iter().all(|line| !line.contains("whole work"));
    row(&mut out, paint, "blocked", &blocked, |text| if calm { paint.good(text) } else { paint.bad(text) });
    row(&mut out, paint, "takes", &[words::total(plan)], str::to_owned);
    row(&mut out, paint, "costs", &words::costs(plan), str::to_owned);
    row(&mut out, paint, "undo", &[words::way_back(plan)], |text| match plan.summary.rollback {
        RollbackClass::Lossless => paint.good(text),
        RollbackClass::Lossy => paint.caution(text),
        RollbackClass::ForwardOnly => paint.bad(text),
    });
    row(&mut out, paint, "waits for", &words::gates(plan), str::to_owned);
    let hazards: Vec<String> = plan.hazards.iter().map(ToString::to_string).collect();
    row(&mut out, paint, "hazards", &hazards, |text| paint.caution(text));
    row(&mut out, paint, "notes", &plan.notes, str::to_owned);
    out.push('\n');
    table(plan, &mut out);
    out
}

fn row(out: &mut String, paint: &Paint, label: &str, lines: &[String], dye: impl Fn(&str) -> String) {
    for (at, line) in lines.iter().enumerate() {
        let label = if at == 0 { label } else { "" };
        out.push_str(&format!("{} {}\n", paint.bold(&format!("{label:<10}")), dye(line)));
    }
}

fn table(plan: &Plan, out: &mut String) {
    let head = ["step", "stage", "blocked", "takes", "undo"].map(str::to_owned);
    let mut rows = vec![head];
    for step in &plan.steps {
        rows.push([
            step.id.clone(),
            step.stage.to_string(),
            words::waits(step).to_owned(),
            if step.estimate.bytes == 0 {
                "a moment".to_owned()
            } else {
                words::range(step.estimate.seconds_least, step.estimate.seconds_most)
            },
            words::class(&step.undo).to_owned(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3), width(4)];
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
}

fn details(step: &Step, paint: &Paint, out: &mut String) {
    let origin = format!("statement {}, {}", step.origin.statement + 1, step.pattern);
    out.push_str(&format!("\n{}  {}\n{}\n", paint.bold(&step.id), paint.dim(&origin), step.description));
    let (sql, how) = words::sql(&step.action);
    for statement in &sql {
        out.push_str(&indented(statement, "    "));
    }
    if let Some(how) = how {
        field(out, "runs", how);
    }
    for (at, lock) in words::locks(&step.locks).iter().enumerate() {
        field(out, if at == 0 { "locks" } else { "" }, lock);
    }
    if words::is_long(step) && words::waits(step) != "nobody" {
        field(out, "blocks", &paint.bad(&format!("{} for the whole work", words::waits(step))));
    }
    if !step.waits_for_transactions.is_empty() {
        field(out, "waits", &format!("for transactions that use {}", step.waits_for_transactions.join(", ")));
    }
    field(out, "takes", &words::takes(&step.estimate));
    field(out, "undo", words::class(&step.undo));
    if let Some(reason) = words::undo_reason(&step.undo) {
        field(out, "", &reason);
    }
    for action in words::undo_actions(&step.undo) {
        for statement in words::sql(&action.action).0 {
            out.push_str(&indented(&statement, "             "));
        }
        if !action.locks.is_empty() {
            field(out, "", &paint.dim(&format!("which locks {}", words::locks(&action.locks).join(", "))));
        }
    }
}

fn field(out: &mut String, label: &str, text: &str) {
    out.push_str(&format!("    {label:<8} {text}\n"));
}

fn indented(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}\n")).collect()
}
