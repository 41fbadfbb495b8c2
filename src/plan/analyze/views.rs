//! Views and materialized views.

use pg_query::protobuf::{RefreshMatViewStmt, ViewStmt};

use super::{Impact, Resolver};

pub(super) fn create_view(statement: &ViewStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn refresh(statement: &RefreshMatViewStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
