//! Columns.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{ColumnReference, DataType, Name, Plain, Shared, Sparse, is_default, is_yes, yes};

/// A column of a table, view, materialized view or foreign table; an attribute of a composite type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type. Columns read from a server share those that are the same.
    pub data_type: Shared<DataType>,
    /// `attnotnull`. On 18 it is already true while the not-null constraint is not valid: ask the constraint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub not_null: bool,
    /// Default expression as `pg_get_expr` prints it; for generated columns their expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Generated column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
    /// Identity column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Defined here rather than only inherited (`attislocal`).
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub local: bool,
    /// Number of parents it is inherited from (`attinhcount`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub inherited: i32,
    /// What few columns have. Its fields are read and written as the column's own.
    #[serde(flatten)]
    pub details: Sparse<ColumnDetails>,
}

/// What few columns have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnDetails {
    /// Collation when it is not the type's default, as `schema.name`, each part quoted where it needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// Sequence owned by the column (serial or identity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_sequence: Option<Name>,
    /// Storage strategy when it differs from the type's: `PLAIN EXTERNAL EXTENDED MAIN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Compression method when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Statistics target when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics_target: Option<i32>,
    /// `attoptions`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// What the default or the generation expression depends on: other columns of the table, sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ColumnReference>,
    /// User-defined functions that the default or the generation expression calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// Options for the foreign-data wrapper (`attfdwoptions`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_options: Vec<String>,
    /// Column privileges as `attacl` prints them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Column {
    /// A nullable local column without anything else.
    pub fn new(name: impl Into<String>, data_type: impl Into<Shared<DataType>>) -> Self {
        Self {
            name: name.into(),
            data_type: data_type.into(),
            not_null: false,
            default: None,
            generated: None,
            identity: None,
            local: true,
            inherited: 0,
            details: Sparse::default(),
        }
    }
}

impl Plain for ColumnDetails {
    fn plain() -> &'static Self {
        static PLAIN: LazyLock<ColumnDetails> = LazyLock::new(ColumnDetails::default);
        &PLAIN
    }
}

impl Deref for Column {
    type Target = ColumnDetails;

    fn deref(&self) -> &ColumnDetails {
        &self.details
    }
}

impl DerefMut for Column {
    fn deref_mut(&mut self) -> &mut ColumnDetails {
        &mut self.details
    }
}

/// `attgenerated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Generated {
    Stored,
    Virtual,
}

/// `attidentity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Identity {
    Always,
    ByDefault,
}
