//! Volatility of expressions, as the server sees it after it has simplified them (`eval_const_expressions` in
//! clauses.c): branches that cannot be reached and arguments that are never needed do not count, and functions
//! in SQL with a simple body count as their body.
//!
//! Whatever is not known counts as volatile.

mod constants;
mod inline;

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, BoolExpr, BoolExprType, CaseExpr, CoalesceExpr, FuncCall, Node, NullTest, NullTestType, TypeCast,
    a_const,
};

use self::constants::{STRICT, boolean_literal, is_certainly_stable, literal};
use super::Resolver;
use super::names::{Qualified, strings};
use super::resolve::Lookup;
use crate::catalog::{Function, Name, RelationKind, builtin, types};
use crate::sql::expression::operands;

/// Functions of SQL in SQL in SQL: deeper ones count as volatile.
const DEEPEST: usize = 8;

/// A value that is known before the expression is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fixed {
    #[default]
    No,
    Null,
    True,
    False,
    /// A constant other than these.
    Constant,
}

impl Fixed {
    fn of(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }

    fn is_known(self) -> bool {
        self != Self::No
    }
}

/// What evaluating an expression amounts to.
#[derive(Clone, Debug, Default)]
pub struct Evaluation<'a> {
    fixed: Fixed,
    /// Whether it has to be evaluated anew for each row.
    pub volatile: bool,
    /// Sequences that `nextval`, `setval` and `currval` name.
    pub sequences: BTreeSet<Name>,
    /// User-defined functions that run, other than those that dissolve into their body.
    pub functions: Vec<&'a Function>,
    /// A function that neither the server nor the catalog has, as the author wrote it.
    pub missing_function: Option<String>,
    /// A relation that a constant names and that is not there, as the author wrote it.
    pub missing_relation: Option<String>,
    /// Whether it certainly uses something that is not immutable.
    pub mutable: bool,
}

impl<'a> Evaluation<'a> {
    /// Names of the user-defined functions that run.
    pub fn function_names(&self) -> impl Iterator<Item = &'a Name> {
        self.functions.iter().map(|function| &function.name)
    }

    /// Whether it is the NULL constant.
    pub fn is_null(&self) -> bool {
        self.fixed == Fixed::Null
    }

    fn fixed(fixed: Fixed) -> Self {
        Self { fixed, ..Self::default() }
    }

    fn unknown() -> Self {
        Self { volatile: true, ..Self::default() }
    }

    /// Adds the effects of a part; not its value.
    fn add(&mut self, part: Self) {
        self.volatile |= part.volatile;
        self.mutable |= part.mutable;
        self.sequences.extend(part.sequences);
        for function in part.functions {
            if !self.functions.iter().any(|known| std::ptr::eq(*known, function)) {
                self.functions.push(function);
            }
        }
        if self.missing_function.is_none() {
            self.missing_function = part.missing_function;
        }
        if self.missing_relation.is_none() {
            self.missing_relation = part.missing_relation;
        }
    }

    fn of_parts(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::fixed(Fixed::Constant);
        for part in parts {
            if !part.fixed.is_known() {
                all.fixed = Fixed::No;
            }
            all.add(part);
        }
        all
    }
}

/// Evaluates an expression of the raw parse tree. Columns and parameters count as values that are there.
pub fn evaluate<'a>(expression: &Node, resolver: &Resolver<'a>) -> Evaluation<'a> {
    Evaluator { resolver, depth: 0 }.node(expression)
}

struct Evaluator<'r, 'a> {
    resolver: &'r Resolver<'a>,
    depth: usize,
}

impl<'a> Evaluator<'_, 'a> {
    fn node(&self, node: &Node) -> Evaluation<'a> {
        match node.node.as_ref() {
            Some(NodeEnum::AConst(constant)) => Evaluation::fixed(match &constant.val {
                _ if constant.isnull => Fixed::Null,
                Some(a_const::Val::Boolval(value)) => Fixed::of(value.boolval),
                _ => Fixed::Constant,
            }),
            Some(NodeEnum::ColumnRef(_) | NodeEnum::ParamRef(_)) => Evaluation::default(),
            Some(NodeEnum::SqlvalueFunction(_)) => Evaluation { mutable: true, ..Evaluation::default() },
            Some(NodeEnum::TypeCast(cast)) => self.cast(cast),
            Some(NodeEnum::CollateClause(collate)) => self.optional(collate.arg.as_deref()),
            Some(NodeEnum::NamedArgExpr(argument)) => self.optional(argument.arg.as_deref()),
            Some(NodeEnum::FuncCall(call)) => self.call(call),
            Some(NodeEnum::AExpr(operator)) => self.operator(operator),
            Some(NodeEnum::BoolExpr(boolean)) => self.boolean(boolean),
            Some(NodeEnum::CaseExpr(case)) => self.case(case),
            Some(NodeEnum::CoalesceExpr(coalesce)) => self.coalesce(coalesce),
            Some(NodeEnum::NullTest(test)) => self.null_test(test),
            _ => match operands(node) {
                Some(parts) => Evaluation::of_parts(parts.into_iter().map(|part| self.node(part))),
                None => Evaluation::unknown(),
            },
        }
    }

    fn optional(&self, node: Option<&Node>) -> Evaluation<'a> {
        node.map_or_else(Evaluation::unknown, |node| self.node(node))
    }

    /// The text form of a type may depend on settings, but is never volatile for the types the server brings.
    fn cast(&self, cast: &TypeCast) -> Evaluation<'a> {
        let mut result = self.optional(cast.arg.as_deref());
        let to_bool = cast
            .type_name
            .as_ref()
            .and_then(|name| types::resolve_type(name, self.resolver.catalog))
            .is_some_and(|to| to.name == Name::new("pg_catalog", "bool") && !to.array);
        let to_relation = cast
            .type_name
            .as_ref()
            .is_some_and(|name| name.array_bounds.is_empty() && strings(&name.names).last() == Some(&"regclass"));
        if to_relation && let Some(argument) = cast.arg.as_deref() {
            result.missing_relation = result.missing_relation.or_else(|| self.missing(argument));
        }
        if self.runs_user_function(cast) {
            result.volatile = true;
            result.fixed = Fixed::No;
        }
        if result.fixed == Fixed::Constant && to_bool {
            result.fixed = boolean_literal(cast.arg.as_deref()).map_or(Fixed::Constant, Fixed::of);
        } else if !to_bool && matches!(result.fixed, Fixed::True | Fixed::False) {
            result.fixed = Fixed::Constant;
        }
        result
    }

    /// Whether a user-defined cast with a function may be meant. Literals are read by the type itself.
    fn runs_user_function(&self, cast: &TypeCast) -> bool {
        let is_text = cast.arg.as_deref().is_some_and(|argument| {
            matches!(&argument.node, Some(NodeEnum::AConst(constant))
                if constant.isnull || matches!(constant.val, Some(a_const::Val::Sval(_))))
        });
        let catalog = self.resolver.catalog;
        let Some(to) = cast.type_name.as_ref().and_then(|name| types::resolve_type(name, catalog)) else {
            return false;
        };
        let to = types::base_type(&to, catalog);
        !is_text && catalog.casts.iter().any(|known| known.method == 'f' && known.target == to.name)
    }

    fn call(&self, call: &FuncCall) -> Evaluation<'a> {
        let arguments: Vec<Evaluation<'a>> = call.args.iter().map(|argument| self.node(argument)).collect();
        let Some(name) = Qualified::from_nodes(&call.funcname) else { return Evaluation::unknown() };
        let own = self.function(name, call, &arguments);
        let mut result = Evaluation::of_parts(arguments);
        if own.volatile || own.mutable || own.fixed == Fixed::No {
            result.fixed = Fixed::No;
        }
        result.add(own);
        result
    }

    /// The function itself, without its arguments. `Constant`: it is one if the arguments are.
    fn function(&self, name: Qualified<'_>, call: &FuncCall, arguments: &[Evaluation<'a>]) -> Evaluation<'a> {
        let catalog = self.resolver.catalog;
        let built_in = matches!(name.schema, "" | "pg_catalog")
            .then(|| builtin::function_volatility(name.name, self.resolver.major()))
            .flatten();
        let user = self.resolver.functions_named(name);
        let mut result = Evaluation::fixed(Fixed::Constant);
        if built_in.is_none() && !inline::is_callable(&user, call.args.len()) {
            let is_type = types::parse_type(&name.sql(), catalog).is_some();
            result.volatile = true;
            result.missing_function = (!is_type).then(|| name.shown());
            return result;
        }
        if let Some(volatility) = built_in {
            let volatility = if name.name == "timezone" { self.timezone(call) } else { volatility };
            result.volatile = volatility == 'v';
            // Only one overload of `timezone` is volatile, and none after 14.
            result.mutable =
                volatility == 'v' && name.name != "timezone" || is_certainly_stable(name.name, call.args.len());
            if volatility != 'i' {
                result.fixed = Fixed::No;
            }
            if matches!(name.name, "nextval" | "setval" | "currval") {
                result.missing_relation = call.args.first().and_then(|argument| self.missing(argument));
                match call.args.first().and_then(|argument| self.sequence(argument)) {
                    Some(sequence) => result.sequences.extend(sequence),
                    // It may be any of them.
                    None => result.sequences.extend(self.all_sequences()),
                }
            }
        }
        let matching = inline::matching(&user, call.args.len());
        for function in matching {
            result.add(self.user_function(function, call, arguments));
            result.fixed = Fixed::No;
        }
        result
    }

    fn user_function(&self, function: &'a Function, call: &FuncCall, arguments: &[Evaluation<'a>]) -> Evaluation<'a> {
        if self.depth < DEEPEST
            && let Some(body) = inline::simple_body(function)
            && inline::dissolves(function, &body, call, |index| {
                arguments.get(index).is_some_and(|argument| argument.fixed.is_known())
            })
        {
            let inside = Evaluator { resolver: self.resolver, depth: self.depth + 1 }.node(&body);
            let keeps_promise = match function.volatility {
                'v' => true,
                's' => !inside.volatile,
                _ => !inside.volatile && !inside.mutable,
            };
            if keeps_promise {
                return inside;
            }
        }
        Evaluation {
            volatile: function.volatility == 'v',
            mutable: function.volatility != 'i',
            functions: vec![function],
            ..Evaluation::default()
        }
    }

    /// Up to 14 one overload of `timezone` is volatile: that for `time with time zone`.
    fn timezone(&self, call: &FuncCall) -> char {
        let value = call.args.last().and_then(|argument| argument.node.as_ref());
        if self.resolver.major() > 14 || value.is_some_and(|value| self.is_timestamp(value)) { 's' } else { 'v' }
    }

    /// Whether the expression is certainly a timestamp of either kind.
    fn is_timestamp(&self, node: &NodeEnum) -> bool {
        use pg_query::protobuf::SqlValueFunctionOp as Op;
        let inside =
            |node: Option<&Node>| node.and_then(|node| node.node.as_ref()).is_some_and(|node| self.is_timestamp(node));
        match node {
            NodeEnum::SqlvalueFunction(function) => matches!(
                function.op(),
                Op::SvfopCurrentTimestamp
                    | Op::SvfopCurrentTimestampN
                    | Op::SvfopLocaltimestamp
                    | Op::SvfopLocaltimestampN
            ),
            NodeEnum::TypeCast(cast) => cast.type_name.as_ref().is_some_and(|name| {
                types::resolve_type(name, self.resolver.catalog)
                    .is_some_and(|to| matches!(to.name.name.as_str(), "timestamp" | "timestamptz"))
            }),
            NodeEnum::FuncCall(call) => matches!(
                strings(&call.funcname).last(),
                Some(&"now" | &"clock_timestamp" | &"statement_timestamp" | &"transaction_timestamp" | &"to_timestamp")
            ),
            NodeEnum::AExpr(operator) => inside(operator.lexpr.as_deref()) || inside(operator.rexpr.as_deref()),
            _ => false,
        }
    }

    /// What a constant names as a relation when there is none of that name; numbers are oids.
    fn missing(&self, argument: &Node) -> Option<String> {
        let NodeEnum::AConst(constant) = argument.node.as_ref()? else { return None };
        let a_const::Val::Sval(text) = constant.val.as_ref()? else { return None };
        let is_oid = text.sval.bytes().all(|byte| byte.is_ascii_digit()) || text.sval == "-";
        let missing = !is_oid && matches!(self.lookup(&text.sval)?, Lookup::Missing);
        missing.then(|| text.sval.clone())
    }

    fn lookup(&self, text: &str) -> Option<Lookup<'a>> {
        let parsed = crate::sql::parse::tree(&format!("TABLE {text}")).ok()?;
        let select = parsed.stmts.into_iter().next()?.stmt?.node?;
        let NodeEnum::SelectStmt(select) = select else { return None };
        match select.from_clause.first()?.node.as_ref()? {
            NodeEnum::RangeVar(name) => Some(self.resolver.lookup(name)),
            _ => None,
        }
    }

    /// The sequence that a constant names: none when it is not in the catalog. `None`: not a constant.
    fn sequence(&self, argument: &Node) -> Option<Option<Name>> {
        let text = match argument.node.as_ref()? {
            NodeEnum::TypeCast(cast) => return self.sequence(cast.arg.as_deref()?),
            NodeEnum::AConst(constant) => match constant.val.as_ref()? {
                a_const::Val::Sval(text) => &text.sval,
                _ => return None,
            },
            _ => return None,
        };
        Some(match self.lookup(text)? {
            Lookup::Found(sequence) => Some(sequence.name.clone()),
            Lookup::System | Lookup::Missing => None,
        })
    }

    fn all_sequences(&self) -> impl Iterator<Item = Name> {
        let relations = self.resolver.catalog.relations.iter();
        relations.filter(|(_, relation)| relation.kind == RelationKind::Sequence).map(|(name, _)| name.clone())
    }

    fn operator(&self, operator: &AExpr) -> Evaluation<'a> {
        let sides = operator.lexpr.as_deref().into_iter().chain(operator.rexpr.as_deref());
        let parts: Vec<Evaluation<'a>> = sides.map(|side| self.node(side)).collect();
        let names = strings(&operator.name);
        let symbol = names.last().copied().unwrap_or_default();
        let plain = operator.kind() == AExprKind::AexprOp;
        // Arithmetic and comparison of the server are strict: with NULL the result is, and nothing is called.
        if plain && STRICT.contains(&symbol) && parts.iter().any(Evaluation::is_null) {
            return Evaluation::fixed(Fixed::Null);
        }
        let mut result = Evaluation::of_parts(parts);
        if matches!(result.fixed, Fixed::True | Fixed::False) {
            result.fixed = Fixed::Constant;
        }
        let qualified = names.len() > 1 && names.first() != Some(&"pg_catalog");
        let known = builtin::operators(symbol, self.resolver.major()).next().is_some() || symbol == "!=";
        // The symbols of LIKE and its kin, BETWEEN and so on are the server's own.
        result.volatile |= qualified || (plain && !known);
        result
    }

    fn boolean(&self, boolean: &BoolExpr) -> Evaluation<'a> {
        let mut parts = boolean.args.iter().map(|argument| self.node(argument));
        let (decides, neutral) = match boolean.boolop() {
            BoolExprType::AndExpr => (Fixed::False, Fixed::True),
            BoolExprType::OrExpr => (Fixed::True, Fixed::False),
            _ => {
                let mut result = parts.next().unwrap_or_else(Evaluation::unknown);
                result.fixed = match result.fixed {
                    Fixed::True => Fixed::False,
                    Fixed::False => Fixed::True,
                    other => other,
                };
                return result;
            }
        };
        let parts: Vec<Evaluation<'a>> = parts.filter(|part| part.fixed != neutral).collect();
        if parts.iter().any(|part| part.fixed == decides) {
            return Evaluation::fixed(decides);
        }
        match <[Evaluation<'a>; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) if parts.is_empty() => Evaluation::fixed(neutral),
            Err(parts) => Evaluation::of_parts(parts),
        }
    }

    fn case(&self, case: &CaseExpr) -> Evaluation<'a> {
        let mut all = self.case_parts(case);
        match all.len() {
            1 => all.swap_remove(0),
            _ => {
                let mut result = Evaluation::of_parts(all);
                result.fixed = Fixed::No;
                result
            }
        }
    }

    /// Conditions and results that can be reached; a single one is the value.
    fn case_parts(&self, case: &CaseExpr) -> Vec<Evaluation<'a>> {
        let known = case.arg.as_deref().and_then(literal);
        let simple = case.arg.is_none() || known.is_some();
        let argument = case.arg.as_deref().filter(|_| known.is_none());
        let mut parts: Vec<Evaluation<'a>> = argument.iter().map(|argument| self.node(argument)).collect();
        for when in &case.args {
            let Some(NodeEnum::CaseWhen(when)) = when.node.as_ref() else {
                return vec![Evaluation::unknown()];
            };
            let mut condition = self.optional(when.expr.as_deref());
            if let Some(known) = &known {
                condition.fixed = match when.expr.as_deref().and_then(literal) {
                    Some(other) => Fixed::of(*known == other),
                    None => Fixed::No,
                };
            }
            let result = self.optional(when.result.as_deref());
            match condition.fixed {
                Fixed::False | Fixed::Null if simple => continue,
                Fixed::True if simple => {
                    parts.push(result);
                    return parts;
                }
                _ => parts.extend([condition, result]),
            }
        }
        parts.push(case.defresult.as_deref().map_or_else(|| Evaluation::fixed(Fixed::Null), |node| self.node(node)));
        parts
    }

    fn coalesce(&self, coalesce: &CoalesceExpr) -> Evaluation<'a> {
        let mut parts = Vec::new();
        for argument in &coalesce.args {
            let part = self.node(argument);
            if part.is_null() {
                continue;
            }
            let last = part.fixed.is_known();
            parts.push(part);
            if last {
                break;
            }
        }
        match <[Evaluation<'a>; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) if parts.is_empty() => Evaluation::fixed(Fixed::Null),
            Err(parts) => Evaluation::of_parts(parts),
        }
    }

    fn null_test(&self, test: &NullTest) -> Evaluation<'a> {
        let mut result = self.optional(test.arg.as_deref());
        result.fixed = match result.fixed {
            Fixed::No => Fixed::No,
            fixed => Fixed::of((fixed == Fixed::Null) == (test.nulltesttype() == NullTestType::IsNull)),
        };
        result
    }
}
