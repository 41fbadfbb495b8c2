//! Row security policies.

use pg_query::protobuf::{AlterPolicyStmt, CreatePolicyStmt, Node, node};

use super::edit::{Edit, Outcome, fail};
use super::names;
use crate::catalog::expression::{Cooked, Scope, cook_condition};
use crate::catalog::{ColumnReference, Name, Policy};
use crate::sql::quote;

fn roles(edit: &Edit<'_>, nodes: &[Node]) -> Vec<String> {
    let mut roles: Vec<String> = nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(node::Node::RoleSpec(role)) => Some(names::role(edit, role)),
            _ => None,
        })
        .collect();
    if roles.is_empty() || roles.iter().any(|role| role == "public") {
        return vec!["public".to_owned()];
    }
    roles.sort();
    roles
}

fn expression(edit: &Edit<'_>, table: &Name, node: Option<&Node>) -> Outcome<Option<Cooked>> {
    let relation = edit.relation(table)?;
    Ok(node.map(|node| cook_condition(edit, &Scope::table(table, relation), node)).transpose()?)
}

/// What a policy depends on: the table as a whole is understood.
fn references(table: &Name, parts: &[&Cooked]) -> (Vec<ColumnReference>, Vec<Name>) {
    let mut references: Vec<ColumnReference> = parts.iter().flat_map(|cooked| cooked.uses.references()).collect();
    references.retain(|reference| reference.relation != *table || reference.column.is_some());
    references.sort();
    references.dedup();
    let mut functions: Vec<Name> = parts.iter().flat_map(|cooked| cooked.uses.functions()).collect();
    functions.sort();
    functions.dedup();
    (references, functions)
}

/// `CREATE POLICY`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &CreatePolicyStmt) -> Outcome {
    let table = names::relation(edit, statement.table.as_ref())?;
    let name = &statement.policy_name;
    if edit.relation(&table)?.policies.iter().any(|other| other.name == *name) {
        fail!("policy {} of {table} already exists", quote::ident(name));
    }
    let using = expression(edit, &table, statement.qual.as_deref())?;
    let with_check = expression(edit, &table, statement.with_check.as_deref())?;
    let parts: Vec<&Cooked> = using.iter().chain(&with_check).collect();
    let (references, functions) = references(&table, &parts);
    let command = match statement.cmd_name.as_str() {
        "select" => 'r',
        "insert" => 'a',
        "update" => 'w',
        "delete" => 'd',
        _ => '*',
    };
    let policy = Policy {
        name: name.clone(),
        permissive: statement.permissive,
        command,
        roles: roles(edit, &statement.roles),
        using: using.map(|cooked| cooked.text),
        with_check: with_check.map(|cooked| cooked.text),
        references,
        functions,
        comment: None,
    };
    let policies = &mut edit.relation_mut(&table)?.policies;
    let at = policies.partition_point(|other| other.name < policy.name);
    policies.insert(at, policy);
    Ok(())
}

/// `ALTER POLICY`: what it does not mention stays.
pub(super) fn alter(edit: &mut Edit<'_>, statement: &AlterPolicyStmt) -> Outcome {
    let table = names::relation(edit, statement.table.as_ref())?;
    let using = expression(edit, &table, statement.qual.as_deref())?;
    let with_check = expression(edit, &table, statement.with_check.as_deref())?;
    let roles = roles(edit, &statement.roles);
    let found = edit.relation(&table)?.policies.iter().find(|policy| policy.name == statement.policy_name).cloned();
    let Some(mut policy) = found else {
        fail!("policy {} of {table} does not exist", quote::ident(&statement.policy_name));
    };
    if !statement.roles.is_empty() {
        policy.roles = roles;
    }
    // The dependencies of the part that stays are found by reading it again.
    let kept = |new: &Option<Cooked>, old: &Option<String>| -> Outcome<Option<Cooked>> {
        match (new, old) {
            (Some(new), _) => Ok(Some(new.clone())),
            (None, Some(old)) => expression(edit, &table, Some(&super::index::parse(old)?)),
            (None, None) => Ok(None),
        }
    };
    let parts = [kept(&using, &policy.using)?, kept(&with_check, &policy.with_check)?];
    let (references, functions) = references(&table, &parts.iter().flatten().collect::<Vec<_>>());
    policy.references = references;
    policy.functions = functions;
    if let Some(using) = using {
        policy.using = Some(using.text);
    }
    if let Some(with_check) = with_check {
        policy.with_check = Some(with_check.text);
    }
    for own in &mut edit.relation_mut(&table)?.policies {
        if own.name == policy.name {
            *own = policy.clone();
        }
    }
    Ok(())
}
