//! From names in a statement to objects of the catalog.

use pg_query::protobuf::{DefElem, Node, ObjectWithArgs, RangeVar, RoleSpec, RoleSpecType, TypeName, node};

use super::edit::{Edit, Outcome, fail};
use crate::catalog::expression::{self, Missing, Type, strings};
use crate::catalog::{Catalog, DataType, Function, Name, Relation};
use crate::sql::quote;

impl From<Missing> for super::Unforeseeable {
    fn from(missing: Missing) -> Self {
        Self(format!("{} does not exist", missing.0))
    }
}

/// As written in the statement, quoted.
pub(super) fn spelled(parts: &[String]) -> String {
    parts.iter().map(|part| quote::ident(part)).collect::<Vec<_>>().join(".")
}

/// Schema (empty when not given) and name.
pub(super) fn split(parts: &[String]) -> (&str, &str) {
    match parts {
        [name] => ("", name),
        [schema, name] | [_, schema, name] => (schema, name),
        _ => ("", ""),
    }
}

/// The relation a name stands for, if there is one.
pub(super) fn find_relation(catalog: &Catalog, range: &RangeVar) -> Option<Name> {
    find_relation_by(catalog, &range.schemaname, &range.relname)
}

/// [`find_relation`] for a schema (empty: by search path) and a name.
pub(super) fn find_relation_by(catalog: &Catalog, schema: &str, name: &str) -> Option<Name> {
    in_path(catalog, schema, name, |full| catalog.relations.contains_key(full))
}

/// The first of the search path for which `exists` holds.
pub(super) fn in_path(catalog: &Catalog, schema: &str, name: &str, exists: impl Fn(&Name) -> bool) -> Option<Name> {
    let find = |schema: &str| Some(Name::new(schema, name)).filter(&exists);
    if !schema.is_empty() {
        return find(schema);
    }
    find(Name::TEMPORARY).or_else(|| catalog.server.search_path.iter().find_map(|schema| find(schema)))
}

/// The relation a name stands for.
pub(super) fn relation(catalog: &Catalog, range: Option<&RangeVar>) -> Outcome<Name> {
    let Some(range) = range else { fail!("the statement names no relation") };
    match find_relation(catalog, range) {
        Some(name) => Ok(name),
        None => fail!("relation {} does not exist", spelled_range(range)),
    }
}

/// The relation of those name parts.
pub(super) fn relation_of(catalog: &Catalog, parts: &[String]) -> Outcome<Name> {
    let (schema, name) = split(parts);
    match find_relation_by(catalog, schema, name) {
        Some(name) => Ok(name),
        None => fail!("relation {} does not exist", spelled(parts)),
    }
}

pub(super) fn spelled_range(range: &RangeVar) -> String {
    match range.schemaname.as_str() {
        "" => quote::ident(&range.relname),
        schema => quote::qualified(schema, &range.relname),
    }
}

/// Where a new object of that name goes.
pub(super) fn creation(catalog: &Catalog, schema: &str, name: &str) -> Outcome<Name> {
    if name.is_empty() {
        fail!("the statement names no object");
    }
    if schema.is_empty() {
        return match catalog.server.search_path.first() {
            Some(schema) => Ok(Name::new(schema.as_str(), name)),
            None => fail!("no schema of the search path exists to create {} in", quote::ident(name)),
        };
    }
    if schema == Name::TEMPORARY || catalog.schemas.contains_key(schema) {
        return Ok(Name::new(schema, name));
    }
    fail!("schema {} does not exist", quote::ident(schema))
}

/// Where a new relation goes; temporary ones into their own schema.
pub(super) fn creation_of(catalog: &Catalog, range: &RangeVar) -> Outcome<Name> {
    if range.relpersistence == "t" {
        return Ok(Name::new(Name::TEMPORARY, range.relname.as_str()));
    }
    creation(catalog, &range.schemaname, &range.relname)
}

/// [`creation`] for name parts.
pub(super) fn creation_from(catalog: &Catalog, parts: &[String]) -> Outcome<Name> {
    let (schema, name) = split(parts);
    creation(catalog, schema, name)
}

/// The name parts of a list node or a single string.
pub(super) fn parts(node: Option<&Node>) -> Vec<String> {
    match node.and_then(|node| node.node.as_ref()) {
        Some(node::Node::List(list)) => strings(&list.items),
        Some(node::Node::String(part)) => vec![part.sval.clone()],
        Some(node::Node::TypeName(name)) => strings(&name.names),
        Some(node::Node::ObjectWithArgs(object)) => strings(&object.objname),
        _ => Vec::new(),
    }
}

/// The role a specification stands for; `public` for PUBLIC.
pub(super) fn role(catalog: &Catalog, role: &RoleSpec) -> String {
    match RoleSpecType::try_from(role.roletype) {
        Ok(RoleSpecType::RolespecPublic) => "public".to_owned(),
        Ok(RoleSpecType::RolespecCstring) => role.rolename.clone(),
        _ => catalog.server.user.clone(),
    }
}

/// The type of a column or argument.
pub(super) fn data_type(catalog: &Catalog, type_name: Option<&TypeName>) -> Outcome<DataType> {
    let Some(type_name) = type_name else { fail!("the statement names no type") };
    match expression::data_type(catalog, type_name).or_else(|| assumed(catalog, type_name)) {
        Some(found) => Ok(found),
        None => fail!("type {} is not known", expression::spelled(type_name)),
    }
}

/// A type that is not in the catalog, where an extension is installed whose objects are not known.
fn assumed(catalog: &Catalog, type_name: &TypeName) -> Option<DataType> {
    let parts = strings(&type_name.names);
    let (schema, name) = split(&parts);
    let of_extension = super::extension::unlisted_schema(catalog)?;
    if !(schema.is_empty() || schema == of_extension) || type_name.setof || type_name.pct_type {
        return None;
    }
    let name = Name::new(of_extension, name);
    let numbers: Vec<String> = type_name.typmods.iter().filter_map(|node| option_text(Some(node))).collect();
    let array = !type_name.array_bounds.is_empty();
    let modifier = match numbers.first() {
        Some(first) => first.parse().unwrap_or(0),
        None => -1,
    };
    let parentheses = if numbers.is_empty() { String::new() } else { format!("({})", numbers.join(",")) };
    let sql = format!("{name}{parentheses}{}", if array { "[]" } else { "" });
    Some(DataType { name, modifier, array, sql })
}

/// The user-defined type of those name parts.
pub(super) fn user_type(catalog: &Catalog, parts: &[String]) -> Option<Name> {
    let (schema, name) = split(parts);
    in_path(catalog, schema, name, |full| catalog.types.contains_key(full))
}

/// [`user_type`], which must exist.
pub(super) fn existing_type(catalog: &Catalog, parts: &[String]) -> Outcome<Name> {
    match user_type(catalog, parts) {
        Some(name) => Ok(name),
        None => fail!("type {} does not exist", spelled(parts)),
    }
}

/// The types of a function's input arguments.
pub(super) fn input_types(catalog: &Catalog, function: &Function) -> Vec<String> {
    expression::signature(catalog, function).map(|signature| signature.parameters).unwrap_or_default()
}

/// Positions of the functions of that name, by search path.
fn candidates(catalog: &Catalog, parts: &[String]) -> Vec<usize> {
    let (schema, name) = split(parts);
    let schemas: Vec<&str> = match schema {
        "" => catalog.server.search_path.iter().map(String::as_str).collect(),
        schema => vec![schema],
    };
    let mut out = Vec::new();
    for schema in schemas {
        let wanted = Name::new(schema, name);
        let from = catalog.functions.partition_point(|function| function.name < wanted);
        let own = catalog.functions[from..].iter().take_while(|function| function.name == wanted).count();
        out.extend(from..from + own);
    }
    out
}

/// The function that a name with argument types (or alone, when it is the only one) stands for.
pub(super) fn find_function(catalog: &Catalog, object: &ObjectWithArgs) -> Option<usize> {
    let parts = strings(&object.objname);
    let candidates = candidates(catalog, &parts);
    if object.args_unspecified {
        return match candidates[..] {
            [only] => Some(only),
            _ => None,
        };
    }
    let wanted: Vec<String> = object
        .objargs
        .iter()
        .filter_map(|argument| match &argument.node {
            Some(node::Node::TypeName(type_name)) => {
                let found = expression::resolve_type(catalog, type_name);
                Some(found.map_or_else(|| expression::spelled(type_name), |found| found.id))
            }
            _ => None,
        })
        .collect();
    candidates.into_iter().find(|&at| input_types(catalog, &catalog.functions[at]) == wanted)
}

/// [`find_function`], which must exist.
pub(super) fn function(catalog: &Catalog, object: &ObjectWithArgs) -> Outcome<usize> {
    match find_function(catalog, object) {
        Some(at) => Ok(at),
        None => fail!("function {} with these arguments does not exist", spelled(&strings(&object.objname))),
    }
}

/// The one function of that name without arguments, as triggers call it; the name alone is enough to a trigger.
pub(super) fn trigger_function(catalog: &Catalog, parts: &[String]) -> Outcome<Name> {
    let found = candidates(catalog, parts).into_iter().map(|at| &catalog.functions[at]);
    if let Some(function) = found.into_iter().find(|function| function.arguments.is_empty()) {
        return Ok(function.name.clone());
    }
    let (schema, name) = split(parts);
    // Functions that PostgreSQL brings, such as suppress_redundant_updates_trigger.
    if schema == "pg_catalog" || schema.is_empty() && crate::catalog::builtin::function(name, 18).is_some() {
        return Ok(Name::new("pg_catalog", name));
    }
    fail!("function {}() does not exist", spelled(parts))
}

/// Elements of `DefElem` kind.
pub(super) fn options(nodes: &[Node]) -> impl Iterator<Item = &DefElem> {
    nodes.iter().filter_map(|node| match &node.node {
        Some(node::Node::DefElem(element)) => Some(&**element),
        _ => None,
    })
}

/// The text of an option's value.
pub(super) fn option_text(node: Option<&Node>) -> Option<String> {
    Some(match node?.node.as_ref()? {
        node::Node::String(value) => value.sval.clone(),
        node::Node::Integer(value) => value.ival.to_string(),
        node::Node::Float(value) => value.fval.clone(),
        node::Node::Boolean(value) => value.boolval.to_string(),
        node::Node::TypeName(name) => strings(&name.names).pop()?,
        node::Node::List(list) => strings(&list.items).join("."),
        node::Node::AConst(constant) => constant_text(constant)?,
        node::Node::TypeCast(cast) => option_text(cast.arg.as_deref())?,
        node::Node::ColumnRef(column) => strings(&column.fields).pop()?,
        _ => return None,
    })
}

fn constant_text(constant: &pg_query::protobuf::AConst) -> Option<String> {
    use pg_query::protobuf::a_const::Val;
    Some(match constant.val.as_ref() {
        Some(Val::Sval(value)) => value.sval.clone(),
        Some(Val::Ival(value)) => value.ival.to_string(),
        Some(Val::Fval(value)) => value.fval.clone(),
        Some(Val::Boolval(value)) => value.boolval.to_string(),
        Some(Val::Bsval(value)) => value.bsval.clone(),
        None if !constant.isnull => "0".to_owned(),
        None => return None,
    })
}

/// Direct children by inheritance or partitioning, in the order of their names.
pub(super) fn children(edit: &Edit<'_>, parent: &Name) -> Vec<Name> {
    let is_child = |relation: &Relation| relation.parents.contains(parent);
    let referring = edit.relations.referring_to(parent);
    referring.filter(|(_, relation)| is_child(relation)).map(|(name, _)| name.clone()).collect()
}

/// The relation and everything below it, parents first, each once.
pub(super) fn tree(edit: &Edit<'_>, root: &Name) -> Vec<Name> {
    let mut all = vec![root.clone()];
    let mut next = 0;
    while let Some(current) = all.get(next).cloned() {
        next += 1;
        for child in children(edit, &current) {
            if !all.contains(&child) {
                all.push(child);
            }
        }
    }
    all
}

/// The indexes of a table.
pub(super) fn indexes(catalog: &Catalog, table: &Name) -> Vec<Name> {
    catalog
        .relations
        .referring_to(table)
        .filter(|(_, relation)| relation.index.as_ref().is_some_and(|index| index.table == *table))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The sequences that columns of a table own.
pub(super) fn owned_sequences(catalog: &Catalog, table: &Name) -> Vec<Name> {
    let owned = |relation: &Relation| {
        let owned_by = relation.sequence.as_ref().and_then(|sequence| sequence.owned_by.as_ref());
        owned_by.is_some_and(|owner| owner.relation == *table)
    };
    let referring = catalog.relations.referring_to(table);
    referring.filter(|(_, relation)| owned(relation)).map(|(name, _)| name.clone()).collect()
}

/// The column's type for expressions.
pub(super) fn column_type(relation: &Relation, column: &str) -> Option<Type> {
    relation.column(column).map(|column| Type::of(&column.data_type))
}
