//! Columns of relations and attributes of free-standing composite types.

use std::collections::HashMap;

use super::super::{Catalog, Column, ColumnDetails, Generated, Identity, Name, TypeKind};
use super::comments::class;
use super::names::{Attributes, Names};
use super::query::{Fields, each};
use super::{Context, IntrospectError};

/// `pg_get_expr` opens the relation it is given. Only the expressions of generated columns need it.
const COLUMNS: &str = "
select a.attrelid, a.attnum, a.attname::pg_catalog.text, a.atttypid, a.atttypmod, a.attnotnull,
    case when a.attcollation <> t.typcollation then a.attcollation end,
    pg_catalog.pg_get_expr(d.adbin, case when a.attgenerated <> '' then d.adrelid else 0 end), d.oid,
    a.attgenerated, a.attidentity,
    case when a.attstorage <> t.typstorage then a.attstorage end,
    {compression},
    nullif(a.attstattarget, -1)::pg_catalog.int4,
    a.attoptions, a.attacl::pg_catalog.text[], a.attfdwoptions, a.attislocal, a.attinhcount::pg_catalog.int4
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum and a.atthasdef
where c.relnamespace = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and a.attnum > 0
    and not a.attisdropped
order by a.attrelid, a.attnum";

/// A default or generation expression, by the column it belongs to.
struct Expression {
    relation: u32,
    /// Position among the relation's columns.
    position: usize,
    /// Oid of the `pg_attrdef` entry.
    oid: u32,
}

pub(super) async fn read(context: &mut Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let sql = COLUMNS.replace("{compression}", context.since(14, "a.attcompression", "null::pg_catalog.\"char\""));
    let mut attributes: HashMap<u32, Attributes> = HashMap::new();
    let mut expressions = Vec::new();
    let (names, comments) = (&context.names, &context.comments);
    each(context.client, "columns", &sql, &names.schema_oids, |row| {
        let (relation, number) = (row.take()?, row.take()?);
        let (column, default) = column(row, names, comments.of_column(relation, number))?;
        let Some(columns) = columns_of(catalog, names, relation) else { return Ok(()) };
        expressions.extend(default.map(|oid| Expression { relation, position: columns.len(), oid }));
        attributes.entry(relation).or_default().push(number, &column.name);
        columns.push(column);
        Ok(())
    })
    .await?;
    catalog.relations.values_mut().for_each(|relation| relation.columns.shrink_to_fit());
    context.names.attributes = attributes;
    for expression in expressions {
        let references = context.dependencies.references(class::COLUMN_DEFAULT, expression.oid, &context.names);
        let own = context.names.relations.get(&expression.relation);
        let columns = columns_of(catalog, &context.names, expression.relation);
        if let Some(column) = columns.and_then(|columns| columns.get_mut(expression.position)) {
            // Every default depends on its own column.
            let mut relations = references.relations;
            relations.retain(|reference| {
                Some(&reference.relation) != own || reference.column.as_ref() != Some(&column.name)
            });
            if !relations.is_empty() || !references.functions.is_empty() {
                column.references = relations;
                column.functions = references.functions;
            }
        }
    }
    Ok(())
}

fn column(
    row: &mut Fields<'_>,
    names: &Names,
    comment: Option<String>,
) -> Result<(Column, Option<u32>), tokio_postgres::Error> {
    let name: String = row.take()?;
    let data_type = names.data_type(row.take()?, row.take()?);
    let mut column = Column::new(name, data_type);
    let mut details = ColumnDetails { comment, ..ColumnDetails::default() };
    column.not_null = row.take()?;
    details.collation = row.take::<Option<u32>>()?.and_then(|oid| names.collations.get(&oid).cloned());
    column.default = row.take()?;
    let default = row.take()?;
    column.generated = row.take_char()?.map(|kind| match kind {
        'v' => Generated::Virtual,
        _ => Generated::Stored,
    });
    column.identity = row.take_char()?.map(|kind| match kind {
        'a' => Identity::Always,
        _ => Identity::ByDefault,
    });
    details.storage = row.take_char()?.map(storage);
    details.compression = row.take_char()?.map(compression);
    details.statistics_target = row.take()?;
    details.options = row.take_list()?;
    details.privileges = row.take_list()?;
    details.foreign_options = row.take_list()?;
    column.local = row.take()?;
    column.inherited = row.take()?;
    column.details = details.into();
    Ok((column, default))
}

fn columns_of<'a>(catalog: &'a mut Catalog, names: &Names, relation: u32) -> Option<&'a mut Vec<Column>> {
    if let Some(name) = names.relations.get(&relation) {
        return catalog.relations.get_mut(name).map(|relation| &mut relation.columns);
    }
    let name: &Name = names.composites.get(&relation)?;
    match &mut catalog.types.get_mut(name)?.kind {
        TypeKind::Composite { attributes } => Some(attributes),
        _ => None,
    }
}

fn storage(letter: char) -> String {
    match letter {
        'p' => "PLAIN".to_owned(),
        'e' => "EXTERNAL".to_owned(),
        'm' => "MAIN".to_owned(),
        'x' => "EXTENDED".to_owned(),
        other => other.to_string(),
    }
}

fn compression(letter: char) -> String {
    match letter {
        'p' => "pglz".to_owned(),
        'l' => "lz4".to_owned(),
        other => other.to_string(),
    }
}
