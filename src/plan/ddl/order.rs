//! Types and routines in an order in which they can come and go: a type is made of others and its checks call functions,
//! a function takes and returns types and calls functions.

use std::collections::BTreeMap;

use super::{Ends, Phase, Script, routine, types};
use crate::catalog::{Function, Name, TypeKind, UserType};

/// One of them.
#[derive(Clone, Copy, Debug)]
enum Made<'a> {
    Type(&'a Name, &'a UserType),
    Routine(&'a Function),
}

/// Whether it is a type, with the name.
type Key<'a> = (bool, &'a Name);

impl<'a> Made<'a> {
    fn key(self) -> Key<'a> {
        match self {
            Self::Type(name, _) => (true, name),
            Self::Routine(function) => (false, &function.name),
        }
    }

    /// What has to be there before it.
    fn uses(self) -> Vec<Key<'a>> {
        match self {
            Self::Routine(function) => {
                let types = function.types.iter().map(|name| (true, name));
                types.chain(function.functions.iter().map(|name| (false, name))).collect()
            }
            Self::Type(_, known) => match &known.kind {
                TypeKind::Domain { base, constraints, .. } => {
                    let functions = constraints.iter().flat_map(|constraint| &constraint.functions);
                    std::iter::once((true, &base.name)).chain(functions.map(|name| (false, name))).collect()
                }
                TypeKind::Composite { attributes } => {
                    attributes.iter().map(|attribute| (true, &attribute.data_type.name)).collect()
                }
                TypeKind::Enum { .. } | TypeKind::Range { .. } | TypeKind::Base => Vec::new(),
            },
        }
    }
}

/// Those that go, come or change.
pub(super) fn types_and_routines(ends: &Ends<'_>, script: &mut Script) {
    let (types_gone, types_come) = types::types(ends, script);
    let (routines_gone, routines_come) = routine::functions(ends, script);
    let gone = types_gone.into_iter().map(|(name, known)| Made::Type(name, known));
    let gone: Vec<Made<'_>> = gone.chain(routines_gone.into_iter().map(Made::Routine)).collect();
    let ordered = used_first(&gone);
    // What columns leave behind goes after them, and what that uses still later.
    let mut late: Vec<Key<'_>> = Vec::new();
    for made in ordered.into_iter().rev() {
        let former = matches!(made, Made::Type(name, _) if types::is_left_by_columns(ends, name));
        let statement = match made {
            Made::Type(name, known) => types::drop(name, known),
            Made::Routine(function) => routine::drop(function),
        };
        let phase = if former || late.contains(&made.key()) {
            late.extend(made.uses());
            Phase::DropFormerType
        } else {
            Phase::DropType
        };
        script.add(phase, statement);
    }
    let come = types_come.into_iter().map(|(name, new)| Made::Type(name, new));
    let come: Vec<Made<'_>> = come.chain(routines_come.into_iter().map(Made::Routine)).collect();
    for made in used_first(&come) {
        match made {
            Made::Type(name, new) => types::create(name, new, script),
            Made::Routine(function) => script.add(Phase::CreateType, function.definition.trim_end()),
        }
    }
}

/// Each after what it uses; in a circle there is no first.
fn used_first<'a>(all: &[Made<'a>]) -> Vec<Made<'a>> {
    let mut places: BTreeMap<Key<'a>, Vec<usize>> = BTreeMap::new();
    for (at, made) in all.iter().enumerate() {
        places.entry(made.key()).or_default().push(at);
    }
    let mut entered = vec![false; all.len()];
    let mut ordered = Vec::new();
    for start in 0..all.len() {
        // With whether what it uses is in order by then.
        let mut pending = vec![(start, false)];
        while let Some((at, ready)) = pending.pop() {
            if ready {
                ordered.push(all[at]);
            } else if !std::mem::replace(&mut entered[at], true) {
                pending.push((at, true));
                let used = all[at].uses().into_iter().filter_map(|key| places.get(&key)).flatten();
                pending.extend(used.map(|place| (*place, false)));
            }
        }
    }
    ordered
}
