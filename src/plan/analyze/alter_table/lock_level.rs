//! The lock of an ALTER TABLE, from its text alone (`AlterTableGetLockLevel` in tablecmds.c): the server takes it
//! before it looks at the table.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType, ConstrType, Node};

use crate::plan::analyze::storage_parameters;
use crate::plan::lock::LockMode;

/// The strongest of the subcommands' locks.
pub(super) fn of_commands(commands: &[&AlterTableCmd]) -> LockMode {
    let modes = commands.iter().map(|command| of_command(command));
    modes.reduce(LockMode::join).unwrap_or(LockMode::AccessExclusive)
}

fn of_command(command: &AlterTableCmd) -> LockMode {
    use AlterTableType as T;
    match command.subtype() {
        T::AtEnableTrig
        | T::AtEnableAlwaysTrig
        | T::AtEnableReplicaTrig
        | T::AtEnableTrigAll
        | T::AtEnableTrigUser
        | T::AtDisableTrig
        | T::AtDisableTrigAll
        | T::AtDisableTrigUser => LockMode::ShareRowExclusive,
        T::AtAddConstraint => match command.def.as_ref().and_then(|def| def.node.as_ref()) {
            Some(NodeEnum::Constraint(constraint)) if constraint.contype() == ConstrType::ConstrForeign => {
                LockMode::ShareRowExclusive
            }
            _ => LockMode::AccessExclusive,
        },
        T::AtSetStatistics
        | T::AtSetOptions
        | T::AtResetOptions
        | T::AtClusterOn
        | T::AtDropCluster
        | T::AtValidateConstraint
        | T::AtAttachPartition
        | T::AtDetachPartitionFinalize => LockMode::ShareUpdateExclusive,
        T::AtDetachPartition => match command.def.as_ref().and_then(|def| def.node.as_ref()) {
            Some(NodeEnum::PartitionCmd(partition)) if partition.concurrent => LockMode::ShareUpdateExclusive,
            _ => LockMode::AccessExclusive,
        },
        T::AtSetRelOptions | T::AtResetRelOptions => of_parameters(command.def.as_deref()),
        _ => LockMode::AccessExclusive,
    }
}

fn of_parameters(list: Option<&Node>) -> LockMode {
    let Some(NodeEnum::List(list)) = list.and_then(|list| list.node.as_ref()) else {
        return LockMode::AccessExclusive;
    };
    let modes = list.items.iter().filter_map(|item| match item.node.as_ref()? {
        NodeEnum::DefElem(option) => storage_parameters::lock(&option.defname),
        _ => None,
    });
    modes.reduce(LockMode::join).unwrap_or(LockMode::AccessExclusive)
}
