//! Every reason that a user can meet has its entry in `docs/reasons.md`, with its exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use strum::IntoEnumIterator;
use wesley::run::Reason;

#[test]
fn every_reason_of_a_run_is_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reasons.md")).unwrap();
    let runs = page.split("## Runs").nth(1).unwrap().split("\n## ").next().unwrap();
    for reason in Reason::iter() {
        let row = format!("| `{reason}` | {} | ", reason.exit().code());
        assert!(runs.contains(&row), "docs/reasons.md has no row {row}");
    }
    let rows = runs.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, Reason::iter().count(), "docs/reasons.md tells of reasons that do not exist");
}

#[test]
fn every_reason_of_a_condition_is_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reasons.md")).unwrap();
    let resources = page.split("## Resources").nth(1).unwrap().split("\n## ").next().unwrap();
    for reason in wesley::api::Reason::iter() {
        assert!(resources.contains(&format!("| `{reason}` | ")), "docs/reasons.md has no row for {reason}");
    }
    let rows = resources.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, wesley::api::Reason::iter().count(), "docs/reasons.md tells of reasons that do not exist");
}
