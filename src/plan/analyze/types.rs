//! Enums and domains.

use pg_query::protobuf::{AlterDomainStmt, AlterEnumStmt};

use super::{Impact, Resolver};

pub(super) fn alter_enum(statement: &AlterEnumStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn alter_domain(statement: &AlterDomainStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
