//! Which dangers of a plan need somebody's permission.

use std::str::FromStr;

use super::analyze::Impact;
use super::created::Created;
use super::expand::{heavy, size};
use super::model::{Action, Blocks, Hazard, HazardId, Policy, Step, Undo};
use crate::catalog::{Catalog, Name, RelationKind};

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
fn matters(hazard: &Hazard, catalog: &Catalog, created: &Created, policy: &Policy) -> bool {
    let Some(relation) = hazard.relation.as_deref().and_then(|text| Name::from_str(text).ok()) else {
        return true;
    };
    if created.relation(&relation) {
        return matches!(hazard.id, HazardId::Unanalyzable | HazardId::ClusterWide);
    }
    // What is not in the catalog has an unknown size.
    !by_size(hazard.id) || size(catalog, &relation) > policy.in_place_bytes
}

/// The dangers of a step that are real: those that the classifier named, and those that the facts show and no rule
/// has named.
pub(super) fn hazards(
    impact: &Impact,
    undo: &Undo,
    (before, after): (&Catalog, &Catalog),
    created: &Created,
    policy: &Policy,
) -> Vec<Hazard> {
    let mut hazards = impact.hazards.clone();
    if heavy(impact, before, created, policy) && !hazards.iter().any(|hazard| tells_of_blocking(hazard.id)) {
        for target in impact.scans.union(&impact.rewrites) {
            hazards.push(Hazard::new(
                HazardId::TableScan,
                Some(target.to_string()),
                format!("{target} is read in full while others wait for a lock"),
            ));
        }
    }
    if let Undo::Irreversible(irreversible) = undo
        && !hazards.iter().any(|hazard| hazard.id == HazardId::Irreversible)
    {
        let message = format!("there is no way back: {}", irreversible.why);
        hazards.push(Hazard::new(HazardId::Irreversible, None, message));
    }
    hazards.retain(|hazard| matters(hazard, before, created, policy) && !stood_in_for(hazard, before, after));
    hazards
}

/// Whether clients find a view where the table was that the step renamed, or a view with the columns of the one that was
/// there.
fn stood_in_for(hazard: &Hazard, before: &Catalog, after: &Catalog) -> bool {
    let Some(name) = hazard.relation.as_deref().and_then(|text| Name::from_str(text).ok()) else {
        return false;
    };
    let (Some(was), Some(is)) = (before.relations.get(&name), after.relations.get(&name)) else {
        return false;
    };
    let is_view = |kind: RelationKind| matches!(kind, RelationKind::View | RelationKind::MaterializedView);
    let kept = || {
        was.columns.iter().all(|column| is.column(&column.name).is_some_and(|now| now.data_type == column.data_type))
    };
    let alike = is_view(was.kind) && is_view(is.kind) && !was.columns_unknown && !is.columns_unknown && kept();
    hazard.id == HazardId::BreaksClients && (was.kind.is_table() && is.kind == RelationKind::View || alike)
}

fn tells_of_blocking(id: HazardId) -> bool {
    matches!(
        id,
        HazardId::TableRewrite
            | HazardId::TableScan
            | HazardId::BlocksReads
            | HazardId::BlocksWrites
            | HazardId::IndexBuild
            | HazardId::Unanalyzable
    )
}

/// The hazards that stop the plan.
pub(super) fn forbidden(hazards: &[Hazard], policy: &Policy) -> Vec<Hazard> {
    hazards.iter().filter(|hazard| !informs(hazard.id) && !policy.allowed.contains(&hazard.id)).cloned().collect()
}

/// Remarks on tables that are worked on in place because they are small.
pub(super) fn small_tables(steps: &[Step], catalog: &Catalog, policy: &Policy) -> Vec<String> {
    let mut small: Vec<&String> = Vec::new();
    for step in steps {
        let blocks = step.locks.iter().any(|lock| lock.blocks != Blocks::Nothing);
        if !blocks || !matches!(step.action, Action::Transaction(_)) {
            continue;
        }
        for relation in step.rewrites.iter().chain(&step.scans) {
            let Ok(name) = relation.parse::<Name>() else { continue };
            let is_table = catalog.relations.get(&name).is_some_and(|relation| relation.kind.has_heap());
            if is_table && !small.contains(&relation) && size(catalog, &name) <= policy.in_place_bytes {
                small.push(relation);
            }
        }
    }
    let limit = policy.in_place_bytes >> 20;
    small
        .into_iter()
        .map(|relation| {
            format!("{relation} is changed directly: at no more than {limit} MiB the work under the lock is short")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::catalog::{Catalog, Name, apply::apply};
    use crate::plan::{HazardId, Policy, plan};
    use crate::sql::parse;

    fn dangers(setup: &str, change: &str) -> Vec<HazardId> {
        use strum::IntoEnumIterator;
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        for statement in parse(&format!("CREATE SCHEMA public; {setup}")).unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        if let Some(table) = catalog.relations.get_mut(&Name::new("public", "big")) {
            (table.stats.empty, table.stats.bytes) = (false, 1 << 40);
        }
        let policy = Policy { allowed: HazardId::iter().collect(), ..Policy::default() };
        plan(&parse(change).unwrap(), &catalog, &policy).unwrap().hazards.iter().map(|hazard| hazard.id).collect()
    }

    #[test]
    fn what_is_done_to_a_table_in_the_step_that_makes_it_is_no_danger() {
        let change = "CREATE TABLE t (id int, a int); ALTER TABLE t ADD CHECK (a > 0);
                      ALTER TABLE t ALTER a TYPE text USING a || 'x'; ALTER TABLE t ADD PRIMARY KEY (id)";
        assert_eq!(dangers("", change), []);
    }

    #[test]
    fn a_new_name_does_not_make_a_large_table_new() {
        let change = "ALTER TABLE big RENAME TO t; ALTER TABLE t ADD EXCLUDE USING btree (a WITH =)";
        assert!(dangers("CREATE TABLE big (id int, a int)", change).contains(&HazardId::IndexBuild));
        let change = "DROP TABLE big; CREATE TABLE big (id int, a int)";
        assert!(dangers("CREATE TABLE big (id int, a int)", change).contains(&HazardId::DataLoss));
    }
}
