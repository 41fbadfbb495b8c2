//! `Database`: where a database is, how it is reached, and what may happen in it. Owned by the platform team.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::job_template::JobTemplate;
use super::reference::{LocalRef, PortSource, SecretKeyRef, SecretSource, TextSource};
use crate::inspect::activity::Activity;
use crate::plan::HazardId;

/// Where the database is, and what may happen in it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "wesley.dev",
    version = "v1alpha1",
    kind = "Database",
    plural = "databases",
    shortname = "pgdb",
    category = "wesley",
    namespaced,
    status = "DatabaseStatus",
    derive = "PartialEq",
    doc = "A PostgreSQL database that Migrations change: how it is reached, which dangers are tolerable, when validation runs.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether the database answered last time."),
    printcolumn(name = "Server", type_ = "string", json_path = ".status.serverVersion", description = "Version of the server."),
    printcolumn(name = "Database", type_ = "string", json_path = ".status.identity.database", description = "Name of the database on the server."),
    printcolumn(name = "Running", type_ = "string", json_path = ".status.running", description = "The Migration that is executed now."),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting", description = "Migrations that wait for their turn."),
    printcolumn(name = "Last Contact", type_ = "date", json_path = ".status.lastContactTime", description = "When a Job last reported about it."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1, description = "Why it is ready or not."),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name may have at most 63 characters: it becomes a label of Jobs")
)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSpec {
    /// How the database is reached. Migrations need a direct connection, not a pooler in transaction mode.
    pub connection: Connection,
    /// Encryption and verification of the connection.
    #[serde(default)]
    pub tls: Tls,
    /// What Migrations of this database may do.
    #[serde(default)]
    pub policy: DatabasePolicy,
    /// Patience of Migrations, unless they say otherwise themselves.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// What is looked at from time to time, without a Migration.
    #[serde(default)]
    pub inspection: Inspection,
    /// Overrides of the pods of Jobs that work on this database.
    #[serde(default)]
    pub job_template: JobTemplate,
}

/// How a database is reached: the parts, or one URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.url) || has(self.host)").message("give host (with dbname, user, password) or url"),
    validation = Rule::new("!has(self.url) || !(has(self.host) || has(self.port) || has(self.dbname) || has(self.user) || has(self.password))").message("give either url or the parts host, port, dbname, user, password, not both"),
    validation = Rule::new("has(self.url) || (has(self.dbname) && has(self.user))").message("dbname and user are required with host")
)]
pub struct Connection {
    /// A connection URL (`postgresql://user:password@host:port/dbname`) in a Secret; then no other part may be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretSource>,
    /// Host name or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<TextSource>,
    /// Port; 5432 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortSource>,
    /// Name of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbname: Option<TextSource>,
    /// Role that Migrations run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<TextSource>,
    /// Password of the role, in a Secret; absent where the server asks for none (client certificates).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
}

/// Encryption and verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// How much is verified. Wins over `sslmode` of a URL.
    #[serde(default)]
    pub mode: TlsMode,
    /// Certificates of the authorities that sign the server's certificate (PEM); the public ones when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// A Secret of type `kubernetes.io/tls` with the client's certificate (`tls.crt`) and key (`tls.key`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret_ref: Option<LocalRef>,
}

/// How much of the server's identity is verified; the names and meanings are libpq's.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::IntoStaticStr,
    strum::EnumString,
)]
pub enum TlsMode {
    /// Encrypted; certificate chain and host name are verified.
    #[default]
    VerifyFull,
    /// Encrypted; the certificate chain is verified, the host name is not.
    #[serde(rename = "VerifyCA")]
    #[strum(serialize = "VerifyCA")]
    VerifyCa,
    /// Encrypted; nothing is verified: no protection against an attacker in between.
    Require,
    /// Encrypted where the server can, plain otherwise.
    Prefer,
    /// Never encrypted.
    Disable,
}

/// What Migrations of a database may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.allowedHazards) || !has(self.forbiddenHazards) || self.allowedHazards.all(hazard, !(hazard in self.forbiddenHazards))").message("a hazard is in allowedHazards and in forbiddenHazards: remove it from one of them"))]
pub struct DatabasePolicy {
    /// Hazards that every Migration of this database may have. A Migration can allow others for itself in its
    /// `allowHazards`, except those in `forbiddenHazards`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_hazards: Vec<HazardId>,
    /// Hazards that no Migration of this database may have, whatever its `allowHazards` say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    pub forbidden_hazards: Vec<HazardId>,
    /// Least approval that a Migration needs: with `Required` here, `Automatic` in a Migration has no effect.
    #[serde(default)]
    pub approval: ApprovalRule,
    /// Largest table, in bytes, that may be rewritten or read in place under a lock that blocks others.
    #[serde(default = "default_in_place_bytes")]
    #[schemars(range(min = 0, max = 1_099_511_627_776_i64))]
    pub in_place_bytes_max: i64,
    /// ValidationWindow of Migrations that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_window_ref: Option<LocalRef>,
    /// When sessions are ended that keep a table from a step; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminate_blockers: Option<TerminateBlockers>,
    /// Most indexes that a Migration builds at a time, each on another table; 1 when absent. Each takes up to
    /// `maintenance_work_mem` on the server, and two connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub index_builds_max: Option<i32>,
}

/// After which wait for a table the sessions that hold it are ended (`pg_terminate_backend`): their transactions are
/// rolled back. The role needs `pg_signal_backend`, or to be a member of theirs. What is gone in time is never ended; nor are
/// prepared transactions, background processes, and runs of Wesley.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminateBlockers {
    /// Seconds after which those are ended that are idle in a transaction; never when absent. Which they are is visible to
    /// members of `pg_read_all_stats` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_seconds: Option<i32>,
    /// Seconds after which any are ended; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub any_seconds: Option<i32>,
}

impl Default for DatabasePolicy {
    fn default() -> Self {
        Self {
            allowed_hazards: Vec::new(),
            forbidden_hazards: Vec::new(),
            approval: ApprovalRule::default(),
            in_place_bytes_max: default_in_place_bytes(),
            default_window_ref: None,
            terminate_blockers: None,
            index_builds_max: None,
        }
    }
}

fn default_in_place_bytes() -> i64 {
    crate::plan::Policy::default().in_place_bytes
}

/// Whether somebody has to look at a plan before it runs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::Display,
)]
pub enum ApprovalRule {
    /// A plan without forbidden hazards runs at once.
    #[default]
    Automatic,
    /// A plan waits for its approval: on the MigrationPlan, or by its digest in the Migration.
    Required,
}

/// Patience of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// Longest single wait for a lock that makes other sessions queue; 500 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub lock_slice_milliseconds: Option<i32>,
    /// How long one step waits for its locks, all tries together; 600 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub lock_budget_seconds: Option<i32>,
    /// Longest run of a statement whose work does not grow with a table; 5 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600))]
    pub statement_seconds: Option<i32>,
    /// Longest run of one Job, after which it is stopped and resumed by the next; 86400 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub run_seconds: Option<i32>,
}

/// What is looked at from time to time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// Seconds between two Jobs that sample the activity of the database; never when absent. Quiet hours are suggested
    /// after a week of samples that are at most an hour apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 86_400))]
    pub interval_seconds: Option<i32>,
}

/// Jobs that sample the activity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InspectionRecord {
    /// Number of the last one.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub number: i32,
    /// The Job that runs now. Written before it is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub job: Option<String>,
    /// When the last one was decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When the last one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_time: Option<Time>,
    /// How it ended, one word; explained in `docs/reasons.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub reason: Option<String>,
    /// How it ended, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// What the last Jobs found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// The `metadata.generation` that the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When this generation was first seen; what Jobs found out earlier is not about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_since: Option<Time>,
    /// `Ready`, `Reconciling`, `Stalled`, `Reachable`, `CircuitOpen`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Version of the server, such as `18.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub server_version: Option<String>,
    /// Physical identity of the database, as of the last plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<DatabaseIdentity>,
    /// When a Job last reported about the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact_time: Option<Time>,
    /// The Migration that is executed or rolled back now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub running: Option<String>,
    /// Number of Migrations that wait for their turn.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub waiting: i32,
    /// Migrations that wait for their turn, in the order in which they get it: the oldest first. The first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub queue: Vec<LocalRef>,
    /// Runs in a row that the database failed; absent when the last one reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
    /// Jobs that sample the activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection: Option<InspectionRecord>,
    /// What they found: activity by the hour of the week, and suggested quiet hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
}

/// Runs in a row, of whatever Migration, that the database failed: not reached, out of connections, or lost at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Circuit {
    /// How many.
    #[schemars(range(min = 1))]
    pub failures: i32,
    /// When the first of them ended.
    pub since: Time,
    /// How the last one ended, one word; explained in `docs/reasons.md`.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// Until then no Job works on the database, afterwards one at a time tries; absent while the failures are too few
    /// for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_time: Option<Time>,
    /// The Migration whose Job tries now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub probe: Option<String>,
}

/// Physical identity of a database: a restored or moved one differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseIdentity {
    /// `server_version_num` of the server.
    pub server_version: i32,
    /// `system_identifier` of the cluster; empty when the role may not read it.
    #[schemars(length(max = 32))]
    pub system_identifier: String,
    /// Oid of the database.
    #[schemars(range(min = 0))]
    pub database_oid: i64,
    /// Name of the database.
    #[schemars(length(max = 63))]
    pub database: String,
}
