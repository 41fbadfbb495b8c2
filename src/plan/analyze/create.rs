//! CREATE of what is or hangs on a table.

use pg_query::protobuf::{
    CreateForeignTableStmt, CreateSchemaStmt, CreateStatsStmt, CreateStmt, CreateTableAsStmt, CreateTrigStmt, RuleStmt,
};

use super::{Impact, Resolver};

pub(super) fn create_table(statement: &CreateStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn create_table_as(statement: &CreateTableAsStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn create_foreign_table(statement: &CreateForeignTableStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn create_trigger(statement: &CreateTrigStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn create_rule(statement: &RuleStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn create_statistics(statement: &CreateStatsStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn create_schema(statement: &CreateSchemaStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
