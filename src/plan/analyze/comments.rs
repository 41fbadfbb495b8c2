//! COMMENT and SECURITY LABEL.

use pg_query::protobuf::{CommentStmt, SecLabelStmt};

use super::{Impact, Resolver};

pub(super) fn comment(statement: &CommentStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn security_label(statement: &SecLabelStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
