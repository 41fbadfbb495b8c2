//! Event triggers: functions that run with a schema change, and take their locks in its transaction.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, AlterTableType, CreateTableAsStmt, GrantStmt, ObjectType, RenameStmt};

use super::{Impact, Resolver, routines, views};

/// Adds what the event triggers do that fire with the statement. `impact` is what the statement itself does.
pub(super) fn fire(impact: &mut Impact, node: &NodeEnum, resolver: &Resolver<'_>) {
    let triggers = &resolver.catalog.event_triggers;
    if triggers.is_empty() {
        return;
    }
    let Some(tag) = tag(node, resolver) else { return };
    for trigger in triggers.values() {
        let fires = match trigger.event.as_str() {
            "ddl_command_start" | "ddl_command_end" => true,
            "sql_drop" => drops(node, impact),
            "table_rewrite" => matches!(node, NodeEnum::AlterTableStmt(_)) && !impact.rewrites.is_empty(),
            _ => false,
        };
        if fires && (trigger.tags.is_empty() || trigger.tags.contains(&tag)) {
            impact.merge(routines::function_named(&trigger.function, resolver));
        }
    }
}

/// Whether something is dropped, so that `sql_drop` fires.
fn drops(node: &NodeEnum, impact: &Impact) -> bool {
    match node {
        // Nothing is locked where IF EXISTS finds nothing; objects without locks are dropped all the same.
        NodeEnum::DropStmt(statement) => !statement.missing_ok || !impact.locks.is_empty(),
        NodeEnum::DropOwnedStmt(_) => true,
        NodeEnum::AlterTableStmt(statement) => statement.cmds.iter().any(|node| match &node.node {
            Some(NodeEnum::AlterTableCmd(command)) => matches!(
                AlterTableType::try_from(command.subtype),
                Ok(AlterTableType::AtDropColumn
                    | AlterTableType::AtDropConstraint
                    | AlterTableType::AtDropNotNull
                    | AlterTableType::AtDropIdentity
                    | AlterTableType::AtColumnDefault)
            ),
            _ => false,
        }),
        NodeEnum::AlterDomainStmt(statement) => matches!(statement.subtype.as_str(), "X" | "N" | "T"),
        _ => false,
    }
}

/// The command tag of a statement that event triggers fire for (`cmdtaglist.h`); `None` for the others. Server and
/// role statements, data, and maintenance have none.
fn tag(node: &NodeEnum, resolver: &Resolver<'_>) -> Option<String> {
    let tag = match node {
        NodeEnum::AlterTableStmt(statement) => return alter_table(statement),
        NodeEnum::AlterTableMoveAllStmt(statement) => return of_object("ALTER", statement.objtype),
        NodeEnum::RenameStmt(statement) => return rename(statement),
        NodeEnum::AlterObjectSchemaStmt(statement) => return of_object("ALTER", statement.object_type),
        NodeEnum::AlterObjectDependsStmt(statement) => return of_object("ALTER", statement.object_type),
        NodeEnum::AlterOwnerStmt(statement) => return of_object("ALTER", statement.object_type),
        NodeEnum::DropStmt(statement) => return of_object("DROP", statement.remove_type),
        NodeEnum::DefineStmt(statement) => return of_object("CREATE", statement.kind),
        NodeEnum::CommentStmt(statement) => return supported(statement.objtype).then(|| "COMMENT".to_owned()),
        NodeEnum::SecLabelStmt(statement) => return supported(statement.objtype).then(|| "SECURITY LABEL".to_owned()),
        NodeEnum::GrantStmt(statement) => return grant(statement),
        NodeEnum::CreateTableAsStmt(statement) => return Some(create_table_as(statement).to_owned()),
        NodeEnum::SelectStmt(statement) => return views::into_clause(statement).map(|_| "SELECT INTO".to_owned()),
        // REINDEX fires since 17.
        NodeEnum::ReindexStmt(_) if resolver.major() < 17 => return None,
        NodeEnum::CreateFunctionStmt(statement) if statement.is_procedure => "CREATE PROCEDURE",
        other => fixed_tag(other)?,
    };
    Some(tag.to_owned())
}

fn fixed_tag(node: &NodeEnum) -> Option<&'static str> {
    Some(match node {
        NodeEnum::ReindexStmt(_) => "REINDEX",
        NodeEnum::CreateStmt(_) => "CREATE TABLE",
        NodeEnum::CreateForeignTableStmt(_) => "CREATE FOREIGN TABLE",
        NodeEnum::IndexStmt(_) => "CREATE INDEX",
        NodeEnum::ViewStmt(_) => "CREATE VIEW",
        NodeEnum::CreateTrigStmt(_) => "CREATE TRIGGER",
        NodeEnum::RuleStmt(_) => "CREATE RULE",
        NodeEnum::CreateStatsStmt(_) => "CREATE STATISTICS",
        NodeEnum::AlterStatsStmt(_) => "ALTER STATISTICS",
        NodeEnum::CreateSchemaStmt(_) => "CREATE SCHEMA",
        NodeEnum::CreateSeqStmt(_) => "CREATE SEQUENCE",
        NodeEnum::AlterSeqStmt(_) => "ALTER SEQUENCE",
        NodeEnum::AlterEnumStmt(_) | NodeEnum::AlterTypeStmt(_) => "ALTER TYPE",
        NodeEnum::CreateEnumStmt(_) | NodeEnum::CompositeTypeStmt(_) | NodeEnum::CreateRangeStmt(_) => "CREATE TYPE",
        NodeEnum::CreateDomainStmt(_) => "CREATE DOMAIN",
        NodeEnum::AlterDomainStmt(_) => "ALTER DOMAIN",
        NodeEnum::CreatePolicyStmt(_) => "CREATE POLICY",
        NodeEnum::AlterPolicyStmt(_) => "ALTER POLICY",
        NodeEnum::CreatePublicationStmt(_) => "CREATE PUBLICATION",
        NodeEnum::AlterPublicationStmt(_) => "ALTER PUBLICATION",
        NodeEnum::CreateSubscriptionStmt(_) => "CREATE SUBSCRIPTION",
        NodeEnum::AlterSubscriptionStmt(_) => "ALTER SUBSCRIPTION",
        NodeEnum::DropSubscriptionStmt(_) => "DROP SUBSCRIPTION",
        NodeEnum::AlterDefaultPrivilegesStmt(_) => "ALTER DEFAULT PRIVILEGES",
        NodeEnum::RefreshMatViewStmt(_) => "REFRESH MATERIALIZED VIEW",
        NodeEnum::DropOwnedStmt(_) => "DROP OWNED",
        NodeEnum::CreateFunctionStmt(_) => "CREATE FUNCTION",
        NodeEnum::AlterFunctionStmt(_) => "ALTER FUNCTION",
        NodeEnum::CreateExtensionStmt(_) => "CREATE EXTENSION",
        NodeEnum::AlterExtensionStmt(_) | NodeEnum::AlterExtensionContentsStmt(_) => "ALTER EXTENSION",
        NodeEnum::CreateFdwStmt(_) => "CREATE FOREIGN DATA WRAPPER",
        NodeEnum::AlterFdwStmt(_) => "ALTER FOREIGN DATA WRAPPER",
        NodeEnum::CreateForeignServerStmt(_) => "CREATE SERVER",
        NodeEnum::AlterForeignServerStmt(_) => "ALTER SERVER",
        NodeEnum::ImportForeignSchemaStmt(_) => "IMPORT FOREIGN SCHEMA",
        NodeEnum::CreateUserMappingStmt(_) => "CREATE USER MAPPING",
        NodeEnum::AlterUserMappingStmt(_) => "ALTER USER MAPPING",
        NodeEnum::DropUserMappingStmt(_) => "DROP USER MAPPING",
        NodeEnum::CreateCastStmt(_) => "CREATE CAST",
        NodeEnum::CreateConversionStmt(_) => "CREATE CONVERSION",
        NodeEnum::CreateOpClassStmt(_) => "CREATE OPERATOR CLASS",
        NodeEnum::CreateOpFamilyStmt(_) => "CREATE OPERATOR FAMILY",
        NodeEnum::AlterOpFamilyStmt(_) => "ALTER OPERATOR FAMILY",
        NodeEnum::AlterOperatorStmt(_) => "ALTER OPERATOR",
        NodeEnum::CreateTransformStmt(_) => "CREATE TRANSFORM",
        NodeEnum::CreatePlangStmt(_) => "CREATE LANGUAGE",
        NodeEnum::CreateAmStmt(_) => "CREATE ACCESS METHOD",
        NodeEnum::AlterTsdictionaryStmt(_) => "ALTER TEXT SEARCH DICTIONARY",
        NodeEnum::AlterTsconfigurationStmt(_) => "ALTER TEXT SEARCH CONFIGURATION",
        NodeEnum::AlterCollationStmt(_) => "ALTER COLLATION",
        _ => return None,
    })
}

fn alter_table(statement: &AlterTableStmt) -> Option<String> {
    of_object("ALTER", statement.objtype)
}

/// The tag of a renamed column is that of its relation.
fn rename(statement: &RenameStmt) -> Option<String> {
    let of_column = statement.rename_type == ObjectType::ObjectColumn as i32;
    of_object("ALTER", if of_column { statement.relation_type } else { statement.rename_type })
}

fn grant(statement: &GrantStmt) -> Option<String> {
    let verb = if statement.is_grant { "GRANT" } else { "REVOKE" };
    supported(statement.objtype).then(|| verb.to_owned())
}

fn create_table_as(statement: &CreateTableAsStmt) -> &'static str {
    if statement.objtype == ObjectType::ObjectMatview as i32 {
        "CREATE MATERIALIZED VIEW"
    } else if statement.is_select_into {
        "SELECT INTO"
    } else {
        "CREATE TABLE AS"
    }
}

/// Objects of the cluster, and event triggers themselves, fire none.
fn supported(kind: i32) -> bool {
    !matches!(
        ObjectType::try_from(kind).unwrap_or_default(),
        ObjectType::ObjectDatabase
            | ObjectType::ObjectTablespace
            | ObjectType::ObjectRole
            | ObjectType::ObjectParameterAcl
            | ObjectType::ObjectEventTrigger
    )
}

/// `ALTER TABLE`, `DROP MATERIALIZED VIEW`, ...
fn of_object(verb: &str, kind: i32) -> Option<String> {
    if !supported(kind) {
        return None;
    }
    let object = match ObjectType::try_from(kind).unwrap_or_default() {
        ObjectType::ObjectAccessMethod => "ACCESS METHOD",
        ObjectType::ObjectAggregate => "AGGREGATE",
        ObjectType::ObjectAttribute | ObjectType::ObjectType => "TYPE",
        ObjectType::ObjectCast => "CAST",
        ObjectType::ObjectCollation => "COLLATION",
        ObjectType::ObjectColumn | ObjectType::ObjectTable | ObjectType::ObjectTabconstraint => "TABLE",
        ObjectType::ObjectConversion => "CONVERSION",
        ObjectType::ObjectDomain | ObjectType::ObjectDomconstraint => "DOMAIN",
        ObjectType::ObjectExtension => "EXTENSION",
        ObjectType::ObjectFdw => "FOREIGN DATA WRAPPER",
        ObjectType::ObjectForeignServer => "SERVER",
        ObjectType::ObjectForeignTable => "FOREIGN TABLE",
        ObjectType::ObjectFunction => "FUNCTION",
        ObjectType::ObjectIndex => "INDEX",
        ObjectType::ObjectLanguage => "LANGUAGE",
        ObjectType::ObjectLargeobject => "LARGE OBJECT",
        ObjectType::ObjectMatview => "MATERIALIZED VIEW",
        ObjectType::ObjectOpclass => "OPERATOR CLASS",
        ObjectType::ObjectOperator => "OPERATOR",
        ObjectType::ObjectOpfamily => "OPERATOR FAMILY",
        ObjectType::ObjectPolicy => "POLICY",
        ObjectType::ObjectProcedure => "PROCEDURE",
        ObjectType::ObjectPublication => "PUBLICATION",
        ObjectType::ObjectRoutine => "ROUTINE",
        ObjectType::ObjectRule => "RULE",
        ObjectType::ObjectSchema => "SCHEMA",
        ObjectType::ObjectSequence => "SEQUENCE",
        ObjectType::ObjectStatisticExt => "STATISTICS",
        ObjectType::ObjectSubscription => "SUBSCRIPTION",
        ObjectType::ObjectTransform => "TRANSFORM",
        ObjectType::ObjectTrigger => "TRIGGER",
        ObjectType::ObjectTsconfiguration => "TEXT SEARCH CONFIGURATION",
        ObjectType::ObjectTsdictionary => "TEXT SEARCH DICTIONARY",
        ObjectType::ObjectTsparser => "TEXT SEARCH PARSER",
        ObjectType::ObjectTstemplate => "TEXT SEARCH TEMPLATE",
        ObjectType::ObjectView => "VIEW",
        _ => return None,
    };
    Some(format!("{verb} {object}"))
}
