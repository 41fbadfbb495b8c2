//! Publications and what they publish.

use std::collections::HashMap;

use super::super::{Catalog, Publication};
use super::comments::class;
use super::query::all;
use super::{Context, IntrospectError};

const PUBLICATIONS: &str = "
select p.oid, p.pubname::pg_catalog.text, p.puballtables, p.pubupdate or p.pubdelete,
    pg_catalog.pg_get_userbyid(p.pubowner)::pg_catalog.text
from pg_catalog.pg_publication p";

const TABLES: &str = "
select r.prpubid, r.oid, r.prrelid
from pg_catalog.pg_publication_rel r";

const SCHEMAS: &str = "
select s.pnpubid, s.pnnspid
from pg_catalog.pg_publication_namespace s";

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let (client, names) = (context.client, &context.names);
    let mut found: HashMap<u32, String> = HashMap::new();
    all(client, "publications", PUBLICATIONS, |row| {
        let (oid, name): (u32, String) = (row.take()?, row.take()?);
        let publication = Publication {
            all_tables: row.take()?,
            updates_or_deletes: row.take()?,
            owner: row.take()?,
            ..Publication::default()
        };
        found.insert(oid, name.clone());
        catalog.publications.insert(name, publication);
        Ok(())
    })
    .await?;
    all(client, "published tables", TABLES, |row| {
        let publication = found.get(&row.take()?).and_then(|name| catalog.publications.get_mut(name));
        let (oid, table) = (row.take()?, row.take()?);
        if let (Some(publication), Some(table)) = (publication, names.relations.get(&table)) {
            publication.tables.push(table.clone());
            let mut columns = context.dependencies.references(class::PUBLICATION_RELATION, oid, names).relations;
            columns.retain(|reference| reference.column.is_some());
            publication.columns.extend(columns);
        }
        Ok(())
    })
    .await?;
    if context.version >= 150_000 {
        all(client, "published schemas", SCHEMAS, |row| {
            let publication = found.get(&row.take()?).and_then(|name| catalog.publications.get_mut(name));
            if let (Some(publication), Some(schema)) = (publication, names.schemas.get(&row.take()?)) {
                publication.schemas.push(schema.clone());
            }
            Ok(())
        })
        .await?;
    }
    for publication in catalog.publications.values_mut() {
        publication.tables.sort();
        publication.columns.sort();
        publication.schemas.sort();
    }
    Ok(())
}
