//! `CREATE FOREIGN TABLE`.

use pg_query::protobuf::CreateForeignTableStmt;

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::columns::foreign_options;
use super::create::table;
use crate::catalog::naming;
use crate::catalog::{ForeignTable, RelationKind};

/// `CREATE FOREIGN TABLE`.
pub(in super::super) fn create(edit: &mut Edit<'_>, statement: &CreateForeignTableStmt) -> Outcome {
    let Some(base) = &statement.base_stmt else { fail!("the statement names no table") };
    let Some(range) = &base.relation else { fail!("the statement names no table") };
    let name = names::creation_of(edit, range)?;
    if naming::relation_exists(edit, &name) {
        if base.if_not_exists {
            return Ok(());
        }
        fail!("relation {name} already exists");
    }
    table(edit, base, &name, RelationKind::ForeignTable)?;
    let options = foreign_options(&statement.options);
    edit.relation_mut(&name)?.foreign = Some(ForeignTable { server: statement.servername.clone(), options });
    Ok(())
}
