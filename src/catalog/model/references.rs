//! Which relations refer to which names.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use super::relations::{Entry, Relations};
use super::{
    Column, Constraint, ConstraintKind, Index, Name, PartitionKey, Policy, Relation, Rule, Sequence, Trigger, View,
};

/// Changes after which everything is looked at anew.
const MOST: usize = 100;

/// The relations of a map, found from the names in their definitions. Looked at when first asked for, and kept by
/// copies of the map; what a copy changes afterwards is looked at each time.
#[derive(Clone, Default)]
pub(super) struct References {
    /// As they were at some time.
    known: Arc<OnceLock<Known>>,
    /// What has changed since then; nothing while nobody has asked.
    changed: Arc<BTreeSet<Arc<Name>>>,
}

/// The relations of a map at one time.
#[derive(Default)]
struct Known {
    /// By the names in their definitions, in the order of their own names.
    by_name: HashMap<Name, Vec<Entry>>,
    /// By the hashes of schema and name of their constraints, in the order of the hashes: there may be hundreds of
    /// thousands.
    by_constraint: Vec<(u64, Entry)>,
}

fn hash(schema: &str, constraint: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (schema, constraint).hash(&mut hasher);
    hasher.finish()
}

impl Known {
    fn add(&mut self, entry: &Entry) {
        let constraints = entry.1.constraints.iter();
        let hashes = constraints.map(|constraint| hash(&entry.0.schema, &constraint.name));
        self.by_constraint.extend(hashes.map(|hash| (hash, Arc::clone(entry))));
        entry.1.each_name(&mut |name| {
            if is_built_in(name) {
                return;
            }
            match self.by_name.get_mut(name) {
                // One relation after the other: it is the last or not there.
                Some(entries) if entries.last().is_some_and(|last| Arc::ptr_eq(last, entry)) => {}
                Some(entries) => entries.push(Arc::clone(entry)),
                None => drop(self.by_name.insert(name.clone(), vec![Arc::clone(entry)])),
            }
        });
    }
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

    fn known(&self, relations: &Relations) -> &Known {
        self.known.get_or_init(|| {
            let mut known = Known::default();
            relations.entries().for_each(|entry| known.add(entry));
            known.by_constraint.sort_unstable_by_key(|(hash, _)| *hash);
            known
        })
    }

    /// Takes note that the relation of that name is going to change.
    pub(super) fn change(&mut self, name: &Name) {
        if self.known.get().is_none() || self.changed.contains(name) {
            return;
        }
        if self.changed.len() == MOST {
            *self = Self::default();
        } else {
            Arc::make_mut(&mut self.changed).insert(Arc::new(name.clone()));
        }
    }

    /// The relations whose definitions hold the name, in the order of their names.
    pub(super) fn to<'a>(&'a self, name: &Name, relations: &'a Relations) -> Vec<&'a Entry> {
        let refers = |entry: &&Entry| {
            let mut refers = false;
            entry.1.each_name(&mut |found| refers |= found == name);
            refers
        };
        if is_built_in(name) {
            return relations.entries().filter(refers).collect();
        }
        let known = self.known(relations).by_name.get(name).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<&Entry> = known.iter().filter(|entry| !self.changed.contains(&entry.0)).collect();
        let unchanged = found.len();
        found.extend(self.changed.iter().filter_map(|name| relations.entry(name)).filter(refers));
        if unchanged < found.len() {
            found.sort_by(|one, other| one.0.cmp(&other.0));
        }
        found
    }

    /// Whether a relation of the schema has a constraint of that name.
    pub(super) fn has_constraint(&self, schema: &str, name: &str, relations: &Relations) -> bool {
        let has = |entry: &Entry| entry.0.schema == schema && entry.1.constraint(name).is_some();
        let wanted = hash(schema, name);
        let known = &self.known(relations).by_constraint;
        let from = known.partition_point(|(hash, _)| *hash < wanted);
        let alike = known.iter().skip(from).take_while(|(hash, _)| *hash == wanted).map(|(_, entry)| entry);
        alike.filter(|entry| !self.changed.contains(&entry.0)).any(has)
            || self.changed.iter().filter_map(|name| relations.entry(name)).any(has)
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
            triggers,
            rules,
            policies,
            parents,
            partition_key,
            of_type,
            view,
            index,
            sequence,
            kind: _,
            persistence: _,
            owner: _,
            columns_unknown: _,
            row_security: _,
            force_row_security: _,
            partition_bound: _,
            detach_pending: _,
            foreign: _,
            options: _,
            access_method: _,
            tablespace: _,
            replica_identity: _,
            privileges: _,
            comment: _,
            extension: _,
            stats: _,
        } = self;
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
        if let Some(PartitionKey { functions, default_partition, .. }) = partition_key {
            functions.iter().chain(default_partition).for_each(&mut *each);
        }
        if let Some(View { references, functions, types, constraints, .. }) = view {
            references.iter().for_each(|reference| each(&reference.relation));
            constraints.iter().for_each(|reference| each(&reference.relation));
            functions.iter().chain(types).for_each(&mut *each);
        }
        if let Some(Index { table, functions, parent, .. }) = index {
            std::iter::once(table).chain(functions).chain(parent).for_each(&mut *each);
        }
        if let Some(Sequence { owned_by: Some(owner), .. }) = sequence {
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
