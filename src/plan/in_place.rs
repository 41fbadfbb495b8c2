//! Steps that are safe because a table is small, and stop being so when it grows before they run.

use super::expand::size;
use super::lock::LockMode;
use super::model::{Action, Plan, Policy, SmallTables, Step};
use crate::catalog::{Catalog, Name};

/// Bytes up to which a table may grow whatever the limit: gone through in a few milliseconds. The limit may be 0, and then
/// only what had no row is changed in place; a few rows, and the pages of its indexes, are no reason to stop.
const GROWTH_LEAST: i64 = 1 << 20;

/// Notes in the step which small tables it goes through while writers or readers may wait. Tables of the plan's own are not
/// in `catalog`; what was above the limit was allowed by name, whatever its size.
pub(super) fn mark(step: &mut Step, catalog: &Catalog, policy: &Policy) {
    let waited_for = |relation: &str| {
        step.locks.iter().any(|lock| {
            lock.relation == relation
                && lock.mode >= LockMode::RowExclusive
                && lock.mode != LockMode::ShareUpdateExclusive
        })
    };
    let mut tables: Vec<String> = Vec::new();
    for relation in step.rewrites.iter().chain(&step.scans) {
        let Ok(name) = relation.parse::<Name>() else { continue };
        let small = catalog.relations.get(&name).is_some_and(|found| found.kind.has_heap())
            && size(catalog, &name) <= policy.in_place_bytes;
        if small && waited_for(relation) && !tables.contains(relation) {
            tables.push(relation.clone());
        }
    }
    if let Action::Transaction(transaction) = &mut step.action
        && transaction.long
        && !tables.is_empty()
    {
        let bytes_max = policy.in_place_bytes.saturating_mul(2).max(GROWTH_LEAST);
        transaction.small = Some(SmallTables { tables, bytes_max });
    }
}

/// The first table that has grown out of the plan, with its bytes.
pub fn outgrown(plan: &Plan, catalog: &Catalog) -> Option<(String, i64)> {
    let small = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Transaction(transaction) => transaction.small.as_ref(),
        _ => None,
    });
    for SmallTables { tables, bytes_max } in small {
        for table in tables {
            let name = table.parse::<Name>().ok().filter(|name| catalog.relations.contains_key(name));
            if let Some(bytes) = name.map(|name| size(catalog, &name)).filter(|bytes| bytes > bytes_max) {
                return Some((table.clone(), bytes));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Relation, RelationKind};
    use crate::plan::plan;
    use crate::sql::parse;

    fn catalog(bytes: i64) -> Catalog {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        let mut table = Relation::new(RelationKind::Table, "o");
        (table.stats.empty, table.stats.bytes) = (false, bytes);
        catalog.relations.insert(Name::new("public", "t"), table);
        catalog
    }

    #[test]
    fn a_plan_for_a_small_table_is_none_for_a_large_one() {
        let policy = Policy { in_place_bytes: 1_000_000, ..Policy::default() };
        let statements = parse("ALTER TABLE t ADD COLUMN u uuid NOT NULL DEFAULT gen_random_uuid()").unwrap();
        let small = plan(&statements, &catalog(900_000), &policy).unwrap();
        assert_eq!(outgrown(&small, &catalog(2_000_000)), None);
        assert_eq!(outgrown(&small, &catalog(2_000_001)), Some(("public.t".to_owned(), 2_000_001)));
        let large = plan(&statements, &catalog(1_000_001), &policy).unwrap();
        assert_eq!(outgrown(&large, &catalog(1 << 40)), None);
    }

    #[test]
    fn a_few_rows_in_a_table_that_was_empty_do_not_stop_its_plan() {
        let policy = Policy { in_place_bytes: 0, ..Policy::default() };
        let statements = parse("ALTER TABLE t ADD COLUMN u uuid NOT NULL DEFAULT gen_random_uuid()").unwrap();
        let plan = plan(&statements, &catalog(0), &policy).unwrap();
        assert_eq!(outgrown(&plan, &catalog(GROWTH_LEAST)), None);
        assert!(outgrown(&plan, &catalog(GROWTH_LEAST + 1)).is_some());
    }
}
