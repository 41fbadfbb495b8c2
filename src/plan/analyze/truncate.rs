//! TRUNCATE.

use pg_query::protobuf::TruncateStmt;

use super::{Impact, Resolver};

pub(super) fn truncate(statement: &TruncateStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
