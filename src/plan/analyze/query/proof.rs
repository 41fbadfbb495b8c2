//! What check constraints prove about the rows of a table.

use pg_query::NodeEnum;

use super::conditions::{Condition, Fact, allowed, facts};
use super::from::{Level, Member, Source};
use super::partitions::Bound;
use crate::catalog::ConstraintKind;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;

/// Whether validated checks of the table leave no row with a value of the column inside the bound.
pub(in crate::plan::analyze) fn excluded_by_checks(table: Rel<'_>, column: &str, bound: &Bound) -> bool {
    let Some(type_name) = table.relation.column(column).map(|column| column.data_type.name.name.as_str()) else {
        return false;
    };
    let mut level = Level {
        members: vec![Member { rel: table, mode: LockMode::AccessShare, inherit: false, sampled: false }],
        names: vec![(table.name.name.clone(), Source::Member(0))],
        conditions: Vec::new(),
    };
    for constraint in table.relation.constraints.iter().filter(|constraint| constraint.validated && constraint.enforced)
    {
        let ConstraintKind::Check { expression } = &constraint.kind else { continue };
        let Ok(parsed) = crate::sql::parse(&format!("SELECT WHERE {expression}")) else { continue };
        let Some(NodeEnum::SelectStmt(select)) = parsed.into_iter().next().map(|statement| statement.node) else {
            continue;
        };
        let Some(condition) = select.where_clause.and_then(|node| node.node) else { continue };
        let found: Vec<Fact> = facts(&condition, &level, &|_| false);
        level.conditions.extend(found.into_iter().map(|fact| Condition { fact, only: None }));
    }
    allowed(&level.conditions, 0, column).is_some_and(|allowed| !bound.may_hold(&allowed, type_name))
}
