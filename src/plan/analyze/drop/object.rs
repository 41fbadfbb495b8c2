//! What can be dropped, and how it is called.

use crate::catalog::{Catalog, Name};
use crate::plan::analyze::refusal::kind_word;

/// An object of the catalog, or a part of a relation that is dropped on its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    /// Table, view, sequence, index, ...
    Relation(Name),
    /// A column of a relation.
    Column(Name, String),
    /// The default of a column.
    Default(Name, String),
    /// A constraint of a table.
    Constraint(Name, String),
    /// A trigger of a relation.
    Trigger(Name, String),
    /// A rewrite rule of a relation.
    Rule(Name, String),
    /// A row security policy of a table.
    Policy(Name, String),
    /// An extended statistics object.
    Statistics(Name),
    /// A user-defined type.
    Type(Name),
    /// A constraint of a domain.
    DomainConstraint(Name, String),
    /// Position in the catalog's functions.
    Function(usize),
    /// An event trigger.
    EventTrigger(String),
    /// An extension.
    Extension(String),
    /// A schema.
    Schema(String),
    /// A foreign server.
    Server(String),
    /// A collation.
    Collation(Name),
    /// An operator class, by its bare name.
    OperatorClass(String),
    /// An access method.
    AccessMethod(String),
    /// A procedural language.
    Language(String),
}

impl Object {
    /// The relation that the object is, or is a part of.
    pub fn relation(&self) -> Option<&Name> {
        match self {
            Self::Relation(name)
            | Self::Column(name, _)
            | Self::Default(name, _)
            | Self::Constraint(name, _)
            | Self::Trigger(name, _)
            | Self::Rule(name, _)
            | Self::Policy(name, _) => Some(name),
            _ => None,
        }
    }

    /// As the server's messages call it: `view public.v`, `constraint c on table public.t`.
    pub fn describe(&self, catalog: &Catalog) -> String {
        let kind = |name: &Name| catalog.relations.get(name).map_or("relation", |relation| kind_word(relation.kind));
        let part = |what: &str, part: &str, name: &Name| format!("{what} {part} on {} {name}", kind(name));
        match self {
            Self::Relation(name) => format!("{} {name}", kind(name)),
            Self::Column(name, column) => format!("column {column} of {} {name}", kind(name)),
            Self::Default(name, column) => format!("default value for column {column} of {} {name}", kind(name)),
            Self::Constraint(name, constraint) => part("constraint", constraint, name),
            Self::Trigger(name, trigger) => part("trigger", trigger, name),
            Self::Rule(name, rule) => part("rule", rule, name),
            Self::Policy(name, policy) => part("policy", policy, name),
            Self::Statistics(name) => format!("statistics object {name}"),
            Self::Type(name) => format!("type {name}"),
            Self::DomainConstraint(name, constraint) => format!("constraint {constraint} of domain {name}"),
            Self::Function(at) => match catalog.functions.get(*at) {
                Some(function) => format!("function {}({})", function.name, function.arguments),
                None => "function".to_owned(),
            },
            Self::EventTrigger(name) => format!("event trigger {name}"),
            Self::Extension(name) => format!("extension {name}"),
            Self::Schema(name) => format!("schema {name}"),
            Self::Server(name) => format!("server {name}"),
            Self::Collation(name) => format!("collation {name}"),
            Self::OperatorClass(name) => format!("operator class {name}"),
            Self::AccessMethod(name) => format!("access method {name}"),
            Self::Language(name) => format!("language {name}"),
        }
    }
}
