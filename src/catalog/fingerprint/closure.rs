//! Which part of a catalog a plan on some relations depends on.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Catalog, Column, ConstraintKind, Name, Relation, TypeKind};

/// Names of what is depended on.
#[derive(Default)]
pub(super) struct Closure<'a> {
    /// Relations, those asked for included even when they do not exist.
    pub(super) relations: BTreeSet<&'a Name>,
    pub(super) types: BTreeSet<&'a Name>,
    pub(super) functions: BTreeSet<&'a Name>,
}

pub(super) fn closure<'a>(catalog: &'a Catalog, asked: &'a BTreeSet<Name>) -> Closure<'a> {
    let related = |from: &BTreeSet<&'a Name>, next: &dyn Fn(&'a Name) -> Vec<&'a Name>| reachable(from, next);
    let owners = asked.iter().map(|name| owner(catalog, name)).collect();
    let tree = related(&owners, &|name| {
        let above = catalog.relations.get(name).map_or(&[][..], |relation| &relation.parents);
        above.iter().chain(referring(catalog, name, |relation| relation.parents.contains(name))).collect()
    });
    let with_views = related(&tree, &|name| {
        referring(catalog, name, |relation| read_by(relation).any(|read| read == name)).collect()
    });
    let mut relations: BTreeSet<&Name> = asked.iter().chain(with_views.iter().copied()).collect();
    for name in &tree {
        relations.extend(referring(catalog, name, |relation| referenced(relation).any(|found| found == *name)));
        relations.extend(catalog.relations.get(name).into_iter().flat_map(referenced));
    }
    for name in relations.clone() {
        let is_index = |relation: &Relation| relation.index.as_ref().is_some_and(|index| index.table == *name);
        relations.extend(referring(catalog, name, is_index));
        if let Some(relation) = catalog.relations.get(name) {
            relations.extend(relation.columns.iter().filter_map(|column| column.owned_sequence.as_ref()));
            relations.extend(read_by(relation));
        }
    }
    let mut closure = Closure { relations, ..Closure::default() };
    for relation in closure.relations.iter().filter_map(|name| catalog.relations.get(name)) {
        closure.types.extend(types_of(relation));
        closure.functions.extend(functions_of(relation));
    }
    closure.types = related(&closure.types, &|name| parts_of_type(catalog, name));
    for name in &closure.types {
        closure.functions.extend(functions_of_type(catalog, name));
    }
    let reads_tree = catalog.functions.iter().filter(|function| {
        function.references.iter().any(|reference| tree.contains(&reference.relation))
            || function.types.iter().any(|used| tree.contains(used))
    });
    closure.functions.extend(reads_tree.map(|function| &function.name));
    let mut called: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
    for function in &catalog.functions {
        called.entry(&function.name).or_default().extend(&function.functions);
    }
    closure.functions = related(&closure.functions, &|name| below(&called, name).collect());
    closure
}

/// For each name asked for, the schemas of the search path that have something of that name: an unqualified name
/// in a statement may come to mean another relation.
pub(super) fn same_names<'a>(catalog: &'a Catalog, asked: &'a BTreeSet<Name>) -> Vec<(&'a str, Vec<&'a str>)> {
    let exists = |schema: &&str, name: &str| {
        let name = Name::new(*schema, name);
        catalog.relations.contains_key(&name) || catalog.types.contains_key(&name)
    };
    let path = || catalog.server.search_path.iter().map(String::as_str);
    asked
        .iter()
        .map(|name| (name.name.as_str(), path().filter(|schema| exists(schema, &name.name)).collect()))
        .collect()
}

/// The table of an index or of an owned sequence; anything else itself.
fn owner<'a>(catalog: &'a Catalog, name: &'a Name) -> &'a Name {
    let Some(relation) = catalog.relations.get(name) else { return name };
    let table = relation.index.as_ref().map(|index| &index.table);
    let sequence = || relation.sequence.as_ref()?.owned_by.as_ref().map(|owner| &owner.relation);
    table.or_else(sequence).unwrap_or(name)
}

/// The relations that refer to the name in that way.
fn referring<'a>(catalog: &'a Catalog, name: &Name, way: impl Fn(&Relation) -> bool) -> impl Iterator<Item = &'a Name> {
    catalog.relations.referring_to(name).filter(move |(_, relation)| way(relation)).map(|(name, _)| name)
}

fn below<'a>(map: &BTreeMap<&'a Name, Vec<&'a Name>>, name: &Name) -> impl Iterator<Item = &'a Name> {
    map.get(name).map_or(&[][..], Vec::as_slice).to_vec().into_iter()
}

/// Everything that `next` leads to, with where it began.
fn reachable<'a>(from: &BTreeSet<&'a Name>, next: &dyn Fn(&'a Name) -> Vec<&'a Name>) -> BTreeSet<&'a Name> {
    let mut all = from.clone();
    let mut pending: Vec<&Name> = from.iter().copied().collect();
    while let Some(name) = pending.pop() {
        pending.extend(next(name).into_iter().filter(|found| all.insert(*found)));
    }
    all
}

/// Tables that its foreign keys point at.
fn referenced(relation: &Relation) -> impl Iterator<Item = &Name> {
    relation.constraints.iter().filter_map(|constraint| match &constraint.kind {
        ConstraintKind::ForeignKey { references, .. } => Some(references),
        _ => None,
    })
}

/// Relations that a view, a rule, a policy or a default of the relation reads.
fn read_by(relation: &Relation) -> impl Iterator<Item = &Name> {
    let view = relation.view.iter().flat_map(|view| &view.references);
    let rules = relation.rules.iter().flat_map(|rule| &rule.references);
    let policies = relation.policies.iter().flat_map(|policy| &policy.references);
    let defaults = relation.columns.iter().flat_map(|column| &column.references);
    view.chain(rules).chain(policies).chain(defaults).map(|reference| &reference.relation)
}

fn types_of(relation: &Relation) -> impl Iterator<Item = &Name> {
    let columns = relation.columns.iter().map(|column| &column.data_type.name);
    columns.chain(&relation.of_type).chain(relation.view.iter().flat_map(|view| &view.types))
}

fn functions_of(relation: &Relation) -> impl Iterator<Item = &Name> {
    let columns = relation.columns.iter().flat_map(|column| &column.functions);
    let constraints = relation.constraints.iter().flat_map(|constraint| &constraint.functions);
    let triggers = relation.triggers.iter().flat_map(|trigger| trigger.functions.iter().chain([&trigger.function]));
    let rules = relation.rules.iter().flat_map(|rule| &rule.functions);
    let policies = relation.policies.iter().flat_map(|policy| &policy.functions);
    let keys = relation.partition_key.iter().flat_map(|key| &key.functions);
    let views = relation.view.iter().flat_map(|view| &view.functions);
    let indexes = relation.index.iter().flat_map(|index| &index.functions);
    columns.chain(constraints).chain(triggers).chain(rules).chain(policies).chain(keys).chain(views).chain(indexes)
}

/// The base of a domain, the attributes of a composite type.
fn parts_of_type<'a>(catalog: &'a Catalog, name: &Name) -> Vec<&'a Name> {
    match catalog.types.get(name).map(|found| &found.kind) {
        Some(TypeKind::Domain { base, .. }) => vec![&base.name],
        Some(TypeKind::Composite { attributes }) => {
            attributes.iter().map(|Column { data_type, .. }| &data_type.name).collect()
        }
        _ => Vec::new(),
    }
}

fn functions_of_type<'a>(catalog: &'a Catalog, name: &Name) -> Vec<&'a Name> {
    match catalog.types.get(name).map(|found| &found.kind) {
        Some(TypeKind::Domain { constraints, .. }) => {
            constraints.iter().flat_map(|constraint| &constraint.functions).collect()
        }
        _ => Vec::new(),
    }
}
