//! From a type name in a statement to the type.

use pg_query::protobuf::{AConst, Node, TypeName, a_const::Val, node};

use super::types::Type;
use crate::catalog::types::{resolve_type, serial_integer};
use crate::catalog::{Catalog, DataType, Name};
use crate::sql::quote;

/// The texts of a list of name parts.
pub(crate) fn strings(nodes: &[Node]) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(node::Node::String(part)) => Some(part.sval.clone()),
            _ => None,
        })
        .collect()
}

/// The type a name stands for, by the search path; `None` when the catalog has no such type. `serial` and its
/// kin are not types: see [`crate::catalog::types::serial_integer`].
pub(crate) fn resolve(catalog: &Catalog, type_name: &TypeName) -> Option<Type> {
    data_type(catalog, type_name).map(|found| Type::of(&found))
}

/// [`resolve`] as the catalog model writes types. A modifier that only an extension knows is kept as text.
pub(crate) fn data_type(catalog: &Catalog, type_name: &TypeName) -> Option<DataType> {
    if serial_integer(type_name).is_none()
        && let Some(found) = resolve_type(type_name, catalog)
    {
        return Some(found);
    }
    if type_name.setof || type_name.pct_type {
        return None;
    }
    let temporary = temporary_row(catalog, type_name);
    if temporary.is_some() {
        return temporary;
    }
    let bare = TypeName { typmods: Vec::new(), ..type_name.clone() };
    let mut found = resolve_type(&bare, catalog).filter(|found| found.name.schema != "pg_catalog")?;
    let numbers: Vec<String> = type_name.typmods.iter().filter_map(modifier_text).collect();
    if !numbers.is_empty() {
        found.modifier = numbers.first().and_then(|number| number.parse().ok()).unwrap_or(0);
        found.sql = format!("{}({}){}", found.name, numbers.join(","), if found.array { "[]" } else { "" });
    }
    Some(found)
}

/// The row type of a temporary table.
fn temporary_row(catalog: &Catalog, type_name: &TypeName) -> Option<DataType> {
    let parts = strings(&type_name.names);
    let [name] = parts.as_slice() else { return None };
    let name = Name::new("pg_temp", name.as_str());
    catalog.relations.contains_key(&name).then(|| {
        let array = !type_name.array_bounds.is_empty();
        DataType { sql: format!("{name}{}", if array { "[]" } else { "" }), name, modifier: -1, array }
    })
}

fn modifier_text(node: &Node) -> Option<String> {
    match &node.node {
        Some(node::Node::AConst(AConst { val: Some(Val::Ival(value)), .. })) => Some(value.ival.to_string()),
        Some(node::Node::AConst(AConst { val: Some(Val::Sval(value)), .. })) => Some(value.sval.clone()),
        Some(node::Node::ColumnRef(column)) => strings(&column.fields).pop(),
        _ => None,
    }
}

/// The name as text for messages.
pub(crate) fn spelled(type_name: &TypeName) -> String {
    strings(&type_name.names).iter().map(|part| quote::ident(part)).collect::<Vec<_>>().join(".")
}
