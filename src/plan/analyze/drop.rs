//! DROP of every kind.

use pg_query::protobuf::{DropOwnedStmt, DropStmt, ReassignOwnedStmt};

use super::{Impact, Resolver};

pub(super) fn drop(statement: &DropStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn drop_owned(statement: &DropOwnedStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn reassign_owned(statement: &ReassignOwnedStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
