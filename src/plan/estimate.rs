//! What a step is expected to cost, as a range. The figures come from the sizes in the catalog and from rates
//! that bracket laptops, cloud disks and large servers; the basis says so.

use std::collections::BTreeSet;

use super::action::Run;
use super::analyze::Target;
use super::created::Created;
use super::expand::size;
use super::model::{Estimate, HazardId, Script};
use crate::catalog::{Catalog, Name};

/// Bytes in a second for reading a table in full: slow network disk, and all of it in memory.
const SCAN: (i64, i64) = (40 << 20, 2 << 30);
/// Bytes in a second for writing a table anew with its indexes.
const REWRITE: (i64, i64) = (10 << 20, 400 << 20);
/// Bytes of the table in a second for building one index.
const BUILD: (i64, i64) = (10 << 20, 300 << 20);
/// Rows in a second for a backfill with its pauses.
const BACKFILL: (i64, i64) = (2_000, 100_000);
/// Bytes of WAL for a changed row besides the row itself: headers, and one entry in each of some indexes. Rows of
/// 140 bytes with one index wrote 600 to 720 bytes each where every page was touched for the first time.
const CHANGED_ROW: i64 = 300;

/// What kind of work goes through the relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Read in full.
    Scan,
    /// Written anew.
    Rewrite,
    /// Read to build an index.
    Build,
    /// Changed in batches.
    Backfill,
}

/// The estimate of work of that kind on these relations.
pub(super) fn estimate<'a>(
    kind: Kind,
    relations: impl Iterator<Item = &'a Name>,
    catalog: &Catalog,
    created: &Created,
) -> Estimate {
    let (mut rows, mut bytes, mut known) = (0_i64, 0_i64, true);
    for name in relations.filter(|name| !created.relation(name)) {
        let Some(relation) = catalog.relations.get(name) else {
            known = false;
            continue;
        };
        // An index's own size is a part of its table's total.
        if relation.index.is_some() {
            continue;
        }
        known &= relation.stats.rows >= 0;
        rows = rows.saturating_add(relation.stats.rows.max(0));
        bytes = bytes.saturating_add(size(catalog, name));
    }
    if bytes == 0 {
        return Estimate {
            seconds_most: 1,
            basis: "no work proportional to a table's size".to_owned(),
            ..Estimate::default()
        };
    }
    let (amount, (slow, fast), rate) = match kind {
        Kind::Scan => (bytes, SCAN, "reading at 40 MiB/s to 2 GiB/s"),
        Kind::Rewrite => (bytes, REWRITE, "rewriting at 10 to 400 MiB/s"),
        Kind::Build => (bytes, BUILD, "building at 10 to 300 MiB/s of the table"),
        Kind::Backfill => (rows, BACKFILL, "2,000 to 100,000 rows/s"),
    };
    let (wal_bytes_most, disk_bytes_most) = written(kind, rows, bytes);
    let counted = if known { "" } else { "; not all tables have statistics yet" };
    Estimate {
        rows,
        bytes,
        seconds_least: amount / fast,
        seconds_most: amount / slow + 1,
        wal_bytes_most,
        disk_bytes_most,
        basis: format!("sizes of the catalog, {rate}{counted}"),
    }
}

/// Most bytes of WAL, and of disk besides. A page that is changed for the first time after a checkpoint goes into the
/// WAL whole (`full_page_writes`).
fn written(kind: Kind, rows: i64, bytes: i64) -> (i64, i64) {
    match kind {
        Kind::Scan => (0, 0),
        // The old file stays until the transaction ends.
        Kind::Rewrite => (bytes, bytes),
        // The index, and as much for sorting it. It is hardly ever larger than its table.
        Kind::Build => (bytes, bytes.saturating_mul(2)),
        // Each row once more, its page, and its index entries. The table is vacuumed in between.
        Kind::Backfill => (bytes.saturating_mul(2).saturating_add(rows.saturating_mul(CHANGED_ROW)), bytes),
    }
}

/// Statements in a second: one row each with its index entries on a slow disk, and on a fast server.
const STATEMENTS: (i64, i64) = (2_000, 100_000);

/// The estimate of a long run of statements, which says little of the rows behind them.
pub(super) fn of_script(script: &Script) -> Estimate {
    Estimate {
        rows: script.statements,
        bytes: script.bytes,
        seconds_least: script.statements / STATEMENTS.1,
        seconds_most: script.statements / STATEMENTS.0 + 1,
        wal_bytes_most: script.bytes.saturating_mul(2).saturating_add(script.statements.saturating_mul(CHANGED_ROW)),
        disk_bytes_most: script.bytes.saturating_mul(2),
        basis: "the text, one row for each statement, 2,000 to 100,000 statements/s".to_owned(),
    }
}

fn builds_index(run: &Run) -> bool {
    run.impact.hazards.iter().any(|hazard| hazard.id == HazardId::IndexBuild)
        || run.statements.iter().any(|statement| matches!(statement.node, pg_query::NodeEnum::IndexStmt(_)))
}

/// The estimate of statements that run one after another.
pub(super) fn of_run(run: &Run, before: &Catalog, created: &Created) -> Estimate {
    let relation = |target: &Target| match target {
        Target::Any => None,
        Target::Relation(name) => Some(name.clone()),
    };
    let named = |targets: &BTreeSet<Target>| -> Vec<Name> { targets.iter().filter_map(relation).collect() };
    let (rewrites, scans) = (named(&run.impact.rewrites), named(&run.impact.scans));
    let anything = run.impact.scans.union(&run.impact.rewrites).any(|target| *target == Target::Any);
    let (kind, names) = if anything {
        (Kind::Rewrite, before.relations.keys().cloned().collect())
    } else if !rewrites.is_empty() {
        (Kind::Rewrite, rewrites)
    } else if builds_index(run) {
        (Kind::Build, scans)
    } else {
        (Kind::Scan, scans)
    };
    estimate(kind, names.iter(), before, created)
}
