//! Built-in casts.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Majors, letter, rows};

pub(super) const DATA: &str = include_str!("casts.txt");

/// An entry of `pg_cast`, internal type names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinCast {
    /// Source type.
    pub source: &'static str,
    /// Target type. The same as the source for the function that applies a modifier (`varchar(n)`).
    pub target: &'static str,
    /// `b` binary-coercible, `f` by function, `i` through the text form.
    pub method: char,
    /// `i` implicit, `a` on assignment, `e` explicit.
    pub context: char,
}

static CASTS: LazyLock<HashMap<&'static str, Vec<(BuiltinCast, Majors)>>> = LazyLock::new(|| {
    let mut casts: HashMap<_, Vec<_>> = HashMap::new();
    for ([source, target, method, context], majors) in rows(DATA) {
        let found = BuiltinCast { source, target, method: letter(method), context: letter(context) };
        casts.entry(source).or_default().push((found, majors));
    }
    casts
});

/// The cast between two built-in types, internal names. `None` when `pg_cast` has no entry: the same type, a
/// conversion through text that every type has, or none at all.
pub fn cast(source: &str, target: &str, major: i32) -> Option<BuiltinCast> {
    casts_from(source, major).find(|cast| cast.target == target)
}

/// Every cast from a built-in type.
pub fn casts_from(source: &str, major: i32) -> impl Iterator<Item = BuiltinCast> {
    let casts = CASTS.get(source).map_or(&[][..], Vec::as_slice);
    casts.iter().filter(move |(_, majors)| majors.contain(major)).map(|(cast, _)| *cast)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_contexts() {
        let of = |source, target| cast(source, target, 16).map(|cast| (cast.method, cast.context));
        assert_eq!(of("varchar", "text"), Some(('b', 'i')));
        assert_eq!(of("int4", "int8"), Some(('f', 'i')));
        assert_eq!(of("int8", "int4"), Some(('f', 'a')));
        assert_eq!(of("xml", "text"), Some(('b', 'a')));
        assert_eq!(of("json", "jsonb"), Some(('i', 'a')));
        assert_eq!(of("varchar", "varchar"), Some(('f', 'i')));
        assert_eq!(of("uuid", "text"), None);
    }
}
