//! Functions and procedures.

use serde::{Deserialize, Serialize};

use super::{ColumnReference, Name, is_default};

/// A user-defined function or procedure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Function {
    /// Name.
    pub name: Name,
    /// `f` function, `p` procedure, `a` aggregate, `w` window.
    pub kind: char,
    /// `pg_get_function_identity_arguments`.
    pub arguments: String,
    /// `pg_get_function_result`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub result: String,
    /// `i` immutable, `s` stable, `v` volatile.
    pub volatility: char,
    /// Language name.
    pub language: String,
    /// `STRICT`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strict: bool,
    /// Relations and columns an SQL-body function depends on (14+).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ColumnReference>,
    /// User-defined functions an SQL-body function, or a default of its arguments, depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// User-defined types of its arguments and result, and those its body mentions (14+).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Name>,
    /// `pg_get_functiondef`; empty for aggregates and for what belongs to an extension.
    #[serde(default, skip_serializing_if = "is_default")]
    pub definition: String,
    /// Extension that owns the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// Owning role.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: String,
    /// Access privileges as `proacl` prints them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
