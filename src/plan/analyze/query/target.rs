//! The relation that INSERT, UPDATE, DELETE, MERGE and COPY change.

use crate::catalog::{Persistence, RelationKind, ReplicaIdentity};
use crate::plan::analyze::Impact;
use crate::plan::analyze::resolve::{Rel, Resolver};

/// Whether changes of existing rows can be told to subscribers: a primary key, the index named, or whole rows.
pub(in crate::plan::analyze) fn has_replica_identity<'a>(table: Rel<'a>, resolver: &Resolver<'a>) -> bool {
    match &table.relation.replica_identity {
        ReplicaIdentity::Full => true,
        ReplicaIdentity::Nothing => false,
        ReplicaIdentity::Default => resolver
            .indexes(table.name)
            .iter()
            .filter_map(|index| index.relation.index.as_ref())
            .any(|index| index.primary && index.valid && index.immediate),
        ReplicaIdentity::Index(name) => resolver.indexes(table.name).iter().any(|index| index.name.name == *name),
    }
}

/// 55000: the table is published with updates or deletes, and has no replica identity (`CheckCmdReplicaIdentity`
/// in execReplication.c). `command` is `update` or `delete`.
pub(in crate::plan::analyze) fn refuse_without_identity<'a>(
    impact: &mut Impact,
    resolver: &Resolver<'a>,
    table: Rel<'a>,
    command: &str,
) {
    let plain = table.relation.kind == RelationKind::Table && table.relation.persistence == Persistence::Permanent;
    if !plain || has_replica_identity(table, resolver) {
        return;
    }
    let ancestors = resolver.ancestors(table);
    let published = resolver.catalog.publications.values().filter(|publication| publication.updates_or_deletes).any(
        |publication| {
            publication.all_tables
                || publication.tables.contains(table.name)
                || publication.schemas.contains(&table.name.schema)
                || (table.relation.partition_bound.is_some()
                    && ancestors.iter().any(|above| {
                        publication.tables.contains(above.name) || publication.schemas.contains(&above.name.schema)
                    }))
        },
    );
    if published {
        let from = if command == "delete" { "delete from" } else { "update" };
        impact.refuse(
            "55000",
            format!(
                "cannot {from} table \"{}\" because it does not have a replica identity and publishes {command}s",
                table.name.name
            ),
            "Set one first: ALTER TABLE ... REPLICA IDENTITY USING INDEX or FULL, or add a primary key.",
        );
    }
}
