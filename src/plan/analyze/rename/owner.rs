//! OWNER TO of objects that are no relations, and DEPENDS ON EXTENSION.

use pg_query::protobuf::{AlterObjectDependsStmt, AlterOwnerStmt, ObjectType, RoleSpecType};

use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::objects::{self, Existence};
use crate::plan::analyze::refusal::{missing_object, require_relation, require_role};
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// No lock on relations (tables, views, sequences and indexes change owner through ALTER TABLE's parse node).
pub(in crate::plan::analyze) fn owner(statement: &AlterOwnerStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let kind = ObjectType::try_from(statement.object_type).unwrap_or_default();
    if let Some(object) = statement.object.as_ref().and_then(|object| object.node.as_ref()) {
        if objects::exists(resolver, kind, object) == Existence::Missing {
            objects::refuse_missing(&mut impact, resolver, kind, object);
        } else if matches!(kind, ObjectType::ObjectType | ObjectType::ObjectDomain)
            && let Some(name) = Qualified::from_object(object)
        {
            owner_of_type(&mut impact, resolver, name);
        }
    }
    if let Some(role) = &statement.newowner
        && role.roletype == RoleSpecType::RolespecCstring as i32
    {
        require_role(&mut impact, resolver, &role.rolename);
    }
    impact.hazard(HazardId::Authorization, None, "The object belongs to another role.");
    impact
}

fn owner_of_type(impact: &mut Impact, resolver: &Resolver<'_>, name: Qualified<'_>) {
    if let Some((type_name, _)) = resolver.composite_named(name) {
        impact.lock(type_name.clone(), LockMode::AccessExclusive);
    } else if let TypeLookup::Row(found) = resolver.type_lookup(name) {
        impact.refuse(
            "42809",
            format!("{} is a table's row type", found.name.name),
            "Use ALTER TABLE ... OWNER TO instead.",
        );
    }
}

/// AccessExclusive on the index or materialized view, AccessShare on the table of a trigger.
pub(in crate::plan::analyze) fn depends_on_extension(
    statement: &AlterObjectDependsStmt,
    resolver: &Resolver<'_>,
) -> Impact {
    let mut impact = Impact::none();
    let kind = ObjectType::try_from(statement.object_type).unwrap_or_default();
    if let Some(name) = &statement.relation {
        let Some(found) = require_relation(&mut impact, resolver, name, false) else { return impact };
        let on_part = matches!(kind, ObjectType::ObjectTrigger);
        impact.lock(found.name.clone(), if on_part { LockMode::AccessShare } else { LockMode::AccessExclusive });
        if let Some(object) = statement.object.as_ref().and_then(|object| object.node.as_ref())
            && on_part
            && let Some(part) = Qualified::from_object(object)
            && !found.relation.triggers.iter().any(|trigger| trigger.name == part.name)
        {
            objects::refuse_missing_part(&mut impact, kind, part.name, found);
        }
    } else if let Some(object) = statement.object.as_ref().and_then(|object| object.node.as_ref())
        && objects::exists(resolver, kind, object) == Existence::Missing
    {
        objects::refuse_missing(&mut impact, resolver, kind, object);
    }
    if let Some(extension) = &statement.extname
        && !resolver.catalog.extensions.contains_key(&extension.sval)
    {
        missing_object(&mut impact, "extension", &extension.sval);
    }
    impact
}
