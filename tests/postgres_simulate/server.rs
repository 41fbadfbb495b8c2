//! Databases of their own on the test servers.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

pub async fn connect(major: i32, database: &str) -> Client {
    let base: u16 = std::env::var("WESLEY_PG_PORT_BASE").map_or(54000, |base| base.parse().unwrap());
    let port = base + u16::try_from(major).unwrap();
    let url = format!("host=127.0.0.1 port={port} user=postgres password=postgres dbname={database}");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a test server of that major");
    tokio::spawn(connection);
    client
}

pub fn message(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| format!("{}: {}", db.code().code(), db.message()))
}

/// Creates the database anew. A connection that was just closed may still be leaving.
pub async fn create(admin: &Client, database: &str, template: &str) {
    let mut tries = 0;
    loop {
        drop_database(admin, database).await;
        match admin.batch_execute(&format!("create database {database} template {template}")).await {
            Ok(()) => break,
            Err(error) if tries == 100 => panic!("{}", message(&error)),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    admin.batch_execute(&format!("alter database {database} set timezone = 'UTC'")).await.unwrap();
}

pub async fn drop_database(admin: &Client, database: &str) {
    // Subscriptions of cases have no slot, but keep their database.
    if let Ok(inside) = connect_if_there(admin, database).await {
        for row in inside.query("select subname from pg_subscription s join pg_database d on d.oid = s.subdbid where d.datname = current_database()", &[]).await.unwrap() {
            let name: String = row.get(0);
            inside.batch_execute(&format!("alter subscription {name} disable")).await.unwrap();
            inside.batch_execute(&format!("alter subscription {name} set (slot_name = none)")).await.unwrap();
            inside.batch_execute(&format!("drop subscription {name}")).await.unwrap();
        }
    }
    admin.batch_execute(&format!("drop database if exists {database} with (force)")).await.unwrap();
}

async fn connect_if_there(admin: &Client, database: &str) -> Result<Client, ()> {
    let exists = admin.query("select 1 from pg_database where datname = $1", &[&database]).await.unwrap();
    if exists.is_empty() {
        return Err(());
    }
    let version: i32 = admin.query_one("select current_setting('server_version_num')::int", &[]).await.unwrap().get(0);
    Ok(connect(version / 10_000, database).await)
}
