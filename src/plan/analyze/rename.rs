//! RENAME, SET SCHEMA, OWNER TO and DEPENDS ON EXTENSION where they are statements of their own.

use pg_query::protobuf::{AlterObjectDependsStmt, AlterObjectSchemaStmt, AlterOwnerStmt, RenameStmt};

use super::{Impact, Resolver};

pub(super) fn rename(statement: &RenameStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn set_schema(statement: &AlterObjectSchemaStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn owner(statement: &AlterOwnerStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn depends_on_extension(statement: &AlterObjectDependsStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
