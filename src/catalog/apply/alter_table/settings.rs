//! Subcommands that set a property of the relation as a whole.

use pg_query::protobuf::{AlterTableCmd, AlterTableType, Node, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::{names, options, owner, table};
use super::{Target, columns, kind};
use crate::catalog::{Name, Persistence, RelationKind, ReplicaIdentity};
use crate::sql::quote;

pub(super) fn apply(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    use AlterTableType as At;
    let table = target.table;
    match kind(command) {
        At::AtChangeOwner => {
            let Some(new) = &command.newowner else { fail!("the statement names no owner") };
            let new = names::role(edit, new);
            owner::of_relation(edit, table, &new)
        }
        At::AtClusterOn => cluster(edit, table, Some(&command.name)),
        At::AtDropCluster => cluster(edit, table, None),
        At::AtSetLogged => persistence(edit, table, Persistence::Permanent),
        At::AtSetUnLogged => persistence(edit, table, Persistence::Unlogged),
        At::AtDropOids => Ok(()),
        At::AtSetAccessMethod => access_method(edit, table, &command.name),
        At::AtSetTableSpace => {
            let name =
                if command.name == edit.server.default_tablespace { String::new() } else { command.name.clone() };
            // The database's own may be named by its alias as well.
            let name =
                if name == "pg_default" && edit.server.default_tablespace.is_empty() { String::new() } else { name };
            edit.relation_mut(table)?.tablespace = name;
            Ok(())
        }
        At::AtSetRelOptions | At::AtResetRelOptions | At::AtReplaceRelOptions => storage(edit, table, command),
        At::AtEnableTrig
        | At::AtEnableAlwaysTrig
        | At::AtEnableReplicaTrig
        | At::AtDisableTrig
        | At::AtEnableTrigAll
        | At::AtDisableTrigAll
        | At::AtEnableTrigUser
        | At::AtDisableTrigUser => triggers(edit, target, command),
        At::AtEnableRule | At::AtEnableAlwaysRule | At::AtEnableReplicaRule | At::AtDisableRule => {
            rule(edit, table, command)
        }
        At::AtAddOf => typed(edit, table, command),
        At::AtDropOf => {
            edit.relation_mut(table)?.of_type = None;
            Ok(())
        }
        At::AtReplicaIdentity => replica_identity(edit, table, command),
        At::AtEnableRowSecurity | At::AtDisableRowSecurity => {
            edit.relation_mut(table)?.row_security = kind(command) == At::AtEnableRowSecurity;
            Ok(())
        }
        At::AtForceRowSecurity | At::AtNoForceRowSecurity => {
            edit.relation_mut(table)?.force_row_security = kind(command) == At::AtForceRowSecurity;
            Ok(())
        }
        At::AtGenericOptions => {
            let items = items(command).to_vec();
            match &mut edit.relation_mut(table)?.foreign {
                Some(foreign) => columns::change_foreign_options(&mut foreign.options, &items),
                None => fail!("{table} is not a foreign table"),
            }
            Ok(())
        }
        other => fail!("{} has no rule for ALTER TABLE", other.as_str_name()),
    }
}

fn items(command: &AlterTableCmd) -> &[Node] {
    match command.def.as_deref().and_then(|def| def.node.as_ref()) {
        Some(node::Node::List(list)) => &list.items,
        _ => &[],
    }
}

fn storage(edit: &mut Edit<'_>, table: &Name, command: &AlterTableCmd) -> Outcome {
    let items = items(command);
    let relation = edit.relation_mut(table)?;
    match kind(command) {
        AlterTableType::AtResetRelOptions => options::reset(&mut relation.options, items),
        AlterTableType::AtReplaceRelOptions => relation.options = options::of(items),
        _ => options::set(&mut relation.options, items),
    }
    if relation.kind.is_index() {
        return super::super::index::redefine(edit, table);
    }
    Ok(())
}

fn cluster(edit: &mut Edit<'_>, table: &Name, index: Option<&str>) -> Outcome {
    if let Some(index) = index
        && !names::indexes(edit, table).iter().any(|own| own.name == index)
    {
        fail!("index {} of {table} does not exist", quote::ident(index));
    }
    for name in names::indexes(edit, table) {
        if let Some(own) = &mut edit.relation_mut(&name)?.index {
            own.clustered = Some(name.name.as_str()) == index;
        }
    }
    Ok(())
}

/// The indexes follow; from 15 on the sequences of identity columns and serials do too.
fn persistence(edit: &mut Edit<'_>, table: &Name, to: Persistence) -> Outcome {
    let mut members = names::indexes(edit, table);
    if edit.major() >= 15 {
        members.extend(names::owned_sequences(edit, table));
    }
    members.push(table.clone());
    // A partitioned table has no storage: 18 refuses, before it is without effect.
    if edit.relation(table)?.kind == RelationKind::PartitionedTable && edit.major() >= 18 {
        fail!("the partitioned table {table} has no storage of its own");
    }
    for member in members {
        edit.relation_mut(&member)?.persistence = to;
    }
    Ok(())
}

fn access_method(edit: &mut Edit<'_>, table: &Name, wished: &str) -> Outcome {
    let default = edit.server.default_table_access_method.clone();
    let default = if default.is_empty() { "heap".to_owned() } else { default };
    let relation = edit.relation_mut(table)?;
    relation.access_method = match (relation.kind, wished) {
        (RelationKind::PartitionedTable, "") => String::new(),
        (_, "") => default,
        (_, wished) => wished.to_owned(),
    };
    Ok(())
}

fn triggers(edit: &mut Edit<'_>, target: Target<'_>, command: &AlterTableCmd) -> Outcome {
    use AlterTableType as At;
    let state = match kind(command) {
        At::AtEnableTrig | At::AtEnableTrigAll | At::AtEnableTrigUser => 'O',
        At::AtEnableAlwaysTrig => 'A',
        At::AtEnableReplicaTrig => 'R',
        _ => 'D',
    };
    let named = matches!(
        kind(command),
        At::AtEnableTrig | At::AtEnableAlwaysTrig | At::AtEnableReplicaTrig | At::AtDisableTrig
    );
    let all = edit.relation(target.table)?.triggers.clone();
    if named && !all.iter().any(|trigger| trigger.name == command.name) {
        fail!("trigger {} of {} does not exist", quote::ident(&command.name), target.table);
    }
    let touched: Vec<&crate::catalog::Trigger> =
        all.iter().filter(|trigger| !named || trigger.name == command.name).collect();
    for member in super::tables(edit, target) {
        let is_root = member == *target.table;
        for trigger in &mut edit.relation_mut(&member)?.triggers {
            let of = touched.iter().find(|own| own.name == trigger.name);
            let Some(of) = of else { continue };
            if is_root || (trigger.from_parent && of.for_each_row) {
                trigger.enabled = state;
            }
        }
    }
    Ok(())
}

fn rule(edit: &mut Edit<'_>, table: &Name, command: &AlterTableCmd) -> Outcome {
    use AlterTableType as At;
    let state = match kind(command) {
        At::AtEnableRule => 'O',
        At::AtEnableAlwaysRule => 'A',
        At::AtEnableReplicaRule => 'R',
        _ => 'D',
    };
    match edit.relation_mut(table)?.rules.iter_mut().find(|rule| rule.name == command.name) {
        Some(rule) => {
            rule.enabled = state;
            Ok(())
        }
        None => fail!("rule {} of {table} does not exist", quote::ident(&command.name)),
    }
}

/// `OF type`.
fn typed(edit: &mut Edit<'_>, table: &Name, command: &AlterTableCmd) -> Outcome {
    let Some(node::Node::TypeName(of)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement names no type");
    };
    let of = names::data_type(edit, Some(of))?.name;
    let wanted = table::composite_columns(edit, &of)?;
    let own = &edit.relation(table)?.columns;
    let same = own.len() == wanted.len()
        && own.iter().zip(&wanted).all(|(own, wanted)| own.name == wanted.name && own.data_type == wanted.data_type);
    if !same {
        fail!("the columns of {table} are not those of {of}");
    }
    edit.relation_mut(table)?.of_type = Some(of);
    Ok(())
}

fn replica_identity(edit: &mut Edit<'_>, table: &Name, command: &AlterTableCmd) -> Outcome {
    let Some(node::Node::ReplicaIdentityStmt(wished)) = command.def.as_deref().and_then(|def| def.node.as_ref()) else {
        fail!("the statement names no replica identity");
    };
    let identity = match wished.identity_type.as_str() {
        "n" => ReplicaIdentity::Nothing,
        "f" => ReplicaIdentity::Full,
        "i" => {
            if !names::indexes(edit, table).iter().any(|index| index.name == wished.name) {
                fail!("index {} of {table} does not exist", quote::ident(&wished.name));
            }
            ReplicaIdentity::Index(wished.name.clone())
        }
        _ => ReplicaIdentity::Default,
    };
    edit.relation_mut(table)?.replica_identity = identity;
    Ok(())
}
