//! Bodies of functions, as the parser of their language wants them.

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateFunctionStmt, Node, Token, VariableSetKind};

use super::block::{Block, session};
use super::strings_of;
use crate::catalog::{Catalog, Function};
use crate::plan::analyze::{Resolver, options};
use crate::sql::quote;

/// Variables that a trigger's function has without declaring them.
const TRIGGER_VARIABLES: &str = "new record; old record; tg_name text; tg_when text; tg_level text; tg_op text; \
                                 tg_relid oid; tg_relname text; tg_table_name text; tg_table_schema text; tg_nargs int; \
                                 tg_argv text[]; tg_event text; tg_tag text;";

/// The statement that creates the function.
pub(super) fn created(function: &Function) -> Option<CreateFunctionStmt> {
    let parsed = crate::sql::parse(function.definition.trim()).ok()?;
    match parsed.into_iter().next()?.node {
        NodeEnum::CreateFunctionStmt(create) => Some(*create),
        _ => None,
    }
}

/// The catalog as the body sees it, where the routine has settings of its own that decide what names stand for.
pub(super) fn own_settings(create: &CreateFunctionStmt, resolver: &Resolver<'_>) -> Option<Catalog> {
    let set = |option: &Node| match &option.node {
        Some(NodeEnum::DefElem(option)) if option.defname == "set" => match option.arg.as_ref()?.node.as_ref()? {
            NodeEnum::VariableSetStmt(set) if set.kind() == VariableSetKind::VarSetValue => Some(set.clone()),
            _ => None,
        },
        _ => None,
    };
    let mut sets = create.options.iter().filter_map(set).peekable();
    sets.peek()?;
    let mut catalog = resolver.catalog.clone();
    sets.for_each(|set| session(&mut catalog, &set));
    Some(catalog)
}

/// The source text of a function: what stands behind AS.
pub(super) fn source(create: &CreateFunctionStmt) -> Option<String> {
    let option = options::find(&create.options, "as")?;
    strings_of(option.arg.as_ref()?.node.as_ref()?).into_iter().next()
}

/// Runs the statements of an SQL function.
pub(super) fn sql(function: &Function, block: &mut Block<'_, '_>) {
    let Some(create) = created(function) else {
        return block.unreadable("the body of a function could not be read");
    };
    match &create.sql_body {
        Some(body) => {
            if let Some(body) = &body.node {
                atomic(body, block);
            }
        }
        None => match source(&create) {
            Some(text) => block.text(&text, true),
            None => block.unreadable("the body of a function could not be read"),
        },
    }
}

/// `RETURN expression`, or the statements of BEGIN ATOMIC (lists within a list).
fn atomic(body: &NodeEnum, block: &mut Block<'_, '_>) {
    for statement in statements(body) {
        block.statement(statement, true);
    }
}

/// The statements of a body that is no string.
pub(super) fn statements(body: &NodeEnum) -> Vec<NodeEnum> {
    match body {
        NodeEnum::List(list) => list.items.iter().filter_map(|item| item.node.as_ref()).flat_map(statements).collect(),
        NodeEnum::ReturnStmt(returned) => {
            let target = pg_query::protobuf::ResTarget { val: returned.returnval.clone(), ..Default::default() };
            let select = pg_query::protobuf::SelectStmt {
                target_list: vec![pg_query::protobuf::Node { node: Some(NodeEnum::ResTarget(Box::new(target))) }],
                op: pg_query::protobuf::SetOperation::SetopNone as i32,
                ..Default::default()
            };
            vec![NodeEnum::SelectStmt(Box::new(select))]
        }
        other => vec![other.clone()],
    }
}

/// The text that the PL/pgSQL parser takes for a function.
pub(super) fn plpgsql(function: &Function) -> Option<String> {
    let create = created(function)?;
    let body = source(&create)?;
    if matches!(function.result.as_str(), "trigger" | "event_trigger") {
        return Some(as_function(&body));
    }
    Some(without_row_types(&function.definition, &body))
}

/// The text that the PL/pgSQL parser takes for a DO block.
pub(super) fn anonymous(body: &str) -> String {
    format!("DO {}", quote::literal(&plain_types(body)))
}

/// The parser cannot print the variables of a trigger, so its body becomes the inner block of a function that
/// declares them.
pub(super) fn as_function(body: &str) -> String {
    let body = plain_types(body);
    let (options, body) = compiler_options(&body);
    let semicolon = if ends_in_semicolon(body) { "" } else { ";" };
    let wrapped = format!("{options}\nDECLARE {TRIGGER_VARIABLES} BEGIN\n{body}{semicolon}\nEND");
    format!("CREATE FUNCTION f() RETURNS record LANGUAGE plpgsql AS {}", quote::literal(&wrapped))
}

/// The lines `#variable_conflict ...` and the like that may stand before the first block, and the rest.
fn compiler_options(body: &str) -> (&str, &str) {
    let mut rest = body;
    while let Some(line) = Some(rest.trim_start()).filter(|text| text.starts_with('#')) {
        rest = line.split_once('\n').map_or("", |(_, rest)| rest);
    }
    body.split_at(body.len() - rest.len())
}

fn without_row_types(definition: &str, body: &str) -> String {
    let plain = plain_types(body);
    if plain == body {
        return definition.to_owned();
    }
    definition.replacen(body, &plain, 1)
}

/// `table%ROWTYPE` needs a catalog that the parser does not have; for what the code does to relations it is a
/// record.
fn plain_types(body: &str) -> String {
    let Ok(scanned) = pg_query::scan(body) else { return body.to_owned() };
    let text = |start: i32, end: i32| {
        usize::try_from(start)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| body.get(start..end))
            .unwrap_or("")
    };
    let mut replaced = String::new();
    let mut copied = 0;
    let tokens = &scanned.tokens;
    for (at, token) in tokens.iter().enumerate() {
        let is_row_type = text(token.start, token.end).eq_ignore_ascii_case("rowtype")
            && at >= 2
            && tokens.get(at - 1).is_some_and(|before| text(before.start, before.end) == "%");
        if !is_row_type {
            continue;
        }
        // Back over `schema.table`.
        let mut first = at - 2;
        while first >= 2 && tokens.get(first - 1).is_some_and(|before| text(before.start, before.end) == ".") {
            first -= 2;
        }
        let (Some(start), Some(end)) =
            (tokens.get(first).and_then(|token| usize::try_from(token.start).ok()), usize::try_from(token.end).ok())
        else {
            continue;
        };
        replaced.push_str(body.get(copied..start).unwrap_or(""));
        replaced.push_str("record");
        copied = end;
    }
    replaced.push_str(body.get(copied..).unwrap_or(""));
    replaced
}

fn ends_in_semicolon(body: &str) -> bool {
    let Ok(scanned) = pg_query::scan(body) else { return false };
    let last = scanned.tokens.iter().rev().find(|token| !matches!(token.token(), Token::SqlComment | Token::CComment));
    last.is_some_and(|token| token.token() == Token::Ascii59)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_types_become_records() {
        assert_eq!(
            plain_types("declare r public.t%rowtype; x t.a%type; begin end"),
            "declare r record; x t.a%type; begin end"
        );
    }

    #[test]
    fn bodies_of_triggers_parse() {
        for body in [
            "begin new.a := 5; return new; end",
            "begin if tg_op = 'DELETE' then return old; end if; return new; end; -- done",
            "<<outer>> declare x int; begin x := tg_argv[0]; return null; end outer",
            "\n #variable_conflict use_column\n#print_strict_params on\nbegin return new; end",
        ] {
            assert!(pg_query::parse_plpgsql(&as_function(body)).is_ok(), "{body}");
        }
    }
}
