//! What keeps the server from changing the type of a column (`RememberAllDependentForRebuilding` in tablecmds.c) and
//! can be taken away and made again: views with all that reads them, rules, policies and triggers.

use std::collections::BTreeSet;

use super::analyze::{Dependent, Rel, Resolver, analyze, on_column};
use super::expand::single;
use crate::catalog::{Catalog, ColumnReference, Name, RelationKind, apply::apply};
use crate::sql::{Statement, quote};

/// Something whose definition uses a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// Of that table or view.
    Rule(Name, String),
    /// Of that table.
    Policy(Name, String),
    /// Of that table.
    Trigger(Name, String),
    /// View or materialized view.
    View(Name, RelationKind),
}

impl Obstacle {
    /// The statement that takes it away, and nothing else with it.
    pub fn drop(&self) -> String {
        match self {
            Self::Rule(on, name) => format!("DROP RULE {} ON {on}", quote::ident(name)),
            Self::Policy(on, name) => format!("DROP POLICY {} ON {on}", quote::ident(name)),
            Self::Trigger(on, name) => format!("DROP TRIGGER {} ON {on}", quote::ident(name)),
            Self::View(name, RelationKind::MaterializedView) => format!("DROP MATERIALIZED VIEW {name}"),
            Self::View(name, _) => format!("DROP VIEW {name}"),
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Rule(on, name) => format!("rule {} of {on}", quote::ident(name)),
            Self::Policy(on, name) => format!("policy {} of {on}", quote::ident(name)),
            Self::Trigger(on, name) => format!("trigger {} of {on}", quote::ident(name)),
            Self::View(name, RelationKind::MaterializedView) => format!("materialized view {name}"),
            Self::View(name, _) => format!("view {name}"),
        }
    }

    /// The relation that it is, or belongs to.
    pub fn relation(&self) -> &Name {
        match self {
            Self::Rule(on, _) | Self::Policy(on, _) | Self::Trigger(on, _) => on,
            Self::View(name, _) => name,
        }
    }
}

/// What uses columns.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// In an order in which each can be dropped.
    pub obstacles: Vec<Obstacle>,
    /// Whether there is anything else: functions, generated columns, publications.
    pub others: bool,
}

/// What uses the columns, which are given with their tables.
pub(super) fn on_columns(catalog: &Catalog, columns: &[(Name, String)]) -> Users {
    around(catalog, columns, &[])
}

/// [`on_columns`], and the views with all that reads them.
pub(super) fn around(catalog: &Catalog, columns: &[(Name, String)], views: &[Name]) -> Users {
    let resolver = Resolver::new(catalog);
    let mut found = Found { resolver: &resolver, parts: BTreeSet::new(), views: Vec::new(), seen: BTreeSet::new() };
    let mut others = false;
    for (table, column) in columns {
        let Some(table) = resolver.get(table) else { continue };
        for dependent in on_column(&resolver, table, column) {
            match dependent {
                Dependent::View(view) => found.view(view.name),
                Dependent::Rule(on, rule) => found.part(Obstacle::Rule(on.name.clone(), rule.name.clone())),
                Dependent::Policy(on, policy) => found.part(Obstacle::Policy(on.name.clone(), policy.name.clone())),
                // A partition's goes with that of the table above.
                Dependent::Trigger(_, trigger) if trigger.from_parent => {}
                Dependent::Trigger(on, trigger) => found.part(Obstacle::Trigger(on.name.clone(), trigger.name.clone())),
                Dependent::Function(_) | Dependent::GeneratedColumn(..) | Dependent::Publication(_) => others = true,
            }
        }
    }
    for view in views.iter().filter_map(|view| resolver.get(view)) {
        found.view(view.name);
    }
    // Nothing depends on a rule, a policy or a trigger.
    let mut obstacles: Vec<Obstacle> = found.parts.into_iter().collect();
    obstacles.extend(found.views);
    Users { obstacles, others }
}

struct Found<'r, 'a> {
    resolver: &'r Resolver<'a>,
    parts: BTreeSet<Obstacle>,
    /// Each behind those that read it.
    views: Vec<Obstacle>,
    seen: BTreeSet<&'a Name>,
}

impl<'a> Found<'_, 'a> {
    fn part(&mut self, part: Obstacle) {
        self.parts.insert(part);
    }

    fn view(&mut self, name: &'a Name) {
        let Some(view) = self.resolver.get(name) else { return };
        if !self.seen.insert(name) {
            return;
        }
        for above in self.resolver.views_on(name, None) {
            if above.name != name {
                self.view(above.name);
            }
        }
        let reads = |references: &[ColumnReference]| references.iter().any(|reference| reference.relation == *name);
        for Rel { name: holder, relation } in self.resolver.referring_to(name) {
            for rule in relation.rules.iter().filter(|rule| holder != name && reads(&rule.references)) {
                self.part(Obstacle::Rule(holder.clone(), rule.name.clone()));
            }
            for policy in relation.policies.iter().filter(|policy| reads(&policy.references)) {
                self.part(Obstacle::Policy(holder.clone(), policy.name.clone()));
            }
        }
        self.views.push(Obstacle::View(name.clone(), view.relation.kind));
    }
}

/// The catalog without them.
///
/// # Errors
/// Which of them cannot be taken away, and why.
pub(super) fn clear(catalog: &Catalog, obstacles: &[Obstacle]) -> Result<Catalog, String> {
    let mut clear = catalog.clone();
    for obstacle in obstacles {
        let statement = single(&obstacle.drop()).ok_or("its name cannot be written as SQL")?;
        apply_to(&mut clear, &statement).map_err(|why| format!("{}: {why}", obstacle.describe()))?;
    }
    Ok(clear)
}

/// Moves the catalog behind the statement.
///
/// # Errors
/// Why the server would refuse it, or that its effect is not known.
pub(super) fn apply_to(catalog: &mut Catalog, statement: &Statement) -> Result<(), String> {
    if let Some(refusal) = analyze(statement, catalog).refused {
        return Err(refusal.message);
    }
    apply(catalog, statement).map_err(|unforeseeable| unforeseeable.to_string())
}
