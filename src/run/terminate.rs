//! Ends the sessions that keep a table from a step, where the policy of the database says so: those that are idle in
//! a transaction sooner than those that work.

use std::time::Duration;

use super::context::{Context, Unit};
use super::error::Fault;
use super::progress::ProgressState;
use super::watch::Blocker;

/// After which wait for a table its holders are ended; `None`: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminate {
    /// Those idle in a transaction.
    pub idle_after: Option<Duration>,
    /// Any.
    pub any_after: Option<Duration>,
}

impl Terminate {
    /// Whether a holder is ended after that wait. Prepared transactions have no session, background processes end by
    /// themselves, and our own runs are told to stop in other ways.
    pub(super) fn covers(self, holder: &Blocker, waited: Duration) -> bool {
        let ours = holder.application.starts_with("wesley/");
        if holder.pid == 0 || holder.autovacuum || ours {
            return false;
        }
        let idle = holder.state.starts_with("idle in transaction");
        let over = |limit: Option<Duration>| limit.is_some_and(|limit| waited >= limit);
        over(self.any_after) || idle && over(self.idle_after)
    }
}

// By its virtual transaction: the process may serve another one meanwhile.
const END: &str = "\
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_locks
WHERE locktype = 'virtualxid' AND virtualtransaction = $1 AND pid = $2 AND granted LIMIT 1";

/// Ends the session of `holder`, whose transaction has that virtual id, and tells so.
pub(super) async fn end(
    context: &Context<'_>,
    unit: &Unit<'_>,
    transaction: &str,
    holder: &Blocker,
) -> Result<(), Fault> {
    let client = context.session.client();
    let detail = match context.session.statement(client.query(END, &[&transaction, &holder.pid])).await {
        Ok(rows) if rows.is_empty() => return Ok(()),
        Ok(_) => format!("ended {holder}, as the policy of the database says"),
        Err(Fault::Server(error)) if error.sqlstate == "42501" => {
            format!("{holder} should be ended, but the role may not: GRANT pg_signal_backend TO it")
        }
        Err(fault) => return Err(fault),
    };
    tracing::warn!(step = unit.step.id, "{detail}");
    context.tell_more(unit, ProgressState::Waiting, (0, None), Vec::new(), Some(detail));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_are_ended_sooner_and_others_only_where_it_is_said() {
        let holder = |pid, application: &str, state: &str| Blocker {
            pid,
            application: application.into(),
            state: state.into(),
            ..Blocker::default()
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let both = Terminate { idle_after: seconds(10), any_after: seconds(60) };
        let idle = Terminate { idle_after: seconds(10), any_after: None };
        let (sleeper, worker) = (holder(7, "psql", "idle in transaction"), holder(8, "app", "active"));
        for (policy, who, waited, ended) in [
            (Terminate::default(), &sleeper, 1_000_000, false),
            (idle, &sleeper, 9, false),
            (idle, &sleeper, 10, true),
            (idle, &holder(7, "psql", "idle in transaction (aborted)"), 10, true),
            (idle, &worker, 1_000_000, false),
            (both, &worker, 59, false),
            (both, &worker, 60, true),
            // What the role may not see is not taken for idle.
            (idle, &holder(9, "", "unknown"), 1_000_000, false),
            (both, &holder(0, "", "unknown"), 1_000_000, false),
            (both, &holder(9, "wesley/other", "active"), 1_000_000, false),
            (both, &Blocker { autovacuum: true, ..holder(9, "", "active") }, 1_000_000, false),
        ] {
            assert_eq!(policy.covers(who, Duration::from_secs(waited)), ended, "{policy:?} {who:?} {waited}");
        }
    }
}
