//! One claim against one cell.

use std::collections::{BTreeMap, BTreeSet};

use wesley::catalog::{Catalog, RelationKind};
use wesley::plan::LockMode;
use wesley::plan::analyze::{Impact, Target, TransactionRule, analyze};
use wesley::sql;

use super::cases::{Case, Cell, Facts};

/// What is wrong with a claim.
#[derive(Default)]
pub struct Verdict {
    /// Less claimed than observed, or a refusal of what the server accepted.
    pub unsound: Vec<String>,
    /// More claimed than observed.
    pub inexact: Vec<String>,
    /// Of a cell that is only an error: whether its SQLSTATE was foretold.
    pub foretold: Option<Result<(), String>>,
}

pub fn verdict(case: &Case, cell: &Cell, catalog: &Catalog) -> Verdict {
    let claims = match sql::parse(&case.sql) {
        Ok(statements) => statements.iter().map(|statement| analyze(statement, catalog)).collect(),
        Err(_) => Vec::new(),
    };
    match cell {
        Cell::Refused { error } => refused(error, claims),
        Cell::Facts(facts) => match <[Impact; 1]>::try_from(claims) {
            Ok([claim]) => compared(case, facts, &claim, catalog),
            Err(_) => Verdict { unsound: vec!["not one statement".to_owned()], ..Verdict::default() },
        },
    }
}

/// Text that does not parse is refused as well: its SQLSTATE is that of a syntax error.
fn refused(error: &str, claims: Vec<Impact>) -> Verdict {
    let expected = error.get(..5).unwrap_or(error);
    let claimed = match claims.first() {
        None => "42601".to_owned(),
        Some(claim) => claim.refused.as_ref().map_or_else(|| "nothing".to_owned(), |refusal| refusal.sqlstate.clone()),
    };
    let foretold = if claimed == expected { Ok(()) } else { Err(format!("claimed {claimed}, observed {error}")) };
    Verdict { foretold: Some(foretold), ..Verdict::default() }
}

/// Bare name to kind and emptiness. An index hides nothing else: names are unique in the cases.
struct Kinds<'a>(BTreeMap<&'a str, (RelationKind, bool)>);

impl<'a> Kinds<'a> {
    fn new(catalog: &'a Catalog) -> Self {
        let relations = catalog.relations.iter();
        Self(relations.map(|(name, r)| (name.name.as_str(), (r.kind, r.stats.empty))).collect())
    }

    /// Weak locks on indexes come and go with the planner.
    fn counts(&self, relation: &str, mode: LockMode) -> bool {
        let index = self.0.get(relation).is_some_and(|(kind, _)| kind.is_index());
        !index || mode.covers(LockMode::ShareUpdateExclusive) || mode >= LockMode::Share
    }

    fn has_heap(&self, relation: &str) -> bool {
        self.0.get(relation).is_some_and(|(kind, _)| kind.has_heap())
    }

    fn is_empty(&self, relation: &str) -> bool {
        self.0.get(relation).is_some_and(|(_, empty)| *empty)
    }
}

fn bare(target: &Target) -> String {
    match target {
        Target::Any => "*".to_owned(),
        Target::Relation(name) => name.name.clone(),
    }
}

fn compared(case: &Case, facts: &Facts, claim: &Impact, catalog: &Catalog) -> Verdict {
    let mut verdict = Verdict::default();
    let kinds = Kinds::new(catalog);
    if let (Some(refusal), None) = (&claim.refused, &facts.error) {
        verdict.unsound.push(format!("refused: {} {}", refusal.sqlstate, refusal.message));
    }
    match (claim.transaction, facts.in_tx) {
        (TransactionRule::Allowed, false) => verdict.unsound.push("transaction: claimed Allowed, is not".to_owned()),
        (TransactionRule::Allowed, true) | (TransactionRule::Forbidden, false) => {}
        (rule, _) => verdict.inexact.push(format!("transaction: claimed {rule:?}")),
    }
    locks(facts, claim, &kinds, &mut verdict);
    let observed = facts.scanned.iter().chain(&facts.verified).filter(|relation| !kinds.is_empty(relation));
    sets("scan", observed, &claim.scans, &kinds, facts.sampled, &mut verdict);
    // A truncated table has a new file too, but nothing is written anew.
    if !case.sql.trim_start().starts_with("truncate") {
        let observed = facts.heap_rewrite.iter().chain(&facts.rewritten);
        sets("rewrite", observed, &claim.rewrites, &kinds, facts.sampled, &mut verdict);
    }
    // Who asks for AccessExclusive on everything waits for everybody.
    let waits: BTreeSet<String> = claim.waits_for_transactions.iter().map(bare).collect();
    for relation in facts.waits_for_holders_of.keys() {
        if !waits.contains(relation) && !claim.locks.contains_key(&Target::Any) {
            verdict.unsound.push(format!("waits: {relation} not claimed"));
        }
    }
    if facts.error.is_some() {
        verdict.inexact.clear();
    }
    verdict
}

fn locks(facts: &Facts, claim: &Impact, kinds: &Kinds<'_>, verdict: &mut Verdict) {
    let mut claimed: BTreeMap<String, LockMode> = BTreeMap::new();
    for (target, mode) in &claim.locks {
        claimed.entry(bare(target)).and_modify(|held| *held = held.join(*mode)).or_insert(*mode);
    }
    let everything = claimed.remove("*");
    let observed = facts.locks();
    // Sampled locks are a lower bound, exact where the blocking matrix was run.
    let exact = !facts.sampled || (!observed.is_empty() && !facts.waits_for_holders_of.is_empty());
    for (relation, mode) in observed.iter().filter(|(relation, mode)| kinds.counts(relation, **mode)) {
        let claim = claimed.get(*relation).copied().or(everything);
        match claim {
            Some(claim) if claim == *mode => {}
            Some(claim) if claim.covers(*mode) => {
                if exact {
                    verdict.inexact.push(format!("lock {relation}: claimed {claim}, observed {mode}"));
                }
            }
            Some(claim) => verdict.unsound.push(format!("lock {relation}: claimed {claim}, observed {mode}")),
            None => verdict.unsound.push(format!("lock {relation}: claimed none, observed {mode}")),
        }
    }
    if !exact {
        return;
    }
    if everything.is_some() {
        verdict.inexact.push("lock *: claimed everything".to_owned());
    }
    for (relation, mode) in claimed.iter().filter(|(relation, mode)| kinds.counts(relation, **mode)) {
        if !observed.contains_key(relation.as_str()) {
            verdict.inexact.push(format!("lock {relation}: claimed {mode}, observed none"));
        }
    }
}

fn sets<'a>(
    what: &str,
    observed: impl Iterator<Item = &'a String>,
    claimed: &BTreeSet<Target>,
    kinds: &Kinds<'_>,
    lower_bound: bool,
    verdict: &mut Verdict,
) {
    let observed: BTreeSet<&str> = observed.map(String::as_str).filter(|relation| kinds.has_heap(relation)).collect();
    let claimed: BTreeSet<String> = claimed.iter().map(bare).collect();
    for relation in &observed {
        if !claimed.contains(*relation) && !claimed.contains("*") {
            verdict.unsound.push(format!("{what} {relation}: not claimed"));
        }
    }
    if lower_bound {
        return;
    }
    for relation in &claimed {
        if !observed.contains(relation.as_str()) {
            verdict.inexact.push(format!("{what} {relation}: claimed, not observed"));
        }
    }
}
