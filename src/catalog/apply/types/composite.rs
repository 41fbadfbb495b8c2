//! Free-standing composite types.

use pg_query::protobuf::{CompositeTypeStmt, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::super::table::columns;
use crate::catalog::expression::strings;
use crate::catalog::{Column, TypeKind};

/// `CREATE TYPE .. AS (..)`.
pub(in super::super) fn create(edit: &mut Edit<'_>, statement: &CompositeTypeStmt) -> Outcome {
    let Some(range) = &statement.typevar else { fail!("the statement names no type") };
    let mut attributes = Vec::new();
    for node in &statement.coldeflist {
        let Some(node::Node::ColumnDef(definition)) = &node.node else { continue };
        let data_type = names::data_type(edit, definition.type_name.as_ref())?;
        let mut column = Column::new(definition.colname.clone(), data_type);
        if let Some(collate) = &definition.coll_clause {
            column.collation = columns::named_collation(edit, &column, &strings(&collate.collname));
        }
        attributes.push(column);
    }
    let mut parts = vec![range.relname.clone()];
    if !range.schemaname.is_empty() {
        parts.insert(0, range.schemaname.clone());
    }
    super::add(edit, &parts, TypeKind::Composite { attributes }).map(|_| ())
}
