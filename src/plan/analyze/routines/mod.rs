//! Code: what functions, procedures, triggers and DO blocks do when they run, read from their bodies.
//!
//! Static statements are analysed in order, each on the schema that those before it leave behind. Statements put
//! together at run time, and languages that cannot be read, are [`Impact::unanalyzable`].

mod block;
mod body;
mod create;
mod labels;
mod plpgsql;
mod row;

use pg_query::NodeEnum;
use pg_query::protobuf::{CallStmt, DoStmt};

pub(super) use create::create_function;
pub(in crate::plan) use row::columns_set;

use self::block::Block;
use super::names::{Qualified, string};
use super::{Impact, Resolver, TransactionRule, options, query};
use crate::catalog::{Function, Name, Trigger};

/// DO: the block runs at once.
pub(super) fn do_block(statement: &DoStmt, resolver: &Resolver<'_>) -> Impact {
    let language = options::find(&statement.args, "language").and_then(options::text);
    let source = options::find(&statement.args, "as").and_then(options::text);
    let Some(source) = source else { return Impact::none() };
    if language.as_ref().is_some_and(|language| ["sql", "c", "internal"].contains(&language.as_str())) {
        let mut impact = Impact::none();
        impact.refuse("0A000", "the language does not support inline code execution", "Write the block in PL/pgSQL.");
        return impact;
    }
    if language.is_some_and(|language| !language.eq_ignore_ascii_case("plpgsql")) {
        return Impact::unanalyzable("only blocks in PL/pgSQL can be read");
    }
    let mut block = Block::new(resolver);
    plpgsql::run(&body::anonymous(&source), &mut block);
    block.finish()
}

/// CALL of a procedure.
pub(super) fn call(statement: &CallStmt, resolver: &Resolver<'_>) -> Impact {
    let Some(call) = &statement.funccall else { return Impact::none() };
    let mut impact = query::call(call, resolver);
    let Some(name) = Qualified::from_nodes(&call.funcname) else { return impact };
    let procedures: Vec<&Function> =
        resolver.functions_named(name).into_iter().filter(|function| function.kind == 'p').collect();
    if procedures.is_empty() {
        impact.refuse(
            "42883",
            format!("procedure {}() does not exist", name.shown()),
            "Check the name and the arguments; a function is run with SELECT.",
        );
    }
    impact
}

/// What running a function does.
pub(super) fn function(function: &Function, resolver: &Resolver<'_>) -> Impact {
    run(function, &[], resolver)
}

/// What running any function of that name does.
pub(super) fn function_named(name: &Name, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    for found in resolver.catalog.functions.iter().filter(|function| function.name == *name) {
        impact.merge(run(found, &[], resolver));
    }
    impact
}

/// What a trigger's function does; it may name the trigger's transition tables.
pub(super) fn trigger_function(trigger: &Trigger, resolver: &Resolver<'_>) -> Impact {
    let tables = transition_tables(&trigger.definition);
    let mut impact = Impact::none();
    for found in resolver.catalog.functions.iter().filter(|function| function.name == trigger.function) {
        impact.merge(run(found, &tables, resolver));
    }
    impact
}

fn transition_tables(definition: &str) -> Vec<String> {
    let Ok(parsed) = crate::sql::parse(definition) else { return Vec::new() };
    let Some(NodeEnum::CreateTrigStmt(trigger)) = parsed.first().map(|statement| &statement.node) else {
        return Vec::new();
    };
    let tables = trigger.transition_rels.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::TriggerTransition(table)) => Some(table.name.clone()),
        _ => None,
    });
    tables.collect()
}

/// SQL text that is run at once, statement by statement (a constant of EXECUTE, a query in an argument).
pub(super) fn text(text: &str, resolver: &Resolver<'_>) -> Impact {
    let mut block = Block::new(resolver);
    block.text(text, true);
    block.finish()
}

fn run(function: &Function, tables: &[String], resolver: &Resolver<'_>) -> Impact {
    // A function that calls itself does nothing new.
    let Some(_reading) = resolver.read_function(&function.name) else { return Impact::none() };
    let own = body::created(function).and_then(|create| body::own_settings(&create, resolver));
    let within = own.as_ref().map(|catalog| resolver.over(catalog));
    let resolver = within.as_ref().unwrap_or(resolver);
    let mut block = Block::new(resolver).with_tables(tables);
    match function.language.as_str() {
        // The catalog keeps no body of what belongs to an extension; what is immutable may not look at tables.
        "sql" | "plpgsql" if function.extension.is_some() && function.volatility == 'i' => {}
        "sql" => body::sql(function, &mut block),
        "plpgsql" => match body::plpgsql(function) {
            Some(source) => plpgsql::run(&source, &mut block),
            None => block.unreadable("the body of a function could not be read"),
        },
        // The server's own functions are known one by one.
        _ if function.volatility == 'i' => {}
        "internal" => {}
        "c" if function.extension.is_some() && !runs_queries(&function.name.name) => {}
        language => block.unreadable(&format!("a function in the language {language} cannot be read")),
    }
    let mut impact = block.finish_function();
    if function.kind == 'p' && impact.transaction == TransactionRule::Unknown {
        impact.transaction = TransactionRule::Unknown;
    }
    impact
}

/// Functions of contrib extensions that run a query they are given, or change tables (their documentation).
fn runs_queries(name: &str) -> bool {
    name.starts_with("dblink")
        || name.starts_with("crosstab")
        || matches!(
            name,
            "connectby" | "xpath_table" | "check_primary_key" | "check_foreign_key" | "timetravel" | "set_timetravel"
        )
}

/// Text of an option of CREATE FUNCTION: a string, or the strings of `AS`.
fn strings_of(node: &NodeEnum) -> Vec<String> {
    match node {
        NodeEnum::List(list) => {
            list.items.iter().filter_map(|item| string(item.node.as_ref()?)).map(str::to_owned).collect()
        }
        other => string(other).map(str::to_owned).into_iter().collect(),
    }
}
