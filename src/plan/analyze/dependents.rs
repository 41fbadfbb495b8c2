//! What depends on a column besides the table's own indexes and constraints.

use super::Resolver;
use super::resolve::{Rel, reads};
use crate::catalog::{Column, Function, Policy, Rule, Trigger};

/// Something whose definition uses a column.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Dependent<'a> {
    /// View or materialized view.
    View(Rel<'a>),
    Rule(Rel<'a>, &'a Rule),
    Policy(Rel<'a>, &'a Policy),
    Trigger(Rel<'a>, &'a Trigger),
    /// A function whose body was parsed when it was made (14 and later).
    Function(&'a Function),
    GeneratedColumn(Rel<'a>, &'a Column),
    /// Column list or row filter of a publication, by its name (15 and later).
    Publication(&'a str),
}

impl Dependent<'_> {
    /// As the server's messages name it.
    pub fn describe(&self) -> String {
        match self {
            Self::View(view) if view.relation.kind.has_heap() => format!("materialized view {}", view.name.name),
            Self::View(view) => format!("view {}", view.name.name),
            Self::Rule(table, rule) => format!("rule {} on table {}", rule.name, table.name.name),
            Self::Policy(table, policy) => format!("policy {} on table {}", policy.name, table.name.name),
            Self::Trigger(table, trigger) => format!("trigger {} on table {}", trigger.name, table.name.name),
            Self::Function(function) => format!("function {}({})", function.name.name, function.arguments),
            Self::GeneratedColumn(table, column) => format!("column {} of table {}", column.name, table.name.name),
            Self::Publication(name) => format!("publication {name}"),
        }
    }
}

/// Everything that uses the column.
pub fn on_column<'a>(resolver: &Resolver<'a>, table: Rel<'a>, column: &str) -> Vec<Dependent<'a>> {
    let catalog = resolver.catalog;
    let uses = |references: &[_]| reads(references, table.name, Some(column));
    let mut found: Vec<Dependent<'a>> =
        resolver.views_on(table.name, Some(column)).into_iter().map(Dependent::View).collect();
    for holder in resolver.referring_to(table.name) {
        let rules = holder.relation.rules.iter().filter(|rule| uses(&rule.references));
        found.extend(rules.map(|rule| Dependent::Rule(holder, rule)));
        let policies = holder.relation.policies.iter().filter(|policy| uses(&policy.references));
        found.extend(policies.map(|policy| Dependent::Policy(holder, policy)));
    }
    let triggers = table.relation.triggers.iter().filter(|trigger| trigger.columns.iter().any(|name| name == column));
    found.extend(triggers.map(|trigger| Dependent::Trigger(table, trigger)));
    let functions = catalog.functions.iter().filter(|function| uses(&function.references));
    found.extend(functions.map(Dependent::Function));
    let generated = table.relation.columns.iter().filter(|other| other.generated.is_some() && other.name != column);
    found.extend(
        generated.filter(|other| uses(&other.references)).map(|other| Dependent::GeneratedColumn(table, other)),
    );
    let publications = catalog.publications.iter().filter(|(_, publication)| uses(&publication.columns));
    found.extend(publications.map(|(name, _)| Dependent::Publication(name)));
    found
}
