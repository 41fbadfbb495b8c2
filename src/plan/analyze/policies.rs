//! Row security policies.

use pg_query::protobuf::{AlterPolicyStmt, CreatePolicyStmt};

use super::{Impact, Resolver};

pub(super) fn create_policy(statement: &CreatePolicyStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn alter_policy(statement: &AlterPolicyStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
