//! Types in statements: from the parser's `TypeName` to the catalog's [`DataType`], by the server's rules
//! (`parse_type.c`, `format_type.c`).

mod format;
mod modifier;

use pg_query::protobuf::node::Node as Kind;
use pg_query::protobuf::{Node, TypeName};

use super::builtin::{self, BuiltinType};
use super::{Catalog, DataType, Name, RelationKind, TypeKind};
use crate::sql::expression::parse_expression;

pub use format::format_type;
pub use modifier::{NoModifier, encode_modifier};

/// The type that a statement names. `serial` and its kin give their integer: see [`serial_integer`].
///
/// `None` when it cannot be told: a type that neither PostgreSQL brings nor the catalog has, `%TYPE`, a set, a
/// modifier that the type does not take or whose encoding only its extension knows.
pub fn resolve_type(type_name: &TypeName, catalog: &Catalog) -> Option<DataType> {
    if type_name.pct_type || type_name.setof {
        return None;
    }
    let (name, is_array_name) = match lookup(type_name, catalog) {
        Some(found) => found,
        None => (Name::new("pg_catalog", serial_integer(type_name)?), false),
    };
    let array = is_array_name || !type_name.array_bounds.is_empty();
    let modifier = if type_name.typmods.is_empty() {
        type_name.typemod
    } else {
        let of = builtin(&name, catalog)?;
        encode_modifier(of.name, &integers(&type_name.typmods)?, catalog.server.major()).ok()?
    };
    let sql = format_type(&name, modifier, array)?;
    Some(DataType { name, modifier, array, sql })
}

/// The type that a text names, such as `character varying(20)[]` or `library.genre`; as [`resolve_type`].
pub fn parse_type(text: &str, catalog: &Catalog) -> Option<DataType> {
    let Kind::TypeCast(cast) = parse_expression(&format!("NULL::{text}"))?.node? else { return None };
    let Kind::AConst(_) = cast.arg?.node? else { return None };
    resolve_type(&cast.type_name?, catalog)
}

/// The integer type behind `serial` in a column definition: only there, and only unqualified, does the server
/// read it so. `None` for every other type.
pub fn serial_integer(type_name: &TypeName) -> Option<&'static str> {
    let names = names(type_name);
    let [name] = names.as_slice() else { return None };
    match *name {
        "smallserial" | "serial2" => Some("int2"),
        "serial" | "serial4" => Some("int4"),
        "bigserial" | "serial8" => Some("int8"),
        _ => None,
    }
}

/// The built-in type of that name; `None` for user-defined ones.
pub fn builtin(name: &Name, catalog: &Catalog) -> Option<&'static BuiltinType> {
    if name.schema != "pg_catalog" {
        return None;
    }
    builtin::type_by_name(&name.name, catalog.server.major())
}

/// The type below a domain, and below the domain that is its base; any other type unchanged.
pub fn base_type(data_type: &DataType, catalog: &Catalog) -> DataType {
    let mut current = data_type.clone();
    // A domain cannot be over itself; the bound is for a catalog file that says so.
    for _ in 0..100 {
        match catalog.types.get(&current.name).map(|found| &found.kind) {
            Some(TypeKind::Domain { base, .. }) if !current.array => current = base.clone(),
            _ => break,
        }
    }
    current
}

/// `pg_type.typcategory` of the type, of its base for a domain; `None` for base types of extensions and types
/// that are not known.
pub fn category(data_type: &DataType, catalog: &Catalog) -> Option<char> {
    let base = base_type(data_type, catalog);
    if base.array {
        return Some('A');
    }
    if let Some(found) = builtin(&base.name, catalog) {
        return Some(found.category);
    }
    match catalog.types.get(&base.name).map(|found| &found.kind) {
        Some(TypeKind::Enum { .. }) => Some('E'),
        Some(TypeKind::Range { .. }) => Some('R'),
        Some(TypeKind::Composite { .. }) => Some('C'),
        Some(TypeKind::Base | TypeKind::Domain { .. }) => None,
        None => is_row_type(&base.name, catalog).then_some('C'),
    }
}

/// Schema and name of the type, and whether it is an array type's own name (`_int4`).
fn lookup(type_name: &TypeName, catalog: &Catalog) -> Option<(Name, bool)> {
    match names(type_name).as_slice() {
        [name] => {
            let path = &catalog.server.search_path;
            let implicit = (!path.iter().any(|schema| schema == "pg_catalog")).then_some("pg_catalog");
            let mut schemas = implicit.into_iter().chain(path.iter().map(String::as_str));
            schemas.find_map(|schema| in_schema(schema, name, catalog))
        }
        // With three parts the first is the database.
        [schema, name] | [_, schema, name] => in_schema(schema, name, catalog),
        _ => None,
    }
}

fn in_schema(schema: &str, name: &str, catalog: &Catalog) -> Option<(Name, bool)> {
    if schema == "pg_catalog" {
        // Spellings with a meaning of their own are for text, not for parsed names.
        let found = builtin::type_by_name(name, catalog.server.major()).filter(|found| found.name == name)?;
        return Some((Name::new(schema, found.element.unwrap_or(found.name)), found.element.is_some()));
    }
    let is_type = |name: &Name| catalog.types.contains_key(name) || is_row_type(name, catalog);
    let plain = Name::new(schema, name);
    if is_type(&plain) {
        return Some((plain, false));
    }
    let element = Name::new(schema, name.strip_prefix('_')?);
    is_type(&element).then_some((element, true))
}

/// Every table and view is a type as well.
fn is_row_type(name: &Name, catalog: &Catalog) -> bool {
    let kind = catalog.relations.get(name).map(|relation| relation.kind);
    kind.is_some_and(|kind| !kind.is_index() && kind != RelationKind::Sequence)
}

fn names(type_name: &TypeName) -> Vec<&str> {
    let names = type_name.names.iter().filter_map(|node| match &node.node {
        Some(Kind::String(name)) => Some(name.sval.as_str()),
        _ => None,
    });
    names.collect()
}

/// Constants of a modifier; `None` when one is not an integer.
fn integers(nodes: &[Node]) -> Option<Vec<i32>> {
    use pg_query::protobuf::a_const::Val;
    let values = nodes.iter().map(|node| match &node.node {
        Some(Kind::AConst(constant)) => match &constant.val {
            Some(Val::Ival(value)) => Some(value.ival),
            _ => None,
        },
        _ => None,
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Relation, UserType};

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["app".to_owned(), "public".to_owned()];
        let mut add = |schema: &str, name: &str, kind| {
            let user_type = UserType { kind, owner: String::new(), privileges: vec![], comment: None, extension: None };
            catalog.types.insert(Name::new(schema, name), user_type);
        };
        add("public", "Mood", TypeKind::Enum { labels: vec![] });
        add("app", "text", TypeKind::Enum { labels: vec![] });
        let base =
            DataType { name: Name::new("pg_catalog", "varchar"), modifier: 24, array: false, sql: String::new() };
        let domain =
            |base| TypeKind::Domain { base, not_null: false, default: None, constraints: vec![], collation: None };
        add("app", "code", domain(base));
        let code = DataType { name: Name::new("app", "code"), modifier: -1, array: false, sql: String::new() };
        add("app", "narrow", domain(code));
        catalog.relations.insert(Name::new("app", "orders"), Relation::new(RelationKind::Table, ""));
        catalog
    }

    #[test]
    fn formats_as_the_server_does() {
        let catalog = catalog();
        for (written, sql) in [
            ("int", "integer"),
            ("varchar(20)", "character varying(20)"),
            ("varchar", "character varying"),
            ("char", "character(1)"),
            ("bpchar", "bpchar"),
            ("\"char\"", "\"char\""),
            ("char(3)[]", "character(3)[]"),
            ("bit", "bit(1)"),
            ("bit varying(5)", "bit varying(5)"),
            ("decimal(10, 2)", "numeric(10,2)"),
            ("numeric(2, -3)", "numeric(2,-3)"),
            ("numeric(7)", "numeric(7,0)"),
            ("float(24)", "real"),
            ("float", "double precision"),
            ("timestamp(3) with time zone", "timestamp(3) with time zone"),
            ("timestamptz", "timestamp with time zone"),
            ("timestamp(9)", "timestamp(6) without time zone"),
            ("time(0)", "time(0) without time zone"),
            ("interval", "interval"),
            ("interval(3)", "interval(3)"),
            ("interval day to second(2)", "interval day to second(2)"),
            ("interval year to month", "interval year to month"),
            ("int[][]", "integer[]"),
            ("_int4", "integer[]"),
            ("pg_catalog.\"bit\"", "\"bit\""),
            ("jsonb", "jsonb"),
            ("name", "name"),
            ("serial", "integer"),
            ("\"Mood\"[]", "public.\"Mood\"[]"),
            ("_Mood", ""),
            ("\"_Mood\"", "public.\"Mood\"[]"),
            ("text", "text"),
            ("app.text", "app.text"),
            ("orders", "app.orders"),
            ("code", "app.code"),
            ("code(3)", ""),
            ("varchar(0)", ""),
            ("int(3)", ""),
            ("nothing", ""),
            ("text::int", ""),
        ] {
            let found = parse_type(written, &catalog).map(|found| found.sql).unwrap_or_default();
            assert_eq!(found, sql, "{written}");
        }
    }

    #[test]
    fn looks_below_domains() {
        let catalog = catalog();
        let of = |text| parse_type(text, &catalog).unwrap();
        assert_eq!(base_type(&of("narrow"), &catalog).modifier, 24);
        assert_eq!(category(&of("narrow"), &catalog), Some('S'));
        assert_eq!(category(&of("narrow[]"), &catalog), Some('A'));
        assert_eq!(category(&of("orders"), &catalog), Some('C'));
        assert_eq!(category(&of("\"Mood\""), &catalog), Some('E'));
    }
}
