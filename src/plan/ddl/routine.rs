//! Functions and procedures.

use super::{Ends, Phase, Script, relation, types};
use crate::catalog::apply::initial_privileges;
use crate::catalog::{Catalog, Function, Name, RelationKind};
use crate::sql::quote;

/// Routines that change, that go before relations and that come after them. Of the rest those that go and those that come.
pub(super) fn functions<'a>(ends: &Ends<'a>, script: &mut Script) -> (Vec<&'a Function>, Vec<&'a Function>) {
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    if ends.from.functions == ends.to.functions {
        return (gone, come);
    }
    let same = |one: &Function, other: &Function| one.name == other.name && one.arguments == other.arguments;
    let (users, rest) = by_use(ends.from);
    for function in users.into_iter().chain(rest) {
        let other = ends.to.functions.iter().find(|other| same(function, other));
        // A changed result cannot be replaced.
        if other.is_none_or(|other| other.result != function.result || other.kind != function.kind) {
            match needs(function, ends.from, Some(ends.to)) {
                Needs::Nothing => gone.push(function),
                Needs::Table => script.add(Phase::DropRoutineOnTable, drop(function)),
                Needs::View => script.add(Phase::DropRoutineOnView, drop(function)),
            }
        }
    }
    let (users, rest) = by_use(ends.to);
    for function in rest.into_iter().chain(users.into_iter().rev()) {
        let other = ends.from.functions.iter().find(|other| same(function, other));
        if other.is_some_and(|other| other == function) {
            continue;
        }
        let kept = other.filter(|other| other.result == function.result && other.kind == function.kind);
        facts(ends, function, kept, script);
        if other.is_some_and(|other| other.definition == function.definition && other.result == function.result) {
            continue;
        }
        if function.definition.is_empty() {
            script.gap(format!("aggregate {} has to be created again by hand", function.name));
            continue;
        }
        // Bodies may name what only comes back later.
        script.add(Phase::CreateType, "SET LOCAL check_function_bodies = off");
        match needs(function, ends.to, None) {
            Needs::Nothing => come.push(function),
            Needs::Table => script.add(Phase::RoutineOnTable, function.definition.trim_end()),
            Needs::View => script.add(Phase::RoutineOnView, function.definition.trim_end()),
        }
    }
    (gone, come)
}

/// The statement that drops the routine.
pub(super) fn drop(function: &Function) -> String {
    format!("DROP {} IF EXISTS {}({})", word(function), function.name, function.arguments)
}

/// The routines of no extension: those that use others, each before what it uses, and the rest.
fn by_use(catalog: &Catalog) -> (Vec<&Function>, Vec<&Function>) {
    let own = catalog.functions.iter().filter(|function| function.extension.is_none());
    let (mut users, rest): (Vec<_>, Vec<_>) = own.partition(|function| !function.functions.is_empty());
    let mut ordered = Vec::new();
    while !users.is_empty() {
        let used =
            |one: &Function| users.iter().any(|user| user.name != one.name && user.functions.contains(&one.name));
        // In a circle there is no first.
        let next = users.iter().position(|function| !used(function)).unwrap_or(0);
        ordered.push(users.remove(next));
    }
    (ordered, rest)
}

/// What has to be there before a routine, and go after it.
enum Needs {
    Nothing,
    Table,
    View,
}

/// By the row types of its arguments and result, and by what a body that is no string mentions; without what
/// `kept_in` has too, if it is given.
fn needs(function: &Function, catalog: &Catalog, kept_in: Option<&Catalog>) -> Needs {
    let kept = |relation: &Name, column: Option<&str>| {
        kept_in
            .and_then(|catalog| catalog.relations.get(relation))
            .is_some_and(|relation| column.is_none_or(|column| relation.column(column).is_some()))
    };
    let rows = function.types.iter().map(|name| (name, None));
    let mentioned = function.references.iter().map(|reference| (&reference.relation, reference.column.as_deref()));
    rows.chain(mentioned).filter(|(relation, column)| !kept(relation, *column)).fold(
        Needs::Nothing,
        |needs, (name, _)| {
            let kind = catalog.relations.get(name).map(|relation| relation.kind);
            match (needs, kind) {
                (Needs::View, _) | (_, Some(RelationKind::View | RelationKind::MaterializedView)) => Needs::View,
                (Needs::Table, _) | (_, Some(_)) => Needs::Table,
                (Needs::Nothing, None) => Needs::Nothing,
            }
        },
    )
}

/// Owner, comment and privileges.
fn facts(ends: &Ends<'_>, function: &Function, old: Option<&Function>, script: &mut Script) {
    let signature = format!("{}({})", function.name, function.arguments);
    let target = format!("{} {signature}", word(function));
    if old.map_or(&ends.from.server.user, |old| &old.owner) != &function.owner && !function.owner.is_empty() {
        script.add(Phase::Facts, format!("ALTER {target} OWNER TO {}", quote::ident(&function.owner)));
    }
    if old.and_then(|old| old.comment.as_ref()) != function.comment.as_ref() {
        script.add(Phase::Facts, relation::comment(word(function), &signature, function.comment.as_deref()));
    }
    let user = ends.from.server.user.as_str();
    let given = || initial_privileges(ends.from, 'f', &function.name.schema, user);
    let list = old.map_or_else(given, |old| old.privileges.clone());
    let before = (old.map_or(user, |old| &old.owner), &list[..]);
    // GRANT has no word for aggregates.
    let granted = if function.kind == 'p' { target } else { format!("FUNCTION {signature}") };
    types::privileges(ends, ('f', &granted), before, (&function.owner, &function.privileges), script);
}

fn word(function: &Function) -> &'static str {
    match function.kind {
        'p' => "PROCEDURE",
        'a' => "AGGREGATE",
        _ => "FUNCTION",
    }
}
