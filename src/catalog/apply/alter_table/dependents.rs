//! What hangs on a column whose type changes: what forbids it, and what is built anew.

use super::super::constraint;
use super::super::edit::{Edit, Outcome};
use super::super::{index, names, table};
use crate::catalog::{ColumnReference, ConstraintKind, Generated, Name};
use crate::sql::quote;

/// What keeps the column's type from changing (`RememberAllDependentForRebuilding`).
pub(super) fn blocked(edit: &Edit<'_>, table: &Name, column: &str) -> Outcome<Option<String>> {
    let relation = edit.relation(table)?;
    let is = |name: &String| name == column;
    if relation.partition_key.as_ref().is_some_and(|key| key.columns.iter().any(is)) {
        return Ok(Some("the partition key".to_owned()));
    }
    if relation.of_type.is_some() {
        return Ok(Some("the type of a typed table".to_owned()));
    }
    let reads = |references: &[ColumnReference]| {
        references.iter().any(|own| own.relation == *table && own.column.as_deref() == Some(column))
    };
    for (name, other) in edit.relations.referring_to(table) {
        if other.view.as_ref().is_some_and(|view| reads(&view.references)) {
            return Ok(Some(format!("view {name}")));
        }
        if let Some(rule) = other.rules.iter().find(|rule| reads(&rule.references)) {
            return Ok(Some(format!("rule {} of {name}", quote::ident(&rule.name))));
        }
        if let Some(policy) = other.policies.iter().find(|policy| reads(&policy.references)) {
            return Ok(Some(format!("policy {} of {name}", quote::ident(&policy.name))));
        }
        if let Some(generated) = other.columns.iter().find(|own| own.generated.is_some() && reads(&own.references)) {
            return Ok(Some(format!("generated column {}", quote::ident(&generated.name))));
        }
    }
    if let Some(trigger) = relation.triggers.iter().find(|trigger| trigger.columns.iter().any(is)) {
        return Ok(Some(format!("trigger {}", quote::ident(&trigger.name))));
    }
    if let Some(function) = edit.functions.iter().find(|function| reads(&function.references)) {
        return Ok(Some(format!("function {}", function.name)));
    }
    Ok(None)
}

/// The indexes that mention the column, as statements would make them before its type changes.
pub(super) fn indexes(edit: &Edit<'_>, table: &Name, column: &str) -> Outcome<Vec<(Name, index::Wish)>> {
    let is = |name: &String| name == column;
    let mut out = Vec::new();
    for name in names::indexes(edit, table) {
        let Some(found) = edit.relation(&name)?.index.clone() else { continue };
        let mut keys = found.keys.iter().filter_map(|key| key.column.as_ref());
        if keys.any(is) || found.expression_columns.iter().any(is) || found.include.iter().any(is) {
            let wish = index::like(edit, &name)?;
            out.push((name, wish));
        }
    }
    Ok(out)
}

/// Definitions that mention the column are made anew: their literals may get another type.
pub(super) fn rebuild(edit: &mut Edit<'_>, table: &Name, column: &str, indexes: &[(Name, index::Wish)]) -> Outcome {
    let is = |name: &String| name == column;
    for (name, wish) in indexes {
        renew_index(edit, name, wish)?;
    }
    for found in edit.relation(table)?.constraints.clone() {
        if let ConstraintKind::Check { .. } = &found.kind
            && found.columns.iter().any(is)
        {
            renew_check(edit, table, &found)?;
        }
    }
    let generated: Vec<(String, Generated, String)> = edit
        .relation(table)?
        .columns
        .iter()
        .filter(|own| own.name == column)
        .filter_map(|own| Some((own.name.clone(), own.generated?, own.default.clone()?)))
        .collect();
    for (name, kind, text) in generated {
        let node = index::parse(&text)?;
        table::columns::set_generated(edit, table, &name, kind, &node)?;
    }
    Ok(())
}

fn renew_index(edit: &mut Edit<'_>, name: &Name, wish: &index::Wish) -> Outcome {
    let old = edit.relation(name)?.clone();
    let Some(found) = &old.index else { return Ok(()) };
    let mut renewed = index::renewed(edit, &found.table, wish, name)?;
    renewed.constraint.clone_from(&found.constraint);
    renewed.parent.clone_from(&found.parent);
    renewed.valid = found.valid;
    renewed.immediate = found.immediate;
    renewed.clustered = found.clustered;
    // Statistics targets of expressions go with the old index.
    edit.relation_mut(name)?.index = Some(Box::new(renewed));
    index::redefine(edit, name)
}

fn renew_check(edit: &mut Edit<'_>, table: &Name, found: &crate::catalog::Constraint) -> Outcome {
    let ConstraintKind::Check { expression } = &found.kind else { return Ok(()) };
    let node = pg_query::protobuf::Constraint {
        conname: found.name.clone(),
        raw_expr: Some(Box::new(index::parse(expression)?)),
        is_enforced: found.enforced,
        skip_validation: !found.validated,
        is_no_inherit: found.no_inherit,
        ..Default::default()
    };
    let wished = constraint::Wished { node, column: None, new: false };
    let built = constraint::check::build(edit, table, &wished)?;
    constraint::change(edit, table, &found.name, |own| {
        own.kind = built.kind;
        own.columns = built.columns;
        own.functions = built.functions;
    })?;
    constraint::redefine(edit, table, &found.name)
}
