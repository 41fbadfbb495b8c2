//! Functions in SQL that the server replaces by their body (`inline_function` in clauses.c).

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateFunctionStmt, DefElem, FuncCall, Node, SelectStmt};

use crate::catalog::Function;
use crate::sql::expression::operands;

/// The overloads that a call with that many arguments may mean: those that have as many or more (the rest may
/// have defaults), those that take any number; all when none fits.
pub(super) fn matching<'a>(overloads: &[&'a Function], arguments: usize) -> Vec<&'a Function> {
    let fits = |function: &&&Function| {
        parameters(function) == arguments
            || (parameters(function) > arguments && function.arguments.contains("DEFAULT"))
            || function.arguments.contains("VARIADIC")
    };
    let exact: Vec<&Function> = overloads.iter().filter(fits).copied().collect();
    if exact.is_empty() { overloads.to_vec() } else { exact }
}

/// Whether a call with that many arguments can mean one of the overloads.
pub(super) fn is_callable(overloads: &[&Function], arguments: usize) -> bool {
    overloads.iter().any(|function| {
        let declared = parameters(function);
        // Defaults are in the definition only; what is returned through parameters is not given.
        let varies = ["VARIADIC", "OUT "].into_iter().any(|word| function.arguments.contains(word));
        let defaults = function.definition.is_empty() || function.definition.contains(" DEFAULT ");
        declared == arguments || varies || (defaults && declared > arguments)
    })
}

/// Number of parameters in a printed list: commas outside parentheses and quotes.
fn parameters(function: &Function) -> usize {
    let text = function.arguments.trim();
    if text.is_empty() {
        return 0;
    }
    let (mut depth, mut quoted, mut count) = (0i32, false, 1);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => count += 1,
            _ => {}
        }
    }
    count
}

/// The expression of a body that is a single `SELECT expression` or `RETURN expression`, when nothing in the
/// definition keeps the server from taking the function apart.
pub(super) fn simple_body(function: &Function) -> Option<Node> {
    if function.language != "sql" || function.kind != 'f' || function.result.starts_with("SETOF") {
        return None;
    }
    let parsed = crate::sql::parse::tree(&function.definition).ok()?;
    let statement = parsed.stmts.into_iter().next()?.stmt?.node?;
    let NodeEnum::CreateFunctionStmt(create) = statement else { return None };
    const HARMLESS: &[&str] = &["language", "as", "volatility", "strict", "parallel", "cost", "leakproof"];
    if !options(&create).all(|option| HARMLESS.contains(&option.defname.as_str())) {
        return None;
    }
    match create.sql_body {
        Some(body) => body_expression(body.node?),
        None => {
            let text = options(&create).find(|option| option.defname == "as").and_then(text_of)?;
            let parsed = crate::sql::parse::tree(text).ok()?;
            let [only] = <[_; 1]>::try_from(parsed.stmts).ok()?;
            body_expression(only.stmt?.node?)
        }
    }
}

fn options(create: &CreateFunctionStmt) -> impl Iterator<Item = &DefElem> {
    create.options.iter().filter_map(|option| match option.node.as_ref()? {
        NodeEnum::DefElem(option) => Some(&**option),
        _ => None,
    })
}

fn text_of(option: &DefElem) -> Option<&str> {
    let NodeEnum::List(list) = option.arg.as_ref()?.node.as_ref()? else { return None };
    match list.items.first()?.node.as_ref()? {
        NodeEnum::String(text) => Some(&text.sval),
        _ => None,
    }
}

fn body_expression(body: NodeEnum) -> Option<Node> {
    match body {
        NodeEnum::ReturnStmt(body) => body.returnval.map(|value| *value),
        NodeEnum::List(list) => {
            let [only] = <[Node; 1]>::try_from(list.items).ok()?;
            body_expression(only.node?)
        }
        NodeEnum::SelectStmt(mut select) => {
            let [target] = <[Node; 1]>::try_from(std::mem::take(&mut select.target_list)).ok()?;
            let rest = SelectStmt { limit_option: select.limit_option, op: select.op, ..SelectStmt::default() };
            let NodeEnum::ResTarget(target) = target.node? else { return None };
            target.val.filter(|_| *select == rest).map(|value| *value)
        }
        _ => None,
    }
}

/// Whether the call dissolves into the body: no argument is used twice unless it is known beforehand, and a
/// strict function's body is a bare parameter (the one body that is certainly strict).
pub(super) fn dissolves(function: &Function, body: &Node, call: &FuncCall, is_known: impl Fn(usize) -> bool) -> bool {
    if function.strict && !call.args.is_empty() {
        return matches!(body.node.as_ref(), Some(NodeEnum::ParamRef(_)));
    }
    let Some(uses) = parameter_uses(body, call.args.len()) else { return false };
    uses.iter().enumerate().all(|(index, uses)| *uses < 2 || is_known(index))
}

/// How often each parameter is used; `None` when that cannot be told. Parameters by name count for all.
fn parameter_uses(body: &Node, arguments: usize) -> Option<Vec<usize>> {
    let mut uses = vec![0; arguments];
    let mut pending = vec![body];
    while let Some(node) = pending.pop() {
        match node.node.as_ref()? {
            NodeEnum::ParamRef(parameter) => {
                let index = usize::try_from(parameter.number).ok()?.checked_sub(1)?;
                *uses.get_mut(index)? += 1;
            }
            NodeEnum::ColumnRef(_) => uses.iter_mut().for_each(|uses| *uses += 1),
            _ => pending.extend(operands(node)?),
        }
    }
    Some(uses)
}
