//! The statement as the author wrote it: where it is the best form already, and where there is no better one.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, AlterTableType, Node, ObjectType, RangeVar};

use super::parts;
use crate::catalog::expression::strings;
use crate::plan::draft::Draft;
use crate::plan::expand::Context;
use crate::plan::model::{HazardId, Stage};
use crate::sql::quote;

/// As plans show it.
pub(in crate::plan) const NAME: &str = "as-written";

/// The only draft.
pub(in crate::plan) fn draft(context: &Context<'_>) -> Draft {
    let node = &context.statement.node;
    let (slug, description) = describe(node);
    let loses_data = context.impact.hazards.iter().any(|hazard| hazard.id == HazardId::DataLoss);
    let stage = if loses_data { Stage::Contract } else { stage(node) };
    let text = context.statement.text.clone();
    if context.around.is_some() {
        let description = format!("{description}, with all that uses it made again");
        return parts::wrapped(context, Draft::sql(Stage::Switch, slug, description, text));
    }
    let draft = Draft::sql(stage, slug, description, text);
    if matches!(node, NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_)) { draft.alone() } else { draft }
}

fn stage(node: &NodeEnum) -> Stage {
    match node {
        NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_) => Stage::Backfill,
        NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_) => Stage::Switch,
        NodeEnum::AlterTableStmt(statement) if only(statement, AlterTableType::AtValidateConstraint) => Stage::Validate,
        NodeEnum::AlterTableStmt(statement) if only(statement, AlterTableType::AtSetNotNull) => Stage::Switch,
        NodeEnum::DropStmt(statement) if statement.remove_type() == ObjectType::ObjectIndex => Stage::Contract,
        _ => Stage::Expand,
    }
}

fn only(statement: &AlterTableStmt, wanted: AlterTableType) -> bool {
    statement.cmds.iter().all(|command| match &command.node {
        Some(NodeEnum::AlterTableCmd(command)) => command.subtype() == wanted,
        _ => false,
    })
}

/// The second half of the id and a sentence. Names objects, never values.
fn describe(node: &NodeEnum) -> (&'static str, String) {
    match node {
        NodeEnum::CreateStmt(statement) => named("create-table", "Creates table", statement.relation.as_ref()),
        NodeEnum::CreateForeignTableStmt(statement) => {
            let range = statement.base_stmt.as_ref().and_then(|base| base.relation.as_ref());
            named("create-table", "Creates foreign table", range)
        }
        NodeEnum::CreateTableAsStmt(statement) => {
            let range = statement.into.as_ref().and_then(|into| into.rel.as_ref());
            if statement.objtype() == ObjectType::ObjectMatview {
                named("create-materialized-view", "Creates materialized view", range)
            } else {
                named("create-table", "Creates and fills table", range)
            }
        }
        NodeEnum::AlterTableStmt(statement) => alter(statement),
        NodeEnum::IndexStmt(statement) => {
            let what = if statement.concurrent { "Builds an index concurrently on" } else { "Builds an index on" };
            named("create-index", what, statement.relation.as_ref())
        }
        NodeEnum::DropStmt(statement) => {
            let (slug, kind) = dropped(statement.remove_type());
            let list: Vec<String> = statement.objects.iter().filter_map(object).collect();
            (slug, format!("Drops {kind} {}", list.join(", ")))
        }
        NodeEnum::RenameStmt(statement) => match statement.relation.as_ref() {
            Some(range) if !statement.subname.is_empty() => (
                "rename",
                format!(
                    "Renames {} of {} to {}",
                    quote::ident(&statement.subname),
                    written(range),
                    quote::ident(&statement.newname)
                ),
            ),
            Some(range) => ("rename", format!("Renames {} to {}", written(range), quote::ident(&statement.newname))),
            None => ("rename", format!("Renames an object to {}", quote::ident(&statement.newname))),
        },
        NodeEnum::AlterObjectSchemaStmt(statement) => {
            ("set-schema", format!("Moves an object to schema {}", quote::ident(&statement.newschema)))
        }
        NodeEnum::ViewStmt(statement) => named("create-view", "Defines view", statement.view.as_ref()),
        NodeEnum::CreateSeqStmt(statement) => named("create-sequence", "Creates sequence", statement.sequence.as_ref()),
        NodeEnum::AlterSeqStmt(statement) => named("alter-sequence", "Alters sequence", statement.sequence.as_ref()),
        NodeEnum::CreateTrigStmt(statement) => {
            named("create-trigger", "Creates a trigger on", statement.relation.as_ref())
        }
        NodeEnum::CreatePolicyStmt(statement) => {
            named("create-policy", "Creates a policy on", statement.table.as_ref())
        }
        NodeEnum::AlterPolicyStmt(statement) => named("alter-policy", "Alters a policy on", statement.table.as_ref()),
        NodeEnum::RuleStmt(statement) => named("create-rule", "Creates a rule on", statement.relation.as_ref()),
        NodeEnum::RefreshMatViewStmt(statement) => {
            named("refresh", "Refreshes materialized view", statement.relation.as_ref())
        }
        NodeEnum::InsertStmt(statement) => named("insert", "Inserts rows into", statement.relation.as_ref()),
        NodeEnum::UpdateStmt(statement) => named("update", "Updates rows of", statement.relation.as_ref()),
        NodeEnum::DeleteStmt(statement) => named("delete", "Deletes rows of", statement.relation.as_ref()),
        NodeEnum::MergeStmt(statement) => named("merge", "Merges rows into", statement.relation.as_ref()),
        NodeEnum::CreateFunctionStmt(_) => ("create-function", "Defines a function or procedure".to_owned()),
        NodeEnum::CreateSchemaStmt(statement) => {
            ("create-schema", format!("Creates schema {}", quote::ident(&statement.schemaname)))
        }
        NodeEnum::CreateExtensionStmt(statement) => {
            ("create-extension", format!("Installs extension {}", quote::ident(&statement.extname)))
        }
        NodeEnum::CreateEnumStmt(_)
        | NodeEnum::CompositeTypeStmt(_)
        | NodeEnum::CreateRangeStmt(_)
        | NodeEnum::DefineStmt(_) => ("create-type", "Defines a type or the like".to_owned()),
        NodeEnum::CreateDomainStmt(_) => ("create-domain", "Creates a domain".to_owned()),
        NodeEnum::AlterDomainStmt(_) => ("alter-domain", "Alters a domain".to_owned()),
        NodeEnum::AlterEnumStmt(_) => ("alter-enum", "Alters an enum type".to_owned()),
        NodeEnum::CommentStmt(_) => ("comment", "Sets a comment".to_owned()),
        NodeEnum::GrantStmt(_) | NodeEnum::GrantRoleStmt(_) | NodeEnum::AlterDefaultPrivilegesStmt(_) => {
            ("privileges", "Changes privileges".to_owned())
        }
        NodeEnum::AlterOwnerStmt(_) => ("owner", "Changes an owner".to_owned()),
        NodeEnum::TruncateStmt(statement) => {
            let list: Vec<String> = statement.relations.iter().filter_map(object).collect();
            ("truncate", format!("Removes all rows of {}", list.join(", ")))
        }
        NodeEnum::VacuumStmt(statement) if statement.is_vacuumcmd => ("vacuum", "Vacuums".to_owned()),
        NodeEnum::VacuumStmt(_) => ("analyze", "Collects statistics".to_owned()),
        NodeEnum::DoStmt(_) => ("do", "Runs an anonymous code block".to_owned()),
        NodeEnum::CallStmt(_) => ("call", "Calls a procedure".to_owned()),
        NodeEnum::SelectStmt(_) => ("select", "Runs a query".to_owned()),
        NodeEnum::ReindexStmt(_) => ("reindex", "Rebuilds indexes".to_owned()),
        NodeEnum::CreatePublicationStmt(_) | NodeEnum::AlterPublicationStmt(_) => {
            ("publication", "Changes a publication".to_owned())
        }
        _ => ("statement", "Runs the statement as written".to_owned()),
    }
}

fn named(slug: &'static str, what: &str, range: Option<&RangeVar>) -> (&'static str, String) {
    let name = range.map_or_else(|| "a relation".to_owned(), written);
    (slug, format!("{what} {name}"))
}

fn written(range: &RangeVar) -> String {
    if range.schemaname.is_empty() {
        quote::ident(&range.relname)
    } else {
        quote::qualified(&range.schemaname, &range.relname)
    }
}

/// A dropped or truncated object as written.
fn object(node: &Node) -> Option<String> {
    match node.node.as_ref()? {
        NodeEnum::List(list) => Some(join(&strings(&list.items))),
        NodeEnum::RangeVar(range) => Some(written(range)),
        NodeEnum::String(text) => Some(quote::ident(&text.sval)),
        NodeEnum::TypeName(name) => Some(join(&strings(&name.names))),
        NodeEnum::ObjectWithArgs(object) => Some(join(&strings(&object.objname))),
        _ => None,
    }
}

fn join(names: &[String]) -> String {
    names.iter().map(|name| quote::ident(name)).collect::<Vec<_>>().join(".")
}

fn dropped(kind: ObjectType) -> (&'static str, &'static str) {
    match kind {
        ObjectType::ObjectTable => ("drop-table", "table"),
        ObjectType::ObjectIndex => ("drop-index", "index"),
        ObjectType::ObjectView => ("drop-view", "view"),
        ObjectType::ObjectMatview => ("drop-materialized-view", "materialized view"),
        ObjectType::ObjectSequence => ("drop-sequence", "sequence"),
        ObjectType::ObjectFunction => ("drop-function", "function"),
        ObjectType::ObjectProcedure => ("drop-procedure", "procedure"),
        ObjectType::ObjectType => ("drop-type", "type"),
        ObjectType::ObjectDomain => ("drop-domain", "domain"),
        ObjectType::ObjectSchema => ("drop-schema", "schema"),
        ObjectType::ObjectTrigger => ("drop-trigger", "trigger"),
        ObjectType::ObjectPolicy => ("drop-policy", "policy"),
        ObjectType::ObjectRule => ("drop-rule", "rule"),
        ObjectType::ObjectExtension => ("drop-extension", "extension"),
        ObjectType::ObjectForeignTable => ("drop-table", "foreign table"),
        _ => ("drop", "object"),
    }
}

fn alter(statement: &AlterTableStmt) -> (&'static str, String) {
    use AlterTableType as T;
    let name = statement.relation.as_ref().map_or_else(|| "a relation".to_owned(), written);
    let command = match statement.cmds.first().and_then(|command| command.node.as_ref()) {
        Some(NodeEnum::AlterTableCmd(command)) if statement.cmds.len() == 1 => command,
        _ => return ("alter-table", format!("Alters {name}")),
    };
    let part = quote::ident(&command.name);
    match command.subtype() {
        T::AtAddColumn => {
            let column = match command.def.as_ref().and_then(|definition| definition.node.as_ref()) {
                Some(NodeEnum::ColumnDef(definition)) => quote::ident(&definition.colname),
                _ => "a column".to_owned(),
            };
            ("add-column", format!("Adds column {column} to {name}"))
        }
        T::AtDropColumn => ("drop-column", format!("Drops column {part} of {name} with its values")),
        T::AtColumnDefault => ("set-default", format!("Changes the default of {part} of {name}")),
        T::AtSetNotNull => ("set-not-null", format!("Makes {part} of {name} not null")),
        T::AtDropNotNull => ("drop-not-null", format!("Lets {part} of {name} be null")),
        T::AtAlterColumnType => ("change-type", format!("Changes the type of {part} of {name}")),
        T::AtAddConstraint => ("add-constraint", format!("Adds a constraint to {name}")),
        T::AtDropConstraint => ("drop-constraint", format!("Drops constraint {part} of {name}")),
        T::AtValidateConstraint => ("validate", format!("Proves constraint {part} of {name}")),
        T::AtAttachPartition => ("attach-partition", format!("Attaches a partition to {name}")),
        T::AtDetachPartition | T::AtDetachPartitionFinalize => {
            ("detach-partition", format!("Detaches a partition of {name}"))
        }
        T::AtChangeOwner => ("owner", format!("Changes the owner of {name}")),
        T::AtEnableRowSecurity | T::AtDisableRowSecurity | T::AtForceRowSecurity | T::AtNoForceRowSecurity => {
            ("row-security", format!("Changes row security of {name}"))
        }
        _ => ("alter-table", format!("Alters {name}")),
    }
}
