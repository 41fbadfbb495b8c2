//! SET SCHEMA.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterObjectSchemaStmt, ObjectType};

use crate::catalog::{Name, RelationKind};
use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::objects::{self, Existence, relation_matches, relation_phrase};
use crate::plan::analyze::refusal::{missing_object, missing_schema, object_exists, require_relation, wrong_kind};
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// AccessExclusive on the relation and the sequences its columns own; partitions stay where they are. Other
/// objects take no lock that a query could meet.
pub(in crate::plan::analyze) fn set_schema(statement: &AlterObjectSchemaStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let kind = ObjectType::try_from(statement.object_type).unwrap_or_default();
    match (&statement.relation, statement.object.as_ref().and_then(|object| object.node.as_ref())) {
        (Some(name), _) => {
            let Some(found) = require_relation(&mut impact, resolver, name, statement.missing_ok) else {
                return impact;
            };
            relation(&mut impact, resolver, kind, found, &statement.newschema);
        }
        (None, Some(object)) => other(&mut impact, resolver, kind, object, &statement.newschema),
        (None, None) => {}
    }
    impact
}

fn target(impact: &mut Impact, resolver: &Resolver<'_>, schema: &str) {
    if schema == "pg_temp" || schema.starts_with("pg_temp_") {
        impact.refuse(
            "0A000",
            "cannot move objects into or out of temporary schemas",
            "Create a temporary object anew instead.",
        );
    } else if schema == "pg_toast" {
        impact.refuse("0A000", "cannot move objects into or out of TOAST schema", "Choose another schema.");
    } else if !resolver.catalog.schemas.contains_key(schema)
        && !schema.starts_with("pg_")
        && schema != "information_schema"
    {
        missing_schema(impact, schema);
    }
}

fn relation<'a>(impact: &mut Impact, resolver: &Resolver<'a>, kind: ObjectType, found: Rel<'a>, schema: &str) {
    let relation = found.relation;
    if kind != ObjectType::ObjectTable && !relation_matches(kind, relation.kind) {
        return wrong_kind(impact, &found.name.name, relation_phrase(kind));
    }
    if relation.kind.is_index() {
        return impact.refuse(
            "42809",
            format!("cannot change schema of index \"{}\"", found.name.name),
            "An index is always in the schema of its table; move the table.",
        );
    }
    impact.lock(found.name.clone(), LockMode::AccessExclusive);
    if relation.kind == RelationKind::Sequence && relation.sequence.as_ref().is_some_and(|s| s.owned_by.is_some()) {
        impact.refuse(
            "0A000",
            "cannot move an owned sequence into another schema",
            "Move the table that owns it: the sequence goes with it.",
        );
    }
    target(impact, resolver, schema);
    let sequences = resolver.owned_sequences(found, None);
    for sequence in &sequences {
        impact.lock(sequence.name.clone(), LockMode::AccessExclusive);
    }
    if found.name.schema != schema {
        let moved = std::iter::once(found).chain(resolver.indexes(found.name)).chain(sequences);
        for moved in moved {
            clash(impact, resolver, moved, schema);
        }
        impact.hazard(
            HazardId::BreaksClients,
            Some(found.name),
            "Clients that name the old schema, or whose search path has only that, no longer find it.",
        );
    }
}

fn clash<'a>(impact: &mut Impact, resolver: &Resolver<'a>, moved: Rel<'a>, schema: &str) {
    let new = Name::new(schema, moved.name.name.clone());
    if resolver.get(&new).is_some() {
        impact.refuse(
            "42P07",
            format!("relation \"{}\" already exists in schema \"{schema}\"", new.name),
            "Rename or drop one of the two first.",
        );
    } else if !moved.relation.kind.is_index()
        && moved.relation.kind != RelationKind::Sequence
        && resolver.type_exists(&new)
    {
        impact.refuse(
            "42710",
            format!("type \"{}\" already exists in schema \"{schema}\"", new.name),
            "Rename or drop one of the two first.",
        );
    }
}

fn other(impact: &mut Impact, resolver: &Resolver<'_>, kind: ObjectType, object: &NodeEnum, schema: &str) {
    let Some(name) = Qualified::from_object(object) else { return };
    if matches!(kind, ObjectType::ObjectType | ObjectType::ObjectDomain) {
        match resolver.type_lookup(name) {
            TypeLookup::User(found, _) => {
                if found.schema != schema && resolver.type_exists(&Name::new(schema, found.name.clone())) {
                    object_exists(impact, "type", &found.name);
                }
            }
            TypeLookup::Row(found) => impact.refuse(
                "42809",
                format!("{} is a table's row type", found.name.name),
                "Use ALTER TABLE ... SET SCHEMA instead.",
            ),
            TypeLookup::Missing => missing_object(impact, "type", &name.shown()),
            TypeLookup::System => {}
        }
    } else if objects::exists(resolver, kind, object) == Existence::Missing {
        objects::refuse_missing(impact, resolver, kind, object);
    }
    target(impact, resolver, schema);
    impact.hazard(HazardId::BreaksClients, None, "Clients that name the old schema no longer find the object.");
}
