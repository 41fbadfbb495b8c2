//! CREATE INDEX and REINDEX.

use pg_query::protobuf::{IndexStmt, ReindexStmt};

use super::{Impact, Resolver};

pub(super) fn create_index(statement: &IndexStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn reindex(statement: &ReindexStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
