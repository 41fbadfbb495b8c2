//! Analysed expressions: what the server's expression trees hold as far as printing needs it.

use super::types::Type;

/// An expression with its type, as far as that is known.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) data_type: Option<Type>,
    /// Where a literal stands in the text.
    pub(crate) location: Option<i32>,
}

/// A literal's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Digits, with a sign when negative: an `int4`, `int8` or `numeric` constant.
    Number(String),
    Bool(bool),
    /// The text between the quotes.
    Text(String),
    Null,
}

/// Nodes, named as in the server's `primnodes.h` where that helps.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A column or whatever else is printed as it stands.
    Name(String),
    Const(Value),
    /// A cast. Implicit ones are printed only where the server prints them.
    Cast {
        arg: Box<Expr>,
        implicit: bool,
    },
    Op {
        name: String,
        left: Option<Box<Expr>>,
        right: Box<Expr>,
    },
    /// `left op ANY (right)` or `ALL`.
    ArrayOp {
        name: String,
        all: bool,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Bool {
        and: bool,
        args: Vec<Expr>,
    },
    Not(Box<Expr>),
    /// `(arg IS NULL)` and the like: the suffix after the operand.
    Test {
        arg: Box<Expr>,
        suffix: &'static str,
    },
    Distinct {
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// Ordinary call; `prefix` is `DISTINCT ` or `VARIADIC ` placement aside, `suffix` is FILTER, OVER.
    Call {
        name: String,
        args: Vec<Expr>,
        distinct: bool,
        star: bool,
        variadic: bool,
        order: String,
        suffix: String,
    },
    /// Call in the SQL standard's syntax: pieces of text between the arguments.
    Syntax {
        pieces: Vec<&'static str>,
        args: Vec<Expr>,
    },
    /// `COALESCE`, `GREATEST`, `LEAST`, `NULLIF`.
    Special {
        name: &'static str,
        args: Vec<Expr>,
    },
    Case {
        arg: Option<Box<Expr>>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Array(Vec<Expr>),
    Row {
        args: Vec<Expr>,
        explicit: bool,
    },
    Collate {
        arg: Box<Expr>,
        collation: String,
    },
    /// `arg[1]`, `arg[1:2]`: texts between the brackets.
    Subscript {
        arg: Box<Expr>,
        indexes: Vec<Subscript>,
    },
    Field {
        arg: Box<Expr>,
        name: String,
    },
    /// A subquery with what stands before it.
    Sublink {
        test: Option<Box<Expr>>,
        operator: String,
        query: String,
    },
    /// Text that could not be analysed.
    Raw(String),
}

/// One pair of brackets.
#[derive(Clone, Debug)]
pub(crate) struct Subscript {
    pub(crate) lower: Option<Expr>,
    pub(crate) upper: Option<Expr>,
    pub(crate) slice: bool,
}

impl Expr {
    pub(crate) fn new(kind: Kind, data_type: Option<Type>) -> Self {
        Self { kind, data_type, location: None }
    }

    pub(crate) fn typed(kind: Kind, id: &str) -> Self {
        Self { kind, data_type: Some(Type::named(id)), location: None }
    }

    /// Whether it is a literal whose type is still open.
    pub(crate) fn is_unknown_literal(&self) -> bool {
        matches!(self.kind, Kind::Const(_)) && self.data_type.as_ref().is_some_and(Type::is_unknown)
    }

    /// The type, `unknown` where it is not known: for literals, and where no rule applies.
    pub(crate) fn type_or_unknown(&self) -> Type {
        self.data_type.clone().unwrap_or_else(|| Type::named("unknown"))
    }
}
