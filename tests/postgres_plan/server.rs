//! Databases, and a naive executor: what a plan means, without any of the executor's care.

use std::str::FromStr;

use tokio_postgres::{Client, NoTls};
use wesley::catalog::Catalog;
use wesley::plan::{Action, Backfill, Plan, Postcondition, Step, Undo};
use wesley::sql::quote;

pub fn majors() -> Vec<u16> {
    let text = std::env::var("WESLEY_TEST_MAJORS").unwrap_or_else(|_| "14,15,16,17,18".into());
    text.split(',').map(|major| major.trim().parse().unwrap()).collect()
}

/// Oldest and newest of [`majors`].
pub fn end_majors() -> Vec<u16> {
    let all = majors();
    vec![*all.first().unwrap(), *all.last().unwrap()]
}

async fn connect(major: u16, database: &str) -> Client {
    let base: u16 = std::env::var("WESLEY_PG_PORT_BASE").map_or(54_000, |base| base.parse().unwrap());
    let url = format!("postgres://postgres:postgres@127.0.0.1:{}/{database}", base + major);
    let config = tokio_postgres::Config::from_str(&url).unwrap();
    let (client, connection) = config.connect(NoTls).await.expect("the PostgreSQL servers for tests must run");
    tokio::spawn(connection);
    client
}

pub async fn drop_database(name: &str, major: u16) {
    let admin = connect(major, "postgres").await;
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
}

pub struct Database {
    pub name: String,
    major: u16,
    pub client: Client,
}

impl Database {
    pub async fn create(test: &str, major: u16, setup: &str) -> Self {
        let name = format!("pln_{test}");
        drop_database(&name, major).await;
        connect(major, "postgres").await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let client = connect(major, &name).await;
        if let Err(error) = client.batch_execute(setup).await {
            panic!("[{major}] {test}: setup: {error:?}");
        }
        client.batch_execute("ANALYZE").await.unwrap();
        Self { name, major, client }
    }

    pub async fn copy(template: &str, test: &str, major: u16) -> Self {
        let name = format!("pln_{test}");
        drop_database(&name, major).await;
        let admin = connect(major, "postgres").await;
        admin
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{template}'"
            ))
            .await
            .unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        let client = connect(major, &name).await;
        Self { name, major, client }
    }

    /// Without its connection.
    pub fn close(self) -> String {
        self.name
    }

    pub async fn drop(self) {
        let (name, major) = (self.name.clone(), self.major);
        drop(self);
        drop_database(&name, major).await;
    }

    /// The catalog with tables that look as large as the tests need them.
    pub async fn catalog(&self) -> Catalog {
        wesley::catalog::introspect::introspect(&self.client).await.unwrap()
    }

    /// Runs the author's statements one by one.
    pub async fn author(&self, sql: &str) -> Result<(), String> {
        for statement in wesley::sql::parse(sql).unwrap() {
            self.run(&statement.text).await?;
        }
        Ok(())
    }

    /// Whether there is a relation of that name, as SQL writes it.
    #[allow(dead_code)]
    pub async fn has(&self, relation: &str) -> bool {
        let row = self.client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&relation]).await.unwrap();
        row.get(0)
    }

    async fn run(&self, sql: &str) -> Result<(), String> {
        self.client.batch_execute(sql).await.map_err(|error| {
            let text =
                error.as_db_error().map_or_else(|| error.to_string(), |error| format!("{error} {:?}", error.detail()));
            format!("{text}\n    {sql}")
        })
    }

    pub async fn step(&self, step: &Step) -> Result<(), String> {
        self.action(&step.action).await?;
        self.holds(&step.postcondition).await
    }

    pub async fn undo(&self, step: &Step) -> Result<(), String> {
        let actions = match &step.undo {
            Undo::Nothing(_) | Undo::Irreversible(_) => return Ok(()),
            Undo::Lossless(steps) => &steps.actions,
            Undo::Lossy(lossy) => &lossy.actions,
        };
        for action in actions {
            self.action(&action.action).await?;
            self.holds(&action.postcondition).await?;
        }
        Ok(())
    }

    async fn action(&self, action: &Action) -> Result<(), String> {
        match action {
            Action::Transaction(transaction) => {
                self.run("BEGIN").await?;
                for statement in &transaction.statements {
                    if let Err(error) = self.run(statement).await {
                        self.run("ROLLBACK").await?;
                        return Err(error);
                    }
                }
                self.run("COMMIT").await
            }
            Action::Concurrent(concurrent) => self.run(&concurrent.statement).await,
            Action::Backfill(backfill) => self.run(&update(backfill)).await,
            Action::Check(check) => {
                let row = self.client.query_one(&check.query, &[]).await.map_err(|error| error.to_string())?;
                if row.get(0) { Ok(()) } else { Err(check.message.clone()) }
            }
            Action::Script(script) => Err(format!("the text of {script:?} is not here")),
        }
    }

    async fn holds(&self, postcondition: &Postcondition) -> Result<(), String> {
        let (query, expected) = match postcondition {
            Postcondition::Recorded(_) => return Ok(()),
            Postcondition::Query(query) => (query.clone(), "true".to_owned()),
            Postcondition::IndexValid(probe) => (
                format!(
                    "SELECT coalesce((SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indisvalid AND indisready \
                     AND indexrelid = to_regclass({}) AND indrelid = {}::regclass), 'missing')",
                    quote::literal(&quote::qualified(&probe.schema, &probe.index)),
                    quote::literal(&quote::qualified(&probe.schema, &probe.table))
                ),
                probe.definition.clone(),
            ),
            Postcondition::IndexAbsent(probe) => (
                format!(
                    "SELECT (to_regclass({}) IS NULL)::text",
                    quote::literal(&quote::qualified(&probe.schema, &probe.index))
                ),
                "true".to_owned(),
            ),
        };
        let row = self.client.query_one(&query, &[]).await.map_err(|error| format!("{error}: {query}"))?;
        let found = row.try_get::<_, String>(0).unwrap_or_else(|_| row.get::<_, bool>(0).to_string());
        if found == expected { Ok(()) } else { Err(format!("postcondition: {found}\nexpected:      {expected}")) }
    }
}

fn update(backfill: &Backfill) -> String {
    let set: Vec<String> = backfill
        .assignments
        .iter()
        .map(|assignment| format!("{} = {}", quote::ident(&assignment.column), assignment.expression))
        .collect();
    let filter = backfill.filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE {filter}"));
    format!("UPDATE ONLY {} SET {}{filter}", quote::qualified(&backfill.schema, &backfill.table), set.join(", "))
}

fn action_text(action: &Action) -> String {
    match action {
        Action::Transaction(transaction) => transaction.statements.join(";\n      "),
        Action::Concurrent(concurrent) => format!("(concurrent) {}", concurrent.statement),
        Action::Backfill(backfill) => format!("(backfill) {}", update(backfill)),
        Action::Check(check) => format!("(check) {}", check.query),
        Action::Script(script) => format!("(script) {:?}", script.changes),
    }
}

pub fn listing(plan: &Plan) -> String {
    plan.steps
        .iter()
        .map(|step| format!("  {} [{}] {}\n      {}", step.id, step.stage, step.pattern, action_text(&step.action)))
        .chain(plan.notes.iter().map(|note| format!("  note: {note}")))
        .collect::<Vec<_>>()
        .join("\n")
}

pub fn undo_listing(plan: &Plan) -> String {
    plan.steps
        .iter()
        .rev()
        .map(|step| {
            let (class, actions) = match &step.undo {
                Undo::Nothing(_) => ("nothing".to_owned(), &[][..]),
                Undo::Irreversible(irreversible) => (format!("irreversible: {}", irreversible.why), &[][..]),
                Undo::Lossless(steps) => ("lossless".to_owned(), &steps.actions[..]),
                Undo::Lossy(lossy) => (format!("lossy: {}", lossy.lost), &lossy.actions[..]),
            };
            let texts: Vec<String> =
                actions.iter().map(|action| format!("\n      {}", action_text(&action.action))).collect();
            format!("  undo {} {class}{}", step.id, texts.concat())
        })
        .collect::<Vec<_>>()
        .join("\n")
}
