//! Databases, plans and processes for the tests of the executor.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod application;
pub mod binary;
pub mod certificates;
pub mod patterns;
pub mod plans;
pub mod proxy;
pub mod server;
pub mod state;

use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use tokio_postgres::{Client, NoTls};
use wesley::plan::Plan;
use wesley::run::connect::Settings;
use wesley::run::{Observer, Options, Progress, Request, RunOutcome, apply, rollback};

pub const OWNER: &str = "run_owner";

/// The majors to test; the ends of the range by default where a test is long.
pub fn majors() -> Vec<u16> {
    let text = std::env::var("WESLEY_TEST_MAJORS").unwrap_or_else(|_| "14,15,16,17,18".into());
    text.split(',').map(|major| major.trim().parse().unwrap()).collect()
}

/// Oldest and newest of [`majors`].
pub fn end_majors() -> Vec<u16> {
    let all = majors();
    let mut ends = vec![*all.first().unwrap(), *all.last().unwrap()];
    ends.dedup();
    ends
}

fn port(major: u16) -> u16 {
    let base: u16 = std::env::var("WESLEY_PG_PORT_BASE").map_or(54_000, |base| base.parse().unwrap());
    base + major
}

fn url(major: u16, user: &str, database: &str) -> String {
    format!("postgres://{user}:postgres@127.0.0.1:{}/{database}", port(major))
}

async fn connect(url: &str) -> Client {
    let config = tokio_postgres::Config::from_str(url).unwrap();
    let (client, connection) = config.connect(NoTls).await.expect("the PostgreSQL servers for tests must run");
    tokio::spawn(connection);
    client
}

/// A database owned by an ordinary role, which everything runs as.
pub struct Database {
    pub name: String,
    pub major: u16,
    /// As the owner.
    pub client: Client,
}

impl Database {
    /// Creates it anew and runs `setup` as the owner.
    pub async fn create(test: &str, major: u16, setup: &str) -> Self {
        let name = format!("exe_{test}");
        let admin = connect(&url(major, "postgres", "postgres")).await;
        admin
            .batch_execute(&format!(
                "DO $$ BEGIN
                   PERFORM pg_advisory_xact_lock(7);
                   IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN
                     CREATE ROLE {OWNER} LOGIN PASSWORD 'postgres';
                   END IF;
                 END $$"
            ))
            .await
            .unwrap();
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} OWNER {OWNER}")).await.unwrap();
        let inside = connect(&url(major, "postgres", &name)).await;
        inside.batch_execute(&format!("GRANT ALL ON SCHEMA public TO {OWNER}")).await.unwrap();
        let client = connect(&url(major, OWNER, &name)).await;
        client.batch_execute(setup).await.unwrap();
        Self { name, major, client }
    }

    pub fn url(&self) -> String {
        url(self.major, OWNER, &self.name)
    }

    pub fn port(&self) -> u16 {
        port(self.major)
    }

    /// The URL with another port on the same host.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgres://{OWNER}:postgres@127.0.0.1:{port}/{}", self.name)
    }

    /// Another session of the owner.
    pub async fn session(&self) -> Client {
        connect(&self.url()).await
    }

    pub async fn superuser(&self) -> Client {
        connect(&url(self.major, "postgres", &self.name)).await
    }

    pub fn settings(&self) -> Settings {
        Settings::from_url(&self.url()).unwrap()
    }

    pub async fn drop(self) {
        let (name, major) = (self.name.clone(), self.major);
        drop(self);
        let admin = connect(&url(major, "postgres", "postgres")).await;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
    }

    pub async fn apply(&self, name: &str, plan: &Plan) -> RunOutcome {
        self.apply_with(name, plan, &Options::default(), &()).await
    }

    pub async fn apply_with(&self, name: &str, plan: &Plan, options: &Options, observer: &dyn Observer) -> RunOutcome {
        apply(&self.settings(), name, Request::Start(Box::new(plan.clone())), options, observer).await
    }

    pub async fn rollback(&self, name: &str) -> RunOutcome {
        rollback(&self.settings(), name, &Options::default(), &()).await
    }

    /// One text of the schema and the data outside of the ledger.
    pub async fn picture(&self) -> String {
        self.client.query_one(PICTURE, &[]).await.unwrap().get(0)
    }

    /// The first column of the first row.
    pub async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// `step=state` of all steps of a run, in order.
    pub async fn steps(&self, run: &str) -> String {
        self.client
            .query_one(
                "SELECT coalesce(string_agg(id || '=' || state || ':' || rows_done, ' ' ORDER BY ordinal), '')
                 FROM wesley.steps WHERE run = $1",
                &[&run],
            )
            .await
            .unwrap()
            .get(0)
    }
}

const PICTURE: &str = "\
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
         || ' ' || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS line
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0
    AND NOT a.attisdropped
  UNION ALL
  SELECT 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid || ' ' || i.indisready
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT 'constraint ' || conrelid::regclass || '.' || conname || ' ' || pg_get_constraintdef(oid) || ' '
         || convalidated
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
  UNION ALL
  SELECT 'data ' || c.relname || ' ' || query_to_xml(
           format('SELECT count(*) AS n, md5(string_agg(x::text, '','' ORDER BY x::text)) AS d FROM %I x',
                  c.relname), true, true, '')::text
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
) AS lines";

/// Keeps all progress.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Progress>>>);

impl Observer for Recorder {
    fn progress(&self, progress: &Progress) {
        self.0.lock().unwrap().push(progress.clone());
    }
}

impl Recorder {
    pub fn all(&self) -> Vec<Progress> {
        self.0.lock().unwrap().clone()
    }
}

/// What a child process is to do.
#[derive(Clone, Copy, PartialEq)]
pub enum Task {
    Apply,
    Rollback,
}

fn process(database: &Database, name: &str, plan: &Plan, task: Task) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child_process", "--ignored", "--nocapture"])
        .env("RUN_URL", database.url())
        .env("RUN_NAME", name)
        .env("RUN_PLAN", serde_json::to_string(plan).unwrap())
        .env("RUN_TASK", if task == Task::Apply { "apply" } else { "rollback" })
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Runs `task` in a process of its own with `failpoint`; true when it lived to its end.
pub fn in_a_process(database: &Database, name: &str, plan: &Plan, task: Task, failpoint: &str) -> bool {
    process(database, name, plan, task).env("WESLEY_FAILPOINT", failpoint).status().unwrap().success()
}

/// Starts `task` in a process of its own.
pub fn spawn(database: &Database, name: &str, plan: &Plan, task: Task) -> Child {
    process(database, name, plan, task).spawn().unwrap()
}

/// The body of the ignored test `child_process` in every file that uses [`in_a_process`].
pub async fn child_process() {
    let Ok(url) = std::env::var("RUN_URL") else { return };
    let settings = Settings::from_url(&url).unwrap();
    let name = std::env::var("RUN_NAME").unwrap();
    let plan: Plan = serde_json::from_str(&std::env::var("RUN_PLAN").unwrap()).unwrap();
    let options = Options {
        backfill: wesley::run::BackfillOptions { first: 40, least: 40, most: 40, ..Default::default() },
        ..Options::default()
    };
    let outcome = match std::env::var("RUN_TASK").as_deref() {
        Ok("apply") => apply(&settings, &name, Request::Start(Box::new(plan)), &options, &()).await,
        _ => rollback(&settings, &name, &options, &()).await,
    };
    outcome.ending.unwrap();
}
