//! The texts of a relation after a renaming: definitions that the server would print anew.

use super::super::edit::{Edit, Outcome};
use super::super::trigger;
use crate::catalog::expression::{Renaming, Scope, in_expression, in_query, in_statement};
use crate::catalog::{ConstraintKind, Name, Relation};

/// Rewrites the expressions and definitions of a relation. The catalog has the old names still.
pub(super) fn rewrite(edit: &Edit<'_>, own: &Name, relation: &mut Relation, renaming: &Renaming) -> Outcome {
    let subject = match &relation.index {
        Some(index) => index.table.clone(),
        None => own.clone(),
    };
    let old = edit.relations.get(&subject).cloned();
    let scope = old.as_ref().map(|old| Scope::table(&subject, old)).unwrap_or_default();
    let expression = |text: &mut String| {
        if let Some(new) = in_expression(edit, &scope, text, renaming) {
            *text = new;
        }
    };
    for column in &mut relation.columns {
        if let Some(default) = &mut column.default {
            expression(default);
            literal(default, renaming);
        }
    }
    for constraint in &mut relation.constraints {
        if let ConstraintKind::Check { expression: text } = &mut constraint.kind {
            expression(text);
        }
    }
    for policy in &mut relation.policies {
        policy.using.iter_mut().for_each(expression);
        policy.with_check.iter_mut().for_each(expression);
    }
    if let Some(key) = &mut relation.partition_key {
        // `RANGE (..)`: what is in the parentheses is a row of expressions.
        if let Some((word, list)) = key.definition.clone().split_once(' ') {
            let mut list = format!("f{list}");
            expression(&mut list);
            key.definition = format!("{word} {}", &list[1..]);
        }
    }
    if let Some(index) = &mut relation.index {
        for key in &mut index.keys {
            key.expression.iter_mut().for_each(expression);
        }
        index.predicate.iter_mut().for_each(expression);
    }
    if let Some(view) = &mut relation.view
        && let Some(new) = in_query(edit, &view.definition, renaming)
    {
        view.definition = new;
    }
    for rule in &mut relation.rules {
        if let Some(new) = in_statement(edit, &scope, &rule.definition, renaming) {
            rule.definition = new;
        }
    }
    for own_trigger in &mut relation.triggers {
        if let Some(old) = &old {
            own_trigger.definition = trigger::renamed(edit, &subject, old, own_trigger, renaming);
        }
    }
    Ok(())
}

/// Relations named by a literal: `'public.s'::regclass`.
fn literal(text: &mut String, renaming: &Renaming) {
    let quoted = |name: &Name| format!("'{}'", name.to_string().replace('\'', "''"));
    if let Some((old, new)) = &renaming.relation {
        *text = text.replace(&quoted(old), &quoted(new));
    }
    if let Some((old, new)) = &renaming.schema {
        let begin = |schema: &str| format!("'{}.", crate::sql::quote::ident(schema));
        *text = text.replace(&begin(old), &begin(new));
    }
}
