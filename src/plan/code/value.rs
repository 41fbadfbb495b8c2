//! Values of expressions about the catalog, with the logic of SQL, and one more: not known here.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::rows::may_be_of_system;
use crate::catalog::Name;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// NULL.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number.
    Number(i64),
    /// Text, names, and the letters of the catalogs.
    Text(Cow<'a, str>),
    /// The oid of a relation.
    Relation(Name),
    /// The oid of a type.
    Type(Name),
    /// The oid of a schema.
    Schema(&'a str),
    /// Names of things of the server itself.
    SystemName,
    /// Names of schemas of the server itself.
    SystemSchema,
    /// Some values.
    List(Vec<Value<'a>>),
    /// What is not known here.
    Unknown,
}

impl<'a> Value<'a> {
    /// Text of its own.
    pub fn owned(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    /// A truth value, if it is one.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            // A condition that is NULL is not met.
            Self::Null => Some(false),
            _ => None,
        }
    }

    /// `NOT`.
    pub fn not(self) -> Self {
        match self {
            Self::Boolean(value) => Self::Boolean(!value),
            Self::Null => Self::Null,
            _ => Self::Unknown,
        }
    }

    /// `AND`, of all.
    pub fn all(values: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(values, false)
    }

    /// `OR`, of all.
    pub fn any(values: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(values, true)
    }

    fn joined(values: impl IntoIterator<Item = Self>, decides: bool) -> Self {
        let mut joined = Self::Boolean(!decides);
        for value in values {
            match value {
                Self::Boolean(value) if value == decides => return Self::Boolean(value),
                Self::Boolean(_) => {}
                Self::Null if joined != Self::Unknown => joined = Self::Null,
                Self::Null => {}
                _ => joined = Self::Unknown,
            }
        }
        joined
    }

    /// `=`.
    pub fn equals(&self, other: &Self) -> Self {
        let same = match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => return Self::Unknown,
            (Self::Null, _) | (_, Self::Null) => return Self::Null,
            (Self::SystemName, Self::Text(text)) | (Self::Text(text), Self::SystemName) => {
                return if may_be_of_system(text) { Self::Unknown } else { Self::Boolean(false) };
            }
            (Self::SystemSchema, Self::Text(text)) | (Self::Text(text), Self::SystemSchema) => {
                let system = text.starts_with("pg_") || text == "information_schema";
                return if system { Self::Unknown } else { Self::Boolean(false) };
            }
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Relation(one), Self::Relation(other)) | (Self::Type(one), Self::Type(other)) => one == other,
            (Self::Schema(one), Self::Schema(other)) => one == other,
            _ => return Self::Unknown,
        };
        Self::Boolean(same)
    }

    /// By a comparison operator; what another one gives is not known.
    pub fn compared(&self, operator: &str, other: &Self) -> Self {
        match operator {
            "=" => self.equals(other),
            "<>" | "!=" => self.equals(other).not(),
            "<" => self.ordered(other, Ordering::is_lt),
            "<=" => self.ordered(other, Ordering::is_le),
            ">" => self.ordered(other, Ordering::is_gt),
            ">=" => self.ordered(other, Ordering::is_ge),
            _ => Self::Unknown,
        }
    }

    fn ordered(&self, other: &Self, holds: fn(Ordering) -> bool) -> Self {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => Self::Boolean(holds(one.cmp(other))),
            (Self::Null, other) if *other != Self::Unknown => Self::Null,
            (one, Self::Null) if *one != Self::Unknown => Self::Null,
            _ => Self::Unknown,
        }
    }

    /// `LIKE`, without an escape character in the pattern.
    pub fn like(&self, pattern: &Self) -> Self {
        match (self, pattern) {
            (Self::Text(text), Self::Text(pattern)) if !pattern.contains('\\') => {
                let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
                Self::Boolean(matches(&text, &pattern))
            }
            (Self::Null, _) | (_, Self::Null) => Self::Null,
            _ => Self::Unknown,
        }
    }

    /// `||`.
    pub fn concatenated(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => Self::owned(format!("{one}{other}")),
            (Self::Null, other) if *other != Self::Unknown => Self::Null,
            (one, Self::Null) if *one != Self::Unknown => Self::Null,
            _ => Self::Unknown,
        }
    }
}

/// Whether the text is of the form: `%` is anything, `_` one character. Where it does not go on, the last `%` takes one
/// character more: those before it need not be tried again, which would take for ever on `%a%a%a%`.
fn matches(text: &[char], pattern: &[char]) -> bool {
    let (mut at, mut of, mut last) = (0, 0, None);
    while let Some(found) = text.get(at) {
        match pattern.get(of) {
            Some('%') => {
                of += 1;
                last = Some((at, of));
            }
            Some(wanted) if *wanted == '_' || wanted == found => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((taken, behind)) = last else { return false };
                last = Some((taken + 1, behind));
                (at, of) = (taken + 1, behind);
            }
        }
    }
    pattern.get(of..).is_some_and(|rest| rest.iter().all(|wanted| *wanted == '%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_matched_as_by_the_server_and_in_no_time() {
        let like = |text: &str, pattern: &str| Value::owned(text).like(&Value::owned(pattern));
        for (text, pattern, wanted) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("orders", "or%", true),
            ("orders", "%e_s", true),
            ("orders", "%d_s", false),
            ("abcbd", "a%b_", true),
            ("abcbd", "a%bc", false),
            ("a%", "a%%", true),
        ] {
            assert_eq!(like(text, pattern), Value::Boolean(wanted), "{text} {pattern}");
        }
        assert_eq!(like(&"a".repeat(1_000), &("%a".repeat(100) + "b")), Value::Boolean(false));
    }
}
