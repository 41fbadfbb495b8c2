//! What a plan is made from, and whether it changed.

use std::collections::BTreeSet;

use crate::api::Database;
use crate::api::migration::MigrationSpec;
use crate::controller::names;
use crate::plan::HazardId;

use super::observed::Observed;

/// Hazards that do not stop the plan: the Database's and the Migration's, without those the Database forbids.
pub fn allowed_hazards(database: &Database, spec: &MigrationSpec) -> BTreeSet<HazardId> {
    let policy = &database.spec.policy;
    let allowed = policy.allowed_hazards.iter().chain(&spec.allow_hazards).copied();
    allowed.filter(|hazard| !policy.forbidden_hazards.contains(hazard)).collect()
}

/// Hazards that the Migration allows and the Database forbids.
pub fn forbidden_hazards(database: &Database, spec: &MigrationSpec) -> Vec<HazardId> {
    let forbidden = &database.spec.policy.forbidden_hazards;
    spec.allow_hazards.iter().copied().filter(|hazard| forbidden.contains(hazard)).collect()
}

/// Fingerprint of everything that a plan is made from; absent while something of it is not known.
pub fn inputs(observed: &Observed) -> Option<String> {
    let source = observed.source.digest()?;
    let database = observed.database.as_ref()?;
    let hazards: Vec<String> =
        allowed_hazards(database, &observed.migration.spec).iter().map(ToString::to_string).collect();
    let connection = serde_json::to_string(&database.spec.connection).ok()?;
    let limit = database.spec.policy.in_place_bytes_max.to_string();
    let hazards = hazards.join(",");
    let mut parts = vec![source, &hazards, &connection, &limit];
    let checks = serde_json::to_string(&observed.migration.spec.checks).ok()?;
    if !observed.migration.spec.checks.is_empty() {
        parts.push(&checks);
    }
    Some(names::digest(parts))
}
