//! Changes of many rows: an UPDATE that looks at nothing but its own row is done in batches.
//!
//! Others then see a part of the rows changed and a part not, which one UPDATE would never show; the plan says so.
//! What reads other rows, moves rows between partitions, or could count a row twice stays as written.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{AExprKind, BoolExprType, Node, UpdateStmt};

use super::parts;
use crate::catalog::expression::strings;
use crate::plan::analyze::Rel;
use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::{Context, size};
use crate::plan::model::{Assignment, Backfill};
use crate::sql::render::{self, Mentions};

/// Name of the pattern.
pub(in crate::plan) const NAME: &str = "data";

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let NodeEnum::UpdateStmt(update) = &context.statement.node else {
        return None;
    };
    if context.own_session
        || update.with_clause.is_some()
        || !update.from_clause.is_empty()
        || update.returning_clause.is_some()
    {
        return None;
    }
    let range = update.relation.as_ref()?;
    let table = parts::table(context, range)?;
    let leaves = if range.inh { context.look.leaves(table) } else { vec![table] };
    let bytes = leaves.iter().map(|leaf| size(context.before(), leaf.name)).fold(0, i64::saturating_add);
    if range.alias.is_some() || context.private(table.name) || bytes <= context.policy.in_place_bytes {
        return None;
    }
    let assignments = assignments(update)?;
    let assigned: BTreeSet<&str> = assignments.iter().map(|assignment| assignment.column.as_str()).collect();
    let (values, filtered) = mentions(update)?;
    let has = |node: &str| values.has(node) || filtered.has(node);
    let moves = leaves.iter().any(|leaf| moves_rows(context, *leaf, &assigned));
    let qualified = values.qualified_columns || filtered.qualified_columns;
    if has("SubLink") || moves || (leaves.len() > 1 && qualified) || counts_statements(table, &leaves) {
        return None;
    }
    if update.where_clause.as_ref().is_some_and(|filter| picks_one(context, table, filter)) {
        return None;
    }
    // The filter may look at what is assigned: a row that it takes twice gets the same values twice.
    let calls = has("FuncCall") || has("SqlvalueFunction");
    let idempotent = !calls && values.columns.iter().all(|column| !assigned.contains(column.as_str()));
    let filter = match &update.where_clause {
        Some(filter) => Some(render::render_expression(filter)?),
        None => None,
    };
    let mut pieces = Vec::new();
    for leaf in leaves {
        let key = parts::row_key(context, leaf, idempotent);
        if (key.is_empty() && !idempotent) || key.iter().any(|column| assigned.contains(column.as_str())) {
            return None;
        }
        let backfill = Backfill {
            schema: leaf.name.schema.clone(),
            table: leaf.name.name.clone(),
            key,
            assignments: assignments.clone(),
            filter: filter.clone(),
            idempotent,
        };
        let note = (!idempotent).then(|| {
            format!(
                "rows of {} whose key the application changes meanwhile may be left out, or changed twice",
                leaf.name
            )
        });
        let description = format!("Updates the rows of {} in batches", leaf.name);
        pieces.push(Draft::backfill(description, backfill).noted(note).into());
    }
    Some(pieces)
}

/// What the expressions of the SET list mention, and what the WHERE clause does.
fn mentions(update: &UpdateStmt) -> Option<(Mentions, Mentions)> {
    let (mut values, mut filtered) = (Mentions::default(), Mentions::default());
    for target in &update.target_list {
        let NodeEnum::ResTarget(target) = target.node.as_ref()? else {
            return None;
        };
        values.add(target.val.as_ref()?);
    }
    if let Some(filter) = &update.where_clause {
        filtered.add(filter);
    }
    Some((values, filtered))
}

/// Whether a trigger fires once for the author's one statement: it would fire for every batch.
fn counts_statements(table: Rel<'_>, leaves: &[Rel<'_>]) -> bool {
    leaves
        .iter()
        .chain([&table])
        .flat_map(|part| &part.relation.triggers)
        .any(|trigger| trigger.on_update && !trigger.for_each_row && trigger.enabled != 'D')
}

fn assignments(update: &UpdateStmt) -> Option<Vec<Assignment>> {
    update
        .target_list
        .iter()
        .map(|target| {
            let NodeEnum::ResTarget(target) = target.node.as_ref()? else {
                return None;
            };
            let plain = target.indirection.is_empty();
            let expression = render::render_expression(target.val.as_ref()?)?;
            plain.then(|| Assignment { column: target.name.clone(), expression })
        })
        .collect()
}

/// Whether an assigned column decides which partition a row belongs to.
fn moves_rows<'a>(context: &Context<'a>, leaf: Rel<'a>, assigned: &BTreeSet<&str>) -> bool {
    context.look.ancestors(leaf).into_iter().any(|parent| {
        let key = parent.relation.partition_key.as_ref();
        key.is_some_and(|key| key.columns.iter().any(|column| assigned.contains(column.as_str())))
    })
}

/// Whether the filter names one value for every column of a unique key: then there is one row at most.
fn picks_one(context: &Context<'_>, table: Rel<'_>, filter: &Node) -> bool {
    let mut fixed = BTreeSet::new();
    fixed_columns(filter, &mut fixed);
    context.look.indexes(table.name).iter().filter_map(|index| index.relation.index.as_ref()).any(|index| {
        index.unique
            && index.predicate.is_none()
            && index.keys.iter().all(|key| key.column.as_ref().is_some_and(|column| fixed.contains(column)))
    })
}

fn fixed_columns(filter: &Node, fixed: &mut BTreeSet<String>) {
    match &filter.node {
        Some(NodeEnum::BoolExpr(all)) if all.boolop() == BoolExprType::AndExpr => {
            all.args.iter().for_each(|part| fixed_columns(part, fixed));
        }
        Some(NodeEnum::AExpr(test)) if test.kind() == AExprKind::AexprOp && strings(&test.name) == ["="] => {
            for (side, other) in [(&test.lexpr, &test.rexpr), (&test.rexpr, &test.lexpr)] {
                let (Some(side), Some(other)) = (side, other) else { continue };
                let mut of_other = Mentions::default();
                of_other.add(other);
                if let (Some(NodeEnum::ColumnRef(column)), true) = (&side.node, of_other.columns.is_empty())
                    && let Some(name) = strings(&column.fields).pop()
                {
                    fixed.insert(name);
                }
            }
        }
        _ => {}
    }
}
