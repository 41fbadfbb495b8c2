//! Functions, procedures and aggregates.

use std::collections::HashMap;

use super::super::{Catalog, Function};
use super::comments::class;
use super::dependencies::References;
use super::query::{each, each_in_batches};
use super::{Context, IntrospectError};

/// Without those that the server made for a range type: they are internal parts of it.
const FUNCTIONS: &str = "
select p.oid, p.prokind, pg_catalog.pg_get_function_identity_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid),
    p.provolatile, l.lanname::pg_catalog.text, p.proisstrict, pg_catalog.pg_get_userbyid(p.proowner)::pg_catalog.text,
    p.proacl::pg_catalog.text[]
from pg_catalog.pg_proc p
join pg_catalog.pg_language l on l.oid = p.prolang
where p.pronamespace = any($1) and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'i')";

const DEFINITIONS: &str = "
select p.oid, pg_catalog.pg_get_functiondef(p.oid)
from pg_catalog.pg_proc p
where p.oid = any($1)";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    let mut with_definition = Vec::new();
    let mut positions: HashMap<u32, usize> = HashMap::new();
    each(context.client, "functions", FUNCTIONS, &names.schema_oids, |row| {
        let oid = row.take()?;
        let Some(name) = names.functions.get(&oid) else { return Ok(()) };
        let References { relations, functions, types } = context.dependencies.references(class::FUNCTION, oid, names);
        let function = Function {
            name: name.clone(),
            kind: row.take_char()?.unwrap_or('f'),
            arguments: row.take()?,
            result: row.take::<Option<String>>()?.unwrap_or_default(),
            volatility: row.take_char()?.unwrap_or('v'),
            language: row.take()?,
            strict: row.take()?,
            owner: row.take()?,
            privileges: row.take_list()?,
            references: relations,
            functions,
            types,
            definition: String::new(),
            comment: context.comments.of(class::FUNCTION, oid),
            extension: context.comments.extension(class::FUNCTION, oid),
        };
        if function.kind != 'a' && function.extension.is_none() {
            with_definition.push(oid);
        }
        positions.insert(oid, catalog.functions.len());
        catalog.functions.push(function);
        Ok(())
    })
    .await?;
    each_in_batches(context.client, "functions", DEFINITIONS, &with_definition, |row| {
        let function = positions.get(&row.take()?).and_then(|position| catalog.functions.get_mut(*position));
        if let Some(function) = function {
            function.definition = row.take::<Option<String>>()?.unwrap_or_default();
        }
        Ok(())
    })
    .await?;
    catalog.functions.sort_by(|a, b| (&a.name, &a.arguments).cmp(&(&b.name, &b.arguments)));
    Ok(())
}
