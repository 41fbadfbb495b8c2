//! Range types.

use pg_query::protobuf::{CreateRangeStmt, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use crate::catalog::TypeKind;
use crate::catalog::expression::strings;

/// `CREATE TYPE .. AS RANGE`.
pub(in super::super) fn create(edit: &mut Edit<'_>, statement: &CreateRangeStmt) -> Outcome {
    let subtype = names::options(&statement.params).find(|element| element.defname == "subtype");
    let Some(node::Node::TypeName(subtype)) =
        subtype.and_then(|element| element.arg.as_deref()).and_then(|arg| arg.node.as_ref())
    else {
        fail!("a range type has no subtype");
    };
    let subtype = names::data_type(edit, Some(subtype))?;
    // `format_type` without a modifier knows SQL's names only.
    let subtype = match subtype.name.name.as_str() {
        "bpchar" if subtype.name.schema == "pg_catalog" => "character".to_owned(),
        _ => subtype.sql,
    };
    super::add(edit, &strings(&statement.type_name), TypeKind::Range { subtype }).map(|_| ())
}
