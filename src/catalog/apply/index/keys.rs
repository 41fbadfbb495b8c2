//! Key parts: column or expression, operator class, collation, order.

use pg_query::protobuf::{IndexElem, Node, SortByDir, SortByNulls, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::extension;
use crate::catalog::expression::{Cooked, Scope, Type, cook, strings};
use crate::catalog::{Catalog, IndexKey, Name, Relation, TypeKind, builtin};
use crate::sql::quote;

/// One key part; for an expression also what it depends on.
pub(super) fn key(
    edit: &Edit<'_>,
    relation: &Relation,
    scope: &Scope<'_>,
    method: &str,
    element: &IndexElem,
) -> Outcome<(IndexKey, Option<Cooked>)> {
    if let Some(plain) = collated_column(element) {
        return key(edit, relation, scope, method, &plain);
    }
    let mut expression = None;
    let (data_type, own_collation) = if element.name.is_empty() {
        let Some(node) = element.expr.as_deref() else { fail!("a key part of the index is empty") };
        let cooked = cook(edit, scope, node)?;
        let found = (cooked.data_type.clone(), cooked.collation.clone());
        expression = Some(cooked);
        found
    } else {
        match relation.column(&element.name) {
            Some(column) => (Some(Type::of(&column.data_type)), column.collation.clone()),
            None if relation.columns_unknown || is_system_column(&element.name) => (None, None),
            None => fail!("column {} does not exist", quote::ident(&element.name)),
        }
    };
    let collation = match collation_name(edit, &strings(&element.collation)) {
        Some(named) => named,
        None => own_collation
            .filter(|_| data_type.as_ref().is_none_or(|own| own.is_collatable(edit)))
            .unwrap_or_else(|| default_collation(edit, data_type.as_ref())),
    };
    let default = default_class(edit, method, data_type.as_ref());
    let named = named_class(edit, method, &strings(&element.opclass));
    let (operator_class, operator_family) = named.clone().or_else(|| default.clone()).unwrap_or_default();
    let descending = element.ordering == SortByDir::SortbyDesc as i32;
    let nulls_first = match SortByNulls::try_from(element.nulls_ordering) {
        Ok(SortByNulls::SortbyNullsFirst) => true,
        Ok(SortByNulls::SortbyNullsLast) => false,
        _ => descending,
    };
    let options = super::super::options::definition(&super::super::options::of(&element.opclassopts));
    let key = IndexKey {
        column: Some(element.name.clone()).filter(|name| !name.is_empty()),
        expression: expression
            .as_ref()
            .map(|cooked| if cooked.is_call { cooked.text.clone() } else { format!("({})", cooked.text) }),
        default_class: match &default {
            Some((class, _)) => *class == operator_class && options.is_empty(),
            None => named.is_none(),
        },
        operator_class: if options.is_empty() { operator_class } else { format!("{operator_class} ({options})") },
        operator_family,
        collation,
        descending,
        nulls_first,
        statistics_target: None,
    };
    Ok((key, expression))
}

/// `(column COLLATE c)` is taken for `column COLLATE c` (ComputeIndexAttrs).
fn collated_column(element: &IndexElem) -> Option<IndexElem> {
    let node::Node::CollateClause(clause) = element.expr.as_deref()?.node.as_ref()? else { return None };
    let node::Node::ColumnRef(column) = clause.arg.as_deref()?.node.as_ref()? else { return None };
    let name = strings(&column.fields).pop()?;
    let collation = if element.collation.is_empty() { clause.collname.clone() } else { element.collation.clone() };
    Some(IndexElem { name, expr: None, collation, ..element.clone() })
}

fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "xmin" | "cmin" | "xmax" | "cmax" | "tableoid")
}

/// The collation of a type without a `COLLATE`, `schema.name`; empty when it has none.
pub(in super::super) fn default_collation(catalog: &Catalog, data_type: Option<&Type>) -> String {
    let Some(data_type) = data_type else { return String::new() };
    if !data_type.is_collatable(catalog) {
        return String::new();
    }
    let base = data_type.element().unwrap_or_else(|| data_type.clone()).base(catalog);
    let collation = if base.id == "name" { "C" } else { "default" };
    quote::qualified("pg_catalog", collation)
}

/// A collation that a statement names, as `schema.name`. The catalog has no list of them: a name that looks
/// like one that PostgreSQL or the operating system brings is taken for that.
pub(in super::super) fn collation_name(catalog: &Catalog, parts: &[String]) -> Option<String> {
    match parts {
        [] => None,
        [name] => {
            let known = matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic" | "unicode" | "pg_c_utf8")
                || name == "pg_unicode_fast"
                || name.ends_with("-x-icu")
                || name.split('.').next().is_some_and(|locale| locale.len() == 5 && locale.as_bytes()[2] == b'_');
            let path = catalog.server.search_path.first().map(String::as_str);
            Some(quote::qualified(if known { "pg_catalog" } else { path.unwrap_or("pg_catalog") }, name))
        }
        [.., schema, name] => Some(quote::qualified(schema, name)),
    }
}

/// Class and family of the default operator class for the type.
pub(in super::super) fn default_class(
    catalog: &Catalog,
    method: &str,
    data_type: Option<&Type>,
) -> Option<(String, String)> {
    let base = data_type?.base(catalog);
    let name = base.name();
    let of_kind = if base.is_array() {
        "anyarray"
    } else {
        match catalog.types.get(&name).map(|found| &found.kind) {
            Some(TypeKind::Enum { .. }) => "anyenum",
            Some(TypeKind::Range { .. }) => "anyrange",
            Some(TypeKind::Composite { .. }) => "record",
            Some(_) => {
                let of_extension = extension::default_class(catalog, method, &base.id);
                // Extensions call the classes of their types so; the schema is the type's.
                return of_extension.or_else(|| {
                    let class = quote::qualified(&name.schema, &format!("{}_ops", name.name));
                    Some((class.clone(), class))
                });
            }
            None if name.schema != "pg_catalog" => "record",
            None => base.id.as_str(),
        }
    };
    match builtin::default_operator_class(method, of_kind, catalog.server.major()) {
        Some(found) => Some((found.name.to_owned(), quote::qualified("pg_catalog", found.family))),
        None => extension::default_class(catalog, method, &base.id),
    }
}

fn named_class(catalog: &Catalog, method: &str, parts: &[String]) -> Option<(String, String)> {
    let name = parts.last()?;
    if let [_] | ["pg_catalog", _] = parts.iter().map(String::as_str).collect::<Vec<_>>()[..]
        && let Some(found) = builtin::operator_class(method, name, catalog.server.major())
    {
        return Some((found.name.to_owned(), quote::qualified("pg_catalog", found.family)));
    }
    let path = || catalog.server.search_path.first().cloned().unwrap_or_else(|| "public".to_owned());
    let found = extension::class(catalog, method, name);
    let schema = match (parts, &found) {
        ([schema, _], _) => schema.clone(),
        (_, Some((schema, _))) => schema.clone(),
        _ => path(),
    };
    // A family is called as its class more often than not.
    let family = found.map_or_else(|| name.clone(), |(_, family)| family);
    Some((quote::qualified(&schema, name), quote::qualified(&schema, &family)))
}

/// A key part that is a column.
pub(super) fn column_node(column: &str) -> Node {
    let element = IndexElem {
        name: column.to_owned(),
        ordering: SortByDir::SortbyDefault as i32,
        nulls_ordering: SortByNulls::SortbyNullsDefault as i32,
        ..IndexElem::default()
    };
    Node { node: Some(node::Node::IndexElem(Box::new(element))) }
}

/// The collation the key part has when none is named.
pub(super) fn natural_collation(catalog: &Catalog, table: &Name, key: &IndexKey) -> String {
    let column = key.column.as_ref().and_then(|column| catalog.relations.get(table)?.column(column));
    match column {
        Some(column) => {
            column.collation.clone().unwrap_or_else(|| default_collation(catalog, Some(&Type::of(&column.data_type))))
        }
        None => {
            let default = quote::qualified("pg_catalog", "default");
            let inside = (key.collation != default).then(|| expression_collation(catalog, table, key)).flatten();
            inside.unwrap_or(default)
        }
    }
}

/// The collation that an expression has by itself.
fn expression_collation(catalog: &Catalog, table: &Name, key: &IndexKey) -> Option<String> {
    let node = super::parse(key.expression.as_deref()?).ok()?;
    let scope = Scope::table(table, catalog.relations.get(table)?);
    cook(catalog, &scope, &node).ok()?.collation
}

/// The key part of an index that exists, as a statement would write it: class and collation only where they are
/// not what the column would get anyway.
pub(super) fn to_node(catalog: &Catalog, table: &Name, key: &IndexKey) -> Outcome<Node> {
    let natural = natural_collation(catalog, table, key);
    let collation = if key.collation == natural { "" } else { key.collation.as_str() };
    let operator_class = if key.default_class { "" } else { key.operator_class.as_str() };
    let name_parts = |text: &str| -> Vec<Node> {
        let parts = match text.parse::<crate::catalog::Name>() {
            Ok(name) => vec![name.schema, name.name],
            Err(_) => vec![text.to_owned()],
        };
        let node = |sval| Node { node: Some(node::Node::String(pg_query::protobuf::String { sval })) };
        parts.into_iter().map(node).collect()
    };
    let expr = match &key.expression {
        Some(text) => Some(Box::new(super::parse(text)?)),
        None => None,
    };
    let direction = if key.descending { SortByDir::SortbyDesc } else { SortByDir::SortbyAsc };
    let nulls = if key.nulls_first { SortByNulls::SortbyNullsFirst } else { SortByNulls::SortbyNullsLast };
    let element = IndexElem {
        name: key.column.clone().unwrap_or_default(),
        expr,
        collation: if collation.is_empty() { Vec::new() } else { name_parts(collation) },
        opclass: if operator_class.is_empty() { Vec::new() } else { name_parts(operator_class) },
        ordering: direction as i32,
        nulls_ordering: nulls as i32,
        ..IndexElem::default()
    };
    Ok(Node { node: Some(node::Node::IndexElem(Box::new(element))) })
}
