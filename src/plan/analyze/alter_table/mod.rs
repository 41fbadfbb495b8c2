//! ALTER TABLE and the other statements that share its parse node (index, view, sequence, materialized view,
//! foreign table, composite type).

use pg_query::protobuf::AlterTableStmt;

use super::{Impact, Resolver};

pub(super) fn alter_table(statement: &AlterTableStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
