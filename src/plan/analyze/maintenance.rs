//! VACUUM, ANALYZE, CLUSTER, LOCK TABLE, ALTER TABLE ALL IN TABLESPACE.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableMoveAllStmt, ClusterStmt, LockStmt, Node, ObjectType, VacuumStmt};

use super::names::strings;
use super::refusal::{missing_column, missing_object, require_relation, require_tablespace, wrong_kind};
use super::resolve::Rel;
use super::since::{self, Feature};
use super::{Impact, Resolver, TransactionRule, options};
use crate::catalog::{Name, RelationKind};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

const VACUUM_OPTIONS: &[&str] = &[
    "analyze",
    "disable_page_skipping",
    "freeze",
    "full",
    "index_cleanup",
    "parallel",
    "process_toast",
    "skip_locked",
    "truncate",
    "verbose",
];
const VACUUM_OPTIONS_16: &[&str] =
    &["buffer_usage_limit", "only_database_stats", "process_main", "skip_database_stats"];
const ANALYZE_OPTIONS: &[&str] = &["skip_locked", "verbose"];

/// VACUUM and ANALYZE share a parse node.
pub(super) fn vacuum(statement: &VacuumStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    known_options(&mut impact, resolver, statement);
    let full = options::is_on(&statement.options, "full");
    if statement.is_vacuumcmd {
        conflicting_options(&mut impact, statement, full);
    }
    let targets = targets(&mut impact, resolver, statement);
    if statement.is_vacuumcmd {
        impact.transaction = TransactionRule::Forbidden;
        for (table, only) in targets {
            vacuum_one(&mut impact, resolver, table, only, full);
        }
        return impact;
    }
    for (table, only) in targets {
        analyze_one(&mut impact, resolver, table, only);
    }
    impact
}

/// Options of VACUUM that exclude each other (`ExecVacuum`, `vacuum` in vacuum.c).
fn conflicting_options(impact: &mut Impact, statement: &VacuumStmt, full: bool) {
    let is_on = |option: &str| options::is_on(&statement.options, option);
    let parallel = options::find(&statement.options, "parallel").and_then(options::number).unwrap_or(0);
    let columns = statement
        .rels
        .iter()
        .any(|node| matches!(&node.node, Some(NodeEnum::VacuumRelation(target)) if !target.va_cols.is_empty()));
    let conflicts = [
        (full && parallel > 0, "VACUUM FULL cannot be performed in parallel"),
        (columns && !is_on("analyze"), "ANALYZE option must be specified when a column list is provided"),
        (full && is_on("disable_page_skipping"), "VACUUM option DISABLE_PAGE_SKIPPING cannot be used with FULL"),
        (
            is_on("only_database_stats") && !statement.rels.is_empty(),
            "ONLY_DATABASE_STATS cannot be specified with a list of tables",
        ),
    ];
    for (_, message) in conflicts.into_iter().filter(|(conflict, _)| *conflict) {
        impact.refuse("0A000", message, "Leave one of the two out.");
    }
}

fn known_options(impact: &mut Impact, resolver: &Resolver<'_>, statement: &VacuumStmt) {
    for element in options::elements(&statement.options) {
        let name = element.defname.to_ascii_lowercase();
        let of_16 =
            VACUUM_OPTIONS_16.contains(&name.as_str()) && (statement.is_vacuumcmd || name == "buffer_usage_limit");
        let known = if statement.is_vacuumcmd { VACUUM_OPTIONS } else { ANALYZE_OPTIONS };
        if of_16 {
            since::require(impact, resolver, Feature::VacuumProcessMain);
        } else if !known.contains(&name.as_str()) {
            let command = if statement.is_vacuumcmd { "VACUUM" } else { "ANALYZE" };
            impact.refuse(
                "42601",
                format!("unrecognized {command} option \"{name}\""),
                "Check the spelling of the option.",
            );
        }
    }
}

/// The tables, each with whether `ONLY` was said; without a list every table of the database.
fn targets<'a>(impact: &mut Impact, resolver: &Resolver<'a>, statement: &VacuumStmt) -> Vec<(Rel<'a>, bool)> {
    if statement.rels.is_empty() {
        return all_relations(resolver)
            .filter(|found| {
                matches!(
                    found.relation.kind,
                    RelationKind::Table | RelationKind::MaterializedView | RelationKind::PartitionedTable
                )
            })
            .map(|found| (found, false))
            .collect();
    }
    let mut targets = Vec::new();
    for node in &statement.rels {
        let Some(NodeEnum::VacuumRelation(target)) = &node.node else { continue };
        let Some(name) = &target.relation else { continue };
        if !name.inh {
            since::require(impact, resolver, Feature::VacuumOnly);
        }
        let Some(found) = require_relation(impact, resolver, name, false) else { continue };
        for column in strings(&target.va_cols) {
            if found.relation.column(column).is_none() {
                missing_column(impact, column, found.name);
            }
        }
        // Other kinds are skipped with a warning.
        if matches!(
            found.relation.kind,
            RelationKind::Table
                | RelationKind::PartitionedTable
                | RelationKind::MaterializedView
                | RelationKind::ForeignTable
        ) {
            targets.push((found, !name.inh));
        }
    }
    targets
}

fn all_relations<'a>(resolver: &Resolver<'a>) -> impl Iterator<Item = Rel<'a>> {
    let catalog = resolver.catalog;
    catalog.relations.iter().map(|(name, relation)| Rel { name, relation })
}

/// A partitioned table is vacuumed through its partitions; from 18 on an inheritance parent with its children too.
fn vacuum_one<'a>(impact: &mut Impact, resolver: &Resolver<'a>, table: Rel<'a>, only: bool, full: bool) {
    let recurses = table.relation.kind == RelationKind::PartitionedTable || resolver.major() >= 18;
    let members = if recurses && !only { resolver.tree(table) } else { vec![table] };
    for member in members {
        if !full {
            impact.lock(member.name.clone(), LockMode::ShareUpdateExclusive);
        } else if member.relation.kind.has_heap() {
            rewrite(impact, resolver, member, "VACUUM FULL");
        } else {
            impact.lock(member.name.clone(), LockMode::AccessExclusive);
        }
    }
}

/// The relation and its indexes get new files under AccessExclusive. (`rewrites` names tables and materialized
/// views; that the indexes are built anew follows.)
fn rewrite<'a>(impact: &mut Impact, resolver: &Resolver<'a>, relation: Rel<'a>, command: &str) {
    impact.lock(relation.name.clone(), LockMode::AccessExclusive);
    impact.rewrite(relation.name.clone());
    super::effects::scan(impact, relation);
    for index in &resolver.indexes(relation.name) {
        impact.lock(index.name.clone(), LockMode::AccessExclusive);
    }
    impact.hazard(
        HazardId::TableRewrite,
        Some(relation.name),
        format!("{command} copies the whole table while nobody can read it."),
    );
}

/// ShareUpdateExclusive on the table and its partitions. Children by plain inheritance are sampled under
/// AccessShare up to 17, and under ShareUpdateExclusive from 18 on, where they are analysed themselves.
fn analyze_one<'a>(impact: &mut Impact, resolver: &Resolver<'a>, table: Rel<'a>, only: bool) {
    impact.lock(table.name.clone(), LockMode::ShareUpdateExclusive);
    let partitioned = table.relation.kind == RelationKind::PartitionedTable;
    let below = if !only && (partitioned || resolver.major() >= 18) {
        LockMode::ShareUpdateExclusive
    } else {
        LockMode::AccessShare
    };
    for child in resolver.descendants(table) {
        impact.lock(child.name.clone(), below);
    }
}

/// CLUSTER rewrites under AccessExclusive; a bare one and one of a partitioned table run several transactions.
pub(super) fn cluster(statement: &ClusterStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.relation else {
        impact.transaction = TransactionRule::Forbidden;
        for table in all_relations(resolver) {
            let clustered = resolver
                .indexes(table.name)
                .iter()
                .any(|index| index.relation.index.as_ref().is_some_and(|i| i.clustered));
            if table.relation.kind.has_heap() && clustered {
                rewrite(&mut impact, resolver, table, "CLUSTER");
            }
        }
        return impact;
    };
    let Some(table) = require_relation(&mut impact, resolver, name, false) else { return impact };
    if !matches!(
        table.relation.kind,
        RelationKind::Table | RelationKind::MaterializedView | RelationKind::PartitionedTable
    ) {
        wrong_kind(&mut impact, &table.name.name, "a table or materialized view");
        return impact;
    }
    let index = cluster_index(&mut impact, resolver, table, &statement.indexname);
    if table.relation.kind != RelationKind::PartitionedTable {
        rewrite(&mut impact, resolver, table, "CLUSTER");
        return impact;
    }
    impact.transaction = TransactionRule::Forbidden;
    if resolver.major() < 15 {
        impact.refuse(
            "0A000",
            "cannot cluster a partitioned table",
            "Cluster the partitions one by one; PostgreSQL 15 clusters a partitioned table.",
        );
    }
    impact.lock(table.name.clone(), LockMode::AccessExclusive);
    if let Some(index) = index {
        impact.lock(index.name.clone(), LockMode::AccessExclusive);
    }
    for leaf in resolver.leaves(table) {
        rewrite(&mut impact, resolver, leaf, "CLUSTER");
    }
    impact
}

fn cluster_index<'a>(impact: &mut Impact, resolver: &Resolver<'a>, table: Rel<'a>, name: &str) -> Option<Rel<'a>> {
    let indexes = resolver.indexes(table.name);
    if name.is_empty() {
        let clustered = indexes.iter().find(|index| index.relation.index.as_ref().is_some_and(|i| i.clustered));
        if clustered.is_none() {
            impact.refuse(
                "42704",
                format!("there is no previously clustered index for table \"{}\"", table.name.name),
                "Name the index: CLUSTER table USING index.",
            );
        }
        return clustered.copied();
    }
    let index = indexes.iter().find(|index| index.name.name == name).copied();
    let Some(found) = index else {
        match resolver.get(&Name::new(table.name.schema.clone(), name)) {
            Some(other) if other.relation.kind.is_index() => {
                wrong_kind(impact, name, &format!("an index for table \"{}\"", table.name.name));
            }
            _ => missing_object(impact, "index", name),
        }
        return None;
    };
    let facts = found.relation.index.as_ref()?;
    if matches!(facts.method.as_str(), "hash" | "gin" | "brin" | "spgist") {
        impact.refuse(
            "0A000",
            format!("cannot cluster on index \"{name}\" because access method does not support clustering"),
            "Use a btree or gist index.",
        );
    } else if facts.predicate.is_some() {
        impact.refuse(
            "0A000",
            format!("cannot cluster on partial index \"{name}\""),
            "Use an index over the whole table.",
        );
    } else if !facts.valid {
        impact.refuse(
            "0A000",
            format!("cannot cluster on invalid index \"{name}\""),
            "Rebuild the index first (REINDEX INDEX CONCURRENTLY).",
        );
    }
    index
}

/// The mode asked for, on the tables, their children unless `ONLY`, and what a view reads.
pub(super) fn lock_table(statement: &LockStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    // The parser's mode counts from 1 in the server's order.
    let position = usize::try_from(statement.mode).ok().and_then(|mode| mode.checked_sub(1));
    let Some(mode) = position.and_then(|at| LockMode::ALL.get(at)).copied() else {
        return Impact::unanalyzable("the lock mode is not known");
    };
    for node in &statement.relations {
        let Some(NodeEnum::RangeVar(name)) = &node.node else { continue };
        let Some(found) = require_relation(&mut impact, resolver, name, false) else { continue };
        if found.relation.kind == RelationKind::ForeignTable {
            wrong_kind(&mut impact, &found.name.name, "a table or view");
        }
        lock_one(&mut impact, resolver, found, name.inh, mode);
    }
    impact
}

fn lock_one<'a>(impact: &mut Impact, resolver: &Resolver<'a>, found: Rel<'a>, inherit: bool, mode: LockMode) {
    match found.relation.kind {
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable => {
            let members = if inherit { resolver.tree(found) } else { vec![found] };
            for member in members {
                impact.lock(member.name.clone(), mode);
            }
        }
        RelationKind::View => {
            if impact.locks.get(&found.name.clone().into()) == Some(&mode) {
                return;
            }
            impact.lock(found.name.clone(), mode);
            let references = found.relation.view.as_ref().map_or(&[][..], |view| &view.references);
            for reference in references {
                if let Some(below) = resolver.get(&reference.relation)
                    && matches!(
                        below.relation.kind,
                        RelationKind::Table
                            | RelationKind::PartitionedTable
                            | RelationKind::ForeignTable
                            | RelationKind::View
                    )
                {
                    lock_one(impact, resolver, below, true, mode);
                }
            }
        }
        _ => wrong_kind(impact, &found.name.name, "a table or view"),
    }
}

/// AccessExclusive on every relation of the kind in the tablespace; each that has storage is copied.
pub(super) fn move_all(statement: &AlterTableMoveAllStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    require_tablespace(&mut impact, resolver, &statement.orig_tablespacename);
    require_tablespace(&mut impact, resolver, &statement.new_tablespacename);
    let server = &resolver.catalog.server;
    let default = if server.default_tablespace.is_empty() { "pg_default" } else { &server.default_tablespace };
    let owners = roles(&statement.roles, &server.user);
    let kind = ObjectType::try_from(statement.objtype).unwrap_or_default();
    for found in all_relations(resolver) {
        let of_kind = match kind {
            ObjectType::ObjectIndex => found.relation.kind.is_index(),
            ObjectType::ObjectMatview => found.relation.kind == RelationKind::MaterializedView,
            _ => found.relation.kind.is_table(),
        };
        let lies_in = if found.relation.tablespace.is_empty() { default } else { &found.relation.tablespace };
        let owned = owners.is_empty() || owners.contains(&found.relation.owner);
        if !of_kind || lies_in != statement.orig_tablespacename || !owned {
            continue;
        }
        impact.lock(found.name.clone(), LockMode::AccessExclusive);
        if found.relation.kind.has_heap() && statement.orig_tablespacename != statement.new_tablespacename {
            impact.rewrite(found.name.clone());
            impact.hazard(
                HazardId::TableRewrite,
                Some(found.name),
                "The file is copied to the other tablespace while nobody can use the relation.",
            );
        }
    }
    impact
}

/// Role names of a list of `RoleSpec`; `CURRENT_USER` and the like are the session's user.
pub(super) fn roles(nodes: &[Node], current: &str) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::RoleSpec(role)) if role.rolename.is_empty() => Some(current.to_owned()),
            Some(NodeEnum::RoleSpec(role)) => Some(role.rolename.clone()),
            _ => None,
        })
        .collect()
}
