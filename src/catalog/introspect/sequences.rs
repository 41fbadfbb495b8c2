//! Sequences, and the columns that own them.

use super::super::{Catalog, ColumnReference, Sequence};
use super::query::each;
use super::{Context, IntrospectError};

/// The owning column: an automatic dependency for `OWNED BY`, an internal one for identity columns.
const SEQUENCES: &str = "
select s.seqrelid, pg_catalog.format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
    s.seqcache, s.seqcycle, d.refobjid, d.refobjsubid::pg_catalog.int2, d.deptype = 'i'
from pg_catalog.pg_sequence s
join pg_catalog.pg_class c on c.oid = s.seqrelid
left join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = s.seqrelid
    and d.objsubid = 0 and d.refclassid = d.classid and d.refobjsubid > 0 and d.deptype in ('a', 'i')
where c.relnamespace = any($1)
order by c.relname desc";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    each(context.client, "sequences", SEQUENCES, &names.schema_oids, |row| {
        let Some(name) = names.relations.get(&row.take()?) else { return Ok(()) };
        let mut sequence = Sequence {
            data_type: row.take()?,
            start: row.take()?,
            increment: row.take()?,
            minimum: row.take()?,
            maximum: row.take()?,
            cache: row.take()?,
            cycle: row.take()?,
            owned_by: None,
            identity: false,
        };
        let (table, number): (Option<u32>, Option<i16>) = (row.take()?, row.take()?);
        sequence.identity = row.take::<Option<bool>>()?.unwrap_or(false);
        if let (Some(table), Some(number)) = (table, number)
            && let (Some(relation), Some(column)) = (names.relations.get(&table), names.column(table, number))
        {
            let owner = catalog.relations.get_mut(relation);
            let owner = owner.and_then(|owner| owner.columns.iter_mut().find(|candidate| candidate.name == column));
            // A column may own several; the identity's comes first, then the first by name.
            if let Some(owner) = owner
                && (sequence.identity || owner.identity.is_none())
            {
                owner.owned_sequence = Some(name.clone());
            }
            sequence.owned_by = Some(ColumnReference { relation: relation.clone(), column: Some(column.to_owned()) });
        }
        if let Some(relation) = catalog.relations.get_mut(name) {
            relation.sequence = Some(Box::new(sequence));
        }
        Ok(())
    })
    .await
}
