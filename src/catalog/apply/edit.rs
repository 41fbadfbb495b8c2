//! One statement's changes to the catalog, undone when it fails. Only touched entries are copied, so a catalog
//! of ten thousand tables costs no more than a small one.

use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;

use super::Unforeseeable;
use crate::catalog::{
    Cast, Catalog, DefaultPrivileges, EventTrigger, ExtendedStatistics, Function, Name, Publication, Relation, Schema,
    Server, Shared, UserType,
};

/// What every step of the simulation returns.
pub(super) type Outcome<T = ()> = Result<T, Unforeseeable>;

/// `Err(Unforeseeable)` with a formatted message.
macro_rules! fail {
    ($($argument:tt)*) => { return Err($crate::catalog::apply::Unforeseeable(format!($($argument)*))) };
}
pub(super) use fail;

/// How to take one change back.
enum Undo {
    Relation(Name, Option<Box<Relation>>),
    Type(Name, Option<Box<UserType>>),
    FunctionAdded(usize),
    FunctionRemoved(usize, Box<Function>),
    FunctionChanged(usize, Box<Function>),
    Small(Box<Small>),
}

/// The parts of the catalog that are small in any database and copied as a whole.
struct Small {
    server: Server,
    schemas: Shared<BTreeMap<String, Schema>>,
    casts: Shared<Vec<Cast>>,
    publications: Shared<BTreeMap<String, Publication>>,
    event_triggers: Shared<BTreeMap<String, EventTrigger>>,
    extensions: Shared<BTreeMap<String, String>>,
    statistics: Shared<BTreeMap<Name, ExtendedStatistics>>,
    default_privileges: Shared<Vec<DefaultPrivileges>>,
    subscriptions: Shared<Vec<String>>,
    tablespaces: Shared<Vec<String>>,
    access_methods: Vec<String>,
    roles: Shared<Vec<String>>,
}

/// A catalog under change. Reads go through `Deref`; every write is recorded first.
pub(super) struct Edit<'a> {
    catalog: &'a mut Catalog,
    undo: Vec<Undo>,
    saved: HashSet<Name>,
    saved_types: HashSet<Name>,
    small_saved: bool,
}

impl Deref for Edit<'_> {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        self.catalog
    }
}

impl<'a> Edit<'a> {
    /// Starts a statement on `catalog`.
    pub(super) fn new(catalog: &'a mut Catalog) -> Self {
        Self { catalog, undo: Vec::new(), saved: HashSet::new(), saved_types: HashSet::new(), small_saved: false }
    }

    /// Takes back everything, newest first.
    pub(super) fn roll_back(self) {
        let catalog = self.catalog;
        for step in self.undo.into_iter().rev() {
            match step {
                Undo::Relation(name, Some(relation)) => drop(catalog.relations.insert(name, *relation)),
                Undo::Relation(name, None) => drop(catalog.relations.remove(&name)),
                Undo::Type(name, Some(user_type)) => drop(catalog.types.insert(name, *user_type)),
                Undo::Type(name, None) => drop(catalog.types.remove(&name)),
                Undo::FunctionAdded(at) => drop(catalog.functions.remove(at)),
                Undo::FunctionRemoved(at, function) => catalog.functions.insert(at, *function),
                Undo::FunctionChanged(at, function) => catalog.functions[at] = *function,
                Undo::Small(small) => {
                    catalog.server = small.server;
                    catalog.schemas = small.schemas;
                    catalog.casts = small.casts;
                    catalog.publications = small.publications;
                    catalog.event_triggers = small.event_triggers;
                    catalog.extensions = small.extensions;
                    catalog.statistics = small.statistics;
                    catalog.default_privileges = small.default_privileges;
                    catalog.subscriptions = small.subscriptions;
                    catalog.tablespaces = small.tablespaces;
                    catalog.access_methods = small.access_methods;
                    catalog.roles = small.roles;
                }
            }
        }
    }

    fn save(&mut self, name: &Name) {
        if self.saved.insert(name.clone()) {
            let old = self.catalog.relations.get(name).cloned().map(Box::new);
            self.undo.push(Undo::Relation(name.clone(), old));
        }
    }

    fn save_type(&mut self, name: &Name) {
        if self.saved_types.insert(name.clone()) {
            let old = self.catalog.types.get(name).cloned().map(Box::new);
            self.undo.push(Undo::Type(name.clone(), old));
        }
    }

    /// The relation of that name.
    pub(super) fn relation(&self, name: &Name) -> Outcome<&Relation> {
        self.relations.get(name).ok_or_else(|| Unforeseeable(format!("relation {name} does not exist")))
    }

    /// The relation of that name, to be changed.
    pub(super) fn relation_mut(&mut self, name: &Name) -> Outcome<&mut Relation> {
        self.relation(name)?;
        self.save(name);
        self.catalog.relations.get_mut(name).ok_or_else(|| Unforeseeable(format!("relation {name} does not exist")))
    }

    /// Adds a relation, or puts another in its place.
    pub(super) fn put_relation(&mut self, name: Name, relation: Relation) {
        self.save(&name);
        self.catalog.relations.insert(name, relation);
    }

    /// Removes a relation.
    pub(super) fn take_relation(&mut self, name: &Name) -> Option<Relation> {
        self.save(name);
        self.catalog.relations.remove(name)
    }

    /// The user-defined type of that name, to be changed.
    pub(super) fn type_mut(&mut self, name: &Name) -> Outcome<&mut UserType> {
        self.save_type(name);
        self.catalog.types.get_mut(name).ok_or_else(|| Unforeseeable(format!("type {name} does not exist")))
    }

    /// Adds a type, or puts another in its place.
    pub(super) fn put_type(&mut self, name: Name, user_type: UserType) {
        self.save_type(&name);
        self.catalog.types.insert(name, user_type);
    }

    /// Removes a type.
    pub(super) fn take_type(&mut self, name: &Name) -> Option<UserType> {
        self.save_type(name);
        self.catalog.types.remove(name)
    }

    /// Adds a function at its place in the order.
    pub(super) fn add_function(&mut self, function: Function) {
        let key = (&function.name, &function.arguments);
        let at = self.catalog.functions.partition_point(|other| (&other.name, &other.arguments) < key);
        self.catalog.functions.insert(at, function);
        self.undo.push(Undo::FunctionAdded(at));
    }

    /// Removes the function at that position.
    pub(super) fn take_function(&mut self, at: usize) -> Function {
        let function = self.catalog.functions.remove(at);
        self.undo.push(Undo::FunctionRemoved(at, Box::new(function.clone())));
        function
    }

    /// The function at that position, to be changed without moving in the order.
    pub(super) fn function_mut(&mut self, at: usize) -> &mut Function {
        self.undo.push(Undo::FunctionChanged(at, Box::new(self.catalog.functions[at].clone())));
        &mut self.catalog.functions[at]
    }

    /// The small parts of the catalog, to be changed: schemas, casts, publications, extensions, statistics
    /// objects, default privileges, the session. Relations, types and functions have their own methods.
    pub(super) fn small(&mut self) -> &mut Catalog {
        if !self.small_saved {
            self.small_saved = true;
            let catalog = &*self.catalog;
            self.undo.push(Undo::Small(Box::new(Small {
                server: catalog.server.clone(),
                schemas: catalog.schemas.clone(),
                casts: catalog.casts.clone(),
                publications: catalog.publications.clone(),
                event_triggers: catalog.event_triggers.clone(),
                extensions: catalog.extensions.clone(),
                statistics: catalog.statistics.clone(),
                default_privileges: catalog.default_privileges.clone(),
                subscriptions: catalog.subscriptions.clone(),
                tablespaces: catalog.tablespaces.clone(),
                access_methods: catalog.access_methods.clone(),
                roles: catalog.roles.clone(),
            })));
        }
        self.catalog
    }

    /// Major version of the server.
    pub(super) fn major(&self) -> i32 {
        self.server.major()
    }
}
