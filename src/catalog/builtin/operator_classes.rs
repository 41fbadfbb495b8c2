//! Built-in operator classes of index access methods.

use std::sync::LazyLock;

use super::{Majors, casts_from, rows, type_by_name};

pub(super) const DATA: &str = include_str!("operator_classes.txt");

/// An entry of `pg_opclass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinOperatorClass {
    /// Access method: `btree`, `gin`, ...
    pub method: &'static str,
    /// Type it is for: internal name, or `anyarray`, `anyenum`, `anyrange`, `anymultirange`, `record`.
    pub input: &'static str,
    /// Name.
    pub name: &'static str,
    /// Operator family, of `pg_catalog`.
    pub family: &'static str,
    /// Default for its type.
    pub default: bool,
}

static CLASSES: LazyLock<Vec<(BuiltinOperatorClass, Majors)>> = LazyLock::new(|| {
    rows(DATA)
        .map(|([method, input, name, family, default], majors)| {
            (BuiltinOperatorClass { method, input, name, family, default: default == "t" }, majors)
        })
        .collect()
});

/// The built-in operator class of that name.
pub fn operator_class(method: &str, name: &str, major: i32) -> Option<BuiltinOperatorClass> {
    classes(method, major).find(|class| class.name == name)
}

/// The class that an index on a column of a built-in type gets when none is named: for exactly that type, else
/// for the one type it can be read as (the preferred one if there are several). Also takes the pseudo-types
/// `anyenum`, `anyarray`, `anyrange`, `anymultirange` and `record` for user-defined types of these kinds.
pub fn default_operator_class(method: &str, type_name: &str, major: i32) -> Option<BuiltinOperatorClass> {
    let defaults = || classes(method, major).filter(|class| class.default);
    if let Some(exact) = defaults().find(|class| class.input == type_name) {
        return Some(exact);
    }
    let of = type_by_name(type_name, major)?;
    let polymorphic = match (of.kind, of.category) {
        (_, 'A') => Some("anyarray"),
        ('r', _) => Some("anyrange"),
        ('m', _) => Some("anymultirange"),
        _ => None,
    };
    if let Some(polymorphic) = polymorphic {
        return defaults().find(|class| class.input == polymorphic);
    }
    let readable: Vec<&str> = casts_from(type_name, major)
        .filter(|cast| cast.method == 'b' && cast.context == 'i')
        .map(|cast| cast.target)
        .collect();
    let candidates: Vec<_> = defaults().filter(|class| readable.contains(&class.input)).collect();
    let is_preferred = |input| type_by_name(input, major).is_some_and(|of_class| of_class.preferred);
    let preferred: Vec<_> = candidates.iter().filter(|class| is_preferred(class.input)).collect();
    match (preferred.as_slice(), candidates.as_slice()) {
        ([one], _) => Some(**one),
        ([], [one]) => Some(*one),
        _ => None,
    }
}

fn classes(method: &str, major: i32) -> impl Iterator<Item = BuiltinOperatorClass> {
    CLASSES
        .iter()
        .filter(move |(class, majors)| class.method == method && majors.contain(major))
        .map(|(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_as_the_server_chooses_them() {
        for (method, of, class) in [
            ("btree", "int4", Some("int4_ops")),
            ("btree", "varchar", Some("text_ops")),
            ("btree", "cidr", Some("inet_ops")),
            ("btree", "regclass", Some("oid_ops")),
            ("btree", "_text", Some("array_ops")),
            ("gin", "_text", Some("array_ops")),
            ("btree", "int4range", Some("range_ops")),
            ("gist", "int4range", Some("range_ops")),
            ("hash", "timestamptz", Some("timestamptz_ops")),
            ("brin", "varchar", Some("text_minmax_ops")),
            ("btree", "json", None),
            ("gin", "jsonb", Some("jsonb_ops")),
            ("btree", "anyenum", Some("enum_ops")),
        ] {
            assert_eq!(default_operator_class(method, of, 17).map(|class| class.name), class, "{method} {of}");
        }
        assert_eq!(operator_class("btree", "text_pattern_ops", 14).map(|c| c.family), Some("text_pattern_ops"));
    }
}
