//! Views, materialized views and rewrite rules.

use super::super::{Catalog, ConstraintReference, Rule};
use super::comments::class;
use super::dependencies::References;
use super::query::{each, each_in_batches};
use super::{Context, IntrospectError};

/// A view is the relation of a rule `_RETURN`.
const RULES: &str = "
select r.oid, r.rulename = '_RETURN' and c.relkind in ('v', 'm')
from pg_catalog.pg_rewrite r
join pg_catalog.pg_class c on c.oid = r.ev_class
where c.relnamespace = any($1)";

const VIEW_DEFINITIONS: &str = "
select r.ev_class, r.oid, pg_catalog.pg_get_viewdef(r.ev_class)
from pg_catalog.pg_rewrite r
where r.oid = any($1)";

const VIEW_CONSTRAINTS: &str = "
select r.ev_class, c.conrelid, c.conname::pg_catalog.text
from pg_catalog.pg_depend d
join pg_catalog.pg_rewrite r on r.oid = d.objid
join pg_catalog.pg_class v on v.oid = r.ev_class
join pg_catalog.pg_constraint c on c.oid = d.refobjid
where v.relnamespace = any($1) and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    and d.refclassid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
order by r.ev_class, c.conrelid, c.conname";

const RULE_DEFINITIONS: &str = "
select r.ev_class, r.oid, r.rulename::pg_catalog.text, r.ev_enabled, pg_catalog.pg_get_ruledef(r.oid)
from pg_catalog.pg_rewrite r
where r.oid = any($1)";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let (mut views, mut rules) = (Vec::new(), Vec::new());
    each(context.client, "rules", RULES, &context.names.schema_oids, |row| {
        let oid = row.take()?;
        let list = if row.take()? { &mut views } else { &mut rules };
        list.push(oid);
        Ok(())
    })
    .await?;
    read_views(context, &views, catalog).await?;
    read_view_constraints(context, catalog).await?;
    read_rules(context, &rules, catalog).await
}

async fn read_views(context: &Context<'_>, rules: &[u32], catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    each_in_batches(context.client, "views", VIEW_DEFINITIONS, rules, |row| {
        let name = names.relations.get(&row.take()?);
        let References { mut relations, functions, types } =
            context.dependencies.references(class::RULE, row.take()?, names);
        let Some(name) = name else { return Ok(()) };
        relations.retain(|reference| reference.relation != *name);
        let view = catalog.relations.get_mut(name).and_then(|relation| relation.view.as_mut());
        if let Some(view) = view {
            view.definition = row.take()?;
            view.references = relations;
            view.functions = functions;
            view.types = types;
        }
        Ok(())
    })
    .await
}

async fn read_view_constraints(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    each(context.client, "constraints of views", VIEW_CONSTRAINTS, &names.schema_oids, |row| {
        let view = names.relations.get(&row.take()?).and_then(|name| catalog.relations.get_mut(name));
        let table = names.relations.get(&row.take()?);
        if let (Some(view), Some(table)) = (view.and_then(|view| view.view.as_mut()), table) {
            view.constraints.push(ConstraintReference { relation: table.clone(), constraint: row.take()? });
        }
        Ok(())
    })
    .await
}

async fn read_rules(context: &Context<'_>, rules: &[u32], catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    each_in_batches(context.client, "rules", RULE_DEFINITIONS, rules, |row| {
        let Some(table) = names.relations.get(&row.take()?) else { return Ok(()) };
        let oid = row.take()?;
        let References { mut relations, functions, .. } = context.dependencies.references(class::RULE, oid, names);
        relations.retain(|reference| reference.relation != *table || reference.column.is_some());
        let rule = Rule {
            name: row.take()?,
            enabled: row.take_char()?.unwrap_or('O'),
            definition: row.take()?,
            references: relations,
            functions,
            comment: context.comments.of(class::RULE, oid),
        };
        if let Some(relation) = catalog.relations.get_mut(table) {
            relation.rules.push(rule);
            relation.rules.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(())
    })
    .await
}
