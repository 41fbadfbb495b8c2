//! Renaming in types, functions, statistics objects, publications, casts.

use super::super::edit::{Edit, Outcome};
use super::names_in;
use crate::catalog::expression::{Renaming, Scope, in_expression, in_function, in_types};
use crate::catalog::{Function, Name, TypeKind, UserType};

pub(super) fn apply(edit: &mut Edit<'_>, renaming: &Renaming) -> Outcome {
    // Texts are read with the old names of both.
    let functions = functions(edit, renaming);
    types(edit, renaming);
    for (at, _) in functions.iter().rev() {
        edit.take_function(*at);
    }
    for (_, function) in functions {
        edit.add_function(function);
    }
    statistics(edit, renaming);
    rest(edit, renaming);
    Ok(())
}

fn types(edit: &mut Edit<'_>, renaming: &Renaming) {
    let mut changed: Vec<(Name, Name, UserType)> = Vec::new();
    for (name, user_type) in &edit.types {
        let new_name = renaming.of_type(name).unwrap_or_else(|| name.clone());
        let mut copy = user_type.clone();
        let mut is_changed = new_name != *name;
        match &mut copy.kind {
            TypeKind::Domain { base, default, constraints, .. } => {
                is_changed |= names_in::in_type(base, renaming);
                let scope = Scope { value: Some(crate::catalog::expression::Type::of(base)), ..Scope::default() };
                if let Some(default) = default
                    && let Some(new) = in_expression(edit, &scope, default, renaming)
                {
                    *default = new;
                    is_changed = true;
                }
                for constraint in constraints {
                    is_changed |= in_check(edit, &scope, &mut constraint.definition, renaming);
                    for function in &mut constraint.functions {
                        if let Some(new) = renaming.of_function(function) {
                            *function = new;
                            is_changed = true;
                        }
                    }
                }
            }
            TypeKind::Composite { attributes } => {
                for attribute in attributes {
                    is_changed |= names_in::in_column(attribute, renaming);
                }
            }
            TypeKind::Range { subtype } => {
                if let Some((old, new)) = &renaming.data_type
                    && *subtype == old.to_string()
                {
                    *subtype = new.to_string();
                    is_changed = true;
                }
            }
            _ => {}
        }
        if is_changed {
            changed.push((name.clone(), new_name, copy));
        }
    }
    for (old, new, _) in &changed {
        if old != new {
            edit.take_type(old);
        }
    }
    for (_, new, user_type) in changed {
        edit.put_type(new, user_type);
    }
}

/// Rewrites the CHECK of a domain; `true` when it changed.
fn in_check(edit: &Edit<'_>, scope: &Scope<'_>, definition: &mut String, renaming: &Renaming) -> bool {
    let (check, tail) = match definition.strip_suffix(" NOT VALID") {
        Some(check) => (check, " NOT VALID"),
        None => (definition.as_str(), ""),
    };
    let condition = check.strip_prefix("CHECK (").and_then(|check| check.strip_suffix(')'));
    let Some(new) = condition.and_then(|condition| in_expression(edit, scope, condition, renaming)) else {
        return false;
    };
    *definition = format!("CHECK ({new}){tail}");
    true
}

/// The functions that change, with their places.
fn functions(edit: &Edit<'_>, renaming: &Renaming) -> Vec<(usize, Function)> {
    let mut changed: Vec<(usize, Function)> = Vec::new();
    for (at, function) in edit.functions.iter().enumerate() {
        let mut copy = function.clone();
        let mut is_changed = names_in::in_references(&mut copy.references, renaming);
        for name in &mut copy.functions {
            if let Some(new) = renaming.of_function(name) {
                *name = new;
                is_changed = true;
            }
        }
        for name in &mut copy.types {
            if let Some(new) = renaming.of_type(name) {
                copy.arguments = in_types(&copy.arguments, name, &new);
                copy.result = in_types(&copy.result, name, &new);
                *name = new;
                is_changed = true;
            }
        }
        if let Some(new) = renaming.of_function(&copy.name) {
            copy.name = new;
            is_changed = true;
        }
        if is_changed {
            if let Some(definition) = in_function(edit, &copy.definition, renaming) {
                copy.definition = definition;
            }
            copy.types.sort();
            copy.functions.sort();
            changed.push((at, copy));
        }
    }
    changed
}

fn statistics(edit: &mut Edit<'_>, renaming: &Renaming) {
    let affected: Vec<Name> = edit
        .statistics
        .iter()
        .filter(|(name, own)| {
            let in_schema = renaming.schema.as_ref().is_some_and(|(old, _)| name.schema == *old);
            let of_column = own.columns.iter().any(|column| renaming.of_column(&own.table, column).is_some());
            in_schema || of_column || renaming.of_relation(&own.table).is_some()
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in affected {
        let Some(mut own) = edit.small().statistics.remove(&name) else { continue };
        let renamed = match &renaming.schema {
            Some((old, new)) if name.schema == *old => Name::new(new.as_str(), name.name.as_str()),
            _ => name.clone(),
        };
        let relation = edit.relations.get(&own.table).cloned();
        let scope = relation.as_ref().map(|relation| Scope::table(&own.table, relation)).unwrap_or_default();
        if let Some((head, rest)) = own.definition.clone().split_once(" ON ")
            && let Some((list, _)) = rest.rsplit_once(" FROM ")
        {
            let list = in_expression(edit, &scope, list, renaming).unwrap_or_else(|| list.to_owned());
            let table = renaming.of_relation(&own.table).unwrap_or_else(|| own.table.clone());
            let head = head.replacen(&name.to_string(), &renamed.to_string(), 1);
            own.definition = format!("{head} ON {list} FROM {table}");
        }
        for column in &mut own.columns {
            if let Some(new) = renaming.of_column(&own.table, column) {
                *column = new;
            }
        }
        if let Some(new) = renaming.of_relation(&own.table) {
            own.table = new;
        }
        edit.small().statistics.insert(renamed, own);
    }
}

fn rest(edit: &mut Edit<'_>, renaming: &Renaming) {
    let small = edit.small();
    for publication in small.publications.values_mut() {
        for table in &mut publication.tables {
            if let Some(new) = renaming.of_relation(table) {
                *table = new;
            }
        }
        publication.tables.sort();
        names_in::in_references(&mut publication.columns, renaming);
    }
    for cast in &mut small.casts {
        for name in [&mut cast.source, &mut cast.target] {
            if let Some(new) = renaming.of_type(name) {
                *name = new;
            }
        }
    }
    small.casts.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    for event_trigger in small.event_triggers.values_mut() {
        if let Some(new) = renaming.of_function(&event_trigger.function) {
            event_trigger.function = new;
        }
    }
    if let Some((old, new)) = &renaming.schema {
        if let Some(schema) = small.schemas.remove(old) {
            small.schemas.insert(new.clone(), schema);
        }
        let swap = |name: &mut String| {
            if name == old {
                new.clone_into(name);
            }
        };
        small.extensions.values_mut().for_each(swap);
        small.publications.values_mut().for_each(|own| {
            own.schemas.iter_mut().for_each(swap);
            own.schemas.sort();
        });
        small.default_privileges.iter_mut().filter_map(|own| own.schema.as_mut()).for_each(swap);
        // The setting still has the old name, which no schema has any more.
        small.server.search_path.retain(|own| own != old);
    }
}
