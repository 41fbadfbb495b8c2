//! Casts: those the author writes and those the server adds.

use pg_query::protobuf::{TypeCast, node};

use super::ir::{Expr, Kind};
use super::scope::Scope;
use super::types::{self, Type};
use super::{Analysis, Missing, constructs, literal, part, type_name, volatility};

/// Where an operator or function asks for `target`.
pub(super) fn implicit(cx: &Analysis<'_>, expr: Expr, target: &Type) -> Expr {
    coerce(cx, expr, target, true)
}

/// Where a value is stored in a column of type `target`, length included.
pub(super) fn assign(cx: &Analysis<'_>, expr: Expr, target: &Type) -> Expr {
    // Only the modifier of an interval takes part when its literal is read.
    let value = coerce(cx, expr, &target.without_modifier(), true);
    with_modifier(value, target, true)
}

fn coerce(cx: &Analysis<'_>, expr: Expr, target: &Type, hidden: bool) -> Expr {
    let Some(source) = expr.data_type.clone() else { return expr };
    let pseudo = matches!(target.id.as_str(), "any" | "record" | "unknown" | "cstring" | "anyarray" | "anyelement");
    if source.id == target.id || pseudo || types::is_polymorphic(&target.id) {
        return expr;
    }
    cx.use_type(target);
    if expr.is_unknown_literal() {
        let base = target.base(cx.catalog);
        if let (Some(location), Kind::Const(super::ir::Value::Text(label))) = (expr.location, &expr.kind) {
            cx.note_label(location, &base, label);
        }
        let Kind::Const(value) = expr.kind else { return expr };
        let literal = Expr::new(literal::input(cx, value, &base), Some(base.without_modifier()));
        if base.id == target.id {
            return literal;
        }
        return Expr::new(Kind::Cast { arg: Box::new(literal), implicit: hidden }, Some(target.clone()));
    }
    cx.note_mutable(volatility::cast_is_mutable(cx.catalog, &source, target));
    if let Kind::Array(elements) = expr.kind {
        // An array of literals has no type of its own yet only when it is empty.
        return Expr::new(
            Kind::Cast { arg: Box::new(Expr::new(Kind::Array(elements), Some(source))), implicit: hidden },
            Some(target.clone()),
        );
    }
    Expr::new(Kind::Cast { arg: Box::new(expr), implicit: hidden }, Some(target.clone()))
}

/// The length coercion on top of a value of the right type.
fn with_modifier(expr: Expr, target: &Type, hidden: bool) -> Expr {
    let known = expr.data_type.as_ref().is_some_and(|own| own.id == target.id && own.modifier != target.modifier);
    if target.modifier < 0 || !known {
        return expr;
    }
    Expr::new(Kind::Cast { arg: Box::new(expr), implicit: hidden }, Some(target.clone()))
}

/// A default of another type, cast to a column's new one: `ALTER COLUMN TYPE` does it by an implicit cast.
pub(super) fn recast(cx: &Analysis<'_>, expr: Expr, target: &Type) -> Expr {
    assign(cx, expr, target)
}

/// `arg::type` and `CAST(arg AS type)`.
pub(super) fn explicit(cx: &Analysis<'_>, scope: &Scope<'_>, cast: &TypeCast) -> Result<Expr, Missing> {
    let target = cast.type_name.as_ref().and_then(|name| type_name::resolve(cx.catalog, name));
    let Some(target) = target else {
        let arg = part(cx, scope, cast.arg.as_deref())?;
        let spelled = cast.type_name.as_ref().map(type_name::spelled).unwrap_or_default();
        return Ok(Expr::new(Kind::Raw(format!("({})::{spelled}", super::print::expression(&arg))), None));
    };
    cx.use_type(&target);
    if let Some(name) = &cast.type_name {
        cx.note_type(name.location, &target, name.names.len() == 1);
    }
    if let Some(node::Node::AArrayExpr(array)) = cast.arg.as_deref().and_then(|arg| arg.node.as_ref())
        && let Some(element) = target.element()
    {
        return constructs::array(cx, scope, &array.elements, Some(&element));
    }
    let arg = part(cx, scope, cast.arg.as_deref())?;
    let Some(source) = &arg.data_type else {
        return Ok(Expr::new(Kind::Cast { arg: Box::new(arg), implicit: false }, Some(target)));
    };
    if types::is_plain(source) && types::pathway(cx.catalog, source, &target, 'e').is_none() {
        cx.impossible_cast.borrow_mut().get_or_insert_with(|| (source.clone(), target.clone()));
    }
    let value = coerce(cx, arg, &target.without_modifier(), false);
    if target.is_domain(cx.catalog) {
        return Ok(value);
    }
    Ok(match value.kind {
        // One cast shows both the type and its modifier.
        Kind::Cast { arg, implicit: false }
            if value.data_type.as_ref().is_some_and(|own| own.id == target.id && own.modifier < 0) =>
        {
            Expr::new(Kind::Cast { arg, implicit: false }, Some(target))
        }
        kind => with_modifier(Expr::new(kind, value.data_type), &target, false),
    })
}
