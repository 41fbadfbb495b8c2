//! Function calls, the SQL standard's special syntax for some of them, and keyword functions.

use pg_query::protobuf::{CoercionForm, FuncCall, SqlValueFunction, SqlValueFunctionOp, WindowDef, node};

use super::ir::{Expr, Kind, Value};
use super::scope::{Scope, Visible, deparsed};
use super::types::Type;
use super::{Analysis, Missing, coerce, list, print, resolve, type_name};
use crate::catalog::Name;
use crate::sql::quote;

pub(super) fn call(cx: &Analysis<'_>, scope: &Scope<'_>, call: &FuncCall) -> Result<Expr, Missing> {
    let parts = type_name::strings(&call.funcname);
    let (schema, name) = match parts.as_slice() {
        [name] => ("", name.as_str()),
        [schema, name] | [_, schema, name] => (schema.as_str(), name.as_str()),
        _ => ("", ""),
    };
    let args = list(cx, scope, &call.args)?;
    let order = ordering(cx, scope, call)?;
    let suffix = suffix(cx, scope, call)?;
    let mut actual: Vec<Type> = args.iter().map(Expr::type_or_unknown).collect();
    if call.agg_within_group {
        // Ordered-set aggregates take the ordering as arguments too.
        for item in &call.agg_order {
            if let Some(node::Node::SortBy(sort)) = &item.node
                && let Some(node) = sort.node.as_deref()
            {
                actual.push(super::expression(cx, scope, node)?.type_or_unknown());
            }
        }
    }
    let named = call.args.iter().any(|arg| matches!(arg.node, Some(node::Node::NamedArgExpr(_))));
    let certain = args.iter().all(|arg| arg.data_type.is_some()) && !named && !call.func_variadic;
    let found = if named { None } else { resolve::function(cx.catalog, schema, name, &actual) };
    let user_defined = match &found {
        Some(found) => found.user_defined.clone(),
        None => user_function(cx, schema, name),
    };
    if let Some(function) = &user_defined {
        cx.use_function(function);
        cx.note_function(call.location, function, schema.is_empty());
    }
    cx.note_mutable(certain && found.as_ref().is_some_and(|found| found.mutable));
    let spelling = match &user_defined {
        Some(function) => quote::qualified(&function.schema, &function.name),
        None if schema.is_empty() || schema == "pg_catalog" => quote::ident(name),
        None => quote::qualified(schema, name),
    };
    let data_type = found.as_ref().and_then(|found| found.result.clone());
    let args = match &found {
        Some(found) if certain || args.iter().any(Expr::is_unknown_literal) => {
            args.into_iter().zip(&found.arguments).map(|(arg, declared)| coerce::implicit(cx, arg, declared)).collect()
        }
        _ => args,
    };
    if call.funcformat == CoercionForm::CoerceSqlSyntax as i32
        && let Some(pieces) = syntax(name, &args)
    {
        return Ok(Expr::new(pieces, data_type));
    }
    let kind = Kind::Call {
        name: spelling,
        args,
        distinct: call.agg_distinct,
        star: call.agg_star,
        variadic: call.func_variadic,
        order,
        suffix,
    };
    Ok(Expr::new(kind, data_type))
}

/// What a call yields in FROM.
pub(super) enum Row {
    Columns(Vec<Visible>),
    Scalar(Option<Type>),
    /// A record whose columns only its caller names, or that is not known.
    Record,
}

/// The columns of a call in FROM.
pub(super) fn row_of(cx: &Analysis<'_>, scope: &Scope<'_>, call: &FuncCall) -> Result<Row, Missing> {
    let result = self::call(cx, scope, call)?;
    let parts = type_name::strings(&call.funcname);
    let (schema, name) = match parts.as_slice() {
        [name] => ("", name.as_str()),
        [schema, name] | [_, schema, name] => (schema.as_str(), name.as_str()),
        _ => ("", ""),
    };
    let actual: Vec<Type> = list(cx, scope, &call.args)?.iter().map(Expr::type_or_unknown).collect();
    let Some(found) = resolve::function(cx.catalog, schema, name, &actual) else { return Ok(Row::Record) };
    if found.outputs.len() > 1 {
        let column = |(name, data_type)| Visible { name, data_type, collation: None, source: None };
        return Ok(Row::Columns(found.outputs.into_iter().map(column).collect()));
    }
    if let [(name, data_type)] = found.outputs.as_slice()
        && found.result.is_none()
    {
        return Ok(Row::Columns(vec![Visible {
            name: name.clone(),
            data_type: data_type.clone(),
            collation: None,
            source: None,
        }]));
    }
    match result.data_type {
        Some(own) if own.id == "record" => Ok(Row::Record),
        None => Ok(Row::Record),
        data_type => Ok(Row::Scalar(data_type)),
    }
}

/// A user-defined function of that name, whatever its arguments.
fn user_function(cx: &Analysis<'_>, schema: &str, name: &str) -> Option<Name> {
    let exists = |schema: &str| {
        let wanted = Name::new(schema, name);
        let at = cx.catalog.functions.partition_point(|function| function.name < wanted);
        cx.catalog.functions.get(at).filter(|function| function.name == wanted).map(|_| wanted)
    };
    if !schema.is_empty() {
        return exists(schema);
    }
    cx.catalog.server.search_path.iter().find_map(|schema| exists(schema))
}

fn ordering(cx: &Analysis<'_>, scope: &Scope<'_>, call: &FuncCall) -> Result<String, Missing> {
    let mut items = Vec::new();
    for item in &call.agg_order {
        let Some(node::Node::SortBy(sort)) = &item.node else { continue };
        let Some(node) = sort.node.as_deref() else { continue };
        let mut text = print::expression(&super::expression(cx, scope, node)?);
        if sort.sortby_dir == pg_query::protobuf::SortByDir::SortbyDesc as i32 {
            text.push_str(" DESC");
        }
        items.push(text);
    }
    if items.is_empty() {
        return Ok(String::new());
    }
    let items = items.join(", ");
    Ok(if call.agg_within_group { format!(") WITHIN GROUP (ORDER BY {items}") } else { format!(" ORDER BY {items}") })
}

/// What stands behind the parentheses: FILTER and OVER.
fn suffix(cx: &Analysis<'_>, scope: &Scope<'_>, call: &FuncCall) -> Result<String, Missing> {
    let mut out = String::new();
    if let Some(filter) = call.agg_filter.as_deref() {
        out.push_str(&format!(" FILTER (WHERE {})", print::expression(&super::condition(cx, scope, filter)?)));
    }
    if let Some(window) = call.over.as_deref() {
        window_uses(cx, scope, window)?;
        out.push_str(" OVER ");
        let alone = FuncCall {
            funcname: call.funcname.clone(),
            over: call.over.clone(),
            // The printer knows no other value than those of the enum.
            funcformat: CoercionForm::CoerceExplicitCall as i32,
            ..FuncCall::default()
        };
        let text = deparsed(&pg_query::protobuf::Node { node: Some(node::Node::FuncCall(Box::new(alone))) });
        out.push_str(text.as_deref().and_then(|text| text.split_once(" OVER ")).map_or("()", |(_, over)| over));
    }
    Ok(out)
}

/// Notes what a window definition mentions.
pub(super) fn window_uses(cx: &Analysis<'_>, scope: &Scope<'_>, window: &WindowDef) -> Result<(), Missing> {
    list(cx, scope, &window.partition_clause)?;
    for item in &window.order_clause {
        if let Some(node::Node::SortBy(sort)) = &item.node
            && let Some(node) = sort.node.as_deref()
        {
            super::expression(cx, scope, node)?;
        }
    }
    Ok(())
}

/// `get_func_sql_syntax`: the standard's syntax, kept by the server since 14.
fn syntax(name: &str, args: &[Expr]) -> Option<Kind> {
    let swapped = || args.iter().rev().cloned().collect::<Vec<_>>();
    let (pieces, args): (Vec<&'static str>, Vec<Expr>) = match (name, args.len()) {
        ("timezone", 1) => (vec!["(", " AT LOCAL)"], args.to_vec()),
        ("timezone", 2) => (vec!["(", " AT TIME ZONE ", ")"], swapped()),
        ("extract", 2) => {
            let field = match &args[0].kind {
                Kind::Const(Value::Text(field)) => field.clone(),
                _ => return None,
            };
            let field = Expr::new(Kind::Name(field), None);
            (vec!["EXTRACT(", " FROM ", ")"], vec![field, args[1].clone()])
        }
        ("overlaps", 4) => (vec!["((", ", ", ") OVERLAPS (", ", ", "))"], args.to_vec()),
        ("overlay", 3) => (vec!["OVERLAY(", " PLACING ", " FROM ", ")"], args.to_vec()),
        ("overlay", 4) => (vec!["OVERLAY(", " PLACING ", " FROM ", " FOR ", ")"], args.to_vec()),
        ("position", 2) => (vec!["POSITION((", ") IN (", "))"], swapped()),
        ("substring", 2) => (vec!["SUBSTRING(", " FROM ", ")"], args.to_vec()),
        ("substring", 3) => (vec!["SUBSTRING(", " FROM ", " FOR ", ")"], args.to_vec()),
        ("btrim", 1) => (vec!["TRIM(BOTH FROM ", ")"], args.to_vec()),
        ("btrim", 2) => (vec!["TRIM(BOTH ", " FROM ", ")"], swapped()),
        ("ltrim", 1) => (vec!["TRIM(LEADING FROM ", ")"], args.to_vec()),
        ("ltrim", 2) => (vec!["TRIM(LEADING ", " FROM ", ")"], swapped()),
        ("rtrim", 1) => (vec!["TRIM(TRAILING FROM ", ")"], args.to_vec()),
        ("rtrim", 2) => (vec!["TRIM(TRAILING ", " FROM ", ")"], swapped()),
        _ => return None,
    };
    Some(Kind::Syntax { pieces, args })
}

/// `CURRENT_TIMESTAMP` and the like.
pub(super) fn keyword(function: &SqlValueFunction) -> Expr {
    use SqlValueFunctionOp as Op;
    let (text, id) = match Op::try_from(function.op).unwrap_or(Op::SqlvalueFunctionOpUndefined) {
        Op::SvfopCurrentDate => ("CURRENT_DATE", "date"),
        Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => ("CURRENT_TIME", "timetz"),
        Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => ("CURRENT_TIMESTAMP", "timestamptz"),
        Op::SvfopLocaltime | Op::SvfopLocaltimeN => ("LOCALTIME", "time"),
        Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => ("LOCALTIMESTAMP", "timestamp"),
        Op::SvfopCurrentRole => ("CURRENT_ROLE", "name"),
        Op::SvfopCurrentUser => ("CURRENT_USER", "name"),
        Op::SvfopUser => ("USER", "name"),
        Op::SvfopSessionUser => ("SESSION_USER", "name"),
        Op::SvfopCurrentCatalog => ("CURRENT_CATALOG", "name"),
        _ => ("CURRENT_SCHEMA", "name"),
    };
    let has_precision = matches!(
        Op::try_from(function.op),
        Ok(Op::SvfopCurrentTimeN | Op::SvfopCurrentTimestampN | Op::SvfopLocaltimeN | Op::SvfopLocaltimestampN)
    );
    let modifier = if has_precision { function.typmod } else { -1 };
    let text = if has_precision { format!("{text}({modifier})") } else { text.to_owned() };
    Expr::new(Kind::Name(text), Some(Type { id: id.to_owned(), modifier }))
}
