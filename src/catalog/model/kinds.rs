//! What partitioned tables, views, sequences and statistics objects have of their own.

use serde::{Deserialize, Serialize};

use super::{ColumnReference, Name, is_default, is_yes, yes};

/// Partitioning of a partitioned table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionKey {
    /// `l` list, `r` range, `h` hash.
    pub strategy: char,
    /// Columns of the key, those inside expressions included.
    pub columns: Vec<String>,
    /// User-defined functions that expressions of the key call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// `pg_get_partkeydef`.
    pub definition: String,
    /// Default partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_partition: Option<Name>,
}

/// A view's or materialized view's own facts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// `pg_get_viewdef`.
    pub definition: String,
    /// What it depends on (`pg_depend` of its rule).
    pub references: Vec<ColumnReference>,
    /// Functions it calls that are user-defined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// User-defined types it mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Name>,
    /// Primary keys it depends on: it groups by them and shows other columns of their tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<ConstraintReference>,
    /// `relispopulated` of materialized views.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub populated: bool,
}

/// A dependency on a constraint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConstraintReference {
    /// Table that has it.
    pub relation: Name,
    /// Name of the constraint.
    pub constraint: String,
}

/// A sequence's own facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sequence {
    /// Data type: `smallint`, `integer`, `bigint`.
    pub data_type: String,
    /// Start value.
    pub start: i64,
    /// Increment.
    pub increment: i64,
    /// Minimum.
    pub minimum: i64,
    /// Maximum.
    pub maximum: i64,
    /// Cache.
    pub cache: i64,
    /// Cycles.
    pub cycle: bool,
    /// Owning column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<ColumnReference>,
    /// Belongs to an identity column.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: bool,
}

/// An extended statistics object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtendedStatistics {
    /// Table.
    pub table: Name,
    /// Columns, those inside expressions included.
    pub columns: Vec<String>,
    /// `pg_get_statisticsobjdef`.
    pub definition: String,
    /// Owning role.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: String,
    /// Statistics target when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics_target: Option<i32>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
