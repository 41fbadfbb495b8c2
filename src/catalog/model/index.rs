//! Indexes.

use serde::{Deserialize, Serialize};

use super::{Name, is_default, is_yes, yes};

/// An index's own facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// The table or materialized view it is on.
    pub table: Name,
    /// Access method: `btree`, `gin`, ...
    pub method: String,
    /// Unique.
    pub unique: bool,
    /// `NULLS NOT DISTINCT` (15+).
    #[serde(default, skip_serializing_if = "is_default")]
    pub nulls_not_distinct: bool,
    /// Behind a primary key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub primary: bool,
    /// `indisvalid`.
    pub valid: bool,
    /// `indisready`.
    pub ready: bool,
    /// `indimmediate` (false for deferrable constraints).
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub immediate: bool,
    /// Key parts in order.
    pub keys: Vec<IndexKey>,
    /// `INCLUDE` columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Predicate of a partial index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
    /// Columns mentioned in expressions and in the predicate, in the table's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expression_columns: Vec<String>,
    /// User-defined functions that expressions and predicate call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// Constraint it stands behind, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Index of the partitioned parent it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Name>,
    /// `pg_get_indexdef`.
    pub definition: String,
    /// `indisclustered`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clustered: bool,
}

/// One key part of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexKey {
    /// Column, or absent for an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Expression, as `pg_get_indexdef(.., n, ..)` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Operator class: the bare name when it is built in, else `schema.name`, quoted.
    pub operator_class: String,
    /// Operator family, `schema.name`, quoted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub operator_family: String,
    /// Whether the class is the default for the column's type and method.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub default_class: bool,
    /// Collation as `schema.name`, quoted (`pg_catalog."default"`); empty where the type has none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub collation: String,
    /// `DESC`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub descending: bool,
    /// `NULLS FIRST`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nulls_first: bool,
    /// Statistics target of an expression when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics_target: Option<i32>,
}
