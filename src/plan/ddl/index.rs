//! Indexes that stand behind no constraint.

use super::{Ends, Phase, Script, column};
use crate::catalog::{Index, Name, Relation};
use crate::sql::quote;

/// An index that goes, unless its table or constraint takes it along.
pub(super) fn drop(ends: &Ends<'_>, name: &Name, relation: &Relation, script: &mut Script) {
    let Some(index) = &relation.index else {
        return;
    };
    let Some(table) = ends.to.relations.get(&index.table) else {
        return;
    };
    let later = !ends.skip.needed_relation(name);
    let with_column =
        columns(index).any(|column| table.column(column).is_none() || later && ends.skip.column(&index.table, column));
    let part_of_gone = index.parent.as_ref().is_some_and(|parent| !ends.to.relations.contains_key(parent));
    if index.constraint.is_none() && !with_column && !part_of_gone {
        script.add(Phase::DropIndex, format!("DROP INDEX IF EXISTS {name}"));
    }
}

fn columns(index: &Index) -> impl Iterator<Item = &String> {
    index.keys.iter().filter_map(|key| key.column.as_ref()).chain(&index.include).chain(&index.expression_columns)
}

/// An index that comes, unless its constraint or its partitioned parent brings it.
pub(super) fn create(ends: &Ends<'_>, name: &Name, relation: &Relation, script: &mut Script) {
    let Some(index) = &relation.index else {
        return;
    };
    if index.constraint.is_some() {
        return;
    }
    let keys: Option<Vec<String>> = index.keys.iter().map(|key| key.column.clone()).collect();
    if index.unique
        && let Some(column) = keys.as_ref().and_then(|keys| column::without_keys(ends, &index.table, keys))
    {
        ends.key_needs(script, &index.table, column, &quote::ident(&name.name));
    }
    let is_view = ends.to.relations.get(&index.table).is_some_and(|table| table.view.is_some());
    let phase = if is_view { Phase::Attach } else { Phase::Index };
    let new_table = !ends.from.relations.contains_key(&index.table);
    match &index.parent {
        // A partition that comes gets its own before it is attached; the partitioned index then takes it over.
        Some(_) if new_table => script.add(phase, index.definition.clone()),
        Some(parent) if !ends.from.relations.contains_key(parent) => {}
        Some(parent) => {
            script.add(phase, index.definition.clone());
            script.add(Phase::Facts, format!("ALTER INDEX {parent} ATTACH PARTITION {name}"));
        }
        // The definition of a partitioned index says `ON ONLY`; its parts come with it.
        None => script.add(phase, index.definition.replacen(" ON ONLY ", " ON ", 1)),
    }
    statistics(name, None, index, script);
    if index.clustered {
        script.add(Phase::Facts, format!("ALTER TABLE {} CLUSTER ON {}", index.table, quote::ident(&name.name)));
    }
}

/// Differences of an index that stays.
pub(super) fn change(ends: &Ends<'_>, name: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    let (Some(before), Some(index)) = (&old.index, &new.index) else {
        return;
    };
    // Detaching a partition detaches its indexes.
    let detached = |name: &Name| ends.to.relations.get(name).is_some_and(|table| table.partition_bound.is_none());
    if before.parent.is_some() && index.parent.is_none() && !detached(&index.table) {
        script.gap(format!("index {name} cannot be taken out of its partitioned index"));
    }
    let rebuilt = before.definition != index.definition || before.constraint != index.constraint;
    if rebuilt && index.constraint.is_none() && index.parent == before.parent && old.options == new.options {
        if before.constraint.is_none() {
            let with_column = ends.to.relations.get(&index.table) != ends.from.relations.get(&index.table);
            // A changed column changes the definition of its indexes with it, and back; an expression keeps the casts
            // that it got on the way.
            let told = before.keys == index.keys && before.predicate == index.predicate;
            if with_column && before.constraint == index.constraint && told {
                return;
            }
            script.add(Phase::DropIndex, format!("DROP INDEX IF EXISTS {name}"));
        }
        script.add(Phase::Index, index.definition.clone());
    }
    statistics(name, (!rebuilt).then_some(before), index, script);
    if before.clustered != index.clustered {
        let what = if index.clustered {
            format!("CLUSTER ON {}", quote::ident(&name.name))
        } else {
            "SET WITHOUT CLUSTER".to_owned()
        };
        script.add(Phase::Facts, format!("ALTER TABLE {} {what}", index.table));
    }
}

/// Statistics targets of expressions.
fn statistics(name: &Name, old: Option<&Index>, new: &Index, script: &mut Script) {
    for (at, key) in new.keys.iter().enumerate() {
        let before = old.and_then(|old| old.keys.get(at)).and_then(|key| key.statistics_target);
        if before != key.statistics_target {
            let target = key.statistics_target.unwrap_or(-1);
            script.add(Phase::Facts, format!("ALTER INDEX {name} ALTER COLUMN {} SET STATISTICS {target}", at + 1));
        }
    }
}
