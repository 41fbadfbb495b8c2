//! For a pull request.

use super::words;
use crate::plan::model::{Plan, Step, UndoAction};

pub(super) fn render(plan: &Plan) -> String {
    let mut out = format!("## Migration plan: {}\n\n", words::headline(plan));
    out.push_str("| | |\n|---|---|\n");
    let mut row = |label: &str, lines: &[String]| {
        if !lines.is_empty() {
            let lines: Vec<String> = lines.iter().map(|line| cell(line)).collect();
            out.push_str(&format!("| **{label}** | {} |\n", lines.join("<br>")));
        }
    };
    row("Blocked", &words::blocked(plan));
    row("Takes", &[words::total(plan)]);
    row("Costs", &words::costs(plan));
    row("Undo", &[words::way_back(plan)]);
    row("Waits for", &words::gates(plan));
    let hazards: Vec<String> = plan
        .hazards
        .iter()
        .map(|hazard| hazard.to_string().replacen(&hazard.id.to_string(), &format!("**{}**", hazard.id), 1))
        .collect();
    row("Hazards", &hazards);
    row("Notes", &plan.notes);
    let target =
        format!("PostgreSQL {}, database {}", words::version(plan.target.server_version), plan.target.database);
    row("Target", &[target]);
    row("Digest", &[format!("`{}`", plan.digest)]);
    out.push_str("\n| Step | Stage | Blocked | Takes | Undo |\n|---|---|---|---|---|\n");
    for step in &plan.steps {
        out.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            step.id,
            step.stage,
            words::waits(step),
            words::takes(&step.estimate),
            words::class(&step.undo)
        ));
    }
    for step in &plan.steps {
        details(step, &mut out);
    }
    out
}

/// Text inside a table: a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn details(step: &Step, out: &mut String) {
    out.push_str(&format!(
        "\n### `{}`\n\n{} _(statement {}, {})_\n\n",
        step.id,
        step.description,
        step.origin.statement + 1,
        step.pattern
    ));
    let (sql, how) = words::sql(&step.action);
    fence(&sql, out);
    if let Some(how) = how {
        out.push_str(&format!("- runs {how}\n"));
    }
    let locks = words::locks(&step.locks);
    if !locks.is_empty() {
        out.push_str(&format!("- locks: {}\n", locks.join(", ")));
    }
    if words::is_long(step) && words::waits(step) != "nobody" {
        out.push_str(&format!("- **{} wait for the whole work**\n", words::waits(step)));
    }
    if !step.waits_for_transactions.is_empty() {
        out.push_str(&format!("- waits for transactions that use {}\n", step.waits_for_transactions.join(", ")));
    }
    out.push_str(&format!("- takes {}\n", words::takes(&step.estimate)));
    let reason = words::undo_reason(&step.undo).map_or_else(String::new, |reason| format!("; {reason}"));
    out.push_str(&format!("- undo: {}{reason}\n", words::class(&step.undo)));
    let locked = |action: &UndoAction| {
        let locks = words::locks(&action.locks);
        (!locks.is_empty()).then(|| format!("-- locks: {}", locks.join(", ")))
    };
    let actions: Vec<String> = words::undo_actions(&step.undo)
        .iter()
        .flat_map(|action| words::sql(&action.action).0.into_iter().chain(locked(action)))
        .collect();
    if !actions.is_empty() {
        out.push_str("\n<details><summary>Undo</summary>\n\n");
        fence(&actions, out);
        out.push_str("\n</details>\n");
    }
}

/// A fence longer than any run of backticks inside.
fn fence(lines: &[String], out: &mut String) {
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(3.max(longest + 1));
    out.push_str(&format!("{ticks}sql\n{}\n{ticks}\n", lines.join("\n")));
}
