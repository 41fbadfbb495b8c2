//! Row security policies.

use super::super::{Catalog, Policy};
use super::comments::class;
use super::dependencies::References;
use super::query::{each, each_in_batches};
use super::{Context, IntrospectError};

const OIDS: &str = "
select p.oid
from pg_catalog.pg_policy p
join pg_catalog.pg_class c on c.oid = p.polrelid
where c.relnamespace = any($1)";

const POLICIES: &str = "
select p.polrelid, p.oid, p.polname::pg_catalog.text, p.polpermissive, p.polcmd,
    array(
        select case when r.oid = 0 then 'public' else pg_catalog.pg_get_userbyid(r.oid)::pg_catalog.text end
        from pg_catalog.unnest(p.polroles) r(oid)
        order by 1),
    pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
from pg_catalog.pg_policy p
where p.oid = any($1)";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    let mut oids = Vec::new();
    each(context.client, "policies", OIDS, &names.schema_oids, |row| {
        oids.push(row.take()?);
        Ok(())
    })
    .await?;
    each_in_batches(context.client, "policies", POLICIES, &oids, |row| {
        let Some(table) = names.relations.get(&row.take()?) else { return Ok(()) };
        let oid = row.take()?;
        let References { mut relations, functions, .. } = context.dependencies.references(class::POLICY, oid, names);
        relations.retain(|reference| reference.relation != *table || reference.column.is_some());
        let policy = Policy {
            name: row.take()?,
            permissive: row.take()?,
            command: row.take_char()?.unwrap_or('*'),
            roles: row.take()?,
            using: row.take()?,
            with_check: row.take()?,
            references: relations,
            functions,
            comment: context.comments.of(class::POLICY, oid),
        };
        if let Some(relation) = catalog.relations.get_mut(table) {
            relation.policies.push(policy);
            relation.policies.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(())
    })
    .await
}
