//! The server, the session, and what belongs to the database as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ColumnReference, Name, Shared, is_default};

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
    /// The database's own tablespace (`pg_database.dattablespace`): where a relation without one lies.
    #[serde(default, skip_serializing_if = "is_default")]
    pub default_tablespace: String,
    /// Session `default_table_access_method`: what a new table gets (`heap`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub default_table_access_method: String,
    /// Session `default_tablespace`; empty for the database's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session_tablespace: String,
    /// The session has `check_function_bodies` off: the server does not look at what new functions are made of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unchecked_bodies: bool,
    /// The `search_path` setting when a simulated statement has set it: schemas that do not exist yet included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search_path_setting: Vec<String>,
    /// Extensions whose files the server has, installed in the database or not, and the extensions that the default
    /// version of each requires; none when they were not read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub available_extensions: Shared<BTreeMap<String, Vec<String>>>,
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

/// A publication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// `FOR ALL TABLES`.
    pub all_tables: bool,
    /// Tables named one by one.
    pub tables: Vec<Name>,
    /// Schemas (15+).
    #[serde(default, skip_serializing_if = "is_default")]
    pub schemas: Vec<String>,
    /// Owning role.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: String,
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
    #[serde(default, skip_serializing_if = "is_default")]
    pub tags: Vec<String>,
    /// The function it calls.
    pub function: Name,
}

/// What `ALTER DEFAULT PRIVILEGES` gives to new objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DefaultPrivileges {
    /// The role whose new objects get them.
    pub role: String,
    /// Only in this schema; everywhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// `r` tables, `S` sequences, `f` functions, `T` types, `n` schemas, `L` large objects.
    pub object: char,
    /// As `defaclacl` prints them.
    pub privileges: Vec<String>,
}
