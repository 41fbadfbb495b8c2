//! REINDEX.

use pg_query::protobuf::{ReindexObjectType, ReindexStmt};

use crate::catalog::RelationKind;
use crate::plan::analyze::refusal::{missing_schema, require_relation, require_tablespace, wrong_kind};
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::since::{self, Feature};
use crate::plan::analyze::{Impact, Resolver, TransactionRule, effects, options};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Share on the table and AccessExclusive on each index that is rebuilt, which stops reads as well: the planner
/// opens every index of a table. With CONCURRENTLY ShareUpdateExclusive on the table, AccessExclusive on the old
/// index only at the end, and a wait for every transaction that uses the table.
pub(in crate::plan::analyze) fn reindex(statement: &ReindexStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let concurrently = options::is_on(&statement.params, "concurrently");
    if concurrently {
        impact.transaction = TransactionRule::Forbidden;
    }
    let known = ["verbose", "concurrently", "tablespace"];
    if let Some(option) = options::elements(&statement.params).find(|option| !known.contains(&option.defname.as_str()))
    {
        let message = format!("unrecognized REINDEX option \"{}\"", option.defname);
        impact.refuse("42601", message, "Use VERBOSE, CONCURRENTLY or TABLESPACE.");
    }
    if let Some(tablespace) = options::find(&statement.params, "tablespace").and_then(options::text) {
        require_tablespace(&mut impact, resolver, &tablespace);
    }
    match ReindexObjectType::try_from(statement.kind).unwrap_or_default() {
        ReindexObjectType::ReindexObjectIndex => index(&mut impact, statement, resolver, concurrently),
        ReindexObjectType::ReindexObjectTable => table(&mut impact, statement, resolver, concurrently),
        ReindexObjectType::ReindexObjectSchema => {
            impact.transaction = TransactionRule::Forbidden;
            let system = statement.name.starts_with("pg_") || statement.name == "information_schema";
            if !system && !resolver.catalog.schemas.contains_key(&statement.name) {
                missing_schema(&mut impact, &statement.name);
            }
            several(&mut impact, resolver, Some(&statement.name), concurrently);
        }
        ReindexObjectType::ReindexObjectDatabase => {
            impact.transaction = TransactionRule::Forbidden;
            whole(&mut impact, statement, resolver);
            several(&mut impact, resolver, None, concurrently);
        }
        ReindexObjectType::ReindexObjectSystem => {
            impact.transaction = TransactionRule::Forbidden;
            whole(&mut impact, statement, resolver);
            if concurrently {
                impact.refuse(
                    "0A000",
                    "cannot reindex system catalogs concurrently",
                    "Leave CONCURRENTLY out, or use REINDEX DATABASE CONCURRENTLY, which skips the catalogs.",
                );
            }
        }
        ReindexObjectType::Undefined => return Impact::unanalyzable("this form of REINDEX is not known"),
    }
    impact
}

fn whole(impact: &mut Impact, statement: &ReindexStmt, resolver: &Resolver<'_>) {
    if statement.name.is_empty() {
        since::require(impact, resolver, Feature::ReindexCurrentDatabase);
    }
}

fn index(impact: &mut Impact, statement: &ReindexStmt, resolver: &Resolver<'_>, concurrently: bool) {
    let Some(name) = &statement.relation else { return };
    let Some(index) = require_relation(impact, resolver, name, false) else { return };
    let Some(facts) = &index.relation.index else {
        return wrong_kind(impact, &index.name.name, "an index");
    };
    let Some(table) = resolver.get(&facts.table) else { return };
    if index.relation.kind != RelationKind::PartitionedIndex {
        return rebuild(impact, table, &[index], concurrently);
    }
    impact.transaction = TransactionRule::Forbidden;
    let mode = partitioned_lock(concurrently);
    impact.lock(table.name.clone(), mode);
    impact.lock(index.name.clone(), if concurrently { mode } else { LockMode::AccessExclusive });
    for member in resolver.tree(table) {
        let below: Vec<Rel<'_>> = resolver
            .indexes(member.name)
            .iter()
            .copied()
            .filter(|candidate| descends(resolver, *candidate, index))
            .collect();
        if member.relation.kind == RelationKind::PartitionedTable {
            // The first, short transaction locks the whole tree below the index (`ReindexPartitions` in indexcmds.c).
            for partitioned in below {
                impact.lock(partitioned.name.clone(), LockMode::Share);
            }
        } else {
            rebuild(impact, member, &below, concurrently);
        }
    }
}

/// Whether the index is attached, directly or not, to the partitioned one.
fn descends<'a>(resolver: &Resolver<'a>, index: Rel<'a>, above: Rel<'a>) -> bool {
    let parent = index.relation.index.as_ref().and_then(|facts| facts.parent.as_ref());
    parent.is_some_and(|parent| {
        parent == above.name || resolver.get(parent).is_some_and(|parent| descends(resolver, parent, above))
    })
}

fn table(impact: &mut Impact, statement: &ReindexStmt, resolver: &Resolver<'_>, concurrently: bool) {
    let Some(name) = &statement.relation else { return };
    let Some(table) = require_relation(impact, resolver, name, false) else { return };
    match table.relation.kind {
        RelationKind::Table | RelationKind::MaterializedView => {
            rebuild(impact, table, &resolver.indexes(table.name), concurrently);
        }
        RelationKind::PartitionedTable => {
            impact.transaction = TransactionRule::Forbidden;
            impact.lock(table.name.clone(), partitioned_lock(concurrently));
            // The first, short transaction locks the whole tree below it (`ReindexPartitions` in indexcmds.c).
            for below in resolver.tree(table).into_iter().filter(|member| *member != table) {
                impact.lock(below.name.clone(), LockMode::Share);
            }
            for leaf in resolver.leaves(table) {
                rebuild(impact, leaf, &resolver.indexes(leaf.name), concurrently);
            }
            if concurrently {
                impact.waits_for_transactions.insert(table.name.clone().into());
            }
        }
        _ => wrong_kind(impact, &table.name.name, "a table or materialized view"),
    }
}

fn partitioned_lock(concurrently: bool) -> LockMode {
    if concurrently { LockMode::ShareUpdateExclusive } else { LockMode::Share }
}

/// Every table and materialized view of a schema, or of the database, each in its own transaction.
fn several(impact: &mut Impact, resolver: &Resolver<'_>, schema: Option<&str>, concurrently: bool) {
    for (name, relation) in &resolver.catalog.relations {
        if relation.kind.has_heap() && schema.is_none_or(|schema| name.schema == schema) {
            rebuild(impact, Rel { name, relation }, &resolver.indexes(name), concurrently);
        }
    }
}

fn rebuild(impact: &mut Impact, table: Rel<'_>, indexes: &[Rel<'_>], concurrently: bool) {
    let mode = if concurrently { LockMode::ShareUpdateExclusive } else { LockMode::Share };
    impact.lock(table.name.clone(), mode);
    if indexes.is_empty() {
        return;
    }
    for index in indexes {
        impact.lock(index.name.clone(), LockMode::AccessExclusive);
    }
    effects::scan(impact, table);
    if concurrently {
        impact.waits_for_transactions.insert(table.name.clone().into());
    } else if !table.relation.stats.empty {
        impact.hazard(
            HazardId::BlocksReads,
            Some(table.name),
            "Reads and writes wait while the index is rebuilt, for planning opens every index; REINDEX CONCURRENTLY \
             lets them go on.",
        );
    }
}
