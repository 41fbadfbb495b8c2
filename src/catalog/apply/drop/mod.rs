//! `DROP`: an object goes with its parts; what merely depends on it goes with CASCADE and is an error without.

mod column;
mod dependents;
mod owned;
mod remove;
mod statement;

use std::collections::BTreeSet;

pub(super) use self::column::drop as column;
pub(super) use self::owned::{drop_owned, reassign_owned};
pub(super) use self::statement::drop as statement;

use super::edit::{Edit, Outcome, fail};
use crate::catalog::Name;
use crate::sql::quote;

/// Something that can be dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    /// Table, view, index, sequence and so on.
    Relation(Name),
    /// A column of a relation or an attribute of a composite type.
    Column(Name, String),
    /// The default of a column.
    Default(Name, String),
    Constraint(Name, String),
    DomainConstraint(Name, String),
    Trigger(Name, String),
    Rule(Name, String),
    Policy(Name, String),
    Type(Name),
    /// Name and identity arguments.
    Function(Name, String),
    /// Source and target.
    Cast(Name, Name),
    Statistics(Name),
    Schema(String),
    Extension(String),
    Publication(String),
    /// A table in a publication.
    PublishedTable(String, Name),
    EventTrigger(String),
}

impl Object {
    /// What the object is a part of: the relation or type, for a default the column.
    fn wholes(&self) -> Vec<Object> {
        let column = match self {
            Object::Default(of, column) => Some(Object::Column(of.clone(), column.clone())),
            _ => None,
        };
        self.whole().into_iter().chain(column).collect()
    }

    /// The relation or type the object is a part of.
    fn whole(&self) -> Option<Object> {
        match self {
            Object::Column(of, _)
            | Object::Default(of, _)
            | Object::Constraint(of, _)
            | Object::Trigger(of, _)
            | Object::Rule(of, _)
            | Object::Policy(of, _)
            | Object::PublishedTable(_, of) => Some(Object::Relation(of.clone())),
            Object::DomainConstraint(of, _) => Some(Object::Type(of.clone())),
            _ => None,
        }
    }

    fn spelled(&self) -> String {
        match self {
            Object::Relation(name) | Object::Type(name) | Object::Statistics(name) => name.to_string(),
            Object::Function(name, arguments) => format!("{name}({arguments})"),
            Object::Column(of, name) => format!("column {} of {of}", quote::ident(name)),
            Object::Default(of, name) => format!("the default of column {} of {of}", quote::ident(name)),
            Object::Constraint(of, name) | Object::DomainConstraint(of, name) => {
                format!("constraint {} of {of}", quote::ident(name))
            }
            Object::Trigger(of, name) => format!("trigger {} of {of}", quote::ident(name)),
            Object::Rule(of, name) => format!("rule {} of {of}", quote::ident(name)),
            Object::Policy(of, name) => format!("policy {} of {of}", quote::ident(name)),
            Object::Cast(source, target) => format!("the cast from {source} to {target}"),
            Object::PublishedTable(publication, of) => format!("{of} in publication {}", quote::ident(publication)),
            Object::Schema(name) => format!("schema {}", quote::ident(name)),
            Object::Extension(name) => format!("extension {}", quote::ident(name)),
            Object::Publication(name) => format!("publication {}", quote::ident(name)),
            Object::EventTrigger(name) => format!("event trigger {}", quote::ident(name)),
        }
    }
}

/// How an object hangs on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    /// Goes with it.
    Part,
    /// Keeps it, but for CASCADE.
    Normal,
}

/// Drops objects together, as one statement names them.
pub(super) fn objects(edit: &mut Edit<'_>, objects: &[Object], cascade: bool) -> Outcome {
    let mut deleted: BTreeSet<Object> = objects.iter().cloned().collect();
    let mut order = Vec::new();
    let mut kept: Option<(Object, Object)> = None;
    // First everything that goes is found, then it goes: what keeps an object may itself be going.
    let mut pending: Vec<(Object, bool)> = objects.iter().map(|object| (object.clone(), false)).collect();
    let mut postponed: Vec<(Object, Object)> = Vec::new();
    while let Some((object, expanded)) = pending.pop() {
        if expanded {
            order.push(object);
            continue;
        }
        pending.push((object.clone(), true));
        for (dependent, strength) in dependents::of(edit, &object) {
            if deleted.contains(&dependent) {
                continue;
            }
            if strength == Strength::Normal && !cascade {
                postponed.push((dependent, object.clone()));
                continue;
            }
            deleted.insert(dependent.clone());
            pending.push((dependent, false));
        }
    }
    for (dependent, object) in postponed {
        let going = deleted.contains(&dependent) || dependent.wholes().iter().any(|whole| deleted.contains(whole));
        if !going {
            kept = Some((dependent, object));
            break;
        }
    }
    if let Some((dependent, object)) = kept {
        fail!("{} depends on {}", dependent.spelled(), object.spelled());
    }
    for object in order {
        remove::remove(edit, &object)?;
    }
    Ok(())
}
