//! Inheritance and partitioning.

use super::super::{Catalog, PartitionKey};
use super::comments::class;
use super::query::each;
use super::{Context, IntrospectError};

/// Of tables; the parents of indexes are read with the indexes.
const PARENTS: &str = "
select i.inhrelid, i.inhparent, {detach_pending}
from pg_catalog.pg_inherits i
join pg_catalog.pg_class c on c.oid = i.inhrelid
where c.relnamespace = any($1) and c.relkind in ('r', 'p', 'f')
order by i.inhrelid, i.inhseqno";

const KEYS: &str = "
select p.partrelid, p.partstrat, p.partattrs::pg_catalog.int2[], p.partdefid, pg_catalog.pg_get_partkeydef(p.partrelid)
from pg_catalog.pg_partitioned_table p
join pg_catalog.pg_class c on c.oid = p.partrelid
where c.relnamespace = any($1)";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    let sql = PARENTS.replace("{detach_pending}", context.since(14, "i.inhdetachpending", "false"));
    each(context.client, "inheritance", &sql, &names.schema_oids, |row| {
        let child = names.relations.get(&row.take()?).and_then(|name| catalog.relations.get_mut(name));
        let parent = names.relations.get(&row.take()?);
        let detach_pending: bool = row.take()?;
        if let (Some(child), Some(parent)) = (child, parent) {
            child.parents.push(parent.clone());
            child.detach_pending |= detach_pending;
        }
        Ok(())
    })
    .await?;
    each(context.client, "partition keys", KEYS, &names.schema_oids, |row| {
        let oid = row.take()?;
        let strategy = row.take_char()?.unwrap_or('r');
        if strategy == 'h'
            && let Some(table) = names.relations.get(&oid).and_then(|name| catalog.relations.get_mut(name))
        {
            table.stats.oid = oid;
        }
        let mut numbers: Vec<i16> = row.take()?;
        let default_partition = names.relations.get(&row.take()?).cloned();
        // Also the columns inside expressions, after the plain ones.
        for number in context.dependencies.column_numbers(class::RELATION, oid, oid) {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        let key = PartitionKey {
            strategy,
            columns: names.columns(oid, &numbers),
            functions: context.dependencies.references(class::RELATION, oid, names).functions,
            definition: row.take()?,
            default_partition,
        };
        if let Some(relation) = names.relations.get(&oid).and_then(|name| catalog.relations.get_mut(name)) {
            relation.partition_key = Some(Box::new(key));
        }
        Ok(())
    })
    .await
}
