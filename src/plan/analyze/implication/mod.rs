//! Whether valid constraints already prove a condition, so that the server need not read the table
//! (`predicate_implied_by` in predtest.c, weak implication: where no constraint is false, neither is the
//! condition).
//!
//! The rules are the server's own and no stronger: what it cannot prove, it scans for.

mod read;
mod value;

pub use read::{Reader, hash_bound};
pub use value::{Kind, Value, Zone};

use std::cmp::Ordering;

use crate::catalog::{Catalog, ConstraintKind, Relation};
use crate::sql::expression::parse_expression;

/// Comparison with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    NotEqual,
}

impl Comparison {
    /// The operator of that symbol.
    pub fn of(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            "=" => Self::Equal,
            ">=" => Self::GreaterOrEqual,
            ">" => Self::Greater,
            "<>" | "!=" => Self::NotEqual,
            _ => return None,
        })
    }

    /// True where this one is false.
    fn negated(self) -> Self {
        match self {
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Equal => Self::NotEqual,
            Self::GreaterOrEqual => Self::Less,
            Self::Greater => Self::LessOrEqual,
            Self::NotEqual => Self::Equal,
        }
    }

    /// With its sides exchanged.
    fn commuted(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Greater => Self::Less,
            same => same,
        }
    }
}

/// A condition in the form that the server's prover works on: NOT only within atoms, no AND directly below an
/// AND, no OR directly below an OR.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All of them; none: true.
    And(Vec<Condition>),
    /// Any of them; none: false.
    Or(Vec<Condition>),
    /// An expression (by its text) compared with a constant.
    Compare(String, Comparison, Value),
    /// `IS NULL`.
    Null(String),
    /// `IS NOT NULL`.
    NotNull(String),
    /// Anything else, by its text.
    Other(String),
}

impl Condition {
    /// All of them.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                Self::Or(ref none) if none.is_empty() => return part,
                other => flat.push(other),
            }
        }
        single(flat, Self::And)
    }

    /// Any of them.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                Self::And(ref none) if none.is_empty() => return part,
                other => flat.push(other),
            }
        }
        single(flat, Self::Or)
    }

    /// Its negation, pushed down to the atoms.
    pub fn negated(self) -> Self {
        match self {
            Self::And(parts) => Self::any(parts.into_iter().map(Self::negated)),
            Self::Or(parts) => Self::all(parts.into_iter().map(Self::negated)),
            Self::Compare(subject, comparison, value) => Self::Compare(subject, comparison.negated(), value),
            Self::Null(subject) => Self::NotNull(subject),
            Self::NotNull(subject) => Self::Null(subject),
            Self::Other(text) => match text.strip_prefix("NOT ") {
                Some(inner) => Self::Other(inner.to_owned()),
                None => Self::Other(format!("NOT {text}")),
            },
        }
    }

    /// Whether this proves `wanted` (`predicate_implied_by_recurse`).
    pub fn implies(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (_, Self::And(parts)) if !matches!(self, Self::Or(_)) => parts.iter().all(|part| self.implies(part)),
            (Self::And(known), Self::Or(parts)) => {
                parts.iter().any(|part| self.implies(part)) || known.iter().any(|item| item.implies(wanted))
            }
            (Self::And(known), _) => known.iter().any(|item| item.implies(wanted)),
            (Self::Or(known), Self::Or(parts)) => known.iter().all(|item| parts.iter().any(|part| item.implies(part))),
            (Self::Or(known), _) => known.iter().all(|item| item.implies(wanted)),
            (_, Self::Or(parts)) => parts.iter().any(|part| self.implies(part)),
            _ => self.atom_implies(wanted),
        }
    }

    fn atom_implies(&self, wanted: &Self) -> bool {
        if self == wanted {
            return true;
        }
        match (self, wanted) {
            (Self::Compare(left, has, value), Self::Compare(right, wants, bound)) => {
                left == right && compare_implies(*has, value, *wants, bound)
            }
            _ => false,
        }
    }
}

fn single(mut parts: Vec<Condition>, many: impl Fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => many(parts),
    }
}

/// Whether `x has value` makes `x wants bound` true for every x (`BT_implic_table` in predtest.c).
fn compare_implies(has: Comparison, value: &Value, wants: Comparison, bound: &Value) -> bool {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let Some(order) = value.compare(bound) else { return false };
    match (has, wants) {
        (Less, Less | LessOrEqual | NotEqual) | (LessOrEqual, LessOrEqual) | (Equal, LessOrEqual) => order.is_le(),
        (LessOrEqual, Less | NotEqual) | (Equal, Less) => order.is_lt(),
        (Greater, Greater | GreaterOrEqual | NotEqual) | (GreaterOrEqual, GreaterOrEqual) | (Equal, GreaterOrEqual) => {
            order.is_ge()
        }
        (GreaterOrEqual, Greater | NotEqual) | (Equal, Greater) => order.is_gt(),
        (Equal, Equal) | (NotEqual, NotEqual) => order == Ordering::Equal,
        (Equal, NotEqual) => order != Ordering::Equal,
        _ => false,
    }
}

/// Whether the valid constraints of the relation prove the condition (`ConstraintImpliedByRelConstraint` in
/// tablecmds.c).
pub fn proven(relation: &Relation, wanted: &Condition, catalog: &Catalog) -> bool {
    known(relation, catalog).implies(wanted)
}

/// What valid constraints of the relation say.
fn known(relation: &Relation, catalog: &Catalog) -> Condition {
    let reader = Reader::stored(relation, catalog);
    let checks = relation.constraints.iter().filter_map(|constraint| match &constraint.kind {
        ConstraintKind::Check { expression } if constraint.validated && constraint.enforced => {
            Some(reader.condition(&parse_expression(expression)?))
        }
        _ => None,
    });
    let not_null = relation
        .columns
        .iter()
        .filter(|column| is_proven_not_null(relation, &column.name))
        .map(|column| Condition::NotNull(column.name.clone()));
    Condition::all(checks.chain(not_null))
}

/// Whether the column is NOT NULL and no row can be an exception. On 18 a not-null constraint may still be
/// waiting for its validation.
pub fn is_proven_not_null(relation: &Relation, column: &str) -> bool {
    let declared = relation.column(column).is_some_and(|column| column.not_null);
    declared
        && !relation.constraints.iter().any(|constraint| {
            constraint.kind == ConstraintKind::NotNull
                && !constraint.validated
                && constraint.columns.iter().any(|name| name == column)
        })
}
