//! Constants of a statement, as far as rules compare them.

use std::cmp::Ordering;

use pg_query::NodeEnum;
use pg_query::protobuf::a_const;

use crate::plan::analyze::implication::{Kind, Value, Zone};
use crate::plan::analyze::names::strings;

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan::analyze) enum Literal {
    /// NULL.
    Null,
    /// A number; all digits fit.
    Number(i128),
    /// A boolean.
    Boolean(bool),
    /// Text, dates, and whatever else is written as a string.
    Text(String),
    /// A string cast to `date` or `timestamp`: against a point in time it is only known while the statement runs.
    Local(String),
}

impl Literal {
    /// The constant that the expression is, casts left aside.
    pub fn of(node: &NodeEnum) -> Option<Self> {
        match node {
            NodeEnum::AConst(constant) if constant.isnull => Some(Self::Null),
            NodeEnum::AConst(constant) => match constant.val.as_ref()? {
                a_const::Val::Ival(value) => Some(Self::Number(i128::from(value.ival))),
                a_const::Val::Fval(value) => value.fval.parse().ok().map(Self::Number),
                a_const::Val::Boolval(value) => Some(Self::Boolean(value.boolval)),
                a_const::Val::Sval(value) => Some(Self::Text(value.sval.clone())),
                a_const::Val::Bsval(_) => None,
            },
            NodeEnum::TypeCast(cast) => {
                let inner = Self::of(cast.arg.as_ref()?.node.as_ref()?)?;
                let to = cast.type_name.as_ref().map_or_else(Vec::new, |name| strings(&name.names));
                match (inner, to.last()) {
                    (Self::Text(text), Some(&("date" | "timestamp"))) => Some(Self::Local(text)),
                    (inner, _) => Some(inner),
                }
            }
            NodeEnum::CollateClause(clause) => Self::of(clause.arg.as_ref()?.node.as_ref()?),
            // The parser leaves the sign of a negative number to an operator.
            NodeEnum::AExpr(e) if e.lexpr.is_none() && super::conditions::operator(e) == Some("-") => {
                match Self::of(e.rexpr.as_ref()?.node.as_ref()?)? {
                    Self::Number(value) => Some(Self::Number(-value)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The order of two constants of a column of that type; `None` when rules cannot tell.
    pub fn compare(&self, other: &Self, type_name: &str) -> Option<Ordering> {
        match type_name {
            "int2" | "int4" | "int8" | "numeric" | "oid" => Some(self.number()?.cmp(&other.number()?)),
            "bool" => Some(self.boolean()?.cmp(&other.boolean()?)),
            "date" | "timestamp" => Some(self.moment()?.cmp(&other.moment()?)),
            "uuid" => Some(self.text()?.to_ascii_lowercase().cmp(&other.text()?.to_ascii_lowercase())),
            _ => None,
        }
    }

    /// Whether two constants of a column of that type are equal; `None` when rules cannot tell.
    pub fn equals(&self, other: &Self, type_name: &str) -> Option<bool> {
        match type_name {
            "text" | "varchar" | "name" | "char" => Some(self.text()? == other.text()?),
            // A label is itself, whatever the type: enums.
            _ => match self.compare(other, type_name) {
                Some(order) => Some(order == Ordering::Equal),
                None => match (self, other) {
                    (Self::Text(a), Self::Text(b)) if a == b => Some(true),
                    _ => None,
                },
            },
        }
    }

    /// The number that the constant is, or that its text spells.
    pub(super) fn number(&self) -> Option<i128> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Text(text) => match text.to_ascii_lowercase().as_str() {
                "t" | "true" => Some(true),
                "f" | "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Local(text) => Some(text),
            _ => None,
        }
    }

    /// Microseconds since 1970 of a point in time; of NULL, NULL.
    pub(super) fn in_time(&self, zone: &Zone) -> Option<Self> {
        match self {
            Self::Null => Some(Self::Null),
            Self::Text(text) => match Value::read(text, Kind::TimestampTz, zone)? {
                Value::Moment(micros) => Some(Self::Number(i128::from(micros))),
                _ => None,
            },
            _ => None,
        }
    }

    /// `2024-01-31` or `2024-01-31 12:00:00[.5]` in one form that orders as text.
    fn moment(&self) -> Option<String> {
        let text = self.text()?;
        let (date, time) = match text.split_once([' ', 'T']) {
            Some((date, time)) => (date, time),
            None => (text, "00:00:00"),
        };
        let shape = |text: &str, shape: &str| {
            text.len() == shape.len()
                && text.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    other => byte == other,
                })
        };
        let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
        let well_formed = shape(date, "0000-00-00")
            && shape(seconds, "00:00:00")
            && fraction.len() <= 6
            && fraction.bytes().all(|byte| byte.is_ascii_digit());
        well_formed.then(|| format!("{date} {seconds}.{fraction:0<6}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_the_columns_type() {
        let text = |text: &str| Literal::Text(text.to_owned());
        assert_eq!(Literal::Number(9).compare(&text("10"), "int4"), Some(Ordering::Less));
        assert_eq!(text("2024-01-01").compare(&text("2024-01-01 00:00:00"), "timestamp"), Some(Ordering::Equal));
        assert_eq!(text("2024-01-01").compare(&text("1 Jan 2024"), "date"), None);
        assert_eq!(text("a").compare(&text("B"), "text"), None);
        assert_eq!(text("a").equals(&text("b"), "text"), Some(false));
    }
}
