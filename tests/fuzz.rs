//! Ten thousand broken and recombined statements through parser, classifier, simulation and planner: none may
//! panic, hang or fill the memory.
//!
//! `WESLEY_FUZZ_SEED` replays a run (its seed is printed), `WESLEY_FUZZ_INPUTS` sets the number of inputs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use wesley::catalog::{Catalog, apply};
use wesley::plan::analyze::analyze;
use wesley::plan::{Policy, plan};
use wesley::sql;

/// Xorshift: the same inputs from the same seed on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }
}

/// Every statement of the fixtures: one a line in the statements of claims, whole files elsewhere.
fn corpus() -> Vec<String> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut texts = Vec::new();
    for folder in ["claims/shop/statements", "claims/bench/statements", "histories"] {
        let mut paths: Vec<_> =
            std::fs::read_dir(fixtures.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let text = std::fs::read_to_string(path).unwrap();
            match sql::parse(&text) {
                Ok(statements) => texts.extend(statements.into_iter().map(|statement| statement.text)),
                Err(_) => {
                    texts.extend(text.lines().filter(|line| !line.starts_with("--")).map(|line| line.to_owned()));
                }
            }
        }
    }
    texts.retain(|text| !text.is_empty());
    texts
}

/// Words, numbers, spaces and signs.
fn tokens(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut kind = None;
    for character in text.chars() {
        let class = if character.is_alphanumeric() || character == '_' { Some(character.is_numeric()) } else { None };
        match (class, kind == Some(class), all.last_mut()) {
            (Some(_), true, Some(last)) => last.push(character),
            _ => all.push(character.to_string()),
        }
        kind = Some(class);
    }
    all
}

const WORDS: [&str; 30] = [
    "NULL",
    "cascade",
    "only",
    "concurrently",
    "if exists",
    "not",
    "*",
    "(",
    ")",
    ",",
    ";",
    "''",
    "\"\"",
    "$1",
    "-1",
    "99999999999999999999",
    "1e400",
    "default",
    "partition of",
    "using",
    "with (fillfactor = 9999999999)",
    "::",
    ".",
    "public",
    "'\\x00'",
    "É",
    "\u{0}",
    "--",
    "/*",
    "$$",
];

fn mutate(random: &mut Random, corpus: &[String]) -> String {
    let mut parts = tokens(&corpus[random.below(corpus.len())]);
    for _ in 0..=random.below(4) {
        if parts.is_empty() {
            break;
        }
        let at = random.below(parts.len());
        match random.below(9) {
            0 => drop(parts.remove(at)),
            1 => parts.insert(at, format!(" {} ", random.pick(&WORDS))),
            2 => {
                let other = random.below(parts.len());
                parts.swap(at, other);
            }
            3 => {
                let other = tokens(&corpus[random.below(corpus.len())]);
                let from = random.below(other.len());
                parts.splice(at.., other.into_iter().skip(from));
            }
            4 => parts.truncate(at + 1),
            5 => {
                let copy: Vec<String> = parts[at..].iter().take(1 + random.below(6)).cloned().collect();
                for _ in 0..=random.below(20) {
                    parts.splice(at..at, copy.iter().cloned());
                }
            }
            6 => {
                let depth = random.below(300);
                parts.insert(at, "(".repeat(depth));
                parts.push(")".repeat(depth));
            }
            7 => parts.extend([" ; ".to_owned(), corpus[random.below(corpus.len())].clone()]),
            _ => {
                let other = tokens(&corpus[random.below(corpus.len())]);
                let words: Vec<&String> = other.iter().filter(|word| !word.trim().is_empty()).collect();
                if !words.is_empty() {
                    parts[at] = words[random.below(words.len())].clone();
                }
            }
        }
    }
    parts.concat()
}

/// The schema of the fixtures as the simulation makes it, without a server.
fn catalog() -> Catalog {
    let mut catalog = Catalog::of_version(180_000);
    catalog.server.search_path = vec!["public".to_owned()];
    for statement in sql::parse("create schema public").unwrap() {
        apply::apply(&mut catalog, &statement).unwrap();
    }
    for statement in sql::parse(include_str!("fixtures/claims/shop/schema.sql")).unwrap() {
        // Extensions and rows are beyond a simulation without a server.
        let _ = apply::apply(&mut catalog, &statement);
    }
    assert!(catalog.relations.len() > 80, "{} relations", catalog.relations.len());
    catalog
}

/// All that is done with a text before anything runs.
fn take_in(text: &str, catalog: &Catalog) {
    let Ok(statements) = sql::parse(text) else { return };
    let mut evolved = catalog.clone();
    for statement in &statements {
        let _ = analyze(statement, &evolved);
        let _ = apply::apply(&mut evolved, statement);
    }
    let _ = plan(&statements, catalog, &Policy::default());
}

#[test]
fn broken_text_does_no_harm() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let seed = number("WESLEY_FUZZ_SEED", 20_240_229).max(1);
    println!("WESLEY_FUZZ_SEED={seed}");
    let (corpus, catalog) = (corpus(), catalog());
    let mut random = Random(seed);
    let mut understood = 0_usize;
    let inputs = number("WESLEY_FUZZ_INPUTS", 10_000);
    for input in 0..inputs {
        let text = mutate(&mut random, &corpus);
        understood += usize::from(sql::parse(&text).is_ok());
        let outcome = catch_unwind(AssertUnwindSafe(|| take_in(&text, &catalog)));
        assert!(outcome.is_ok(), "seed {seed}, input {input} panics: {text}");
    }
    println!("{inputs} inputs, {understood} of them parse");
    assert!(understood > 0, "no input parses: the mutations break everything");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(|rest| rest.trim().to_owned());
    if let Some(kilobytes) = peak.and_then(|peak| peak.split(' ').next()?.parse::<u64>().ok()) {
        assert!(kilobytes < 1_000_000, "{kilobytes} kB of memory");
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let catalog = catalog();
    let wrapped = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("select {}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    for depth in [50, 1_000, 100_000] {
        let texts = [
            wrapped("(", "1", ")", depth),
            wrapped("not ", "true", "", depth),
            wrapped("1 + ", "1", "", depth),
            wrapped("case when true then ", "1", " end", depth),
            wrapped("array[", "1", "]", depth),
            wrapped("(select ", "1", ")", depth),
            format!("select 1 {}", "union select 1 ".repeat(depth)),
            format!("do $$ begin {} null; {} end $$", "begin ".repeat(depth), "end; ".repeat(depth)),
            format!("do $$ begin {} null; {} end $$", "if true then ".repeat(depth), "end if; ".repeat(depth)),
            format!("create view v as select * from {}public.nokey{}", "(".repeat(depth), ")".repeat(depth)),
            format!("create table t (a int{} check (a > 0))", "[]".repeat(depth)),
            format!("alter table public.nokey {} add column z int", "add column y int, ".repeat(depth.min(1_000))),
        ];
        for text in texts {
            take_in(&text, &catalog);
        }
    }
}
