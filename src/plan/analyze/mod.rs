//! What one statement, as the author wrote it, does on a catalog: locks, rewrites, scans, dangers, refusals.
//!
//! One file per family of statements; every fact is the server's behaviour, found by rule from the parse tree
//! and the catalog. [`resolve`] answers questions about the catalog, [`volatile`] about expressions.

mod alter_table;
mod cluster;
mod coercion;
mod comments;
mod create;
mod dependents;
mod dml;
mod drop;
mod effects;
mod event_triggers;
mod expression;
mod impact;
mod implication;
mod index;
mod lookup;
mod maintenance;
mod names;
mod objects;
mod options;
mod output;
mod policies;
mod privileges;
mod publications;
mod query;
mod refusal;
mod rename;
mod resolve;
mod routines;
mod rules;
mod sequences;
mod since;
mod statistics;
mod storage_parameters;
mod triggers;
mod truncate;
mod types;
mod views;
mod volatile;
mod walk;

use pg_query::NodeEnum;

pub(in crate::plan) use coercion::{Context as CastContext, Conversion, convert};
pub(in crate::plan) use dependents::{Dependent, on_column};
pub use impact::{Impact, Refusal, Target, TransactionRule};
pub use resolve::{Lookup, Rel, Resolver};
pub(in crate::plan) use routines::columns_set;
pub(in crate::plan) use volatile::evaluate;

use crate::catalog::{Catalog, Name};
use crate::sql::Statement;

/// Classifies one statement. What is not known is [`Impact::unanalyzable`], never "safe".
pub fn analyze(statement: &Statement, catalog: &Catalog) -> Impact {
    analyze_node(&statement.node, &Resolver::new(catalog))
}

/// [`analyze`] for a parse tree, with a resolver that can be shared while the catalog stays the same.
pub fn analyze_node(node: &NodeEnum, resolver: &Resolver<'_>) -> Impact {
    let mut impact = statement(node, resolver);
    event_triggers::fire(&mut impact, node, resolver);
    // Nobody else sees a temporary relation.
    impact.forget(Name::is_temporary);
    impact
}

/// What the statement itself does.
fn statement(node: &NodeEnum, resolver: &Resolver<'_>) -> Impact {
    match node {
        NodeEnum::AlterTableStmt(statement) => alter_table::alter_table(statement, resolver),
        NodeEnum::IndexStmt(statement) => index::create_index(statement, resolver),
        NodeEnum::ReindexStmt(statement) => index::reindex(statement, resolver),
        NodeEnum::CreateStmt(statement) => create::create_table(statement, resolver),
        NodeEnum::CreateTableAsStmt(statement) => views::create_table_as(statement, resolver),
        NodeEnum::CreateForeignTableStmt(statement) => create::create_foreign_table(statement, resolver),
        NodeEnum::CreateTrigStmt(statement) => triggers::create_trigger(statement, resolver),
        NodeEnum::RuleStmt(statement) => rules::create_rule(statement, resolver),
        NodeEnum::CreateStatsStmt(statement) => statistics::create_statistics(statement, resolver),
        NodeEnum::CreateSchemaStmt(statement) => create::create_schema(statement, resolver),
        NodeEnum::DropStmt(statement) => drop::drop(statement, resolver),
        NodeEnum::DropOwnedStmt(statement) => drop::drop_owned(statement, resolver),
        NodeEnum::ReassignOwnedStmt(statement) => drop::reassign_owned(statement, resolver),
        NodeEnum::RenameStmt(statement) => rename::rename(statement, resolver),
        NodeEnum::AlterObjectSchemaStmt(statement) => rename::set_schema(statement, resolver),
        NodeEnum::AlterOwnerStmt(statement) => rename::owner(statement, resolver),
        NodeEnum::AlterObjectDependsStmt(statement) => rename::depends_on_extension(statement, resolver),
        NodeEnum::TruncateStmt(statement) => truncate::truncate(statement, resolver),
        NodeEnum::ViewStmt(statement) => views::create_view(statement, resolver),
        NodeEnum::RefreshMatViewStmt(statement) => views::refresh(statement, resolver),
        NodeEnum::CreateSeqStmt(statement) => sequences::create_sequence(statement, resolver),
        NodeEnum::AlterSeqStmt(statement) => sequences::alter_sequence(statement, resolver),
        NodeEnum::AlterEnumStmt(statement) => types::alter_enum(statement, resolver),
        NodeEnum::AlterDomainStmt(statement) => types::alter_domain(statement, resolver),
        NodeEnum::CreatePolicyStmt(statement) => policies::create_policy(statement, resolver),
        NodeEnum::AlterPolicyStmt(statement) => policies::alter_policy(statement, resolver),
        NodeEnum::CreatePublicationStmt(statement) => publications::create_publication(statement, resolver),
        NodeEnum::AlterPublicationStmt(statement) => publications::alter_publication(statement, resolver),
        NodeEnum::CreateSubscriptionStmt(statement) => publications::create_subscription(statement, resolver),
        NodeEnum::AlterSubscriptionStmt(statement) => publications::alter_subscription(statement, resolver),
        NodeEnum::DropSubscriptionStmt(statement) => publications::drop_subscription(statement, resolver),
        NodeEnum::GrantStmt(statement) => privileges::grant(statement, resolver),
        NodeEnum::CommentStmt(statement) => comments::comment(statement, resolver),
        NodeEnum::SecLabelStmt(statement) => comments::security_label(statement, resolver),
        NodeEnum::VacuumStmt(statement) => maintenance::vacuum(statement, resolver),
        NodeEnum::ClusterStmt(statement) => maintenance::cluster(statement, resolver),
        NodeEnum::LockStmt(statement) => maintenance::lock_table(statement, resolver),
        NodeEnum::AlterTableMoveAllStmt(statement) => maintenance::move_all(statement, resolver),
        NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_) => {
            dml::run(node, resolver)
        }
        NodeEnum::SelectStmt(statement) => dml::select(statement, resolver),
        NodeEnum::CopyStmt(statement) => dml::copy(statement, resolver),
        NodeEnum::ExplainStmt(statement) => dml::explain(statement, resolver),
        NodeEnum::PrepareStmt(statement) => dml::prepare(statement, resolver),
        NodeEnum::DeclareCursorStmt(statement) => dml::declare_cursor(statement, resolver),
        NodeEnum::DoStmt(statement) => routines::do_block(statement, resolver),
        NodeEnum::CallStmt(statement) => routines::call(statement, resolver),
        NodeEnum::CreateFunctionStmt(statement) => routines::create_function(statement, resolver),
        other => cluster::other(other, resolver),
    }
}
