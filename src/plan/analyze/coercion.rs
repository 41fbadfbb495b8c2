//! What converting a value from one type to another takes (`find_coercion_pathway` in parse_coerce.c,
//! `ATColumnChangeRequiresRewrite` in tablecmds.c), and which index entries stay valid under it.

use crate::catalog::builtin::{self, BuiltinCast};
use crate::catalog::types::{base_type, builtin as builtin_type, category};
use crate::catalog::{Catalog, DataType, Name, TypeKind};

/// Where the conversion is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Without being asked for.
    Implicit,
    /// Storing into a column.
    Assignment,
    /// `CAST`, `::`.
    Explicit,
}

/// What a conversion does to stored values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// The stored form stays; the modifier that the server knows of the result.
    Kept(i32),
    /// Each value is computed anew.
    Computed,
    /// There is none.
    Impossible,
}

/// How one base type becomes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Same,
    Relabel,
    Timestamp,
    Computed,
    None,
}

/// Converts a value of type `from` (with its modifier) to `to`.
pub fn convert(from: &DataType, to: &DataType, context: Context, catalog: &Catalog) -> Conversion {
    if from.name == to.name && from.array == to.array && is_domain(to, catalog) {
        return Conversion::Kept(-1);
    }
    let (source, target) = (base_type(from, catalog), base_type(to, catalog));
    let mut modifier = if is_domain(from, catalog) { -1 } else { from.modifier };
    match path(&source, &target, context, catalog) {
        Path::Same => {}
        Path::Relabel => modifier = -1,
        Path::Timestamp if is_utc(&catalog.server.time_zone) => modifier = -1,
        Path::Timestamp | Path::Computed => return Conversion::Computed,
        Path::None => return Conversion::Impossible,
    }
    if target.modifier >= 0 && target.modifier != modifier && !widens(&target, modifier) {
        return Conversion::Computed;
    }
    if has_constraints(to, catalog) {
        return Conversion::Computed;
    }
    Conversion::Kept(if is_domain(to, catalog) { -1 } else { to.modifier })
}

fn path(source: &DataType, target: &DataType, context: Context, catalog: &Catalog) -> Path {
    if source.name == target.name && source.array == target.array {
        return Path::Same;
    }
    if source.array && target.array {
        let element = |of: &DataType| DataType { array: false, modifier: -1, ..of.clone() };
        let (from, to) = (element(source), element(target));
        return match path(&base_type(&from, catalog), &base_type(&to, catalog), context, catalog) {
            Path::None => Path::None,
            _ => Path::Computed,
        };
    }
    if !source.array
        && !target.array
        && let Some((method, wanted)) = cast_entry(&source.name, &target.name, catalog)
        && wanted <= context
    {
        let timestamps = ["timestamp", "timestamptz"];
        let is_timestamp = |name: &Name| name.schema == "pg_catalog" && timestamps.contains(&name.name.as_str());
        return match method {
            'b' => Path::Relabel,
            'f' if is_timestamp(&source.name) && is_timestamp(&target.name) => Path::Timestamp,
            _ => Path::Computed,
        };
    }
    let strings = match context {
        Context::Implicit => return unknown_pair(source, target, catalog),
        Context::Assignment => [category(target, catalog), Some('S')],
        Context::Explicit => [category(target, catalog), category(source, catalog)],
    };
    if strings[0] == Some('S') || (context == Context::Explicit && strings[1] == Some('S')) {
        return Path::Computed;
    }
    unknown_pair(source, target, catalog)
}

/// The category of an extension's type is not known: such pairs are not called impossible. A composite type
/// becomes the row type of a table that its own inherits from, or the type its table is of.
fn unknown_pair(source: &DataType, target: &DataType, catalog: &Catalog) -> Path {
    let categories = [category(source, catalog), category(target, catalog)];
    let related = categories == [Some('C'), Some('C')] && is_row_of(&source.name, &target.name, catalog);
    if categories.contains(&None) || related { Path::Computed } else { Path::None }
}

/// `typeInheritsFrom`, `typeIsOfTypedTable`.
fn is_row_of(source: &Name, target: &Name, catalog: &Catalog) -> bool {
    let mut pending = vec![source];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(name) = pending.pop() {
        if name == target {
            return true;
        }
        let Some(relation) = catalog.relations.get(name).filter(|_| seen.insert(name)) else { continue };
        pending.extend(&relation.parents);
        if name == source {
            pending.extend(&relation.of_type);
        }
    }
    false
}

/// Method and context of the cast between two types, neither of them an array.
fn cast_entry(source: &Name, target: &Name, catalog: &Catalog) -> Option<(char, Context)> {
    let own = catalog.casts.iter().find(|cast| cast.source == *source && cast.target == *target);
    let (method, context) = match own {
        Some(cast) => (cast.method, cast.context),
        None if source.schema == "pg_catalog" && target.schema == "pg_catalog" => {
            let BuiltinCast { method, context, .. } =
                builtin::cast(&source.name, &target.name, catalog.server.major())?;
            (method, context)
        }
        None => return None,
    };
    let context = match context {
        'i' => Context::Implicit,
        'a' => Context::Assignment,
        _ => Context::Explicit,
    };
    Some((method, context))
}

/// Whether the type is a domain (not an array of one).
pub fn is_domain(of: &DataType, catalog: &Catalog) -> bool {
    !of.array && matches!(catalog.types.get(&of.name).map(|found| &found.kind), Some(TypeKind::Domain { .. }))
}

/// Whether the type is a domain with a CHECK or NOT NULL, its own or of a domain below it. One that is not
/// valid yet counts: new values obey it (`DomainHasConstraints` in typcache.c).
pub fn has_constraints(of: &DataType, catalog: &Catalog) -> bool {
    let mut current = of.clone();
    // A domain cannot be over itself; the bound is for a catalog file that says so.
    for _ in 0..100 {
        match catalog.types.get(&current.name).map(|found| &found.kind) {
            Some(TypeKind::Domain { base, not_null, constraints, .. }) if !current.array => {
                if *not_null || !constraints.is_empty() {
                    return true;
                }
                current = base.clone();
            }
            _ => return false,
        }
    }
    true
}

/// Whether the type's length function leaves every value as it is when a value with modifier `from` gets the
/// target's modifier: the planner support functions of varchar, varbit, numeric and the time types.
fn widens(target: &DataType, from: i32) -> bool {
    let to = target.modifier;
    if target.array || target.name.schema != "pg_catalog" {
        return false;
    }
    match target.name.name.as_str() {
        "varchar" | "varbit" => from >= 0 && to >= from,
        "numeric" => numeric_widens(from, to),
        "timestamp" | "timestamptz" | "time" | "timetz" => to >= MICROSECONDS || (from >= 0 && to >= from),
        "interval" => interval_widens(from, to),
        _ => false,
    }
}

/// Digits of a second that are kept (`MAX_TIMESTAMP_PRECISION`).
const MICROSECONDS: i32 = 6;
/// `VARHDRSZ`, the offset of numeric modifiers.
const HEADER: i32 = 4;

/// Same scale, and at least the precision (`numeric_support` in numeric.c).
fn numeric_widens(from: i32, to: i32) -> bool {
    let parts = |modifier: i32| ((modifier - HEADER) >> 16, (modifier - HEADER) & 0x7ff);
    let ((from_precision, from_scale), (to_precision, to_scale)) = (parts(from), parts(to));
    from >= HEADER && to_scale == from_scale && to_precision >= from_precision
}

/// The least field stays or gets smaller, and as many digits of the second stay (`interval_support` in
/// timestamp.c).
fn interval_widens(from: i32, to: i32) -> bool {
    let parts = |modifier: i32| {
        if modifier < 0 { (0, 0xffff) } else { (least_field((modifier >> 16) & 0x7fff), modifier & 0xffff) }
    };
    let ((from_field, from_precision), (to_field, to_precision)) = (parts(from), parts(to));
    to_field <= from_field && (from_field > 0 || to_precision >= MICROSECONDS || to_precision >= from_precision)
}

/// `intervaltypmodleastfield`: 0 second, 1 minute, 2 hour, 3 day, 4 month, 5 year.
fn least_field(range: i32) -> i32 {
    // Bits of the fields, from datetime.h.
    const YEAR: i32 = 1 << 2;
    const MONTH: i32 = 1 << 1;
    const DAY: i32 = 1 << 3;
    const HOUR: i32 = 1 << 10;
    const MINUTE: i32 = 1 << 11;
    const SECOND: i32 = 1 << 12;
    [(SECOND, 0), (MINUTE, 1), (HOUR, 2), (DAY, 3), (MONTH, 4), (YEAR, 5)]
        .into_iter()
        .find(|(bit, _)| range & bit != 0)
        .map_or(0, |(_, field)| field)
}

/// Whether the zone is at UTC at all times (`pg_get_timezone_offset`): then the two timestamp types have the
/// same stored form. Zones that are unknown here are taken to have been elsewhere once.
fn is_utc(zone: &str) -> bool {
    let zone = zone.to_ascii_lowercase();
    let zone = zone.strip_prefix("etc/").unwrap_or(&zone);
    matches!(
        zone,
        "utc"
            | "uct"
            | "universal"
            | "zulu"
            | "gmt"
            | "gmt0"
            | "gmt+0"
            | "gmt-0"
            | "greenwich"
            | "0"
            | "+00"
            | "-00"
            | "+00:00"
            | "-00:00"
            | "<+00>-00"
            | "<-00>+00"
            | "utc0"
            | "factory"
    )
}

/// Whether an index with the access method's default class for the type keeps its entries when a column's type
/// changes from one to the other without its values being computed anew (`CheckIndexCompatible`).
pub fn same_default_class(method: &str, from: &DataType, to: &DataType, catalog: &Catalog) -> bool {
    let (from, to) = (base_type(from, catalog), base_type(to, catalog));
    if from.name == to.name && from.array == to.array {
        return true;
    }
    if from.array || to.array {
        return false;
    }
    let major = catalog.server.major();
    let class = |of: &DataType| {
        let found = builtin_type(&of.name, catalog)?;
        builtin::default_operator_class(method, found.name, major)
    };
    match (class(&from), class(&to)) {
        (Some(from), Some(to)) => from.name == to.name && !from.input.starts_with("any"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::types::parse_type;

    fn change(from: &str, to: &str, zone: &str) -> Conversion {
        let mut catalog = Catalog::default();
        catalog.server.version = 170_000;
        catalog.server.time_zone = zone.to_owned();
        let parse = |text| parse_type(text, &catalog).unwrap();
        convert(&parse(from), &parse(to), Context::Assignment, &catalog)
    }

    fn kept(from: &str, to: &str) -> bool {
        matches!(change(from, to, "UTC"), Conversion::Kept(_))
    }

    #[test]
    fn widening_keeps_values() {
        for (from, to) in [
            ("varchar(10)", "varchar(20)"),
            ("varchar(10)", "text"),
            ("text", "bpchar"),
            ("numeric(10,2)", "numeric(12,2)"),
            ("numeric(10,2)", "numeric"),
            ("timestamp(3)", "timestamp(6)"),
            ("timestamp(3)", "timestamptz"),
            ("interval", "interval day to second"),
            ("interval day", "interval hour to second"),
            ("bit(3)", "varbit"),
            ("cidr", "inet"),
            ("int", "regclass"),
            ("varchar(5)[]", "varchar[]"),
        ] {
            assert!(kept(from, to), "{from} to {to}");
        }
    }

    #[test]
    fn everything_else_computes_values() {
        for (from, to) in [
            ("varchar(10)", "varchar(5)"),
            ("text", "varchar(10485760)"),
            ("char(5)", "char(10)"),
            ("numeric(10,2)", "numeric(12,3)"),
            ("numeric", "numeric(10,2)"),
            ("timestamp", "timestamp(3)"),
            ("timestamp(3)", "timestamptz(3)"),
            ("interval", "interval second(3)"),
            ("interval", "interval day"),
            ("varbit(5)", "varbit(3)"),
            ("int", "bigint"),
            ("text[]", "varchar[]"),
            ("varchar(5)[]", "varchar(9)[]"),
            ("json", "text"),
        ] {
            assert_eq!(change(from, to, "UTC"), Conversion::Computed, "{from} to {to}");
        }
        assert_eq!(change("timestamp", "timestamptz", "Europe/Berlin"), Conversion::Computed);
    }

    #[test]
    fn some_pairs_have_no_cast() {
        for (from, to) in [("int", "bool"), ("text", "int"), ("int[]", "int"), ("int4range", "int8range")] {
            assert_eq!(change(from, to, "UTC"), Conversion::Impossible, "{from} to {to}");
        }
    }
}
