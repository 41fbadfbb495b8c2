//! CREATE FUNCTION and CREATE PROCEDURE.

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateFunctionStmt, FunctionParameter, FunctionParameterMode, ObjectType, ObjectWithArgs};

use super::body;
use crate::catalog::types;
use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::query::{Depth, Reader};
use crate::plan::analyze::refusal::{missing_object, require_schema};
use crate::plan::analyze::{Impact, Resolver, objects, options};

/// Languages of every server.
const LANGUAGES: &[&str] = &["sql", "c", "internal"];

/// The body of an SQL function is analysed and rewritten: AccessShare on what it reads, RowExclusive on what it
/// changes. PL/pgSQL is only parsed.
pub(in crate::plan::analyze) fn create_function(statement: &CreateFunctionStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = Qualified::from_nodes(&statement.funcname) else { return impact };
    require_schema(&mut impact, resolver, name.schema);
    let language = options::find(&statement.options, "language").and_then(options::text);
    let language = language.map_or_else(|| "sql".to_owned(), |language| language.to_ascii_lowercase());
    let known = LANGUAGES.contains(&language.as_str())
        || resolver.catalog.extensions.contains_key(&language)
        || resolver.catalog.functions.iter().any(|function| function.language == language);
    if !known {
        missing_object(&mut impact, "language", &language);
    }
    signature(&mut impact, statement, resolver);
    existing(&mut impact, statement, name, resolver);
    let unchecked = resolver.catalog.server.unchecked_bodies && statement.sql_body.is_none();
    if unchecked {
        return impact;
    }
    let own = body::own_settings(statement, resolver);
    let within = own.as_ref().map(|catalog| resolver.over(catalog));
    let within = within.as_ref().unwrap_or(resolver);
    match language.as_str() {
        "sql" => impact.merge(sql_body(statement, within)),
        "plpgsql" => syntax(&mut impact, statement),
        _ => {}
    }
    impact
}

fn parameters(statement: &CreateFunctionStmt) -> impl Iterator<Item = &FunctionParameter> {
    statement.parameters.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::FunctionParameter(parameter)) => Some(parameter.as_ref()),
        _ => None,
    })
}

fn signature(impact: &mut Impact, statement: &CreateFunctionStmt, resolver: &Resolver<'_>) {
    let types = parameters(statement).filter_map(|parameter| parameter.arg_type.as_ref());
    for name in types.chain(&statement.return_type) {
        if let TypeLookup::Missing = resolver.type_named(name) {
            let shown = Qualified::from_type(name).map(|name| name.shown()).unwrap_or_default();
            missing_object(impact, "type", &shown);
        }
    }
}

/// 42723 without OR REPLACE, 42P13 when the result would change.
fn existing(impact: &mut Impact, statement: &CreateFunctionStmt, name: Qualified<'_>, resolver: &Resolver<'_>) {
    let created = resolver.creation_name(name.schema, name.name);
    let inputs = parameters(statement).filter(|parameter| {
        !matches!(
            FunctionParameterMode::try_from(parameter.mode),
            Ok(FunctionParameterMode::FuncParamOut | FunctionParameterMode::FuncParamTable)
        )
    });
    let arguments: Vec<pg_query::protobuf::Node> = inputs
        .filter_map(|parameter| parameter.arg_type.clone())
        .map(|name| pg_query::protobuf::Node { node: Some(NodeEnum::TypeName(name)) })
        .collect();
    let object = ObjectWithArgs {
        objname: [&created.schema, &created.name]
            .into_iter()
            .map(|part| pg_query::protobuf::Node {
                node: Some(NodeEnum::String(pg_query::protobuf::String { sval: part.clone() })),
            })
            .collect(),
        objargs: arguments,
        ..Default::default()
    };
    let Some(found) = objects::functions(resolver, ObjectType::ObjectRoutine, &object).into_iter().next() else {
        return;
    };
    if !statement.replace {
        return impact.refuse(
            "42723",
            format!("function \"{}\" already exists with same argument types", created.name),
            "Use CREATE OR REPLACE, or choose another name.",
        );
    }
    if statement.is_procedure != (found.kind == 'p') {
        return impact.refuse(
            "42809",
            format!("cannot change routine kind of \"{}\"", created.name),
            "Drop the routine first, or choose another name.",
        );
    }
    let Some(result) = &statement.return_type else { return };
    let new = types::resolve_type(result, resolver.catalog);
    let old = types::parse_type(found.result.trim_start_matches("SETOF "), resolver.catalog);
    let set_changed = result.setof != found.result.starts_with("SETOF ");
    if let (Some(new), Some(old)) = (new, old)
        && (new.name != old.name || new.array != old.array || set_changed)
    {
        impact.refuse(
            "42P13",
            "cannot change return type of existing function",
            "Drop the function first, with what depends on it, or choose another name.",
        );
    }
}

/// Every query of the body, one after the other; other statements are only parsed.
fn sql_body(statement: &CreateFunctionStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let statements = match statement.sql_body.as_ref().and_then(|body| body.node.as_ref()) {
        Some(body) => body::statements(body),
        None => {
            let Some(text) = body::source(statement) else { return impact };
            match crate::sql::parse(&text) {
                Ok(parsed) => parsed.into_iter().map(|statement| statement.node).collect(),
                Err(error) => {
                    impact.refuse("42601", format!("the function's body: {}", error.message), "Correct the body.");
                    return impact;
                }
            }
        }
    };
    for node in statements {
        if crate::sql::is_query(&node) {
            impact.merge(Reader::new(resolver, Depth::Rewrite).statement(&node));
        }
    }
    impact
}

/// 42601 for a body that does not parse.
fn syntax(impact: &mut Impact, statement: &CreateFunctionStmt) {
    let Some(source) = body::source(statement) else { return };
    let text = body::as_function(&source);
    if let Err(pg_query::Error::Parse(message)) = pg_query::parse_plpgsql(&text)
        && message.contains("syntax error")
    {
        impact.refuse("42601", "syntax error in the PL/pgSQL body", "Correct the body.");
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;
    use crate::catalog::apply::apply;
    use crate::plan::analyze::analyze;

    fn refused(text: &str) -> Option<String> {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        catalog.extensions.insert("plpgsql".to_owned(), "pg_catalog".to_owned());
        let setup =
            "CREATE SCHEMA public; CREATE SCHEMA app; CREATE TABLE app.t (id int); CREATE TYPE public.e AS ENUM ()";
        for statement in crate::sql::parse(&format!("{setup}; {text}")).unwrap() {
            if let Some(refusal) = analyze(&statement, &catalog).refused {
                return Some(refusal.sqlstate);
            }
            apply(&mut catalog, &statement).ok();
        }
        None
    }

    #[test]
    fn a_body_is_looked_at_with_the_settings_of_its_function() {
        let sql =
            |between: &str| format!("CREATE FUNCTION f() RETURNS int LANGUAGE sql {between} AS 'SELECT id FROM t'");
        assert_eq!(refused(&sql("")).as_deref(), Some("42P01"));
        assert_eq!(refused(&sql("SET search_path = app, public")), None);
        assert_eq!(refused(&format!("SET check_function_bodies = off; {}", sql(""))), None);
    }
}
