//! Which relations refer to which names.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use super::hash_index::HashIndex;
use super::relations::{Entry, Relations};
use super::{
    Column, Constraint, ConstraintKind, Index, Name, PartitionKey, Policy, Relation, RelationDetails, Rule, Sequence,
    Trigger, View,
};

/// The relations of a map, found from the names in their definitions and from the names of their constraints. Looked
/// at when first asked for, kept by copies of the map, and kept up to date with each change.
#[derive(Clone, Default)]
pub(super) struct References {
    /// All relations but the one that changes, by the hashes of [`each_hash`].
    known: Arc<OnceLock<HashIndex>>,
    /// The one that was changed last, or is being changed: it is looked at when it is asked for, and becomes known
    /// with the next change. Nothing while nobody has asked.
    changing: Option<Arc<Name>>,
}

fn hash_of_name(name: &Name) -> u64 {
    hash(('n', &name.schema, &name.name))
}

fn hash_of_constraint(schema: &str, constraint: &str) -> u64 {
    hash(('c', schema, constraint))
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Calls `each` with the hashes under which a relation is found, once or more often.
fn each_hash(entry: &Entry, each: &mut dyn FnMut(u64)) {
    for constraint in &entry.1.constraints {
        each(hash_of_constraint(&entry.0.schema, &constraint.name));
    }
    entry.1.each_name(&mut |name| {
        if !is_built_in(name) {
            each(hash_of_name(name));
        }
    });
}

fn refers(entry: &Entry, name: &Name) -> bool {
    let mut refers = false;
    entry.1.each_name(&mut |found| refers |= found == name);
    refers
}

impl References {
    /// Whether copies of the map would each look at everything.
    pub(super) fn are_shared(&self) -> bool {
        self.known.get().is_none() && Arc::strong_count(&self.known) > 1
    }

    /// Looks at everything.
    pub(super) fn settle(&self, relations: &Relations) {
        self.known(relations);
    }

    fn known(&self, relations: &Relations) -> &HashIndex {
        self.known.get_or_init(|| {
            let mut pairs = Vec::new();
            for entry in relations.entries() {
                each_hash(entry, &mut |hash| pairs.push((hash, Arc::clone(entry))));
            }
            HashIndex::new(pairs)
        })
    }

    /// Takes note that the relation of that name is going to change. `find` finds relations as they are before.
    pub(super) fn change<'a>(&mut self, name: &Name, find: impl Fn(&Name) -> Option<&'a Entry>) {
        if self.known.get().is_none() || self.changing.as_deref() == Some(name) {
            return;
        }
        let Some(known) = Arc::make_mut(&mut self.known).get_mut() else { return };
        if let Some(entry) = self.changing.take().and_then(|changed| find(&changed)) {
            each_hash(entry, &mut |hash| known.insert(hash, entry));
        }
        if let Some(entry) = find(name) {
            each_hash(entry, &mut |hash| known.remove(hash, name));
        }
        self.changing = Some(Arc::new(name.clone()));
    }

    fn changing<'a>(&self, relations: &'a Relations) -> Option<&'a Entry> {
        relations.entry(self.changing.as_deref()?)
    }

    /// The relations whose definitions hold the name, in the order of their names.
    pub(super) fn to<'a>(&'a self, name: &Name, relations: &'a Relations) -> Vec<&'a Entry> {
        if is_built_in(name) {
            return relations.entries().filter(|entry| refers(entry, name)).collect();
        }
        let known = self.known(relations).get(hash_of_name(name));
        let mut found: Vec<&Entry> = known.filter(|entry| refers(entry, name)).collect();
        if let Some(changed) = self.changing(relations).filter(|entry| refers(entry, name)) {
            let place = found.partition_point(|entry| entry.0 < changed.0);
            found.insert(place, changed);
        }
        found
    }

    /// Whether a relation of the schema has a constraint of that name.
    pub(super) fn has_constraint(&self, schema: &str, name: &str, relations: &Relations) -> bool {
        let has = |entry: &Entry| entry.0.schema == schema && entry.1.constraint(name).is_some();
        self.known(relations).get(hash_of_constraint(schema, name)).any(has)
            || self.changing(relations).is_some_and(has)
    }
}

/// Types and functions of the server's own are everywhere.
fn is_built_in(name: &Name) -> bool {
    name.schema == "pg_catalog"
}

impl Relation {
    /// Calls `each` with every name in the definition, once or more often. Taken apart in full, so that no new field is
    /// forgotten.
    pub(crate) fn each_name(&self, each: &mut dyn FnMut(&Name)) {
        let Self {
            columns,
            constraints,
            index,
            kind: _,
            persistence: _,
            owner: _,
            access_method: _,
            stats: _,
            details,
        } = self;
        let RelationDetails {
            triggers,
            rules,
            policies,
            parents,
            partition_key,
            of_type,
            view,
            sequence,
            columns_unknown: _,
            row_security: _,
            force_row_security: _,
            partition_bound: _,
            detach_pending: _,
            foreign: _,
            options: _,
            tablespace: _,
            replica_identity: _,
            privileges: _,
            comment: _,
            extension: _,
        } = &**details;
        columns.iter().for_each(|column| of_column(column, each));
        constraints.iter().for_each(|constraint| of_constraint(constraint, each));
        triggers.iter().for_each(|trigger| of_trigger(trigger, each));
        for Rule { references, functions, .. } in rules {
            references.iter().for_each(|reference| each(&reference.relation));
            functions.iter().for_each(&mut *each);
        }
        for Policy { references, functions, .. } in policies {
            references.iter().for_each(|reference| each(&reference.relation));
            functions.iter().for_each(&mut *each);
        }
        parents.iter().chain(of_type).for_each(&mut *each);
        if let Some(PartitionKey { functions, default_partition, .. }) = partition_key.as_deref() {
            functions.iter().chain(default_partition).for_each(&mut *each);
        }
        if let Some(View { references, functions, types, constraints, .. }) = view.as_deref() {
            references.iter().for_each(|reference| each(&reference.relation));
            constraints.iter().for_each(|reference| each(&reference.relation));
            functions.iter().chain(types).for_each(&mut *each);
        }
        if let Some(Index { table, functions, parent, .. }) = index.as_deref() {
            std::iter::once(table).chain(functions).chain(parent).for_each(&mut *each);
        }
        if let Some(Sequence { owned_by: Some(owner), .. }) = sequence.as_deref() {
            each(&owner.relation);
        }
    }
}

fn of_column(column: &Column, each: &mut dyn FnMut(&Name)) {
    each(&column.data_type.name);
    column.references.iter().for_each(|reference| each(&reference.relation));
    column.owned_sequence.iter().chain(&column.functions).for_each(each);
}

fn of_constraint(constraint: &Constraint, each: &mut dyn FnMut(&Name)) {
    if let ConstraintKind::ForeignKey { references, .. } = &constraint.kind {
        each(references);
    }
    constraint.index.iter().chain(&constraint.functions).for_each(each);
}

fn of_trigger(trigger: &Trigger, each: &mut dyn FnMut(&Name)) {
    std::iter::once(&trigger.function).chain(&trigger.functions).chain(&trigger.references).for_each(each);
}
