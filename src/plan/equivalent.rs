//! Whether two catalogs describe the same schema: what a plan must reach compared with what the author wrote.

use pg_query::NodeEnum;

use super::expand::single;
use crate::catalog::apply::privileges_of_owner;
use crate::catalog::compare::{canonical_definition, canonical_expression};
use crate::catalog::{Catalog, ConstraintKind, ExtendedStatistics, Relation, Statistics};
use crate::sql::render;

/// Sizes are left out, and so is the order of what has no order.
pub(super) fn equivalent(one: &Catalog, other: &Catalog) -> bool {
    let major = one.server.major();
    alike(one, other, |relation| plain(relation, major)) && one.statistics == other.statistics
}

/// [`equivalent`], with the columns of tables in any order.
pub(super) fn equivalent_in_any_order(one: &Catalog, other: &Catalog) -> bool {
    let major = one.server.major();
    alike(one, other, |relation| {
        let mut relation = plain(relation, major);
        if relation.kind.is_table() {
            relation.columns.sort_by(|a, b| a.name.cmp(&b.name));
        }
        for constraint in &mut relation.constraints {
            if let ConstraintKind::Check { .. } = constraint.kind {
                constraint.columns.sort();
            }
        }
        if let Some(index) = &mut relation.index {
            index.expression_columns.sort();
        }
        relation
    }) && one.statistics.len() == other.statistics.len()
        && one.statistics.iter().zip(&other.statistics).all(|((name, statistics), (other_name, other_statistics))| {
            name == other_name
                && (statistics == other_statistics || unordered(statistics) == unordered(other_statistics))
        })
}

/// Statistics name columns in the order of the table.
fn unordered(statistics: &ExtendedStatistics) -> (ExtendedStatistics, Vec<String>) {
    let mut plain = statistics.clone();
    plain.columns.sort();
    let mut parts = Vec::new();
    if let Some(NodeEnum::CreateStatsStmt(statement)) = single(&statistics.definition).map(|statement| statement.node) {
        plain.definition =
            render::strings(&NodeEnum::List(pg_query::protobuf::List { items: statement.stat_types.clone() }))
                .join(" ");
        for element in statement.exprs {
            if let Some(NodeEnum::StatsElem(element)) = element.node {
                let expression = element.expr.as_deref().and_then(render::render_expression);
                parts.push(expression.unwrap_or(element.name));
            }
        }
        parts.sort();
    }
    (plain, parts)
}

fn alike(one: &Catalog, other: &Catalog, plain: impl Fn(&Relation) -> Relation) -> bool {
    let same = |relation: &Relation, other: &Relation| relation == other || plain(relation) == plain(other);
    one.relations
        .differences(&other.relations)
        .all(|(_, relation, other)| relation.zip(other).is_some_and(|(relation, other)| same(relation, other)))
        && one.schemas == other.schemas
        && one.types == other.types
        && one.functions == other.functions
        && one.casts == other.casts
        && one.publications == other.publications
        && one.event_triggers == other.event_triggers
        && one.extensions == other.extensions
}

/// The relation without sizes and with its parts in one order. Column order stays.
fn plain(relation: &Relation, major: i32) -> Relation {
    let mut relation = relation.clone();
    relation.privileges = privileges(&relation, major);
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
    spell(&mut relation);
    relation
}

/// Privileges in one order; no list, and a list of what the owner has anyway, are the same.
pub(super) fn privileges(relation: &Relation, major: i32) -> Vec<String> {
    let mut list = relation.privileges.clone();
    if list == privileges_of_owner(relation, major) {
        list.clear();
    }
    list.sort();
    list
}

/// One spelling for what views, rules, policies and triggers say: a definition that a simulation made is laid out
/// otherwise than one that the server printed.
fn spell(relation: &mut Relation) {
    let definition = |text: &mut String| *text = canonical_definition(text).to_string();
    let expression = |text: &mut String| *text = canonical_expression(text).to_string();
    if let Some(view) = &mut relation.view {
        definition(&mut view.definition);
    }
    relation.rules.iter_mut().for_each(|rule| definition(&mut rule.definition));
    relation.triggers.iter_mut().for_each(|trigger| definition(&mut trigger.definition));
    for policy in &mut relation.policies {
        policy.using.iter_mut().chain(&mut policy.with_check).for_each(expression);
    }
}
