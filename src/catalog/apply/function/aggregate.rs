//! Aggregates.

use pg_query::protobuf::{DefineStmt, Node, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::{data_type, put};
use crate::catalog::expression::{Type, parse_type, strings};
use crate::catalog::{Function, Name};
use crate::sql::quote;

/// `CREATE AGGREGATE`.
pub(in super::super) fn create(edit: &mut Edit<'_>, statement: &DefineStmt) -> Outcome {
    let name = names::creation_from(edit, &strings(&statement.defnames))?;
    let find = |wanted: &str| names::options(&statement.definition).find(|element| element.defname == wanted);
    let option_type = |wanted: &str| -> Outcome<Option<Type>> {
        match find(wanted).and_then(|element| element.arg.as_deref()).and_then(|arg| arg.node.as_ref()) {
            Some(node::Node::TypeName(type_name)) => Ok(Some(data_type(edit, type_name)?)),
            Some(node::Node::String(text)) => Ok(parse_type(edit, &text.sval)),
            _ => Ok(None),
        }
    };
    let Some(state) = option_type("stype")?.or(option_type("stype1")?) else {
        fail!("the aggregate has no state type")
    };
    let (mut arguments, mut types) = (Vec::new(), Vec::new());
    for parameter in parameters(statement) {
        let Some(type_name) = &parameter.arg_type else { continue };
        let found = data_type(edit, type_name)?;
        types.extend(found.user_defined());
        let label =
            if parameter.name.is_empty() { String::new() } else { format!("{} ", quote::ident(&parameter.name)) };
        arguments.push(format!("{label}{}", found.parameter_sql()));
    }
    if statement.oldstyle {
        let base = option_type("basetype")?;
        arguments.extend(base.filter(|base| base.id != "any").map(|base| base.parameter_sql()));
    }
    let function_of = |wanted: &str| -> Option<Name> {
        let parts = names::parts(find(wanted)?.arg.as_deref());
        let (schema, name) = names::split(&parts);
        let exists = |full: &Name| edit.functions.iter().any(|function| function.name == *full);
        names::in_path(edit, schema, name, exists)
    };
    let wanted = [
        "sfunc",
        "sfunc1",
        "finalfunc",
        "combinefunc",
        "serialfunc",
        "deserialfunc",
        "msfunc",
        "minvfunc",
        "mfinalfunc",
    ];
    let mut functions: Vec<Name> = wanted.into_iter().filter_map(function_of).collect();
    functions.sort();
    functions.dedup();
    let result = final_result(edit, find("finalfunc").and_then(|element| element.arg.as_deref()), &state);
    types.extend(result.user_defined());
    types.sort();
    types.dedup();
    let mut function = Function {
        kind: 'a',
        arguments: arguments.join(", "),
        result: result.parameter_sql(),
        volatility: 'i',
        language: "internal".to_owned(),
        strict: false,
        references: Vec::new(),
        functions,
        types,
        definition: String::new(),
        extension: None,
        owner: edit.server.user.clone(),
        privileges: Vec::new(),
        comment: None,
        name,
    };
    put(edit, statement.replace, &mut function)?;
    edit.add_function(function);
    Ok(())
}

fn parameters(statement: &DefineStmt) -> Vec<&pg_query::protobuf::FunctionParameter> {
    // The first element is the list of arguments, the second how many of them are direct.
    let nodes: &[Node] = match statement.args.first().and_then(|node| node.node.as_ref()) {
        Some(node::Node::List(list)) => &list.items,
        _ => &[],
    };
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(node::Node::FunctionParameter(parameter)) => Some(&**parameter),
            _ => None,
        })
        .collect()
}

/// The final function's result, or the state itself.
fn final_result(edit: &Edit<'_>, function: Option<&Node>, state: &Type) -> Type {
    let parts = names::parts(function);
    let Some(name) = parts.last() else { return state.clone() };
    let user_defined = edit.functions.iter().find(|function| function.name.name == *name);
    if let Some(found) = user_defined.and_then(|function| parse_type(edit, &function.result)) {
        return found;
    }
    let built_in = crate::catalog::builtin::signatures(name, edit.major()).next();
    built_in.map_or_else(|| state.clone(), |signature| Type::named(signature.result))
}
