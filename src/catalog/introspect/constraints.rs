//! Constraints of tables.

use super::super::{Catalog, Constraint, ConstraintKind};
use super::comments::class;
use super::query::{Fields, each};
use super::{Context, IntrospectError};

const CONSTRAINTS: &str = "
select o.conrelid, o.oid, o.conname::pg_catalog.text, o.contype, o.conkey,
    pg_catalog.pg_get_constraintdef(o.oid),
    o.convalidated, {enforced}, o.condeferrable, o.condeferred, o.connoinherit, o.conislocal,
    o.coninhcount::pg_catalog.int4, o.conindid, {period},
    case when o.contype = 'c' then pg_catalog.pg_get_expr(o.conbin, o.conrelid) end,
    o.confrelid, o.confkey, o.confupdtype, o.confdeltype, o.confmatchtype, {delete_columns}, o.conparentid <> 0
from pg_catalog.pg_constraint o
join pg_catalog.pg_class c on c.oid = o.conrelid
where c.relnamespace = any($1)";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    let sql = CONSTRAINTS
        .replace("{enforced}", context.since(18, "o.conenforced", "true"))
        .replace("{period}", context.since(18, "o.conperiod", "false"))
        .replace("{delete_columns}", context.since(15, "o.confdelsetcols", "null::pg_catalog.int2[]"));
    each(context.client, "constraints", &sql, &names.schema_oids, |row| {
        let relation: u32 = row.take()?;
        let Some(constraint) = constraint(context, relation, row)? else { return Ok(()) };
        let relation = names.relations.get(&relation).and_then(|name| catalog.relations.get_mut(name));
        if let Some(relation) = relation {
            relation.constraints.push(constraint);
        }
        Ok(())
    })
    .await?;
    for relation in catalog.relations.values_mut() {
        relation.constraints.sort_by(|a, b| a.name.cmp(&b.name));
        relation.constraints.shrink_to_fit();
    }
    Ok(())
}

/// `None` for a kind that this version does not know.
fn constraint(
    context: &Context<'_>,
    relation: u32,
    row: &mut Fields<'_>,
) -> Result<Option<Constraint>, tokio_postgres::Error> {
    let names = &context.names;
    let oid = row.take()?;
    let name = row.take()?;
    let kind = row.take_char()?;
    let mut constraint = Constraint {
        name,
        kind: ConstraintKind::Trigger,
        columns: names.columns(relation, &row.take_list()?),
        definition: row.take()?,
        validated: row.take()?,
        enforced: row.take()?,
        deferrable: row.take()?,
        initially_deferred: row.take()?,
        no_inherit: row.take()?,
        local: row.take()?,
        inherited: row.take()?,
        index: names.relations.get(&row.take()?).cloned(),
        period: row.take()?,
        functions: context.dependencies.references(class::CONSTRAINT, oid, names).functions,
        comment: context.comments.of(class::CONSTRAINT, oid),
    };
    let expression: Option<String> = row.take()?;
    constraint.kind = match kind {
        Some('c') => ConstraintKind::Check { expression: expression.unwrap_or_default() },
        Some('n') => ConstraintKind::NotNull,
        Some('p') => ConstraintKind::PrimaryKey,
        Some('u') => ConstraintKind::Unique,
        Some('x') => ConstraintKind::Exclusion,
        Some('t') => ConstraintKind::Trigger,
        Some('f') => match foreign_key(context, relation, row)? {
            Some(kind) => kind,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(constraint))
}

/// `None` when it references a table of a schema that is not read.
fn foreign_key(
    context: &Context<'_>,
    relation: u32,
    row: &mut Fields<'_>,
) -> Result<Option<ConstraintKind>, tokio_postgres::Error> {
    let names = &context.names;
    let referenced: u32 = row.take()?;
    let Some(references) = names.relations.get(&referenced) else { return Ok(None) };
    Ok(Some(ConstraintKind::ForeignKey {
        references: references.clone(),
        referenced_columns: names.columns(referenced, &row.take_list()?),
        on_update: row.take_char()?.unwrap_or('a'),
        on_delete: row.take_char()?.unwrap_or('a'),
        match_type: row.take_char()?.unwrap_or('s'),
        delete_columns: names.columns(relation, &row.take_list()?),
        from_parent: row.take()?,
    }))
}
