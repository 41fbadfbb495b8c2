//! DROP OWNED and REASSIGN OWNED.

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, DropOwnedStmt, Node, ReassignOwnedStmt, RoleSpecType};

use super::closure::closure;
use super::object::Object;
use crate::catalog::TypeKind;
use crate::plan::analyze::maintenance::roles;
use crate::plan::analyze::refusal::require_role;
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

fn check_roles(impact: &mut Impact, resolver: &Resolver<'_>, nodes: &[Node]) {
    for node in nodes {
        if let Some(NodeEnum::RoleSpec(role)) = &node.node
            && role.roletype == RoleSpecType::RolespecCstring as i32
        {
            require_role(impact, resolver, &role.rolename);
        }
    }
}

/// Drops what the roles own in this database, and policies that are for them alone; privileges granted to them
/// are revoked without a lock.
pub(in crate::plan::analyze) fn drop_owned(statement: &DropOwnedStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    check_roles(&mut impact, resolver, &statement.roles);
    let catalog = resolver.catalog;
    let roles = roles(&statement.roles, &catalog.server.user);
    let is_owner = |owner: &String| roles.contains(owner);
    let mut named: Vec<Object> = Vec::new();
    for (name, relation) in &catalog.relations {
        // Indexes and owned sequences go with their table.
        if is_owner(&relation.owner) && relation.index.is_none() {
            named.push(Object::Relation(name.clone()));
        }
        for policy in &relation.policies {
            if !policy.roles.is_empty() && policy.roles.iter().all(is_owner) {
                named.push(Object::Policy(name.clone(), policy.name.clone()));
            }
        }
    }
    named.extend(catalog.types.iter().filter(|(_, t)| is_owner(&t.owner)).map(|(name, _)| Object::Type(name.clone())));
    let functions = catalog.functions.iter().enumerate().filter(|(_, function)| is_owner(&function.owner));
    named.extend(functions.map(|(at, _)| Object::Function(at)));
    let schemas = catalog.schemas.iter().filter(|(_, schema)| is_owner(&schema.owner));
    named.extend(schemas.map(|(name, _)| Object::Schema(name.clone())));
    let statistics = catalog.statistics.iter().filter(|(_, statistics)| is_owner(&statistics.owner));
    named.extend(statistics.map(|(name, _)| Object::Statistics(name.clone())));
    let dropped = closure(named, resolver);
    if statement.behavior != DropBehavior::DropCascade as i32 {
        dropped.refuse_without_cascade(&mut impact, resolver);
    }
    dropped.apply(&mut impact, resolver);
    impact.hazard(HazardId::Authorization, None, "All privileges granted to the roles in this database are revoked.");
    impact
}

/// AccessExclusive on the relations that change owner, with their indexes and owned sequences.
pub(in crate::plan::analyze) fn reassign_owned(statement: &ReassignOwnedStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    check_roles(&mut impact, resolver, &statement.roles);
    if let Some(role) = &statement.newrole
        && role.roletype == RoleSpecType::RolespecCstring as i32
    {
        require_role(&mut impact, resolver, &role.rolename);
    }
    let roles = roles(&statement.roles, &resolver.catalog.server.user);
    for (name, relation) in &resolver.catalog.relations {
        if !roles.contains(&relation.owner) {
            continue;
        }
        impact.lock(name.clone(), LockMode::AccessExclusive);
        for index in &resolver.indexes(name) {
            impact.lock(index.name.clone(), LockMode::AccessExclusive);
        }
        for sequence in resolver.owned_sequences(Rel { name, relation }, None) {
            impact.lock(sequence.name.clone(), LockMode::AccessExclusive);
        }
    }
    for (name, found) in &resolver.catalog.types {
        if roles.contains(&found.owner) && matches!(found.kind, TypeKind::Composite { .. }) {
            impact.lock(name.clone(), LockMode::AccessExclusive);
        }
    }
    impact.hazard(HazardId::Authorization, None, "The objects belong to another role.");
    impact
}
