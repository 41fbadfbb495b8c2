//! Which built-in casts depend on settings of the session (`contain_mutable_functions` in clauses.c): `pg_cast` with a
//! function that is not immutable, and the input and output functions of types.

use super::types::{self, Type};
use crate::catalog::{Catalog, TypeKind};

/// Casts by a stable function.
const CASTS: [(&str, &str); 16] = [
    ("money", "numeric"),
    ("numeric", "money"),
    ("int4", "money"),
    ("int8", "money"),
    ("text", "regclass"),
    ("varchar", "regclass"),
    ("date", "timestamptz"),
    ("time", "timetz"),
    ("timestamp", "timestamptz"),
    ("timestamptz", "date"),
    ("timestamptz", "time"),
    ("timestamptz", "timestamp"),
    ("timestamptz", "timetz"),
    ("text", "xml"),
    ("varchar", "xml"),
    ("bpchar", "xml"),
];

/// Types whose text depends on settings; from 15 on that of intervals does too.
const OUTPUT: [&str; 5] = ["date", "timestamp", "timestamptz", "money", "record"];

/// Types whose reading depends on settings, besides those.
const INPUT: [&str; 4] = ["interval", "time", "timetz", "xml"];

/// Whether the cast between two types certainly depends on settings of the session.
pub(super) fn cast_is_mutable(catalog: &Catalog, source: &Type, target: &Type) -> bool {
    let (from, to) = (source.base(catalog), target.base(catalog));
    if from.id == to.id || from.is_unknown() {
        return false;
    }
    match types::cast(catalog, &from, &to) {
        Some((_, 'f')) => CASTS.contains(&(from.id.as_str(), to.id.as_str())),
        Some((_, 'b')) => false,
        Some(_) => through_text(catalog, &from, &to),
        None => match (from.element(), to.element()) {
            (Some(from), Some(to)) => cast_is_mutable(catalog, &from, &to),
            _ => through_text(catalog, &from, &to),
        },
    }
}

/// Whether the text of a value depends on settings: what `||` and `quote_literal` make of other types.
pub(super) fn text_is_mutable(catalog: &Catalog, of: &Type) -> bool {
    cast_is_mutable(catalog, of, &Type::named("text"))
}

fn through_text(catalog: &Catalog, from: &Type, to: &Type) -> bool {
    // The functions of arrays, ranges, enums and objects' identifiers look things up.
    let looks_up = |of: &Type| {
        let id = of.id.as_str();
        let kind = of.user_defined().and_then(|name| catalog.types.get(&name)).map(|found| &found.kind);
        of.is_array()
            || id.starts_with("reg")
            || id.ends_with("range")
            || matches!(kind, Some(TypeKind::Enum { .. } | TypeKind::Range { .. } | TypeKind::Composite { .. }))
    };
    looks_up(from)
        || looks_up(to)
        || OUTPUT.contains(&from.id.as_str())
        || from.id == "interval" && catalog.server.major() >= 15
        || OUTPUT.contains(&to.id.as_str())
        || INPUT.contains(&to.id.as_str())
}
