//! Which operator or function a name and argument types stand for (`func_select_candidate` in parse_func.c).

use std::collections::HashMap;

use pg_query::protobuf::{CreateFunctionStmt, FunctionParameterMode, node};

use super::type_name;
use super::types::{self, Type};
use super::volatility;
use crate::catalog::{Catalog, Function, Name, builtin};

/// An operator found.
#[derive(Clone, Debug)]
pub(super) struct OperatorMatch {
    /// Declared operand types, polymorphic ones made concrete; none for the left of a prefix operator.
    pub(super) left: Option<Type>,
    pub(super) right: Type,
    pub(super) result: Type,
    /// Whether the result depends on more than the operands.
    pub(super) mutable: bool,
}

/// A function found.
#[derive(Clone, Debug)]
pub(super) struct FunctionMatch {
    /// Declared types, one per argument given.
    pub(super) arguments: Vec<Type>,
    pub(super) result: Option<Type>,
    /// Set for user-defined functions.
    pub(super) user_defined: Option<Name>,
    /// Whether the result of a built-in one depends on more than the arguments.
    pub(super) mutable: bool,
    /// Output columns, where it has any.
    pub(super) outputs: Vec<(String, Option<Type>)>,
}

/// Candidate parameters for as many arguments as were given.
type Parameters = Vec<String>;

/// The operator of that name for the operands' types.
pub(super) fn operator(catalog: &Catalog, name: &str, left: Option<&Type>, right: &Type) -> Option<OperatorMatch> {
    let candidates: Vec<_> = builtin::operators(name, catalog.server.major())
        .filter(|candidate| candidate.left.is_empty() == left.is_none())
        .collect();
    let parameters: Vec<Parameters> = candidates
        .iter()
        .map(|candidate| match left {
            Some(_) => vec![candidate.left.to_owned(), candidate.right.to_owned()],
            None => vec![candidate.right.to_owned()],
        })
        .collect();
    let actual: Vec<Type> = left.into_iter().chain([right]).cloned().collect();
    let chosen = exact_operator(catalog, &parameters, &actual).or_else(|| select(catalog, &parameters, &actual))?;
    let declared = concrete(catalog, &parameters[chosen], &actual)?;
    let result = result_type(candidates[chosen].result, &parameters[chosen], &declared)?;
    let mutable = candidates[chosen].volatility != 'i' && depends(catalog, &parameters[chosen], &actual);
    let mut operands = declared.types.into_iter();
    let left = match left {
        Some(_) => operands.next(),
        None => None,
    };
    Some(OperatorMatch { left, right: operands.next()?, result, mutable })
}

/// Whether a built-in function or operator that is not marked immutable depends on more than its arguments. Those of any
/// type (`||`, `quote_literal`) are SQL that the server puts in their place: a cast to text and an immutable function.
fn depends(catalog: &Catalog, parameters: &[String], actual: &[Type]) -> bool {
    match parameters.iter().position(|parameter| matches!(parameter.as_str(), "anynonarray" | "anyelement")) {
        Some(at) => actual.get(at).is_none_or(|of| volatility::text_is_mutable(catalog, of)),
        None => true,
    }
}

/// `binary_oper_exact`: an unknown operand counts as the type of the other, then as the type under its domain.
fn exact_operator(catalog: &Catalog, parameters: &[Parameters], actual: &[Type]) -> Option<usize> {
    let find = |wanted: &[String]| parameters.iter().position(|candidate| candidate == wanted);
    match actual {
        [left, right] => {
            let (mut left, mut right) = (left.id.clone(), right.id.clone());
            let mut was_unknown = false;
            if left == "unknown" && right != "unknown" {
                left.clone_from(&right);
                was_unknown = true;
            } else if right == "unknown" && left != "unknown" {
                right.clone_from(&left);
                was_unknown = true;
            }
            find(&[left.clone(), right]).or_else(|| {
                let base = Type::named(&*left).base(catalog).id;
                (was_unknown && base != left).then(|| find(&[base.clone(), base])).flatten()
            })
        }
        [right] => find(std::slice::from_ref(&right.id)),
        _ => None,
    }
}

/// The function of that name for the arguments' types. `schema` is empty for the search path.
pub(super) fn function(catalog: &Catalog, schema: &str, name: &str, actual: &[Type]) -> Option<FunctionMatch> {
    let mut parameters: Vec<Parameters> = Vec::new();
    let mut found: Vec<Found> = Vec::new();
    if schema.is_empty() || schema == "pg_catalog" {
        for candidate in builtin::signatures(name, catalog.server.major()) {
            let declared: Parameters = candidate.arguments.iter().map(|&argument| argument.to_owned()).collect();
            if let Some(declared) = fit(declared, actual.len(), candidate.defaults, candidate.variadic) {
                parameters.push(declared);
                found.push(Found::BuiltIn(candidate));
            }
        }
    }
    for (function, signature) in user_functions(catalog, schema, name) {
        let Signature { parameters: declared, defaults, variadic, outputs } = signature;
        let hidden = |declared: &Parameters| parameters.iter().any(|other| other == declared);
        if let Some(declared) = fit(declared, actual.len(), defaults, variadic).filter(|declared| !hidden(declared)) {
            parameters.push(declared);
            found.push(Found::User(function, outputs));
        }
    }
    let exact = parameters.iter().position(|declared| declared.iter().zip(actual).all(|(d, a)| *d == a.id));
    let chosen = exact.or_else(|| select(catalog, &parameters, actual))?;
    let declared = concrete(catalog, &parameters[chosen], actual)?;
    match found.swap_remove(chosen) {
        Found::BuiltIn(function) => {
            let result = result_type(function.result, &parameters[chosen], &declared);
            let outputs = function
                .outputs
                .iter()
                .map(|(name, output)| ((*name).to_owned(), result_type(output, &parameters[chosen], &declared)))
                .collect();
            let mutable = function.volatility != 'i' && depends(catalog, &parameters[chosen], actual);
            Some(FunctionMatch { arguments: declared.types, result, user_defined: None, mutable, outputs })
        }
        Found::User(function, outputs) => {
            let result =
                result_of(catalog, function).and_then(|result| result_type(&result.id, &parameters[chosen], &declared));
            let user_defined = Some(function.name.clone());
            Some(FunctionMatch { arguments: declared.types, result, user_defined, mutable: false, outputs })
        }
    }
}

enum Found<'a> {
    BuiltIn(&'static builtin::BuiltinSignature),
    User(&'a Function, Vec<(String, Option<Type>)>),
}

/// The parameters for `count` arguments: defaults left out, the variadic one repeated.
fn fit(mut declared: Parameters, count: usize, defaults: usize, variadic: bool) -> Option<Parameters> {
    if variadic && count >= declared.len() {
        let last = declared.pop()?;
        let element = match last.as_str() {
            "anyarray" => "anyelement".to_owned(),
            "anycompatiblearray" => "anycompatible".to_owned(),
            other => other.trim_end_matches("[]").to_owned(),
        };
        declared.resize(count, element);
        return Some(declared);
    }
    if count > declared.len() || count + defaults < declared.len() {
        return None;
    }
    declared.truncate(count);
    Some(declared)
}

/// What a user-defined function takes.
pub(crate) struct Signature {
    /// Types of the input arguments.
    pub(crate) parameters: Vec<String>,
    /// How many of them have a default.
    pub(crate) defaults: usize,
    /// The last is variadic.
    pub(crate) variadic: bool,
    /// Output columns.
    pub(crate) outputs: Vec<(String, Option<Type>)>,
}

/// Functions of that name that the search path (or the schema) reaches.
fn user_functions<'a>(catalog: &'a Catalog, schema: &'a str, name: &str) -> Vec<(&'a Function, Signature)> {
    let path = catalog.server.search_path.iter().map(String::as_str);
    let schemas: Vec<&str> = if schema.is_empty() { path.collect() } else { vec![schema] };
    let mut out = Vec::new();
    for schema in schemas {
        let wanted = Name::new(schema, name);
        let from = catalog.functions.partition_point(|function| function.name < wanted);
        for function in catalog.functions[from..].iter().take_while(|function| function.name == wanted) {
            if let Some(signature) = signature(catalog, function) {
                out.push((function, signature));
            }
        }
    }
    out
}

/// The signature, read from the definition or, where there is none, from the identity arguments.
pub(crate) fn signature(catalog: &Catalog, function: &Function) -> Option<Signature> {
    let text = if function.definition.is_empty() {
        format!("CREATE FUNCTION f({}) RETURNS void LANGUAGE sql AS ''", function.arguments)
    } else {
        function.definition.clone()
    };
    let parsed = crate::sql::parse(&text).ok()?.into_iter().next()?;
    let node::Node::CreateFunctionStmt(statement) = parsed.node else { return None };
    Some(signature_of(catalog, &statement))
}

/// The signature of a statement that creates a function. Types that are not in the catalog are left as spelled.
pub(crate) fn signature_of(catalog: &Catalog, statement: &CreateFunctionStmt) -> Signature {
    let mut signature = Signature { parameters: Vec::new(), defaults: 0, variadic: false, outputs: Vec::new() };
    for node in &statement.parameters {
        let Some(node::Node::FunctionParameter(parameter)) = &node.node else { continue };
        let found = parameter.arg_type.as_ref().and_then(|arg_type| type_name::resolve(catalog, arg_type));
        let mode = FunctionParameterMode::try_from(parameter.mode).unwrap_or(FunctionParameterMode::FuncParamIn);
        use FunctionParameterMode as Mode;
        if matches!(mode, Mode::FuncParamOut | Mode::FuncParamInout | Mode::FuncParamTable) {
            signature.outputs.push((parameter.name.clone(), found.clone()));
        }
        if matches!(mode, Mode::FuncParamOut | Mode::FuncParamTable) {
            continue;
        }
        let spelled = parameter.arg_type.as_ref().map(type_name::spelled).unwrap_or_default();
        signature.parameters.push(found.map_or(spelled, |found| found.id));
        signature.defaults += usize::from(parameter.defexpr.is_some());
        signature.variadic |= mode == Mode::FuncParamVariadic;
    }
    signature
}

/// The result type of a user-defined function; `None` for tables, records and what cannot be read.
fn result_of(catalog: &Catalog, function: &Function) -> Option<Type> {
    let result = function.result.strip_prefix("SETOF ").unwrap_or(&function.result);
    parse_type(catalog, result)
}

/// The type that `format_type` printed so.
pub(crate) fn parse_type(catalog: &Catalog, sql: &str) -> Option<Type> {
    crate::catalog::types::parse_type(sql, catalog).map(|found| Type::of(&found))
}

/// Parameters with polymorphic types made concrete.
struct Concrete {
    types: Vec<Type>,
    /// What `anyelement` and `anycompatible` stand for.
    element: HashMap<&'static str, Type>,
}

fn family(parameter: &str) -> &'static str {
    if parameter.starts_with("anycompatible") { "anycompatible" } else { "anyelement" }
}

/// `None` when the arguments do not agree on a type.
fn concrete(catalog: &Catalog, parameters: &[String], actual: &[Type]) -> Option<Concrete> {
    let mut element: HashMap<&'static str, Type> = HashMap::new();
    for (parameter, argument) in parameters.iter().zip(actual) {
        if !types::is_polymorphic(parameter) || argument.is_unknown() {
            continue;
        }
        let base = argument.base(catalog);
        let of = if is_array_of(parameter) {
            base.element()?.without_modifier()
        } else if parameter.ends_with("range") {
            base.clone()
        } else {
            argument.without_modifier()
        };
        let known = element.entry(family(parameter)).or_insert_with(|| of.clone());
        if known.id != of.id {
            // `anycompatible` takes the wider of the two.
            if family(parameter) == "anyelement" {
                return None;
            }
            if types::pathway(catalog, known, &of, 'i').is_some() {
                *known = of;
            } else {
                types::pathway(catalog, &of, known, 'i')?;
            }
        }
    }
    let types = parameters
        .iter()
        .zip(actual)
        .map(|(parameter, argument)| {
            if !types::is_polymorphic(parameter) {
                return Type::named(parameter.as_str());
            }
            match element.get(family(parameter)) {
                Some(of) if is_array_of(parameter) => of.array_of(),
                Some(of) => of.clone(),
                None => argument.without_modifier(),
            }
        })
        .collect();
    Some(Concrete { types, element })
}

/// Whether a polymorphic parameter takes arrays of its family's type.
fn is_array_of(parameter: &str) -> bool {
    parameter.ends_with("array") && parameter != "anynonarray"
}

fn result_type(result: &str, parameters: &[String], concrete: &Concrete) -> Option<Type> {
    if !types::is_polymorphic(result) {
        return Some(Type::named(result));
    }
    let of = concrete.element.get(family(result)).cloned().or_else(|| {
        // Only unknown literals were given: they count as text.
        parameters.iter().any(|parameter| types::is_polymorphic(parameter)).then(|| Type::named("text"))
    })?;
    Some(if result.ends_with("array") { of.array_of() } else { of })
}

/// `func_match_argtypes` and `func_select_candidate`: the index of the best candidate, `None` when there is none
/// or no single best one.
fn select(catalog: &Catalog, parameters: &[Parameters], actual: &[Type]) -> Option<usize> {
    let mut left: Vec<usize> = (0..parameters.len())
        .filter(|&at| {
            parameters[at].len() == actual.len()
                && parameters[at].iter().zip(actual).all(|(p, a)| types::accepts(catalog, p, a))
                && concrete(catalog, &parameters[at], actual).is_some()
        })
        .collect();
    if left.len() <= 1 {
        return left.pop();
    }
    let bases: Vec<Type> = actual
        .iter()
        .map(|argument| if argument.is_unknown() { argument.clone() } else { argument.base(catalog) })
        .collect();
    let known = || bases.iter().enumerate().filter(|(_, base)| !base.is_unknown());
    keep_best(&mut left, |at| known().filter(|(i, base)| parameters[at][*i] == base.id).count());
    if let [only] = left[..] {
        return Some(only);
    }
    let categories: Vec<char> = bases.iter().map(|base| base.category(catalog)).collect();
    keep_best(&mut left, |at| {
        known()
            .filter(|(i, base)| {
                let parameter = Type::named(parameters[at][*i].as_str());
                parameter.id == base.id || (parameter.is_preferred() && parameter.category(catalog) == categories[*i])
            })
            .count()
    });
    if let [only] = left[..] {
        return Some(only);
    }
    let unknowns: Vec<usize> = (0..bases.len()).filter(|&i| bases[i].is_unknown()).collect();
    if unknowns.is_empty() {
        return None;
    }
    if let Some(only) = by_category(catalog, parameters, &mut left, &unknowns) {
        return Some(only);
    }
    // Last resort: all known arguments have one type, and the unknown ones are taken for it.
    let first = known().next().map(|(_, base)| base.clone())?;
    if known().any(|(_, base)| base.id != first.id) {
        return None;
    }
    let mut accepting =
        left.iter().filter(|&&at| parameters[at].iter().all(|parameter| types::accepts(catalog, parameter, &first)));
    let only = accepting.next()?;
    accepting.next().is_none().then_some(*only)
}

/// Resolves unknown arguments by type category, strings first.
fn by_category(
    catalog: &Catalog,
    parameters: &[Parameters],
    left: &mut Vec<usize>,
    unknowns: &[usize],
) -> Option<usize> {
    let mut wanted: Vec<(usize, char, bool)> = Vec::new();
    for &i in unknowns {
        let facts: Vec<(char, bool)> = left
            .iter()
            .map(|&at| Type::named(parameters[at][i].as_str()))
            .map(|parameter| (parameter.category(catalog), parameter.is_preferred()))
            .collect();
        let category = if facts.iter().any(|(category, _)| *category == 'S') {
            'S'
        } else {
            let first = facts.first()?.0;
            facts.iter().all(|(category, _)| *category == first).then_some(first)?
        };
        wanted.push((i, category, facts.iter().any(|(own, preferred)| *own == category && *preferred)));
    }
    let fits = |at: usize| {
        wanted.iter().all(|(i, category, preferred)| {
            let parameter = Type::named(parameters[at][*i].as_str());
            parameter.category(catalog) == *category && (!preferred || parameter.is_preferred())
        })
    };
    if left.iter().any(|&at| fits(at)) {
        left.retain(|&at| fits(at));
    }
    match left[..] {
        [only] => Some(only),
        _ => None,
    }
}

fn keep_best(left: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    let best = left.iter().map(|&at| score(at)).max().unwrap_or(0);
    left.retain(|&at| score(at) == best);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, left: &str, right: &str) -> Option<(String, String, String)> {
        let catalog = Catalog::of_version(180_000);
        let found = operator(&catalog, name, Some(&Type::named(left)), &Type::named(right))?;
        Some((found.left?.id, found.right.id, found.result.id))
    }

    #[test]
    fn operators_are_chosen_as_the_server_does() {
        let expect = |name, left, right, wanted: [&str; 3]| {
            let [a, b, c] = wanted.map(String::from);
            assert_eq!(result(name, left, right), Some((a, b, c)), "{left} {name} {right}");
        };
        expect("=", "varchar", "unknown", ["text", "text", "bool"]);
        expect("=", "int8", "int4", ["int8", "int4", "bool"]);
        expect(">", "numeric", "int4", ["numeric", "numeric", "bool"]);
        expect("->>", "jsonb", "unknown", ["jsonb", "text", "text"]);
        expect("-", "timestamptz", "interval", ["timestamptz", "interval", "timestamptz"]);
        expect("=", "int4[]", "unknown", ["int4[]", "int4[]", "bool"]);
        expect("<", "date", "timestamptz", ["date", "timestamptz", "bool"]);
    }

    #[test]
    fn functions_are_chosen_as_the_server_does() {
        let catalog = Catalog::of_version(180_000);
        let find = |name: &str, actual: &[&str]| {
            let actual: Vec<Type> = actual.iter().map(|id| Type::named(*id)).collect();
            function(&catalog, "", name, &actual).map(|found| {
                let arguments: Vec<String> = found.arguments.into_iter().map(|argument| argument.id).collect();
                (arguments.join(","), found.result.map(|result| result.id).unwrap_or_default())
            })
        };
        assert_eq!(find("lower", &["varchar"]), Some(("text".into(), "text".into())));
        assert_eq!(
            find("date_trunc", &["unknown", "timestamptz"]),
            Some(("text,timestamptz".into(), "timestamptz".into()))
        );
        assert_eq!(find("array_length", &["int4[]", "int4"]), Some(("int4[],int4".into(), "int4".into())));
        assert_eq!(find("nextval", &["unknown"]), Some(("regclass".into(), "int8".into())));
        assert_eq!(find("round", &["numeric", "int4"]), Some(("numeric,int4".into(), "numeric".into())));
        assert_eq!(find("no_such", &["int4"]), None);
    }
}
