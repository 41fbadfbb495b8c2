//! Relations that something else removes, and that keep until then what has to go sooner: a foreign key its table, a
//! default its sequence, a check its function.

use std::collections::BTreeSet;

use super::Skip;
use crate::catalog::{Catalog, ConstraintKind, Name, Relation, RelationKind};

/// [`Skip`] without the relations that came to hold on to what was made meanwhile: these are turned back by themselves.
pub(super) struct Held<'a> {
    skip: &'a dyn Skip,
    relations: BTreeSet<Name>,
}

impl<'a> Held<'a> {
    /// Looks at what the relations of `from` name and those of `to` do not.
    pub fn new(from: &Catalog, to: &Catalog, skip: &'a dyn Skip) -> Self {
        let function = |catalog: &Catalog, name: &Name| catalog.functions.iter().any(|known| known.name == *name);
        let comes = |name: &Name| {
            skip.relation(name)
                || skip.user_type(name)
                || skip.function(name)
                || from.relations.contains_key(name) && !to.relations.contains_key(name)
                || from.types.contains_key(name) && !to.types.contains_key(name)
                || function(from, name) && !function(to, name)
        };
        let mut relations = BTreeSet::new();
        for (name, old, new) in from.relations.differences(&to.relations) {
            let Some(old) = old.filter(|old| can_hold(old)) else {
                continue;
            };
            let mut before = BTreeSet::new();
            if let Some(new) = new {
                new.each_name(&mut |name| {
                    before.insert(name.clone());
                });
            }
            let mut holds = false;
            old.each_name(&mut |other| {
                holds |= other != name && !before.contains(other) && !is_part(from, name, old, other) && comes(other);
            });
            if holds || new.is_some() && refers_to_its_new_key(name, old, to) {
                relations.insert(name.clone());
            }
        }
        Self { skip, relations }
    }
}

/// Whether a foreign key of the table to itself is gone in `to`, and the index of the key with it.
fn refers_to_its_new_key(name: &Name, old: &Relation, to: &Catalog) -> bool {
    let there = |constraint: &str| {
        to.relations.get(name).is_some_and(|new| new.constraints.iter().any(|other| other.name == constraint))
    };
    old.constraints.iter().any(|constraint| {
        matches!(&constraint.kind, ConstraintKind::ForeignKey { references, .. } if references == name)
            && !there(&constraint.name)
            && constraint.index.as_ref().is_some_and(|index| !to.relations.contains_key(index))
    })
}

/// Views are made anew, and nothing that a sequence names keeps it.
fn can_hold(relation: &Relation) -> bool {
    relation.kind.is_table() || relation.kind.is_index() || relation.kind == RelationKind::ForeignTable
}

/// Whether one is a part of the other: an index, a sequence of a column, or the table of them.
fn is_part(catalog: &Catalog, name: &Name, relation: &Relation, other: &Name) -> bool {
    if relation.index.as_ref().is_some_and(|index| index.table == *other || index.parent.as_ref() == Some(other)) {
        return true;
    }
    let Some(other) = catalog.relations.get(other) else {
        return false;
    };
    other.index.as_ref().is_some_and(|index| index.table == *name)
        || other
            .sequence
            .as_ref()
            .and_then(|facts| facts.owned_by.as_ref())
            .is_some_and(|owner| owner.relation == *name)
}

impl Skip for Held<'_> {
    fn relation(&self, name: &Name) -> bool {
        self.skip.relation(name) && !self.relations.contains(name)
    }
    fn column(&self, table: &Name, column: &str) -> bool {
        self.skip.column(table, column) && !self.relations.contains(table)
    }
    fn constraint(&self, table: &Name, constraint: &str) -> bool {
        self.skip.constraint(table, constraint) && !self.relations.contains(table)
    }
    fn user_type(&self, name: &Name) -> bool {
        self.skip.user_type(name)
    }
    fn function(&self, name: &Name) -> bool {
        self.skip.function(name)
    }
    fn goes(&self, name: &Name) -> bool {
        self.skip.goes(name)
    }
    fn needed_relation(&self, name: &Name) -> bool {
        self.skip.needed_relation(name) || self.relations.contains(name)
    }
    fn needed_constraint(&self, table: &Name, constraint: &str) -> bool {
        self.skip.needed_constraint(table, constraint)
    }
}
