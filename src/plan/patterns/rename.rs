//! Renaming a table in use: a view keeps the old name alive in the transaction of the rename, with the owner, the
//! privileges and, from 15 on, the eyes of whoever asks (`security_invoker`). It goes in a contract step of its own.
//!
//! Traps: through a view the old name takes reads and writes of rows, but no `TRUNCATE`, no `COPY ... FROM`, no
//! `ON CONFLICT ON CONSTRAINT`, no foreign key. Before 15 a view looks with the rights of its owner, so tables with
//! row security get none. Columns and other objects have no such form: their rename stays as written.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use super::parts;
use crate::catalog::apply::apply;
use crate::catalog::{Catalog, Name, Persistence, Relation};
use crate::plan::ddl;
use crate::plan::draft::{Draft, Piece, UndoSource};
use crate::plan::expand::{Context, single};
use crate::plan::model::Stage;
use crate::sql::quote;

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let NodeEnum::RenameStmt(rename) = &context.statement.node else {
        return None;
    };
    if rename.rename_type() != ObjectType::ObjectTable {
        return None;
    }
    let table = parts::table(context, rename.relation.as_ref()?)?;
    if context.private(table.name) || !can_have_view(context, table.relation) {
        return None;
    }
    let old = table.name;
    let new = Name::new(&*old.schema, &*rename.newname);
    let mut statements = vec![format!("ALTER TABLE {old} RENAME TO {}", quote::ident(&new.name))];
    statements.extend(view(context.after()?, old, &new, context.major())?);
    let back =
        vec![format!("DROP VIEW IF EXISTS {old}"), format!("ALTER TABLE {new} RENAME TO {}", quote::ident(&old.name))];
    Some(vec![
        Draft::transaction(
            Stage::Switch,
            "rename",
            format!("Renames {old} to {new}; a view keeps the old name alive"),
            statements,
        )
        .alone()
        .undone_by(UndoSource::Statements(back))
        .into(),
        Draft::sql(
            Stage::Contract,
            "drop-view",
            format!("Drops the view {old}: the old name is gone"),
            format!("DROP VIEW {old}"),
        )
        .late()
        .into(),
    ])
}

fn can_have_view(context: &Context<'_>, relation: &Relation) -> bool {
    let own_rights = relation.row_security && context.major() < 15;
    let column_rights = relation.columns.iter().any(|column| !column.privileges.is_empty());
    relation.persistence == Persistence::Permanent && !relation.columns.is_empty() && !own_rights && !column_rights
}

/// The statements that make the view on the renamed table.
fn view(after: &Catalog, old: &Name, new: &Name, major: i32) -> Option<Vec<String>> {
    let table = after.relations.get(new)?;
    let columns: Vec<String> = table.columns.iter().map(|column| quote::ident(&column.name)).collect();
    let with = if major >= 15 { " WITH (security_invoker = true)" } else { "" };
    let create = single(&format!("CREATE VIEW {old}{with} AS SELECT {} FROM {new}", columns.join(", ")))?;
    let mut both = after.clone();
    apply(&mut both, &create).ok()?;
    let made = both.relations.get_mut(old)?;
    made.owner.clone_from(&table.owner);
    made.privileges.clone_from(&table.privileges);
    let script = ddl::between(after, &both);
    script.gaps.is_empty().then(|| script.statements())
}
