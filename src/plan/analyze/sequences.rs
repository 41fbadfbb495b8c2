//! CREATE SEQUENCE and ALTER SEQUENCE (its own parse node; renames, owners and schemas are elsewhere).

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterSeqStmt, CreateSeqStmt, Node};

use super::names::{Qualified, strings};
use super::refusal::{missing_column, missing_relation, relation_exists, require_relation, require_schema, wrong_kind};
use super::resolve::{Lookup, Rel};
use super::since::{self, Feature};
use super::{Impact, Resolver, options};
use crate::catalog::RelationKind;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Locks nothing but the table of `OWNED BY` (AccessShare).
pub(super) fn create_sequence(statement: &CreateSeqStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.sequence else { return impact };
    if name.relpersistence == "u" {
        since::require_option(&mut impact, resolver, Feature::UnloggedSequence);
    }
    require_schema(&mut impact, resolver, &name.schemaname);
    let created = resolver.creation_name(&name.schemaname, &name.relname);
    if name.relpersistence != "t" && resolver.get(&created).is_some() {
        if !statement.if_not_exists {
            relation_exists(&mut impact, &created.name);
        }
        return impact;
    }
    limits(&mut impact, &statement.options);
    owned_by(&mut impact, resolver, &statement.options, None);
    if let Some(schema) = owner_schema(&statement.options, resolver)
        && schema != created.schema
    {
        other_schema(&mut impact);
    }
    impact
}

/// 22023: limits that leave no value, of what is given (`init_params` in sequence.c).
fn limits(impact: &mut Impact, list: &[Node]) {
    let given = |name: &str| options::find(list, name).and_then(options::text)?.parse::<i64>().ok();
    let step = given("increment").unwrap_or(1);
    if step == 0 {
        return impact.refuse("22023", "INCREMENT must not be zero", "Count up or down.");
    }
    let least = given("minvalue").or((step > 0).then_some(1));
    let most = given("maxvalue").or((step < 0).then_some(-1));
    if let (Some(least), Some(most)) = (least, most)
        && least >= most
    {
        let message = format!("MINVALUE ({least}) must be less than MAXVALUE ({most})");
        return impact.refuse("22023", message, "Leave room for values between the two.");
    }
    let Some(start) = given("start") else { return };
    if least.is_some_and(|least| start < least) {
        let message = format!("START value ({start}) cannot be less than MINVALUE ({})", least.unwrap_or_default());
        return impact.refuse("22023", message, "Start within the limits.");
    }
    if most.is_some_and(|most| start > most) {
        let message = format!("START value ({start}) cannot be greater than MAXVALUE ({})", most.unwrap_or_default());
        impact.refuse("22023", message, "Start within the limits.");
    }
}

/// ShareRowExclusive on the sequence: `nextval` waits until the end of the transaction. Any option but
/// `OWNED BY` gives it a new file.
pub(super) fn alter_sequence(statement: &AlterSeqStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.sequence else { return impact };
    let Some(sequence) = require_relation(&mut impact, resolver, name, statement.missing_ok) else { return impact };
    if sequence.relation.kind != RelationKind::Sequence {
        wrong_kind(&mut impact, &name.relname, "a sequence");
        return impact;
    }
    impact.lock(sequence.name.clone(), LockMode::ShareRowExclusive);
    impact.hazard(
        HazardId::BlocksWrites,
        Some(sequence.name),
        "nextval() on the sequence, and so every INSERT that uses it, waits until the transaction ends.",
    );
    owned_by(&mut impact, resolver, &statement.options, Some(sequence));
    impact
}

fn owned_by<'a>(impact: &mut Impact, resolver: &Resolver<'a>, options: &[Node], sequence: Option<Rel<'a>>) {
    let Some(element) = options::find(options, "owned_by") else { return };
    let Some(NodeEnum::List(list)) = element.arg.as_ref().and_then(|arg| arg.node.as_ref()) else { return };
    let parts = strings(&list.items);
    if sequence.is_some_and(|s| s.relation.sequence.as_ref().is_some_and(|s| s.identity)) {
        impact.refuse(
            "0A000",
            "cannot change ownership of identity sequence",
            "The sequence belongs to its identity column; drop the identity instead.",
        );
        return;
    }
    let Some((column, table)) = parts.split_last() else { return };
    // A single word can only be NONE.
    let Some(table) = Qualified::from_parts(table) else { return };
    let owner = match resolver.lookup_name(table.schema, table.name) {
        Lookup::Found(found) => found,
        Lookup::System => return,
        Lookup::Missing => return missing_relation(impact, table),
    };
    impact.lock(owner.name.clone(), LockMode::AccessShare);
    let ownable = matches!(
        owner.relation.kind,
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable | RelationKind::View
    );
    if !ownable {
        impact.refuse(
            "42809",
            format!("sequence cannot be owned by relation \"{}\"", owner.name.name),
            "Name a column of a table.",
        );
    } else if owner.relation.column(column).is_none() {
        missing_column(impact, column, owner.name);
    } else if sequence.is_some_and(|sequence| sequence.relation.owner != owner.relation.owner) {
        impact.refuse(
            "55000",
            "sequence must have same owner as table it is linked to",
            "Change the owner of the sequence or of the table first.",
        );
    } else if sequence.is_some_and(|sequence| sequence.name.schema != owner.name.schema) {
        other_schema(impact);
    }
}

fn other_schema(impact: &mut Impact) {
    impact.refuse(
        "55000",
        "sequence must be in same schema as table it is linked to",
        "Put the sequence into the table's schema.",
    );
}

/// The schema of the table that `OWNED BY` names.
fn owner_schema(list: &[Node], resolver: &Resolver<'_>) -> Option<String> {
    let element = options::find(list, "owned_by")?;
    let NodeEnum::List(list) = element.arg.as_ref()?.node.as_ref()? else { return None };
    let parts = strings(&list.items);
    let (_, table) = parts.split_last()?;
    let table = Qualified::from_parts(table)?;
    match resolver.lookup_name(table.schema, table.name) {
        Lookup::Found(found) => Some(found.name.schema.clone()),
        _ => None,
    }
}
