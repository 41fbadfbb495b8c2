//! The plan as data: what a MigrationPlan's spec holds and what the runner executes.
//!
//! Enums are externally tagged, numbers are signed integers, so that the same types serve as a Kubernetes
//! structural schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lock::LockMode;

/// The ordered steps that bring the catalog to the changed catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// `sha256:` and the hex digest of the plan's canonical JSON with this field empty.
    pub digest: String,
    /// `sha256:` and the hex digest of the author's statements, byte for byte.
    pub source_digest: String,
    /// The database the plan was made for.
    pub target: TargetIdentity,
    /// Fingerprint of the catalog facts the plan depends on; a different one means: plan again.
    pub catalog_fingerprint: String,
    /// What it all amounts to.
    pub summary: Summary,
    /// Steps in the order of execution.
    pub steps: Vec<Step>,
    /// Dangers that the plan still has after the patterns did their work.
    #[serde(default)]
    pub hazards: Vec<Hazard>,
    /// Remarks for people: why a direct statement was chosen, what differs from the author's text.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Physical identity of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetIdentity {
    /// `server_version_num`.
    pub server_version: i32,
    /// `system_identifier` of the cluster as text; empty when it may not be read.
    pub system_identifier: String,
    /// Oid of the database; 0 when not known (planned from a file).
    pub database_oid: i64,
    /// Name of the database.
    pub database: String,
}

/// One screen for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Number of the author's statements.
    pub statements: i64,
    /// Number of steps.
    pub steps: i64,
    /// Strongest lock of any step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strongest_lock: Option<LockMode>,
    /// Relations whose reads are blocked at some time.
    #[serde(default)]
    pub blocks_reads: Vec<String>,
    /// Relations whose writes are blocked at some time.
    #[serde(default)]
    pub blocks_writes: Vec<String>,
    /// Whether any step is of stage `Validate` (and so may wait for a window).
    pub needs_validation: bool,
    /// Whether any step is of stage `Contract`.
    pub has_contract: bool,
    /// How the whole can be undone.
    pub rollback: RollbackClass,
    /// Why it cannot be undone, or what is lost.
    #[serde(default)]
    pub rollback_reason: String,
}

/// How far a change can be undone.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::Display,
)]
pub enum RollbackClass {
    /// Schema and data return exactly.
    #[default]
    Lossless,
    /// The schema returns; some data is lost.
    Lossy,
    /// There is no way back.
    ForwardOnly,
}

/// What a step is for. A label, not a bucket: the order is the plan's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Stage {
    /// Adds what is missing, compatible with the old application.
    Expand,
    /// Fills data in batches.
    Backfill,
    /// Reads whole tables to prove a constraint, or builds an index: belongs into quiet hours.
    Validate,
    /// Makes the new form the one in use.
    Switch,
    /// Removes what is no longer needed: the point of no return.
    Contract,
}

/// Smallest unit of execution and checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Stable within the plan: `001-add-column`, at most 63 characters.
    pub id: String,
    /// What it is for.
    pub stage: Stage,
    /// The author's statement it comes from.
    pub origin: Origin,
    /// The pattern that made it, `as-written` when there is none.
    pub pattern: String,
    /// One sentence for people.
    pub description: String,
    /// What runs.
    pub action: Action,
    /// Locks on relations that exist before the step.
    pub locks: Vec<StepLock>,
    /// Relations that get a new file while the lock is held.
    #[serde(default)]
    pub rewrites: Vec<String>,
    /// Relations that are read in full while the lock is held.
    #[serde(default)]
    pub scans: Vec<String>,
    /// Relations whose users it waits for without blocking them.
    #[serde(default)]
    pub waits_for_transactions: Vec<String>,
    /// What it costs.
    pub estimate: Estimate,
    /// How the runner tells from the catalog that the step is done.
    pub postcondition: Postcondition,
    /// How it is undone.
    pub undo: Undo,
}

/// Where a step comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Index of the author's statement, from 0.
    pub statement: i64,
    /// First byte in the source.
    pub start: i64,
    /// One past the last byte in the source.
    pub end: i64,
}

/// What a step runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Statements of one transaction, together with the ledger row.
    Transaction(Transaction),
    /// One statement that the server refuses inside a transaction block.
    Concurrent(Concurrent),
    /// Rows changed in batches, each with its cursor in its own transaction.
    Backfill(Backfill),
    /// A question whose answer must be true before going on.
    Check(Check),
    /// A long run of statements that change rows, in batches, each with its place in its own transaction.
    Script(Script),
}

/// See [`Action::Transaction`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// Run in order.
    pub statements: Vec<String>,
    /// Whether the work under the lock is proportional to a table's size (a scan or rewrite): then only
    /// waiting for the lock is bounded, not the statement.
    #[serde(default)]
    pub long: bool,
    /// Tables that it reads or writes in full under its lock because they were small when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small: Option<SmallTables>,
    /// Asked under its locks before its statements; any answer but true ends the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Check>,
}

/// Tables that the plan goes through in place. When one has grown over the limit since, the step is not what was
/// planned any more, and does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmallTables {
    /// Schema and name, quoted where they need it.
    pub tables: Vec<String>,
    /// Bytes, with indexes and TOAST, that each may have now: twice the policy's limit and at least 1 MiB, so that a table
    /// just below it, or one without a row, does not stop its plan by a few rows.
    pub bytes_max: i64,
}

/// See [`Action::Concurrent`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concurrent {
    /// Run outside a transaction block.
    pub statement: String,
    /// Run first when an earlier try left something invalid behind (`DROP INDEX CONCURRENTLY`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<String>,
}

/// See [`Action::Backfill`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backfill {
    /// Schema of the table (a leaf, never a partitioned parent).
    pub schema: String,
    /// Table.
    pub table: String,
    /// Columns that order the rows: a primary key or a unique not-null index. Empty: by block ranges (ctid).
    pub key: Vec<String>,
    /// `SET` list: column (unquoted) and SQL expression over the row.
    pub assignments: Vec<Assignment>,
    /// Rows that still need it (SQL over the row); absent: all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Whether running a batch twice changes nothing more (the filter excludes done rows). When false the
    /// cursor alone guards against a second run.
    pub idempotent: bool,
}

/// One column of a backfill's SET list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Column, unquoted.
    pub column: String,
    /// SQL expression.
    pub expression: String,
}

/// See [`Action::Check`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// A query with one boolean column and one row.
    pub query: String,
    /// Said when the answer is not true. No row values.
    pub message: String,
}

/// See [`Action::Script`]. The statements themselves stay in the author's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// Number of statements.
    pub statements: i64,
    /// Bytes of their texts.
    pub bytes: i64,
    /// `sha256:` and the hex digest of their texts, each ended by a semicolon and a line feed.
    pub digest: String,
    /// Run first in the transaction of each batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// What they do to which relations.
    pub changes: Vec<RowChange>,
}

/// Statements of one kind on one relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowChange {
    /// `INSERT`, `UPDATE`, `DELETE` or `MERGE`.
    pub command: String,
    /// `schema.name`, quoted as the server does.
    pub relation: String,
    /// Number of statements.
    pub statements: i64,
}

/// A lock of a step with what it means for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepLock {
    /// `schema.name`, quoted as the server does; `*` for all.
    pub relation: String,
    /// Mode.
    pub mode: LockMode,
    /// Who waits while it is held.
    pub blocks: Blocks,
}

/// Who waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Blocks {
    /// Nobody but other schema changes or maintenance.
    Nothing,
    /// INSERT, UPDATE, DELETE.
    Writes,
    /// Everything, SELECT included.
    ReadsAndWrites,
}

impl From<LockMode> for Blocks {
    fn from(mode: LockMode) -> Self {
        if mode.blocks_reads() {
            Self::ReadsAndWrites
        } else if mode.blocks_writes() {
            Self::Writes
        } else {
            Self::Nothing
        }
    }
}

/// What a step is expected to cost. Ranges, because sizes and machines differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Rows read or written.
    pub rows: i64,
    /// Bytes read or written.
    pub bytes: i64,
    /// Least seconds.
    pub seconds_least: i64,
    /// Most seconds.
    pub seconds_most: i64,
    /// Most bytes of WAL that it writes: what standbys, slots and the archive have to take.
    #[serde(default)]
    pub wal_bytes_most: i64,
    /// Most bytes of disk that it needs besides, sort files and dead rows included.
    #[serde(default)]
    pub disk_bytes_most: i64,
    /// What the figures are made from.
    #[serde(default)]
    pub basis: String,
}

/// How the runner tells from the catalog that a step is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Postcondition {
    /// Its ledger row is written in the same transaction: the row is the proof.
    Recorded(Empty),
    /// The index exists, is valid and ready, and is on the table.
    IndexValid(IndexProbe),
    /// No index of that name exists.
    IndexAbsent(IndexProbe),
    /// A query with one boolean; true when done.
    Query(String),
}

/// Nothing (an object so that the schema stays structural).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// The index a concurrent step builds or drops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexProbe {
    /// Schema of table and index.
    pub schema: String,
    /// Index.
    pub index: String,
    /// Table.
    pub table: String,
    /// The definition it must have, as `pg_get_indexdef` prints it; empty when it could not be foretold.
    #[serde(default)]
    pub definition: String,
}

/// How a step is undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Undo {
    /// Nothing to undo.
    Nothing(Empty),
    /// Schema and data return.
    Lossless(UndoSteps),
    /// The schema returns, `lost` does not.
    Lossy(LossyUndo),
    /// There is no way back.
    Irreversible(Irreversible),
}

/// See [`Undo::Lossless`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndoSteps {
    /// Run in order.
    pub actions: Vec<UndoAction>,
}

/// See [`Undo::Lossy`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LossyUndo {
    /// Run in order.
    pub actions: Vec<UndoAction>,
    /// What does not come back, for people.
    pub lost: String,
}

/// See [`Undo::Irreversible`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Irreversible {
    /// Why, for people.
    pub why: String,
}

/// An action of an undo with the proof that it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndoAction {
    /// What runs.
    pub action: Action,
    /// How the runner tells that it is done.
    pub postcondition: Postcondition,
    /// Locks on relations that are there when it begins; empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<StepLock>,
}

/// A named danger of a change, with a stable id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hazard {
    /// Stable id.
    pub id: HazardId,
    /// The relation in danger, `schema.name`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    /// What happens, for people. No literals of the author's SQL.
    pub message: String,
}

impl std::fmt::Display for Hazard {
    /// Id, relation where the message does not name it, and message.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.relation {
            Some(relation) if !self.message.contains(relation.as_str()) => {
                write!(f, "{} on {relation}: {}", self.id, self.message)
            }
            _ => write!(f, "{}: {}", self.id, self.message),
        }
    }
}

impl Hazard {
    /// Builds a hazard.
    pub fn new(id: HazardId, relation: Option<String>, message: impl Into<String>) -> Self {
        Self { id, relation, message: message.into() }
    }
}

/// Stable ids of dangers, documented in `docs/hazards.md`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
pub enum HazardId {
    /// Rows, columns, tables or schemas are removed.
    DataLoss,
    /// A table is written anew under a lock that blocks everybody.
    TableRewrite,
    /// A table is read in full under a lock that blocks reads or writes.
    TableScan,
    /// Reads and writes wait for work proportional to a table's size.
    BlocksReads,
    /// Writes wait for work proportional to a table's size.
    BlocksWrites,
    /// An index is built under a lock that blocks writes.
    IndexBuild,
    /// A lock falls on a table that the statement does not name.
    HiddenLock,
    /// Running applications break: renamed or removed names, changed types.
    BreaksClients,
    /// Many rows are changed in one transaction.
    LargeDataChange,
    /// The server may refuse it depending on the data.
    MayFail,
    /// Privileges, ownership or row security change.
    Authorization,
    /// The statement changes the server or cluster beyond this database.
    ClusterWide,
    /// The statement cannot be undone although it removes no data.
    Irreversible,
    /// Nobody can tell what it does before it runs.
    Unanalyzable,
}

/// What the platform team lets pass, and the limits the planner works within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Hazards that do not stop the plan.
    pub allowed: std::collections::BTreeSet<HazardId>,
    /// Largest table in bytes that may be rewritten or scanned in place under a blocking lock.
    pub in_place_bytes: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { allowed: std::collections::BTreeSet::new(), in_place_bytes: 16 * 1024 * 1024 }
    }
}
