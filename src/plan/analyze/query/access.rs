//! Whether the server reads a relation in full or finds the rows through an index.
//!
//! The claim may be too high, never too low: only where a unique index gives at most one row, and that is
//! clearly cheaper than reading the table by the planner's default costs, is the table not read in full. How
//! selective another condition is the catalog does not tell.

use std::collections::BTreeSet;

use super::conditions::{self, Condition, fixed_columns};
use super::from::{Member, ROW_ADDRESS};
use crate::catalog::{Index, Relation, Statistics};
use crate::plan::analyze::resolve::{Rel, Resolver};

/// Bytes of a page.
const PAGE: i64 = 8192;
/// `seq_page_cost`, `cpu_tuple_cost` and `cpu_operator_cost` as they are by default.
const PAGE_COST: f64 = 1.0;
const ROW_COST: f64 = 0.01;
const OPERATOR_COST: f64 = 0.0025;
/// `random_page_cost` and `cpu_index_tuple_cost` by default.
const RANDOM_PAGE_COST: f64 = 4.0;
const INDEX_ROW_COST: f64 = 0.005;
/// What finding one row through an index costs: two pages at `random_page_cost` and the way down the tree.
const LOOKUP_COST: f64 = 8.32;
/// Each further key of a list costs about a page of the index and one of the table.
const FURTHER_LOOKUP_COST: f64 = 8.0;

/// The planner's cost of reading the relation in full, with `operators` comparisons for each row.
fn full_cost(relation: &Relation, operators: usize) -> f64 {
    let Statistics { rows, bytes, .. } = relation.stats;
    let pages = bytes / PAGE;
    // A table that was never analysed counts as ten pages at least, full of short rows.
    let (pages, rows) = if rows < 0 { (pages.max(10), pages.max(10) * 100) } else { (pages, rows) };
    #[allow(clippy::cast_precision_loss)]
    let (pages, rows) = (pages as f64, rows as f64);
    #[allow(clippy::cast_precision_loss)]
    let per_row = ROW_COST + OPERATOR_COST * operators as f64;
    pages * PAGE_COST + rows * per_row
}

/// Whether looking one row up through a unique index beats reading the relation.
pub(super) fn lookup_wins(relation: &Relation, operators: usize) -> bool {
    full_cost(relation, operators) > LOOKUP_COST
}

/// Whether the first rows of an index are surely cheaper than reading the relation and sorting.
pub(super) fn head_wins(relation: &Relation, rows: i128) -> bool {
    let Ok(rows) = u32::try_from(rows) else { return false };
    full_cost(relation, 1) > 2.0 * (LOOKUP_COST + FURTHER_LOOKUP_COST * f64::from(rows))
}

/// Whether reading an index in full instead of the table is cheaper: every page of it at `random_page_cost`, and
/// the pages of the table that are not all-visible.
fn index_only_wins(relation: &Relation, index: &Relation) -> bool {
    let Statistics { rows, bytes, visible_pages, .. } = relation.stats;
    let pages = bytes / PAGE;
    if rows < 0 || pages == 0 {
        return false;
    }
    #[allow(clippy::cast_precision_loss)]
    let (pages, rows, visible, index_pages) =
        (pages as f64, rows as f64, visible_pages as f64, (index.stats.bytes / PAGE) as f64);
    let of_index = index_pages * RANDOM_PAGE_COST + rows * INDEX_ROW_COST + (pages - visible).max(0.0);
    // A tenth more for what the planner adds.
    pages * PAGE_COST > 1.1 * of_index
}

/// Whether the columns are read from the index rather than from the table.
pub(super) fn covers(table: Rel<'_>, candidate: Rel<'_>, columns: &BTreeSet<String>) -> bool {
    let Some(index) = &candidate.relation.index else { return false };
    let keys = index.keys.iter().filter_map(|key| key.column.as_ref());
    let covered: BTreeSet<&String> = keys.chain(&index.include).collect();
    index.method == "btree"
        && index.valid
        && index.predicate.is_none()
        && columns.iter().all(|column| covered.contains(column))
        && index_only_wins(table.relation, candidate.relation)
}

/// Whether the columns contain all of a valid unique index without a predicate: at most one row matches.
pub(super) fn unique_index<'a>(resolver: &Resolver<'a>, rel: Rel<'a>, columns: &BTreeSet<String>) -> Option<&'a Index> {
    resolver.indexes(rel.name).iter().filter_map(|index| index.relation.index.as_deref()).find(|index| {
        index.unique
            && index.valid
            && index.predicate.is_none()
            && index.keys.iter().all(|key| key.column.as_ref().is_some_and(|column| columns.contains(column)))
    })
}

/// Members of a query that give at most one row, following equalities from one to the next.
pub(super) fn single_rows<'a>(
    resolver: &Resolver<'a>,
    members: &[Member<'a>],
    conditions: &[Condition],
) -> BTreeSet<usize> {
    let mut single = BTreeSet::new();
    loop {
        let more: Vec<usize> = members
            .iter()
            .enumerate()
            .filter(|(at, _)| !single.contains(at))
            .filter(|(at, member)| {
                unique_index(resolver, member.rel, &fixed_columns(conditions, *at, &single)).is_some()
            })
            .map(|(at, _)| at)
            .collect();
        if more.is_empty() {
            return single;
        }
        single.extend(more);
    }
}

/// Whether `heap`, the member itself or a partition of it, is read in full.
pub(super) fn is_read_in_full<'a>(
    resolver: &Resolver<'a>,
    heap: Rel<'a>,
    member: usize,
    conditions: &[Condition],
    single: &BTreeSet<usize>,
) -> bool {
    let fixed = fixed_columns(conditions, member, single);
    if fixed.contains(ROW_ADDRESS) {
        return false;
    }
    if unique_index(resolver, heap, &fixed).is_some() && lookup_wins(heap.relation, fixed.len()) {
        return false;
    }
    // A short list of keys of a unique index of one column.
    let by_list = resolver.indexes(heap.name).iter().filter_map(|index| index.relation.index.as_ref()).any(|index| {
        let [key] = index.keys.as_slice() else { return false };
        let Some(column) = key.column.as_deref().filter(|_| index.unique && index.valid && index.predicate.is_none())
        else {
            return false;
        };
        let Some(length) = conditions::list_length(conditions, member, column) else { return false };
        let Ok(length) = u32::try_from(length) else { return false };
        // Twice over, for what the planner saves or adds for a list is not known exactly.
        full_cost(heap.relation, 1) > 2.0 * (LOOKUP_COST + FURTHER_LOOKUP_COST * f64::from(length))
    });
    !by_list
}
