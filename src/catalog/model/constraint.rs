//! Constraints of tables.

use serde::{Deserialize, Serialize};

use super::{Name, is_default, is_yes, yes};

/// One entry of `pg_constraint` on a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Constraint {
    /// Name.
    pub name: String,
    /// What it demands.
    pub kind: ConstraintKind,
    /// `conkey` as column names, in order. For checks: every column mentioned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// `pg_get_constraintdef`.
    pub definition: String,
    /// `convalidated`.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub validated: bool,
    /// `conenforced` (18); always true before.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enforced: bool,
    /// `condeferrable`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deferrable: bool,
    /// `condeferred`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initially_deferred: bool,
    /// `connoinherit`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_inherit: bool,
    /// Defined here rather than only inherited (`conislocal`).
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub local: bool,
    /// Number of parents it is inherited from (`coninhcount`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub inherited: i32,
    /// Index behind a unique, primary key or exclusion constraint; for a foreign key the referenced index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Name>,
    /// User-defined functions that a check calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// `WITHOUT OVERLAPS` or `PERIOD` (18).
    #[serde(default, skip_serializing_if = "is_default")]
    pub period: bool,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// `contype` with what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum ConstraintKind {
    /// The expression as `pg_get_expr` prints it.
    Check {
        expression: String,
    },
    /// Only 18 and later have these in the catalog; before, `Column::not_null` is all there is.
    NotNull,
    PrimaryKey,
    Unique,
    Exclusion,
    #[serde(rename_all = "camelCase")]
    ForeignKey {
        references: Name,
        referenced_columns: Vec<String>,
        on_update: char,
        on_delete: char,
        match_type: char,
        /// Columns of `ON DELETE SET NULL (...)` or `SET DEFAULT (...)` (15+); empty for all of the key.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        delete_columns: Vec<String>,
        /// `conparentid` is set: it belongs to a constraint of the partitioned parent.
        from_parent: bool,
    },
    /// Constraint trigger.
    Trigger,
}
