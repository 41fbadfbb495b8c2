//! User-defined types. The attributes of composite ones are read with the columns.

use std::collections::HashMap;

use super::super::{Catalog, DataType, DomainConstraint, Name, TypeKind, UserType};
use super::comments::class;
use super::query::{Fields, each};
use super::{Context, IntrospectError};

/// Without array types, multiranges and the row types of relations, which come and go with what they belong to.
const TYPES: &str = "
select t.oid, t.typnamespace, t.typname::pg_catalog.text, t.typtype,
    pg_catalog.pg_get_userbyid(t.typowner)::pg_catalog.text, t.typacl::pg_catalog.text[], t.typrelid,
    pg_catalog.format_type(r.rngsubtype, null),
    t.typbasetype, t.typtypmod, t.typnotnull, pg_catalog.pg_get_expr(t.typdefaultbin, 0),
    case when t.typtype = 'd' and t.typcollation <> b.typcollation then t.typcollation end
from pg_catalog.pg_type t
left join pg_catalog.pg_class c on c.oid = t.typrelid
left join pg_catalog.pg_type b on b.oid = t.typbasetype
left join pg_catalog.pg_range r on r.rngtypid = t.oid
where t.typnamespace = any($1) and t.typisdefined
    and (t.typtype in ('e', 'd', 'r', 'b') or t.typtype = 'c' and c.relkind = 'c')
    and not exists (select from pg_catalog.pg_type e where e.typarray = t.oid)";

const LABELS: &str = "
select e.enumtypid, e.enumlabel::pg_catalog.text
from pg_catalog.pg_enum e
join pg_catalog.pg_type t on t.oid = e.enumtypid
where t.typnamespace = any($1)
order by e.enumtypid, e.enumsortorder";

const DOMAIN_CONSTRAINTS: &str = "
select o.contypid, o.oid, o.conname::pg_catalog.text, pg_catalog.pg_get_constraintdef(o.oid), o.convalidated
from pg_catalog.pg_constraint o
join pg_catalog.pg_type t on t.oid = o.contypid
where t.typnamespace = any($1)";

pub(super) async fn read(context: &mut Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let mut found: HashMap<u32, Name> = HashMap::new();
    let mut composites = HashMap::new();
    let Context { client, names, comments, dependencies, .. } = &*context;
    each(client, "types", TYPES, &names.schema_oids, |row| {
        let oid = row.take()?;
        let Some(name) = names.in_schema(row.take()?, row.take()?) else { return Ok(()) };
        let kind = row.take_char()?;
        let (owner, privileges, relation) = (row.take()?, row.take_list()?, row.take()?);
        let subtype: Option<String> = row.take()?;
        let kind = match kind {
            Some('e') => TypeKind::Enum { labels: Vec::new() },
            Some('d') => domain(context, row)?,
            Some('r') => TypeKind::Range { subtype: subtype.unwrap_or_default() },
            Some('c') => TypeKind::Composite { attributes: Vec::new() },
            _ => TypeKind::Base,
        };
        if matches!(kind, TypeKind::Composite { .. }) {
            composites.insert(relation, name.clone());
        }
        let comment = comments.of(class::TYPE, oid);
        let extension = comments.extension(class::TYPE, oid);
        found.insert(oid, name.clone());
        catalog.types.insert(name, UserType { kind, owner, privileges, comment, extension });
        Ok(())
    })
    .await?;
    each(client, "enum labels", LABELS, &names.schema_oids, |row| {
        let user_type = found.get(&row.take()?).and_then(|name| catalog.types.get_mut(name));
        if let Some(TypeKind::Enum { labels }) = user_type.map(|user_type| &mut user_type.kind) {
            labels.push(row.take()?);
        }
        Ok(())
    })
    .await?;
    each(client, "constraints of domains", DOMAIN_CONSTRAINTS, &names.schema_oids, |row| {
        let user_type = found.get(&row.take()?).and_then(|name| catalog.types.get_mut(name));
        let oid = row.take()?;
        if let Some(TypeKind::Domain { constraints, .. }) = user_type.map(|user_type| &mut user_type.kind) {
            constraints.push(DomainConstraint {
                name: row.take()?,
                definition: row.take()?,
                validated: row.take()?,
                functions: dependencies.references(class::CONSTRAINT, oid, names).functions,
            });
            constraints.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(())
    })
    .await?;
    context.names.composites = composites;
    Ok(())
}

fn domain(context: &Context<'_>, row: &mut Fields<'_>) -> Result<TypeKind, tokio_postgres::Error> {
    Ok(TypeKind::Domain {
        base: DataType::clone(&context.names.data_type(row.take()?, row.take()?)),
        not_null: row.take()?,
        default: row.take()?,
        collation: row.take::<Option<u32>>()?.and_then(|oid| context.names.collations.get(&oid).cloned()),
        constraints: Vec::new(),
    })
}
