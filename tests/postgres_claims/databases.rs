//! A database with the schema, and one of its own for each statement that needs a setup.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};
use wesley::catalog::Catalog;
use wesley::catalog::introspect::introspect;
use wesley::sql;

/// Where a statement runs.
pub struct Prepared {
    pub major: i32,
    pub database: String,
    pub catalog: Catalog,
}

pub struct Databases {
    major: i32,
    template: String,
    own: String,
    shared: String,
    admin: Client,
    schema: Catalog,
}

/// Full reads by parallel workers would be counted for them.
const OPTIONS: &str = "-c max_parallel_maintenance_workers=0 -c max_parallel_workers_per_gather=0";

pub async fn connect(major: i32, database: &str) -> Client {
    let base: u16 = std::env::var("WESLEY_PG_PORT_BASE").map_or(54000, |base| base.parse().unwrap());
    let port = base + u16::try_from(major).unwrap();
    let mut config: tokio_postgres::Config =
        format!("host=127.0.0.1 port={port} user=postgres password=postgres dbname={database}").parse().unwrap();
    config.options(OPTIONS);
    let (client, connection) = config.connect(NoTls).await.expect("a test server of that major");
    tokio::spawn(connection);
    client
}

impl Databases {
    pub async fn start(major: i32, schema: &str) -> Self {
        let prefix = format!("wesley_claims_{}_{major}", std::process::id());
        let (template, own, shared) =
            (format!("{prefix}_template"), format!("{prefix}_own"), format!("{prefix}_shared"));
        let admin = connect(major, "postgres").await;
        admin.batch_execute(&format!("create database {template} template template0")).await.unwrap();
        admin.batch_execute(&format!("alter database {template} set timezone = 'UTC'")).await.unwrap();
        let loader = connect(major, &template).await;
        for statement in sql::parse(schema).unwrap() {
            loader.batch_execute(&statement.text).await.unwrap();
        }
        let catalog = introspect(&loader).await.unwrap();
        drop(loader);
        create(&admin, &shared, &template).await;
        Self { major, template, own, shared, admin, schema: catalog }
    }

    /// `None` when that major does not take the setup.
    pub async fn prepare(&mut self, setup: &[String]) -> Option<Prepared> {
        let major = self.major;
        if setup.is_empty() {
            return Some(Prepared { major, database: self.shared.clone(), catalog: self.schema.clone() });
        }
        create(&self.admin, &self.own, &self.template).await;
        let alone = connect(major, &self.own).await;
        for statement in setup {
            if let Err(error) = alone.batch_execute(statement).await {
                assert_eq!(error.code().map(|code| code.code()), Some("42601"), "{statement}: {error}");
                return None;
            }
        }
        let catalog = introspect(&alone).await.unwrap();
        Some(Prepared { major, database: self.own.clone(), catalog })
    }

    pub async fn stop(self) {
        for database in [&self.own, &self.shared, &self.template] {
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
            Ok(()) => break,
            Err(error) if tries == 100 => panic!("{error}"),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    admin.batch_execute(&format!("alter database {database} set timezone = 'UTC'")).await.unwrap();
}
