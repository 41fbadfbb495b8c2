//! The same words for every format.

use crate::plan::model::{
    Action, Backfill, Blocks, Estimate, Plan, RollbackClass, RowChange, Stage, Step, StepLock, Undo, UndoAction,
};
use crate::sql::quote;

/// Stages in the order of their usual place.
const STAGES: [Stage; 5] = [Stage::Expand, Stage::Backfill, Stage::Validate, Stage::Switch, Stage::Contract];

/// `3 steps from 2 statements: 1 Expand, 2 Validate`.
pub(super) fn headline(plan: &Plan) -> String {
    let stages: Vec<String> = STAGES
        .into_iter()
        .filter_map(|stage| {
            let count = plan.steps.iter().filter(|step| step.stage == stage).count();
            (count > 0).then(|| format!("{count} {stage}"))
        })
        .collect();
    let steps = counted(plan.summary.steps, "step", "steps");
    let statements = counted(plan.summary.statements, "statement", "statements");
    if stages.is_empty() {
        return format!("{steps} from {statements}");
    }
    format!("{steps} from {statements}: {}", stages.join(", "))
}

/// `18.4` for 180004.
pub(super) fn version(number: i32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

/// The beginning of a digest, enough to recognise it.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

/// Who waits, and for what.
pub(super) fn blocked(plan: &Plan) -> Vec<String> {
    let long = |wanted: Blocks| relations(plan, |step, blocks| blocks >= wanted && is_long(step));
    let brief = |wanted: Blocks| relations(plan, |step, blocks| blocks >= wanted && !is_long(step));
    let (long_all, long_writes) = (long(Blocks::ReadsAndWrites), long(Blocks::Writes));
    let (all, writes) = (brief(Blocks::ReadsAndWrites), brief(Blocks::Writes));
    let mut lines = Vec::new();
    let mut told: Vec<&String> = Vec::new();
    let kinds = [
        (&long_all, "reads and writes wait for the whole work on"),
        (&long_writes, "writes wait for the whole work on"),
        (&all, "reads and writes wait for a moment on"),
        (&writes, "writes wait for a moment on"),
    ];
    for (list, what) in kinds {
        let new: Vec<&String> = list.iter().filter(|relation| !told.contains(relation)).collect();
        if !new.is_empty() {
            lines.push(format!("{what} {}", listed(&new)));
            told.extend(new);
        }
    }
    if lines.is_empty() {
        lines.push("nobody".to_owned());
    }
    lines
}

fn relations(plan: &Plan, wanted: impl Fn(&Step, Blocks) -> bool) -> Vec<String> {
    let mut list: Vec<String> = plan
        .steps
        .iter()
        .flat_map(|step| step.locks.iter().map(move |lock| (step, lock)))
        .filter(|(step, lock)| wanted(step, lock.blocks))
        .map(|(_, lock)| lock.relation.clone())
        .collect();
    list.sort();
    list.dedup();
    list
}

/// Whether the work under the step's locks grows with a table's size.
pub(super) fn is_long(step: &Step) -> bool {
    let long = match &step.action {
        Action::Transaction(transaction) => transaction.long,
        // Those that wait for transactions block for moments only.
        Action::Concurrent(_) => {
            step.waits_for_transactions.is_empty() && step.locks.iter().any(|lock| lock.blocks != Blocks::Nothing)
        }
        Action::Backfill(_) | Action::Check(_) | Action::Script(_) => false,
    };
    long && (!step.scans.is_empty() || !step.rewrites.is_empty())
}

fn listed(names: &[&String]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(|name| name.as_str()).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

/// What the locks of a step mean for others.
pub(super) fn waits(step: &Step) -> &'static str {
    match step.locks.iter().map(|lock| lock.blocks).max() {
        Some(Blocks::ReadsAndWrites) => "reads and writes",
        Some(Blocks::Writes) => "writes",
        _ => "nobody",
    }
}

/// `AccessExclusive on public.orders`, strongest lock first.
pub(super) fn locks(locks: &[StepLock]) -> Vec<String> {
    let mut locks: Vec<_> = locks.iter().collect();
    locks.sort_by(|a, b| b.mode.cmp(&a.mode).then_with(|| a.relation.cmp(&b.relation)));
    locks.into_iter().map(|lock| format!("{} on {}", lock.mode, lock.relation)).collect()
}

/// How long the whole takes.
pub(super) fn total(plan: &Plan) -> String {
    let least = plan.steps.iter().map(|step| step.estimate.seconds_least).sum();
    let most = plan.steps.iter().map(|step| step.estimate.seconds_most).sum();
    range(least, most)
}

/// What the whole writes besides; empty when that is next to nothing.
pub(super) fn costs(plan: &Plan) -> Vec<String> {
    let sum = |of: fn(&Estimate) -> i64| plan.steps.iter().map(|step| of(&step.estimate)).fold(0, i64::saturating_add);
    let wal = sum(|estimate| estimate.wal_bytes_most);
    let disk = plan.steps.iter().map(|step| step.estimate.disk_bytes_most).max().unwrap_or(0);
    if wal == 0 && disk == 0 {
        return Vec::new();
    }
    vec![format!(
        "up to {} of WAL for standbys, slots and the archive; up to {} of disk at a time",
        size(wal),
        size(disk)
    )]
}

/// How long a step takes, with what it goes through.
pub(super) fn takes(estimate: &Estimate) -> String {
    if estimate.bytes == 0 {
        return "a moment".to_owned();
    }
    let rows = if estimate.rows > 0 { format!("{}, ", counted(estimate.rows, "row", "rows")) } else { String::new() };
    format!("{} ({rows}{})", range(estimate.seconds_least, estimate.seconds_most), size(estimate.bytes))
}

/// A range of seconds.
pub(super) fn range(least: i64, most: i64) -> String {
    if most <= 1 {
        return "about a second at most".to_owned();
    }
    if least == 0 {
        return format!("up to {}", duration(most));
    }
    format!("{} to {}", duration(least), duration(most))
}

fn duration(seconds: i64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", (seconds + 59) / 60),
        _ => format!("{} h", (seconds + 3_599) / 3_600),
    }
}

/// Bytes in the unit that fits.
pub(super) fn size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes / 1024;
    for unit in UNITS {
        if value < 10_240 || unit == "TiB" {
            return format!("{value} {unit}");
        }
        value /= 1024;
    }
    format!("{bytes} bytes")
}

/// A number with its noun, in groups of three digits.
pub(super) fn counted(number: i64, one: &str, many: &str) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digit != '-' {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {}", if number == 1 { one } else { many })
}

/// The way back of the whole.
pub(super) fn way_back(plan: &Plan) -> String {
    match plan.summary.rollback {
        _ if plan.steps.iter().all(|step| matches!(step.undo, Undo::Nothing(_))) => "not needed".to_owned(),
        RollbackClass::Lossless => {
            "yes, to the schema from before; what was written to new columns and tables goes".to_owned()
        }
        RollbackClass::Lossy => format!("the schema returns, but not all data: {}", plan.summary.rollback_reason),
        RollbackClass::ForwardOnly => format!("no: {}", plan.summary.rollback_reason),
    }
}

/// What holds the plan up besides its work.
pub(super) fn gates(plan: &Plan) -> Vec<String> {
    let mut list = Vec::new();
    if plan.summary.needs_validation {
        list.push("a validation window, for the steps of stage Validate".to_owned());
    }
    if plan.summary.has_contract {
        list.push("permission to contract, for the steps of stage Contract".to_owned());
    }
    list
}

/// `lossless`, `lossy`, ...
pub(super) fn class(undo: &Undo) -> &'static str {
    match undo {
        Undo::Nothing(_) => "not needed",
        Undo::Lossless(_) => "lossless",
        Undo::Lossy(_) => "lossy",
        Undo::Irreversible(_) => "impossible",
    }
}

/// What is lost, or why there is no way back.
pub(super) fn undo_reason(undo: &Undo) -> Option<String> {
    match undo {
        Undo::Lossy(lossy) => Some(format!("does not return: {}", lossy.lost)),
        Undo::Irreversible(irreversible) => Some(irreversible.why.clone()),
        _ => None,
    }
}

/// The undo's actions.
pub(super) fn undo_actions(undo: &Undo) -> &[UndoAction] {
    match undo {
        Undo::Lossless(steps) => &steps.actions,
        Undo::Lossy(lossy) => &lossy.actions,
        _ => &[],
    }
}

/// The SQL of an action, one statement an item, and a remark on how it runs.
pub(super) fn sql(action: &Action) -> (Vec<String>, Option<&'static str>) {
    match action {
        Action::Transaction(transaction) => {
            let lines = transaction.statements.iter().map(|statement| format!("{statement};")).collect();
            (lines, (transaction.statements.len() > 1).then_some("in one transaction"))
        }
        Action::Concurrent(concurrent) => (vec![format!("{};", concurrent.statement)], Some("outside a transaction")),
        Action::Backfill(backfill) => (vec![batch(backfill)], Some("in batches, each its own transaction")),
        Action::Check(check) => (vec![format!("{};", check.query)], Some("must be true")),
        Action::Script(script) => {
            let line = |change: &RowChange| {
                format!("-- {} of {} in the file: {}", change.command, change.relation, change.statements)
            };
            (script.changes.iter().map(line).collect(), Some("in batches, each its own transaction"))
        }
    }
}

fn batch(backfill: &Backfill) -> String {
    let set: Vec<String> = backfill
        .assignments
        .iter()
        .map(|assignment| format!("{} = {}", quote::ident(&assignment.column), assignment.expression))
        .collect();
    let order = if backfill.key.is_empty() {
        "blocks of the table".to_owned()
    } else {
        backfill.key.iter().map(|column| quote::ident(column)).collect::<Vec<_>>().join(", ")
    };
    let filter = backfill.filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE {filter}"));
    format!(
        "UPDATE {} SET {}{filter}; -- by {order}",
        quote::qualified(&backfill.schema, &backfill.table),
        set.join(", ")
    )
}
