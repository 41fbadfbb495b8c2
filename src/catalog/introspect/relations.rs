//! Relations: `pg_class` without columns and sizes.

use super::super::{
    Catalog, ForeignTable, Persistence, Relation, RelationDetails, RelationKind, ReplicaIdentity, View,
};
use super::comments::class;
use super::query::each;
use super::{Context, IntrospectError};

/// The options of a toast table are set through its table, and so reported with it. A bound has no columns to
/// resolve; without its relation `pg_get_expr` opens none.
const RELATIONS: &str = "
select c.oid, c.relnamespace, c.relname::pg_catalog.text, c.relkind, c.relpersistence,
    pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text,
    c.relrowsecurity, c.relforcerowsecurity,
    pg_catalog.pg_get_expr(c.relpartbound, 0),
    pg_catalog.array_cat(c.reloptions,
        case when t.reloptions is not null
            then (select pg_catalog.array_agg('toast.' || o.option) from pg_catalog.unnest(t.reloptions) o(option)) end),
    case when c.relkind in ('r', 'p', 'm') then a.amname::pg_catalog.text end,
    s.spcname::pg_catalog.text,
    c.relreplident,
    case when c.relreplident = 'i' then (
        select x.relname::pg_catalog.text
        from pg_catalog.pg_index i
        join pg_catalog.pg_class x on x.oid = i.indexrelid
        where i.indrelid = c.oid and i.indisreplident) end,
    c.relacl::pg_catalog.text[],
    c.reltuples::pg_catalog.int8,
    c.relallvisible::pg_catalog.int8,
    c.reloftype,
    c.relispopulated,
    f.srvname::pg_catalog.text,
    ft.ftoptions
from pg_catalog.pg_class c
left join pg_catalog.pg_class t on t.oid = c.reltoastrelid
left join pg_catalog.pg_am a on a.oid = c.relam
left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
left join pg_catalog.pg_foreign_table ft on ft.ftrelid = c.oid
left join pg_catalog.pg_foreign_server f on f.oid = ft.ftserver
where c.relnamespace = any($1)";

pub(super) async fn read(context: &mut Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &mut context.names;
    let comments = &context.comments;
    let schemas = std::mem::take(&mut names.schema_oids);
    each(context.client, "relations", RELATIONS, &schemas, |row| {
        let oid = row.take()?;
        let name = names.in_schema(row.take()?, row.take()?);
        let kind = row.take_char()?.and_then(kind);
        let (Some(name), Some(kind)) = (name, kind) else { return Ok(()) };
        let persistence = match row.take_char()? {
            Some('u') => Persistence::Unlogged,
            Some('t') => Persistence::Temporary,
            _ => Persistence::Permanent,
        };
        let mut relation = Relation::new(kind, row.take::<String>()?);
        let mut details = RelationDetails::default();
        relation.persistence = persistence;
        details.row_security = row.take()?;
        details.force_row_security = row.take()?;
        details.partition_bound = row.take()?;
        details.options = row.take_list()?;
        relation.access_method = row.take::<Option<String>>()?.unwrap_or_default();
        details.tablespace = row.take::<Option<String>>()?.unwrap_or_default();
        let identity = row.take_char()?;
        details.replica_identity = replica_identity(kind, identity, row.take()?);
        details.privileges = row.take_list()?;
        relation.stats.rows = row.take()?;
        relation.stats.visible_pages = row.take()?;
        details.of_type = names.type_name(row.take()?).map(|(name, _)| name.clone());
        let populated = row.take()?;
        if matches!(kind, RelationKind::View | RelationKind::MaterializedView) {
            details.view = Some(Box::new(View { populated, ..View::default() }));
        }
        let server: Option<String> = row.take()?;
        let options = row.take_list()?;
        details.foreign = server.map(|server| ForeignTable { server, options });
        details.comment = comments.of(class::RELATION, oid);
        details.extension = comments.extension(class::RELATION, oid);
        relation.details = details.into();
        names.relations.insert(oid, name.clone());
        catalog.relations.insert(name, relation);
        Ok(())
    })
    .await?;
    names.schema_oids = schemas;
    Ok(())
}

fn kind(relkind: char) -> Option<RelationKind> {
    Some(match relkind {
        'r' => RelationKind::Table,
        'p' => RelationKind::PartitionedTable,
        'i' => RelationKind::Index,
        'I' => RelationKind::PartitionedIndex,
        'v' => RelationKind::View,
        'm' => RelationKind::MaterializedView,
        'S' => RelationKind::Sequence,
        'f' => RelationKind::ForeignTable,
        _ => return None,
    })
}

/// Only what has rows of its own has one; the server writes "nothing" for the rest.
fn replica_identity(kind: RelationKind, relreplident: Option<char>, index: Option<String>) -> ReplicaIdentity {
    if !kind.is_table() && kind != RelationKind::MaterializedView {
        return ReplicaIdentity::Default;
    }
    match (relreplident, index) {
        (Some('n'), _) => ReplicaIdentity::Nothing,
        (Some('f'), _) => ReplicaIdentity::Full,
        (Some('i'), Some(index)) => ReplicaIdentity::Index(index),
        _ => ReplicaIdentity::Default,
    }
}
