//! Triggers of the user that a backfill fires, and that the author's statement would not have fired where it is no `UPDATE`.

use pg_query::NodeEnum;

use super::expand::single;
use super::model::{Backfill, Empty, Hazard, HazardId, LossyUndo, Undo};
use crate::catalog::expression::strings;
use crate::catalog::{Catalog, Name, Trigger};
use crate::sql::quote;

/// Names of the triggers of `catalog` that fire when the rows are filled. That before the plan has none of the plan's own.
pub(super) fn triggers(backfill: &Backfill, catalog: &Catalog) -> Vec<String> {
    let Some(table) = catalog.relations.get(&Name::new(&*backfill.schema, &*backfill.table)) else { return Vec::new() };
    let fires =
        |trigger: &&Trigger| trigger.on_update && matches!(trigger.enabled, 'O' | 'A') && of_columns(trigger, backfill);
    table.triggers.iter().filter(fires).map(|trigger| quote::ident(&trigger.name)).collect()
}

/// Whether an assigned column is among those of `UPDATE OF`, or there are none.
fn of_columns(trigger: &Trigger, backfill: &Backfill) -> bool {
    let Some(NodeEnum::CreateTrigStmt(create)) = single(&trigger.definition).map(|statement| statement.node) else {
        return true;
    };
    let listed = strings(&create.columns);
    listed.is_empty() || backfill.assignments.iter().any(|assignment| listed.contains(&assignment.column))
}

/// What that puts at risk.
pub(super) fn hazard(backfill: &Backfill, triggers: &[String]) -> Hazard {
    let table = Name::new(&*backfill.schema, &*backfill.table).to_string();
    let message = format!(
        "Filling the rows of {table} in batches fires {} for them, which the statement as written would not: what that \
         writes stays, and a row that it refuses stops the run. Switch it off meanwhile, let it pass rows whose own columns \
         are the same, or have the table changed directly.",
        listed(triggers)
    );
    Hazard::new(HazardId::MayFail, Some(table), message)
}

/// The undo with what the triggers did, which no undo of ours takes back.
pub(super) fn undo(undo: Undo, backfill: &Backfill, triggers: &[String]) -> Undo {
    let table = Name::new(&*backfill.schema, &*backfill.table);
    let what = format!("what {} of {table} did when the rows were filled", listed(triggers));
    match undo {
        Undo::Nothing(Empty {}) => Undo::Lossy(LossyUndo { actions: Vec::new(), lost: what }),
        Undo::Lossless(steps) => Undo::Lossy(LossyUndo { actions: steps.actions, lost: what }),
        Undo::Lossy(lossy) => Undo::Lossy(LossyUndo { lost: format!("{}; {what}", lossy.lost), ..lossy }),
        Undo::Irreversible(why) => Undo::Irreversible(why),
    }
}

fn listed(triggers: &[String]) -> String {
    format!("trigger{} {}", if triggers.len() == 1 { "" } else { "s" }, triggers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Schema, apply::apply};
    use crate::plan::{Policy, RollbackClass, plan};
    use crate::sql::parse;

    fn planned(trigger: &str, change: &str) -> (RollbackClass, bool) {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        catalog.schemas.insert("public".to_owned(), Schema::default());
        let setup = format!(
            "CREATE TABLE t (id int PRIMARY KEY, a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; \
             END $$; {trigger}"
        );
        for statement in parse(&setup).unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        for relation in catalog.relations.values_mut() {
            (relation.stats.empty, relation.stats.bytes) = (false, 1 << 30);
        }
        let plan = plan(&parse(change).unwrap(), &catalog, &Policy::default()).unwrap();
        (plan.summary.rollback, plan.hazards.iter().any(|hazard| hazard.message.contains("fires trigger touch for")))
    }

    #[test]
    fn what_a_backfill_fires_is_told_and_not_called_undone() {
        let make = "CREATE TRIGGER touch BEFORE";
        for (trigger, fires) in [
            (format!("{make} UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()"), true),
            (format!("{make} UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION f()"), false),
            (format!("{make} INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"), false),
            (String::new(), false),
        ] {
            let class = if fires { RollbackClass::Lossy } else { RollbackClass::Lossless };
            let volatile = "ALTER TABLE t ADD COLUMN u uuid NOT NULL DEFAULT gen_random_uuid()";
            assert_eq!(planned(&trigger, volatile), (class, fires), "{trigger}");
            // The author's own statement fires them too: no hazard of ours, but no undo either.
            let update = "ALTER TABLE t ADD COLUMN u int; UPDATE t SET u = 1";
            assert_eq!(planned(&trigger, update), (class, false), "{trigger}");
        }
    }
}
