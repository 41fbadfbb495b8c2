//! Statements inside PL/pgSQL code, found by its own parser (`pg_query::parse_plpgsql`, which prints JSON).

use pg_query::NodeEnum;
use pg_query::protobuf::{SelectStmt, Token};
use serde_json::{Map, Value};

use super::block::Block;
use crate::plan::analyze::names::string;
use crate::plan::analyze::query::Literal;
use crate::plan::expand::single;
use crate::sql::expression::{operands, parse_expression};

/// Reads a CREATE FUNCTION or DO statement in PL/pgSQL and runs its static statements in order.
pub(super) fn run(source: &str, block: &mut Block<'_, '_>) {
    match pg_query::parse_plpgsql(source) {
        Ok(parsed) => visit(&parsed, true, block),
        Err(_) => block.unreadable("the PL/pgSQL code could not be read"),
    }
}

/// Goes through the tree; `certain` while the statements run in any case.
fn visit(value: &Value, certain: bool, block: &mut Block<'_, '_>) {
    match value {
        Value::Array(items) => {
            let mut certain = certain;
            for item in items {
                visit(item, certain, block);
                // What stands behind RETURN is never reached.
                if item.get("PLpgSQL_stmt_return").is_some() {
                    break;
                }
                certain &= !may_leave(item);
            }
        }
        Value::Object(fields) => {
            for (key, inner) in in_order(fields) {
                named(key, inner, certain, block);
            }
        }
        _ => {}
    }
}

/// Whether the code may end or jump within this part, so that what stands behind it need not run.
fn may_leave(part: &Value) -> bool {
    match part {
        Value::Array(items) => items.iter().any(may_leave),
        Value::Object(fields) => fields.iter().any(|(key, inner)| match key.as_str() {
            "PLpgSQL_stmt_return" | "PLpgSQL_stmt_exit" => true,
            // ERROR in elog.h; below it RAISE only tells something.
            "PLpgSQL_stmt_raise" => inner.get("elog_level").and_then(Value::as_i64).is_none_or(|level| level >= 21),
            _ => may_leave(inner),
        }),
        _ => false,
    }
}

/// Fields in the order of execution: variables before code, conditions and queries before the bodies they
/// control.
fn in_order(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |key: &str| match key {
        "datums" => 0,
        "cond" | "query" | "lower" | "upper" | "step" | "expr" | "t_expr" => 1,
        "then_body" => 2,
        "elsif_list" => 3,
        "else_body" | "else_stmts" => 4,
        "exceptions" => 6,
        _ => 5,
    };
    let mut ordered: Vec<(&String, &Value)> = fields.iter().collect();
    ordered.sort_by_key(|(key, _)| rank(key));
    ordered
}

fn named(key: &str, value: &Value, certain: bool, block: &mut Block<'_, '_>) {
    match key {
        "PLpgSQL_expr" => expression(value, certain, block),
        "PLpgSQL_stmt_dynexecute" => dynamic(value, "query", certain, block),
        "PLpgSQL_stmt_dynfors" => {
            dynamic(value, "query", certain, block);
            visit(value.get("body").unwrap_or(&Value::Null), false, block);
        }
        "PLpgSQL_stmt_open" | "PLpgSQL_stmt_return_query" if value.get("dynquery").is_some() => {
            dynamic(value, "dynquery", certain, block);
        }
        "PLpgSQL_stmt_commit" | "PLpgSQL_stmt_rollback" => block.ends_transactions(),
        "PLpgSQL_stmt_if" => conditional(value, certain, block),
        // Code that may run, or may run and be undone.
        "then_body" | "else_body" | "elsif_list" | "else_stmts" | "case_when_list" | "exceptions" => {
            visit(value, false, block);
        }
        "PLpgSQL_stmt_fors"
        | "PLpgSQL_stmt_forc"
        | "PLpgSQL_stmt_fori"
        | "PLpgSQL_stmt_foreach_a"
        | "PLpgSQL_stmt_while" => {
            let Value::Object(fields) = value else { return };
            for (key, inner) in in_order(fields) {
                visit_field(key, inner, certain && key != "body", block);
            }
        }
        "PLpgSQL_stmt_block" if value.get("exceptions").is_some() => visit(value, false, block),
        _ => visit(value, certain, block),
    }
}

fn visit_field(key: &str, value: &Value, certain: bool, block: &mut Block<'_, '_>) {
    if key.starts_with("PLpgSQL_") { named(key, value, certain, block) } else { visit(value, certain, block) }
}

/// IF with a constant condition takes one way only.
fn conditional(value: &Value, certain: bool, block: &mut Block<'_, '_>) {
    let condition = value.get("cond").and_then(query_text);
    let constant = condition.as_deref().and_then(constant);
    let part = |name: &str| value.get(name).unwrap_or(&Value::Null);
    visit(part("cond"), certain, block);
    match constant {
        Some(Literal::Boolean(true)) => visit(part("then_body"), certain, block),
        Some(Literal::Boolean(false) | Literal::Null) if value.get("elsif_list").is_none() => {
            visit(part("else_body"), certain, block);
        }
        _ => {
            for name in ["then_body", "elsif_list", "else_body"] {
                visit(part(name), false, block);
            }
        }
    }
}

/// The text of an expression node.
fn query_text(value: &Value) -> Option<String> {
    value.get("PLpgSQL_expr")?.get("query")?.as_str().map(str::to_owned)
}

/// A statement put together at run time; one that is a constant string is as good as static.
fn dynamic(value: &Value, field: &str, certain: bool, block: &mut Block<'_, '_>) {
    if let Some(parameters) = value.get("params") {
        visit(parameters, certain, block);
    }
    let text = value.get(field).and_then(query_text);
    match text.as_deref().and_then(constant) {
        Some(Literal::Text(text)) => block.text(&text, certain),
        _ if text.as_deref().is_some_and(|text| calculates(text).is_some()) => {}
        _ => block.unreadable("EXECUTE of a statement that is put together at run time"),
    }
}

fn constant(expression: &str) -> Option<Literal> {
    Literal::of(parse_expression(expression)?.node.as_ref()?)
}

/// Whether the text is `format` of a query that calculates with what it is given, whichever names and values come into
/// it: it reads no relation and calls no function.
fn calculates(expression: &str) -> Option<()> {
    let NodeEnum::FuncCall(call) = parse_expression(expression)?.node? else { return None };
    let name = call.funcname.last()?.node.as_ref()?;
    if string(name) != Some("format") || call.funcname.len() > 1 {
        return None;
    }
    let Literal::Text(template) = Literal::of(call.args.first()?.node.as_ref()?)? else { return None };
    let NodeEnum::SelectStmt(select) = single(&filled(&template)?)?.node else { return None };
    let targets = select.target_list.clone();
    let nothing_more =
        SelectStmt { target_list: targets, limit_option: select.limit_option, op: select.op, ..SelectStmt::default() };
    if *select != nothing_more {
        return None;
    }
    let mut pending: Vec<_> = select.target_list.iter().collect();
    while let Some(node) = pending.pop() {
        if matches!(node.node, Some(NodeEnum::FuncCall(_))) {
            return None;
        }
        pending.extend(operands(node)?);
    }
    Some(())
}

/// The template of `format` with some name for each `%I` and some value for each `%L`; `None` where it takes text as it
/// is (`%s`), and where a place has more than a kind.
fn filled(template: &str) -> Option<String> {
    let mut parts = template.split('%');
    let mut text = parts.next()?.to_owned();
    while let Some(part) = parts.next() {
        let (some, rest) = match part.strip_prefix('I') {
            Some(rest) => ("a_name", rest),
            None if part.is_empty() => ("%", parts.next()?),
            None => ("NULL", part.strip_prefix('L')?),
        };
        text.push_str(some);
        text.push_str(rest);
    }
    Some(text)
}

/// A static statement or expression. Parse modes (`RawParseMode` in parser.h): 0 statements, 2 an expression, 3 to
/// 5 an assignment.
fn expression(value: &Value, certain: bool, block: &mut Block<'_, '_>) {
    let Some(query) = value.get("query").and_then(Value::as_str) else { return };
    match value.get("parseMode").and_then(Value::as_i64).unwrap_or(0) {
        0 | 1 => block.text(query, certain),
        2 => block.text(&format!("SELECT {query}"), certain),
        _ => match assigned(query) {
            Some(expression) => block.text(&format!("SELECT {expression}"), certain),
            None => block.unreadable("an assignment of the code could not be read"),
        },
    }
}

/// What stands behind the first `:=` or `=` of an assignment.
fn assigned(assignment: &str) -> Option<&str> {
    let scanned = pg_query::scan(assignment).ok()?;
    let operator = scanned.tokens.iter().find(|token| matches!(token.token(), Token::ColonEquals | Token::Ascii61))?;
    assignment.get(usize::try_from(operator.end).ok()?..)
}
