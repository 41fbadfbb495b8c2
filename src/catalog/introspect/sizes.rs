//! Sizes of relations, without counting rows.

use std::collections::HashMap;

use super::super::Catalog;
use super::query::each;
use super::{Context, IntrospectError};

/// Main forks of whatever has storage, with the relation it belongs to: a table's indexes and its toast table
/// (with the toast index) belong to the table. `pg_relation_size` would wait behind an `ACCESS EXCLUSIVE` lock;
/// for a relation on which someone holds or awaits one, the number of pages at the last vacuum or analyze stands
/// in.
const SIZES: &str = "
with locked as materialized (
    select l.relation
    from pg_catalog.pg_locks l
    join pg_catalog.pg_database d on d.oid = l.database
    where d.datname = pg_catalog.current_database() and l.locktype = 'relation'
        and l.mode = 'AccessExclusiveLock' and l.pid <> pg_catalog.pg_backend_pid()
), member(oid, owner) as (
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
    union all
    select i.indexrelid, c.oid
    from pg_catalog.pg_class c
    join pg_catalog.pg_index i on i.indrelid = c.reltoastrelid
    where c.relnamespace = any($1) and c.relkind in ('r', 'm') and c.reltoastrelid <> 0
)
select m.oid, m.owner, l.relation is null,
    case when l.relation is null then pg_catalog.pg_relation_size(m.oid)
        else c.relpages::pg_catalog.int8 * pg_catalog.current_setting('block_size')::pg_catalog.int8 end
from member m
join pg_catalog.pg_class c on c.oid = m.oid
left join (select distinct relation from locked) l on l.relation = m.oid";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    let mut totals: HashMap<u32, i64> = HashMap::new();
    each(context.client, "sizes", SIZES, &names.schema_oids, |row| {
        let (oid, owner, measured) = (row.take::<u32>()?, row.take::<u32>()?, row.take::<bool>()?);
        let bytes = row.take::<Option<i64>>()?;
        *totals.entry(owner).or_default() += bytes.unwrap_or(0);
        let relation = names.relations.get(&oid).and_then(|name| catalog.relations.get_mut(name));
        if let Some(relation) = relation {
            relation.stats.bytes = bytes.unwrap_or(0);
            relation.stats.empty = measured && bytes == Some(0) && relation.kind.has_heap();
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
