//! A database of its own for a test, on every major.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;

use tokio_postgres::{Client, NoTls};

/// The majors to test.
pub fn majors() -> Vec<u16> {
    let text = std::env::var("WESLEY_TEST_MAJORS").unwrap_or_else(|_| "14,15,16,17,18".to_owned());
    text.split(',').map(|major| major.trim().parse().unwrap()).collect()
}

/// A session of `user`, whose password is `postgres`.
pub async fn connect(major: u16, user: &str, database: &str) -> Client {
    let base: u16 = std::env::var("WESLEY_PG_PORT_BASE").map_or(54_000, |base| base.parse().unwrap());
    let port = base + major;
    let url = format!("host=127.0.0.1 port={port} user={user} password=postgres dbname={database}");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a test server of that major");
    tokio::spawn(connection);
    client
}

/// Runs `test` with a new database of that major, given by name, and drops it whether the test passes or not.
pub async fn with_database<F: Future<Output = ()> + Send + 'static>(
    major: u16,
    test: &str,
    body: impl FnOnce(String) -> F,
) {
    let name = format!("cat_{test}_{}", std::process::id());
    let admin = connect(major, "postgres", "postgres").await;
    admin.batch_execute(&format!("create database {name} template template0")).await.unwrap();
    let result = tokio::spawn(body(name.clone())).await;
    admin.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
    if let Err(error) = result {
        panic!("on PostgreSQL {major}: {error}");
    }
}

/// A role that may log in and nothing else; to be dropped by [`drop_role`].
pub async fn create_role(major: u16, test: &str) -> String {
    let name = format!("cat_{test}_{}", std::process::id());
    let admin = connect(major, "postgres", "postgres").await;
    admin.batch_execute(&format!("create role {name} login password 'postgres'")).await.unwrap();
    name
}

/// Drops a role that owns nothing any more.
pub async fn drop_role(major: u16, name: &str) {
    let admin = connect(major, "postgres", "postgres").await;
    admin.batch_execute(&format!("drop role {name}")).await.unwrap();
}
