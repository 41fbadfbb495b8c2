//! SET LOGGED, SET UNLOGGED, SET ACCESS METHOD, SET TABLESPACE, SET and RESET of storage parameters.

use pg_query::NodeEnum;
use pg_query::protobuf::Node;

use super::properties::all_sequences;
use super::work::Work;
use crate::catalog::{Persistence, RelationKind};
use crate::plan::analyze::refusal::{require_access_method, require_tablespace};
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::storage_parameters::{Holder, check};
use crate::plan::model::HazardId;

/// From 15 on the sequences that the table's columns own change with it.
pub(super) fn set_persistence<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, logged: bool) {
    let relation = target.relation;
    let wanted = if logged { Persistence::Permanent } else { Persistence::Unlogged };
    if relation.persistence == wanted || relation.kind == RelationKind::PartitionedTable {
        return;
    }
    if !logged && is_published(work, target) {
        let message =
            format!("cannot change table \"{}\" to unlogged because it is part of a publication", target.name.name);
        work.impact.refuse("55000", message, "Take it out of the publication first.");
    }
    refuse_foreign_keys(work, target, logged);
    work.rewrite(target);
    if work.major() >= 15 && relation.kind.is_table() {
        for sequence in all_sequences(work, target) {
            work.lock(sequence);
        }
    }
    if !logged {
        let message = format!("{} is empty after a crash, and not on standbys", target.name);
        work.impact.hazard(HazardId::DataLoss, Some(target.name), message);
    }
}

/// Named in a publication one by one; whoever publishes everything does not count.
fn is_published<'a>(work: &Work<'_, 'a>, target: Rel<'a>) -> bool {
    work.resolver.catalog.publications.values().any(|publication| publication.tables.contains(target.name))
}

/// A permanent table may not refer to one that is not.
fn refuse_foreign_keys<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, logged: bool) {
    let name = &target.name.name;
    if logged {
        let unlogged = work
            .resolver
            .references(target)
            .into_iter()
            .find(|(_, parent)| *parent != target && parent.relation.persistence != Persistence::Permanent);
        if let Some((_, parent)) = unlogged {
            let message = format!(
                "could not change table \"{name}\" to logged because it references unlogged table \"{}\"",
                parent.name.name
            );
            work.impact.refuse("42P16", message, "Make the referenced table logged first.");
        }
        return;
    }
    let permanent = work
        .resolver
        .referencing(target.name)
        .into_iter()
        .find(|foreign| foreign.table != target && foreign.table.relation.persistence == Persistence::Permanent);
    if let Some(foreign) = permanent {
        let message = format!(
            "could not change table \"{name}\" to unlogged because it references logged table \"{}\"",
            foreign.table.name.name
        );
        work.impact.refuse("42P16", message, "Make the referencing table unlogged first, or drop its foreign key.");
    }
}

/// An empty name is DEFAULT. The same method changes nothing.
pub(super) fn set_access_method<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, method: &str) {
    let catalog = work.resolver.catalog;
    let default = match catalog.server.default_table_access_method.as_str() {
        "" => "heap",
        name => name,
    };
    let method = if method.is_empty() { default } else { method };
    require_access_method(&mut work.impact, work.resolver, method);
    if target.relation.kind == RelationKind::PartitionedTable {
        if work.major() < 17 {
            let message = "cannot change access method of a partitioned table";
            work.impact.refuse("42809", message, "Change it for each partition.");
        }
        return;
    }
    if target.relation.access_method != method {
        work.rewrite(target);
    }
}

/// The file is copied, not read row by row; indexes stay where they are. Of a partitioned table or index only
/// the place of future partitions changes.
pub(super) fn set_tablespace<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, tablespace: &str) {
    require_tablespace(&mut work.impact, work.resolver, tablespace);
    if tablespace == "pg_global" {
        let message = "only shared relations can be placed in pg_global tablespace";
        work.impact.refuse("22023", message, "Name another tablespace.");
    }
    let server = &work.resolver.catalog.server;
    let of_database = match server.default_tablespace.as_str() {
        "" => "pg_default",
        name => name,
    };
    let now = match target.relation.tablespace.as_str() {
        "" => of_database,
        name => name,
    };
    let kind = target.relation.kind;
    if now == tablespace || !(kind.has_heap() || kind == RelationKind::Index) {
        return;
    }
    if kind.has_heap() {
        work.impact.rewrite(target.name.clone());
    }
    let message = format!("{} is copied while reads and writes wait", target.name);
    work.impact.hazard(HazardId::TableRewrite, Some(target.name), message);
    let blocked = target.relation.index.as_ref().map_or(target.name, |index| &index.table);
    let message = format!("{blocked} cannot be used until {} is copied", target.name);
    work.impact.hazard(HazardId::BlocksReads, Some(blocked), message);
}

pub(super) fn set_parameters<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, options: &[Node], resets: bool) {
    let relation = target.relation;
    if relation.kind == RelationKind::PartitionedTable && work.major() >= 16 {
        let message = "cannot specify storage parameters for a partitioned table";
        work.impact.refuse("42809", message, "Set them for each partition.");
    }
    let holder = match (relation.kind, &relation.index) {
        (RelationKind::View, _) => Holder::View,
        (_, Some(index)) => Holder::Index(&index.method),
        // Up to 15 a partitioned table has parameters, but there are none.
        (RelationKind::PartitionedTable, _) => Holder::Index("brin"),
        _ => Holder::Table,
    };
    for option in options {
        let Some(NodeEnum::DefElem(option)) = option.node.as_ref() else { continue };
        if let Err(message) = check(option, holder, resets, work.major()) {
            work.impact.refuse("22023", message, "Check the name and the value of the parameter.");
        }
    }
}
