//! Expressions that ask the catalog: `EXISTS (SELECT ... FROM information_schema.columns ...)` and the like.

use std::cell::Cell;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, BoolExprType, FuncCall, Node, NullTestType, SqlValueFunctionOp, TypeCast, a_const,
};

use super::rows::{self, Row};
use super::value::Value;
use crate::catalog::expression::strings;
use crate::catalog::naming::parts_of_text;
use crate::catalog::{Catalog, Name};
use crate::plan::analyze::{Lookup, Resolver};
use crate::plan::expand::single;
use crate::sql::quote;

/// Rows of one combination, by the name that the query gives their table, innermost query last.
pub(super) type Scope<'a> = Vec<(String, Row<'a>)>;

/// Asks one catalog.
pub(super) struct Asked<'a, 'v> {
    pub(super) catalog: &'a Catalog,
    /// Rows looked at so far.
    pub(super) seen: Cell<usize>,
    /// Variables of the code, with what is known of their values.
    variables: &'v [(String, Value<'a>)],
}

impl<'a, 'v> Asked<'a, 'v> {
    /// Asks that catalog in code with those variables.
    pub fn new(catalog: &'a Catalog, variables: &'v [(String, Value<'a>)]) -> Self {
        Self { catalog, seen: Cell::new(0), variables }
    }

    /// The value of an expression of the code.
    pub fn expression(&self, text: &str) -> Value<'a> {
        let parsed = single(&format!("SELECT {text}")).or_else(|| single(text));
        let Some(NodeEnum::SelectStmt(select)) = parsed.map(|statement| statement.node) else {
            return Value::Unknown;
        };
        self.scalar(&select, &Vec::new())
    }

    /// Whether the query gives a row.
    pub fn finds(&self, text: &str) -> Option<bool> {
        match single(text)?.node {
            NodeEnum::SelectStmt(select) => self.exists(&select, &Vec::new()).truth(),
            _ => None,
        }
    }

    pub(super) fn optional(&self, node: Option<&Node>, scope: &Scope<'a>) -> Value<'a> {
        node.and_then(|node| node.node.as_ref()).map_or(Value::Unknown, |node| self.value(node, scope))
    }

    pub(super) fn list(&self, nodes: &[Node], scope: &Scope<'a>) -> Vec<Value<'a>> {
        nodes.iter().map(|node| self.optional(Some(node), scope)).collect()
    }

    pub(super) fn value(&self, node: &NodeEnum, scope: &Scope<'a>) -> Value<'a> {
        match node {
            NodeEnum::AConst(constant) if constant.isnull => Value::Null,
            NodeEnum::AConst(constant) => match &constant.val {
                Some(a_const::Val::Ival(value)) => Value::Number(i64::from(value.ival)),
                Some(a_const::Val::Boolval(value)) => Value::Boolean(value.boolval),
                Some(a_const::Val::Sval(value)) => Value::owned(&*value.sval),
                _ => Value::Unknown,
            },
            NodeEnum::BoolExpr(logic) => {
                let mut values = self.list(&logic.args, scope);
                match logic.boolop() {
                    BoolExprType::AndExpr => Value::all(values),
                    BoolExprType::OrExpr => Value::any(values),
                    BoolExprType::NotExpr => values.pop().map_or(Value::Unknown, Value::not),
                    BoolExprType::Undefined => Value::Unknown,
                }
            }
            NodeEnum::NullTest(test) => {
                let null = match self.optional(test.arg.as_deref(), scope) {
                    Value::Unknown => return Value::Unknown,
                    value => value == Value::Null,
                };
                Value::Boolean(null == (test.nulltesttype() == NullTestType::IsNull))
            }
            NodeEnum::SubLink(link) => self.sub_query(link, scope),
            NodeEnum::ColumnRef(column) => self.column(&column.fields, scope),
            NodeEnum::AExpr(operation) => self.operation(operation, scope),
            NodeEnum::AArrayExpr(array) => Value::List(self.list(&array.elements, scope)),
            NodeEnum::TypeCast(cast) => self.cast(cast, scope),
            NodeEnum::CoalesceExpr(list) => {
                let mut values = self.list(&list.args, scope).into_iter();
                values.find(|value| *value != Value::Null).unwrap_or(Value::Null)
            }
            NodeEnum::SqlvalueFunction(function) => match function.op() {
                SqlValueFunctionOp::SvfopCurrentSchema => self.current_schema(),
                SqlValueFunctionOp::SvfopCurrentUser => Value::Text((&*self.catalog.server.user).into()),
                SqlValueFunctionOp::SvfopCurrentCatalog => Value::Text((&*self.catalog.server.database).into()),
                _ => Value::Unknown,
            },
            NodeEnum::FuncCall(call) => self.call(call, scope),
            _ => Value::Unknown,
        }
    }

    fn current_schema(&self) -> Value<'a> {
        self.catalog.server.search_path.first().map_or(Value::Null, |schema| Value::Text((&**schema).into()))
    }

    fn operation(&self, operation: &AExpr, scope: &Scope<'a>) -> Value<'a> {
        let [Node { node: Some(NodeEnum::String(operator)) }] = operation.name.as_slice() else {
            return Value::Unknown;
        };
        let left = self.optional(operation.lexpr.as_deref(), scope);
        let right = match operation.rexpr.as_ref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::List(list)) => Value::List(self.list(&list.items, scope)),
            Some(node) => self.value(node, scope),
            None => return Value::Unknown,
        };
        match (operation.kind(), operator.sval.as_str()) {
            (AExprKind::AexprOp, "||") => left.concatenated(&right),
            (AExprKind::AexprLike, "~~") => left.like(&right),
            (AExprKind::AexprLike, "!~~") => left.like(&right).not(),
            (AExprKind::AexprIn | AExprKind::AexprOpAny, "=") => among(&left, &right),
            (AExprKind::AexprIn, "<>") => among(&left, &right).not(),
            (AExprKind::AexprOp, operator) => left.compared(operator, &right),
            _ => Value::Unknown,
        }
    }

    fn column(&self, fields: &[Node], scope: &Scope<'a>) -> Value<'a> {
        let parts: Option<Vec<&str>> = fields
            .iter()
            .map(|field| match &field.node {
                Some(NodeEnum::String(string)) => Some(string.sval.as_str()),
                _ => None,
            })
            .collect();
        let (table, column) = match parts.as_deref() {
            Some([column]) => (None, *column),
            Some([table, column]) => (Some(*table), *column),
            _ => return Value::Unknown,
        };
        let cell = |row: &Row<'a>| row.cells.iter().find(|(name, _)| *name == column).map(|(_, value)| value.clone());
        let rows = scope.iter().rev().filter(|(name, _)| table.is_none_or(|table| table == name));
        let variable = || {
            let found = self.variables.iter().rev().find(|(name, _)| table.is_none() && name == column);
            found.map(|(_, value)| value.clone())
        };
        rows.map(|(_, row)| row).find_map(cell).or_else(variable).unwrap_or(Value::Unknown)
    }

    fn cast(&self, cast: &TypeCast, scope: &Scope<'a>) -> Value<'a> {
        let value = self.optional(cast.arg.as_deref(), scope);
        let Some(name) = cast.type_name.as_ref().filter(|name| name.array_bounds.is_empty()) else {
            return Value::Unknown;
        };
        let Some(Node { node: Some(NodeEnum::String(to)) }) = name.names.last() else {
            return Value::Unknown;
        };
        match (value, to.sval.as_str()) {
            (Value::Null, _) => Value::Null,
            (Value::Text(text), "text" | "name" | "varchar" | "bpchar" | "sql_identifier" | "character_data") => {
                Value::Text(text)
            }
            (Value::Boolean(value), "bool") => Value::Boolean(value),
            (Value::Number(value), "int4" | "int8") => Value::Number(value),
            (Value::Relation(name), "regclass" | "oid") => Value::Relation(name),
            // As the server prints it: with the schema where the path does not find it.
            (Value::Relation(name), "text") => {
                let plain = quote::ident(&name.name);
                match Resolver::new(self.catalog).lookup_name("", &name.name) {
                    Lookup::Found(found) if *found.name == name => Value::owned(plain),
                    _ => Value::owned(name.to_string()),
                }
            }
            // The server refuses one that is not there.
            (Value::Text(text), "regclass") => self.relation(&text).unwrap_or(Value::Unknown),
            (Value::Text(text), "regnamespace") => self.schema(&text),
            (Value::Text(text), "regtype") => self.user_type(&text).unwrap_or(Value::Unknown),
            _ => Value::Unknown,
        }
    }

    fn relation(&self, text: &str) -> Option<Value<'a>> {
        let (schema, name) = split(text)?;
        match Resolver::new(self.catalog).lookup_name(&schema, &name) {
            Lookup::Found(found) => Some(Value::Relation(found.name.clone())),
            Lookup::System => Some(Value::Unknown),
            Lookup::Missing => None,
        }
    }

    fn schema(&self, text: &str) -> Value<'a> {
        let found = self.catalog.schemas.keys().find(|name| quote::ident(name) == text);
        found.map_or(Value::Unknown, |name| Value::Schema(name))
    }

    fn user_type(&self, text: &str) -> Option<Value<'a>> {
        let (schema, name) = split(text)?;
        let path = self.catalog.server.search_path.iter().map(String::as_str);
        let schemas: Vec<&str> = if schema.is_empty() { path.collect() } else { vec![&schema] };
        let mut names = schemas.into_iter().map(|schema| Name::new(schema, &*name));
        let found = names.find(|name| self.catalog.types.contains_key(name));
        match found {
            Some(found) if !rows::may_be_of_system(&name) => Some(Value::Type(found)),
            Some(_) => Some(Value::Unknown),
            None => None,
        }
    }

    fn call(&self, call: &FuncCall, scope: &Scope<'a>) -> Value<'a> {
        let names = strings(&call.funcname);
        let name = match names.as_slice() {
            [name] => name.as_str(),
            [schema, name] if schema == "pg_catalog" => name.as_str(),
            _ => return Value::Unknown,
        };
        let own = self.catalog.functions.iter().any(|function| function.name.name == name);
        if own || call.agg_star || call.agg_filter.is_some() || call.over.is_some() {
            return Value::Unknown;
        }
        let arguments = self.list(&call.args, scope);
        match (name, arguments.as_slice()) {
            ("current_schema", []) => self.current_schema(),
            ("current_database", []) => Value::Text((&*self.catalog.server.database).into()),
            ("current_schemas", [Value::Boolean(false)]) => {
                let path = self.catalog.server.search_path.iter();
                Value::List(path.map(|schema| Value::Text((&**schema).into())).collect())
            }
            // What is not there is NULL.
            ("to_regclass", [Value::Text(text)]) => match split(text) {
                Some(_) => self.relation(text).unwrap_or(Value::Null),
                None => Value::Unknown,
            },
            ("to_regtype", [Value::Text(text)]) => match split(text) {
                Some((_, name)) if !rows::may_be_of_system(&name) => {
                    // Rows of tables have types of their names.
                    self.user_type(text).or_else(|| self.relation(text).map(|_| Value::Unknown)).unwrap_or(Value::Null)
                }
                _ => Value::Unknown,
            },
            ("lower", [Value::Text(text)]) => Value::owned(text.to_lowercase()),
            ("upper", [Value::Text(text)]) => Value::owned(text.to_uppercase()),
            ("quote_ident", [Value::Text(text)]) => Value::owned(quote::ident(text)),
            _ => Value::Unknown,
        }
    }
}

fn among<'a>(left: &Value<'a>, right: &Value<'a>) -> Value<'a> {
    match right {
        Value::List(values) => Value::any(values.iter().map(|value| left.equals(value))),
        _ => Value::Unknown,
    }
}

/// Schema (empty when there is none) and name of a name in a text; `None` for what is not plainly one.
fn split(text: &str) -> Option<(String, String)> {
    let mut parts = parts_of_text(text)?.into_iter();
    match (parts.next()?, parts.next(), parts.next()) {
        (name, None, _) => Some((String::new(), name)),
        (schema, Some(name), None) => Some((schema, name)),
        _ => None,
    }
}
