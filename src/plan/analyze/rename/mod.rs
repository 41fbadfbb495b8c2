//! RENAME, SET SCHEMA, OWNER TO (of what is no relation), DEPENDS ON EXTENSION.

mod members;
mod owner;
mod relation;
mod schema;

use pg_query::NodeEnum;
use pg_query::protobuf::{ObjectType, RenameStmt};

pub(super) use owner::{depends_on_extension, owner};
pub(super) use schema::set_schema;

use super::lookup::TypeLookup;
use super::names::Qualified;
use super::objects::{self, Existence};
use super::refusal::{missing_object, object_exists};
use super::{Impact, Resolver};
use crate::catalog::{Name, TypeKind};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Relations and what hangs on them take locks; other objects none that a query could meet.
pub(super) fn rename(statement: &RenameStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let kind = ObjectType::try_from(statement.rename_type).unwrap_or_default();
    match kind {
        ObjectType::ObjectTable
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectForeignTable
        | ObjectType::ObjectSequence
        | ObjectType::ObjectIndex => relation::rename(&mut impact, statement, resolver, kind),
        ObjectType::ObjectColumn => members::column(&mut impact, statement, resolver),
        ObjectType::ObjectAttribute => members::attribute(&mut impact, statement, resolver),
        ObjectType::ObjectTabconstraint => members::constraint(&mut impact, statement, resolver),
        ObjectType::ObjectTrigger => members::trigger(&mut impact, statement, resolver),
        ObjectType::ObjectRule => members::rule(&mut impact, statement, resolver),
        ObjectType::ObjectPolicy => members::policy(&mut impact, statement, resolver),
        ObjectType::ObjectDomconstraint => domain_constraint(&mut impact, statement, resolver),
        _ => other(&mut impact, statement, resolver, kind),
    }
    impact
}

/// The object node, or the name some kinds have in `subname` instead.
fn object(statement: &RenameStmt) -> NodeEnum {
    match statement.object.as_ref().and_then(|object| object.node.clone()) {
        Some(object) => object,
        None => NodeEnum::String(pg_query::protobuf::String { sval: statement.subname.clone() }),
    }
}

fn other(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>, kind: ObjectType) {
    let object = object(statement);
    let Some(name) = Qualified::from_object(&object) else { return };
    if matches!(kind, ObjectType::ObjectType | ObjectType::ObjectDomain) {
        return user_type(impact, statement, resolver, kind, name);
    }
    if objects::exists(resolver, kind, &object) == Existence::Missing {
        if !statement.missing_ok {
            objects::refuse_missing(impact, resolver, kind, &object);
        }
        return;
    }
    let new = &statement.newname;
    match kind {
        ObjectType::ObjectSchema => {
            if resolver.catalog.schemas.contains_key(new) {
                impact.refuse("42P06", format!("schema \"{new}\" already exists"), "Choose another name.");
            } else if new.starts_with("pg_") {
                impact.refuse(
                    "42939",
                    format!("unacceptable schema name \"{new}\""),
                    "The prefix \"pg_\" is reserved for system schemas.",
                );
            }
            impact.hazard(HazardId::BreaksClients, None, "Clients that name the schema no longer find what is in it.");
        }
        ObjectType::ObjectFunction | ObjectType::ObjectProcedure | ObjectType::ObjectRoutine => {
            function(impact, resolver, kind, &object, new);
        }
        ObjectType::ObjectStatisticExt => {
            let schema = resolver.statistics(name).map(|found| found.table.schema.clone()).unwrap_or_default();
            let schema = if name.schema.is_empty() { schema } else { name.schema.to_owned() };
            if resolver.catalog.statistics.contains_key(&Name::new(schema, new.clone())) {
                object_exists(impact, "statistics object", new);
            }
        }
        ObjectType::ObjectPublication if resolver.catalog.publications.contains_key(new) => {
            object_exists(impact, "publication", new);
        }
        ObjectType::ObjectSubscription if resolver.catalog.subscriptions.contains(new) => {
            object_exists(impact, "subscription", new);
        }
        ObjectType::ObjectRole | ObjectType::ObjectDatabase | ObjectType::ObjectTablespace => {
            if kind == ObjectType::ObjectRole && resolver.catalog.roles.contains(new) {
                object_exists(impact, "role", new);
            }
            impact.hazard(HazardId::ClusterWide, None, "The object belongs to the whole cluster.");
            impact.hazard(HazardId::BreaksClients, None, "Clients that use the old name fail.");
        }
        _ => {}
    }
}

fn function(impact: &mut Impact, resolver: &Resolver<'_>, kind: ObjectType, object: &NodeEnum, new: &str) {
    let NodeEnum::ObjectWithArgs(named) = object else { return };
    impact.hazard(HazardId::BreaksClients, None, "Clients that call it by the old name fail.");
    for found in objects::functions(resolver, kind, named) {
        let taken = resolver.catalog.functions.iter().any(|other| {
            other.name.schema == found.name.schema && other.name.name == new && other.arguments == found.arguments
        });
        if taken {
            impact.refuse(
                "42723",
                format!("function {new}({}) already exists in schema \"{}\"", found.arguments, found.name.schema),
                "Choose another name, or drop the other function first.",
            );
        }
    }
}

fn user_type(
    impact: &mut Impact,
    statement: &RenameStmt,
    resolver: &Resolver<'_>,
    kind: ObjectType,
    name: Qualified<'_>,
) {
    match resolver.type_lookup(name) {
        TypeLookup::User(found, facts) => {
            if kind == ObjectType::ObjectDomain && !matches!(facts.kind, TypeKind::Domain { .. }) {
                not_a_domain(impact, &name.shown());
            }
            if matches!(facts.kind, TypeKind::Composite { .. }) {
                impact.lock(found.clone(), LockMode::AccessExclusive);
            }
            let new = Name::new(found.schema.clone(), statement.newname.clone());
            if resolver.type_exists(&new) || resolver.get(&new).is_some_and(|taken| !taken.relation.kind.is_index()) {
                object_exists(impact, "type", &statement.newname);
            }
            impact.hazard(HazardId::BreaksClients, None, "Clients that use the type by its old name fail.");
        }
        TypeLookup::Row(found) => impact.refuse(
            "42809",
            format!("{} is a table's row type", found.name.name),
            "Use ALTER TABLE ... RENAME instead.",
        ),
        TypeLookup::Missing => missing_object(impact, "type", &name.shown()),
        TypeLookup::System => {}
    }
}

fn not_a_domain(impact: &mut Impact, name: &str) {
    impact.refuse("42809", format!("{name} is not a domain"), "Use ALTER TYPE instead.");
}

fn domain_constraint(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>) {
    let object = object(statement);
    let Some(name) = Qualified::from_object(&object) else { return };
    let constraints = match resolver.type_lookup(name) {
        TypeLookup::User(_, facts) => match &facts.kind {
            TypeKind::Domain { constraints, .. } => constraints,
            _ => return not_a_domain(impact, &name.shown()),
        },
        TypeLookup::Missing => return missing_object(impact, "type", &name.shown()),
        TypeLookup::Row(_) | TypeLookup::System => return,
    };
    if !constraints.iter().any(|constraint| constraint.name == statement.subname) {
        impact.refuse(
            "42704",
            format!("constraint \"{}\" for domain {} does not exist", statement.subname, name.shown()),
            "Check the name of the constraint.",
        );
    } else if constraints.iter().any(|constraint| constraint.name == statement.newname) {
        object_exists(impact, "constraint", &statement.newname);
    }
}
