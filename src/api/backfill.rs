//! `spec.backfill` of a Migration: how fast rows are changed, and what a backfill waits for.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How fast rows are changed in batches, and what a backfill waits for between two of them. May be changed while one
/// runs: no new plan, no new approval, no restart; the runner follows within two minutes (`query`: the next Job).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackfillTuning {
    /// Most rows in a second; as many as it can when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub rows_per_second_max: Option<i64>,
    /// Pause after each batch, in percent of the time that the batch took; 0 when absent, 100 leaves half of the time
    /// to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub pause_percent: Option<i32>,
    /// How long a batch should take, and with it how long a row stays locked; 150 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 1_000))]
    pub batch_milliseconds: Option<i32>,
    /// Limits over which it waits.
    #[serde(default)]
    pub holds: BackfillHolds,
}

/// Limits over which a backfill waits between two batches, looked at once a second. Any one of them holds it; what it
/// waits for, and since when, is in the step's message in the MigrationPlan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.query) || self.query.trim() != ''").message("backfill.holds.query is blank: give one query that gives one row with one boolean, or remove it"))]
#[x_kube(validation = Rule::new("!has(self.http) || isURL(self.http) && self.http.matches('^https?://[^@]+$')").message("backfill.holds.http is no address: give one that begins with http:// or https://, without a user in it"))]
pub struct BackfillHolds {
    /// Seconds that a standby may be behind; 0 is without limit, 30 when absent. Standbys are visible to members of
    /// `pg_monitor` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub standby_seconds: Option<i32>,
    /// Bytes of WAL that a standby may not have replayed yet; 0 is without limit, 1 GiB when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub standby_bytes: Option<i64>,
    /// Bytes of WAL that a replication slot may retain; 0 is without limit, 16 GiB when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub slot_bytes: Option<i64>,
    /// Bytes of WAL that the server, whoever writes it, may write in a second; 0 or absent is without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub wal_bytes_per_second: Option<i64>,
    /// WAL segments that may wait for being archived; 0 is without limit, 42 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub archive_segments: Option<i32>,
    /// Seconds that the oldest transaction in the database may be open, prepared ones included: until it ends, no vacuum can
    /// remove what the backfill leaves behind; 0 or absent is without limit. Transactions of other roles are visible to
    /// members of `pg_read_all_stats` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub transaction_seconds: Option<i32>,
    /// Whether it waits while the table is vacuumed; no when absent. Vacuums of other roles, autovacuum among them, are
    /// visible to members of `pg_read_all_stats` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vacuum: Option<bool>,
    /// A query of your own: the backfill waits while it gives one row with true, and while it fails. It runs read-only
    /// as the Database's role, for five seconds at most. A change of it counts from the next Job on: suspend and resume the
    /// Migration, and it goes on at its checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4_096))]
    pub query: Option<String>,
    /// An address of your own (http or https), asked with GET once a second: the backfill waits while it answers with
    /// another status than 2xx, and while there is no answer within five seconds. A change of it counts from the next Job on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2_048))]
    pub http: Option<String>,
    /// An expression that a Prometheus is asked for once a second. A change of it counts from the next Job on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusHold>,
}

/// An expression that holds a backfill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("isURL(self.url) && self.url.matches('^https?://[^@]+$')").message("backfill.holds.prometheus.url is no address: give one that begins with http:// or https://, without a user in it"))]
#[x_kube(validation = Rule::new("self.query.trim() != ''").message("backfill.holds.prometheus.query is blank: give an expression as in an alerting rule"))]
pub struct PrometheusHold {
    /// Address of the server: what comes before `/api/v1/query`.
    #[schemars(length(min = 1, max = 2_048))]
    pub url: String,
    /// An expression as in an alerting rule, such as `node_filesystem_avail_bytes{instance="db"} < 2e10`: the backfill waits while
    /// it gives anything, while it fails, and while there is no answer within five seconds.
    #[schemars(length(min = 1, max = 4_096))]
    pub query: String,
}
