//! Extended statistics objects.

use super::super::{Catalog, ExtendedStatistics};
use super::comments::class;
use super::query::each;
use super::{Context, IntrospectError};

const STATISTICS: &str = "
select s.oid, s.stxnamespace, s.stxname::pg_catalog.text, s.stxrelid,
    pg_catalog.pg_get_userbyid(s.stxowner)::pg_catalog.text, nullif(s.stxstattarget, -1)::pg_catalog.int4,
    pg_catalog.pg_get_statisticsobjdef(s.oid)
from pg_catalog.pg_statistic_ext s
where s.stxnamespace = any($1)";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    each(context.client, "extended statistics", STATISTICS, &names.schema_oids, |row| {
        let oid = row.take()?;
        let name = names.in_schema(row.take()?, row.take()?);
        let table_oid = row.take()?;
        let (Some(name), Some(table)) = (name, names.relations.get(&table_oid)) else { return Ok(()) };
        let columns = context.dependencies.column_numbers(class::STATISTICS, oid, table_oid);
        let statistics = ExtendedStatistics {
            table: table.clone(),
            columns: names.columns(table_oid, &columns),
            owner: row.take()?,
            statistics_target: row.take()?,
            definition: row.take()?,
            comment: context.comments.of(class::STATISTICS, oid),
        };
        catalog.statistics.insert(name, statistics);
        Ok(())
    })
    .await
}
