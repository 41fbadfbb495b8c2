//! `CASE`, `COALESCE`, `ARRAY[]`, `ROW()`, tests, collations, subscripts and fields.

use pg_query::protobuf::{
    AIndirection, BoolTestType, BooleanTest, CaseExpr, CollateClause, Node, NullTest, NullTestType, RowExpr, node,
};

use super::ir::{Expr, Kind, Subscript};
use super::scope::Scope;
use super::types::{self, Type};
use super::{Analysis, Missing, coerce, list, operator, part, type_name};
use crate::catalog::TypeKind;
use crate::sql::quote;

/// `select_common_type`: what several expressions become together; `None` when one is not known.
pub(super) fn common_type(cx: &Analysis<'_>, exprs: &[Expr]) -> Option<Type> {
    let all: Vec<&Type> = exprs.iter().map(|expr| expr.data_type.as_ref()).collect::<Option<_>>()?;
    let first = all.first()?;
    if !first.is_unknown() && all.iter().all(|own| own.id == first.id) {
        return Some(first.without_modifier());
    }
    let mut chosen: Option<Type> = None;
    for own in all.into_iter().filter(|own| !own.is_unknown()) {
        let own = own.base(cx.catalog).without_modifier();
        let Some(current) = &chosen else {
            chosen = Some(own);
            continue;
        };
        if current.id == own.id {
            continue;
        }
        if current.category(cx.catalog) != own.category(cx.catalog) {
            return None;
        }
        let widens = types::pathway(cx.catalog, current, &own, 'i').is_some();
        let narrows = types::pathway(cx.catalog, &own, current, 'i').is_some();
        if !current.is_preferred() && widens && !narrows {
            chosen = Some(own);
        }
    }
    Some(chosen.unwrap_or_else(|| Type::named("text")))
}

fn all_to(cx: &Analysis<'_>, exprs: Vec<Expr>, common: Option<&Type>) -> Vec<Expr> {
    match common {
        Some(common) => exprs.into_iter().map(|expr| coerce::implicit(cx, expr, common)).collect(),
        None => exprs,
    }
}

/// The common type with the modifier that all of them share.
fn result_type(exprs: &[Expr], common: Option<Type>) -> Option<Type> {
    let common = common?;
    let shared = exprs.first()?.data_type.as_ref()?.modifier;
    let same = |expr: &Expr| expr.data_type.as_ref().is_some_and(|own| own.id == common.id && own.modifier == shared);
    let modifier = if exprs.iter().all(same) { shared } else { -1 };
    Some(Type { modifier, ..common })
}

pub(super) fn special(
    cx: &Analysis<'_>,
    scope: &Scope<'_>,
    name: &'static str,
    args: &[Node],
) -> Result<Expr, Missing> {
    let args = list(cx, scope, args)?;
    let common = common_type(cx, &args);
    let args = all_to(cx, args, common.as_ref());
    let data_type = result_type(&args, common);
    Ok(Expr::new(Kind::Special { name, args }, data_type))
}

pub(super) fn case(cx: &Analysis<'_>, scope: &Scope<'_>, case: &CaseExpr) -> Result<Expr, Missing> {
    let arg = case.arg.as_deref().map(|arg| super::expression(cx, scope, arg)).transpose()?;
    let arg =
        arg.map(|arg| if arg.is_unknown_literal() { coerce::implicit(cx, arg, &Type::named("text")) } else { arg });
    let mut conditions = Vec::new();
    // The server looks at the ELSE branch first.
    let otherwise = case.defresult.as_deref().map(|node| super::expression(cx, scope, node)).transpose()?;
    let has_otherwise = otherwise.is_some();
    let null = || Expr::typed(Kind::Const(super::ir::Value::Null), "unknown");
    let mut results = vec![otherwise.unwrap_or_else(null)];
    for arm in &case.args {
        let Some(node::Node::CaseWhen(when)) = &arm.node else { continue };
        let condition = match (&arg, when.expr.as_deref()) {
            (Some(arg), Some(value)) => {
                let value = super::expression(cx, scope, value)?;
                match operator::binary(cx, &["=".to_owned()], arg.clone(), value).kind {
                    Kind::Op { right, .. } => *right,
                    kind => Expr::new(kind, None),
                }
            }
            (None, Some(condition)) => super::condition(cx, scope, condition)?,
            (_, None) => part(cx, scope, None)?,
        };
        conditions.push(condition);
        results.push(part(cx, scope, when.result.as_deref())?);
    }
    let common = common_type(cx, &results);
    let mut results = all_to(cx, results, common.as_ref());
    let data_type = result_type(&results, common);
    let otherwise = results.remove(0);
    let show = has_otherwise || otherwise.data_type.as_ref().is_some_and(|own| !own.is_unknown());
    let arms = conditions.into_iter().zip(results).collect();
    let kind = Kind::Case { arg: arg.map(Box::new), arms, otherwise: show.then(|| Box::new(otherwise)) };
    Ok(Expr::new(kind, data_type))
}

/// `ARRAY[...]`; `element` is the element type a cast around it asks for.
pub(super) fn array(
    cx: &Analysis<'_>,
    scope: &Scope<'_>,
    elements: &[Node],
    element: Option<&Type>,
) -> Result<Expr, Missing> {
    let mut out = Vec::with_capacity(elements.len());
    for node in elements {
        out.push(match &node.node {
            Some(node::Node::AArrayExpr(inner)) => array(cx, scope, &inner.elements, element)?,
            _ => super::expression(cx, scope, node)?,
        });
    }
    if let Some(element) = element {
        let cast = |expr: Expr| match &expr.data_type {
            Some(own) if own.id == element.id || own.is_array() => expr,
            Some(_) if expr.is_unknown_literal() => coerce::implicit(cx, expr, element),
            _ => Expr::new(Kind::Cast { arg: Box::new(expr), implicit: false }, Some(element.clone())),
        };
        let elements = out.into_iter().map(cast).collect();
        return Ok(Expr::new(Kind::Array(elements), Some(element.array_of())));
    }
    let common = common_type(cx, &out);
    let out = all_to(cx, out, common.as_ref());
    let data_type = if out.is_empty() { None } else { common.map(|common| common.array_of()) };
    Ok(Expr::new(Kind::Array(out), data_type))
}

pub(super) fn row(cx: &Analysis<'_>, scope: &Scope<'_>, row: &RowExpr) -> Result<Expr, Missing> {
    let explicit = row.row_format == pg_query::protobuf::CoercionForm::CoerceExplicitCall as i32;
    Ok(Expr::typed(Kind::Row { args: list(cx, scope, &row.args)?, explicit }, "record"))
}

pub(super) fn null_test(cx: &Analysis<'_>, scope: &Scope<'_>, test: &NullTest) -> Result<Expr, Missing> {
    let arg = Box::new(part(cx, scope, test.arg.as_deref())?);
    let suffix = if test.nulltesttype == NullTestType::IsNull as i32 { "IS NULL" } else { "IS NOT NULL" };
    Ok(Expr::typed(Kind::Test { arg, suffix }, "bool"))
}

pub(super) fn boolean_test(cx: &Analysis<'_>, scope: &Scope<'_>, test: &BooleanTest) -> Result<Expr, Missing> {
    let arg = part(cx, scope, test.arg.as_deref())?;
    let arg = Box::new(coerce::implicit(cx, arg, &Type::named("bool")));
    let suffix = match BoolTestType::try_from(test.booltesttype).unwrap_or(BoolTestType::Undefined) {
        BoolTestType::IsTrue => "IS TRUE",
        BoolTestType::IsNotTrue => "IS NOT TRUE",
        BoolTestType::IsFalse => "IS FALSE",
        BoolTestType::IsNotFalse => "IS NOT FALSE",
        BoolTestType::IsUnknown => "IS UNKNOWN",
        _ => "IS NOT UNKNOWN",
    };
    Ok(Expr::typed(Kind::Test { arg, suffix }, "bool"))
}

pub(super) fn collate(cx: &Analysis<'_>, scope: &Scope<'_>, collate: &CollateClause) -> Result<Expr, Missing> {
    let arg = part(cx, scope, collate.arg.as_deref())?;
    let arg = if arg.is_unknown_literal() { coerce::implicit(cx, arg, &Type::named("text")) } else { arg };
    let parts = type_name::strings(&collate.collname);
    let collation = match parts.as_slice() {
        [schema, name] if schema == "pg_catalog" => quote::ident(name),
        parts => parts.iter().map(|part| quote::ident(part)).collect::<Vec<_>>().join("."),
    };
    let full = match parts.as_slice() {
        [name] => quote::qualified("pg_catalog", name),
        [.., schema, name] => quote::qualified(schema, name),
        [] => String::new(),
    };
    // It overrides what its operand brings.
    *cx.collations.borrow_mut() = [full].into();
    let data_type = arg.data_type.clone();
    Ok(Expr::new(Kind::Collate { arg: Box::new(arg), collation }, data_type))
}

pub(super) fn indirection(cx: &Analysis<'_>, scope: &Scope<'_>, node: &AIndirection) -> Result<Expr, Missing> {
    let mut current = part(cx, scope, node.arg.as_deref())?;
    let mut indexes: Vec<Subscript> = Vec::new();
    for step in &node.indirection {
        match &step.node {
            Some(node::Node::AIndices(index)) => {
                let bound = |bound: &Option<Box<Node>>| -> Result<Option<Expr>, Missing> {
                    let expr = bound.as_deref().map(|node| super::expression(cx, scope, node)).transpose()?;
                    // Subscripts of jsonb are text, those of arrays integers.
                    let is_json = current.data_type.as_ref().is_some_and(|own| own.id == "jsonb");
                    let target = if is_json { Type::named("text") } else { Type::named("int4") };
                    Ok(expr
                        .map(|expr| if expr.is_unknown_literal() { coerce::implicit(cx, expr, &target) } else { expr }))
                };
                indexes.push(Subscript {
                    lower: bound(&index.lidx)?,
                    upper: bound(&index.uidx)?,
                    slice: index.is_slice,
                });
            }
            Some(node::Node::String(field)) => {
                current = subscripted(cx, current, std::mem::take(&mut indexes));
                let data_type = current.data_type.as_ref().and_then(|own| field_type(cx, own, &field.sval));
                current = Expr::new(Kind::Field { arg: Box::new(current), name: quote::ident(&field.sval) }, data_type);
            }
            _ => {
                current = subscripted(cx, current, std::mem::take(&mut indexes));
                current = Expr::new(Kind::Field { arg: Box::new(current), name: "*".to_owned() }, None);
            }
        }
    }
    Ok(subscripted(cx, current, indexes))
}

fn subscripted(cx: &Analysis<'_>, arg: Expr, indexes: Vec<Subscript>) -> Expr {
    if indexes.is_empty() {
        return arg;
    }
    let slice = indexes.iter().any(|index| index.slice);
    let data_type = arg.data_type.as_ref().and_then(|own| {
        let base = own.base(cx.catalog);
        if slice || base.id == "jsonb" { Some(base) } else { base.element() }
    });
    Expr::new(Kind::Subscript { arg: Box::new(arg), indexes }, data_type)
}

fn field_type(cx: &Analysis<'_>, composite: &Type, field: &str) -> Option<Type> {
    let name = composite.base(cx.catalog).name();
    let columns = match cx.catalog.types.get(&name).map(|found| &found.kind) {
        Some(TypeKind::Composite { attributes }) => attributes,
        _ => &cx.catalog.relations.get(&name)?.columns,
    };
    columns.iter().find(|column| column.name == field).map(|column| Type::of(&column.data_type))
}
