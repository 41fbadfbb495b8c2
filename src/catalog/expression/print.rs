//! Expressions as the server prints them (`get_rule_expr` in ruleutils.c, without pretty printing).

use super::ir::{Expr, Kind, Subscript, Value};
use super::types::Type;

/// The expression as `pg_get_expr` prints it.
pub(crate) fn expression(expr: &Expr) -> String {
    print(expr, false)
}

/// A constant without its type, as bounds of partitions show it; anything else as it is.
pub(crate) fn bare(expr: &Expr) -> String {
    match &expr.kind {
        Kind::Const(value) => constant(value, expr.data_type.as_ref(), false),
        Kind::Cast { arg, .. } => match &arg.kind {
            // The cast of a number is carried out before the bound is stored.
            Kind::Const(value) => constant(value, expr.data_type.as_ref(), false),
            _ => bare(arg),
        },
        _ => print(expr, false),
    }
}

/// The expression where the server shows implicit casts, as in arguments.
pub(crate) fn argument(expr: &Expr) -> String {
    print(expr, true)
}

/// `looks_like_function`: such index expressions need no parentheses of their own.
pub(crate) fn looks_like_function(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Call { .. } | Kind::Special { .. } | Kind::Syntax { .. } => true,
        Kind::Name(text) => text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
        Kind::Cast { implicit: true, arg } => looks_like_function(arg),
        _ => false,
    }
}

fn print(expr: &Expr, show_implicit: bool) -> String {
    match &expr.kind {
        Kind::Name(text) => text.clone(),
        Kind::Raw(text) => text.clone(),
        Kind::Const(value) => constant(value, expr.data_type.as_ref(), true),
        Kind::Cast { arg, implicit } if *implicit && !show_implicit => print(arg, show_implicit),
        Kind::Cast { arg, .. } => cast(arg, expr.data_type.as_ref()),
        Kind::Op { name, left: Some(left), right } => {
            format!("({} {name} {})", print(left, true), print(right, true))
        }
        Kind::Op { name, left: None, right } => format!("({name} {})", print(right, true)),
        Kind::ArrayOp { name, all, left, right } => {
            let quantifier = if *all { "ALL" } else { "ANY" };
            format!("({} {name} {quantifier} ({}))", print(left, true), print(right, true))
        }
        Kind::Bool { and, args } => {
            let word = if *and { " AND " } else { " OR " };
            format!("({})", args.iter().map(|arg| print(arg, false)).collect::<Vec<_>>().join(word))
        }
        Kind::Not(arg) => format!("(NOT {})", print(arg, false)),
        Kind::Test { arg, suffix } => format!("({} {suffix})", print(arg, true)),
        Kind::Distinct { left, right } => {
            format!("({} IS DISTINCT FROM {})", print(left, true), print(right, true))
        }
        Kind::Call { name, args, distinct, star, variadic, order, suffix } => {
            let mut inside = if *star { "*".to_owned() } else { list(args) };
            if *variadic {
                let before = list(&args[..args.len().saturating_sub(1)]);
                let last = args.last().map(argument).unwrap_or_default();
                inside =
                    if before.is_empty() { format!("VARIADIC {last}") } else { format!("{before}, VARIADIC {last}") };
            }
            let distinct = if *distinct { "DISTINCT " } else { "" };
            format!("{name}({distinct}{inside}{order}){suffix}")
        }
        Kind::Syntax { pieces, args } => {
            let mut out = String::new();
            for (at, piece) in pieces.iter().enumerate() {
                out.push_str(piece);
                if let Some(arg) = args.get(at) {
                    out.push_str(&print(arg, false));
                }
            }
            out
        }
        Kind::Special { name, args } => format!("{name}({})", list(args)),
        Kind::Case { arg, arms, otherwise } => case(arg.as_deref(), arms, otherwise.as_deref()),
        Kind::Array(elements) => {
            let text = format!("ARRAY[{}]", list(elements));
            match &expr.data_type {
                // An empty array has no element to show its type.
                Some(data_type) if elements.is_empty() => format!("{text}::{}", data_type.sql()),
                _ => text,
            }
        }
        Kind::Row { args, explicit } => {
            format!("{}({})", if *explicit || args.len() < 2 { "ROW" } else { "" }, list(args))
        }
        Kind::Collate { arg, collation } => format!("({} COLLATE {collation})", print(arg, show_implicit)),
        Kind::Subscript { arg, indexes } => subscript(arg, indexes),
        Kind::Field { arg, name } => match arg.kind {
            Kind::Subscript { .. } => format!("{}.{name}", print(arg, true)),
            _ => format!("({}).{name}", print(arg, true)),
        },
        Kind::Sublink { test, operator, query } => {
            let test = test.as_deref().map(|test| format!("{} ", print(test, true))).unwrap_or_default();
            let bare = test.is_empty() && (operator.is_empty() || operator == "ARRAY");
            let text = format!("{test}{operator}{}({query})", if operator.is_empty() || bare { "" } else { " " });
            if bare { text } else { format!("({text})") }
        }
    }
}

fn list(args: &[Expr]) -> String {
    args.iter().map(argument).collect::<Vec<_>>().join(", ")
}

fn case(arg: Option<&Expr>, arms: &[(Expr, Expr)], otherwise: Option<&Expr>) -> String {
    // The server prints CASE over several lines even without pretty printing.
    let mut out = String::from("\nCASE");
    if let Some(arg) = arg {
        out.push(' ');
        out.push_str(&print(arg, true));
    }
    for (when, then) in arms {
        out.push_str(&format!("\n    WHEN {} THEN {}", print(when, false), print(then, true)));
    }
    let otherwise = otherwise.map_or_else(|| "NULL".to_owned(), argument);
    out.push_str(&format!("\n    ELSE {otherwise}\nEND"));
    out
}

fn subscript(arg: &Expr, indexes: &[Subscript]) -> String {
    let mut out = match arg.kind {
        Kind::Name(_) | Kind::Field { .. } => print(arg, true),
        _ => format!("({})", print(arg, true)),
    };
    let bound = |bound: &Option<Expr>| bound.as_ref().map(expression).unwrap_or_default();
    for index in indexes {
        if index.slice {
            out.push_str(&format!("[{}:{}]", bound(&index.lower), bound(&index.upper)));
        } else {
            out.push_str(&format!("[{}]", bound(&index.upper)));
        }
    }
    out
}

/// `get_coercion_expr`: a literal of the very type is shown as one, without a second cast.
fn cast(arg: &Expr, to: Option<&Type>) -> String {
    let Some(to) = to else { return print(arg, false) };
    if let (Kind::Const(value), Some(from)) = (&arg.kind, &arg.data_type)
        && from.id == to.id
        && from.modifier == -1
    {
        return format!("{}::{}", constant(value, Some(from), false), to.sql());
    }
    format!("({})::{}", print(arg, false), to.sql())
}

/// `get_const_expr`; `label` is false where the caller writes the type itself.
fn constant(value: &Value, data_type: Option<&Type>, label: bool) -> String {
    let id = data_type.map_or("unknown", |data_type| data_type.id.as_str());
    let with_label = |text: String| match data_type {
        Some(data_type) if label && !data_type.is_unknown() => format!("{text}::{}", data_type.sql()),
        _ => text,
    };
    match value {
        Value::Null => match data_type {
            Some(data_type) if label && !data_type.is_unknown() => format!("NULL::{}", data_type.sql()),
            _ => "NULL".to_owned(),
        },
        Value::Bool(value) => value.to_string(),
        Value::Number(digits) => {
            let bare =
                !digits.starts_with('-') && (id == "int4" || id == "numeric" && digits.contains(['e', 'E', '.']));
            if bare { digits.clone() } else { with_label(format!("'{digits}'")) }
        }
        Value::Text(text) => with_label(quoted(text)),
    }
}

/// `simple_quote_literal`: with standard-conforming strings a backslash is nothing special.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
