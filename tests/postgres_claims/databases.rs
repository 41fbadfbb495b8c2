//! A database with the schema, and one of its own for each statement that needs a setup.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::{AsyncMessage, Client, NoTls};
use wesley::catalog::introspect::introspect;
use wesley::catalog::{Catalog, Name};
use wesley::sql;

use super::measure::{Relations, relations};

/// Where a statement runs.
pub struct Prepared {
    pub major: i32,
    pub database: String,
    pub catalog: Catalog,
    /// A second session.
    pub observer: Client,
    /// Runs the statements, each in a transaction that is rolled back.
    pub worker: Session,
    pub relations: Relations,
}

impl Prepared {
    /// Whether the relation holds no row.
    pub fn is_empty(&self, name: &Name) -> bool {
        self.catalog.relations.get(name).is_some_and(|relation| relation.stats.empty)
    }
}

/// Why a setup did not run.
pub enum Unprepared {
    OfALaterMajor,
    Failed(String),
}

/// A connection that runs statements.
pub struct Session {
    pub client: Client,
    pub pid: i32,
    /// What the server told it aside.
    pub notes: Arc<Mutex<Vec<String>>>,
}

impl Session {
    pub async fn open(major: i32, database: &str) -> Self {
        let (client, notes) = connect_noting(major, database).await;
        let pid = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
        Self { client, pid, notes }
    }
}

pub struct Databases {
    major: i32,
    template: String,
    own: String,
    shared: String,
    admin: Client,
    unchanged: Rc<Prepared>,
    /// The last setup and what it led to.
    last: Option<(Vec<String>, Rc<Prepared>)>,
}

/// Full reads by parallel workers would be counted for them.
const OPTIONS: &str = "-c max_parallel_maintenance_workers=0 -c max_parallel_workers_per_gather=0";

fn config(major: i32, database: &str) -> tokio_postgres::Config {
    let base: u16 = std::env::var("WESLEY_PG_PORT_BASE").map_or(54000, |base| base.parse().unwrap());
    let port = base + u16::try_from(major).unwrap();
    let mut config: tokio_postgres::Config =
        format!("host=127.0.0.1 port={port} user=postgres password=postgres dbname={database}").parse().unwrap();
    config.options(OPTIONS);
    config
}

pub async fn connect(major: i32, database: &str) -> Client {
    connect_noting(major, database).await.0
}

/// A connection and the messages that the server sends aside.
async fn connect_noting(major: i32, database: &str) -> (Client, Arc<Mutex<Vec<String>>>) {
    let (client, mut connection) = config(major, database).connect(NoTls).await.expect("a test server of that major");
    let notes = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&notes);
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message {
                noted.lock().unwrap().push(notice.message().to_owned());
            }
        }
    });
    (client, notes)
}

impl Databases {
    pub async fn start(major: i32, set: &str, schema: &str) -> Self {
        let prefix = format!("wesley_claims_{}_{set}_{major}", std::process::id());
        let (template, own, shared) =
            (format!("{prefix}_template"), format!("{prefix}_own"), format!("{prefix}_shared"));
        let admin = connect(major, "postgres").await;
        admin.batch_execute(&format!("create database {template} template template0")).await.unwrap();
        admin.batch_execute(&format!("alter database {template} set timezone = 'UTC'")).await.unwrap();
        let loader = connect(major, &template).await;
        for statement in sql::parse(schema).unwrap() {
            loader.batch_execute(&statement.text).await.unwrap();
        }
        drop(loader);
        create(&admin, &shared, &template).await;
        let unchanged = Rc::new(prepared(major, &shared).await);
        Self { major, template, own, shared, admin, unchanged, last: None }
    }

    /// Fails with [`Unprepared`] when the server does not take the setup.
    pub async fn prepare(&mut self, setup: &[String]) -> Result<Rc<Prepared>, Unprepared> {
        if setup.is_empty() {
            return Ok(Rc::clone(&self.unchanged));
        }
        // What was measured there was rolled back.
        if let Some((last, prepared)) = &self.last
            && last == setup
        {
            return Ok(Rc::clone(prepared));
        }
        let prepared = Rc::new(self.prepare_anew(setup).await?);
        self.last = Some((setup.to_vec(), Rc::clone(&prepared)));
        Ok(prepared)
    }

    /// [`Databases::prepare`] in a database that nobody else uses.
    pub async fn prepare_anew(&mut self, setup: &[String]) -> Result<Prepared, Unprepared> {
        self.last = None;
        create(&self.admin, &self.own, &self.template).await;
        let alone = connect(self.major, &self.own).await;
        for statement in setup {
            if let Err(error) = alone.batch_execute(statement).await {
                // Syntax and options of later majors.
                let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
                if ["42601", "0A000", "42809", "22023"].contains(&code.as_str()) && self.major < 18 {
                    return Err(Unprepared::OfALaterMajor);
                }
                return Err(Unprepared::Failed(format!("{statement}: {error:?}")));
            }
        }
        Ok(prepared(self.major, &self.own).await)
    }

    pub async fn stop(self) {
        for database in [&self.own, &self.shared, &self.template] {
            self.admin.batch_execute(&format!("drop database if exists {database} with (force)")).await.unwrap();
        }
    }
}

async fn prepared(major: i32, database: &str) -> Prepared {
    let observer = connect(major, database).await;
    let catalog = introspect(&observer).await.unwrap();
    let relations = relations(&observer).await;
    let worker = Session::open(major, database).await;
    Prepared { major, database: database.to_owned(), catalog, observer, worker, relations }
}

/// Creates the database anew. A connection that was just closed may still be leaving.
async fn create(admin: &Client, database: &str, template: &str) {
    let mut tries = 0;
    loop {
        admin.batch_execute(&format!("drop database if exists {database} with (force)")).await.unwrap();
        match admin.batch_execute(&format!("create database {database} template {template}")).await {
            Ok(()) => break,
            Err(error) if tries == 100 => panic!("{error}"),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    admin.batch_execute(&format!("alter database {database} set timezone = 'UTC'")).await.unwrap();
}
