//! The function of a trigger that does nothing but set columns of the row it gets.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::Token;
use serde_json::Value;

use super::body;
use crate::catalog::{Catalog, Trigger, TriggerTiming};
use crate::plan::analyze::Resolver;
use crate::plan::analyze::names::Qualified;
use crate::sql::expression::{operands, parse_expression};

/// Statements of PL/pgSQL that touch nothing but variables, or end in an error.
const HARMLESS: [&str; 6] = [
    "PLpgSQL_stmt_block",
    "PLpgSQL_stmt_assign",
    "PLpgSQL_stmt_if",
    "PLpgSQL_stmt_case",
    "PLpgSQL_stmt_raise",
    "PLpgSQL_stmt_return",
];

/// The columns of the row that the trigger may set. `None` where it may do anything else: run a statement, call a
/// function of the user, or keep the row from being written.
pub(in crate::plan) fn columns_set(trigger: &Trigger, catalog: &Catalog) -> Option<BTreeSet<String>> {
    let mut named = catalog.functions.iter().filter(|function| function.name == trigger.function);
    let function = named.find(|function| function.result == "trigger" && function.language == "plpgsql")?;
    if !trigger.functions.is_empty() || trigger.timing == TriggerTiming::InsteadOf {
        return None;
    }
    let source = body::plpgsql(function)?;
    if trigger.for_each_row && trigger.timing == TriggerTiming::Before && !returns_new(&source) {
        return None;
    }
    let mut set = BTreeSet::new();
    visit(&pg_query::parse_plpgsql(&source).ok()?, &Resolver::new(catalog), &mut set)?;
    Some(set)
}

/// Whether every RETURN of the code gives NEW: NULL skips the row, another record replaces it. The tree of the code
/// does not tell which variable a RETURN gives.
fn returns_new(source: &str) -> bool {
    let Some(code) = code_of(source) else { return false };
    let Some(words) = words(&code) else { return false };
    let mut places = words.iter().enumerate().filter(|(_, word)| *word == "return").peekable();
    places.peek().is_some()
        && places.all(|(at, _)| matches!(words.get(at + 1..at + 3), Some([new, end]) if new == "new" && end == ";"))
}

/// The tokens of code, without comments; names as the server folds them.
fn words(code: &str) -> Option<Vec<String>> {
    let tokens = pg_query::scan(code).ok()?.tokens;
    let told = tokens.iter().filter(|token| !matches!(token.token(), Token::SqlComment | Token::CComment));
    told.map(|token| Some(folded(code.get(usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?)?)))
        .collect()
}

/// The code within the statement that creates the function.
fn code_of(source: &str) -> Option<String> {
    match crate::sql::parse(source).ok()?.into_iter().next()?.node {
        NodeEnum::CreateFunctionStmt(create) => body::source(&create),
        _ => None,
    }
}

/// Goes through the tree of the code; `None` at the first thing that is more than setting a variable.
fn visit(value: &Value, resolver: &Resolver<'_>, set: &mut BTreeSet<String>) -> Option<()> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| visit(item, resolver, set)),
        Value::Object(fields) => fields.iter().try_for_each(|(key, inner)| match key.as_str() {
            "PLpgSQL_expr" => expression(inner, resolver, set),
            statement if statement.starts_with("PLpgSQL_stmt") && !HARMLESS.contains(&statement) => None,
            _ => visit(inner, resolver, set),
        }),
        _ => Some(()),
    }
}

/// Parse modes: 2 an expression, 3 to 5 an assignment (`RawParseMode` in parser.h).
fn expression(value: &Value, resolver: &Resolver<'_>, set: &mut BTreeSet<String>) -> Option<()> {
    let query = value.get("query")?.as_str()?;
    match value.get("parseMode").and_then(Value::as_i64)? {
        2 => calculates(query, resolver),
        3..=5 => {
            let (target, assigned) = assignment(query)?;
            match target.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["new", ".", column, ..] => {
                    set.insert((*column).to_owned());
                }
                ["new" | "old", ..] | [] => return None,
                _ => {}
            }
            calculates(assigned, resolver)
        }
        _ => None,
    }
}

/// Whether the expression has no subquery and calls no function of the user.
fn calculates(text: &str, resolver: &Resolver<'_>) -> Option<()> {
    let root = parse_expression(text)?;
    let mut pending = vec![&root];
    while let Some(node) = pending.pop() {
        if let Some(NodeEnum::FuncCall(call)) = &node.node
            && !resolver.functions_named(Qualified::from_nodes(&call.funcname)?).is_empty()
        {
            return None;
        }
        pending.extend(operands(node)?);
    }
    Some(())
}

/// The tokens of the target, names as the server folds them, and the expression behind the first `:=` or `=`.
fn assignment(text: &str) -> Option<(Vec<String>, &str)> {
    let tokens = pg_query::scan(text).ok()?.tokens;
    let sign = tokens.iter().find(|token| matches!(token.token(), Token::ColonEquals | Token::Ascii61))?;
    let target = words(text.get(..usize::try_from(sign.start).ok()?)?)?;
    Some((target, text.get(usize::try_from(sign.end).ok()?..)?))
}

fn folded(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Name;
    use crate::catalog::apply::apply;

    fn sets(body: &str, event: &str) -> Option<Vec<String>> {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        let text = format!(
            "CREATE SCHEMA public; CREATE TABLE t (id int, n int, \"On\" timestamptz);
             CREATE FUNCTION own() RETURNS int LANGUAGE sql AS 'SELECT 1';
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f${body}$f$;
             CREATE TRIGGER g {event} ON t FOR EACH ROW EXECUTE FUNCTION f()"
        );
        for statement in crate::sql::parse(&text).unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        let table = catalog.relations.get(&Name::new("public", "t")).unwrap();
        columns_set(&table.triggers[0], &catalog).map(|set| set.into_iter().collect())
    }

    #[test]
    fn a_row_that_only_gets_values_is_known() {
        for (body, wanted) in [
            ("begin new.\"On\" = now(); return new; end", vec!["On"]),
            ("begin if new.N is null then raise warning 'none'; NEW.N := 1; end if; RETURN NEW; end", vec!["n"]),
            ("declare x int := 3; begin x := x + 1; new.id := x; return new; end;", vec!["id"]),
            ("begin if new.n < 0 then raise exception 'below'; end if; return /* it */ new; end", vec![]),
        ] {
            let wanted = wanted.into_iter().map(str::to_owned).collect();
            assert_eq!(sets(body, "BEFORE INSERT"), Some(wanted), "{body}");
        }
        assert_eq!(sets("begin return null; end", "AFTER INSERT"), Some(Vec::new()));
    }

    #[test]
    fn a_trigger_that_does_more_is_not() {
        for body in [
            "begin return null; end",
            "begin return old; end",
            "begin new := old; return new; end",
            "begin insert into t values (1); return new; end",
            "begin perform own(); return new; end",
            "begin new.n := own(); return new; end",
            "begin new.n := (select max(n) from t); return new; end",
            "begin select 1 into new.n; return new; end",
            "begin execute 'select 1'; return new; end",
            "begin for i in 1..3 loop new.n := i; end loop; return new; end",
        ] {
            assert_eq!(sets(body, "BEFORE INSERT"), None, "{body}");
        }
    }
}
