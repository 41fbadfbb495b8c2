//! What belongs to the database or the cluster: schemas, extensions, event triggers, roles and so on.

use super::super::{Cast, Catalog, DefaultPrivileges, EventTrigger, Name, Schema};
use super::comments::class;
use super::query::{all, each};
use super::{Context, IntrospectError};

const SCHEMAS: &str = "
select n.oid, pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text, n.nspacl::pg_catalog.text[]
from pg_catalog.pg_namespace n
where n.oid = any($1)";

const EXTENSIONS: &str = "
select e.extname::pg_catalog.text, n.nspname::pg_catalog.text
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace";

/// Disabled ones, and those that fire only in a replica, do not fire for a migration.
const EVENT_TRIGGERS: &str = "
select e.evtname::pg_catalog.text, e.evtevent::pg_catalog.text, e.evttags, n.nspname::pg_catalog.text,
    p.proname::pg_catalog.text
from pg_catalog.pg_event_trigger e
join pg_catalog.pg_proc p on p.oid = e.evtfoid
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where e.evtenabled in ('O', 'A')";

/// Without the one from a range type to its multirange.
const CASTS: &str = "
select c.castsource, c.casttarget, c.castmethod, c.castcontext
from pg_catalog.pg_cast c
where c.oid >= 16384 and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'i')";

const DEFAULT_PRIVILEGES: &str = "
select pg_catalog.pg_get_userbyid(d.defaclrole)::pg_catalog.text, n.nspname::pg_catalog.text, d.defaclobjtype,
    d.defaclacl::pg_catalog.text[]
from pg_catalog.pg_default_acl d
left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace";

const NAMES: &str = "
select case when s.subslotname is null then 'n' else 's' end, s.subname::pg_catalog.text
from pg_catalog.pg_subscription s
join pg_catalog.pg_database d on d.oid = s.subdbid
where d.datname = pg_catalog.current_database()
union all
select 't', t.spcname::pg_catalog.text from pg_catalog.pg_tablespace t
union all
select 'a', a.amname::pg_catalog.text from pg_catalog.pg_am a where a.amtype = 't'
union all
select 'r', r.rolname::pg_catalog.text from pg_catalog.pg_roles r";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let client = context.client;
    let names = &context.names;
    each(client, "schemas", SCHEMAS, &names.schema_oids, |row| {
        let oid = row.take()?;
        let schema = Schema {
            owner: row.take()?,
            privileges: row.take_list()?,
            comment: context.comments.of(class::SCHEMA, oid),
        };
        if let Some(name) = names.schemas.get(&oid) {
            catalog.schemas.insert(name.clone(), schema);
        }
        Ok(())
    })
    .await?;
    all(client, "extensions", EXTENSIONS, |row| {
        catalog.extensions.insert(row.take()?, row.take()?);
        Ok(())
    })
    .await?;
    all(client, "event triggers", EVENT_TRIGGERS, |row| {
        let name = row.take()?;
        let event = row.take()?;
        let tags = row.take_list()?;
        let function = Name { schema: row.take()?, name: row.take()? };
        catalog.event_triggers.insert(name, EventTrigger { event, tags, function });
        Ok(())
    })
    .await?;
    all(client, "casts", CASTS, |row| {
        let (source, target) = (names.type_name(row.take()?), names.type_name(row.take()?));
        let (method, context) = (row.take_char()?, row.take_char()?);
        if let (Some((source, _)), Some((target, _)), Some(method), Some(context)) = (source, target, method, context) {
            catalog.casts.push(Cast { source: source.clone(), target: target.clone(), method, context });
        }
        Ok(())
    })
    .await?;
    catalog.casts.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    all(client, "default privileges", DEFAULT_PRIVILEGES, |row| {
        let (role, schema) = (row.take()?, row.take()?);
        let object = row.take_char()?.unwrap_or('r');
        catalog.default_privileges.push(DefaultPrivileges { role, schema, object, privileges: row.take_list()? });
        Ok(())
    })
    .await?;
    catalog.default_privileges.sort_by(|a, b| (&a.role, &a.schema, a.object).cmp(&(&b.role, &b.schema, b.object)));
    all(client, "roles, tablespaces, access methods and subscriptions", NAMES, |row| {
        match row.take::<&str>()? {
            "s" => catalog.subscriptions.push(row.take()?),
            "n" => {
                let name: String = row.take()?;
                catalog.subscriptions.push(name.clone());
                catalog.slotless_subscriptions.push(name);
            }
            "t" => catalog.tablespaces.push(row.take()?),
            "a" => catalog.access_methods.push(row.take()?),
            _ => catalog.roles.push(row.take()?),
        }
        Ok(())
    })
    .await?;
    catalog.subscriptions.sort();
    catalog.slotless_subscriptions.sort();
    catalog.tablespaces.sort();
    catalog.access_methods.sort();
    catalog.roles.sort();
    Ok(())
}
