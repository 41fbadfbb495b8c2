//! CREATE RULE.

use pg_query::protobuf::{CmdType, RuleStmt};

use super::refusal::{require_relation, wrong_kind};
use super::{Impact, Resolver, query};
use crate::catalog::RelationKind;
use crate::plan::lock::LockMode;

/// AccessExclusive on the relation; its actions are analysed, not run: RowExclusive on what they change,
/// AccessShare on what they read.
pub(super) fn create_rule(statement: &RuleStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.relation else { return impact };
    let Some(relation) = require_relation(&mut impact, resolver, name, false) else { return impact };
    impact.lock(relation.name.clone(), LockMode::AccessExclusive);
    if relation.relation.kind == RelationKind::MaterializedView {
        impact.refuse("0A000", "rules on materialized views are not supported", "Put the rule on a table or a view.");
        return impact;
    }
    if !matches!(relation.relation.kind, RelationKind::Table | RelationKind::PartitionedTable | RelationKind::View) {
        wrong_kind(&mut impact, &relation.name.name, "a table or view");
        return impact;
    }
    let exists = relation.relation.rules.iter().any(|rule| rule.name == statement.rulename);
    if exists && !statement.replace {
        impact.refuse(
            "42710",
            format!("rule \"{}\" for relation \"{}\" already exists", statement.rulename, relation.name.name),
            "Choose another name, or use CREATE OR REPLACE RULE.",
        );
    }
    let on_select = statement.event == CmdType::CmdSelect as i32;
    if on_select && relation.relation.kind != RelationKind::View && resolver.major() >= 16 {
        impact.refuse(
            "42809",
            format!("relation \"{}\" cannot have ON SELECT rules", relation.name.name),
            "Create a view instead.",
        );
    }
    if let Some(condition) = &statement.where_clause {
        impact.merge(query::named_in(condition, resolver));
    }
    for action in statement.actions.iter().filter_map(|node| node.node.as_ref()) {
        impact.merge(query::named_by(action, resolver));
    }
    impact
}
