//! Effects that many statements have on a relation, said in one way.

use super::Impact;
use super::resolve::Rel;

/// Says that the relation is read in full. A relation without a single page is not read at all, and one
/// without storage (partitioned table, view) has nothing to read.
pub(super) fn scan(impact: &mut Impact, relation: Rel<'_>) {
    if relation.relation.kind.has_heap() && !relation.relation.stats.empty {
        impact.scans.insert(relation.name.clone().into());
    }
}
