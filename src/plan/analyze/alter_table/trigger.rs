//! ENABLE and DISABLE of triggers and rules.

use pg_query::protobuf::{AlterTableCmd, AlterTableType};

use super::work::Work;
use crate::catalog::ConstraintKind;
use crate::plan::analyze::resolve::Rel;
use crate::plan::model::HazardId;

/// Row triggers of a partitioned table are switched on its partitions too (`EnableDisableTrigger`).
pub(super) fn switch<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, command: &AlterTableCmd, recurse: bool) {
    use AlterTableType as T;
    let triggers = &table.relation.triggers;
    let subtype = command.subtype();
    let for_rows = match subtype {
        T::AtEnableTrigUser | T::AtDisableTrigUser => triggers.iter().any(|trigger| trigger.for_each_row),
        T::AtEnableTrigAll | T::AtDisableTrigAll => {
            triggers.iter().any(|trigger| trigger.for_each_row) || has_internal(work, table)
        }
        _ => {
            let named = triggers.iter().find(|trigger| trigger.name == command.name);
            if named.is_none() {
                let message = format!("trigger \"{}\" for table \"{}\" does not exist", command.name, table.name.name);
                work.impact.refuse("42704", message, "Check the name of the trigger.");
            }
            named.is_some_and(|trigger| trigger.for_each_row)
        }
    };
    if recurse && for_rows && table.relation.partition_key.is_some() {
        for partition in work.resolver.descendants(table) {
            work.lock(partition);
        }
    }
    let disables = matches!(subtype, T::AtDisableTrig | T::AtDisableTrigAll | T::AtDisableTrigUser);
    if disables {
        let message = format!("what triggers keep true about {} is not kept any more", table.name);
        work.impact.hazard(HazardId::BreaksClients, Some(table.name), message);
    }
}

/// Foreign keys of either side have row triggers; up to 14 those of partitions were not tied to the table's.
fn has_internal<'a>(work: &Work<'_, 'a>, table: Rel<'a>) -> bool {
    let own = table.relation.constraints.iter().any(|c| matches!(c.kind, ConstraintKind::ForeignKey { .. }));
    work.major() >= 15 && (own || !work.resolver.referencing(table.name).is_empty())
}

pub(super) fn switch_rule<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, name: &str) {
    let view = table.relation.view.is_some() && name == "_RETURN";
    if !view && !table.relation.rules.iter().any(|rule| rule.name == name) {
        let message = format!("rule \"{name}\" for relation \"{}\" does not exist", table.name.name);
        work.impact.refuse("42704", message, "Check the name of the rule.");
    }
}
