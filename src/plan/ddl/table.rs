//! Tables: made anew, and their place among partitions and parents.

use super::{Ends, Phase, Script, column, constraint, relation};
use crate::catalog::{ConstraintKind, Name, Persistence, Relation, RelationKind};
use crate::sql::quote;

/// `CREATE TABLE` with what belongs to it.
pub(super) fn create(ends: &Ends<'_>, name: &Name, table: &Relation, script: &mut Script) {
    let mut parts = Vec::new();
    let partition = table.partition_bound.as_ref().and_then(|bound| Some((table.parents.first()?, bound)));
    for column in &table.columns {
        if partition.is_none() && column.inherited > 0 && !column.local {
            continue;
        }
        let not_null = if column.not_null { column::not_null(table, column) } else { String::new() };
        // Defaults from a sequence that the column owns: the sequence exists by then and is handed over after.
        parts.push(format!("{}{not_null}", column::definition(ends.to, column)));
    }
    for known in &table.constraints {
        // A partition is a table of its own until it is attached, with all that its parent will take over.
        let own = partition.is_some() || (known.local && known.inherited == 0);
        match known.kind {
            ConstraintKind::ForeignKey { from_parent: false, .. } => constraint::add(ends, name, known, script),
            ConstraintKind::ForeignKey { .. } | ConstraintKind::NotNull | ConstraintKind::Trigger => {}
            // `CREATE TABLE` takes every row for proven, there being none.
            _ if own && !known.validated => constraint::add(ends, name, known, script),
            _ if own => parts.push(format!("CONSTRAINT {} {}", quote::ident(&known.name), known.definition)),
            _ => {}
        }
        constraint::commented(name, None, known, script);
    }
    let unlogged = if table.persistence == Persistence::Unlogged { "UNLOGGED " } else { "" };
    let mut text = match &table.of_type {
        // A typed table takes its columns from the type.
        Some(of) => format!("CREATE {unlogged}TABLE {name} OF {of}"),
        None => format!("CREATE {unlogged}TABLE {name} ({})", parts.join(", ")),
    };
    if let Some((parent, bound)) = partition {
        script.add(Phase::Partition, format!("ALTER TABLE {parent} ATTACH PARTITION {name} {bound}"));
    } else if !table.parents.is_empty() {
        let parents: Vec<String> = table.parents.iter().map(ToString::to_string).collect();
        text.push_str(&format!(" INHERITS ({})", parents.join(", ")));
    }
    if let Some(key) = &table.partition_key {
        text.push_str(&format!(" PARTITION BY {}", key.definition));
    }
    if !table.access_method.is_empty() && table.access_method != "heap" {
        text.push_str(&format!(" USING {}", quote::ident(&table.access_method)));
    }
    if !table.options.is_empty() {
        let options: Vec<String> = table.options.iter().map(|option| relation::option_text(option)).collect();
        text.push_str(&format!(" WITH ({})", options.join(", ")));
    }
    if !table.tablespace.is_empty() {
        text.push_str(&format!(" TABLESPACE {}", quote::ident(&table.tablespace)));
    }
    script.add(Phase::CreateTable, text);
    for known in &table.columns {
        column::details(name, None, known, script);
    }
    if table.kind == RelationKind::Table && !table.stats.empty {
        script.lose(format!("the rows of {name}"));
    }
}

/// Attached, detached, inheriting.
pub(super) fn membership(ends: &Ends<'_>, name: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    if old.parents == new.parents && old.partition_bound == new.partition_bound {
        return;
    }
    let was_partition = old.partition_bound.is_some();
    for parent in old.parents.iter().filter(|parent| was_partition || !new.parents.contains(parent)) {
        if !ends.from.relations.contains_key(parent) {
            continue;
        }
        if was_partition {
            script.add(Phase::DropConstraint, format!("ALTER TABLE {parent} DETACH PARTITION {name}"));
        } else {
            script.add(Phase::DropConstraint, format!("ALTER TABLE {name} NO INHERIT {parent}"));
        }
    }
    for parent in new.parents.iter().filter(|parent| new.partition_bound.is_some() || !old.parents.contains(parent)) {
        match &new.partition_bound {
            Some(bound) => {
                script.add(Phase::Own, format!("ALTER TABLE {parent} ATTACH PARTITION {name} {bound}"));
            }
            None => script.add(Phase::Own, format!("ALTER TABLE {name} INHERIT {parent}")),
        }
    }
}
