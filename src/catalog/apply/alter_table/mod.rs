//! `ALTER TABLE` and its kin: one file per group of subcommands.

mod add_column;
mod alter_constraint;
mod column_type;
mod columns;
mod composite;
mod constraints;
mod dependents;
mod identity;
mod settings;

use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, AlterTableType, DropBehavior, ObjectType, node};

use super::edit::{Edit, Outcome, fail};
use super::{drop, names, partition};
use crate::catalog::Name;

/// Where a subcommand acts.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) table: &'a Name,
    /// Children too (no `ONLY`).
    pub(super) recurse: bool,
}

/// `ALTER TABLE`, `ALTER INDEX`, `ALTER VIEW`, `ALTER SEQUENCE`, `ALTER FOREIGN TABLE` with subcommands, and
/// `ALTER TYPE` of composite types.
pub(super) fn alter(edit: &mut Edit<'_>, statement: &AlterTableStmt) -> Outcome {
    let Some(range) = &statement.relation else { fail!("the statement names no table") };
    if statement.objtype == ObjectType::ObjectType as i32 {
        return composite::alter(edit, range, &statement.cmds);
    }
    let Some(table) = names::find_relation(edit, range) else {
        if statement.missing_ok {
            return Ok(());
        }
        fail!("relation {} does not exist", names::spelled_range(range));
    };
    let target = Target { table: &table, recurse: range.inh };
    // The server runs subcommands in passes; what is dropped goes first, what is added comes last.
    let mut commands: Vec<(u8, &AlterTableCmd)> = Vec::new();
    for node in &statement.cmds {
        if let Some(node::Node::AlterTableCmd(command)) = &node.node {
            commands.push((pass(command), command));
        }
    }
    commands.sort_by_key(|(pass, _)| *pass);
    let mut later = Vec::new();
    for (_, command) in commands {
        self::command(edit, target, command, &mut later)?;
    }
    super::constraint::add_all(edit, &table, &later, target.recurse)
}

/// `AT_PASS_*` of tablecmds.c. Constraints of new columns come after all else.
fn pass(command: &AlterTableCmd) -> u8 {
    use AlterTableType as At;
    match kind(command) {
        At::AtDropColumn | At::AtDropConstraint | At::AtDropNotNull | At::AtDropIdentity | At::AtDropExpression => 0,
        At::AtAlterColumnType => 1,
        At::AtAddColumn | At::AtAddColumnToView => 2,
        At::AtSetExpression => 3,
        At::AtSetNotNull => 4,
        At::AtColumnDefault if command.def.is_none() => 0,
        At::AtColumnDefault | At::AtAddIdentity | At::AtSetIdentity => 5,
        At::AtAddConstraint => 6,
        _ => 7,
    }
}

fn kind(command: &AlterTableCmd) -> AlterTableType {
    AlterTableType::try_from(command.subtype).unwrap_or(AlterTableType::Undefined)
}

fn command(
    edit: &mut Edit<'_>,
    target: Target<'_>,
    command: &AlterTableCmd,
    later: &mut Vec<super::constraint::Wished>,
) -> Outcome {
    use AlterTableType as At;
    let cascade = command.behavior == DropBehavior::DropCascade as i32;
    let table = target.table;
    match kind(command) {
        At::AtAddColumn | At::AtAddColumnToView => add_column::add(edit, target, command, later),
        At::AtDropColumn => drop::column(edit, table, &command.name, (cascade, command.missing_ok, target.recurse)),
        At::AtColumnDefault => columns::set_default(edit, target, command),
        At::AtDropNotNull => columns::drop_not_null(edit, target, &command.name),
        At::AtSetNotNull => columns::set_not_null(edit, target, &command.name),
        At::AtSetExpression => columns::set_expression(edit, target, command),
        At::AtDropExpression => columns::drop_expression(edit, target, command),
        At::AtSetStatistics => columns::set_statistics(edit, target, command),
        At::AtSetOptions | At::AtResetOptions => columns::set_options(edit, target, command),
        At::AtSetStorage => columns::set_storage(edit, target, command),
        At::AtSetCompression => columns::set_compression(edit, target, command),
        At::AtAlterColumnGenericOptions => columns::foreign_options(edit, target, command),
        At::AtAlterColumnType => column_type::alter(edit, target, command),
        At::AtAddIdentity => identity::add(edit, target, command),
        At::AtSetIdentity => identity::set(edit, target, command),
        At::AtDropIdentity => identity::drop(edit, target, command),
        At::AtAddConstraint => constraints::add(edit, target, command),
        At::AtAlterConstraint => alter_constraint::alter(edit, target, command),
        At::AtValidateConstraint => constraints::validate(edit, target, &command.name),
        At::AtDropConstraint => {
            let flags = (cascade, command.missing_ok, target.recurse);
            super::constraint::drop::drop(edit, table, &command.name, flags)
        }
        At::AtAttachPartition | At::AtDetachPartition | At::AtDetachPartitionFinalize => {
            partitions(edit, table, command)
        }
        At::AtAddInherit | At::AtDropInherit => {
            let Some(node::Node::RangeVar(range)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
                fail!("the statement names no parent");
            };
            let parent = names::relation(edit, Some(range))?;
            if kind(command) == At::AtAddInherit {
                partition::inherit(edit, table, &parent, false)
            } else {
                partition::disinherit(edit, table, &parent)
            }
        }
        _ => settings::apply(edit, target, command),
    }
}

fn partitions(edit: &mut Edit<'_>, table: &Name, command: &AlterTableCmd) -> Outcome {
    let Some(node::Node::PartitionCmd(partition)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement names no partition");
    };
    match kind(command) {
        AlterTableType::AtAttachPartition if edit.relation(table)?.kind.is_index() => {
            let index = names::relation(edit, partition.name.as_ref())?;
            super::index::attach(edit, table, &index)
        }
        AlterTableType::AtAttachPartition => partition::attach(edit, table, partition),
        AlterTableType::AtDetachPartition => partition::detach(edit, table, partition),
        _ => {
            let finalized = pg_query::protobuf::PartitionCmd { concurrent: true, ..partition.clone() };
            partition::detach(edit, table, &finalized)
        }
    }
}

/// The tables a recursive subcommand touches, parents first.
fn tables(edit: &Edit<'_>, target: Target<'_>) -> Vec<Name> {
    if target.recurse { names::tree(edit, target.table) } else { vec![target.table.clone()] }
}
