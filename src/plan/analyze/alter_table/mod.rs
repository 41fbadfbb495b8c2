//! ALTER TABLE and the other statements that share its parse node: index, view, sequence, materialized view,
//! foreign table, composite type.
//!
//! As in the server (tablecmds.c): the lock is that of the strongest subcommand, known from the text alone
//! ([`lock_level`]); subcommands are checked in the author's order and carried out in an order of their own
//! ([`pass`]); rewrites, scans and foreign key checks are done once at the end ([`work`]).

mod add_column;
mod add_constraint;
mod alter_constraint;
mod column;
mod column_type;
mod composite;
mod drop_column;
mod drop_constraint;
mod expressions;
mod foreign_key;
mod identity;
mod index;
mod inherit;
mod key;
mod lock_level;
mod not_null;
mod partition;
mod permitted;
mod properties;
mod storage;
mod syntax;
mod trigger;
mod type_dependents;
mod validate;
mod work;

pub(super) use foreign_key::action_on_generated;
pub(super) use partition::refuse_bound;
use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, AlterTableType, ConstrType, ObjectType};

use super::names::Qualified;
use super::refusal;
use super::resolve::{Lookup, Rel};
use super::{Impact, Resolver, TransactionRule};
use crate::catalog::{Persistence, RelationKind};
use work::Work;

pub(super) fn alter_table(statement: &AlterTableStmt, resolver: &Resolver<'_>) -> Impact {
    let commands: Vec<&AlterTableCmd> = statement
        .cmds
        .iter()
        .filter_map(|command| match command.node.as_ref()? {
            NodeEnum::AlterTableCmd(command) => Some(&**command),
            _ => None,
        })
        .collect();
    let Some(name) = &statement.relation else {
        return Impact::unanalyzable("the statement names no relation");
    };
    let mut impact = Impact::none();
    syntax::check(&commands, statement.objtype(), &mut impact, resolver);
    if commands.iter().any(|command| partition::is_concurrent_detach(command)) {
        impact.transaction = TransactionRule::Forbidden;
    }
    if statement.objtype() == ObjectType::ObjectType {
        return composite::alter_type(statement, &commands, resolver, impact);
    }
    let target = match resolver.lookup(name) {
        Lookup::Found(target) => target,
        // Its views are not what the server protects.
        Lookup::System if name.schemaname == "information_schema" => return impact,
        Lookup::System => {
            let message = format!("permission denied: \"{}\" is a system catalog", name.relname);
            impact.refuse("42501", message, "Leave the server's own tables as they are.");
            return impact;
        }
        Lookup::Missing => {
            if !statement.missing_ok {
                refuse_missing(name.schemaname.as_str(), Qualified::from_range(name), resolver, &mut impact);
            }
            return impact;
        }
    };
    if let Some(wanted) = wrong_kind(statement.objtype(), target) {
        refusal::wrong_kind(&mut impact, &target.name.name, wanted);
    }
    let mut work = Work::new(resolver, impact, lock_level::of_commands(&commands));
    work.lock(target);
    run(&mut work, target, &commands, name.inh);
    work.finish()
}

/// Missing composite types are not found among the relations: the message says relation for all.
fn refuse_missing(schema: &str, name: Qualified<'_>, resolver: &Resolver<'_>, impact: &mut Impact) {
    let composite = resolver.catalog.types.get(&resolver.creation_name(schema, name.name));
    if composite.is_some_and(|found| matches!(found.kind, crate::catalog::TypeKind::Composite { .. })) {
        let message = format!("\"{}\" is a composite type", name.shown());
        impact.refuse("42809", message, "Use ALTER TYPE instead.");
    }
    refusal::require_schema(impact, resolver, schema);
    refusal::missing_relation(impact, name);
}

/// What the statement's own word asks for, when the relation is something else. ALTER TABLE takes them all.
fn wrong_kind(object: ObjectType, target: Rel<'_>) -> Option<&'static str> {
    let kind = target.relation.kind;
    let (fits, wanted) = match object {
        ObjectType::ObjectIndex => (kind.is_index(), "an index"),
        ObjectType::ObjectView => (kind == RelationKind::View, "a view"),
        ObjectType::ObjectMatview => (kind == RelationKind::MaterializedView, "a materialized view"),
        ObjectType::ObjectSequence => (kind == RelationKind::Sequence, "a sequence"),
        ObjectType::ObjectForeignTable => (kind == RelationKind::ForeignTable, "a foreign table"),
        _ => return None,
    };
    (!fits).then_some(wanted)
}

/// Checks the subcommands in the author's order, then carries them out in the server's.
fn run<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, commands: &[&AlterTableCmd], recurse: bool) {
    for command in commands {
        let finalizes = command.subtype() == AlterTableType::AtDetachPartitionFinalize;
        if target.relation.detach_pending && !finalizes {
            let message = format!("cannot alter partition \"{}\" with an incomplete detach", target.name.name);
            work.impact.refuse("55000", message, "Use ALTER TABLE ... DETACH PARTITION ... FINALIZE first.");
        }
        permitted::check(work, target, command);
    }
    refuse_second_persistence(work, target, commands);
    let mut ordered: Vec<&AlterTableCmd> = commands.to_vec();
    ordered.sort_by_key(|command| pass(command));
    let together = Together::of(commands);
    for command in ordered {
        subcommand(work, target, command, recurse, &together);
    }
}

/// 0A000 for one that would follow a change from logged to unlogged, or back (`ATPrepCmd` in tablecmds.c).
fn refuse_second_persistence<'a>(work: &mut Work<'_, 'a>, target: Rel<'a>, commands: &[&AlterTableCmd]) {
    let wanted = |command: &&AlterTableCmd| match command.subtype() {
        AlterTableType::AtSetLogged => Some(Persistence::Permanent),
        AlterTableType::AtSetUnLogged => Some(Persistence::Unlogged),
        _ => None,
    };
    let now = target.relation.persistence;
    if commands.iter().filter_map(wanted).skip_while(|wanted| *wanted == now).nth(1).is_some() {
        let message = "cannot change persistence setting twice";
        work.impact.refuse("0A000", message, "Say SET LOGGED or SET UNLOGGED once.");
    }
}

/// What a subcommand has to know of the others.
#[derive(Debug)]
struct Together {
    /// Some foreign key is added as a table constraint, or a column with a default: then those of new columns
    /// are checked too.
    checks_foreign_keys: bool,
}

impl Together {
    fn of(commands: &[&AlterTableCmd]) -> Self {
        let checks = |command: &&AlterTableCmd| match (command.subtype(), command.def.as_ref()?.node.as_ref()?) {
            (AlterTableType::AtAddColumn, NodeEnum::ColumnDef(column)) => Some(add_column::has_default(column)),
            (AlterTableType::AtAddConstraint, NodeEnum::Constraint(constraint)) => {
                Some(constraint.contype() == ConstrType::ConstrForeign)
            }
            _ => None,
        };
        Self { checks_foreign_keys: commands.iter().any(|command| checks(command) == Some(true)) }
    }
}

/// The order in which the server carries out subcommands (`AlterTablePass`).
fn pass(command: &AlterTableCmd) -> u8 {
    use AlterTableType as T;
    match command.subtype() {
        T::AtDropColumn | T::AtDropConstraint | T::AtDropNotNull | T::AtDropIdentity | T::AtDropExpression => 0,
        T::AtColumnDefault if command.def.is_none() => 0,
        T::AtAlterColumnType => 1,
        T::AtAddColumn => 2,
        T::AtSetExpression => 3,
        T::AtAddConstraint => match command.def.as_ref().and_then(|def| def.node.as_ref()) {
            Some(NodeEnum::Constraint(constraint)) => match constraint.contype() {
                ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion => 6,
                ConstrType::ConstrForeign => 7,
                _ => 4,
            },
            _ => 4,
        },
        T::AtSetNotNull => 5,
        T::AtColumnDefault | T::AtAddIdentity => 7,
        _ => 8,
    }
}

fn subcommand<'a>(
    work: &mut Work<'_, 'a>,
    target: Rel<'a>,
    command: &AlterTableCmd,
    recurse: bool,
    together: &Together,
) {
    use AlterTableType as T;
    let name = command.name.as_str();
    let node = command.def.as_ref().and_then(|def| def.node.as_ref());
    match (command.subtype(), node) {
        (T::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => {
            let spec = add_column::Spec { column, if_not_exists: command.missing_ok, recurse };
            add_column::add_column(work, target, &spec, together.checks_foreign_keys);
        }
        (T::AtDropColumn, _) => drop_column::drop_column(work, target, command, recurse),
        (T::AtColumnDefault, _) => column::set_default(work, target, name, command.def.as_deref(), recurse),
        (T::AtSetNotNull, _) => not_null::set(work, target, name, recurse),
        (T::AtDropNotNull, _) => not_null::drop(work, target, name, recurse),
        (T::AtSetStatistics, _) => column::set_statistics(work, target, command, recurse),
        (T::AtSetOptions | T::AtResetOptions, _) => column::set_options(work, target, name, node),
        (T::AtSetStorage, _) => column::set_storage(work, target, name, node, recurse),
        (T::AtSetCompression, _) => column::set_compression(work, target, name),
        (T::AtAddIdentity, Some(NodeEnum::Constraint(_))) => identity::add(work, target, name, recurse),
        (T::AtSetIdentity, _) => identity::set(work, target, name, node, recurse),
        (T::AtDropIdentity, _) => identity::drop(work, target, name, command.missing_ok, recurse),
        (T::AtSetExpression, _) => column::set_expression(work, target, name, command.def.as_deref(), recurse),
        (T::AtDropExpression, _) => column::drop_expression(work, target, name, command.missing_ok, recurse),
        (T::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
            column_type::alter_type(work, target, name, column, recurse);
        }
        (T::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => {
            add_constraint::add(work, target, constraint, recurse);
        }
        (T::AtValidateConstraint, _) => validate::validate(work, target, name, recurse),
        (T::AtAlterConstraint, Some(NodeEnum::AtalterConstraint(change))) => {
            alter_constraint::alter(work, target, change, recurse);
        }
        (T::AtDropConstraint, _) => drop_constraint::drop_constraint(work, target, command, recurse),
        (T::AtAddInherit, Some(NodeEnum::RangeVar(parent))) => inherit::add(work, target, parent),
        (T::AtDropInherit, Some(NodeEnum::RangeVar(parent))) => inherit::drop(work, target, parent),
        (T::AtAddOf, Some(NodeEnum::TypeName(of))) => inherit::add_of(work, target, of),
        (T::AtDropOf, _) => inherit::drop_of(work, target),
        (T::AtAttachPartition, Some(NodeEnum::PartitionCmd(partition))) => {
            if target.relation.kind.is_index() {
                index::attach(work, target, partition);
            } else {
                partition::attach(work, target, partition);
            }
        }
        (T::AtDetachPartition, Some(NodeEnum::PartitionCmd(partition))) => {
            partition::detach(work, target, partition);
        }
        (T::AtDetachPartitionFinalize, Some(NodeEnum::PartitionCmd(partition))) => {
            partition::finalize(work, target, partition);
        }
        (T::AtChangeOwner, _) => properties::change_owner(work, target, command.newowner.as_ref()),
        (T::AtClusterOn, _) => properties::cluster_on(work, target, name),
        (T::AtDropCluster, _) => properties::drop_cluster(work, target),
        (T::AtReplicaIdentity, Some(NodeEnum::ReplicaIdentityStmt(identity))) => {
            properties::replica_identity(work, target, identity);
        }
        (T::AtEnableRowSecurity | T::AtDisableRowSecurity | T::AtForceRowSecurity | T::AtNoForceRowSecurity, _) => {
            properties::row_security(work, target)
        }
        (T::AtEnableRule | T::AtEnableAlwaysRule | T::AtEnableReplicaRule | T::AtDisableRule, _) => {
            trigger::switch_rule(work, target, name);
        }
        (
            T::AtEnableTrig
            | T::AtEnableAlwaysTrig
            | T::AtEnableReplicaTrig
            | T::AtDisableTrig
            | T::AtEnableTrigAll
            | T::AtEnableTrigUser
            | T::AtDisableTrigAll
            | T::AtDisableTrigUser,
            _,
        ) => trigger::switch(work, target, command, recurse),
        (T::AtSetLogged, _) => storage::set_persistence(work, target, true),
        (T::AtSetUnLogged, _) => storage::set_persistence(work, target, false),
        (T::AtSetAccessMethod, _) => storage::set_access_method(work, target, name),
        (T::AtSetTableSpace, _) => storage::set_tablespace(work, target, name),
        (T::AtSetRelOptions | T::AtResetRelOptions, Some(NodeEnum::List(options))) => {
            let resets = command.subtype() == T::AtResetRelOptions;
            storage::set_parameters(work, target, &options.items, resets);
        }
        // Nothing but the lock.
        (T::AtDropOids | T::AtGenericOptions, _) => {}
        (T::AtAlterColumnGenericOptions, _) => {
            work.require_column(target, name);
        }
        _ => work.impact.merge(Impact::unanalyzable("this form of ALTER TABLE has no rule")),
    }
}
