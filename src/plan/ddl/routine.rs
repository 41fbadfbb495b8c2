//! Functions and procedures.

use super::{Ends, Phase, Script};
use crate::catalog::Function;

/// Functions that go, come or change.
pub(super) fn functions(ends: &Ends<'_>, script: &mut Script) {
    if ends.from.functions == ends.to.functions {
        return;
    }
    let same = |one: &Function, other: &Function| one.name == other.name && one.arguments == other.arguments;
    for function in &ends.from.functions {
        let other = ends.to.functions.iter().find(|other| same(function, other));
        // A changed result cannot be replaced.
        if other.is_none_or(|other| other.result != function.result || other.kind != function.kind) {
            script.add(
                Phase::DropRoutine,
                format!("DROP {} IF EXISTS {}({})", word(function), function.name, function.arguments),
            );
        }
    }
    for function in &ends.to.functions {
        let other = ends.from.functions.iter().find(|other| same(function, other));
        if other.is_some_and(|other| other == function) {
            continue;
        }
        if function.definition.is_empty() {
            script.gap(format!("aggregate {} has to be created again by hand", function.name));
            continue;
        }
        let phase = if function.references.is_empty() { Phase::CreateRoutine } else { Phase::LateRoutine };
        script.add(phase, function.definition.trim_end().to_owned());
    }
}

fn word(function: &Function) -> &'static str {
    match function.kind {
        'p' => "PROCEDURE",
        'a' => "AGGREGATE",
        _ => "FUNCTION",
    }
}
