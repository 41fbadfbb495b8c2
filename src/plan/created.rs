//! What exists only because of the plan: nobody else uses it yet, so its locks and sizes do not matter.

use std::collections::BTreeSet;

use pg_query::NodeEnum;

use crate::catalog::{Catalog, Constraint, Name, Relation};

/// Objects made by earlier steps of the plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Created {
    relations: BTreeSet<Name>,
    columns: BTreeSet<(Name, String)>,
    constraints: BTreeSet<(Name, String)>,
    types: BTreeSet<Name>,
    functions: BTreeSet<Name>,
    freed_relations: BTreeSet<Name>,
    freed_constraints: BTreeSet<(Name, String)>,
}

impl Created {
    /// Whether the plan made the relation.
    pub fn relation(&self, name: &Name) -> bool {
        self.relations.contains(name)
    }

    /// With the relations that `later` knows besides and `before` does not have: those that one step makes and works on.
    pub fn with_those_of(&self, later: &Self, before: &Catalog) -> Self {
        let mut all = self.clone();
        let new = later.relations.iter().filter(|name| !before.relations.contains_key(name));
        all.relations.extend(new.cloned());
        all
    }

    /// Whether the plan made the column, or its table.
    pub fn column(&self, table: &Name, column: &str) -> bool {
        self.relation(table) || self.columns.contains(&(table.clone(), column.to_owned()))
    }

    /// Whether the plan made the constraint, or its table.
    pub fn constraint(&self, table: &Name, constraint: &str) -> bool {
        self.relation(table) || self.constraints.contains(&(table.clone(), constraint.to_owned()))
    }

    /// Whether the plan made the type.
    pub fn user_type(&self, name: &Name) -> bool {
        self.types.contains(name)
    }

    /// Whether the plan made a function of that name.
    pub fn function(&self, name: &Name) -> bool {
        self.functions.contains(name)
    }

    /// Whether an earlier step took an object of this name away, or put another in its place, so that its undo needs the
    /// name again.
    pub fn freed_relation(&self, name: &Name) -> bool {
        self.freed_relations.contains(name)
    }

    /// Like [`Self::freed_relation`], for a constraint.
    pub fn freed_constraint(&self, table: &Name, constraint: &str) -> bool {
        self.freed_constraints.contains(&(table.clone(), constraint.to_owned()))
    }

    /// Takes note of what a step made of `before`.
    pub fn observe<'a>(
        &mut self,
        before: &Catalog,
        after: &Catalog,
        mut statements: impl Iterator<Item = &'a NodeEnum>,
    ) {
        let renames =
            statements.any(|node| matches!(node, NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_)));
        self.free(before, after);
        self.types.retain(|name| after.types.contains_key(name));
        if before.functions != after.functions {
            let known: BTreeSet<&Name> = before.functions.iter().map(|function| &function.name).collect();
            let come = after.functions.iter().map(|function| &function.name).filter(|name| !known.contains(name));
            self.functions.extend(come.cloned());
        }
        if renames {
            self.follow(before, after);
            return;
        }
        let come = after.types.keys().filter(|name| !before.types.contains_key(*name));
        self.types.extend(come.cloned());
        for (name, old, new) in before.relations.differences(&after.relations) {
            match (old, new) {
                (None, _) => {
                    self.relations.insert(name.clone());
                }
                (Some(_), None) => self.forget(name),
                (Some(old), Some(new)) => self.compare(name, old, new),
            }
        }
    }

    /// The relation is gone, with what was made of it.
    fn forget(&mut self, name: &Name) {
        self.relations.remove(name);
        self.columns.retain(|(table, _)| table != name);
        self.constraints.retain(|(table, _)| table != name);
    }

    fn compare(&mut self, name: &Name, old: &Relation, new: &Relation) {
        for column in new.columns.iter().filter(|column| old.column(&column.name).is_none()) {
            self.columns.insert((name.clone(), column.name.clone()));
        }
        for column in old.columns.iter().filter(|column| new.column(&column.name).is_none()) {
            self.columns.remove(&(name.clone(), column.name.clone()));
        }
        for constraint in new.constraints.iter().filter(|known| old.constraint(&known.name).is_none()) {
            self.constraints.insert((name.clone(), constraint.name.clone()));
        }
        for constraint in old.constraints.iter().filter(|known| new.constraint(&known.name).is_none()) {
            self.constraints.remove(&(name.clone(), constraint.name.clone()));
        }
    }

    fn free(&mut self, before: &Catalog, after: &Catalog) {
        for (name, old, new) in before.relations.differences(&after.relations) {
            match (old, new) {
                (Some(_), None) => {
                    self.freed_relations.insert(name.clone());
                }
                (Some(old), Some(new)) => {
                    // Proven since, it is the same.
                    let demand = |constraint: &Constraint| {
                        let definition = constraint.definition.as_str();
                        definition.strip_suffix(" NOT VALID").unwrap_or(definition).to_owned()
                    };
                    let stays = |known: &Constraint| {
                        new.constraint(&known.name).is_some_and(|other| demand(other) == demand(known))
                    };
                    let gone = old.constraints.iter().filter(|known| !stays(known));
                    self.freed_constraints.extend(gone.map(|known| (name.clone(), known.name.clone())));
                    let definition =
                        |relation: &Relation| relation.index.as_ref().map(|index| index.definition.clone());
                    if definition(old) != definition(new) {
                        self.freed_relations.insert(name.clone());
                    }
                }
                (None, _) => {}
            }
        }
    }

    /// A renamed relation is the plan's own only when every name that went away was.
    fn follow(&mut self, before: &Catalog, after: &Catalog) {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for (name, old, new) in before.relations.differences(&after.relations) {
            match (old, new) {
                (Some(_), None) => gone.push(name),
                (None, Some(_)) => come.push(name),
                _ => {}
            }
        }
        let own = !gone.is_empty() && gone.iter().all(|name| self.relations.contains(*name));
        self.relations.retain(|name| !gone.contains(&name));
        if own {
            self.relations.extend(come.into_iter().cloned());
        }
        // Columns and constraints are not followed: taking them for old ones costs only a longer undo.
        self.columns.clear();
        self.constraints.clear();
    }
}
