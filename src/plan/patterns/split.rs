//! An `ALTER TABLE` of several subcommands, where one of them needs a pattern: each becomes a change of its own.
//!
//! The server takes the strongest lock of all subcommands for the whole statement, so a scan that would do with
//! a weak lock alone runs under the strongest one. It also runs them in passes (`AlterTablePass` in
//! tablecmds.c: drops, types, new columns, constraints, ...), not in the order of the text; the parts keep the
//! order of the passes.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType, ConstrType};

use super::parts;
use crate::plan::draft::Piece;
use crate::plan::expand::Context;

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let statement = parts::alter_statement(context)?;
    if statement.cmds.len() < 2 {
        return None;
    }
    let range = statement.relation.as_ref()?;
    let table = parts::table(context, range)?;
    let mut commands = Vec::new();
    for command in &statement.cmds {
        let NodeEnum::AlterTableCmd(command) = command.node.as_ref()? else {
            return None;
        };
        commands.push(command.as_ref());
    }
    let drops = commands.iter().any(|command| command.subtype() == AlterTableType::AtDropColumn);
    if context.private(table.name) || !(context.heavy() || drops) {
        return None;
    }
    commands.sort_by_key(|command| pass(command));
    commands
        .into_iter()
        .map(|command| parts::alter_table(table.name, !range.inh, command.clone()).map(Piece::Change))
        .collect()
}

/// Number of the pass that the server runs the subcommand in (`ATPrepCmd`, and `transformAlterTableStmt` for
/// constraints).
fn pass(command: &AlterTableCmd) -> u8 {
    use AlterTableType as T;
    match command.subtype() {
        T::AtDropColumn | T::AtDropConstraint | T::AtDropNotNull | T::AtDropIdentity | T::AtDropExpression => 0,
        T::AtColumnDefault if command.def.is_none() => 0,
        T::AtAlterColumnType => 1,
        T::AtAddColumn => 2,
        T::AtSetExpression => 3,
        T::AtAddConstraint => match constraint_type(command) {
            Some(ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion) => 6,
            Some(ConstrType::ConstrForeign) => 7,
            _ => 4,
        },
        T::AtSetNotNull => 5,
        T::AtColumnDefault | T::AtAddIdentity => 7,
        _ => 8,
    }
}

fn constraint_type(command: &AlterTableCmd) -> Option<ConstrType> {
    match command.def.as_ref()?.node.as_ref()? {
        NodeEnum::Constraint(constraint) => Some(constraint.contype()),
        _ => None,
    }
}
