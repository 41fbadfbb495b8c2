//! What is above the database, belongs to the session, or touches no relation of it.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterDatabaseStmt, AlterExtensionContentsStmt, ConstraintsSetStmt, CreateEventTrigStmt, CreateExtensionStmt,
    DiscardMode, DropRoleStmt, Node, ObjectType, TransactionStmtKind, VariableSetStmt,
};

use super::names::Qualified;
use super::objects::{self, Existence};
use super::refusal::{missing_object, object_exists, require_relation, require_role, require_schema};
use super::{Impact, Resolver, TransactionRule, options, privileges, statistics, types};
use crate::catalog::Constraint;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;
use crate::sql::render;

/// Statements that no other family has: server, database, session and objects without relations.
pub(super) fn other(node: &NodeEnum, resolver: &Resolver<'_>) -> Impact {
    match node {
        NodeEnum::CreateEnumStmt(statement) => types::create_enum(statement, resolver),
        NodeEnum::CreateDomainStmt(statement) => types::create_domain(statement, resolver),
        NodeEnum::CompositeTypeStmt(statement) => types::create_composite(statement, resolver),
        NodeEnum::CreateRangeStmt(statement) => types::create_range(statement, resolver),
        NodeEnum::DefineStmt(statement) => types::define(statement, resolver),
        NodeEnum::AlterTypeStmt(statement) => types::alter_type(statement, resolver),
        NodeEnum::AlterStatsStmt(statement) => statistics::alter_statistics(statement, resolver),
        NodeEnum::GrantRoleStmt(statement) => privileges::grant_role(statement, resolver),
        NodeEnum::AlterDefaultPrivilegesStmt(statement) => privileges::default_privileges(statement, resolver),
        NodeEnum::CreateExtensionStmt(statement) => create_extension(statement, resolver),
        NodeEnum::AlterExtensionStmt(statement) => {
            let mut impact = Impact::none();
            require_extension(&mut impact, resolver, &statement.extname);
            script(&mut impact);
            impact
        }
        NodeEnum::AlterExtensionContentsStmt(statement) => extension_member(statement, resolver),
        NodeEnum::CreateEventTrigStmt(statement) => create_event_trigger(statement, resolver),
        NodeEnum::AlterFunctionStmt(statement) => {
            let mut impact = Impact::none();
            let kind = ObjectType::try_from(statement.objtype).unwrap_or_default();
            if let Some(function) = &statement.func {
                let object = NodeEnum::ObjectWithArgs(function.clone());
                if objects::exists(resolver, kind, &object) == Existence::Missing {
                    objects::refuse_missing(&mut impact, resolver, kind, &object);
                }
            }
            impact
        }
        NodeEnum::TransactionStmt(statement) => {
            let kind = TransactionStmtKind::try_from(statement.kind).unwrap_or_default();
            let prepared = matches!(
                kind,
                TransactionStmtKind::TransStmtCommitPrepared | TransactionStmtKind::TransStmtRollbackPrepared
            );
            if prepared { forbidden() } else { Impact::none() }
        }
        NodeEnum::DiscardStmt(statement) if statement.target == DiscardMode::DiscardAll as i32 => forbidden(),
        NodeEnum::CreatedbStmt(_)
        | NodeEnum::DropdbStmt(_)
        | NodeEnum::AlterSystemStmt(_)
        | NodeEnum::CreateTableSpaceStmt(_)
        | NodeEnum::DropTableSpaceStmt(_) => cluster_wide(forbidden()),
        NodeEnum::AlterDatabaseStmt(statement) => alter_database(statement),
        NodeEnum::CreateRoleStmt(statement) => {
            let mut impact = cluster_wide(Impact::none());
            if resolver.catalog.roles.contains(&statement.role) {
                object_exists(&mut impact, "role", &statement.role);
            }
            impact.hazard(HazardId::Authorization, None, "A role comes into being.");
            warn_of_password(&mut impact, &statement.options);
            impact
        }
        NodeEnum::DropRoleStmt(statement) => drop_role(statement, resolver),
        NodeEnum::AlterRoleStmt(statement) => {
            let mut impact = cluster_wide(Impact::none());
            if let Some(role) = &statement.role {
                require_role(&mut impact, resolver, &role.rolename);
            }
            impact.hazard(HazardId::Authorization, None, "What the role may do changes.");
            warn_of_password(&mut impact, &statement.options);
            impact
        }
        NodeEnum::AlterRoleSetStmt(_)
        | NodeEnum::AlterDatabaseSetStmt(_)
        | NodeEnum::AlterDatabaseRefreshCollStmt(_)
        | NodeEnum::AlterTableSpaceOptionsStmt(_)
        | NodeEnum::CheckPointStmt(_) => cluster_wide(Impact::none()),
        NodeEnum::VariableSetStmt(statement) => set_variable(statement),
        NodeEnum::ConstraintsSetStmt(statement) => set_constraints(statement, resolver),
        NodeEnum::VariableShowStmt(_)
        | NodeEnum::DiscardStmt(_)
        | NodeEnum::LoadStmt(_)
        | NodeEnum::NotifyStmt(_)
        | NodeEnum::ListenStmt(_)
        | NodeEnum::UnlistenStmt(_)
        | NodeEnum::ClosePortalStmt(_)
        | NodeEnum::FetchStmt(_)
        | NodeEnum::DeallocateStmt(_)
        | NodeEnum::AlterEventTrigStmt(_)
        | NodeEnum::CreateFdwStmt(_)
        | NodeEnum::AlterFdwStmt(_)
        | NodeEnum::CreateForeignServerStmt(_)
        | NodeEnum::AlterForeignServerStmt(_)
        | NodeEnum::CreateUserMappingStmt(_)
        | NodeEnum::AlterUserMappingStmt(_)
        | NodeEnum::DropUserMappingStmt(_)
        | NodeEnum::ImportForeignSchemaStmt(_)
        | NodeEnum::CreateCastStmt(_)
        | NodeEnum::CreateConversionStmt(_)
        | NodeEnum::CreateOpClassStmt(_)
        | NodeEnum::CreateOpFamilyStmt(_)
        | NodeEnum::AlterOpFamilyStmt(_)
        | NodeEnum::AlterOperatorStmt(_)
        | NodeEnum::CreateTransformStmt(_)
        | NodeEnum::CreatePlangStmt(_)
        | NodeEnum::CreateAmStmt(_)
        | NodeEnum::AlterTsdictionaryStmt(_)
        | NodeEnum::AlterTsconfigurationStmt(_)
        | NodeEnum::AlterCollationStmt(_) => Impact::none(),
        NodeEnum::ExecuteStmt(_) => Impact::unanalyzable("what a prepared statement does is not known here"),
        _ => Impact::unanalyzable("no rule knows this statement"),
    }
}

/// The text of a statement is kept where more people read it than may know a password.
fn warn_of_password(impact: &mut Impact, given: &[Node]) {
    if options::find(given, "password").is_some_and(|option| option.arg.is_some()) {
        let message = "The password stays readable in the source, the plan and the ledger: leave it out here, and set it \
                       with psql's \\password, which sends a SCRAM verifier.";
        impact.hazard(HazardId::Authorization, None, message);
    }
}

fn forbidden() -> Impact {
    Impact { transaction: TransactionRule::Forbidden, ..Impact::none() }
}

fn cluster_wide(mut impact: Impact) -> Impact {
    impact.hazard(HazardId::ClusterWide, None, "The statement changes the server or cluster beyond this database.");
    impact
}

fn set_variable(statement: &VariableSetStmt) -> Impact {
    let mut impact = Impact::none();
    let value = || render::strings(&NodeEnum::VariableSetStmt(statement.clone()));
    if statement.name.eq_ignore_ascii_case("session_replication_role")
        && value().iter().any(|value| value.eq_ignore_ascii_case("replica"))
    {
        let message = "What triggers and foreign keys keep true is not kept by what follows.";
        impact.hazard(HazardId::BreaksClients, None, message);
    }
    impact
}

/// Moving a database to another tablespace copies its files outside of any transaction.
fn alter_database(statement: &AlterDatabaseStmt) -> Impact {
    let moves = options::find(&statement.options, "tablespace").is_some();
    cluster_wide(if moves { forbidden() } else { Impact::none() })
}

fn drop_role(statement: &DropRoleStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = cluster_wide(Impact::none());
    for node in &statement.roles {
        if let Some(NodeEnum::RoleSpec(role)) = &node.node {
            if !statement.missing_ok {
                require_role(&mut impact, resolver, &role.rolename);
            }
            owned(&mut impact, resolver, &role.rolename);
        }
    }
    impact.hazard(HazardId::Authorization, None, "A role is removed.");
    impact
}

/// 2BP01: a role that owns something cannot be dropped.
fn owned(impact: &mut Impact, resolver: &Resolver<'_>, role: &str) {
    let relation = resolver.catalog.relations.iter().find(|(_, relation)| relation.owner == role);
    if let Some((name, _)) = relation {
        impact.refuse(
            "2BP01",
            format!("role \"{role}\" cannot be dropped because some objects depend on it: {name}"),
            "Use REASSIGN OWNED and DROP OWNED for the role first.",
        );
    }
}

fn create_extension(statement: &CreateExtensionStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    if resolver.catalog.extensions.contains_key(&statement.extname) {
        if !statement.if_not_exists {
            object_exists(&mut impact, "extension", &statement.extname);
        }
        return impact;
    }
    available(&mut impact, statement, resolver);
    if let Some(schema) = options::find(&statement.options, "schema").and_then(options::text) {
        require_schema(&mut impact, resolver, &schema);
    }
    script(&mut impact);
    impact
}

/// 0A000 for an extension that the server does not have; 42704 for one that needs another, which is not installed.
fn available(impact: &mut Impact, statement: &CreateExtensionStmt, resolver: &Resolver<'_>) {
    let available = &resolver.catalog.server.available_extensions;
    let name = &statement.extname;
    if available.is_empty() {
        return;
    }
    let Some(required) = available.get(name) else {
        let message = format!("extension \"{name}\" is not available");
        return impact.refuse("0A000", message, "Install its package on the server, or take it out of the migration.");
    };
    let missing = required.iter().find(|required| !resolver.catalog.extensions.contains_key(*required));
    if let Some(missing) = missing.filter(|_| !options::is_on(&statement.options, "cascade")) {
        let message = format!("required extension \"{missing}\" is not installed");
        impact.refuse("42704", message, "Create that extension first, or use CREATE EXTENSION ... CASCADE.");
    }
}

/// Scripts of extensions make objects of their own; one that touches tables of the user is possible.
fn script(impact: &mut Impact) {
    impact.hazard(
        HazardId::MayFail,
        None,
        "What the extension's script does is not known here; it usually touches only objects of its own.",
    );
}

fn require_extension(impact: &mut Impact, resolver: &Resolver<'_>, extension: &str) {
    if !resolver.catalog.extensions.contains_key(extension) {
        missing_object(impact, "extension", extension);
    }
}

/// ShareUpdateExclusive on a relation that becomes, or ceases to be, a member.
fn extension_member(statement: &AlterExtensionContentsStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    require_extension(&mut impact, resolver, &statement.extname);
    let kind = ObjectType::try_from(statement.objtype).unwrap_or_default();
    let Some(object) = statement.object.as_ref().and_then(|object| object.node.as_ref()) else { return impact };
    let is_relation = matches!(
        kind,
        ObjectType::ObjectTable
            | ObjectType::ObjectView
            | ObjectType::ObjectMatview
            | ObjectType::ObjectSequence
            | ObjectType::ObjectForeignTable
            | ObjectType::ObjectIndex
    );
    if is_relation {
        let Some(name) = Qualified::from_object(object) else { return impact };
        let range = pg_query::protobuf::RangeVar {
            schemaname: name.schema.to_owned(),
            relname: name.name.to_owned(),
            ..Default::default()
        };
        let Some(found) = require_relation(&mut impact, resolver, &range, false) else { return impact };
        impact.lock(found.name.clone(), LockMode::ShareUpdateExclusive);
        let member = found.relation.extension.as_deref();
        let adds = statement.action > 0;
        if adds && let Some(owner) = member {
            impact.refuse(
                "55000",
                format!("{} is already a member of extension \"{owner}\"", found.name),
                "Drop it from that extension first.",
            );
        } else if !adds && member != Some(statement.extname.as_str()) {
            impact.refuse(
                "55000",
                format!("{} is not a member of extension \"{}\"", found.name, statement.extname),
                "Check the names of the object and of the extension.",
            );
        }
    } else if objects::exists(resolver, kind, object) == Existence::Missing {
        objects::refuse_missing(&mut impact, resolver, kind, object);
    }
    impact
}

/// 42809 for a constraint that cannot be deferred. Constraint triggers, which are called so too, are left to the server.
fn set_constraints(statement: &ConstraintsSetStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let names = statement.constraints.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::RangeVar(name)) => Some(name),
        _ => None,
    });
    for name in names.filter(|_| statement.deferred) {
        let path = &resolver.catalog.server.search_path;
        let schemas = if name.schemaname.is_empty() { path.as_slice() } else { std::slice::from_ref(&name.schemaname) };
        // The first schema that has the name decides, and all of the name in it (`AfterTriggerSetState` in trigger.c).
        let named = |schema: &String| -> Vec<&Constraint> {
            let within = resolver.catalog.relations.iter().filter(|(relation, _)| relation.schema == *schema);
            within.filter_map(|(_, relation)| relation.constraint(&name.relname)).collect()
        };
        let found = schemas.iter().map(named).find(|found| !found.is_empty()).unwrap_or_default();
        if found.iter().any(|constraint| !constraint.deferrable) {
            let message = format!("constraint \"{}\" is not deferrable", name.relname);
            impact.refuse("42809", message, "Declare the constraint DEFERRABLE, or check it at each statement.");
        }
    }
    impact
}

fn create_event_trigger(statement: &CreateEventTrigStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    if resolver.catalog.event_triggers.contains_key(&statement.trigname) {
        object_exists(&mut impact, "event trigger", &statement.trigname);
    }
    let known = ["ddl_command_start", "ddl_command_end", "sql_drop", "table_rewrite"];
    if statement.eventname == "login" && resolver.major() < 17
        || !known.contains(&statement.eventname.as_str()) && statement.eventname != "login"
    {
        impact.refuse(
            "42601",
            format!("unrecognized event name \"{}\"", statement.eventname),
            "Use ddl_command_start, ddl_command_end, sql_drop, table_rewrite, or login on PostgreSQL 17 and newer.",
        );
    }
    if let Some(name) = Qualified::from_nodes(&statement.funcname) {
        let found = resolver.functions_named(name);
        if found.is_empty() {
            impact.refuse(
                "42883",
                format!("function {}() does not exist", name.shown()),
                "Create the function first; it takes no arguments and returns event_trigger.",
            );
        } else if !found.iter().any(|function| function.result == "event_trigger") {
            impact.refuse(
                "42P17",
                format!("function {} must return type event_trigger", name.shown()),
                "Declare the function RETURNS event_trigger.",
            );
        }
    }
    impact.hazard(
        HazardId::HiddenLock,
        None,
        "From now on the function runs with every schema change it fires on, and takes its locks too.",
    );
    impact
}
