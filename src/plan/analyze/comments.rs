//! COMMENT ON and SECURITY LABEL ON.

use pg_query::NodeEnum;
use pg_query::protobuf::{CommentStmt, ObjectType, SecLabelStmt};

use super::names::{Qualified, on_table, string, strings};
use super::objects::{self, Existence};
use super::refusal::{missing_column, missing_object, missing_relation, wrong_kind};
use super::resolve::{Lookup, Rel};
use super::{Impact, Resolver};
use crate::catalog::RelationKind;
use crate::plan::lock::LockMode;

/// ShareUpdateExclusive on a relation (or the relation of a column), AccessShare on the table of a constraint,
/// trigger, policy or rule, nothing on relations for other objects (`get_object_address` in objectaddress.c).
pub(super) fn comment(statement: &CommentStmt, resolver: &Resolver<'_>) -> Impact {
    let kind = ObjectType::try_from(statement.objtype).unwrap_or_default();
    let mut impact = Impact::none();
    if let Some(object) = statement.object.as_ref().and_then(|object| object.node.as_ref()) {
        address(&mut impact, resolver, kind, object);
    }
    impact
}

/// The locks of COMMENT. The server refuses a label when no provider is loaded; providers are libraries that come
/// with an extension of their name.
pub(super) fn security_label(statement: &SecLabelStmt, resolver: &Resolver<'_>) -> Impact {
    let kind = ObjectType::try_from(statement.objtype).unwrap_or_default();
    let mut impact = Impact::none();
    let provider = statement.provider.as_str();
    let extensions = &resolver.catalog.extensions;
    if provider.is_empty() && extensions.keys().all(|extension| extension == "plpgsql") {
        impact.refuse(
            "22023",
            "no security label providers have been loaded",
            "Load the provider's library first (shared_preload_libraries).",
        );
    } else if !provider.is_empty() && !extensions.contains_key(provider) {
        impact.refuse(
            "22023",
            format!("security label provider \"{provider}\" is not loaded"),
            "Load the provider's library first (shared_preload_libraries).",
        );
    }
    if let Some(object) = statement.object.as_ref().and_then(|object| object.node.as_ref()) {
        address(&mut impact, resolver, kind, object);
    }
    impact
}

fn address(impact: &mut Impact, resolver: &Resolver<'_>, kind: ObjectType, object: &NodeEnum) {
    match kind {
        ObjectType::ObjectTable
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectForeignTable
        | ObjectType::ObjectSequence
        | ObjectType::ObjectIndex => relation(impact, resolver, kind, object),
        ObjectType::ObjectColumn => column(impact, resolver, object),
        ObjectType::ObjectTabconstraint
        | ObjectType::ObjectTrigger
        | ObjectType::ObjectPolicy
        | ObjectType::ObjectRule => part_of_table(impact, resolver, kind, object),
        ObjectType::ObjectDomconstraint => domain_constraint(impact, resolver, object),
        _ => {
            if objects::exists(resolver, kind, object) == Existence::Missing {
                objects::refuse_missing(impact, resolver, kind, object);
            }
        }
    }
}

fn relation(impact: &mut Impact, resolver: &Resolver<'_>, kind: ObjectType, object: &NodeEnum) {
    let Some(name) = Qualified::from_object(object) else { return };
    let found = match resolver.lookup_name(name.schema, name.name) {
        Lookup::Found(found) => found,
        Lookup::System => return,
        Lookup::Missing => return missing_relation(impact, name),
    };
    if objects::relation_matches(kind, found.relation.kind) {
        impact.lock(found.name.clone(), LockMode::ShareUpdateExclusive);
    } else {
        wrong_kind(impact, &found.name.name, objects::relation_phrase(kind));
    }
}

fn column(impact: &mut Impact, resolver: &Resolver<'_>, object: &NodeEnum) {
    let NodeEnum::List(list) = object else { return };
    let parts = strings(&list.items);
    let Some((column, table)) = parts.split_last() else { return };
    let Some(name) = Qualified::from_parts(table) else { return };
    let found = match resolver.lookup_name(name.schema, name.name) {
        Lookup::Found(found) => found,
        Lookup::System => return,
        Lookup::Missing => {
            // A composite type has columns, and an entry among the relations, too.
            if let Some((type_name, attributes)) = resolver.composite_named(name) {
                impact.lock(type_name.clone(), LockMode::ShareUpdateExclusive);
                if !attributes.iter().any(|attribute| attribute.name == *column) {
                    missing_column(impact, column, type_name);
                }
                return;
            }
            return missing_relation(impact, name);
        }
    };
    if matches!(found.relation.kind, RelationKind::Index | RelationKind::PartitionedIndex | RelationKind::Sequence) {
        return wrong_kind(
            impact,
            &found.name.name,
            "a table, view, materialized view, composite type, or foreign table",
        );
    }
    impact.lock(found.name.clone(), LockMode::ShareUpdateExclusive);
    if found.relation.column(column).is_none() && !objects::is_system_column(column) {
        missing_column(impact, column, found.name);
    }
}

fn part_of_table(impact: &mut Impact, resolver: &Resolver<'_>, kind: ObjectType, object: &NodeEnum) {
    let Some((name, thing)) = on_table(object) else { return };
    let table = match resolver.lookup_name(name.schema, name.name) {
        Lookup::Found(found) => found,
        Lookup::System => return,
        Lookup::Missing => return missing_relation(impact, name),
    };
    impact.lock(table.name.clone(), LockMode::AccessShare);
    if !has_part(table, kind, thing) {
        objects::refuse_missing_part(impact, kind, thing, table);
    }
}

/// Whether the table has a trigger, rule, policy or constraint of that name.
pub(super) fn has_part(table: Rel<'_>, kind: ObjectType, name: &str) -> bool {
    let relation = table.relation;
    match kind {
        ObjectType::ObjectTrigger => relation.triggers.iter().any(|trigger| trigger.name == name),
        ObjectType::ObjectPolicy => relation.policies.iter().any(|policy| policy.name == name),
        ObjectType::ObjectRule => {
            relation.rules.iter().any(|rule| rule.name == name)
                || (name == "_RETURN" && matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView))
        }
        ObjectType::ObjectTabconstraint => relation.constraint(name).is_some(),
        _ => true,
    }
}

fn domain_constraint(impact: &mut Impact, resolver: &Resolver<'_>, object: &NodeEnum) {
    let NodeEnum::List(list) = object else { return };
    let [domain, constraint] = list.items.as_slice() else { return };
    let (Some(domain), Some(constraint)) = (&domain.node, constraint.node.as_ref().and_then(string)) else { return };
    let Some(name) = Qualified::from_object(domain) else { return };
    match resolver.domain(name) {
        Some(constraints) if constraints.iter().any(|known| known.name == constraint) => {}
        Some(_) => missing_object(impact, "constraint", constraint),
        None => missing_object(impact, "type", &name.shown()),
    }
}
