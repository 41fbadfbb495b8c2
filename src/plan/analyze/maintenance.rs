//! VACUUM, ANALYZE, CLUSTER, LOCK and moving whole tablespaces.

use pg_query::protobuf::{AlterTableMoveAllStmt, ClusterStmt, LockStmt, VacuumStmt};

use super::{Impact, Resolver};

pub(super) fn vacuum(statement: &VacuumStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn cluster(statement: &ClusterStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn lock_table(statement: &LockStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn move_all(statement: &AlterTableMoveAllStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
