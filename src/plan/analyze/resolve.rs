//! Questions about the catalog that rules ask: names by search path, trees of partitions and children, both
//! sides of foreign keys, dependents.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use pg_query::protobuf::RangeVar;

use crate::catalog::{
    Catalog, Column, ColumnReference, Constraint, ConstraintKind, Name, Relation, RelationKind, TypeKind,
};

/// A relation with its name.
#[derive(Clone, Copy, Debug)]
pub struct Rel<'a> {
    /// Qualified name.
    pub name: &'a Name,
    /// Its facts.
    pub relation: &'a Relation,
}

impl PartialEq for Rel<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What a name in a statement stands for.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// A relation of a user schema.
    Found(Rel<'a>),
    /// A relation of the system (`pg_catalog`, `information_schema`), which the catalog leaves out.
    System,
    /// Nothing in the catalog.
    Missing,
}

/// A foreign key seen from the referenced side.
#[derive(Clone, Copy, Debug)]
pub struct Referencing<'a> {
    /// The table that has the constraint.
    pub table: Rel<'a>,
    /// The constraint.
    pub constraint: &'a Constraint,
}

/// Looks things up in one catalog. Cheap to make.
#[derive(Debug)]
pub struct Resolver<'a> {
    /// The catalog it answers from.
    pub catalog: &'a Catalog,
    /// Functions whose bodies are being read, against functions that call each other.
    reading: Rc<RefCell<Vec<Name>>>,
}

/// Held while the body of a function is read.
#[derive(Debug)]
pub(super) struct Reading(Rc<RefCell<Vec<Name>>>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.borrow_mut().pop();
    }
}

impl<'a> Resolver<'a> {
    /// A resolver for `catalog` as it is.
    pub fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, reading: Rc::default() }
    }

    /// A resolver for the catalog as it is later in the same code.
    pub(super) fn over<'b>(&self, catalog: &'b Catalog) -> Resolver<'b> {
        Resolver { catalog, reading: Rc::clone(&self.reading) }
    }

    /// Marks the function as being read; `None` when it already is.
    pub(super) fn read_function(&self, name: &Name) -> Option<Reading> {
        let mut reading = self.reading.borrow_mut();
        if reading.contains(name) {
            return None;
        }
        reading.push(name.clone());
        Some(Reading(Rc::clone(&self.reading)))
    }

    /// Major version of the server: 18 for 180004.
    pub fn major(&self) -> i32 {
        self.catalog.server.major()
    }

    /// What the name stands for, by the server's search path, which begins with the session's temporary relations.
    pub fn lookup(&self, name: &RangeVar) -> Lookup<'a> {
        self.lookup_name(&name.schemaname, &name.relname)
    }

    /// [`Resolver::lookup`] for a schema (empty: by search path) and a name.
    pub fn lookup_name(&self, schema: &str, name: &str) -> Lookup<'a> {
        if !schema.is_empty() {
            return match self.get(&Name::new(schema, name)) {
                Some(found) => Lookup::Found(found),
                None if is_system_schema(schema) => Lookup::System,
                None => Lookup::Missing,
            };
        }
        let temporary = self.get(&Name::new(Name::TEMPORARY, name));
        let in_path = || self.catalog.server.search_path.iter().find_map(|schema| self.get(&Name::new(schema, name)));
        match temporary.or_else(in_path) {
            Some(found) => Lookup::Found(found),
            // `pg_catalog` is searched even when the path does not name it; its relations all begin so.
            None if name.starts_with("pg_") => Lookup::System,
            None => Lookup::Missing,
        }
    }

    /// The relation a name stands for, if it is in the catalog.
    pub fn relation(&self, name: &RangeVar) -> Option<Rel<'a>> {
        match self.lookup(name) {
            Lookup::Found(found) => Some(found),
            Lookup::System | Lookup::Missing => None,
        }
    }

    /// The relation of that qualified name.
    pub fn get(&self, name: &Name) -> Option<Rel<'a>> {
        self.catalog.relations.get_key_value(name).map(|(name, relation)| Rel { name, relation })
    }

    /// Where a new object of that name would go: the named schema, or the first of the search path.
    pub fn creation_name(&self, schema: &str, name: &str) -> Name {
        let schema = if schema.is_empty() {
            self.catalog.server.search_path.first().map_or("public", String::as_str)
        } else {
            schema
        };
        Name::new(schema, name)
    }

    /// Direct children by inheritance or partitioning.
    pub fn children(&self, of: &Name) -> Vec<Rel<'a>> {
        self.referring_to(of).filter(|rel| rel.relation.parents.contains(of)).collect()
    }

    /// The relation and everything below it by inheritance or partitioning, each once, parents first.
    pub fn tree(&self, root: Rel<'a>) -> Vec<Rel<'a>> {
        let mut all = vec![root];
        let mut seen = BTreeSet::from([root.name]);
        let mut next = 0;
        while let Some(current) = all.get(next).copied() {
            next += 1;
            for child in &self.children(current.name) {
                if seen.insert(child.name) {
                    all.push(*child);
                }
            }
        }
        all
    }

    /// The relation and its partitions at every level; children by inheritance are none.
    pub fn partitions(&self, root: Rel<'a>) -> Vec<Rel<'a>> {
        match root.relation.kind {
            RelationKind::PartitionedTable => self.tree(root),
            _ => vec![root],
        }
    }

    /// Everything below the relation, without itself.
    pub fn descendants(&self, of: Rel<'a>) -> Vec<Rel<'a>> {
        self.tree(of).split_off(1)
    }

    /// Members of the tree that have a heap of their own.
    pub fn leaves(&self, root: Rel<'a>) -> Vec<Rel<'a>> {
        self.tree(root).into_iter().filter(|member| member.relation.kind.has_heap()).collect()
    }

    /// Direct parents.
    pub fn parents(&self, of: Rel<'a>) -> Vec<Rel<'a>> {
        of.relation.parents.iter().filter_map(|name| self.get(name)).collect()
    }

    /// Every relation above, nearest first.
    pub fn ancestors(&self, of: Rel<'a>) -> Vec<Rel<'a>> {
        let mut all: Vec<Rel<'a>> = Vec::new();
        let mut level = self.parents(of);
        while !level.is_empty() {
            let mut above = Vec::new();
            for parent in level {
                if !all.contains(&parent) {
                    all.push(parent);
                    above.extend(self.parents(parent));
                }
            }
            level = above;
        }
        all
    }

    /// Indexes of a table or materialized view.
    pub fn indexes(&self, of: &Name) -> Vec<Rel<'a>> {
        let is_on = |rel: &Rel<'a>| rel.relation.index.as_ref().is_some_and(|index| index.table == *of);
        self.referring_to(of).filter(is_on).collect()
    }

    /// Foreign keys of other tables (and of itself) that point at the relation.
    pub fn referencing(&self, of: &Name) -> Vec<Referencing<'a>> {
        let mut all = Vec::new();
        for table in self.referring_to(of) {
            let points_there = |constraint: &&Constraint| match &constraint.kind {
                ConstraintKind::ForeignKey { references, .. } => references == of,
                _ => false,
            };
            let keys = table.relation.constraints.iter().filter(points_there);
            all.extend(keys.map(|constraint| Referencing { table, constraint }));
        }
        all
    }

    /// Relations that the table's own foreign keys point at, with the constraint.
    pub fn references(&self, of: Rel<'a>) -> Vec<(&'a Constraint, Rel<'a>)> {
        of.relation
            .constraints
            .iter()
            .filter_map(|constraint| match &constraint.kind {
                ConstraintKind::ForeignKey { references, .. } => Some((constraint, self.get(references)?)),
                _ => None,
            })
            .collect()
    }

    /// Views and materialized views that read the relation; with `column`, only those that read that column.
    pub fn views_on(&self, of: &Name, column: Option<&str>) -> Vec<Rel<'a>> {
        self.referring_to(of)
            .filter(|view| {
                let references = view.relation.view.as_ref().map_or(&[][..], |view| &view.references);
                reads(references, of, column)
            })
            .collect()
    }

    /// Views that read the relation, the views that read those, and so on; each once.
    pub fn views_above(&self, of: &Name, column: Option<&str>) -> Vec<Rel<'a>> {
        let mut all = self.views_on(of, column);
        let mut next = 0;
        while let Some(view) = all.get(next).copied() {
            next += 1;
            for above in self.views_on(view.name, None) {
                if !all.contains(&above) {
                    all.push(above);
                }
            }
        }
        all
    }

    /// Sequences owned by columns of the table, or by one of its columns.
    pub fn owned_sequences(&self, of: Rel<'a>, column: Option<&str>) -> Vec<Rel<'a>> {
        of.relation
            .columns
            .iter()
            .filter(|candidate| column.is_none_or(|column| candidate.name == column))
            .filter_map(|column| self.get(column.owned_sequence.as_ref()?))
            .collect()
    }

    /// Every column (with its relation) whose type is the given one, or is built on it: arrays of it, domains
    /// over it, free-standing composite types with an attribute of it.
    pub fn columns_of_type(&self, of: &Name) -> Vec<(Rel<'a>, &'a Column)> {
        let types = self.types_built_on(of);
        let relations: BTreeMap<&Name, Rel<'a>> =
            types.iter().flat_map(|name| self.referring_to(name)).map(|rel| (rel.name, rel)).collect();
        relations
            .into_values()
            .flat_map(|rel| rel.relation.columns.iter().map(move |column| (rel, column)))
            .filter(|(_, column)| types.contains(&column.data_type.name))
            .collect()
    }

    /// The type itself and every type that contains it.
    pub fn types_built_on(&self, of: &Name) -> BTreeSet<Name> {
        let mut types = BTreeSet::from([of.clone()]);
        loop {
            let more: Vec<Name> = self
                .catalog
                .types
                .iter()
                .filter(|(name, _)| !types.contains(*name))
                .filter(|(_, candidate)| match &candidate.kind {
                    TypeKind::Domain { base, .. } => types.contains(&base.name),
                    TypeKind::Composite { attributes } => {
                        attributes.iter().any(|attribute| types.contains(&attribute.data_type.name))
                    }
                    _ => false,
                })
                .map(|(name, _)| name.clone())
                .collect();
            if more.is_empty() {
                return types;
            }
            types.extend(more);
        }
    }

    /// Tables of a composite type (`CREATE TABLE ... OF`).
    pub fn typed_tables(&self, of: &Name) -> Vec<Rel<'a>> {
        self.referring_to(of).filter(|rel| rel.relation.of_type.as_ref() == Some(of)).collect()
    }

    /// The relations whose definitions hold that name, in the order of names.
    pub(in crate::plan) fn referring_to(&self, name: &Name) -> impl Iterator<Item = Rel<'a>> + use<'a> {
        self.catalog.relations.referring_to(name).map(|(name, relation)| Rel { name, relation })
    }
}

/// Whether the references touch the relation, or that column of it. The server records a reference without a
/// column only where no column is used (`SELECT count(*)`), so it touches none of them.
pub fn reads(references: &[ColumnReference], relation: &Name, column: Option<&str>) -> bool {
    references.iter().any(|reference| {
        reference.relation == *relation && column.is_none_or(|column| reference.column.as_deref() == Some(column))
    })
}

fn is_system_schema(schema: &str) -> bool {
    schema == "information_schema" || schema.starts_with("pg_")
}
