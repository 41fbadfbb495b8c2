//! Constraints of a table that stays.

use super::{Ends, Phase, Script, column, relation};
use crate::catalog::{Constraint, ConstraintKind, Index, Name, Relation};
use crate::sql::quote;

pub(super) fn change_all(ends: &Ends<'_>, table: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    // A partition keeps what it had of its parent when it is detached.
    let detached = old.partition_bound.is_some() && new.partition_bound.is_none();
    for constraint in old.constraints.iter().filter(|constraint| own(constraint) || detached) {
        let removed_in_time = match new.constraint(&constraint.name) {
            Some(other) if same(constraint, other) => true,
            // One of the same name comes back: this one has to make room for it.
            Some(other) if own(other) => skipped(ends, table, other, true),
            other => {
                // A column that goes takes its constraints along.
                constraint.columns.iter().any(|column| new.column(column).is_none())
                    || skipped(ends, table, constraint, other.is_some())
            }
        };
        if removed_in_time {
            continue;
        }
        drop(table, constraint, script);
    }
    left_by_parent(ends, table, old, new, script);
    for constraint in new.constraints.iter().filter(|constraint| own(constraint)) {
        let known = old.constraint(&constraint.name).filter(|known| own(known) || detached);
        match known {
            _ if skipped(ends, table, constraint, known.is_some()) => {}
            Some(known) if same(known, constraint) => {
                commented(table, Some(known), constraint, script);
            }
            _ => {
                add(ends, table, constraint, script);
                commented(table, None, constraint, script);
            }
        }
    }
}

/// Not-null constraints of a partition go with its parent's, unless a primary key of the partition has made them
/// its own meanwhile (18, where they have names): then they stay behind.
fn left_by_parent(ends: &Ends<'_>, table: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    if ends.to.server.major() < 18 || new.partition_bound.is_none() {
        return;
    }
    let inherited = old.constraints.iter().filter(|constraint| {
        constraint.kind == ConstraintKind::NotNull && !constraint.local && new.constraint(&constraint.name).is_none()
    });
    for constraint in inherited {
        let with_column = constraint.columns.iter().any(|column| new.column(column).is_none_or(|known| known.not_null));
        if !with_column && !skipped(ends, table, constraint, false) {
            let name = quote::ident(&constraint.name);
            script.add(Phase::DropLeft, format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"));
        }
    }
}

fn drop(table: &Name, constraint: &Constraint, script: &mut Script) {
    let phase = match constraint.kind {
        ConstraintKind::Trigger => return,
        _ if !own(constraint) => Phase::DropLeft,
        ConstraintKind::ForeignKey { .. } => Phase::DropForeignKey,
        // A primary key holds on to it.
        ConstraintKind::NotNull => Phase::DropNotNull,
        _ => Phase::DropConstraint,
    };
    script.add(phase, format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {}", quote::ident(&constraint.name)));
}

/// Constraints that have to go before something else removes their table.
pub(super) fn release_names(ends: &Ends<'_>, table: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    let come =
        old.constraints.iter().filter(|constraint| own(constraint) && new.constraint(&constraint.name).is_none());
    for constraint in come.filter(|constraint| needed(ends, table, constraint)) {
        drop(table, constraint, script);
    }
}

/// Whether its name, or that of the index behind it, is needed, or what it points to goes.
fn needed(ends: &Ends<'_>, table: &Name, constraint: &Constraint) -> bool {
    let index = Name::new(&*table.schema, &*constraint.name);
    holds_on(ends, constraint)
        || ends.skip.needed_constraint(table, &constraint.name)
        || ends.from.relations.get(&index).is_some_and(|index| index.kind.is_index())
            && ends.skip.needed_relation(&index)
}

/// Whether it is a foreign key to a table that goes, or to a column or a key that something else removes: that may be
/// sooner than its own column goes.
fn holds_on(ends: &Ends<'_>, constraint: &Constraint) -> bool {
    let ConstraintKind::ForeignKey { references, referenced_columns, .. } = &constraint.kind else { return false };
    let Some(relation) = ends.from.relations.get(references) else { return false };
    let taken = |name: &str| ends.skip.constraint(references, name) || ends.skip.needed_constraint(references, name);
    let same = |columns: &[String]| {
        columns.len() == referenced_columns.len() && columns.iter().all(|column| referenced_columns.contains(column))
    };
    let is_key = |known: &&Constraint| {
        matches!(known.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique) && same(&known.columns)
    };
    let made_index = |name: &Name, index: &Index| {
        let columns: Option<Vec<String>> = index.keys.iter().map(|key| key.column.clone()).collect();
        let made = ends.skip.relation(name) || ends.skip.needed_relation(name);
        index.unique && index.table == *references && made && columns.is_some_and(|columns| same(&columns))
    };
    !ends.to.relations.contains_key(references)
        || referenced_columns.iter().any(|column| ends.skip.column(references, column))
        || relation.constraints.iter().filter(is_key).any(|key| taken(&key.name))
        || ends
            .from
            .relations
            .referring_to(references)
            .any(|(name, relation)| relation.index.as_deref().is_some_and(|index| made_index(name, index)))
}

/// Whether something else removes it in time: itself, or one of its columns, which takes it along. Its name is no
/// question where it `stays`.
fn skipped(ends: &Ends<'_>, table: &Name, constraint: &Constraint, stays: bool) -> bool {
    if !stays && needed(ends, table, constraint) {
        return false;
    }
    ends.skip.constraint(table, &constraint.name)
        || constraint.columns.iter().any(|column| ends.skip.column(table, column))
}

/// Whether it is the table's own rather than a part of its parent's.
fn own(constraint: &Constraint) -> bool {
    let of_parent = matches!(constraint.kind, ConstraintKind::ForeignKey { from_parent: true, .. });
    constraint.local && !of_parent
}

fn same(one: &Constraint, other: &Constraint) -> bool {
    one.definition == other.definition
        && one.validated == other.validated
        && one.enforced == other.enforced
        && std::mem::discriminant(&one.kind) == std::mem::discriminant(&other.kind)
}

/// `ADD CONSTRAINT` from the definition as the server prints it.
///
/// What rows are not known to keep is not proven again: foreign keys to a table or column that lost its values, foreign
/// keys and checks of a column that lost its own and may not be null.
pub(super) fn add(ends: &Ends<'_>, table: &Name, constraint: &Constraint, script: &mut Script) {
    let phase = match constraint.kind {
        ConstraintKind::ForeignKey { .. } => Phase::ForeignKey,
        // `CREATE CONSTRAINT TRIGGER` makes it.
        ConstraintKind::Trigger => return,
        _ => Phase::Constraint,
    };
    let name = quote::ident(&constraint.name);
    let mut definition = constraint.definition.clone();
    let has_rows = ends.from.relations.get(table).is_some_and(|table| !table.stats.empty) && !ends.loses(table);
    let filled = |name: &String| column::is_filled(ends, table, name);
    // The default is taken for a value that the check lets pass.
    let plainest = |name: &String| filled(name) && !column::has_default(ends, table, name);
    let unproven = match &constraint.kind {
        ConstraintKind::ForeignKey { references, referenced_columns, .. } => {
            (referenced_lost(ends, references, referenced_columns) && !nulls_only(ends, table, constraint))
                || constraint.columns.iter().any(filled)
        }
        ConstraintKind::Check { .. } => constraint.columns.iter().any(plainest),
        ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion => {
            if let Some(column) = column::without_keys(ends, table, &constraint.columns) {
                ends.key_needs(script, table, column, &name);
            }
            false
        }
        ConstraintKind::NotNull | ConstraintKind::Trigger => false,
    };
    if unproven && constraint.validated && has_rows {
        definition.push_str(" NOT VALID");
        script.lose(format!("the proof of {} {name} of {table}, whose values are gone", word(constraint)));
    }
    script.add(phase, format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"));
}

fn word(constraint: &Constraint) -> &'static str {
    if matches!(constraint.kind, ConstraintKind::Check { .. }) { "check" } else { "foreign key" }
}

fn referenced_lost(ends: &Ends<'_>, references: &Name, columns: &[String]) -> bool {
    ends.loses(references) || columns.iter().any(|column| ends.loses_column(references, column))
}

/// Whether a column of the foreign key comes back without values, so that there is nothing to refer to.
fn nulls_only(ends: &Ends<'_>, table: &Name, constraint: &Constraint) -> bool {
    constraint.columns.iter().any(|name| {
        let column = ends.to.relations.get(table).and_then(|relation| relation.column(name));
        column.is_some_and(|column| column.default.is_none() && !column.not_null) && ends.loses_column(table, name)
    })
}

/// The comment, where it differs.
pub(super) fn commented(table: &Name, old: Option<&Constraint>, new: &Constraint, script: &mut Script) {
    if old.and_then(|old| old.comment.as_ref()) != new.comment.as_ref() {
        let what = format!("{} ON {table}", quote::ident(&new.name));
        script.add(Phase::Facts, relation::comment("CONSTRAINT", &what, new.comment.as_deref()));
    }
}
