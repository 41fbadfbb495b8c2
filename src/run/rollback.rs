//! Back: the recorded undo of every step that is done or may be half done, last first, by the same machinery and
//! in the same ledger.

use std::collections::HashMap;
use std::time::Instant;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, ObjectType};

use super::ahead;
use super::connect::Settings;
use super::context::{Context, Tally, Unit};
use super::error::{Fault, Reason, RunError};
use super::execute::{
    before_start, execute, not_recorded, record_failure, require_name, require_question, require_same_database,
};
use super::failpoint::{Boundary, hit};
use super::ledger::runs::{self, RunState};
use super::ledger::steps::{self, StepRecord, StepState};
use super::ledger::{RunKey, Slot, schema};
use super::options::Options;
use super::outcome::{Ending, RunOutcome};
use super::parallel::Builds;
use super::probe::{self, Probe};
use super::progress::{Observer, ProgressState};
use super::session::Session;
use crate::plan::{Action, Plan, RollbackClass, Step, Undo, UndoAction};
use crate::report::RollbackState;
use crate::sql::parse;

/// Undoes the run `name`. Refused with [`Reason::ForwardOnly`], before anything is touched, when something
/// irreversible has been done. Afterwards the name can be applied again.
pub async fn rollback(settings: &Settings, name: &str, options: &Options, observer: &dyn Observer) -> RunOutcome {
    let started = Instant::now();
    let mut outcome = RunOutcome::new(name, started);
    outcome.ending = backward(settings, name, options, observer, &mut outcome).await;
    outcome.finish(observer);
    outcome
}

async fn backward(
    settings: &Settings,
    name: &str,
    options: &Options,
    observer: &dyn Observer,
    outcome: &mut RunOutcome,
) -> Result<Ending, RunError> {
    require_name(name)?;
    let session = Session::open(settings, name, options, observer).await?;
    let mut context = Context {
        session,
        run: RunKey { name: name.to_owned(), epoch: 0 },
        options,
        observer,
        started: outcome.started,
        tally: Tally::default(),
        builds: Builds::default(),
    };
    let taken = take(&mut context, outcome).await.map_err(|fault| before_start(&context, fault))?;
    let Some((plan, records)) = taken else { return Ok(Ending::AlreadyRolledBack) };
    require_question(&context).await.map_err(|fault| before_start(&context, fault))?;
    context.tally.changed = true;
    context.tally.steps_done = outcome.steps_done;
    let ended = walk(&mut context, &plan, &records).await;
    outcome.describe(&plan, &context.tally);
    outcome.next_stage = None;
    match ended {
        Ok(()) => {
            runs::finish(context.session.client(), &context.run, RunState::RolledBack, Reason::RolledBack, None, None)
                .await
                .map_err(|fault| before_start(&context, fault))?;
            hit(Boundary::AfterFinish);
            Ok(Ending::RolledBack)
        }
        Err(error) => {
            record_failure(&context, &error, RunState::RollingBack).await;
            if let Ok(state) = state_of(&context, &plan).await {
                outcome.rollback = Some(state);
            }
            Err(error)
        }
    }
}

/// Finds the run, refuses what has no way back, and makes it ours. `None`: there is nothing to undo.
async fn take(
    context: &mut Context<'_>,
    outcome: &mut RunOutcome,
) -> Result<Option<(Plan, HashMap<String, StepRecord>)>, Fault> {
    let client = context.session.client();
    let name = context.run.name.clone();
    if !schema::exists(client).await? {
        return Err(not_recorded(&name).into());
    }
    schema::prepare(client, &context.session.server.identity.database).await?;
    let recorded = runs::find(client, &name).await?.ok_or_else(|| not_recorded(&name))?;
    require_same_database(context, &recorded)?;
    let records = steps::read(client, &name).await?;
    let done = records.values().filter(|record| record.state == StepState::Done).count();
    let done = Tally { steps_done: i64::try_from(done).unwrap_or(i64::MAX), ..Tally::default() };
    outcome.describe(&recorded.plan, &done);
    if recorded.state == RunState::RolledBack {
        return Ok(None);
    }
    let state = state(&recorded.plan, &records);
    outcome.rollback = Some(state.clone());
    if state.class == RollbackClass::ForwardOnly {
        return Err(RunError::new(
            Reason::ForwardOnly,
            format!("the run {name} cannot be undone: {}. Nothing was touched", state.reason),
        )
        .into());
    }
    if recorded.state == RunState::RollingBack {
        context.tally.resumed_at =
            recorded.plan.steps.iter().rev().find(|step| pending(&records, step)).map(|step| step.id.clone());
    } else {
        ahead::require(context, &recorded.plan, &records).await?;
    }
    context.run = runs::take_over(context.session.client(), &name, RunState::RollingBack).await?;
    hit(Boundary::RollbackRecorded);
    Ok(Some((recorded.plan, records)))
}

fn record(records: &HashMap<String, StepRecord>, step: &Step) -> StepRecord {
    records.get(&step.id).copied().unwrap_or(StepRecord::PLANNED)
}

fn pending(records: &HashMap<String, StepRecord>, step: &Step) -> bool {
    record(records, step).has_effects()
}

async fn walk(context: &mut Context<'_>, plan: &Plan, records: &HashMap<String, StepRecord>) -> Result<(), RunError> {
    for step in plan.steps.iter().rev() {
        let record = record(records, step);
        if !record.has_effects() {
            context.tally.steps_undone += i64::from(record.state == StepState::Undone);
            continue;
        }
        // What was there before the run is not the run's to undo.
        let actions = if record.adopted { &[] } else { actions(&step.undo) };
        for (index, action) in actions.iter().enumerate().skip(record.undone_actions) {
            undo(context, step, index, action).await.map_err(|error| error.at(&step.id))?;
        }
        mark(context, step).await?;
        context.tally.steps_undone += 1;
        context.tally.steps_done -= i64::from(record.state == StepState::Done);
    }
    Ok(())
}

/// One action of a step's undo.
async fn undo(context: &mut Context<'_>, step: &Step, index: usize, undo: &UndoAction) -> Result<(), RunError> {
    let unit = Unit {
        step,
        slot: Slot::Undo(index),
        action: &undo.action,
        postcondition: &undo.postcondition,
        locks: &undo.locks,
    };
    // A step that is half done may have nothing for this action; and an object may have been removed by hand.
    if !matches!(undo.action, Action::Concurrent(_)) && already(context, &unit).await? {
        return Ok(());
    }
    let told = execute(context, &unit).await;
    if told.is_err() {
        context.tell(&unit, ProgressState::Failed, (0, None), Vec::new());
    }
    told
}

/// Records the action as done when the catalog says so.
async fn already(context: &mut Context<'_>, unit: &Unit<'_>) -> Result<bool, RunError> {
    let mut attempts = context.attempts(unit.manner());
    loop {
        let client = context.session.client();
        let asked = async {
            let done = probe::ask(client, unit.postcondition).await? == Probe::Done;
            if done {
                steps::done(client, &context.run, &unit.step.id, unit.slot, 0).await?;
            }
            Ok::<_, Fault>(done)
        };
        match asked.await {
            Ok(done) => return Ok(done),
            Err(fault) => context.recover(unit, &mut attempts, fault).await?,
        }
    }
}

/// Records the step as undone.
async fn mark(context: &mut Context<'_>, step: &Step) -> Result<(), RunError> {
    let unit = Unit::forward(step);
    let mut attempts = context.attempts(unit.manner());
    while let Err(fault) = steps::undone(context.session.client(), &context.run, &step.id).await {
        context.recover(&unit, &mut attempts, fault).await?;
    }
    hit(Boundary::StepUndone);
    context.tell(&unit, ProgressState::Undone, (0, None), Vec::new());
    Ok(())
}

/// The actions that a rollback would run, with the id of the step of each, in their order.
pub(super) fn actions_left<'a>(
    plan: &'a Plan,
    records: &HashMap<String, StepRecord>,
) -> impl Iterator<Item = (&'a str, &'a UndoAction)> {
    plan.steps.iter().rev().flat_map(|step| {
        let record = record(records, step);
        let left = if record.has_effects() && !record.adopted { actions(&step.undo) } else { &[] };
        left.iter().skip(record.undone_actions).map(|undo| (step.id.as_str(), undo))
    })
}

fn actions(undo: &Undo) -> &[UndoAction] {
    match undo {
        Undo::Nothing(_) | Undo::Irreversible(_) => &[],
        Undo::Lossless(steps) => &steps.actions,
        Undo::Lossy(steps) => &steps.actions,
    }
}

/// What a rollback at this moment would be: the class over all steps with effects.
pub(super) fn state(plan: &Plan, records: &HashMap<String, StepRecord>) -> RollbackState {
    let mut state = RollbackState::default();
    let mut said: Vec<&str> = Vec::new();
    for step in &plan.steps {
        let record = record(records, step);
        if !record.has_effects() || record.adopted {
            continue;
        }
        let left = actions(&step.undo).len().saturating_sub(record.undone_actions);
        state.steps = state.steps.saturating_add(i32::try_from(left).unwrap_or(i32::MAX));
        let (class, reason) = match &step.undo {
            Undo::Nothing(_) | Undo::Lossless(_) => continue,
            Undo::Lossy(undo) => (RollbackClass::Lossy, &undo.lost),
            Undo::Irreversible(undo) => (RollbackClass::ForwardOnly, &undo.why),
        };
        if class < state.class {
            continue;
        }
        if class > state.class {
            said.clear();
            state.class = class;
        }
        for part in reason.split("; ") {
            if !said.contains(&part) {
                said.push(part);
            }
        }
    }
    state.reason = said.join("; ");
    if state.class != RollbackClass::ForwardOnly {
        state.until = until(plan, records, state.class);
    }
    state
}

/// What ends the way back, or makes it worse than `class`.
fn until(plan: &Plan, records: &HashMap<String, StepRecord>, class: RollbackClass) -> String {
    let worse = |step: &&Step| !record(records, step).has_effects() && class_of(&step.undo) > class;
    match plan.steps.iter().find(worse) {
        Some(step) => format!("until step {} runs", step.id),
        None => "until a later change builds upon it".to_owned(),
    }
}

fn class_of(undo: &Undo) -> RollbackClass {
    match undo {
        Undo::Nothing(_) | Undo::Lossless(_) => RollbackClass::Lossless,
        Undo::Lossy(_) => RollbackClass::Lossy,
        Undo::Irreversible(_) => RollbackClass::ForwardOnly,
    }
}

/// The same, with a word on what the application wrote since to tables and columns that the undo drops.
pub(super) fn with_new_data(
    mut state: RollbackState,
    plan: &Plan,
    records: &HashMap<String, StepRecord>,
) -> RollbackState {
    const GOES: &str = "what was written to new columns and tables goes";
    if actions_left(plan, records).any(|(_, undo)| drops_data(&undo.action)) {
        add(&mut state, GOES);
    }
    state
}

/// Adds to what is said of a rollback that is possible.
pub(super) fn add(state: &mut RollbackState, what: &str) {
    if state.class == RollbackClass::ForwardOnly || what.is_empty() {
        return;
    }
    state.reason = if state.reason.is_empty() { what.to_owned() } else { format!("{}; {what}", state.reason) };
}

/// Whether it drops a table or a column.
fn drops_data(action: &Action) -> bool {
    let Action::Transaction(transaction) = action else { return false };
    let parsed = transaction.statements.iter().filter_map(|text| parse(text).ok()).flatten();
    parsed.into_iter().any(|statement| match &statement.node {
        NodeEnum::DropStmt(drop) => drop.remove_type() == ObjectType::ObjectTable,
        NodeEnum::AlterTableStmt(alter) => alter.cmds.iter().any(|command| {
            matches!(&command.node, Some(NodeEnum::AlterTableCmd(command))
                if command.subtype() == AlterTableType::AtDropColumn)
        }),
        _ => false,
    })
}

/// [`state`] of the run in execution, with a word on what it depends on: what is true now is read later.
pub(super) async fn state_of(context: &Context<'_>, plan: &Plan) -> Result<RollbackState, Fault> {
    let records = steps::read(context.session.client(), &context.run.name).await?;
    let mut state = state(plan, &records);
    if ahead::asks(plan, &records) {
        add(&mut state, ahead::ASKS_FIRST);
    }
    (state.restore_point, state.restore_lsn) = runs::made(context.session.client(), &context.run.name).await?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;
    use crate::catalog::{Catalog, apply::apply};
    use crate::plan::{HazardId, Policy, plan};

    #[test]
    fn what_is_lost_is_told_of_each_once() {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        for statement in parse("CREATE SCHEMA public; CREATE TABLE ab (c int, d int); CREATE TABLE a (c int)").unwrap()
        {
            apply(&mut catalog, &statement).unwrap();
        }
        for relation in catalog.relations.values_mut() {
            relation.stats.empty = false;
        }
        let policy = Policy { allowed: HazardId::iter().collect(), ..Policy::default() };
        let changes = "UPDATE ab SET c = 1; UPDATE ab SET c = 2; DROP TABLE ab; DROP TABLE a";
        let plan = plan(&parse(changes).unwrap(), &catalog, &policy).unwrap();
        let done = StepRecord { state: StepState::Done, ..StepRecord::PLANNED };
        let records = plan.steps.iter().map(|step| (step.id.clone(), done)).collect();
        let state = state(&plan, &records);
        assert_eq!(state.class, RollbackClass::Lossy);
        assert_eq!(
            state.reason,
            "the former values of the updated rows of public.ab; the rows of public.ab; the rows of public.a"
        );
    }
}
