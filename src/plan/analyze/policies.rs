//! Row security policies.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterPolicyStmt, CreatePolicyStmt, Node, RangeVar, RoleSpecType};

use super::expression::{self, Place};
use super::refusal::{require_relation, require_role, wrong_kind};
use super::resolve::Rel;
use super::{Impact, Resolver, query};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// AccessExclusive on the table, AccessShare on what subqueries of its expressions name.
pub(super) fn create_policy(statement: &CreatePolicyStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(table) = lock(&mut impact, resolver, statement.table.as_ref()) else { return impact };
    if table.relation.policies.iter().any(|policy| policy.name == statement.policy_name) {
        impact.refuse(
            "42710",
            format!("policy \"{}\" for table \"{}\" already exists", statement.policy_name, table.name.name),
            "Choose another name, or use ALTER POLICY.",
        );
    }
    match statement.cmd_name.as_str() {
        "insert" if statement.qual.is_some() => impact.refuse(
            "42601",
            "only WITH CHECK expression allowed for INSERT",
            "Write the condition as WITH CHECK instead of USING.",
        ),
        "select" | "delete" if statement.with_check.is_some() => {
            impact.refuse("42601", "WITH CHECK cannot be applied to SELECT or DELETE", "Write the condition as USING.")
        }
        _ => {}
    }
    parts(&mut impact, resolver, table, &statement.roles, [&statement.qual, &statement.with_check]);
    impact
}

/// As [`create_policy`].
pub(super) fn alter_policy(statement: &AlterPolicyStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(table) = lock(&mut impact, resolver, statement.table.as_ref()) else { return impact };
    if !table.relation.policies.iter().any(|policy| policy.name == statement.policy_name) {
        impact.refuse(
            "42704",
            format!("policy \"{}\" for table \"{}\" does not exist", statement.policy_name, table.name.name),
            "Check the name, or create the policy.",
        );
    }
    parts(&mut impact, resolver, table, &statement.roles, [&statement.qual, &statement.with_check]);
    impact
}

fn lock<'a>(impact: &mut Impact, resolver: &Resolver<'a>, name: Option<&RangeVar>) -> Option<Rel<'a>> {
    let table = require_relation(impact, resolver, name?, false)?;
    if !table.relation.kind.is_table() {
        wrong_kind(impact, &table.name.name, "a table");
        return None;
    }
    impact.lock(table.name.clone(), LockMode::AccessExclusive);
    impact.hazard(HazardId::Authorization, Some(table.name), "Which rows the roles may see or change is decided anew.");
    Some(table)
}

fn parts(
    impact: &mut Impact,
    resolver: &Resolver<'_>,
    table: Rel<'_>,
    roles: &[Node],
    expressions: [&Option<Box<Node>>; 2],
) {
    for role in roles {
        if let Some(NodeEnum::RoleSpec(role)) = &role.node
            && role.roletype == RoleSpecType::RolespecCstring as i32
        {
            require_role(impact, resolver, &role.rolename);
        }
    }
    for expression in expressions.into_iter().flatten() {
        if let Err(problem) = expression::check(expression, table.relation, Place::Policy) {
            impact.refuse(problem.sqlstate, problem.message, problem.hint);
        }
        impact.merge(query::named_in(expression, resolver));
    }
}
