//! A claim against what was seen.

use std::collections::BTreeSet;

use wesley::catalog::{Catalog, Name};
use wesley::plan::LockMode;
use wesley::plan::analyze::{Impact, Target, TransactionRule};

use super::measure::{Done, Facts};

/// What is wrong with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Less claimed than was seen, or a refusal of what the server accepts.
    Unsound,
    /// More claimed than was seen.
    Inexact,
    /// The server refuses what was not foretold, or with another SQLSTATE.
    Unforetold,
}

pub type Deviations = Vec<(Fault, String)>;

pub fn deviations(sql: &str, facts: &Facts, claim: &Impact, catalog: &Catalog) -> Deviations {
    match facts {
        Facts::Refused(sqlstate, _) if sqlstate == "25001" => match claim.transaction {
            TransactionRule::Forbidden => Vec::new(),
            TransactionRule::Unknown => vec![(Fault::Inexact, "transaction Unknown, is forbidden".to_owned())],
            TransactionRule::Allowed if claim.refused.is_some() => Vec::new(),
            TransactionRule::Allowed => vec![(Fault::Unsound, "transaction Allowed, is forbidden".to_owned())],
        },
        Facts::Refused(sqlstate, message) => match &claim.refused {
            Some(refusal) if refusal.sqlstate == *sqlstate => Vec::new(),
            Some(refusal) => {
                vec![(Fault::Unforetold, format!("refused {}, not {sqlstate} {message}", refusal.sqlstate))]
            }
            // What the rows are, and what another server says, is not in the catalog.
            None if ["22", "23", "08"].iter().any(|class| sqlstate.starts_with(class)) => Vec::new(),
            None => vec![(Fault::Unforetold, format!("not refused, but {sqlstate} {message}"))],
        },
        Facts::Done(done) => accepted(sql, done, claim, catalog),
    }
}

fn accepted(sql: &str, done: &Done, claim: &Impact, catalog: &Catalog) -> Deviations {
    let mut found = Vec::new();
    let error = done.outside.as_ref().and_then(|outside| outside.error.as_ref());
    if let Some((sqlstate, message)) = error {
        return deviations(sql, &Facts::Refused(sqlstate.clone(), message.clone()), claim, catalog);
    }
    if let Some(refusal) = &claim.refused {
        found.push((Fault::Unsound, format!("refused {} {}, but accepted", refusal.sqlstate, refusal.message)));
    }
    if done.outside.is_none() && claim.transaction != TransactionRule::Allowed {
        found.push((Fault::Inexact, format!("transaction {:?}, is allowed", claim.transaction)));
    }
    // Weak locks on indexes come and go with the planner.
    // What happens to them outside of a transaction is too short to be seen each time.
    let counts = |name: &Name, mode: LockMode| {
        let index = catalog.relations.get(name).is_some_and(|relation| relation.kind.is_index());
        !index || mode.covers(LockMode::ShareUpdateExclusive) || mode >= LockMode::Share
    };
    let everything = claim.locks.get(&Target::Any);
    for (name, mode) in done.locks.iter().filter(|(name, mode)| counts(name, **mode)) {
        match claim.locks.get(&Target::Relation(name.clone())).or(everything) {
            Some(claimed) if claimed == mode => {}
            Some(claimed) if claimed.covers(*mode) => {
                let index = catalog.relations.get(name).is_some_and(|relation| relation.kind.is_index());
                if index && done.outside.is_some() {
                    continue;
                }
                found.push((Fault::Inexact, format!("lock {name}: {claimed}, not {mode}")));
            }
            Some(claimed) => found.push((Fault::Unsound, format!("lock {name}: {claimed}, not {mode}"))),
            None => found.push((Fault::Unsound, format!("lock {name}: none, not {mode}"))),
        }
    }
    for (target, mode) in &claim.locks {
        let seen = match target {
            Target::Relation(name) => {
                let index = catalog.relations.get(name).is_some_and(|relation| relation.kind.is_index());
                done.locks.contains_key(name) || !counts(name, *mode) || (index && done.outside.is_some())
            }
            Target::Any => false,
        };
        if !seen {
            found.push((Fault::Inexact, format!("lock {target}: {mode}, not held")));
        }
    }
    // A truncated table has a new file, but nothing is written anew.
    if !sql.contains("truncate ") {
        found.extend(sets("rewrite", &done.rewritten, &claim.rewrites, catalog));
    }
    found.extend(sets("scan", &done.scanned, &claim.scans, catalog));
    if let Some(outside) = &done.outside {
        found.extend(sets("wait", &outside.waits, &claim.waits_for_transactions, catalog));
    }
    found
}

fn sets(what: &str, seen: &BTreeSet<Name>, claimed: &BTreeSet<Target>, catalog: &Catalog) -> Deviations {
    let has_heap = |name: &&Name| catalog.relations.get(name).is_some_and(|relation| relation.kind.has_heap());
    let seen: BTreeSet<Target> = seen.iter().filter(has_heap).cloned().map(Target::from).collect();
    let missing = seen.difference(claimed).filter(|_| !claimed.contains(&Target::Any));
    let missing = missing.map(|target| (Fault::Unsound, format!("{what} {target}: not claimed")));
    let extra = claimed.difference(&seen).map(|target| (Fault::Inexact, format!("{what} {target}: claimed, not seen")));
    missing.chain(extra).collect()
}
