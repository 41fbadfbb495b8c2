//! Sequences: their numbers, and those behind serial and identity columns.

use pg_query::protobuf::{AlterSeqStmt, CreateSeqStmt, Node, node};

use super::edit::{Edit, Outcome, fail};
use super::names::{self, option_text, options, parts};
use super::privileges;
use crate::catalog::expression::strings;
use crate::catalog::{ColumnReference, Name, Persistence, Relation, RelationKind, Sequence};

/// Largest value of the sequence's type.
fn largest(data_type: &str) -> i64 {
    match data_type {
        "smallint" => i64::from(i16::MAX),
        "integer" => i64::from(i32::MAX),
        _ => i64::MAX,
    }
}

fn smallest(data_type: &str) -> i64 {
    -largest(data_type) - 1
}

/// A new sequence's numbers without any option.
fn fresh(data_type: &str) -> Sequence {
    Sequence {
        data_type: data_type.to_owned(),
        start: 1,
        increment: 1,
        minimum: 1,
        maximum: largest(data_type),
        cache: 1,
        cycle: false,
        owned_by: None,
        identity: false,
    }
}

fn number(node: Option<&Node>) -> Option<i64> {
    option_text(node)?.parse().ok()
}

/// `init_params` (sequence.c): defaults follow the type and the direction.
fn with_options(mut sequence: Sequence, nodes: &[Node], new: bool) -> Outcome<Sequence> {
    let find = |name: &str| options(nodes).find(|element| element.defname == name);
    let old = sequence.clone();
    if let Some(element) = find("as") {
        let type_name = match element.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
            Some(node::Node::TypeName(type_name)) => strings(&type_name.names).pop().unwrap_or_default(),
            _ => String::new(),
        };
        sequence.data_type = match type_name.as_str() {
            "int2" => "smallint".to_owned(),
            "int4" => "integer".to_owned(),
            "int8" => "bigint".to_owned(),
            _ => fail!("a sequence cannot be of that type"),
        };
    }
    let type_changed = old.data_type != sequence.data_type;
    if let Some(increment) = find("increment").and_then(|element| number(element.arg.as_deref())) {
        sequence.increment = increment;
    }
    if let Some(cycle) = find("cycle") {
        sequence.cycle = option_text(cycle.arg.as_deref()).as_deref() != Some("false");
    }
    let ascending = sequence.increment > 0;
    // A bound at the old type's limit moves to the new type's.
    let old_maximum_is_limit = type_changed && old.maximum == largest(&old.data_type);
    let old_minimum_is_limit = type_changed && old.minimum == smallest(&old.data_type);
    match find("maxvalue") {
        Some(element) if element.arg.is_some() => {
            sequence.maximum = number(element.arg.as_deref()).unwrap_or(sequence.maximum);
        }
        found if found.is_some() || new || old_maximum_is_limit => {
            sequence.maximum = if ascending { largest(&sequence.data_type) } else { -1 };
        }
        _ => {}
    }
    match find("minvalue") {
        Some(element) if element.arg.is_some() => {
            sequence.minimum = number(element.arg.as_deref()).unwrap_or(sequence.minimum);
        }
        found if found.is_some() || new || old_minimum_is_limit => {
            sequence.minimum = if ascending { 1 } else { smallest(&sequence.data_type) };
        }
        _ => {}
    }
    match find("start").and_then(|element| number(element.arg.as_deref())) {
        Some(start) => sequence.start = start,
        None if new => sequence.start = if ascending { sequence.minimum } else { sequence.maximum },
        None => {}
    }
    if let Some(cache) = find("cache").and_then(|element| number(element.arg.as_deref())) {
        sequence.cache = cache;
    }
    Ok(sequence)
}

/// `CREATE SEQUENCE`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &CreateSeqStmt) -> Outcome {
    let Some(range) = &statement.sequence else { fail!("the statement names no sequence") };
    let name = names::creation_of(edit, range)?;
    if edit.relations.contains_key(&name) {
        if statement.if_not_exists {
            return Ok(());
        }
        fail!("relation {name} already exists");
    }
    let owner = edit.server.user.clone();
    let persistence = persistence(&range.relpersistence);
    add(edit, name.clone(), "bigint", &statement.options, persistence, owner)?;
    owned_by_option(edit, &name, &statement.options)
}

/// How `relpersistence` of a statement is called.
pub(super) fn persistence(letter: &str) -> Persistence {
    match letter {
        "u" => Persistence::Unlogged,
        "t" => Persistence::Temporary,
        _ => Persistence::Permanent,
    }
}

/// Adds a sequence of the type.
pub(super) fn add(
    edit: &mut Edit<'_>,
    name: Name,
    data_type: &str,
    options: &[Node],
    persistence: Persistence,
    owner: String,
) -> Outcome {
    let sequence = with_options(fresh(data_type), options, true)?;
    let mut relation = Relation::new(RelationKind::Sequence, owner);
    relation.persistence = persistence;
    relation.sequence = Some(Box::new(sequence));
    relation.privileges = privileges::initial(edit, 'S', &name.schema, &relation.owner);
    edit.put_relation(name, relation);
    Ok(())
}

/// Adds the sequence of a serial or identity column under the name the server would choose, and gives that.
pub(super) fn add_for_column(
    edit: &mut Edit<'_>,
    table: &Name,
    column: &str,
    data_type: &str,
    nodes: &[Node],
    (persistence, owner): (Persistence, String),
) -> Outcome<Name> {
    let chosen = options(nodes).find(|element| element.defname == "sequence_name");
    let name = match chosen {
        Some(element) => {
            let parts = parts(element.arg.as_deref());
            let (schema, name) = names::split(&parts);
            Name::new(if schema.is_empty() { &table.schema } else { schema }, name)
        }
        None => {
            let parts = (table.name.as_str(), column, "seq");
            let name = crate::catalog::naming::relation_name(edit, &table.schema, parts, false);
            Name::new(table.schema.as_str(), name)
        }
    };
    if edit.relations.contains_key(&name) {
        fail!("relation {name} already exists");
    }
    // Until 14 an unlogged table's sequence is an ordinary one.
    let persistence = match persistence {
        Persistence::Unlogged if edit.major() < 15 => Persistence::Permanent,
        other => other,
    };
    add(edit, name.clone(), data_type, nodes, persistence, owner)?;
    Ok(name)
}

/// Makes the column the sequence's owner.
pub(super) fn own(edit: &mut Edit<'_>, sequence: &Name, table: &Name, column: &str, identity: bool) -> Outcome {
    release(edit, sequence)?;
    let reference = ColumnReference { relation: table.clone(), column: Some(column.to_owned()) };
    if let Some(numbers) = &mut edit.relation_mut(sequence)?.sequence {
        numbers.owned_by = Some(reference);
        numbers.identity = identity;
    }
    let owner = edit.relation_mut(table)?;
    if let Some(owner) = owner.columns.iter_mut().find(|candidate| candidate.name == column) {
        let keeps = !identity
            && (owner.identity.is_some() || owner.owned_sequence.as_ref().is_some_and(|other| other < sequence));
        if !keeps || owner.owned_sequence.is_none() {
            owner.owned_sequence = Some(sequence.clone());
        }
    }
    Ok(())
}

/// Takes the sequence from its owning column.
pub(super) fn release(edit: &mut Edit<'_>, sequence: &Name) -> Outcome {
    let numbers = edit.relation_mut(sequence)?.sequence.as_mut();
    let Some(owned_by) = numbers.and_then(|numbers| numbers.owned_by.take()) else { return Ok(()) };
    if let (Ok(table), Some(column)) = (edit.relation_mut(&owned_by.relation), owned_by.column)
        && let Some(column) = table.columns.iter_mut().find(|candidate| candidate.name == column)
        && column.owned_sequence.as_ref() == Some(sequence)
    {
        column.owned_sequence = None;
    }
    Ok(())
}

fn owned_by_option(edit: &mut Edit<'_>, sequence: &Name, nodes: &[Node]) -> Outcome {
    let Some(element) = options(nodes).find(|element| element.defname == "owned_by") else { return Ok(()) };
    let parts = parts(element.arg.as_deref());
    if let [none] = parts.as_slice()
        && none == "none"
    {
        return release(edit, sequence);
    }
    let Some((column, table)) = parts.split_last() else { fail!("OWNED BY names no column") };
    let table = names::relation_of(edit, table)?;
    if edit.relation(&table)?.column(column).is_none() {
        fail!("column {} of {table} does not exist", crate::sql::quote::ident(column));
    }
    own(edit, sequence, &table, column, false)
}

/// `ALTER SEQUENCE` other than its renaming, owner and schema.
pub(super) fn alter(edit: &mut Edit<'_>, statement: &AlterSeqStmt) -> Outcome {
    let Some(range) = &statement.sequence else { fail!("the statement names no sequence") };
    let Some(name) = names::find_relation(edit, range) else {
        if statement.missing_ok {
            return Ok(());
        }
        fail!("sequence {} does not exist", names::spelled_range(range));
    };
    alter_numbers(edit, &name, &statement.options)?;
    owned_by_option(edit, &name, &statement.options)
}

/// Changes the numbers of a sequence; `RESTART` alone has no effect on them.
pub(super) fn alter_numbers(edit: &mut Edit<'_>, name: &Name, nodes: &[Node]) -> Outcome {
    let relation = edit.relation_mut(name)?;
    match relation.sequence.take() {
        Some(sequence) => {
            relation.sequence = Some(Box::new(with_options(*sequence, nodes, false)?));
            Ok(())
        }
        None => fail!("{name} is not a sequence"),
    }
}

/// Gives the sequence of an identity column the column's new type.
pub(super) fn alter_type(edit: &mut Edit<'_>, name: &Name, data_type: &str) -> Outcome {
    let relation = edit.relation_mut(name)?;
    if let Some(sequence) = &mut relation.sequence
        && sequence.data_type != data_type
    {
        if sequence.maximum == largest(&sequence.data_type) {
            sequence.maximum = largest(data_type);
        }
        if sequence.minimum == smallest(&sequence.data_type) {
            sequence.minimum = smallest(data_type);
        }
        data_type.clone_into(&mut sequence.data_type);
    }
    Ok(())
}

/// The type of a sequence for a column type.
pub(super) fn data_type(internal: &str) -> &'static str {
    match internal {
        "int2" => "smallint",
        "int4" => "integer",
        _ => "bigint",
    }
}
