//! Code: DO, CALL and function bodies.

use pg_query::protobuf::{CallStmt, CreateFunctionStmt, DoStmt};

use super::{Impact, Resolver};

pub(super) fn do_block(statement: &DoStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn call(statement: &CallStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn create_function(statement: &CreateFunctionStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
