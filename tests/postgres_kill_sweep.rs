//! Every safe form, killed at every boundary, through the program itself and as an ordinary role: the same command
//! takes it up to the end of a run that nothing interrupted, and a rollback leads back from wherever it stopped.
//!
//! Some boundaries of each form, which is tried in one of the tests and on one major, by default; all of them, on the
//! oldest and the newest major, with `WESLEY_SWEEP=all`; one form on every major with `WESLEY_PATTERN=<beginning of its name>`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use run_support::binary::{Ended, Program};
use run_support::patterns::Pattern;
use run_support::state::State;
use run_support::{Database, end_majors, majors};

/// More boundaries than any run here has.
const MANY: usize = 400;
/// Every how many boundaries a process is killed when not at all of them. A prime, so that a form with a cycle of
/// boundaries is met at all points of the cycle.
const STRIDE: usize = 31;
/// Tests that share the forms among them.
const TESTS: usize = 3;
/// Forms that are killed at the same time.
const WORKERS: usize = 2;

const RESET: &str = "DROP SCHEMA IF EXISTS wesley CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public";

struct Scene {
    database: Database,
    program: Program,
    pattern: Pattern,
}

#[derive(Default)]
struct Count {
    killed: usize,
    /// Milliseconds of the longest resumed run.
    longest: i64,
    failures: Vec<String>,
}

impl Scene {
    async fn open(sweep: &str, pattern: Pattern, major: u16) -> Self {
        let database = Database::create(&format!("{sweep}_{}", pattern.name), major, "").await;
        database.superuser().await.batch_execute("ALTER SCHEMA public OWNER TO run_owner").await.unwrap();
        let program = Program::new(&database.url(), "sweep", pattern.change);
        Self { database, program, pattern }
    }

    async fn reset(&self) {
        self.database.client.batch_execute(&format!("{RESET}; {}", self.pattern.setup)).await.unwrap();
    }

    async fn state(&self) -> State {
        State::of(&self.database.client).await
    }

    /// Steps with their states, and the run's own.
    async fn ledger(&self) -> String {
        let run: String = self
            .database
            .ask("SELECT state || ' ' || coalesce(reason, '-') FROM wesley.runs WHERE name = 'sweep'")
            .await;
        format!("{run}: {}", self.database.steps("sweep").await)
    }

    async fn class(&self) -> String {
        let rows = wesley::run::status(&self.database.client, Some("sweep")).await.unwrap();
        let state = rows.first().and_then(|row| row.rollback.as_ref());
        state.map_or_else(|| "Lossless".to_owned(), |state| state.class.to_string())
    }

    fn label(&self) -> String {
        format!("[{}] {}", self.database.major, self.pattern.name)
    }
}

fn everything() -> bool {
    std::env::var("WESLEY_SWEEP").is_ok_and(|text| text == "all")
}

/// The boundaries to try, as a test of their numbers.
fn chosen(major: u16, form: usize) -> impl Fn(usize) -> bool {
    let all = everything() && end_majors().contains(&major);
    move |boundary| all || boundary % STRIDE == form % STRIDE
}

fn killed(ended: &Ended) -> bool {
    ended.code.is_none()
}

/// A run that was not killed: exit code, contract of the output.
fn expect_end(ended: &Ended, at: &str, failures: &mut Vec<String>) {
    if ended.code != Some(0) {
        failures.push(format!("{at}: exit {:?}: {}", ended.code, ended.stderr.trim()));
    }
    let breach = ended.breach();
    if !breach.is_empty() {
        failures.push(format!("{at}: {breach}"));
    }
}

/// Forward: killed, resumed by the same command, compared with a run that nothing interrupted.
async fn forward(pattern: Pattern, major: u16, form: usize) -> Count {
    let scene = Scene::open("fw", pattern, major).await;
    let (mut count, chosen) = (Count::default(), chosen(major, form));
    scene.reset().await;
    let whole = scene.program.run("apply", None);
    expect_end(&whole, &format!("{} not interrupted", scene.label()), &mut count.failures);
    let (end, ledger) = (scene.state().await, scene.ledger().await);
    for boundary in 1..MANY {
        if !chosen(boundary) && boundary % 50 != 0 {
            continue;
        }
        scene.reset().await;
        if !killed(&scene.program.run("apply", Some(&format!("any:{boundary}")))) {
            break;
        }
        count.killed += 1;
        let at = format!("{} killed at boundary {boundary}", scene.label());
        let resumed = scene.program.run("apply", None);
        expect_end(&resumed, &at, &mut count.failures);
        if resumed.last()["batchesRedone"].as_i64().is_none_or(|batches| batches > 1) {
            count.failures.push(format!("{at}: {}", resumed.last()));
        }
        // Of the whole run that took it up: how long that is depends on the machine, and is shown.
        let took = resumed.last()["durationMilliseconds"].as_i64().unwrap_or_default();
        count.longest = count.longest.max(took);
        let differences = scene.state().await.differences(&end, pattern.same_data);
        if !differences.is_empty() {
            count.failures.push(format!("{at}:\n{differences}"));
        }
        let now = scene.ledger().await.replace("AlreadyDone", "Done");
        if now != ledger {
            count.failures.push(format!("{at}: the ledger says\n  {now}\n  {ledger}"));
        }
        let holds: bool = scene.database.ask(pattern.holds).await;
        if !holds {
            count.failures.push(format!("{at}: {} is not true", pattern.holds));
        }
    }
    scene.database.drop().await;
    count
}

/// Killed on the way there, then rolled back, then applied again.
async fn back(pattern: Pattern, major: u16, form: usize) -> Count {
    let scene = Scene::open("bk", pattern, major).await;
    let (mut count, chosen) = (Count::default(), chosen(major, form + 3));
    scene.reset().await;
    let before = scene.state().await;
    for boundary in 1..MANY {
        if !chosen(boundary) && boundary % 50 != 0 {
            continue;
        }
        scene.reset().await;
        let lived = !killed(&scene.program.run("apply", Some(&format!("any:{boundary}"))));
        count.killed += usize::from(!lived);
        let at = format!("{} killed at boundary {boundary}, rolled back", scene.label());
        roll_back(&scene, &before, &at, None, &mut count).await;
        if lived {
            break;
        }
    }
    scene.database.drop().await;
    count
}

/// Rolls back, killed at `failpoint` first where one is given. False when that was not reached.
async fn roll_back(scene: &Scene, before: &State, at: &str, failpoint: Option<&str>, count: &mut Count) -> bool {
    let recorded: bool = scene.database.ask("SELECT to_regclass('wesley.runs') IS NOT NULL").await;
    let known = recorded && scene.database.ask::<i64>("SELECT count(*) FROM wesley.runs").await > 0;
    let (class, here) = (if known { scene.class().await } else { String::new() }, scene.state().await);
    if let Some(failpoint) = failpoint {
        if !killed(&scene.program.run("rollback", Some(failpoint))) {
            return false;
        }
        count.killed += 1;
    }
    let ended = scene.program.run("rollback", None);
    let now = scene.state().await;
    match class.as_str() {
        // Nothing was recorded, or there is no way back: nothing is touched.
        "" | "ForwardOnly" => {
            if ended.code != Some(11) || now != here {
                count.failures.push(format!("{at}: {class} {:?} {}", ended.code, ended.stderr));
            }
            return true;
        }
        class => {
            expect_end(&ended, at, &mut count.failures);
            let differences = now.differences(before, class == "Lossless");
            if !differences.is_empty() {
                count.failures.push(format!("{at} ({class}):\n{differences}"));
            }
        }
    }
    if class == "Lossless" {
        let again = scene.program.run("apply", None);
        expect_end(&again, &format!("{at}, applied again"), &mut count.failures);
        if !scene.database.ask::<bool>(scene.pattern.holds).await {
            count.failures.push(format!("{at}, applied again: {} is not true", scene.pattern.holds));
        }
    }
    true
}

/// Finished, then a rollback that is killed and run again.
async fn rollback_killed(pattern: Pattern, major: u16, form: usize) -> Count {
    let scene = Scene::open("rk", pattern, major).await;
    let (mut count, chosen) = (Count::default(), chosen(major, form + 5));
    scene.reset().await;
    let before = scene.state().await;
    for boundary in 1..MANY {
        if !chosen(boundary) && boundary % 50 != 0 {
            continue;
        }
        scene.reset().await;
        expect_end(&scene.program.run("apply", None), &scene.label(), &mut count.failures);
        if scene.class().await == "ForwardOnly" {
            break;
        }
        let at = format!("{} rollback killed at boundary {boundary}", scene.label());
        if !roll_back(&scene, &before, &at, Some(&format!("any:{boundary}")), &mut count).await {
            break;
        }
    }
    scene.database.drop().await;
    count
}

/// Runs a sweep over all forms and majors, some at the same time.
fn sweep<F: Future<Output = Count>>(test: usize, name: &str, run: impl Fn(Pattern, u16, usize) -> F + Sync) {
    let mut work = Vec::new();
    let everywhere = everything() || std::env::var_os("WESLEY_PATTERN").is_some();
    for (turn, major) in majors().into_iter().enumerate() {
        let forms = Pattern::all(major).enumerate().map(|(form, pattern)| (major, form, pattern));
        let has_turn = |form: usize| form % majors().len() == turn && (form / majors().len()) % TESTS == test;
        work.extend(forms.filter(|(_, form, _)| everywhere || has_turn(*form)));
    }
    let (next, killed, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let longest = AtomicI64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                while let Some((major, form, pattern)) = work.get(next.fetch_add(1, Ordering::SeqCst)).copied() {
                    let count = runtime.block_on(run(pattern, major, form));
                    println!("{name} [{major}] {}: {} kills", pattern.name, count.killed);
                    for failure in &count.failures {
                        println!("FAILED {failure}");
                    }
                    killed.fetch_add(count.killed, Ordering::SeqCst);
                    longest.fetch_max(count.longest, Ordering::SeqCst);
                    failures.lock().unwrap().extend(count.failures);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    println!(
        "{name}: {} forms, {} kills, {} failures; longest resumed run {} ms",
        work.len(),
        killed.load(Ordering::SeqCst),
        failures.len(),
        longest.load(Ordering::SeqCst)
    );
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(killed.load(Ordering::SeqCst) > work.len() / 2, "the failpoints are not met");
}

#[test]
fn every_form_killed_anywhere_resumes_to_the_same_end() {
    sweep(0, "apply", forward);
}

#[test]
fn every_form_killed_anywhere_can_be_rolled_back_and_applied_again() {
    sweep(1, "apply, then rollback", back);
}

#[test]
fn every_rollback_killed_anywhere_resumes() {
    sweep(2, "rollback", rollback_killed);
}
