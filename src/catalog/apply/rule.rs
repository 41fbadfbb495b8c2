//! Rewrite rules.

use pg_query::protobuf::{Node, RuleStmt, node};

use super::edit::{Edit, Outcome, fail};
use super::names;
use crate::catalog::expression::{Analysis, Item, Scope, cook_condition, qualified_rule, statement_uses};
use crate::catalog::{Name, Rule};
use crate::sql::quote;

/// `CREATE [OR REPLACE] RULE`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &RuleStmt) -> Outcome {
    let table = names::relation(edit, statement.relation.as_ref())?;
    let relation = edit.relation(&table)?;
    let old = relation.rules.iter().find(|rule| rule.name == statement.rulename).cloned();
    if old.is_some() && !statement.replace {
        fail!("rule {} of {table} already exists", quote::ident(&statement.rulename));
    }
    let row = |alias: &str| Item {
        alias: alias.to_owned(),
        schema: String::new(),
        qualified_only: true,
        ..Item::relation(&table, relation)
    };
    let scope = Scope { items: vec![row("old"), row("new")], qualify: true, ..Scope::default() };
    let analysis = Analysis::new(edit);
    for action in &statement.actions {
        statement_uses(&analysis, &scope, action)?;
    }
    let mut uses = analysis.uses.into_inner();
    if let Some(condition) = statement.where_clause.as_deref() {
        let cooked = cook_condition(edit, &scope, condition)?;
        uses.columns.extend(cooked.uses.columns);
        uses.functions.extend(cooked.uses.functions);
    }
    let mut references = uses.references();
    references.retain(|reference| reference.relation != table || reference.column.is_some());
    let rule = Rule {
        name: statement.rulename.clone(),
        definition: definition(edit, &table, statement)?,
        references,
        functions: uses.functions(),
        enabled: 'O',
        comment: old.and_then(|old| old.comment),
    };
    let rules = &mut edit.relation_mut(&table)?.rules;
    rules.retain(|other| other.name != rule.name);
    let at = rules.partition_point(|other| other.name < rule.name);
    rules.insert(at, rule);
    Ok(())
}

/// The statement with every name qualified.
fn definition(edit: &Edit<'_>, table: &Name, statement: &RuleStmt) -> Outcome<String> {
    let plain = RuleStmt { replace: false, ..statement.clone() };
    let node = Node { node: Some(node::Node::RuleStmt(Box::new(plain))) };
    let Ok(text) = node.deparse(Default::default()) else { fail!("the rule cannot be written") };
    let scope = Scope::table(table, edit.relation(table)?);
    let text = qualified_rule(edit, &scope, &text).unwrap_or(text);
    Ok(format!("{text};"))
}
