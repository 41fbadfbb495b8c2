//! User triggers.

use super::super::{Catalog, Name, Trigger, TriggerTiming};
use super::comments::class;
use super::query::{Fields, each};
use super::{Context, IntrospectError};

/// Before 15 the clones on partitions are marked internal as well; those of foreign keys have no parent there.
const TRIGGERS: &str = "
select t.tgrelid, t.oid, t.tgname::pg_catalog.text, t.tgtype, t.tgenabled, n.nspname::pg_catalog.text,
    p.proname::pg_catalog.text, t.tgparentid <> 0, t.tgconstrrelid, pg_catalog.pg_get_triggerdef(t.oid)
from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_proc p on p.oid = t.tgfoid
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where c.relnamespace = any($1) and {is_user_trigger}";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    let sql = TRIGGERS.replace(
        "{is_user_trigger}",
        context.since(15, "not t.tgisinternal", "(not t.tgisinternal or t.tgparentid <> 0)"),
    );
    each(context.client, "triggers", &sql, &names.schema_oids, |row| {
        let table_oid = row.take()?;
        let Some(table) = names.relations.get(&table_oid) else { return Ok(()) };
        let trigger = trigger(context, table_oid, row)?;
        if let Some(relation) = catalog.relations.get_mut(table) {
            relation.triggers.push(trigger);
        }
        Ok(())
    })
    .await?;
    for relation in catalog.relations.values_mut() {
        relation.triggers.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(())
}

fn trigger(context: &Context<'_>, table: u32, row: &mut Fields<'_>) -> Result<Trigger, tokio_postgres::Error> {
    let names = &context.names;
    let oid = row.take()?;
    let name = row.take()?;
    // Bits of pg_trigger.h.
    let kind: i16 = row.take()?;
    let has = |bit: i16| kind & bit != 0;
    let enabled = row.take_char()?.unwrap_or('O');
    let function = Name { schema: row.take()?, name: row.take()? };
    let mut functions = context.dependencies.references(class::TRIGGER, oid, names).functions;
    functions.retain(|called| *called != function);
    let columns = context.dependencies.column_numbers(class::TRIGGER, oid, table);
    Ok(Trigger {
        name,
        for_each_row: has(1),
        timing: if has(64) {
            TriggerTiming::InsteadOf
        } else if has(2) {
            TriggerTiming::Before
        } else {
            TriggerTiming::After
        },
        on_insert: has(4),
        on_delete: has(8),
        on_update: has(16),
        on_truncate: has(32),
        columns: names.columns(table, &columns),
        enabled,
        function,
        functions,
        from_parent: row.take()?,
        references: names.relations.get(&row.take()?).cloned(),
        definition: row.take()?,
        comment: context.comments.of(class::TRIGGER, oid),
    })
}
