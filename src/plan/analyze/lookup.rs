//! Types and functions by name.

use pg_query::protobuf::TypeName;

use super::names::Qualified;
use super::resolve::{Lookup, Rel, Resolver};
use crate::catalog::apply::unlisted_extension_schema;
use crate::catalog::{Function, Name, TypeKind, UserType};

/// Built-in types other than arrays and row types of the system catalogs; the same on 14 to 18
/// (`pg_type` of `pg_catalog`).
const BUILT_IN: &[&str] = &[
    "aclitem",
    "any",
    "anyarray",
    "anycompatible",
    "anycompatiblearray",
    "anycompatiblemultirange",
    "anycompatiblenonarray",
    "anycompatiblerange",
    "anyelement",
    "anyenum",
    "anymultirange",
    "anynonarray",
    "anyrange",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "cstring",
    "date",
    "datemultirange",
    "daterange",
    "event_trigger",
    "fdw_handler",
    "float4",
    "float8",
    "gtsvector",
    "index_am_handler",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "internal",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "language_handler",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_ddl_command",
    "pg_dependencies",
    "pg_lsn",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "table_am_handler",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "trigger",
    "tsm_handler",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
];

/// Names that are no types but that `CREATE TABLE` and `ADD COLUMN` turn into an integer with a sequence.
pub(super) const SERIAL: &[&str] = &["serial", "serial2", "serial4", "serial8", "bigserial", "smallserial"];

/// What a type name stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum TypeLookup<'a> {
    /// A built-in type, or one of the system's; any name, where it may be that of an extension whose types are not
    /// known.
    System,
    /// A user-defined type.
    User(&'a Name, &'a UserType),
    /// The row type of a relation.
    Row(Rel<'a>),
    /// Nothing in the catalog.
    Missing,
}

impl<'a> Resolver<'a> {
    /// What the type name stands for, by the server's search path; an array's element type, `%TYPE` as system.
    pub(super) fn type_named(&self, name: &TypeName) -> TypeLookup<'a> {
        match Qualified::from_type(name) {
            Some(_) if name.pct_type => TypeLookup::System,
            Some(name) => self.type_lookup(name),
            None => TypeLookup::System,
        }
    }

    /// [`Resolver::type_named`] for a name that is not an array's.
    pub(super) fn type_lookup(&self, name: Qualified<'_>) -> TypeLookup<'a> {
        // An array type's own name is the element's with an underscore in front.
        let element = name.name.strip_prefix('_').unwrap_or(name.name);
        if name.schema == "pg_catalog" || (name.schema.is_empty() && BUILT_IN.contains(&element)) {
            return TypeLookup::System;
        }
        let schemas: Vec<&str> = if name.schema.is_empty() {
            self.catalog.server.search_path.iter().map(String::as_str).collect()
        } else {
            vec![name.schema]
        };
        for schema in &schemas {
            for candidate in [name.name, element] {
                if let Some((name, found)) = self.catalog.types.get_key_value(&Name::new(*schema, candidate)) {
                    return TypeLookup::User(name, found);
                }
            }
        }
        match self.lookup_name(name.schema, name.name) {
            Lookup::Found(found) if !found.relation.kind.is_index() => TypeLookup::Row(found),
            Lookup::System => TypeLookup::System,
            Lookup::Found(_) | Lookup::Missing => match unlisted_extension_schema(self.catalog) {
                Some(schema) if name.schema.is_empty() || name.schema == schema => TypeLookup::System,
                // It has a multirange beside it, of any name.
                _ if schemas.iter().any(|schema| self.has_range(schema)) => TypeLookup::System,
                _ => TypeLookup::Missing,
            },
        }
    }

    /// Whether a range type is in the schema.
    fn has_range(&self, schema: &str) -> bool {
        let mut types = self.catalog.types.iter();
        types.any(|(name, found)| name.schema == schema && matches!(found.kind, TypeKind::Range { .. }))
    }

    /// User-defined functions of that name, all overloads, by the server's search path (the first schema of
    /// the path that has one hides the others, which is exact enough to read their bodies).
    pub(super) fn functions_named(&self, name: Qualified<'_>) -> Vec<&'a Function> {
        let all = &self.catalog.functions;
        let of_schema = |schema: &str| {
            all.iter().filter(|f| f.name.schema == schema && f.name.name == name.name).collect::<Vec<_>>()
        };
        if !name.schema.is_empty() {
            return of_schema(name.schema);
        }
        self.catalog
            .server
            .search_path
            .iter()
            .map(|schema| of_schema(schema))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// A domain, enum, range or composite type with that name in the schema, or a relation's row type: what a
    /// new type or relation of that name collides with.
    pub(super) fn type_exists(&self, name: &Name) -> bool {
        self.catalog.types.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;
    use crate::plan::analyze::analyze;

    #[test]
    fn a_type_may_be_the_multirange_of_a_range() {
        let mut catalog = Catalog::default();
        catalog.server.version = 140_000;
        catalog.server.search_path = vec!["public".to_owned()];
        let text = "CREATE SCHEMA public; CREATE TYPE r AS RANGE (subtype = int); CREATE TABLE t (a r_multirange)";
        for statement in crate::sql::parse(text).unwrap() {
            assert_eq!(analyze(&statement, &catalog).refused, None, "{}", statement.text);
            crate::catalog::apply::apply(&mut catalog, &statement).ok();
        }
    }

    #[test]
    fn a_type_may_be_that_of_an_extension_only_in_its_schema() {
        let mut catalog = Catalog::default();
        let refused = |catalog: &Catalog, name: &str| {
            let statements = crate::sql::parse(&format!("CREATE TABLE t (a {name})")).unwrap();
            analyze(&statements[0], catalog).refused.map(|refusal| refusal.sqlstate)
        };
        assert_eq!(refused(&catalog, "vector(3)").as_deref(), Some("42704"));
        catalog.extensions.insert("vector".to_owned(), "geo".to_owned());
        assert_eq!(refused(&catalog, "vector(3)"), None);
        assert_eq!(refused(&catalog, "geo.vector(3)"), None);
        assert_eq!(refused(&catalog, "public.vector(3)").as_deref(), Some("42704"));
    }
}
