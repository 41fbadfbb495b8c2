//! GRANT and REVOKE.

use pg_query::protobuf::GrantStmt;

use super::{Impact, Resolver};

pub(super) fn grant(statement: &GrantStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
