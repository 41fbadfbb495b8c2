//! What the plan as a whole means for others: tables that are locked again and again, tables that are locked
//! together, and steps that anything long-running holds up.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::lock::LockMode;
use super::model::{Action, Blocks, Stage, Step};
use crate::catalog::{Catalog, Name};

/// Locks of one table by that many steps are worth a remark.
const HOT: usize = 4;

/// Remarks for people, in the order of their weight.
pub(super) fn notes(steps: &[Step], before: &Catalog) -> Vec<String> {
    let mut notes = hot(steps, before);
    notes.extend(together(steps, before));
    notes.extend(held_up(steps));
    notes
}

/// Tables whose users are stopped for a moment by many steps.
fn hot(steps: &[Step], before: &Catalog) -> Vec<String> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for step in steps.iter().filter(|step| step.stage != Stage::Contract) {
        for table in blocked_tables(step, before) {
            *times.entry(table).or_default() += 1;
        }
    }
    let hot = times.into_iter().filter(|(_, times)| *times >= HOT);
    hot.map(|(relation, times)| {
        format!("{relation} is locked against others by {times} steps, in transactions of their own")
    })
    .collect()
}

/// Tables from before the plan whose users the step stops. An index is locked with its table.
fn blocked_tables<'a>(step: &'a Step, before: &Catalog) -> Vec<&'a str> {
    let is_table = |relation: &str| {
        let name = Name::from_str(relation).ok();
        name.and_then(|name| before.relations.get(&name)).is_some_and(|relation| relation.kind.is_table())
    };
    let blocked = step.locks.iter().filter(|lock| lock.blocks != Blocks::Nothing && is_table(&lock.relation));
    blocked.map(|lock| lock.relation.as_str()).collect()
}

/// Transactions that lock several tables in ways that others wait for: in which order applications lock the
/// same tables matters to them.
fn together(steps: &[Step], before: &Catalog) -> Vec<String> {
    let mut notes = Vec::new();
    for step in steps.iter().filter(|step| matches!(step.action, Action::Transaction(_))) {
        let tables = blocked_tables(step, before);
        if tables.len() > 1 {
            notes.push(format!(
                "{}: {} are locked together; an application that locks them in another order is waited for, never \
                 deadlocked: the step gives up after a slice and tries again",
                step.id,
                tables.join(", ")
            ));
        }
    }
    notes
}

/// Steps that a long transaction, a dump or a vacuum holds up.
fn held_up(steps: &[Step]) -> Option<String> {
    let weak = |step: &&Step| {
        !step.waits_for_transactions.is_empty()
            || step.locks.iter().any(|lock| lock.mode == LockMode::ShareUpdateExclusive)
    };
    let ids: Vec<&str> = steps.iter().filter(weak).map(|step| step.id.as_str()).collect();
    let (first, rest) = ids.split_first()?;
    let which = if rest.is_empty() { (*first).to_owned() } else { format!("{first} and {} more", rest.len()) };
    Some(format!(
        "{which}: held up, without holding up others, by long transactions, dumps and a vacuum against wraparound on the \
         same tables"
    ))
}
