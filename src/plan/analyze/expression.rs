//! Checks of expressions that the server makes when it reads them: columns that exist, no subqueries, types
//! that fit.

use pg_query::NodeEnum;
use pg_query::protobuf::{AExprKind, FuncCall, Node, SqlValueFunctionOp, a_const};

use super::Resolver;
use super::names::strings;
use super::volatile::evaluate;
use crate::catalog::expression::{Cooked, Scope, cook};
use crate::catalog::{Catalog, DataType, Name, Relation, builtin, types};
use crate::sql::expression::operands;

/// Why the server refuses an expression: SQLSTATE, message, advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// SQLSTATE.
    pub sqlstate: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

impl Problem {
    fn new(sqlstate: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self { sqlstate, message: message.into(), hint }
    }
}

/// The expression over the columns of `relation`, with types; `None` when it cannot be read.
fn typed(expression: &Node, relation: &Relation, resolver: &Resolver<'_>) -> Option<Cooked> {
    // A name in front of a column is that of the relation, which nothing here needs to know.
    cook(resolver.catalog, &Scope::table(&Name::new("", ""), relation), expression).ok()
}

/// Whether the values of an expression over the columns of `relation` certainly depend on more than those, settings of
/// the session for instance: the server keeps such a value nowhere.
pub fn is_mutable(expression: &Node, relation: Option<&Relation>, resolver: &Resolver<'_>) -> bool {
    let by_types = |relation| typed(expression, relation, resolver).is_some_and(|cooked| cooked.mutable);
    evaluate(expression, resolver).mutable || relation.is_some_and(by_types)
}

/// A cast between types that cannot be cast.
pub fn impossible_cast(expression: &Node, relation: &Relation, resolver: &Resolver<'_>) -> Option<Problem> {
    let (from, to) = typed(expression, relation, resolver)?.impossible_cast?;
    let message = format!("cannot cast type {} to {}", from.sql(), to.sql());
    Some(Problem::new("42846", message, "Cast by way of text, or compute the value with a function."))
}

/// Where the expression stands; what it may hold differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// DEFAULT.
    Default,
    /// CHECK.
    Check,
    /// Generation expression.
    Generated,
    /// USING of a type change.
    Transform,
    /// USING and WITH CHECK of a policy; its subqueries are read elsewhere.
    Policy,
    /// WHERE of a publication.
    Publication,
    /// Key of an index.
    IndexKey,
    /// WHERE of an index.
    IndexPredicate,
    /// Key of a partitioned table.
    PartitionKey,
}

impl Place {
    fn word(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT expression",
            Self::Check => "check constraint",
            Self::Generated => "column generation expression",
            Self::Transform => "transform expression",
            Self::Policy => "policy expression",
            Self::Publication => "publication WHERE expression",
            Self::IndexKey => "index expression",
            Self::IndexPredicate => "index predicate",
            Self::PartitionKey => "partition key expression",
        }
    }

    fn many(self) -> String {
        format!("{}s", self.word())
    }
}

/// Checks the columns and the constructs of an expression over the relation.
///
/// # Errors
/// The first [`Problem`], in the order of the text.
pub fn check(expression: &Node, relation: &Relation, place: Place) -> Result<(), Problem> {
    check_of(expression, relation, None, place)
}

/// [`check`], where the relation has a name, which stands for a whole row.
///
/// # Errors
/// The first [`Problem`], in the order of the text.
pub fn check_of(expression: &Node, relation: &Relation, row: Option<&str>, place: Place) -> Result<(), Problem> {
    let below = || operands(expression).into_iter().flatten().try_for_each(|part| check_of(part, relation, row, place));
    match expression.node.as_ref() {
        Some(NodeEnum::SubLink(_)) if place == Place::Policy => Ok(()),
        Some(NodeEnum::SubLink(_)) => {
            let message = format!("cannot use subquery in {}", place.word());
            Err(Problem::new("0A000", message, "Put the query into a function, or compute the value in a trigger."))
        }
        Some(NodeEnum::ColumnRef(_)) if place == Place::Default => {
            let message = "cannot use column reference in DEFAULT expression";
            Err(Problem::new("0A000", message, "Use a generated column, or a trigger."))
        }
        Some(NodeEnum::ColumnRef(column)) => {
            let parts = strings(&column.fields);
            // A whole row, or a field of one.
            if parts.len() != column.fields.len() || parts.len() > 2 {
                return Ok(());
            }
            let Some(name) = parts.last() else { return Ok(()) };
            if !has_column(relation, name) {
                if parts.len() == 1 && row == Some(*name) {
                    return whole_row(place);
                }
                let message = format!("column \"{name}\" does not exist");
                return Err(Problem::new("42703", message, "Check the spelling of the column, or add it first."));
            }
            let Some(column) = relation.column(name) else { return system_column(name, place) };
            if place == Place::Generated && column.generated.is_some() {
                let message = format!("cannot use generated column \"{name}\" in column generation expression");
                let hint = "Repeat the expression of that column, or use a trigger.";
                return Err(Problem::new("42P17", message, hint));
            }
            Ok(())
        }
        Some(NodeEnum::FuncCall(call)) => {
            function(call, place)?;
            below()
        }
        _ => below(),
    }
}

/// Generated columns would depend on themselves.
fn whole_row(place: Place) -> Result<(), Problem> {
    if place != Place::Generated {
        return Ok(());
    }
    let message = "cannot use whole-row variable in column generation expression";
    Err(Problem::new("42P17", message, "Name the columns that it is made of."))
}

/// Only `tableoid` is known when a constraint or a generated column is worked out (`scanNSItemForColumn`).
fn system_column(name: &str, place: Place) -> Result<(), Problem> {
    match place {
        Place::Check | Place::Generated if name != "tableoid" => {
            let message = match place {
                Place::Check => format!("system column \"{name}\" reference in check constraint is invalid"),
                _ => format!("cannot use system column \"{name}\" in column generation expression"),
            };
            Err(Problem::new("42P10", message, "Use columns of the table's own."))
        }
        _ => Ok(()),
    }
}

/// Aggregates, window functions and functions that return sets have no place in an expression over one row. Known
/// of the server's own.
fn function(call: &FuncCall, place: Place) -> Result<(), Problem> {
    let hint = "Put the query into a function, or compute the value in a trigger.";
    if call.over.is_some() {
        let message = format!("window functions are not allowed in {}", place.many());
        return Err(Problem::new("42P20", message, hint));
    }
    let name = match strings(&call.funcname).as_slice() {
        [name] | ["pg_catalog", name] => *name,
        _ => return Ok(()),
    };
    let mut overloads = builtin::signatures(name, i32::MAX).peekable();
    if overloads.peek().is_none() {
        return Ok(());
    }
    let (mut aggregates, mut sets) = (true, true);
    for overload in overloads {
        aggregates &= overload.kind == 'a';
        sets &= overload.set;
    }
    if aggregates {
        let message = format!("aggregate functions are not allowed in {}", place.many());
        return Err(Problem::new("42803", message, hint));
    }
    if sets {
        let message = format!("set-returning functions are not allowed in {}", place.many());
        return Err(Problem::new("0A000", message, hint));
    }
    Ok(())
}

/// 42P16: a column of a type that no stored value has (`CheckAttributeType` in heap.c).
pub fn unstorable(column: &str, data_type: &DataType, catalog: &Catalog) -> Option<Problem> {
    let pseudo = types::builtin(&data_type.name, catalog).is_some_and(|known| known.kind == 'p');
    let message = format!("column \"{column}\" has pseudo-type {}", data_type.sql);
    pseudo.then(|| Problem::new("42P16", message, "Choose a type whose values can be stored."))
}

/// Names of the columns that an expression mentions.
pub fn columns(expression: &Node) -> Vec<String> {
    match expression.node.as_ref() {
        Some(NodeEnum::ColumnRef(column)) => {
            strings(&column.fields).last().map(|name| (*name).to_owned()).into_iter().collect()
        }
        _ => operands(expression).into_iter().flatten().flat_map(columns).collect(),
    }
}

fn has_column(relation: &Relation, name: &str) -> bool {
    relation.column(name).is_some() || ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"].contains(&name)
}

/// The type of an expression over the relation, where it can be told without knowing every operator.
pub fn type_of(expression: &Node, relation: Option<&Relation>, catalog: &Catalog) -> Option<DataType> {
    let built_in = |name: &str| {
        let name = Name::new("pg_catalog", name);
        let sql = types::format_type(&name, -1, false)?;
        Some(DataType { name, modifier: -1, array: false, sql })
    };
    match expression.node.as_ref()? {
        NodeEnum::ColumnRef(column) => {
            let name = strings(&column.fields).last().copied()?;
            Some(DataType::clone(&relation?.column(name)?.data_type))
        }
        NodeEnum::TypeCast(cast) => types::resolve_type(cast.type_name.as_ref()?, catalog),
        NodeEnum::CollateClause(collate) => type_of(collate.arg.as_deref()?, relation, catalog),
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            a_const::Val::Ival(_) => built_in("int4"),
            a_const::Val::Boolval(_) => built_in("bool"),
            _ => None,
        },
        NodeEnum::BoolExpr(_) | NodeEnum::NullTest(_) | NodeEnum::BooleanTest(_) => built_in("bool"),
        NodeEnum::AExpr(operator) => match operator.kind() {
            AExprKind::AexprOp => {
                let symbol = strings(&operator.name).last().copied()?;
                matches!(symbol, "=" | "<>" | "!=" | "<" | "<=" | ">" | ">=").then(|| built_in("bool"))?
            }
            AExprKind::AexprIn | AExprKind::AexprBetween | AExprKind::AexprLike | AExprKind::AexprDistinct => {
                built_in("bool")
            }
            _ => None,
        },
        NodeEnum::SqlvalueFunction(function) => match function.op() {
            SqlValueFunctionOp::SvfopCurrentDate => built_in("date"),
            SqlValueFunctionOp::SvfopCurrentTimestamp => built_in("timestamptz"),
            SqlValueFunctionOp::SvfopLocaltimestamp => built_in("timestamp"),
            SqlValueFunctionOp::SvfopCurrentTime => built_in("timetz"),
            SqlValueFunctionOp::SvfopLocaltime => built_in("time"),
            SqlValueFunctionOp::SvfopCurrentRole
            | SqlValueFunctionOp::SvfopCurrentUser
            | SqlValueFunctionOp::SvfopUser
            | SqlValueFunctionOp::SvfopSessionUser
            | SqlValueFunctionOp::SvfopCurrentCatalog
            | SqlValueFunctionOp::SvfopCurrentSchema => built_in("name"),
            _ => None,
        },
        NodeEnum::FuncCall(call) => match strings(&call.funcname).last().copied()? {
            "now" | "clock_timestamp" | "statement_timestamp" | "transaction_timestamp" => built_in("timestamptz"),
            "gen_random_uuid" | "uuidv4" | "uuidv7" => built_in("uuid"),
            "nextval" | "currval" | "lastval" | "setval" => built_in("int8"),
            "md5" | "lower" | "upper" | "concat" | "timeofday" => built_in("text"),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a constant is certainly no value of the type: the server reads and folds it when it takes the
/// statement apart.
pub fn misread_constant(constant: &Node, of: &DataType, resolver: &Resolver<'_>) -> Option<Problem> {
    let base = types::base_type(of, resolver.catalog);
    match constant.node.as_ref()? {
        NodeEnum::TypeCast(cast) => {
            let to = types::resolve_type(cast.type_name.as_ref()?, resolver.catalog)?;
            misread_constant(cast.arg.as_deref()?, &to, resolver)
        }
        NodeEnum::AConst(_) if base.array => None,
        NodeEnum::AConst(value) => match value.val.as_ref()? {
            a_const::Val::Ival(number) => out_of_range(number.ival, &base),
            a_const::Val::Sval(text) => misread_text(text.sval.trim(), &base, resolver),
            _ => None,
        },
        _ => None,
    }
}

/// Other integers are wider than what the parser reads as one.
fn out_of_range(number: i32, of: &DataType) -> Option<Problem> {
    let small = of.name == Name::new("pg_catalog", "int2");
    (small && i16::try_from(number).is_err())
        .then(|| Problem::new("22003", "smallint out of range", "Use a wider type or a smaller number."))
}

fn misread_text(text: &str, of: &DataType, resolver: &Resolver<'_>) -> Option<Problem> {
    if of.name.schema != "pg_catalog" {
        let found = resolver.catalog.types.get(&of.name)?;
        let crate::catalog::TypeKind::Enum { labels } = &found.kind else { return None };
        return (!labels.iter().any(|label| label == text)).then(|| {
            let message = format!("invalid input value for enum {}", of.name.name);
            Problem::new("22P02", message, "Add the value to the enum first, or use one that it has.")
        });
    }
    match of.name.name.as_str() {
        "int2" | "int4" | "int8" => {
            // Other notations of numbers came with 16.
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let number = digits.starts_with(|c: char| c.is_ascii_digit()) && !digits.contains('.');
            (!number).then(|| {
                let message = format!("invalid input syntax for type {}", of.sql);
                Problem::new("22P02", message, "Write a value of the column's type.")
            })
        }
        "varchar" | "bpchar" => {
            // A modifier counts its own length of four bytes.
            let room = usize::try_from(of.modifier).ok().and_then(|modifier| modifier.checked_sub(4))?;
            (text.chars().count() > room).then(|| {
                let message = format!("value too long for type {}", of.sql);
                Problem::new("22001", message, "Shorten the value, or widen the column.")
            })
        }
        _ => None,
    }
}

/// 42804 for COLLATE on a type that has no collations.
pub fn uncollatable(of: &DataType, catalog: &Catalog) -> Option<Problem> {
    let base = types::base_type(of, catalog);
    let known = types::builtin(&base.name, catalog)?;
    known.collation.is_none().then(|| {
        let message = format!("collations are not supported by type {}", base.sql);
        Problem::new("42804", message, "Leave out COLLATE.")
    })
}
