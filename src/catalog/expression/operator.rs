//! Operators and the constructs that stand for them: `IN`, `LIKE`, `BETWEEN`, `ANY`, `IS DISTINCT FROM`.

use pg_query::protobuf::{AExpr, AExprKind, Node, node};

use super::ir::{Expr, Kind};
use super::scope::{Scope, unanalysed};
use super::types::Type;
use super::{Analysis, Missing, coerce, constructs, list, part, resolve, type_name};
use crate::catalog::TypeKind;
use crate::sql::quote;

pub(super) fn expression(cx: &Analysis<'_>, scope: &Scope<'_>, operation: &AExpr) -> Result<Expr, Missing> {
    let name = type_name::strings(&operation.name);
    let operand = |side: &Option<Box<Node>>| part(cx, scope, side.as_deref());
    Ok(match AExprKind::try_from(operation.kind).unwrap_or(AExprKind::Undefined) {
        AExprKind::AexprOp => {
            let right = operand(&operation.rexpr)?;
            match &operation.lexpr {
                Some(left) => {
                    let left = super::expression(cx, scope, left)?;
                    binary(cx, &name, left, right)
                }
                None => prefix(cx, &name, right),
            }
        }
        AExprKind::AexprLike | AExprKind::AexprIlike | AExprKind::AexprSimilar => {
            binary(cx, &name, operand(&operation.lexpr)?, operand(&operation.rexpr)?)
        }
        kind @ (AExprKind::AexprOpAny | AExprKind::AexprOpAll) => {
            let all = kind == AExprKind::AexprOpAll;
            array_op(cx, &name, all, operand(&operation.lexpr)?, operand(&operation.rexpr)?)
        }
        AExprKind::AexprDistinct => distinct(cx, operand(&operation.lexpr)?, operand(&operation.rexpr)?),
        AExprKind::AexprNotDistinct => {
            let inner = distinct(cx, operand(&operation.lexpr)?, operand(&operation.rexpr)?);
            Expr::typed(Kind::Not(Box::new(inner)), "bool")
        }
        AExprKind::AexprNullif => {
            let (left, right, _) = operands(cx, "=", operand(&operation.lexpr)?, operand(&operation.rexpr)?);
            let data_type = left.data_type.clone();
            Expr::new(Kind::Special { name: "NULLIF", args: vec![left, right] }, data_type)
        }
        AExprKind::AexprIn => member(cx, scope, &name, operation)?,
        kind @ (AExprKind::AexprBetween | AExprKind::AexprNotBetween) => {
            let Some((low, high)) = bounds(cx, scope, operation)? else { return Ok(whole(cx, scope, operation)) };
            let value = operand(&operation.lexpr)?;
            let inside = kind == AExprKind::AexprBetween;
            let (first, second) = if inside { (">=", "<=") } else { ("<", ">") };
            let args = vec![
                binary(cx, &[first.to_owned()], value.clone(), low),
                binary(cx, &[second.to_owned()], value, high),
            ];
            Expr::typed(Kind::Bool { and: inside, args }, "bool")
        }
        _ => whole(cx, scope, operation),
    })
}

fn whole(cx: &Analysis<'_>, scope: &Scope<'_>, operation: &AExpr) -> Expr {
    unanalysed(cx, scope, &Node { node: Some(node::Node::AExpr(Box::new(operation.clone()))) })
}

fn right_list(operation: &AExpr) -> Option<&[Node]> {
    match operation.rexpr.as_deref()?.node.as_ref()? {
        node::Node::List(list) => Some(&list.items),
        _ => None,
    }
}

fn bounds(cx: &Analysis<'_>, scope: &Scope<'_>, operation: &AExpr) -> Result<Option<(Expr, Expr)>, Missing> {
    match right_list(operation) {
        Some([low, high]) => Ok(Some((super::expression(cx, scope, low)?, super::expression(cx, scope, high)?))),
        _ => Ok(None),
    }
}

/// `transformAExprIn`: one array comparison for the constants, one comparison for each of the others.
fn member(cx: &Analysis<'_>, scope: &Scope<'_>, name: &[String], operation: &AExpr) -> Result<Expr, Missing> {
    let Some(items) = right_list(operation) else { return Ok(whole(cx, scope, operation)) };
    let left = part(cx, scope, operation.lexpr.as_deref())?;
    let negated = name.last().is_some_and(|name| name == "<>");
    let items = list(cx, scope, items)?;
    let (columns, constants): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| !cx_free(item));
    let mut alternatives = Vec::new();
    let mut rest = columns;
    let is_row = matches!(left.kind, Kind::Row { .. });
    if constants.len() > 1 && !is_row {
        let mut all = vec![left.clone()];
        all.extend(constants.iter().cloned());
        match constructs::common_type(cx, &all).filter(|_| left.data_type.is_some()) {
            Some(common) => {
                let elements = constants.into_iter().map(|item| coerce::implicit(cx, item, &common)).collect();
                let array = Expr::new(Kind::Array(elements), Some(common.array_of()));
                alternatives.push(array_op(cx, name, negated, left.clone(), array));
            }
            None => {
                let array = Expr::new(Kind::Array(constants), None);
                alternatives.push(array_op(cx, name, negated, left.clone(), array));
            }
        }
    } else {
        rest.splice(0..0, constants);
    }
    for item in rest {
        alternatives.push(binary(cx, name, left.clone(), item));
    }
    if alternatives.len() > 1 {
        return Ok(Expr::typed(Kind::Bool { and: negated, args: alternatives }, "bool"));
    }
    Ok(alternatives.pop().unwrap_or_else(|| whole(cx, scope, operation)))
}

/// Whether an element of an IN list mentions no column (`contain_vars_of_level`).
fn cx_free(item: &Expr) -> bool {
    match &item.kind {
        Kind::Const(_) => true,
        Kind::Cast { arg, .. } => cx_free(arg),
        Kind::Call { args, .. } | Kind::Special { args, .. } | Kind::Row { args, .. } | Kind::Array(args) => {
            args.iter().all(cx_free)
        }
        Kind::Op { left, right, .. } => left.as_deref().is_none_or(cx_free) && cx_free(right),
        Kind::Name(text) => text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
        _ => false,
    }
}

/// How the server writes an operator: bare when it is built in.
fn spelled(cx: &Analysis<'_>, name: &[String], left: Option<&Expr>, right: &Expr) -> String {
    let operator = name.last().map_or("", String::as_str);
    match name {
        [schema, _] if schema != "pg_catalog" => format!("OPERATOR({}.{operator})", quote::ident(schema)),
        _ => match foreign_type(cx, left, right) {
            Some(of_extension) => {
                format!("OPERATOR({}.{operator})", quote::ident(&of_extension.name().schema))
            }
            None => operator.to_owned(),
        },
    }
}

/// The base type from an extension among the operands: its operators are the extension's.
fn foreign_type(cx: &Analysis<'_>, left: Option<&Expr>, right: &Expr) -> Option<Type> {
    let is_base = |operand: &Type| {
        let base = operand.base(cx.catalog);
        let known = cx.catalog.types.get(&base.name());
        (!base.is_array() && known.is_some_and(|found| matches!(found.kind, TypeKind::Base))).then_some(base)
    };
    left.into_iter().chain([right]).filter_map(|operand| operand.data_type.as_ref()).find_map(is_base)
}

/// `make_op` with two operands.
pub(super) fn binary(cx: &Analysis<'_>, name: &[String], left: Expr, right: Expr) -> Expr {
    let spelling = spelled(cx, name, Some(&left), &right);
    let operator = name.last().map_or("", String::as_str);
    if let Some(of_extension) = foreign_type(cx, Some(&left), &right) {
        let literal = |side: Expr| {
            if side.is_unknown_literal() { coerce::implicit(cx, side, &of_extension) } else { side }
        };
        let (left, right) = (Box::new(literal(left)), Box::new(literal(right)));
        let data_type = is_comparison(operator).then(|| Type::named("bool"));
        return Expr::new(Kind::Op { name: spelling, left: Some(left), right }, data_type);
    }
    let (left, right, result) = operands(cx, operator, left, right);
    Expr::new(Kind::Op { name: spelling, left: Some(Box::new(left)), right: Box::new(right) }, result)
}

fn is_comparison(operator: &str) -> bool {
    matches!(operator, "=" | "<>" | "<" | ">" | "<=" | ">=" | "@>" | "<@" | "&&" | "?" | "?|" | "?&")
        || operator.contains("~~")
        || operator.starts_with(['~', '!'])
}

/// Both operands cast to what the operator takes, and the result's type.
fn operands(cx: &Analysis<'_>, operator: &str, left: Expr, right: Expr) -> (Expr, Expr, Option<Type>) {
    let fallback = is_comparison(operator).then(|| Type::named("bool"));
    let (Some(left_type), Some(right_type)) = (&left.data_type, &right.data_type) else {
        return (left, right, fallback);
    };
    let found = resolve::operator(cx.catalog, operator, Some(left_type), right_type);
    match found {
        Some(found) => {
            cx.note_mutable(found.mutable);
            let left = match &found.left {
                Some(declared) => coerce::implicit(cx, left, declared),
                None => left,
            };
            (left, coerce::implicit(cx, right, &found.right), Some(found.result))
        }
        None => (left, right, fallback),
    }
}

fn prefix(cx: &Analysis<'_>, name: &[String], right: Expr) -> Expr {
    let spelling = spelled(cx, name, None, &right);
    let operator = name.last().map_or("", String::as_str);
    let found = right.data_type.as_ref().and_then(|own| resolve::operator(cx.catalog, operator, None, own));
    let (right, data_type) = match found {
        Some(found) => {
            cx.note_mutable(found.mutable);
            (coerce::implicit(cx, right, &found.right), Some(found.result))
        }
        None => (right, None),
    };
    Expr::new(Kind::Op { name: spelling, left: None, right: Box::new(right) }, data_type)
}

fn distinct(cx: &Analysis<'_>, left: Expr, right: Expr) -> Expr {
    // Against NULL the parser makes a null test of it.
    for (one, other) in [(&left, &right), (&right, &left)] {
        if matches!(one.kind, Kind::Const(super::ir::Value::Null)) {
            return Expr::typed(Kind::Test { arg: Box::new(other.clone()), suffix: "IS NOT NULL" }, "bool");
        }
    }
    let (left, right, _) = operands(cx, "=", left, right);
    Expr::typed(Kind::Distinct { left: Box::new(left), right: Box::new(right) }, "bool")
}

/// `make_scalar_array_op`.
pub(super) fn array_op(cx: &Analysis<'_>, name: &[String], all: bool, left: Expr, right: Expr) -> Expr {
    let spelling = spelled(cx, name, Some(&left), &element_view(&right));
    let operator = name.last().map_or("", String::as_str);
    let (mut left, mut right) = (left, right);
    let element = match &right.data_type {
        Some(own) if own.is_unknown() => Some(Type::named("unknown")),
        Some(own) => own.base(cx.catalog).element().map(|element| element.without_modifier()),
        None => None,
    };
    if let (Some(left_type), Some(element)) = (&left.data_type, &element) {
        if foreign_type(cx, Some(&left), &element_view(&right)).is_some() {
            if right.is_unknown_literal() {
                right = coerce::implicit(cx, right, &left_type.base(cx.catalog).array_of());
            }
        } else if let Some(found) = resolve::operator(cx.catalog, operator, Some(left_type), element) {
            cx.note_mutable(found.mutable);
            if let Some(declared) = &found.left {
                left = coerce::implicit(cx, left, declared);
            }
            right = coerce::implicit(cx, right, &found.right.array_of());
        }
    }
    Expr::typed(Kind::ArrayOp { name: spelling, all, left: Box::new(left), right: Box::new(right) }, "bool")
}

/// The array seen as one of its elements, for the question which operator is meant.
fn element_view(array: &Expr) -> Expr {
    Expr::new(Kind::Raw(String::new()), array.data_type.as_ref().and_then(Type::element))
}
