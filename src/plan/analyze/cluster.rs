//! What is above the database or touches no relation of it.

use pg_query::NodeEnum;

use super::{Impact, Resolver};

/// Statements that no other family has: server, database, session and objects without relations.
pub(super) fn other(node: &NodeEnum, resolver: &Resolver<'_>) -> Impact {
    let _ = (node, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
