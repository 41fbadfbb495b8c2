//! SIGKILL at random moments under the load of an application, forward and back, through the program itself and as an
//! ordinary role.
//!
//! A few kills by default. `WESLEY_KILLS=200` for each major is the slow suite; `WESLEY_SEED` repeats the moments and
//! forms of a run that failed, `WESLEY_PATTERN` keeps to forms whose name begins so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use run_support::application::{Application, Met, random};
use run_support::binary::{Ended, Program};
use run_support::patterns::Pattern;
use run_support::state::State;
use run_support::{Database, end_majors};

const RESET: &str = "DROP SCHEMA IF EXISTS wesley CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public";

/// A run that is killed again and again until it ends by itself.
fn killed_until_done(program: &Program, verb: &str, state: &mut u64, longest: u64) -> (u32, Ended) {
    let mut kills = 0;
    loop {
        let mut child = program.start(verb);
        // The longer it takes, the longer it may run, so that it comes to its end.
        std::thread::sleep(Duration::from_millis(random(state) % (longest + 40 * u64::from(kills))));
        let ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if ended {
            return (kills, Ended::from(output));
        }
        kills += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_kills_lose_and_repeat_nothing() {
    let wanted: u32 = std::env::var("WESLEY_KILLS").map_or(12, |text| text.parse().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed: u64 = std::env::var("WESLEY_SEED").map_or(now | 1, |text| text.parse().unwrap());
    for major in end_majors() {
        println!("PostgreSQL {major}, {wanted} kills, WESLEY_SEED={seed}");
        let forms: Vec<Pattern> = Pattern::all(major).collect();
        let database = Database::create("random_kills", major, "").await;
        database.superuser().await.batch_execute("ALTER SCHEMA public OWNER TO run_owner").await.unwrap();
        let (mut state, mut kills, mut rounds, mut all) = (seed, 0, 0, Met::default());
        while kills < wanted {
            let form = forms[(random(&mut state) % forms.len() as u64) as usize];
            let at = format!("[{major}] WESLEY_SEED={seed} {} after {kills} kills", form.name);
            let program = Program::new(&database.url(), "random", form.change);
            database.client.batch_execute(&format!("{RESET}; {}", form.setup)).await.unwrap();
            let before = State::of(&database.client).await.schema;
            let began = Instant::now();
            assert_eq!(program.run("apply", None).code, Some(0), "{at}");
            // Kills are spread over the time that the whole takes.
            let whole = u64::try_from(began.elapsed().as_millis()).unwrap();
            let (end, ledger) = (State::of(&database.client).await.schema, ledger(&database).await);
            database.client.batch_execute(&format!("{RESET}; {}", form.setup)).await.unwrap();

            let load = Application::start(&database.url(), 100, 2, Duration::from_millis(2), None).await;
            let (killed, ended) = killed_until_done(&program, "apply", &mut state, whole);
            kills += killed;
            let forth = load.stop().await;
            assert_eq!(ended.code, Some(0), "{at}: {}", ended.stderr);
            assert_eq!(ended.breach(), "", "{at}");
            assert!(ended.last()["batchesRedone"].as_i64().unwrap() <= 1, "{at}: {}", ended.last());
            assert!(forth.failed.is_empty(), "{at}: {:?}", forth.failed);
            assert_eq!(State::of(&database.client).await.schema, end, "{at}");
            assert_eq!(ledger_without_rows(&self::ledger(&database).await), ledger_without_rows(&ledger), "{at}");
            let holds: bool = database.ask(form.holds).await;
            assert!(holds, "{at}: {}", form.holds);

            let rows = wesley::run::status(&database.client, Some("random")).await.unwrap();
            let class = rows[0].rollback.as_ref().unwrap().class.to_string();
            if class != "ForwardOnly" {
                let load = Application::start(&database.url(), 100, 2, Duration::from_millis(2), None).await;
                let (killed, ended) = killed_until_done(&program, "rollback", &mut state, whole);
                kills += killed;
                let back = load.stop().await;
                assert_eq!(ended.code, Some(0), "{at}, rollback: {}", ended.stderr);
                assert!(back.failed.is_empty(), "{at}, rollback: {:?}", back.failed);
                assert_eq!(State::of(&database.client).await.schema, before, "{at}, rollback");
                all.statements += back.statements;
            }
            all.statements += forth.statements;
            rounds += 1;
        }
        println!(
            "PostgreSQL {major}: {kills} kills in {rounds} runs, {} statements of the application, none failed",
            all.statements
        );
        assert!(all.statements > 0);
        database.drop().await;
    }
}

async fn ledger(database: &Database) -> String {
    database.steps("random").await
}

/// How many rows a backfill met depends on the application.
fn ledger_without_rows(ledger: &str) -> Vec<&str> {
    ledger.split(' ').map(|step| step.rsplit_once(':').map_or(step, |(state, _)| state)).collect()
}
