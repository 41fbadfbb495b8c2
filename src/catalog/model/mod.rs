//! The catalog as plain data. Names are keys: an object is found by schema and name, never by oid, so that a
//! catalog read from a server equals the same catalog reached by simulation.

mod column;
mod constraint;
mod hash_index;
mod index;
mod kinds;
mod name;
mod references;
mod relation;
mod relations;
mod routine;
mod server;
mod shared;
mod sparse;
mod trigger;
mod types;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use column::*;
pub use constraint::*;
pub use index::*;
pub use kinds::*;
pub use name::*;
pub use relation::*;
pub use relations::{Difference, Relations};
pub use routine::*;
pub use server::*;
pub use shared::Shared;
pub use sparse::{Plain, Sparse};
pub use trigger::*;
pub use types::*;

/// Everything the planner may look at. A copy costs next to nothing, whatever the size of the schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// The server and session the catalog was read from.
    pub server: Server,
    /// Schemas by name (system schemas left out).
    pub schemas: Shared<BTreeMap<String, Schema>>,
    /// Every relation of user schemas (pg_class), indexes and sequences included; free-standing composite types
    /// are in `types` alone. Names of both kinds exclude each other within a schema.
    pub relations: Relations,
    /// User-defined types: enums, domains, ranges, base types and free-standing composite types. The row types
    /// of relations are not here, nor are array types: both follow from what they belong to.
    pub types: Shared<BTreeMap<Name, UserType>>,
    /// User-defined functions and procedures, overloads as separate entries, ordered by name and arguments.
    pub functions: Shared<Vec<Function>>,
    /// Casts that are not built in, ordered by source and target.
    pub casts: Shared<Vec<Cast>>,
    /// Publications by name.
    pub publications: Shared<BTreeMap<String, Publication>>,
    /// Names of enabled event triggers, with the event each fires on.
    pub event_triggers: Shared<BTreeMap<String, EventTrigger>>,
    /// Installed extensions and their schema.
    pub extensions: Shared<BTreeMap<String, String>>,
    /// Extended statistics objects by name.
    pub statistics: Shared<BTreeMap<Name, ExtendedStatistics>>,
    /// Default privileges, ordered by role, schema and object.
    #[serde(default, skip_serializing_if = "is_default")]
    pub default_privileges: Shared<Vec<DefaultPrivileges>>,
    /// Subscriptions of this database by name.
    pub subscriptions: Shared<Vec<String>>,
    /// Those of them without a replication slot at the publisher: dropping one needs no connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slotless_subscriptions: Vec<String>,
    /// Tablespaces by name.
    pub tablespaces: Shared<Vec<String>>,
    /// Table access methods by name; none when they were not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_methods: Vec<String>,
    /// Role names.
    pub roles: Shared<Vec<String>>,
}

/// For `serde(default)` of what is nearly always true.
fn yes() -> bool {
    true
}

/// For `serde(skip_serializing_if)` beside [`yes`].
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_yes(value: &bool) -> bool {
    *value
}

/// For `serde(skip_serializing_if)`: a catalog has hundreds of thousands of facts, most of them the usual one.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
