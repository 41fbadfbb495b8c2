//! Built-in types.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Majors, letter, rows};

pub(super) const DATA: &str = include_str!("types.txt");

/// A type of `pg_catalog`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinType {
    /// Internal name: `int4`, `varchar`, `_int4`.
    pub name: &'static str,
    /// `pg_type.typtype`: `b` base, `r` range, `m` multirange, `p` pseudo-type.
    pub kind: char,
    /// `pg_type.typcategory`: `N` numeric, `S` string, `D` date and time, `A` array, ...
    pub category: char,
    /// Preferred in its category.
    pub preferred: bool,
    /// `pg_type.typstorage`: `p` plain, `e` external, `m` main, `x` extended.
    pub storage: char,
    /// Collation of a column of that type that names none: `default`, `C`; `None` when it has none.
    pub collation: Option<&'static str>,
    /// For an array type its element's name.
    pub element: Option<&'static str>,
}

static TYPES: LazyLock<HashMap<&'static str, Vec<(BuiltinType, Majors)>>> = LazyLock::new(|| {
    let mut types: HashMap<_, Vec<_>> = HashMap::new();
    for ([name, kind, category, preferred, storage, collation, element], majors) in rows(DATA) {
        let found = BuiltinType {
            name,
            kind: letter(kind),
            category: letter(category),
            preferred: preferred == "t",
            storage: letter(storage),
            collation: Some(collation).filter(|collation| *collation != "-"),
            element: Some(element).filter(|element| *element != "-"),
        };
        types.entry(name).or_default().push((found, majors));
    }
    types
});

/// Spellings of the SQL standard for internal names. The parser already turns most of them into the internal
/// name; these are for text that comes from elsewhere.
const ALIASES: [(&str, &str); 18] = [
    ("bigint", "int8"),
    ("bigserial", "int8"),
    ("bit varying", "varbit"),
    ("boolean", "bool"),
    ("character", "bpchar"),
    ("character varying", "varchar"),
    ("decimal", "numeric"),
    ("double precision", "float8"),
    ("int", "int4"),
    ("integer", "int4"),
    ("real", "float4"),
    ("serial", "int4"),
    ("smallint", "int2"),
    ("smallserial", "int2"),
    ("time with time zone", "timetz"),
    ("time without time zone", "time"),
    ("timestamp with time zone", "timestamptz"),
    ("timestamp without time zone", "timestamp"),
];

/// The built-in type of that internal name or SQL spelling (without modifier; `serial` gives its integer);
/// `None` when that major has none. `char` is the one-byte type that SQL writes `"char"`.
pub fn type_by_name(name: &str, major: i32) -> Option<&'static BuiltinType> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, internal)| *internal);
    let versions = TYPES.get(alias.unwrap_or(name))?;
    versions.iter().find(|(_, majors)| majors.contain(major)).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_either_spelling() {
        for (alias, internal) in ALIASES {
            assert_eq!(type_by_name(alias, 14).map(|found| found.name), Some(internal));
        }
        let array = type_by_name("_int4", 18).unwrap();
        assert_eq!((array.category, array.element), ('A', Some("int4")));
        assert_eq!(type_by_name("int4multirange", 13), None);
        assert!(type_by_name("text", 18).is_some_and(|text| text.preferred && text.collation == Some("default")));
        assert_eq!(type_by_name("name", 18).and_then(|name| name.collation), Some("C"));
    }
}
