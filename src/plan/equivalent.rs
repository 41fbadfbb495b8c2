//! Whether two catalogs describe the same schema: what a plan must reach compared with what the author wrote.

use crate::catalog::{Catalog, ConstraintKind, Relation, Statistics};

/// Sizes are left out, and so is the order of what has no order.
pub(super) fn equivalent(one: &Catalog, other: &Catalog) -> bool {
    one.relations.len() == other.relations.len()
        && one.relations.iter().zip(&other.relations).all(|((name, relation), (other_name, other_relation))| {
            name == other_name
                && (std::ptr::eq(relation, other_relation)
                    || relation == other_relation
                    || plain(relation) == plain(other_relation))
        })
        && one.schemas == other.schemas
        && one.types == other.types
        && one.functions == other.functions
        && one.casts == other.casts
        && one.publications == other.publications
        && one.event_triggers == other.event_triggers
        && one.extensions == other.extensions
        && one.statistics == other.statistics
}

/// The relation without sizes and with its parts in one order. Column order stays: only a pattern that says so
/// may change it.
fn plain(relation: &Relation) -> Relation {
    let mut relation = relation.clone();
    relation.stats = Statistics::default();
    let partition = relation.partition_bound.is_some();
    for constraint in &mut relation.constraints {
        // Of keys the server only keeps account of where they were made: nothing else can inherit them.
        if !matches!(constraint.kind, ConstraintKind::Check { .. } | ConstraintKind::NotNull) {
            constraint.no_inherit = true;
        }
        // A partition keeps its not-null constraints when it is detached, its own or not; a primary key of the
        // partition makes them its own.
        if constraint.kind == ConstraintKind::NotNull && partition && constraint.inherited > 0 {
            constraint.local = false;
        }
    }
    relation.constraints.sort_by(|a, b| a.name.cmp(&b.name));
    relation.triggers.sort_by(|a, b| a.name.cmp(&b.name));
    relation.policies.sort_by(|a, b| a.name.cmp(&b.name));
    relation.rules.sort_by(|a, b| a.name.cmp(&b.name));
    relation
}
