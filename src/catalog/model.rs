//! The catalog as plain data. Names are keys: an object is found by schema and name, never by oid, so that a
//! catalog read from a server equals the same catalog reached by simulation.

use std::collections::BTreeMap;
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

/// Everything the planner may look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// The server and session the catalog was read from.
    pub server: Server,
    /// Schemas by name (system schemas left out).
    pub schemas: BTreeMap<String, Schema>,
    /// Every relation of user schemas (pg_class), indexes and sequences included.
    pub relations: BTreeMap<Name, Relation>,
    /// User-defined types: enums, domains, ranges, base types. Composite types too, with their columns in
    /// `relations` when they belong to a table.
    pub types: BTreeMap<Name, UserType>,
    /// User-defined functions and procedures, overloads as separate entries.
    pub functions: Vec<Function>,
    /// Casts that are not built in.
    pub casts: Vec<Cast>,
    /// Publications by name.
    pub publications: BTreeMap<String, Publication>,
    /// Names of enabled event triggers, with the event each fires on.
    pub event_triggers: BTreeMap<String, EventTrigger>,
    /// Installed extensions and their schema.
    pub extensions: BTreeMap<String, String>,
    /// Extended statistics objects by name.
    pub statistics: BTreeMap<Name, ExtendedStatistics>,
    /// Subscriptions of this database by name.
    pub subscriptions: Vec<String>,
    /// Tablespaces by name.
    pub tablespaces: Vec<String>,
    /// Role names.
    pub roles: Vec<String>,
}

/// Server and session facts that change what a statement does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// `server_version_num`, for example 180004.
    pub version: i32,
    /// Session `TimeZone`.
    pub time_zone: String,
    /// The schemas of `current_schemas(false)`, in order.
    pub search_path: Vec<String>,
    /// `current_database()`.
    pub database: String,
    /// `current_user`.
    pub user: String,
    /// Whether the current user is a superuser.
    pub superuser: bool,
    /// Database oid; 0 when not known.
    pub database_oid: u32,
    /// `system_identifier` of the cluster as text; empty when it may not be read.
    pub system_identifier: String,
    /// `default_tablespace` of the database.
    #[serde(default)]
    pub default_tablespace: String,
}

impl Server {
    /// Major version: 18 for 180004.
    pub fn major(&self) -> i32 {
        self.version / 10_000
    }
}

/// A schema (namespace).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// Owning role.
    pub owner: String,
    /// Access privileges as `pg_namespace.nspacl` prints them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// `pg_class.relkind`.
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
    CompositeType,
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

/// One entry of `pg_class`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relation {
    /// What it is.
    pub kind: RelationKind,
    /// Permanent, unlogged or temporary.
    #[serde(default)]
    pub persistence: Persistence,
    /// Owning role.
    pub owner: String,
    /// Columns in order, dropped ones left out. Empty for indexes and sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
    /// Constraints of tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// User triggers (internal ones left out).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    /// Rewrite rules other than a view's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Row security policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// `relrowsecurity`.
    #[serde(default)]
    pub row_security: bool,
    /// `relforcerowsecurity`.
    #[serde(default)]
    pub force_row_security: bool,
    /// Parents by inheritance or partitioning, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Name>,
    /// Set when the relation is a partition: the bound as `pg_get_expr(relpartbound)` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_bound: Option<String>,
    /// Set for a partition whose `DETACH CONCURRENTLY` was cut off.
    #[serde(default)]
    pub detach_pending: bool,
    /// Set for partitioned tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<PartitionKey>,
    /// Composite type of a typed table (`OF`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_type: Option<Name>,
    /// Set for views and materialized views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// Set for indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Index>,
    /// Set for sequences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    /// Storage parameters (`reloptions`), `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Table access method; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access_method: String,
    /// Tablespace; empty for the database's default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tablespace: String,
    /// Replica identity.
    #[serde(default)]
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
    /// Size and estimated rows.
    #[serde(default)]
    pub stats: Statistics,
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
            triggers: Vec::new(),
            rules: Vec::new(),
            policies: Vec::new(),
            row_security: false,
            force_row_security: false,
            parents: Vec::new(),
            partition_bound: None,
            detach_pending: false,
            partition_key: None,
            of_type: None,
            view: None,
            index: None,
            sequence: None,
            options: Vec::new(),
            access_method: String::new(),
            tablespace: String::new(),
            replica_identity: ReplicaIdentity::Default,
            privileges: Vec::new(),
            comment: None,
            extension: None,
            stats: Statistics::default(),
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
    /// `pg_relation_size` of the main fork, bytes.
    pub bytes: i64,
    /// Heap, indexes and toast together, bytes.
    pub total_bytes: i64,
    /// Whether the heap is known to hold no row at all (no pages).
    pub empty: bool,
}

/// A column of a table, view, materialized view, foreign table or composite type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// Collation when it is not the type's default, as `schema.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// `attnotnull`. On 18 it is already true while the not-null constraint is not valid: ask the constraint.
    #[serde(default)]
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
    /// Column privileges as `attacl` prints them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Defined here rather than only inherited (`attislocal`).
    #[serde(default = "yes")]
    pub local: bool,
    /// Number of parents it is inherited from (`attinhcount`).
    #[serde(default)]
    pub inherited: i32,
}

fn yes() -> bool {
    true
}

impl Column {
    /// A nullable local column without anything else.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            collation: None,
            not_null: false,
            default: None,
            generated: None,
            identity: None,
            owned_sequence: None,
            storage: None,
            compression: None,
            statistics_target: None,
            options: Vec::new(),
            privileges: Vec::new(),
            comment: None,
            local: true,
            inherited: 0,
        }
    }
}

/// A type with its modifier. Built-in types have schema `pg_catalog` and their internal name (`int4`,
/// `varchar`, `timestamptz`); the element type's name is used for arrays, with `array` set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataType {
    /// Type (element type for arrays).
    pub name: Name,
    /// `atttypmod`, -1 when there is none.
    pub modifier: i32,
    /// Whether it is an array of `name`.
    #[serde(default)]
    pub array: bool,
    /// As `format_type` prints it.
    pub sql: String,
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
    #[serde(default = "yes")]
    pub validated: bool,
    /// `conenforced` (18); always true before.
    #[serde(default = "yes")]
    pub enforced: bool,
    /// `condeferrable`.
    #[serde(default)]
    pub deferrable: bool,
    /// `condeferred`.
    #[serde(default)]
    pub initially_deferred: bool,
    /// `connoinherit`.
    #[serde(default)]
    pub no_inherit: bool,
    /// Defined here rather than only inherited (`conislocal`).
    #[serde(default = "yes")]
    pub local: bool,
    /// Number of parents it is inherited from (`coninhcount`).
    #[serde(default)]
    pub inherited: i32,
    /// Index behind a unique, primary key or exclusion constraint; for a foreign key the referenced index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Name>,
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
        /// `conparentid` is set: it belongs to a constraint of the partitioned parent.
        from_parent: bool,
    },
    /// Constraint trigger.
    Trigger,
}

/// A user trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// `pg_get_triggerdef`.
    pub definition: String,
    /// Fires for each row (rather than statement).
    pub for_each_row: bool,
    /// Fires before, after or instead of the event.
    pub timing: TriggerTiming,
    /// Fires on insert.
    pub on_insert: bool,
    /// Fires on update.
    pub on_update: bool,
    /// Fires on delete.
    pub on_delete: bool,
    /// Columns of `UPDATE OF`, and those its WHEN clause mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// `tgenabled`: `O` origin, `D` disabled, `R` replica, `A` always.
    pub enabled: char,
    /// The function it calls.
    pub function: Name,
    /// Cloned from a partitioned parent's trigger.
    #[serde(default)]
    pub from_parent: bool,
    /// Referenced table of a constraint trigger (`FROM`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Name>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// When a trigger fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TriggerTiming {
    Before,
    After,
    InsteadOf,
}

/// A rewrite rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Name.
    pub name: String,
    /// `pg_get_ruledef`.
    pub definition: String,
    /// Relations (and columns) it reads or writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ColumnReference>,
    /// `ev_enabled`.
    pub enabled: char,
}

/// A row security policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Name.
    pub name: String,
    /// `PERMISSIVE` (true) or `RESTRICTIVE`.
    pub permissive: bool,
    /// `polcmd`: `r a w d *`.
    pub command: char,
    /// Role names; `public` for all.
    pub roles: Vec<String>,
    /// USING expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub using: Option<String>,
    /// WITH CHECK expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_check: Option<String>,
    /// Columns and relations its expressions depend on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ColumnReference>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
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

/// Partitioning of a partitioned table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionKey {
    /// `l` list, `r` range, `h` hash.
    pub strategy: char,
    /// Columns of the key, those inside expressions included.
    pub columns: Vec<String>,
    /// `pg_get_partkeydef`.
    pub definition: String,
    /// Default partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_partition: Option<Name>,
}

/// A view's or materialized view's own facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// `pg_get_viewdef`.
    pub definition: String,
    /// What it depends on (`pg_depend` of its rule).
    pub references: Vec<ColumnReference>,
    /// Functions it calls that are user-defined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// `relispopulated` of materialized views.
    #[serde(default = "yes")]
    pub populated: bool,
}

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
    #[serde(default)]
    pub nulls_not_distinct: bool,
    /// Behind a primary key.
    #[serde(default)]
    pub primary: bool,
    /// `indisvalid`.
    pub valid: bool,
    /// `indisready`.
    pub ready: bool,
    /// `indimmediate` (false for deferrable constraints).
    #[serde(default = "yes")]
    pub immediate: bool,
    /// Key parts in order.
    pub keys: Vec<IndexKey>,
    /// `INCLUDE` columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Predicate of a partial index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
    /// Columns mentioned in expressions and in the predicate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expression_columns: Vec<String>,
    /// Constraint it stands behind, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Index of the partitioned parent it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Name>,
    /// `pg_get_indexdef`.
    pub definition: String,
    /// `indisclustered`.
    #[serde(default)]
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
    /// Operator class name.
    pub operator_class: String,
    /// Operator family, `schema.name`.
    #[serde(default)]
    pub operator_family: String,
    /// Whether the class is the default for the column's type and method.
    #[serde(default = "yes")]
    pub default_class: bool,
    /// Collation, empty where the type has none.
    #[serde(default)]
    pub collation: String,
    /// `DESC`.
    #[serde(default)]
    pub descending: bool,
    /// `NULLS FIRST`.
    #[serde(default)]
    pub nulls_first: bool,
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
    #[serde(default)]
    pub identity: bool,
}

/// A user-defined type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserType {
    /// What it is.
    pub kind: TypeKind,
    /// Owning role.
    pub owner: String,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Extension that owns the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

/// `typtype` with what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum TypeKind {
    Enum {
        labels: Vec<String>,
    },
    #[serde(rename_all = "camelCase")]
    Domain {
        base: DataType,
        not_null: bool,
        /// The domain's own default expression.
        default: Option<String>,
        constraints: Vec<DomainConstraint>,
    },
    /// Free-standing composite type: its attributes.
    Composite {
        attributes: Vec<Column>,
    },
    Range {
        subtype: String,
    },
    Base,
}

/// A CHECK or NOT NULL of a domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainConstraint {
    /// Name.
    pub name: String,
    /// `pg_get_constraintdef`.
    pub definition: String,
    /// `convalidated`.
    pub validated: bool,
}

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
    #[serde(default)]
    pub result: String,
    /// `i` immutable, `s` stable, `v` volatile.
    pub volatility: char,
    /// Language name.
    pub language: String,
    /// `STRICT`.
    #[serde(default)]
    pub strict: bool,
    /// Relations and columns an SQL-body function depends on (14+).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ColumnReference>,
    /// `pg_get_functiondef`; empty for aggregates.
    #[serde(default)]
    pub definition: String,
    /// Extension that owns the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

/// A cast that is not built in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cast {
    /// Source type.
    pub source: Name,
    /// Target type.
    pub target: Name,
    /// `pg_cast.castmethod`: `b` binary, `f` function, `i` in/out.
    pub method: char,
    /// `pg_cast.castcontext`: `i` implicit, `a` assignment, `e` explicit.
    pub context: char,
}

/// A publication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// `FOR ALL TABLES`.
    pub all_tables: bool,
    /// Tables named one by one.
    pub tables: Vec<Name>,
    /// Schemas (15+).
    #[serde(default)]
    pub schemas: Vec<String>,
    /// Publishes updates or deletes (which then need a replica identity).
    pub updates_or_deletes: bool,
    /// Columns that column lists and row filters mention.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnReference>,
}

/// An event trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventTrigger {
    /// `ddl_command_start`, `ddl_command_end`, `sql_drop`, `table_rewrite`, `login`.
    pub event: String,
    /// Tags it is limited to.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The function it calls.
    pub function: Name,
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
