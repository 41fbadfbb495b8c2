//! Publications and subscriptions.

use pg_query::protobuf::{
    AlterPublicationStmt, AlterSubscriptionStmt, CreatePublicationStmt, CreateSubscriptionStmt, DropSubscriptionStmt,
};

use super::{Impact, Resolver};

pub(super) fn create_publication(statement: &CreatePublicationStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn alter_publication(statement: &AlterPublicationStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn create_subscription(statement: &CreateSubscriptionStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn alter_subscription(statement: &AlterSubscriptionStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}

pub(super) fn drop_subscription(statement: &DropSubscriptionStmt, resolver: &Resolver<'_>) -> Impact {
    let _ = (statement, resolver);
    Impact::unanalyzable("no rule for this statement yet")
}
