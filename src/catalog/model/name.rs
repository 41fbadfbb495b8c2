//! Schema-qualified names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sql::quote;

/// Schema-qualified name, unquoted parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Schema (namespace).
    pub schema: String,
    /// Name within the schema.
    pub name: String,
}

impl Name {
    /// The schema that temporary relations are in. They belong to the session: no server's catalog has them, but
    /// later statements of the same migration may use them.
    pub const TEMPORARY: &str = "pg_temp";

    /// Whether it names a temporary relation.
    pub fn is_temporary(&self) -> bool {
        self.schema == Self::TEMPORARY
    }

    /// Builds a name from its unquoted parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

/// Quoted as the server's `quote_ident` does: `public."Orders"`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote::qualified(&self.schema, &self.name))
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is not `schema.name`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a qualified name: {0}")]
pub struct NameError(String);

impl std::str::FromStr for Name {
    type Err = NameError;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (schema, rest) = part(text).ok_or_else(|| NameError(text.to_owned()))?;
        let rest = rest.strip_prefix('.').ok_or_else(|| NameError(text.to_owned()))?;
        match part(rest) {
            Some((name, "")) => Ok(Self { schema, name }),
            _ => Err(NameError(text.to_owned())),
        }
    }
}

/// One identifier, quoted or bare, from the front of `text`; and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            name.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
            name.push('"');
            chars.next();
        } else {
            return Some((name, &quoted[at + 1..]));
        }
    }
    None
}
