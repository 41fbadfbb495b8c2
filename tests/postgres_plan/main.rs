//! The planner against real servers: a plan ends in the schema and the data of the author's own SQL, and its undo
//! returns to what was there before, from every step boundary. Each case is planned on every third major, and its
//! boundaries, a fifth of them, are tried on the oldest or the newest; with `WESLEY_PLAN=all` everything is tried.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod server;
mod state;

use cases::{CASES, Case};
use server::Database;
use state::State;
use wesley::plan::{Plan, PlanError, Policy, Undo, plan};

/// Everything is allowed, and no table is small: the patterns have to work.
fn policy(case: &Case) -> Policy {
    use strum::IntoEnumIterator;
    Policy { allowed: wesley::plan::HazardId::iter().collect(), in_place_bytes: case.in_place_bytes }
}

fn make(case: &Case, catalog: &wesley::catalog::Catalog) -> Result<Plan, PlanError> {
    let statements = wesley::sql::parse(case.change).unwrap();
    plan(&statements, catalog, &policy(case))
}

/// The wanted cases: all, or those whose name begins with `WESLEY_PLAN_CASE`.
fn wanted(major: u16) -> impl Iterator<Item = &'static Case> {
    let only = std::env::var("WESLEY_PLAN_CASE").unwrap_or_default();
    CASES.iter().filter(move |case| case.majors.contains(&major) && case.name.starts_with(&only))
}

fn each_major(test: impl Fn(u16) -> Vec<String> + Send + Sync + Clone + 'static) {
    let threads: Vec<_> = server::majors()
        .into_iter()
        .map(|major| {
            let test = test.clone();
            std::thread::spawn(move || test(major))
        })
        .collect();
    let failures: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What goes wrong with the case on that server; empty when nothing does.
async fn equality(case: &Case, major: u16) -> Vec<String> {
    let mut failures = Vec::new();
    let mut fail = |what: String| failures.push(format!("[{major}] {}: {what}", case.name));
    let ours = Database::create(&format!("{}_a", case.name), major, case.setup).await;
    let theirs = Database::create(&format!("{}_b", case.name), major, case.setup).await;
    let before = State::of(&ours).await;
    let catalog = ours.catalog().await;
    let plan = match make(case, &catalog) {
        Ok(plan) => plan,
        Err(error) => {
            fail(format!("no plan: {error:?}"));
            return failures;
        }
    };
    let again = make(case, &catalog).unwrap();
    if serde_json::to_string(&plan).unwrap() != serde_json::to_string(&again).unwrap() {
        fail("two plans of the same input differ".into());
    }
    for pattern in case.patterns {
        if !plan.steps.iter().any(|step| step.pattern == *pattern) {
            fail(format!("pattern {pattern} is not used:\n{}", server::listing(&plan)));
        }
    }
    if let Err(error) = theirs.author(case.like.unwrap_or(case.change)).await {
        fail(format!("the author's own SQL fails: {error}"));
        return failures;
    }
    for step in &plan.steps {
        if let Err(error) = ours.step(step).await {
            fail(format!("step {} fails: {error}\n{}", step.id, server::listing(&plan)));
            return failures;
        }
        for relation in case.never_missed {
            if !ours.has(relation).await {
                fail(format!("{relation} is not there after {}\n{}", step.id, server::listing(&plan)));
            }
        }
    }
    for difference in State::of(&ours).await.differences(&State::of(&theirs).await, case.same_data) {
        fail(format!("the plan ends elsewhere: {difference}\n{}", server::listing(&plan)));
    }
    for step in plan.steps.iter().rev().take_while(|step| !matches!(step.undo, Undo::Irreversible(_))) {
        if let Err(error) = ours.undo(step).await {
            fail(format!("undo of {} fails: {error}\n{}", step.id, server::undo_listing(&plan)));
            return failures;
        }
        for relation in case.never_missed {
            if !ours.has(relation).await {
                fail(format!("{relation} is not there after the undo of {}\n{}", step.id, server::undo_listing(&plan)));
            }
        }
    }
    let irreversible = plan.steps.iter().any(|step| matches!(step.undo, Undo::Irreversible(_)));
    let lossy = plan.steps.iter().any(|step| matches!(step.undo, Undo::Lossy(_)));
    if irreversible != case.irreversible {
        fail(format!("irreversible: {irreversible}\n{}", server::undo_listing(&plan)));
    }
    if lossy != case.lossy {
        fail(format!("lossy: {lossy}\n{}", server::undo_listing(&plan)));
    }
    if !irreversible {
        let state = State::of(&ours).await;
        let (state, before) = if lossy { (state.proven(), before.proven()) } else { (state, before) };
        for difference in state.differences(&before, !lossy) {
            fail(format!("the undo ends elsewhere: {difference}\n{}", server::undo_listing(&plan)));
        }
    }
    ours.drop().await;
    theirs.drop().await;
    failures
}

#[test]
fn plans_end_where_the_author_wanted_and_return() {
    each_major(|major| block(async { all(major).await }));
}

async fn all(major: u16) -> Vec<String> {
    let mut failures = Vec::new();
    let at = server::majors().iter().position(|other| *other == major).unwrap_or_default();
    for case in
        wanted(major).filter(|case| everything() || (place(case) + at).is_multiple_of(3) || case.majors.len() < 3)
    {
        failures.extend(equality(case, major).await);
    }
    failures
}

#[test]
fn undo_returns_from_every_step_boundary() {
    let ends = server::end_majors();
    each_major(move |major| if ends.contains(&major) { block(boundaries(major)) } else { Vec::new() });
}

fn everything() -> bool {
    ["WESLEY_PLAN", "WESLEY_PLAN_CASE"].iter().any(|name| std::env::var_os(name).is_some())
}

fn place(case: &Case) -> usize {
    CASES.iter().position(|other| other.name == case.name).unwrap_or_default()
}

/// Whether the boundaries of the case are tried on that one of the two end majors.
fn has_turn(case: &Case, major: u16) -> bool {
    let ends = server::end_majors();
    everything() || !ends.iter().all(|end| case.majors.contains(end)) || ends.get(place(case) % 2) == Some(&major)
}

async fn boundaries(major: u16) -> Vec<String> {
    let mut failures = Vec::new();
    for case in wanted(major).filter(|case| has_turn(case, major)) {
        let template = Database::create(&format!("{}_t", case.name), major, case.setup).await;
        let before = State::of(&template).await;
        let Ok(plan) = make(case, &template.catalog().await) else {
            failures.push(format!("[{major}] {}: no plan", case.name));
            continue;
        };
        let template = template.close();
        let way_back = |step: &&wesley::plan::Step| !matches!(step.undo, Undo::Irreversible(_));
        let reversible = plan.steps.iter().take_while(way_back).count();
        for boundary in 1..plan.steps.len().min(reversible + 1) {
            if !everything() && boundary % 5 != place(case) % 5 {
                continue;
            }
            let copy = Database::copy(&template, &format!("{}_{boundary}", case.name), major).await;
            for step in &plan.steps[..boundary] {
                copy.step(step).await.unwrap();
            }
            for step in plan.steps[..boundary].iter().rev() {
                if let Err(error) = copy.undo(step).await {
                    failures.push(format!(
                        "[{major}] {}: undo of {} after {boundary} steps fails: {error}\n{}",
                        case.name,
                        step.id,
                        server::undo_listing(&plan)
                    ));
                }
            }
            let lossy = plan.steps[..boundary].iter().any(|step| matches!(step.undo, Undo::Lossy(_)));
            let state = State::of(&copy).await;
            let (state, before) =
                if lossy { (state.proven(), before.clone().proven()) } else { (state, before.clone()) };
            for difference in state.differences(&before, !lossy) {
                failures.push(format!(
                    "[{major}] {}: the undo after {boundary} steps ends elsewhere: {difference}\n{}",
                    case.name,
                    server::undo_listing(&plan)
                ));
            }
            copy.drop().await;
        }
        server::drop_database(&template, major).await;
    }
    failures
}
