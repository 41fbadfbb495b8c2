//! A Migration that is being deleted: its run is stopped, what it did is undone if it says so, then it may go.

use crate::api::Reason;
use crate::api::migration::DeletionPolicy;
use crate::api::migration_status::{ExecutionState, RollbackOrigin};
use crate::controller::names;
use crate::plan::RollbackClass;
use crate::run::job::run_name;

use super::decide::{Action, Draft, Kind, Situation};
use super::{rollback, settle};

/// What to do before the Migration may go.
pub fn situation(draft: &mut Draft<'_>) -> Situation {
    let held = draft.observed.migration.metadata.finalizers.iter().flatten().any(|name| name == names::FINALIZER);
    if !held {
        // Others hold it; nothing of ours is left to do.
        return Situation::new(Kind::Working(Reason::Pending), Reason::Deleting, "being deleted");
    }
    if let Some(run) = settle::settle(draft) {
        return Situation { kind: run.kind, reason: Reason::Deleting.word().to_owned(), ..run };
    }
    let undo = draft.spec().deletion_policy == DeletionPolicy::Rollback && draft.has_begun();
    if !undo || draft.observed.namespace_ending {
        let message = if draft.has_begun() {
            let meta = &draft.observed.migration.metadata;
            let [namespace, name, uid] =
                [&meta.namespace, &meta.name, &meta.uid].map(|part| part.as_deref().unwrap_or_default());
            let run = run_name(namespace, name, uid);
            format!("it may go; what it did in the database stays there, `wesley rollback --name {run}` undoes it")
        } else {
            "nothing is left to do before it may go".to_owned()
        };
        draft.act(Action::RemoveFinalizer);
        return Situation::new(Kind::Working(Reason::Pending), Reason::Deleting, message);
    }
    let escape = "set spec.deletionPolicy: Retain to let the Migration go without";
    if draft.observed.database.is_none() {
        let name = &draft.spec().database_ref.name;
        return Situation::stalled(
            Reason::DatabaseMissing,
            format!("deletion waits for the rollback, but the Database {name} does not exist: create it, or {escape}"),
        );
    }
    let on_the_way = draft.state() == Some(ExecutionState::RollingBack);
    if !on_the_way && settle::rollback_class(draft) == RollbackClass::ForwardOnly {
        return Situation::stalled(
            Reason::ForwardOnly,
            format!("deletion waits for the rollback, but there is no way back: {escape}"),
        );
    }
    let mut next = rollback::next(draft, RollbackOrigin::Deletion);
    if next.kind == Kind::Stalled {
        next.message = format!("{}; {escape}", next.message);
    }
    next
}
