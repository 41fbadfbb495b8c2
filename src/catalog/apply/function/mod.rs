//! Functions, procedures, aggregates.

mod aggregate;
mod definition;

use pg_query::protobuf::{
    AlterFunctionStmt, CreateFunctionStmt, DefElem, FunctionParameter, FunctionParameterMode, Node, TypeName, node,
};

pub(super) use self::aggregate::create as create_aggregate;
pub(super) use self::definition::renamed;

use super::edit::{Edit, Outcome, fail};
use super::{names, privileges};
use crate::catalog::expression::{self, Analysis, Item, Scope, Type, statement_uses, strings};
use crate::catalog::{Function, Name};
use crate::sql::quote;

/// The type of an argument or result; `%TYPE` of a column too.
fn data_type(edit: &Edit<'_>, type_name: &TypeName) -> Outcome<Type> {
    if type_name.pct_type {
        let parts = strings(&type_name.names);
        if let Some((column, table)) = parts.split_last()
            && let Ok(table) = names::relation_of(edit, table)
            && let Some(found) = names::column_type(edit.relation(&table)?, column)
        {
            return Ok(found.without_modifier());
        }
    }
    let plain = TypeName { setof: false, pct_type: false, typmods: Vec::new(), ..type_name.clone() };
    match expression::resolve_type(edit, &plain) {
        Some(found) => Ok(found.without_modifier()),
        None => fail!("type {} is not known", expression::spelled(type_name)),
    }
}

/// What the signature says, in the server's words.
struct Signature {
    /// `pg_get_function_identity_arguments`.
    identity: String,
    /// The same with defaults (`pg_get_function_arguments`).
    arguments: String,
    /// `pg_get_function_result`.
    result: String,
    types: Vec<Name>,
    functions: Vec<Name>,
    /// Named and numbered arguments, for SQL bodies.
    inputs: Vec<(String, Type)>,
}

fn parameters(statement: &CreateFunctionStmt) -> impl Iterator<Item = &FunctionParameter> {
    statement.parameters.iter().filter_map(|node| match &node.node {
        Some(node::Node::FunctionParameter(parameter)) => Some(&**parameter),
        _ => None,
    })
}

fn signature(edit: &Edit<'_>, statement: &CreateFunctionStmt) -> Outcome<Signature> {
    use FunctionParameterMode as Mode;
    let mut out = Signature {
        identity: String::new(),
        arguments: String::new(),
        result: String::new(),
        types: Vec::new(),
        functions: Vec::new(),
        inputs: Vec::new(),
    };
    let (mut identity, mut arguments, mut table) = (Vec::new(), Vec::new(), Vec::new());
    let mut outputs: Vec<Type> = Vec::new();
    for parameter in parameters(statement) {
        let Some(type_name) = &parameter.arg_type else { fail!("an argument has no type") };
        let found = data_type(edit, type_name)?;
        out.types.extend(found.user_defined());
        let mode = Mode::try_from(parameter.mode).unwrap_or(Mode::FuncParamIn);
        let name =
            if parameter.name.is_empty() { String::new() } else { format!("{} ", quote::ident(&parameter.name)) };
        let setof = if type_name.setof { "SETOF " } else { "" };
        if mode == Mode::FuncParamTable {
            table.push(format!("{name}{setof}{}", found.parameter_sql()));
            continue;
        }
        let word = match mode {
            Mode::FuncParamOut => "OUT ",
            Mode::FuncParamInout => "INOUT ",
            Mode::FuncParamVariadic => "VARIADIC ",
            _ if statement.is_procedure => "IN ",
            _ => "",
        };
        if matches!(mode, Mode::FuncParamOut | Mode::FuncParamInout) {
            outputs.push(found.clone());
        }
        if mode != Mode::FuncParamOut {
            out.inputs.push((parameter.name.clone(), found.clone()));
        }
        let text = format!("{word}{name}{setof}{}", found.parameter_sql());
        let default = match parameter.defexpr.as_deref() {
            Some(default) => {
                let cooked = expression::cook_assigned(edit, &Scope::default(), default, &found)?;
                out.functions.extend(cooked.uses.functions());
                out.types.extend(cooked.uses.types());
                format!(" DEFAULT {}", cooked.text)
            }
            None => String::new(),
        };
        arguments.push(format!("{text}{default}"));
        identity.push(text);
    }
    out.identity = identity.join(", ");
    out.arguments = arguments.join(", ");
    out.result = match &statement.return_type {
        _ if statement.is_procedure => String::new(),
        _ if !table.is_empty() => format!("TABLE({})", table.join(", ")),
        Some(type_name) => {
            let found = data_type(edit, type_name)?;
            out.types.extend(found.user_defined());
            format!("{}{}", if type_name.setof { "SETOF " } else { "" }, found.parameter_sql())
        }
        None => match outputs.as_slice() {
            [] => "void".to_owned(),
            [only] => only.parameter_sql(),
            _ => "record".to_owned(),
        },
    };
    Ok(out)
}

/// `CREATE [OR REPLACE] FUNCTION | PROCEDURE`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &CreateFunctionStmt) -> Outcome {
    let name = names::creation_from(edit, &strings(&statement.funcname))?;
    let signature = signature(edit, statement)?;
    let attributes = definition::Attributes::of(edit, &statement.options);
    let body = match statement.sql_body.as_deref() {
        Some(body) => Some(body_uses(edit, &signature, body)?),
        None => None,
    };
    let (references, mut functions, body_types) =
        body.map(|uses| (uses.references(), uses.functions(), uses.types())).unwrap_or_default();
    functions.extend(signature.functions.iter().cloned());
    let mut types = signature.types.clone();
    types.extend(body_types);
    for list in [&mut functions, &mut types] {
        list.sort();
        list.dedup();
    }
    let language = attributes.language.clone().unwrap_or_else(|| "sql".to_owned());
    let definition =
        definition::write(&name, statement, (&signature.arguments, &signature.result), &attributes, &language);
    let mut function = Function {
        kind: if statement.is_procedure {
            'p'
        } else if attributes.window {
            'w'
        } else {
            'f'
        },
        arguments: signature.identity,
        result: signature.result,
        volatility: attributes.volatility,
        language,
        strict: attributes.strict,
        references,
        functions,
        types,
        definition,
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

/// Takes out the function that is replaced, which leaves its owner, privileges and comment behind.
fn put(edit: &mut Edit<'_>, replace: bool, function: &mut Function) -> Outcome {
    let inputs = |edit: &Edit<'_>, function: &Function| names::input_types(edit, function);
    let wanted = inputs(edit, function);
    let from = edit.functions.partition_point(|other| other.name < function.name);
    let own = edit.functions[from..].iter().take_while(|other| other.name == function.name);
    let existing = own.enumerate().find(|(_, other)| inputs(edit, other) == wanted).map(|(at, _)| from + at);
    match existing {
        Some(at) if replace => {
            let old = edit.take_function(at);
            if (old.kind == 'p') != (function.kind == 'p') || old.result != function.result {
                fail!("{}({}) cannot be replaced by one with another result", old.name, old.arguments);
            }
            function.owner = old.owner;
            function.privileges = old.privileges;
            function.comment = old.comment;
            function.extension = old.extension;
        }
        Some(_) => fail!("function {}({}) already exists", function.name, function.arguments),
        None => {
            function.privileges = privileges::initial(edit, 'f', &function.name.schema, &function.owner);
        }
    }
    Ok(())
}

/// What a body that is parsed at creation depends on.
fn body_uses(edit: &Edit<'_>, signature: &Signature, body: &Node) -> Outcome<expression::Uses> {
    let analysis = Analysis::new(edit);
    let arguments = Item {
        columns: signature
            .inputs
            .iter()
            .map(|(name, data_type)| expression::Visible {
                name: name.clone(),
                data_type: Some(data_type.clone()),
                collation: None,
                source: None,
            })
            .collect(),
        ..Item::default()
    };
    let scope = Scope { items: vec![arguments], ..Scope::default() };
    statement_uses(&analysis, &scope, body)?;
    Ok(analysis.uses.into_inner())
}

/// `ALTER FUNCTION` other than name, owner and schema.
pub(super) fn alter(edit: &mut Edit<'_>, statement: &AlterFunctionStmt) -> Outcome {
    let Some(object) = &statement.func else { fail!("the statement names no function") };
    let at = names::function(edit, object)?;
    let changes: Vec<&DefElem> = names::options(&statement.actions).collect();
    let function = edit.function_mut(at);
    if let Some(definition) = definition::altered(&function.definition, &changes) {
        function.definition = definition;
    }
    for change in changes {
        let text = names::option_text(change.arg.as_deref()).unwrap_or_default();
        match change.defname.as_str() {
            "volatility" => function.volatility = text.chars().next().unwrap_or(function.volatility),
            "strict" => function.strict = text == "true",
            _ => {}
        }
    }
    Ok(())
}
