//! Sizes of relations, without counting rows.

use std::collections::HashMap;

use super::super::Catalog;
use super::query::each;
use super::{Context, IntrospectError};

/// Main forks of whatever has storage, with the relation it belongs to: a table's indexes and its toast table
/// belong to the table. The small index of the toast table is left out.
const SIZES: &str = "
select m.oid, m.owner, pg_catalog.pg_relation_size(m.oid)
from (
    select c.oid, c.oid
    from pg_catalog.pg_class c
    where c.relnamespace = any($1) and c.relkind in ('r', 'm')
    union all
    select i.indexrelid, i.indrelid
    from pg_catalog.pg_index i
    join pg_catalog.pg_class c on c.oid = i.indexrelid
    where c.relnamespace = any($1) and c.relkind = 'i'
    union all
    select c.reltoastrelid, c.oid
    from pg_catalog.pg_class c
    where c.relnamespace = any($1) and c.relkind in ('r', 'm') and c.reltoastrelid <> 0
) m(oid, owner)";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    let mut totals: HashMap<u32, i64> = HashMap::new();
    each(context.client, "sizes", SIZES, &names.schema_oids, |row| {
        let (oid, owner): (u32, u32) = (row.take()?, row.take()?);
        // NULL for what was dropped meanwhile.
        let bytes: Option<i64> = row.take()?;
        *totals.entry(owner).or_default() += bytes.unwrap_or(0);
        let relation = names.relations.get(&oid).and_then(|name| catalog.relations.get_mut(name));
        if let Some(relation) = relation {
            relation.stats.bytes = bytes.unwrap_or(0);
            relation.stats.empty = bytes == Some(0) && relation.kind.has_heap();
            if relation.kind.is_index() {
                relation.stats.total_bytes = relation.stats.bytes;
            }
        }
        Ok(())
    })
    .await?;
    for (oid, total) in totals {
        if let Some(relation) = names.relations.get(&oid).and_then(|name| catalog.relations.get_mut(name)) {
            relation.stats.total_bytes = total;
        }
    }
    Ok(())
}
