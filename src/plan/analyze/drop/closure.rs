//! From the objects named to everything that goes with them, and the locks of that (`dependency.c`).

use std::collections::BTreeMap;

use super::dependents::{Strength, dependents};
use super::object::Object;
use crate::catalog::{Catalog, Constraint, ConstraintKind, Name, RelationKind, TypeKind};
use crate::plan::analyze::refusal;
use crate::plan::analyze::resolve::{Rel, Resolver};
use crate::plan::analyze::{Impact, Target};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Everything that is dropped, each with whether it goes without being asked.
#[derive(Debug)]
pub(super) struct Closure {
    objects: BTreeMap<Object, bool>,
    named: Vec<Object>,
}

/// Follows the dependencies of the objects named.
pub(super) fn closure(named: Vec<Object>, resolver: &Resolver<'_>) -> Closure {
    let mut objects: BTreeMap<Object, bool> = named.iter().map(|object| (object.clone(), true)).collect();
    let mut pending = named.clone();
    while let Some(object) = pending.pop() {
        for (dependent, strength) in dependents(&object, resolver) {
            let silent = strength == Strength::Silent;
            match objects.get_mut(&dependent) {
                Some(known) => *known |= silent,
                None => {
                    objects.insert(dependent.clone(), silent);
                    pending.push(dependent);
                }
            }
        }
    }
    Closure { objects, named }
}

impl Closure {
    /// Parts of a relation that is dropped itself go with it.
    fn goes_with_its_relation(&self, object: &Object) -> bool {
        !matches!(object, Object::Relation(_))
            && object.relation().is_some_and(|name| self.objects.contains_key(&Object::Relation(name.clone())))
    }

    /// Says 2BP01 when something needs CASCADE.
    pub fn refuse_without_cascade(&self, impact: &mut Impact, resolver: &Resolver<'_>) {
        let mut blocking = Vec::new();
        let mut first = None;
        for (object, silent) in &self.objects {
            let row_type_of_dropped = self.goes_with_its_relation(object);
            if !silent && !row_type_of_dropped && !is_ambiguous(object, self, resolver) {
                blocking.push(object.describe(resolver.catalog));
                first = first.or(self.named.first());
            }
        }
        if let Some(named) = first {
            refusal::dependents(impact, &named.describe(resolver.catalog), &blocking);
        }
    }

    /// Locks, and what is lost.
    pub fn apply(&self, impact: &mut Impact, resolver: &Resolver<'_>) {
        for object in self.objects.keys() {
            match object {
                Object::Relation(name) => {
                    if let Some(relation) = resolver.get(name) {
                        self.relation(impact, resolver, relation);
                    }
                }
                Object::Type(name) => {
                    // A composite type has an entry among the relations.
                    let found = resolver.catalog.types.get(name);
                    if found.is_some_and(|found| matches!(found.kind, TypeKind::Composite { .. })) {
                        impact.lock(name.clone(), LockMode::AccessExclusive);
                    }
                }
                Object::Statistics(name) => {
                    if let Some(statistics) = resolver.catalog.statistics.get(name) {
                        impact.lock(statistics.table.clone(), LockMode::ShareUpdateExclusive);
                    }
                }
                other => {
                    if let Some(name) = other.relation() {
                        impact.lock(name.clone(), LockMode::AccessExclusive);
                        self.part(impact, resolver, other);
                    }
                }
            }
        }
        self.hidden_locks(impact);
    }

    fn relation<'a>(&self, impact: &mut Impact, resolver: &Resolver<'a>, found: Rel<'a>) {
        impact.lock(found.name.clone(), LockMode::AccessExclusive);
        if let Some(index) = &found.relation.index {
            impact.lock(index.table.clone(), LockMode::AccessExclusive);
            return;
        }
        if found.relation.partition_bound.is_some() {
            partition(impact, resolver, found);
        }
        for constraint in &found.relation.constraints {
            foreign_key(impact, resolver, constraint);
        }
        // The rows of a materialized view are computed.
        if found.relation.kind == RelationKind::Table {
            impact.hazard(HazardId::DataLoss, Some(found.name), "The table and its rows are removed.");
        }
        // A sequence of a column is used through its table.
        let of_column = found.relation.sequence.as_ref().is_some_and(|sequence| sequence.owned_by.is_some());
        if !of_column {
            impact.hazard(HazardId::BreaksClients, Some(found.name), "Clients that use it fail.");
        }
    }

    fn part(&self, impact: &mut Impact, resolver: &Resolver<'_>, object: &Object) {
        if self.goes_with_its_relation(object) {
            return;
        }
        match object {
            Object::Column(name, column) => {
                impact.hazard(HazardId::DataLoss, Some(name), format!("Column {column} and its values are removed."));
            }
            Object::Constraint(name, constraint) => {
                if let Some(found) = resolver.get(name).and_then(|found| found.relation.constraint(constraint)) {
                    foreign_key(impact, resolver, found);
                }
            }
            Object::Policy(name, _) => {
                impact.hazard(
                    HazardId::Authorization,
                    Some(name),
                    "Which rows the roles may see or change is decided anew.",
                );
            }
            _ => {}
        }
    }

    /// Tables that are locked although the statement does not name them.
    fn hidden_locks(&self, impact: &mut Impact) {
        let named: Vec<&Name> = self.named.iter().filter_map(Object::relation).collect();
        let hidden: Vec<Name> = impact
            .locks
            .iter()
            .filter_map(|(target, mode)| match target {
                Target::Relation(name) if mode.blocks_reads() && !named.contains(&name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        for name in hidden {
            if !self.objects.contains_key(&Object::Relation(name.clone())) {
                impact.hazard(
                    HazardId::HiddenLock,
                    Some(&name),
                    "Something of the relation is dropped along, so it is locked against reads and writes too.",
                );
            }
        }
    }
}

/// Overloads share a name, and the catalog's references to functions do not tell which is meant.
fn is_ambiguous(object: &Object, closure: &Closure, resolver: &Resolver<'_>) -> bool {
    let functions: &Catalog = resolver.catalog;
    closure.named.iter().any(|named| match named {
        Object::Function(at) if named != object => functions
            .functions
            .get(*at)
            .is_some_and(|function| functions.functions.iter().filter(|other| other.name == function.name).count() > 1),
        _ => false,
    })
}

/// The parent of a partition, and its default partition, whose constraint changes.
fn partition<'a>(impact: &mut Impact, resolver: &Resolver<'a>, found: Rel<'a>) {
    for parent in resolver.parents(found) {
        impact.lock(parent.name.clone(), LockMode::AccessExclusive);
        let default = parent.relation.partition_key.as_ref().and_then(|key| key.default_partition.as_ref());
        if let Some(default) = default {
            impact.lock(default.clone(), LockMode::AccessExclusive);
        }
    }
}

/// The triggers of a foreign key on the referenced table, and on its partitions, are dropped. One that is not
/// enforced has none; that of a partition are its parent's. Before 15 a partitioned table itself had none.
fn foreign_key(impact: &mut Impact, resolver: &Resolver<'_>, constraint: &Constraint) {
    let ConstraintKind::ForeignKey { references, from_parent, .. } = &constraint.kind else { return };
    let Some(referenced) = resolver.get(references) else { return };
    if !constraint.enforced || *from_parent {
        return;
    }
    for member in resolver.partitions(referenced) {
        if member.relation.kind != RelationKind::PartitionedTable || resolver.major() >= 15 {
            impact.lock(member.name.clone(), LockMode::AccessExclusive);
        }
    }
}
