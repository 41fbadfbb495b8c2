//! Names as parse trees hold them.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ObjectWithArgs, RangeVar, TypeName};

use crate::sql::quote;

/// The text of every `String` node of a list.
pub(super) fn strings(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().filter_map(|node| string(node.node.as_ref()?)).collect()
}

/// The text of a `String` node.
pub(super) fn string(node: &NodeEnum) -> Option<&str> {
    match node {
        NodeEnum::String(string) => Some(&string.sval),
        _ => None,
    }
}

/// A possibly qualified name: schema (empty when there is none) and name. A database in front is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Qualified<'n> {
    /// Schema; empty: by search path.
    pub schema: &'n str,
    /// Name.
    pub name: &'n str,
}

impl<'n> Qualified<'n> {
    /// From the last two parts of a dotted name.
    pub fn from_parts(parts: &[&'n str]) -> Option<Self> {
        let (name, before) = parts.split_last()?;
        Some(Self { schema: before.last().copied().unwrap_or(""), name })
    }

    /// From a list of `String` nodes.
    pub fn from_nodes(nodes: &'n [Node]) -> Option<Self> {
        Self::from_parts(&strings(nodes))
    }

    /// From the object of a generic statement: a list of strings, a type name, a name with arguments, a
    /// single string.
    pub fn from_object(node: &'n NodeEnum) -> Option<Self> {
        match node {
            NodeEnum::List(list) => Self::from_nodes(&list.items),
            NodeEnum::TypeName(name) => Self::from_type(name),
            NodeEnum::ObjectWithArgs(object) => Self::from_nodes(&object.objname),
            NodeEnum::String(string) => Some(Self { schema: "", name: &string.sval }),
            NodeEnum::RangeVar(name) => Some(Self::from_range(name)),
            _ => None,
        }
    }

    /// From a type name.
    pub fn from_type(name: &'n TypeName) -> Option<Self> {
        Self::from_nodes(&name.names)
    }

    /// From the name of a relation.
    pub fn from_range(name: &'n RangeVar) -> Self {
        Self { schema: &name.schemaname, name: &name.relname }
    }

    /// As the author wrote it, for messages (`NameListToString` of the server: no quotes).
    pub fn shown(&self) -> String {
        if self.schema.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.schema, self.name) }
    }

    /// For a hint that holds SQL: quoted where it must be.
    pub fn sql(&self) -> String {
        if self.schema.is_empty() { quote::ident(self.name) } else { quote::qualified(self.schema, self.name) }
    }
}

/// The object of a `DROP`, `COMMENT`, ... of something on a table (`TRIGGER t ON r`): the table and the thing.
pub(super) fn on_table(node: &NodeEnum) -> Option<(Qualified<'_>, &str)> {
    let NodeEnum::List(list) = node else { return None };
    let parts = strings(&list.items);
    let (thing, table) = parts.split_last()?;
    Some((Qualified::from_parts(table)?, thing))
}

/// Number of arguments a function is named with; `None` when the author gave none (`DROP FUNCTION f`).
pub(super) fn argument_types(object: &ObjectWithArgs) -> Option<Vec<&TypeName>> {
    if object.args_unspecified {
        return None;
    }
    let types = object.objargs.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::TypeName(name) => Some(name),
        _ => None,
    });
    Some(types.collect())
}
