//! The schema that a case's statement meets, as the introspection reads it.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};
use wesley::catalog::Catalog;
use wesley::catalog::introspect::{introspect, introspect_in_transaction};
use wesley::sql;

pub struct Schemas {
    major: i32,
    template: String,
    own: String,
    admin: Client,
    /// Connected to a database with the fixture: most setups run here, in a transaction that is rolled back.
    shared: Client,
    shared_name: String,
    fixture: Catalog,
}

async fn connect(major: i32, database: &str) -> Client {
    let base: u16 = std::env::var("WESLEY_PG_PORT_BASE").map_or(54000, |base| base.parse().unwrap());
    let port = base + u16::try_from(major).unwrap();
    let url = format!("host=127.0.0.1 port={port} user=postgres password=postgres dbname={database}");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a test server of that major");
    tokio::spawn(connection);
    client
}

fn message(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| format!("{}: {}", db.code().code(), db.message()))
}

impl Schemas {
    pub async fn start(major: i32, fixture: &str) -> Self {
        let prefix = format!("wesley_oracle_{}_{major}", std::process::id());
        let (template, own, shared_name) =
            (format!("{prefix}_template"), format!("{prefix}_case"), format!("{prefix}_shared"));
        let admin = connect(major, "postgres").await;
        admin.batch_execute(&format!("create database {template} template template0")).await.unwrap();
        admin.batch_execute(&format!("alter database {template} set timezone = 'UTC'")).await.unwrap();
        let loader = connect(major, &template).await;
        for statement in sql::parse(fixture).unwrap() {
            loader.batch_execute(&statement.text).await.unwrap();
        }
        let fixture = introspect(&loader).await.unwrap();
        drop(loader);
        create(&admin, &shared_name, &template).await;
        let shared = connect(major, &shared_name).await;
        Self { major, template, own, admin, shared, shared_name, fixture }
    }

    /// The catalog after the setup.
    pub async fn catalog(&mut self, setup: &[String]) -> Result<Catalog, String> {
        if setup.is_empty() {
            return Ok(self.fixture.clone());
        }
        match self.in_transaction(setup).await {
            Some(catalog) => Ok(catalog),
            None => self.in_own_database(setup).await,
        }
    }

    /// `None` when the setup cannot run in a transaction.
    async fn in_transaction(&self, setup: &[String]) -> Option<Catalog> {
        self.shared.batch_execute("begin").await.unwrap();
        let mut result = Some(());
        for statement in setup {
            // A setting of the database only shows in new sessions.
            let own_session = statement.starts_with("alter database");
            if own_session || self.shared.batch_execute(statement).await.is_err() {
                result = None;
                break;
            }
        }
        let catalog = match result {
            Some(()) => Some(introspect_in_transaction(&self.shared).await.unwrap()),
            None => None,
        };
        self.shared.batch_execute("rollback").await.unwrap();
        catalog
    }

    async fn in_own_database(&self, setup: &[String]) -> Result<Catalog, String> {
        create(&self.admin, &self.own, &self.template).await;
        let alone = connect(self.major, &self.own).await;
        alone.batch_execute(&format!("alter database {} set timezone = 'UTC'", self.own)).await.unwrap();
        for statement in setup {
            // Cases call their database c1.
            let statement = statement.replace("database c1", &format!("database {}", self.own));
            alone.batch_execute(&statement).await.map_err(|error| message(&error))?;
        }
        drop(alone);
        let fresh = connect(self.major, &self.own).await;
        introspect(&fresh).await.map_err(|error| error.to_string())
    }

    pub async fn stop(self) {
        for database in [&self.own, &self.shared_name, &self.template] {
            self.admin.batch_execute(&format!("drop database if exists {database} with (force)")).await.unwrap();
        }
    }
}

/// Creates the database anew. A connection that was just closed may still be leaving.
async fn create(admin: &Client, database: &str, template: &str) {
    let mut tries = 0;
    loop {
        admin.batch_execute(&format!("drop database if exists {database} with (force)")).await.unwrap();
        match admin.batch_execute(&format!("create database {database} template {template}")).await {
            Ok(()) => return,
            Err(error) if tries == 100 => panic!("{}", message(&error)),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
