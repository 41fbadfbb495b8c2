//! Simulates a statement on the catalog, so that a later change sees an earlier one.
//!
//! One file or folder per family of statements. A statement either succeeds as a whole or leaves the catalog as
//! it was. What the server would refuse, and what cannot be foretold, is [`Unforeseeable`].

mod alter_table;
mod comment;
mod constraint;
mod database;
mod do_block;
mod drop;
mod edit;
mod extension;
mod function;
mod grant;
mod index;
mod names;
mod options;
mod owner;
mod partition;
mod policy;
mod privileges;
mod publication;
mod rename;
mod rows;
mod rule;
mod sequence;
mod session;
mod statistics;
mod table;
mod trigger;
mod types;
mod view;

use pg_query::protobuf::{ObjectType, TransactionStmtKind, node};

pub(crate) use self::do_block::{body as do_body, statements as do_statements};
use self::edit::{Edit, Outcome, fail};
pub(crate) use self::extension::{
    default_class as extension_default_class, unlisted_schema as unlisted_extension_schema,
};
pub(crate) use self::privileges::{
    Privileges, initial as initial_privileges, of_owner as privileges_of_owner, word as privilege_word,
};
pub(crate) use self::session::is_off;
use super::Catalog;
use crate::sql::Statement;

/// A statement whose effect on the catalog is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the effect of this statement on the schema cannot be foretold: {0}")]
pub struct Unforeseeable(pub String);

/// Evolves `catalog` by one statement as the server would. Statements without an effect on the schema (DML,
/// most settings, maintenance) change at most what is known about rows.
///
/// # Errors
/// [`Unforeseeable`] when the server would refuse the statement or its effect is not known; the catalog is then
/// unchanged.
pub fn apply(catalog: &mut Catalog, statement: &Statement) -> Result<(), Unforeseeable> {
    let mut edit = Edit::new(catalog);
    let outcome = self::statement(&mut edit, &statement.node);
    if outcome.is_err() {
        edit.roll_back();
    }
    outcome
}

/// Whether the statement has no effect on the schema.
fn only_rows(node: &node::Node) -> bool {
    use node::Node as N;
    match node {
        N::SelectStmt(select) => select.into_clause.is_none(),
        N::InsertStmt(_)
        | N::UpdateStmt(_)
        | N::DeleteStmt(_)
        | N::MergeStmt(_)
        | N::LockStmt(_)
        | N::NotifyStmt(_)
        | N::VariableShowStmt(_)
        | N::ConstraintsSetStmt(_)
        | N::TruncateStmt(_) => true,
        _ => false,
    }
}

/// One statement on the catalog under change.
fn statement(edit: &mut Edit<'_>, node: &node::Node) -> Outcome {
    use node::Node as N;
    match node {
        N::CreateStmt(statement) => table::create(edit, statement),
        N::CreateForeignTableStmt(statement) => table::create_foreign(edit, statement),
        N::CreateTableAsStmt(statement) => table::create_as::create(edit, statement),
        N::SelectStmt(select) if select.into_clause.is_some() => table::create_as::select_into(edit, select),
        N::AlterTableStmt(statement) => alter_table::alter(edit, statement),
        N::IndexStmt(statement) => index::create(edit, statement),
        N::ViewStmt(statement) => view::create(edit, statement),
        N::CreateSeqStmt(statement) => sequence::create(edit, statement),
        N::AlterSeqStmt(statement) => sequence::alter(edit, statement),
        N::CreateTrigStmt(statement) => trigger::create(edit, statement),
        N::CreatePolicyStmt(statement) => policy::create(edit, statement),
        N::AlterPolicyStmt(statement) => policy::alter(edit, statement),
        N::RuleStmt(statement) => rule::create(edit, statement),
        N::CreateStatsStmt(statement) => statistics::create(edit, statement),
        N::AlterStatsStmt(statement) => statistics::alter(edit, statement),
        N::RenameStmt(statement) => rename::rename(edit, statement),
        N::AlterObjectSchemaStmt(statement) => rename::set_schema(edit, statement),
        N::AlterOwnerStmt(statement) => owner::alter(edit, statement),
        N::CommentStmt(statement) => comment::comment(edit, statement),
        N::DropStmt(statement) => drop::statement(edit, statement),
        N::DropOwnedStmt(statement) => drop::drop_owned(edit, statement),
        N::ReassignOwnedStmt(statement) => drop::reassign_owned(edit, statement),
        N::GrantStmt(statement) => grant::grant(edit, statement),
        N::AlterDefaultPrivilegesStmt(statement) => grant::default_privileges(edit, statement),
        other => routines_and_types(edit, other),
    }
}

fn routines_and_types(edit: &mut Edit<'_>, node: &node::Node) -> Outcome {
    use node::Node as N;
    match node {
        N::CreateEnumStmt(statement) => types::create_enum(edit, statement),
        N::AlterEnumStmt(statement) => types::alter_enum(edit, statement),
        N::CreateDomainStmt(statement) => types::create_domain(edit, statement),
        N::AlterDomainStmt(statement) => types::alter_domain(edit, statement),
        N::CompositeTypeStmt(statement) => types::create_composite(edit, statement),
        N::CreateRangeStmt(statement) => types::create_range(edit, statement),
        N::CreateFunctionStmt(statement) => function::create(edit, statement),
        N::AlterFunctionStmt(statement) => function::alter(edit, statement),
        N::DefineStmt(statement) if statement.kind == ObjectType::ObjectAggregate as i32 => {
            function::create_aggregate(edit, statement)
        }
        N::DefineStmt(statement) if statement.kind == ObjectType::ObjectType as i32 => {
            fail!("a base type brings functions of its own")
        }
        N::CreateSchemaStmt(statement) => database::create_schema(edit, statement),
        N::CreateExtensionStmt(statement) => extension::create(edit, statement),
        N::AlterExtensionContentsStmt(statement) => extension::contents(edit, statement),
        N::CreateCastStmt(statement) => database::create_cast(edit, statement),
        N::CreateEventTrigStmt(statement) => database::create_event_trigger(edit, statement),
        N::AlterEventTrigStmt(statement) => database::alter_event_trigger(edit, statement),
        N::CreatePublicationStmt(statement) => publication::create(edit, statement),
        N::AlterPublicationStmt(statement) => publication::alter(edit, statement),
        N::CreateRoleStmt(statement) => database::create_role(edit, &statement.role),
        N::DropRoleStmt(statement) => database::drop_roles(edit, statement),
        N::CreateTableSpaceStmt(statement) => database::add(&mut edit.small().tablespaces, &statement.tablespacename),
        N::DropTableSpaceStmt(statement) => {
            database::remove(&mut edit.small().tablespaces, &statement.tablespacename, statement.missing_ok)
        }
        // Tables that use one keep it from being dropped; a dropped one is only remembered for too long.
        N::CreateAmStmt(statement) if statement.amtype == "t" && !edit.access_methods.is_empty() => {
            database::add(&mut edit.small().access_methods, &statement.amname)
        }
        N::CreateSubscriptionStmt(statement) => database::add(&mut edit.small().subscriptions, &statement.subname),
        N::DropSubscriptionStmt(statement) => {
            database::remove(&mut edit.small().subscriptions, &statement.subname, statement.missing_ok)
        }
        other => session_and_rows(edit, other),
    }
}

fn session_and_rows(edit: &mut Edit<'_>, node: &node::Node) -> Outcome {
    use node::Node as N;
    match node {
        N::VariableSetStmt(statement) => session::set(edit, statement),
        N::DiscardStmt(statement) => session::discard(edit, statement),
        N::SelectStmt(select) => {
            session::set_config(edit, select);
            rows::note(edit, node)
        }
        N::InsertStmt(_) | N::MergeStmt(_) | N::CopyStmt(_) | N::CallStmt(_) => rows::note(edit, node),
        N::TruncateStmt(statement) => rows::truncate(edit, statement),
        N::RefreshMatViewStmt(statement) => rows::refresh(edit, statement),
        N::ClusterStmt(statement) => rows::cluster(edit, statement),
        N::ReindexStmt(statement) => rows::reindex(edit, statement),
        N::DoStmt(statement) => do_block::run(edit, statement),
        N::TransactionStmt(statement) => match TransactionStmtKind::try_from(statement.kind) {
            Ok(
                TransactionStmtKind::TransStmtBegin
                | TransactionStmtKind::TransStmtStart
                | TransactionStmtKind::TransStmtCommit
                | TransactionStmtKind::TransStmtSavepoint
                | TransactionStmtKind::TransStmtRelease,
            ) => Ok(()),
            _ => fail!("the statement takes others back"),
        },
        N::ExplainStmt(statement) => match statement.query.as_deref().and_then(|query| query.node.as_ref()) {
            Some(inner) if names::options(&statement.options).any(|element| element.defname == "analyze") => {
                self::statement(edit, inner)
            }
            _ => Ok(()),
        },
        N::AlterTableMoveAllStmt(_) => fail!("which relations move to the other tablespace is not worked out"),
        N::ImportForeignSchemaStmt(_) => fail!("the foreign tables are not known"),
        N::ExecuteStmt(_) => rows::everything(edit),
        other if without_effect(other) => Ok(()),
        _ => fail!("there is no rule for this kind of statement"),
    }
}

/// Statements on what the catalog leaves out, maintenance, and plain DML.
fn without_effect(node: &node::Node) -> bool {
    use node::Node as N;
    matches!(
        node,
        N::UpdateStmt(_)
            | N::DeleteStmt(_)
            | N::LockStmt(_)
            | N::NotifyStmt(_)
            | N::ListenStmt(_)
            | N::UnlistenStmt(_)
            | N::VariableShowStmt(_)
            | N::ConstraintsSetStmt(_)
            | N::VacuumStmt(_)
            | N::CheckPointStmt(_)
            | N::LoadStmt(_)
            | N::PrepareStmt(_)
            | N::DeallocateStmt(_)
            | N::DeclareCursorStmt(_)
            | N::FetchStmt(_)
            | N::ClosePortalStmt(_)
            | N::SecLabelStmt(_)
            | N::AlterObjectDependsStmt(_)
            | N::AlterExtensionStmt(_)
            | N::DefineStmt(_)
            | N::CreateOpClassStmt(_)
            | N::CreateOpFamilyStmt(_)
            | N::AlterOpFamilyStmt(_)
            | N::AlterOperatorStmt(_)
            | N::AlterCollationStmt(_)
            | N::AlterTypeStmt(_)
            | N::CreateConversionStmt(_)
            | N::CreateTransformStmt(_)
            | N::CreatePlangStmt(_)
            | N::CreateAmStmt(_)
            | N::CreateFdwStmt(_)
            | N::AlterFdwStmt(_)
            | N::CreateForeignServerStmt(_)
            | N::AlterForeignServerStmt(_)
            | N::CreateUserMappingStmt(_)
            | N::AlterUserMappingStmt(_)
            | N::DropUserMappingStmt(_)
            | N::AlterTsdictionaryStmt(_)
            | N::AlterTsconfigurationStmt(_)
            | N::AlterRoleStmt(_)
            | N::AlterRoleSetStmt(_)
            | N::GrantRoleStmt(_)
            | N::AlterDatabaseStmt(_)
            | N::AlterDatabaseSetStmt(_)
            | N::AlterDatabaseRefreshCollStmt(_)
            | N::AlterSystemStmt(_)
            | N::CreatedbStmt(_)
            | N::DropdbStmt(_)
            | N::AlterTableSpaceOptionsStmt(_)
            | N::AlterSubscriptionStmt(_)
    )
}
