//! A renaming carried through the catalog.

use std::collections::BTreeMap;

use super::super::edit::{Edit, Outcome};
use super::super::{constraint, index, names};
use super::{names_in, small, texts};
use crate::catalog::expression::Renaming;
use crate::catalog::{ConstraintKind, Name, Relation};
use crate::sql::quote;

/// Renames in every relation, type, function and small object that mentions what is renamed.
pub(in super::super) fn apply(edit: &mut Edit<'_>, renaming: &Renaming) -> Outcome {
    let mut changed: Vec<(Name, Name, Relation)> = Vec::new();
    for (name, relation) in candidates(edit, renaming) {
        let new_name = renaming.of_relation(name).unwrap_or_else(|| name.clone());
        let own_column = renaming.column.as_ref().is_some_and(|(table, _, _)| table == name);
        // A copy is only made of what may change.
        if new_name == *name && !own_column && !may_mention(relation, renaming) {
            continue;
        }
        let mut relation = relation.clone();
        texts::rewrite(edit, name, &mut relation, renaming)?;
        names_in::replace(&mut relation, name, renaming);
        if let Some((table, old, new)) = &renaming.column
            && table == name
        {
            rename_own(&mut relation, old, new);
        }
        rename_identity(&mut relation, name, renaming);
        changed.push((name.clone(), new_name, relation));
    }
    small::apply(edit, renaming)?;
    for (old, new, _) in &changed {
        if old != new {
            edit.take_relation(old);
        }
    }
    let renamed: Vec<Name> = changed.iter().map(|(_, new, _)| new.clone()).collect();
    for (_, new, relation) in changed {
        edit.put_relation(new, relation);
    }
    for name in renamed {
        redefine(edit, &name)?;
    }
    Ok(())
}

/// The relations that may have to change, in the order of their names.
fn candidates<'a>(edit: &'a Edit<'_>, renaming: &Renaming) -> BTreeMap<&'a Name, &'a Relation> {
    let Renaming { relation, column, function, data_type, label, schema } = renaming;
    // Casts in expressions name types that no column has.
    if label.is_some() || schema.is_some() || data_type.is_some() {
        return edit.relations.iter().collect();
    }
    let old = [relation, function].into_iter().flatten().map(|(old, _)| old);
    old.chain(column.iter().map(|(table, _, _)| table))
        .flat_map(|name| edit.relations.referring_to(name).chain(edit.relations.get_key_value(name)))
        .collect()
}

/// Whether something in the relation may have to change. Reads only: in a large catalog nearly nothing does.
fn may_mention(relation: &Relation, renaming: &Renaming) -> bool {
    if let Some((_, old, _)) = &renaming.label {
        let quoted = format!("'{}'", old.replace('\'', "''"));
        return mentions_text(relation, &quoted);
    }
    let in_cast = renaming.data_type.as_ref().is_some_and(|(old, _)| mentions_text(relation, &quote::ident(&old.name)));
    in_cast || names_in::mentioned(relation, renaming)
}

/// Whether the text stands in one of the relation's definitions.
fn mentions_text(relation: &Relation, wanted: &str) -> bool {
    let has = |text: &str| text.contains(wanted);
    let optional = |text: &Option<String>| text.as_deref().is_some_and(has);
    relation.columns.iter().any(|own| optional(&own.default))
        || relation.constraints.iter().any(|own| has(&own.definition))
        || relation.policies.iter().any(|own| optional(&own.using) || optional(&own.with_check))
        || relation.rules.iter().any(|own| has(&own.definition))
        || relation.triggers.iter().any(|own| has(&own.definition))
        || relation.view.as_ref().is_some_and(|own| has(&own.definition))
        || relation.index.as_ref().is_some_and(|own| has(&own.definition))
        || relation.partition_key.as_ref().is_some_and(|own| has(&own.definition))
}

fn rename_own(relation: &mut Relation, old: &str, new: &str) {
    for column in relation.columns.iter_mut().filter(|column| column.name == old) {
        new.clone_into(&mut column.name);
    }
}

/// The replica identity names an index without its schema.
fn rename_identity(relation: &mut Relation, name: &Name, renaming: &Renaming) {
    if let crate::catalog::ReplicaIdentity::Index(index) = &mut relation.replica_identity
        && let Some(new) = renaming.of_relation(&Name::new(name.schema.as_str(), index.as_str()))
    {
        index.clone_from(&new.name);
    }
}

/// Definitions that follow from the facts.
fn redefine(edit: &mut Edit<'_>, name: &Name) -> Outcome {
    let relation = edit.relation(name)?;
    if relation.index.is_some() {
        return index::redefine(edit, name);
    }
    let constraints: Vec<String> = relation
        .constraints
        .iter()
        .filter(|own| own.kind != ConstraintKind::Trigger)
        .map(|own| own.name.clone())
        .collect();
    for own in constraints {
        constraint::redefine(edit, name, &own)?;
    }
    for index in names::indexes(edit, name) {
        index::redefine(edit, &index)?;
    }
    Ok(())
}
