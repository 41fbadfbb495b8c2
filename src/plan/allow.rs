//! Which dangers of a plan need somebody's permission.

use std::str::FromStr;

use super::created::Created;
use super::expand::size;
use super::model::{Hazard, HazardId, Policy};
use crate::catalog::{Catalog, Name};

/// Dangers that grow with the size of a table: below the limit they are none.
fn by_size(id: HazardId) -> bool {
    matches!(
        id,
        HazardId::TableRewrite
            | HazardId::TableScan
            | HazardId::BlocksReads
            | HazardId::BlocksWrites
            | HazardId::IndexBuild
            | HazardId::LargeDataChange
    )
}

/// Dangers that are told but need no permission.
fn informs(id: HazardId) -> bool {
    matches!(id, HazardId::HiddenLock | HazardId::MayFail | HazardId::Authorization | HazardId::Irreversible)
}

/// Whether the danger is real on this catalog: not on relations that only the plan knows, and not on tables
/// below the limit when it comes from their size.
pub(super) fn matters(hazard: &Hazard, catalog: &Catalog, created: &Created, policy: &Policy) -> bool {
    let Some(relation) = hazard.relation.as_deref().and_then(|text| Name::from_str(text).ok()) else {
        return true;
    };
    if created.relation(&relation) {
        return matches!(hazard.id, HazardId::Unanalyzable | HazardId::ClusterWide);
    }
    // What is not in the catalog has an unknown size.
    !by_size(hazard.id) || size(catalog, &relation) > policy.in_place_bytes
}

/// The hazards that stop the plan.
pub(super) fn forbidden(hazards: &[Hazard], policy: &Policy) -> Vec<Hazard> {
    hazards.iter().filter(|hazard| !informs(hazard.id) && !policy.allowed.contains(&hazard.id)).cloned().collect()
}
