//! `DO`: the statements inside, where it is certain that each of them runs once.

use pg_query::protobuf::{DoStmt, node};
use serde_json::Value;

use super::edit::{Edit, Outcome, fail};
use super::{Unforeseeable, names, rows};
use crate::sql::quote;

/// `DO`.
pub(super) fn run(edit: &mut Edit<'_>, statement: &DoStmt) -> Outcome {
    let parsed = body(statement)?;
    match parsed.pointer("/0/PLpgSQL_function/action/PLpgSQL_stmt_block") {
        Some(block) => self::block(edit, block),
        None => fail!("a DO block that cannot be read"),
    }
}

/// The code as the parser of PL/pgSQL reads it.
///
/// # Errors
/// It is in another language, or cannot be read.
pub fn body(statement: &DoStmt) -> Result<Value, Unforeseeable> {
    let option = |wanted: &str| {
        let element = names::options(&statement.args).find(|element| element.defname == wanted)?;
        names::option_text(element.arg.as_deref())
    };
    let language = option("language").unwrap_or_else(|| "plpgsql".to_owned());
    if !language.eq_ignore_ascii_case("plpgsql") {
        fail!("a DO block in language {}", quote::ident(&language));
    }
    let Some(body) = option("as") else { fail!("a DO block without a body") };
    let mut tag = "wesley".to_owned();
    while body.contains(&tag) {
        tag.push('x');
    }
    match pg_query::parse_plpgsql(&format!("DO ${tag}${body}${tag}$")) {
        Ok(parsed) => Ok(parsed),
        Err(_) => fail!("a DO block that cannot be read"),
    }
}

/// The static statements in the block, wherever they stand, without its expressions; `None` where it cannot be read, or
/// executes text that it makes.
pub fn statements(statement: &DoStmt) -> Option<Vec<node::Node>> {
    let parsed = body(statement).ok()?;
    if contains_key(&parsed, "PLpgSQL_stmt_dynexecute") {
        return None;
    }
    let mut found = Vec::new();
    texts(&parsed, &mut found);
    let parsed = found.into_iter().filter_map(|text| crate::sql::parse(text).ok());
    Some(parsed.flatten().map(|statement| statement.node).collect())
}

fn block(edit: &mut Edit<'_>, block: &Value) -> Outcome {
    let Some(statements) = block.get("body").and_then(Value::as_array) else { return Ok(()) };
    let handles = block.get("exceptions").is_some();
    if handles && statements.iter().any(changes_schema) {
        fail!("a DO block changes the schema and handles exceptions");
    }
    for statement in statements {
        self::statement(edit, statement)?;
    }
    Ok(())
}

/// The texts of static SQL anywhere below.
fn texts<'v>(value: &'v Value, out: &mut Vec<&'v str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(fields) => {
            for (key, item) in fields {
                match (key.as_str(), item.as_str()) {
                    ("query", Some(text)) => out.push(text),
                    _ => texts(item, out),
                }
            }
        }
        _ => {}
    }
}

/// Whether something below may change the schema: static DDL, or text that is executed.
fn changes_schema(value: &Value) -> bool {
    if contains_key(value, "PLpgSQL_stmt_dynexecute") {
        return true;
    }
    let mut found = Vec::new();
    texts(value, &mut found);
    found.into_iter().any(|text| match crate::sql::parse(text) {
        Ok(statements) => statements.iter().any(|statement| !super::only_rows(&statement.node)),
        // Expressions are no statements.
        Err(_) => false,
    })
}

fn contains_key(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| contains_key(item, wanted)),
        Value::Object(fields) => fields.iter().any(|(key, item)| key == wanted || contains_key(item, wanted)),
        _ => false,
    }
}

fn statement(edit: &mut Edit<'_>, statement: &Value) -> Outcome {
    let Some((kind, content)) = statement.as_object().and_then(|fields| fields.iter().next()) else { return Ok(()) };
    match kind.as_str() {
        "PLpgSQL_stmt_block" => block(edit, content),
        "PLpgSQL_stmt_execsql" => {
            let text = content.pointer("/sqlstmt/PLpgSQL_expr/query").and_then(Value::as_str).unwrap_or_default();
            let Ok(parsed) = crate::sql::parse(text) else { fail!("a statement of a DO block cannot be read") };
            parsed.iter().try_for_each(|inner| super::statement(edit, &inner.node))
        }
        "PLpgSQL_stmt_dynexecute" => fail!("a DO block executes text that it makes"),
        _ if !changes_schema(statement) => {
            // Loops and branches over rows: which tables get some is not worked out.
            rows::everything(edit)
        }
        _ => fail!("a DO block changes the schema under a condition"),
    }
}
