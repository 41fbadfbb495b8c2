//! What the conditions of a query say about the columns of its relations.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AExprKind, BoolExprType, ColumnRef, Node, NullTestType};

use super::from::{Level, Source};
use super::literal::Literal;
use super::partitions::Allowed;
use crate::plan::analyze::names::{string, strings};
use crate::plan::analyze::walk::{self, Parts};

/// A column of one of a query's relations: position of the relation, name.
pub(super) type Column = (usize, String);

/// Something a condition says, joined to the others by AND.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact {
    /// The column equals a value; the constant, where it is one.
    Equals(Column, Option<Literal>),
    /// Two columns are equal.
    Same(Column, Column),
    /// The column is one of these constants.
    OneOf(Column, Vec<Literal>),
    /// The column compares so (`<`, `<=`, `>`, `>=`) with a constant.
    Compares(Column, String, Literal),
    /// The column is NULL.
    IsNull(Column),
    /// The condition is never true.
    Never,
    /// Nothing that rules use.
    Other,
}

/// A fact and the relations it restricts (all, unless it comes from an outer join).
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub fact: Fact,
    pub only: Option<BTreeSet<usize>>,
}

impl Condition {
    fn restricts(&self, member: usize) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&member))
    }
}

/// Name of a plain operator.
pub(super) fn operator(expression: &AExpr) -> Option<&str> {
    strings(&expression.name).last().copied()
}

/// Splits a condition at its ANDs and reads each part.
pub(super) fn facts(node: &NodeEnum, level: &Level<'_>, values: &dyn Fn(&ColumnRef) -> bool) -> Vec<Fact> {
    match node {
        NodeEnum::BoolExpr(e) if e.boolop == BoolExprType::AndExpr as i32 => {
            e.args.iter().filter_map(|arg| arg.node.as_ref()).flat_map(|arg| facts(arg, level, values)).collect()
        }
        NodeEnum::BoolExpr(e) if e.boolop == BoolExprType::OrExpr as i32 => {
            vec![one_of(&e.args, level, values).unwrap_or(Fact::Other)]
        }
        NodeEnum::AConst(_) | NodeEnum::TypeCast(_) => match Literal::of(node) {
            Some(Literal::Boolean(false) | Literal::Null) => vec![Fact::Never],
            Some(Literal::Boolean(true)) => Vec::new(),
            _ => vec![Fact::Other],
        },
        NodeEnum::AExpr(e) => comparison(e, level, values),
        NodeEnum::NullTest(test) if test.nulltesttype() == NullTestType::IsNull => {
            let tested = test.arg.as_ref().and_then(|arg| column(arg.node.as_ref()?, level));
            vec![tested.map_or(Fact::Other, Fact::IsNull)]
        }
        _ => vec![Fact::Other],
    }
}

/// `c = 1 OR c = 2 OR c IN (3, 4)`: one of the constants.
fn one_of(args: &[Node], level: &Level<'_>, values: &dyn Fn(&ColumnRef) -> bool) -> Option<Fact> {
    let mut all: Option<(Column, Vec<Literal>)> = None;
    for arg in args.iter().filter_map(|arg| arg.node.as_ref()) {
        let (column, constants) = match facts(arg, level, values).as_slice() {
            [Fact::Equals(column, Some(literal))] => (column.clone(), vec![literal.clone()]),
            [Fact::OneOf(column, literals)] => (column.clone(), literals.clone()),
            _ => return None,
        };
        match &mut all {
            None => all = Some((column, constants)),
            Some((known, list)) if *known == column => list.extend(constants),
            Some(_) => return None,
        }
    }
    all.map(|(column, constants)| Fact::OneOf(column, constants))
}

fn comparison(e: &AExpr, level: &Level<'_>, values: &dyn Fn(&ColumnRef) -> bool) -> Vec<Fact> {
    let (Some(left), Some(right)) = (operand(&e.lexpr), operand(&e.rexpr)) else { return vec![Fact::Other] };
    let left_column = column(left, level);
    match AExprKind::try_from(e.kind) {
        Ok(AExprKind::AexprOp) => {
            let Some(operator) = operator(e) else { return vec![Fact::Other] };
            let right_column = column(right, level);
            vec![match (left_column, right_column) {
                (Some(a), Some(b)) if operator == "=" => Fact::Same(a, b),
                (Some(a), None) => compared(a, operator, right, values, level),
                (None, Some(b)) => compared(b, mirrored(operator), left, values, level),
                _ => constant_comparison(operator, left, right),
            }]
        }
        Ok(AExprKind::AexprIn) if operator(e) == Some("=") => {
            let (Some(column), NodeEnum::List(list)) = (left_column, right) else { return vec![Fact::Other] };
            let constants: Option<Vec<Literal>> =
                list.items.iter().map(|item| Literal::of(item.node.as_ref()?)).collect();
            vec![constants.map_or(Fact::Other, |constants| Fact::OneOf(column, constants))]
        }
        Ok(AExprKind::AexprOpAny) if operator(e) == Some("=") => {
            let (Some(column), NodeEnum::AArrayExpr(array)) = (left_column, right) else { return vec![Fact::Other] };
            let constants: Option<Vec<Literal>> =
                array.elements.iter().map(|item| Literal::of(item.node.as_ref()?)).collect();
            vec![constants.map_or(Fact::Other, |constants| Fact::OneOf(column, constants))]
        }
        Ok(AExprKind::AexprBetween) => {
            let (Some(column), NodeEnum::List(list)) = (left_column, right) else { return vec![Fact::Other] };
            let [from, to] = list.items.as_slice() else { return vec![Fact::Other] };
            let end = |node: &Node, operator: &str| match node.node.as_ref().and_then(Literal::of) {
                Some(literal) => Fact::Compares(column.clone(), operator.to_owned(), literal),
                None => Fact::Other,
            };
            vec![end(from, ">="), end(to, "<=")]
        }
        _ => vec![Fact::Other],
    }
}

fn operand(node: &Option<Box<Node>>) -> Option<&NodeEnum> {
    node.as_ref()?.node.as_ref()
}

fn mirrored(operator: &str) -> &str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

fn constant_comparison(operator: &str, left: &NodeEnum, right: &NodeEnum) -> Fact {
    match (operator, Literal::of(left), Literal::of(right)) {
        ("=", Some(Literal::Number(a)), Some(Literal::Number(b))) if a != b => Fact::Never,
        _ => Fact::Other,
    }
}

fn compared(
    column: Column,
    operator: &str,
    other: &NodeEnum,
    values: &dyn Fn(&ColumnRef) -> bool,
    level: &Level<'_>,
) -> Fact {
    let literal = Literal::of(other);
    match (operator, literal) {
        ("=", Some(Literal::Null)) => Fact::Never,
        ("=", Some(literal)) => Fact::Equals(column, Some(literal)),
        ("=", None) if is_value(other, values) && keeps_type(other) => Fact::Equals(column, None),
        ("<" | "<=" | ">" | ">=", Some(literal)) => Fact::Compares(column, operator.to_owned(), literal),
        _ => {
            let _ = level;
            Fact::Other
        }
    }
}

/// A fractional number turns an integer column into a numeric one, which no index is for.
fn keeps_type(node: &NodeEnum) -> bool {
    !matches!(node, NodeEnum::AConst(_))
}

/// Whether an expression is one value for the whole query: no column of it, nothing volatile that is known.
fn is_value(node: &NodeEnum, values: &dyn Fn(&ColumnRef) -> bool) -> bool {
    match node {
        NodeEnum::ColumnRef(column) => values(column),
        NodeEnum::ParamRef(_) | NodeEnum::AConst(_) | NodeEnum::SqlvalueFunction(_) => true,
        // A scalar subquery is run once, first.
        NodeEnum::SubLink(link) => link.sub_link_type == pg_query::protobuf::SubLinkType::ExprSublink as i32,
        NodeEnum::FuncCall(call) => {
            let name = strings(&call.funcname).last().copied().unwrap_or_default();
            let volatility = crate::catalog::builtin::function_volatility(name, 18);
            matches!(volatility, Some('i' | 's'))
                && call.args.iter().filter_map(|arg| arg.node.as_ref()).all(|arg| is_value(arg, values))
        }
        NodeEnum::TypeCast(_) | NodeEnum::AExpr(_) | NodeEnum::CoalesceExpr(_) | NodeEnum::AIndirection(_) => {
            match walk::parts(node) {
                Parts::Expressions(parts) => {
                    parts.into_iter().all(|part| is_value(part, values) || string(part).is_some())
                }
                Parts::Unknown => false,
            }
        }
        _ => false,
    }
}

/// The column of the level's relations that an expression is, nothing around it.
pub(super) fn column(node: &NodeEnum, level: &Level<'_>) -> Option<Column> {
    let NodeEnum::ColumnRef(reference) = node else { return None };
    level.resolve(reference)
}

/// The parts of a column reference; a star ends them.
pub(in crate::plan::analyze) fn columns_of(reference: &ColumnRef) -> Vec<&str> {
    strings(&reference.fields)
}

/// Columns of a relation that have one value in what the query reads of it, by constants, parameters, and
/// columns of relations that give one row.
pub(super) fn fixed_columns(conditions: &[Condition], member: usize, single: &BTreeSet<usize>) -> BTreeSet<String> {
    conditions
        .iter()
        .filter(|condition| condition.restricts(member))
        .filter_map(|condition| match &condition.fact {
            Fact::Equals((at, column), _) if *at == member => Some(column.clone()),
            Fact::Same((at, column), (other, _)) if *at == member && single.contains(other) => Some(column.clone()),
            Fact::Same((other, _), (at, column)) if *at == member && single.contains(other) => Some(column.clone()),
            _ => None,
        })
        .collect()
}

/// Constants a column of a relation can only have.
pub(super) fn allowed(conditions: &[Condition], member: usize, column: &str) -> Option<Allowed> {
    let mut lower = None;
    let mut upper = None;
    for condition in conditions.iter().filter(|condition| condition.restricts(member)) {
        match &condition.fact {
            Fact::Equals((at, name), Some(literal)) if *at == member && name == column => {
                return Some(Allowed::Values(vec![literal.clone()]));
            }
            Fact::IsNull((at, name)) if *at == member && name == column => {
                return Some(Allowed::Values(vec![Literal::Null]));
            }
            Fact::OneOf((at, name), literals) if *at == member && name == column => {
                return Some(Allowed::Values(literals.clone()));
            }
            Fact::Compares((at, name), operator, literal) if *at == member && name == column => {
                match operator.as_str() {
                    ">" => lower = Some((literal.clone(), false)),
                    ">=" => lower = Some((literal.clone(), true)),
                    "<" => upper = Some((literal.clone(), false)),
                    _ => upper = Some((literal.clone(), true)),
                }
            }
            _ => {}
        }
    }
    (lower.is_some() || upper.is_some()).then_some(Allowed::Between(lower, upper))
}

/// Number of constants of the shortest list a column of a relation must be in.
pub(super) fn list_length(conditions: &[Condition], member: usize, column: &str) -> Option<usize> {
    conditions
        .iter()
        .filter(|condition| condition.restricts(member))
        .filter_map(|condition| match &condition.fact {
            Fact::OneOf((at, name), literals) if *at == member && name == column => Some(literals.len()),
            _ => None,
        })
        .min()
}

/// What a column reference means in a level with a source of its own name.
pub(super) fn origin(source: &Source, column: &str) -> Option<Column> {
    match source {
        Source::Member(at) => Some((*at, column.to_owned())),
        Source::Derived(columns) => columns.get(column).cloned().flatten(),
        Source::Opaque => None,
    }
}
