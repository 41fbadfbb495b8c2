//! GRANT and REVOKE on objects, GRANT of roles, default privileges.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterDefaultPrivilegesStmt, GrantRoleStmt, GrantStmt, GrantTargetType, Node, ObjectType, RoleSpecType,
};

use super::names::strings;
use super::objects::{self, Existence, is_system_column};
use super::refusal::{missing_column, missing_schema, require_relation, require_role, wrong_kind};
use super::resolve::Rel;
use super::since::{self, Feature};
use super::{Impact, Resolver, options};
use crate::catalog::RelationKind;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// On relations named one by one AccessShare from 18 on, nothing before; nothing for `ALL ... IN SCHEMA` and for
/// other objects.
pub(super) fn grant(statement: &GrantStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let kind = ObjectType::try_from(statement.objtype).unwrap_or_default();
    match GrantTargetType::try_from(statement.targtype).unwrap_or_default() {
        GrantTargetType::AclTargetAllInSchema => {
            for schema in strings(&statement.objects) {
                if !schema.starts_with("pg_") && !resolver.catalog.schemas.contains_key(schema) {
                    missing_schema(&mut impact, schema);
                }
            }
        }
        GrantTargetType::AclTargetDefaults => {}
        _ => {
            for object in statement.objects.iter().filter_map(|node| node.node.as_ref()) {
                target(&mut impact, resolver, statement, kind, object);
            }
        }
    }
    grantees(&mut impact, resolver, &statement.grantees);
    let to_public = |node: &Node| matches!(&node.node, Some(NodeEnum::RoleSpec(role)) if role.roletype == RoleSpecType::RolespecPublic as i32);
    if statement.is_grant && statement.grant_option && statement.grantees.iter().any(to_public) {
        let message = "grant options can only be granted to roles";
        impact.refuse("0LP01", message, "Leave WITH GRANT OPTION out, or name roles.");
    }
    let verb = if statement.is_grant { "Privileges are granted." } else { "Privileges are revoked." };
    impact.hazard(HazardId::Authorization, None, verb);
    impact
}

fn target(impact: &mut Impact, resolver: &Resolver<'_>, statement: &GrantStmt, kind: ObjectType, object: &NodeEnum) {
    match (kind, object) {
        (ObjectType::ObjectTable | ObjectType::ObjectSequence, NodeEnum::RangeVar(name)) => {
            let Some(found) = require_relation(impact, resolver, name, false) else { return };
            if found.relation.kind.is_index() {
                impact.refuse(
                    "42809",
                    format!("\"{}\" is an index", found.name.name),
                    "Grant on the table; an index has no privileges.",
                );
            } else if kind == ObjectType::ObjectSequence && found.relation.kind != RelationKind::Sequence {
                wrong_kind(impact, &found.name.name, "a sequence");
            }
            if resolver.major() >= 18 {
                impact.lock(found.name.clone(), LockMode::AccessShare);
            }
            privileges(impact, resolver, statement, found);
        }
        (ObjectType::ObjectParameterAcl, _) => since::require(impact, resolver, Feature::GrantOnParameter),
        _ => {
            if objects::exists(resolver, kind, object) == Existence::Missing {
                objects::refuse_missing(impact, resolver, kind, object);
            }
        }
    }
}

/// What may be granted on a relation (`ACL_ALL_RIGHTS_RELATION`, `..._SEQUENCE` in acl.h).
fn privileges<'a>(impact: &mut Impact, resolver: &Resolver<'a>, statement: &GrantStmt, found: Rel<'a>) {
    let on_sequence = found.relation.kind == RelationKind::Sequence;
    // GRANT ON TABLE takes a sequence too: what it cannot have is ignored with a warning.
    let as_table = statement.objtype == ObjectType::ObjectTable as i32;
    for node in &statement.privileges {
        let Some(NodeEnum::AccessPriv(privilege)) = &node.node else { continue };
        let name = privilege.priv_name.to_ascii_lowercase();
        let valid = match name.as_str() {
            "" | "select" | "update" => true,
            "usage" => on_sequence,
            "insert" | "delete" | "truncate" | "references" | "trigger" => !on_sequence || as_table,
            "maintain" => {
                since::require(impact, resolver, Feature::MaintainPrivilege);
                !on_sequence || as_table
            }
            "execute" | "create" | "temporary" | "temp" | "connect" | "set" | "alter system" => false,
            other => {
                let message = format!("unrecognized privilege type \"{other}\"");
                impact.refuse("42601", message, "Check the spelling of the privilege.");
                continue;
            }
        };
        if !valid {
            let kind = if on_sequence { "sequence" } else { "relation" };
            impact.refuse(
                "0LP01",
                format!("invalid privilege type {} for {kind}", name.to_uppercase()),
                "Grant a privilege that objects of this kind have.",
            );
        }
        for column in strings(&privilege.cols) {
            if found.relation.column(column).is_none() && !is_system_column(column) {
                missing_column(impact, column, found.name);
            }
        }
    }
}

fn grantees(impact: &mut Impact, resolver: &Resolver<'_>, nodes: &[Node]) {
    for node in nodes {
        if let Some(NodeEnum::RoleSpec(role)) = &node.node
            && role.roletype == RoleSpecType::RolespecCstring as i32
        {
            require_role(impact, resolver, &role.rolename);
        }
    }
}

/// GRANT and REVOKE of roles: nothing on relations.
pub(super) fn grant_role(statement: &GrantRoleStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    if options::elements(&statement.opt).any(|option| matches!(option.defname.as_str(), "inherit" | "set")) {
        since::require(&mut impact, resolver, Feature::GrantRoleOptions);
    }
    for node in &statement.granted_roles {
        if let Some(NodeEnum::AccessPriv(role)) = &node.node {
            require_role(&mut impact, resolver, &role.priv_name);
        }
    }
    grantees(&mut impact, resolver, &statement.grantee_roles);
    impact.hazard(HazardId::Authorization, None, "Membership in a role changes.");
    impact.hazard(HazardId::ClusterWide, None, "Roles belong to the whole cluster, not to this database.");
    impact
}

/// ALTER DEFAULT PRIVILEGES: nothing on relations.
pub(super) fn default_privileges(statement: &AlterDefaultPrivilegesStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    for option in options::elements(&statement.options) {
        let Some(NodeEnum::List(list)) = option.arg.as_ref().and_then(|arg| arg.node.as_ref()) else { continue };
        match option.defname.as_str() {
            "schemas" => {
                for schema in strings(&list.items) {
                    if !resolver.catalog.schemas.contains_key(schema) {
                        missing_schema(&mut impact, schema);
                    }
                }
            }
            "roles" => grantees(&mut impact, resolver, &list.items),
            _ => {}
        }
    }
    if let Some(action) = &statement.action {
        grantees(&mut impact, resolver, &action.grantees);
    }
    impact.hazard(HazardId::Authorization, None, "Privileges of objects created from now on change.");
    impact
}
