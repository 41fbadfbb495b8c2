//! Relations (`pg_class`) and what hangs on a table.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{
    Column, Constraint, Index, Name, PartitionKey, Plain, Policy, Rule, Sequence, Sparse, Trigger, View, is_default,
};

/// `pg_class.relkind`, without composite types and toast tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum RelationKind {
    Table,
    PartitionedTable,
    Index,
    PartitionedIndex,
    View,
    MaterializedView,
    Sequence,
    ForeignTable,
}

impl RelationKind {
    /// Whether the relation has storage of its own that can be scanned or rewritten as a heap.
    pub fn has_heap(self) -> bool {
        matches!(self, Self::Table | Self::MaterializedView)
    }

    /// Table or partitioned table.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::PartitionedTable)
    }

    /// Index of either kind.
    pub fn is_index(self) -> bool {
        matches!(self, Self::Index | Self::PartitionedIndex)
    }
}

/// `pg_class.relpersistence`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Persistence {
    #[default]
    Permanent,
    Unlogged,
    Temporary,
}

/// One entry of `pg_class`. What only some have is boxed: there may be tens of thousands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relation {
    /// What it is.
    pub kind: RelationKind,
    /// Permanent, unlogged or temporary.
    #[serde(default, skip_serializing_if = "is_default")]
    pub persistence: Persistence,
    /// Owning role.
    pub owner: String,
    /// Columns in order, dropped ones left out. Empty for indexes and sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
    /// Constraints of tables, ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// Set for indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Box<Index>>,
    /// Table access method; empty where it has none. Of an index: `index.method`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access_method: String,
    /// Size and estimated rows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stats: Statistics,
    /// What few relations have. Its fields are read and written as the relation's own.
    #[serde(flatten)]
    pub details: Sparse<RelationDetails>,
}

/// What few relations have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelationDetails {
    /// Set in a simulated catalog when the columns could not be worked out (`CREATE TABLE AS` of a query whose
    /// types are not known): there may be others, of other types.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub columns_unknown: bool,
    /// User triggers (internal ones left out), ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    /// Rewrite rules other than a view's own, ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Row security policies, ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// `relrowsecurity`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub row_security: bool,
    /// `relforcerowsecurity`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub force_row_security: bool,
    /// Parents by inheritance or partitioning, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Name>,
    /// Set when the relation is a partition: the bound as `pg_get_expr(relpartbound)` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_bound: Option<String>,
    /// Set for a partition whose `DETACH CONCURRENTLY` was cut off.
    #[serde(default, skip_serializing_if = "is_default")]
    pub detach_pending: bool,
    /// Set for partitioned tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<Box<PartitionKey>>,
    /// Composite type of a typed table (`OF`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_type: Option<Name>,
    /// Set for views and materialized views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<Box<View>>,
    /// Set for sequences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Box<Sequence>>,
    /// Set for foreign tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<ForeignTable>,
    /// Storage parameters (`reloptions`), `name=value`; those of its toast table as `toast.name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Tablespace; empty for the database's default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tablespace: String,
    /// Replica identity. Default for what is neither table nor materialized view.
    #[serde(default, skip_serializing_if = "is_default")]
    pub replica_identity: ReplicaIdentity,
    /// Access privileges, as `relacl` prints them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Extension that owns the relation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

impl Plain for RelationDetails {
    fn plain() -> &'static Self {
        static PLAIN: LazyLock<RelationDetails> = LazyLock::new(RelationDetails::default);
        &PLAIN
    }
}

impl Deref for Relation {
    type Target = RelationDetails;

    fn deref(&self) -> &RelationDetails {
        &self.details
    }
}

impl DerefMut for Relation {
    fn deref_mut(&mut self) -> &mut RelationDetails {
        &mut self.details
    }
}

impl Relation {
    /// A relation of `kind` with nothing in it.
    pub fn new(kind: RelationKind, owner: impl Into<String>) -> Self {
        Self {
            kind,
            persistence: Persistence::Permanent,
            owner: owner.into(),
            columns: Vec::new(),
            constraints: Vec::new(),
            index: None,
            access_method: String::new(),
            stats: Statistics::default(),
            details: Sparse::default(),
        }
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The constraint of that name.
    pub fn constraint(&self, name: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.name == name)
    }
}

/// Sizes, read from the catalog without counting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// `reltuples`; -1 when never analysed.
    pub rows: i64,
    /// Main fork, bytes. 0 for what has no storage.
    pub bytes: i64,
    /// Main forks of heap, indexes and toast table together, bytes.
    pub total_bytes: i64,
    /// Whether the heap is known to hold no row at all (no pages).
    pub empty: bool,
    /// `relallvisible`: pages an index-only scan need not look at.
    #[serde(default, skip_serializing_if = "is_default")]
    pub visible_pages: i64,
    /// Oid of a table that is partitioned by hash: checks that prove a hash bound name it. 0: not known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub oid: u32,
}

/// A foreign table's own facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignTable {
    /// Foreign server.
    pub server: String,
    /// Names and values of its options, `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// `relreplident`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ReplicaIdentity {
    #[default]
    Default,
    Nothing,
    Full,
    /// By the named index.
    Index(String),
}

/// A dependency on a relation, or on one column of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnReference {
    /// Relation.
    pub relation: Name,
    /// Column; absent when the relation as a whole is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}
