//! Guards of a window: what the database must be like for a validation step to begin.

use super::error::{Fault, Reason, RunError};
use super::session::Session;
use crate::api::validation_window::{Guards, Question};
use crate::sql;
use pg_query::protobuf::node::Node;

/// Who may not see the sessions of others sees too little: nothing would ever be in the way.
const MAY_SEE: &str = "SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";

/// pg_stat_replication, column replay_lag: null where nothing is behind.
const LAG: &str =
    "SELECT coalesce(pg_catalog.max(extract(epoch FROM replay_lag)), 0)::bigint FROM pg_catalog.pg_stat_replication";

/// Client sessions of the whole server that run something, without this one.
const ACTIVE: &str = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
    WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()";

/// Age of the oldest transaction of this database, without this session's.
const OLDEST: &str = "SELECT coalesce(pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - xact_start)), 0)::bigint \
    FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()";

/// Measures, and says what is in the way with the measured value and the limit.
pub(super) async fn require(session: &Session, guards: &Guards) -> Result<(), Fault> {
    let measures = [
        ("replicationLagSecondsMax", guards.replication_lag_seconds_max, LAG, "seconds that a standby is behind"),
        ("activeSessionsMax", guards.active_sessions_max, ACTIVE, "active sessions"),
        (
            "oldestTransactionSecondsMax",
            guards.oldest_transaction_seconds_max,
            OLDEST,
            "seconds since the oldest transaction began",
        ),
    ];
    let client = session.client();
    if measures.iter().any(|(_, limit, ..)| limit.is_some()) {
        let may_see: bool = session.statement(client.query_one(MAY_SEE, &[])).await?.get(0);
        if !may_see {
            let message =
                "the window's guards need statistics that the role may not see: GRANT pg_read_all_stats to it";
            return Err(RunError::new(Reason::MissingPrivilege, message).into());
        }
    }
    for (name, limit, query, what) in measures {
        let Some(limit) = limit.map(i64::from) else { continue };
        let found: i64 = session.statement(client.query_one(query, &[])).await?.get(0);
        if found > limit {
            let message = format!("validation waits for the guard {name}: {found} {what}, the limit is {limit}");
            return Err(RunError::new(Reason::GuardNotMet, message).into());
        }
    }
    for question in &guards.questions {
        ask(session, question).await?;
    }
    Ok(())
}

async fn ask(session: &Session, question: &Question) -> Result<(), Fault> {
    let name = &question.name;
    let reads = sql::parse(&question.sql).is_ok_and(|statements| {
        matches!(statements.as_slice(), [only] if matches!(&only.node, Node::SelectStmt(select) if select.into_clause.is_none()))
    });
    if !reads {
        let message = format!("the guard {name} of the window is not one SELECT that reads only: correct it");
        return Err(RunError::new(Reason::PreconditionFailed, message).into());
    }
    let client = session.client();
    session.statement(client.batch_execute("BEGIN READ ONLY; SET LOCAL statement_timeout = '10s'")).await?;
    let answer = session.statement(client.query(&question.sql, &[])).await;
    session.roll_back().await;
    if super::check::is_true(&answer?) {
        return Ok(());
    }
    let message = format!("validation waits for the guard {name} of the window: its answer is not true");
    Err(RunError::new(Reason::GuardNotMet, message).into())
}
