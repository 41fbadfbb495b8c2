//! Random changes of random schemas, planned as a whole: the plan is the same each time, claims at least the locks
//! that its steps hold, ends where the author's own SQL ends, and its undo returns to what was there, from its end
//! and from a step in the middle.
//!
//! `WESLEY_RANDOM` is how many sequences are tried on each major; `WESLEY_RANDOM_SEED` repeats one that failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod change;
mod dice;
mod schema;
#[allow(dead_code)]
#[path = "../postgres_plan/server.rs"]
mod server;
#[path = "../postgres_plan/state.rs"]
mod state;

use std::collections::BTreeMap;

use dice::Dice;
use server::Database;
use state::State;
use strum::IntoEnumIterator;
use wesley::catalog::Catalog;
use wesley::plan::{Action, HazardId, LockMode, Plan, Policy, Step, Undo, plan};

/// Statements of a sequence at most.
const LONGEST: usize = 5;
/// Tries to find one that the server takes.
const TRIES: usize = 12;

fn sequences() -> (u64, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("WESLEY_RANDOM_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("WESLEY_RANDOM").unwrap_or(6)),
    }
}

#[test]
fn random_changes_end_where_the_author_wanted_and_return() {
    let (first, count) = sequences();
    let threads: Vec<_> = server::majors()
        .into_iter()
        .map(|major| {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let mut failures = Vec::new();
                let mut statements = 0;
                for seed in (first..first + count).map(|seed| seed * 100 + u64::from(major)) {
                    let seed = if count == 1 { first } else { seed };
                    match runtime.block_on(sequence(major, seed)) {
                        Ok(number) => statements += number,
                        Err(failure) => {
                            println!("[{major}] WESLEY_RANDOM_SEED={seed}: {failure}");
                            failures.push(format!("[{major}] seed {seed}"));
                        }
                    }
                }
                println!("[{major}] {count} sequences, {statements} statements, {} failures", failures.len());
                failures
            })
        })
        .collect();
    let failures: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n\n"));
}

/// How many statements the server took; what is wrong with the plan for them.
async fn sequence(major: u16, seed: u64) -> Result<usize, String> {
    let mut dice = Dice::new(seed);
    let setup = schema::setup(&mut dice);
    let theirs = Database::create(&format!("random_b_{seed}"), major, &setup).await;
    let mut texts: Vec<String> = Vec::new();
    for _ in 0..=dice.below(LONGEST) {
        let catalog = theirs.catalog().await;
        for _ in 0..TRIES {
            let Some(text) = change::change(&mut dice, &catalog) else { continue };
            if theirs.author(&text).await.is_ok() {
                texts.push(text);
                break;
            }
            // A build that failed leaves something behind.
            if text.contains("CONCURRENTLY") {
                theirs.drop().await;
                return Ok(0);
            }
        }
    }
    let whole = texts.join(";\n");
    let expected = State::of(&theirs).await;
    theirs.drop().await;
    let ours = Database::create(&format!("random_a_{seed}"), major, &setup).await;
    let in_place_bytes = if dice.once_in(3) { 16 << 20 } else { 0 };
    let outcome = judge(&ours, &whole, &expected, in_place_bytes, &mut dice).await;
    ours.drop().await;
    outcome.map(|()| texts.len()).map_err(|failure| format!("{failure}\n{setup}\n-- changes\n{whole}"))
}

async fn judge(
    ours: &Database,
    text: &str,
    expected: &State,
    in_place_bytes: i64,
    dice: &mut Dice,
) -> Result<(), String> {
    let before = State::of(ours).await;
    let catalog = ours.catalog().await;
    let policy = Policy { allowed: HazardId::iter().collect(), in_place_bytes };
    let statements = wesley::sql::parse(text).unwrap();
    let plan = wesley::plan::plan(&statements, &catalog, &policy).map_err(|error| format!("no plan: {error:?}"))?;
    let again = plan_text(&statements, &catalog, &policy);
    if serde_json::to_string(&plan).unwrap() != again {
        return Err("two plans of the same input differ".to_owned());
    }
    run(ours, &plan.steps).await.map_err(|error| format!("{error}\n{}", server::listing(&plan)))?;
    if let Some(difference) = State::of(ours).await.differences(expected, true).first() {
        return Err(format!("the plan ends elsewhere: {difference}\n{}", server::listing(&plan)));
    }
    back(ours, &plan, plan.steps.len(), &before).await?;
    if plan.steps.iter().all(|step| matches!(step.undo, Undo::Lossless(_) | Undo::Nothing(_))) && !plan.steps.is_empty()
    {
        let boundary = 1 + dice.below(plan.steps.len());
        run(ours, &plan.steps[..boundary]).await.map_err(|error| format!("once more: {error}"))?;
        back(ours, &plan, boundary, &before).await?;
    }
    Ok(())
}

fn plan_text(statements: &[wesley::sql::Statement], catalog: &Catalog, policy: &Policy) -> String {
    serde_json::to_string(&plan(statements, catalog, policy).unwrap()).unwrap()
}

/// Undoes the first steps of the plan.
async fn back(ours: &Database, plan: &Plan, steps: usize, before: &State) -> Result<(), String> {
    let steps = &plan.steps[..steps];
    if steps.iter().any(|step| matches!(step.undo, Undo::Irreversible(_))) {
        return Ok(());
    }
    for step in steps.iter().rev() {
        let told =
            |error| format!("undo of {} after {} steps: {error}\n{}", step.id, steps.len(), server::undo_listing(plan));
        ours.undo(step).await.map_err(told)?;
    }
    let lossy = steps.iter().any(|step| matches!(step.undo, Undo::Lossy(_)));
    let state = State::of(ours).await;
    let (state, before) = if lossy { (state.proven(), before.clone().proven()) } else { (state, before.clone()) };
    match state.differences(&before, !lossy).first() {
        None => Ok(()),
        Some(difference) => Err(format!(
            "the undo after {} steps ends elsewhere: {difference}\n{}",
            steps.len(),
            server::undo_listing(plan)
        )),
    }
}

/// Runs steps; those in a transaction must hold no lock that they do not claim.
async fn run(ours: &Database, steps: &[Step]) -> Result<(), String> {
    for step in steps {
        let Action::Transaction(transaction) = &step.action else {
            ours.step(step).await.map_err(|error| format!("step {}: {error}", step.id))?;
            continue;
        };
        let known = ours.catalog().await;
        ours.client.batch_execute("BEGIN").await.unwrap();
        for statement in &transaction.statements {
            if let Err(error) = ours.client.batch_execute(statement).await {
                ours.client.batch_execute("ROLLBACK").await.unwrap();
                return Err(format!("step {}: {:?}\n    {statement}", step.id, error.as_db_error()));
            }
        }
        let held = locks(ours).await;
        ours.client.batch_execute("COMMIT").await.map_err(|error| format!("step {}: {error}", step.id))?;
        let claimed: BTreeMap<&str, LockMode> =
            step.locks.iter().map(|lock| (lock.relation.as_str(), lock.mode)).collect();
        for (relation, mode) in held {
            // What the step made itself nobody else can see, and what it renamed has another name now.
            let is_known = known.relations.keys().any(|name| name.to_string() == relation);
            let weak_on_index = mode <= LockMode::RowExclusive
                && known.relations.iter().any(|(name, known)| name.to_string() == relation && known.kind.is_index());
            let covered =
                claimed.get("*").or_else(|| claimed.get(relation.as_str())).is_some_and(|claim| claim.covers(mode));
            if is_known && !weak_on_index && !covered {
                return Err(format!("step {} holds {mode} on {relation} and does not claim it", step.id));
            }
        }
    }
    Ok(())
}

/// The relations that this session has locked, with the strongest mode of each.
async fn locks(ours: &Database) -> Vec<(String, LockMode)> {
    let query = "SELECT format('%I.%I', n.nspname, c.relname), replace(l.mode, 'Lock', '')
        FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    let mut strongest: BTreeMap<String, LockMode> = BTreeMap::new();
    for row in ours.client.query(query, &[]).await.unwrap() {
        let (relation, mode): (String, String) = (row.get(0), row.get(1));
        let mode: LockMode = serde_json::from_value(serde_json::Value::String(mode)).unwrap();
        let known = strongest.entry(relation).or_insert(mode);
        *known = known.join(mode);
    }
    strongest.into_iter().collect()
}
