//! A claim against what was seen.

use std::collections::BTreeSet;

use wesley::catalog::{Catalog, Name};
use wesley::plan::LockMode;
use wesley::plan::analyze::{Impact, Target, TransactionRule};

use super::measure::{Done, Facts};

pub fn deviations(facts: &Facts, claim: &Impact, catalog: &Catalog) -> Vec<String> {
    match facts {
        Facts::Refused(sqlstate, _) if sqlstate == "25001" => match claim.transaction {
            TransactionRule::Forbidden => Vec::new(),
            rule => vec![format!("transaction {rule:?}, is forbidden")],
        },
        // What the rows are is not in the catalog.
        Facts::Refused(sqlstate, _) if sqlstate.starts_with("23") => Vec::new(),
        Facts::Refused(sqlstate, message) => match &claim.refused {
            Some(refusal) if refusal.sqlstate == *sqlstate => Vec::new(),
            Some(refusal) => vec![format!("refused {}, not {sqlstate} {message}", refusal.sqlstate)],
            None => vec![format!("not refused, but {sqlstate} {message}")],
        },
        Facts::Done(done) => accepted(done, claim, catalog),
    }
}

fn accepted(done: &Done, claim: &Impact, catalog: &Catalog) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(refusal) = &claim.refused {
        found.push(format!("refused {} {}, but accepted", refusal.sqlstate, refusal.message));
    }
    if claim.transaction != TransactionRule::Allowed {
        found.push(format!("transaction {:?}, is allowed", claim.transaction));
    }
    // Weak locks on indexes come and go with the planner.
    let counts = |name: &Name, mode: LockMode| {
        let index = catalog.relations.get(name).is_some_and(|relation| relation.kind.is_index());
        !index || mode >= LockMode::ShareUpdateExclusive
    };
    for (name, mode) in done.locks.iter().filter(|(name, mode)| counts(name, **mode)) {
        match claim.locks.get(&Target::Relation(name.clone())) {
            Some(claimed) if claimed == mode => {}
            Some(claimed) => found.push(format!("lock {name}: {claimed}, not {mode}")),
            None => found.push(format!("lock {name}: none, not {mode}")),
        }
    }
    for (target, mode) in &claim.locks {
        let seen = match target {
            Target::Relation(name) => done.locks.contains_key(name) || !counts(name, *mode),
            Target::Any => false,
        };
        if !seen {
            found.push(format!("lock {target}: {mode}, not held"));
        }
    }
    found.extend(sets("rewrite", &done.rewritten, &claim.rewrites, catalog));
    found.extend(sets("scan", &done.scanned, &claim.scans, catalog));
    found
}

fn sets(what: &str, seen: &BTreeSet<Name>, claimed: &BTreeSet<Target>, catalog: &Catalog) -> Vec<String> {
    let has_heap = |name: &&Name| catalog.relations.get(name).is_some_and(|relation| relation.kind.has_heap());
    let seen: BTreeSet<Target> = seen.iter().filter(has_heap).cloned().map(Target::from).collect();
    let missing = seen.difference(claimed).map(|target| format!("{what} {target}: not claimed"));
    let extra = claimed.difference(&seen).map(|target| format!("{what} {target}: claimed, not seen"));
    missing.chain(extra).collect()
}
