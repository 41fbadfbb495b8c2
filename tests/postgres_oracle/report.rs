//! Figures per family, and every deviation by name.

use std::collections::BTreeMap;

use super::cases::Case;
use super::compare::Verdict;

#[derive(Default)]
struct Figures {
    cells: usize,
    unsound: usize,
    inexact: usize,
    errors: usize,
    foretold: usize,
}

pub struct Report {
    major: i32,
    families: BTreeMap<String, Figures>,
    unsound: Vec<(String, String)>,
    inexact: Vec<(String, String)>,
    unforetold: Vec<(String, String)>,
    skipped: Vec<(String, String)>,
}

impl Report {
    pub fn new(major: i32) -> Self {
        Self {
            major,
            families: BTreeMap::new(),
            unsound: Vec::new(),
            inexact: Vec::new(),
            unforetold: Vec::new(),
            skipped: Vec::new(),
        }
    }

    pub fn add(&mut self, case: &Case, has_facts: bool, verdict: Verdict) {
        let figures = self.families.entry(case.family().to_owned()).or_default();
        figures.cells += usize::from(has_facts);
        figures.unsound += usize::from(!verdict.unsound.is_empty());
        figures.inexact += usize::from(!verdict.inexact.is_empty());
        figures.errors += usize::from(verdict.foretold.is_some());
        figures.foretold += usize::from(matches!(verdict.foretold, Some(Ok(()))));
        let named = |lines: Vec<String>| lines.into_iter().map(|line| (case.id.clone(), line));
        self.unsound.extend(named(verdict.unsound));
        self.inexact.extend(named(verdict.inexact));
        self.unforetold.extend(verdict.foretold.and_then(Result::err).map(|line| (case.id.clone(), line)));
    }

    pub fn skip(&mut self, case: &Case, error: &str) {
        self.skipped.push((case.id.clone(), error.to_owned()));
    }

    /// Prints the report; the number of deviations that have no reason on the list.
    pub fn print(&self, known: &[Known]) -> usize {
        println!("\nPostgreSQL {}", self.major);
        println!("  family     cells unsound inexact errors foretold");
        let mut total = Figures::default();
        for (family, f) in &self.families {
            println!(
                "  {family:<10} {:>5} {:>7} {:>7} {:>6} {:>8}",
                f.cells, f.unsound, f.inexact, f.errors, f.foretold
            );
            total.cells += f.cells;
            total.unsound += f.unsound;
            total.inexact += f.inexact;
            total.errors += f.errors;
            total.foretold += f.foretold;
        }
        println!(
            "  {:<10} {:>5} {:>7} {:>7} {:>6} {:>8}",
            "all", total.cells, total.unsound, total.inexact, total.errors, total.foretold
        );
        let mut failures = self.unsound.len();
        self.lines("UNSOUND", &self.unsound);
        for (id, line) in &self.inexact {
            match known.iter().find(|known| known.matches(id, self.major, line)) {
                Some(known) => println!("  inexact (known) {id}: {line} ({})", known.reason),
                None => {
                    println!("  INEXACT {id}: {line}");
                    failures += 1;
                }
            }
        }
        self.lines("not foretold", &self.unforetold);
        self.lines("skipped", &self.skipped);
        failures
    }

    fn lines(&self, what: &str, lines: &[(String, String)]) {
        for (id, line) in lines {
            println!("  {what} {id}: {line}");
        }
    }
}

/// A deviation with its reason.
pub struct Known {
    id: String,
    majors: Vec<i32>,
    fact: String,
    reason: String,
}

impl Known {
    fn matches(&self, id: &str, major: i32, line: &str) -> bool {
        let same = match self.id.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => self.id == id,
        };
        same && (self.majors.is_empty() || self.majors.contains(&major)) && line.starts_with(&self.fact)
    }
}

/// Lines `id | majors | beginning of the fact | reason`; majors empty: all; `#` begins a remark.
pub fn known_inexact(text: &str) -> Vec<Known> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let [id, majors, fact, reason] = parts.as_slice() else { panic!("not four parts: {line}") };
            assert!(!reason.is_empty(), "no reason: {line}");
            Known {
                id: (*id).to_owned(),
                majors: majors.split(',').filter(|m| !m.is_empty()).map(|m| m.trim().parse().unwrap()).collect(),
                fact: (*fact).to_owned(),
                reason: (*reason).to_owned(),
            }
        })
        .collect()
}
