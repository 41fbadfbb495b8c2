//! Sequences.

use pg_query::protobuf::{AlterSeqStmt, CreateSeqStmt};

use super::{Impact, Resolver};

pub(super) fn create_sequence(statement: &CreateSeqStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn alter_sequence(statement: &AlterSeqStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
