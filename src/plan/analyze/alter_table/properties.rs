//! OWNER TO, CLUSTER ON, REPLICA IDENTITY, row level security.

use pg_query::protobuf::{ReplicaIdentityStmt, RoleSpec, RoleSpecType};

use super::work::Work;
use crate::catalog::RelationKind;
use crate::plan::analyze::refusal::require_role;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Indexes and owned sequences go along, unless the owner stays the same (`ATExecChangeOwner`).
pub(super) fn change_owner<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, owner: Option<&RoleSpec>) {
    let Some(owner) = owner else { return };
    let server = &work.resolver.catalog.server;
    let name = match owner.roletype() {
        RoleSpecType::RolespecCstring => owner.rolename.clone(),
        _ => server.user.clone(),
    };
    require_role(&mut work.impact, work.resolver, &name);
    let relation = target.relation;
    let owned_by = relation.sequence.as_ref().and_then(|sequence| sequence.owned_by.as_ref());
    if name != relation.owner && owned_by.is_some() {
        let message = format!("cannot change owner of sequence \"{}\"", target.name.name);
        work.impact.refuse("0A000", message, "It belongs to its table: change the table's owner.");
    }
    if name == relation.owner || relation.kind.is_index() {
        return;
    }
    for index in &work.resolver.indexes(target.name) {
        work.lock(*index);
    }
    for sequence in all_sequences(work, target) {
        work.lock(sequence);
    }
    let message = format!("{} gets another owner", target.name);
    work.impact.hazard(HazardId::Authorization, Some(target.name), message);
}

/// Every sequence that a column of the table owns.
pub(super) fn all_sequences<'a>(work: &Work<'_, 'a>, table: Rel<'a>) -> Vec<Rel<'a>> {
    let columns = &table.relation.columns;
    let mut all = Vec::new();
    for column in columns {
        all.extend(super::drop_column::owned(work, table, &column.name));
    }
    all
}

pub(super) fn cluster_on<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, index: &str) {
    let found = work.resolver.indexes(table.name).into_iter().find(|found| found.name.name == index);
    let Some(found) = found else {
        let elsewhere = crate::catalog::Name::new(table.name.schema.clone(), index);
        if work.resolver.get(&elsewhere).is_some_and(|other| other.relation.kind.is_index()) {
            let message = format!("\"{index}\" is not an index for table \"{}\"", table.name.name);
            work.impact.refuse("42809", message, "Name an index of the table.");
            return;
        }
        let message = format!("index \"{index}\" for table \"{}\" does not exist", table.name.name);
        work.impact.refuse("42704", message, "Name an index of the table.");
        return;
    };
    work.lock(found);
    let Some(facts) = &found.relation.index else { return };
    if !matches!(facts.method.as_str(), "btree" | "gist") {
        let message = format!("cannot cluster on index \"{index}\" because access method does not support clustering");
        work.impact.refuse("0A000", message, "Use a btree or gist index.");
    }
    if facts.predicate.is_some() {
        let message = format!("cannot cluster on partial index \"{index}\"");
        work.impact.refuse("0A000", message, "Use an index over all rows.");
    }
    if !facts.valid {
        let message = format!("cannot cluster on invalid index \"{index}\"");
        work.impact.refuse("0A000", message, "Rebuild the index first.");
    }
    refuse_partitioned(work, table);
}

pub(super) fn drop_cluster<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>) {
    refuse_partitioned(work, table);
}

fn refuse_partitioned<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>) {
    if table.relation.kind == RelationKind::PartitionedTable {
        let message = "cannot mark index clustered in partitioned table";
        work.impact.refuse("0A000", message, "Do it for each partition.");
    }
}

pub(super) fn replica_identity<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, identity: &ReplicaIdentityStmt) {
    if identity.identity_type != "i" {
        return;
    }
    let name = &identity.name;
    let found = work.resolver.indexes(table.name).into_iter().find(|found| found.name.name == *name);
    let Some(found) = found else {
        let full = crate::catalog::Name::new(table.name.schema.clone(), name.clone());
        if work.resolver.get(&full).is_some_and(|other| other.relation.kind.is_index()) {
            let message = format!("\"{name}\" is not an index for table \"{}\"", table.name.name);
            work.impact.refuse("42809", message, "Name an index of the table.");
        }
        let message = format!("index \"{name}\" for table \"{}\" does not exist", table.name.name);
        work.impact.refuse("42704", message, "Name an index of the table.");
        return;
    };
    work.lock_with(found, LockMode::Share);
    let Some(facts) = &found.relation.index else { return };
    let problem = if !facts.unique {
        Some(format!("cannot use non-unique index \"{name}\" as replica identity"))
    } else if !facts.immediate {
        Some(format!("cannot use non-immediate index \"{name}\" as replica identity"))
    } else if facts.keys.iter().any(|key| key.expression.is_some()) {
        Some(format!("cannot use expression index \"{name}\" as replica identity"))
    } else if facts.predicate.is_some() {
        Some(format!("cannot use partial index \"{name}\" as replica identity"))
    } else {
        let columns = facts.keys.iter().filter_map(|key| work.column(table, key.column.as_deref()?));
        columns.filter(|column| !column.not_null).map(|column| &column.name).next().map(|column| {
            format!("index \"{name}\" cannot be used as replica identity because column \"{column}\" is nullable")
        })
    };
    if let Some(message) = problem {
        work.impact.refuse("42809", message, "Use a plain unique index over columns that are NOT NULL.");
    }
}

pub(super) fn row_security<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>) {
    let message = format!("who sees which rows of {} changes", table.name);
    work.impact.hazard(HazardId::Authorization, Some(table.name), message);
}
