//! Every case of the oracle that succeeds, in the model and on the server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio_postgres::Client;
use wesley::catalog::introspect::{introspect, introspect_in_transaction};
use wesley::catalog::{Catalog, apply};
use wesley::plan::analyze::analyze;
use wesley::sql;

use super::server::{connect, create, drop_database, message};

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    sql: String,
    setup: Vec<String>,
    versions: BTreeMap<String, serde_json::Value>,
}

fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("WESLEY_ORACLE") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared/oracle"),
    };
    folder.join("cases.json").exists().then_some(folder)
}

fn picked(case: &Case) -> bool {
    match std::env::var("WESLEY_ORACLE_ONLY") {
        Ok(only) => only.split(',').any(|start| case.id.starts_with(start.trim())),
        Err(_) => true,
    }
}

/// What became of the cases on one major.
#[derive(Default)]
struct Report {
    major: i32,
    equal: usize,
    /// Texts among the equal ones that are the server's to the letter, and all of them.
    exact: usize,
    different: Vec<(String, Vec<String>)>,
    unforeseeable: Vec<(String, String)>,
    skipped: Vec<(String, String)>,
    /// Refused by the server, and by the model as well.
    refused: (usize, usize),
    accepted: Vec<String>,
}

/// Cases that cannot be compared: they act on the cluster, or the session that introspection needs.
const CLUSTER: [&str; 9] = [
    "create.database",
    "x.ddl.drop_tablespace",
    "sys.alter_system",
    "drop.database",
    "x.sub.create_slot",
    "maint.cluster_all",
    "idx.reindex_system",
    "x.ddl.comment_db",
    "create.subscription_noconnect",
];

struct Databases {
    major: i32,
    admin: Client,
    template: String,
    own: String,
    shared_name: String,
    shared: Client,
    fixture: Catalog,
}

impl Databases {
    async fn start(major: i32, fixture: &str) -> Self {
        let prefix = format!("sim_oracle_{}_{major}", std::process::id());
        let (template, own, shared_name) =
            (format!("{prefix}_template"), format!("{prefix}_case"), format!("{prefix}_shared"));
        let admin = connect(major, "postgres").await;
        create(&admin, &template, "template0").await;
        let loader = connect(major, &template).await;
        for statement in sql::parse(fixture).unwrap() {
            loader.batch_execute(&statement.text).await.unwrap();
        }
        let fixture = introspect(&loader).await.unwrap();
        drop(loader);
        create(&admin, &shared_name, &template).await;
        let shared = connect(major, &shared_name).await;
        Self { major, admin, template, own, shared_name, shared, fixture }
    }

    async fn stop(self) {
        for database in [&self.own, &self.shared_name, &self.template] {
            drop_database(&self.admin, database).await;
        }
    }

    /// The catalog before and after the case; the server's refusal when it refuses.
    async fn run(&self, case: &Case) -> Result<(Catalog, Result<Catalog, String>), String> {
        match self.in_transaction(case).await {
            Some(found) => Ok(found),
            None => self.alone(case).await,
        }
    }

    /// `None` when a part of it cannot run in a transaction.
    async fn in_transaction(&self, case: &Case) -> Option<(Catalog, Result<Catalog, String>)> {
        self.shared.batch_execute("begin").await.unwrap();
        let found = self.attempt(case).await;
        self.shared.batch_execute("rollback").await.unwrap();
        found
    }

    async fn attempt(&self, case: &Case) -> Option<(Catalog, Result<Catalog, String>)> {
        for statement in &case.setup {
            if statement.starts_with("alter database") || self.shared.batch_execute(statement).await.is_err() {
                return None;
            }
        }
        let before = match case.setup.as_slice() {
            [] => self.fixture.clone(),
            _ => introspect_in_transaction(&self.shared).await.unwrap(),
        };
        match self.shared.batch_execute(&case.sql).await {
            Ok(()) => Some((before, Ok(introspect_in_transaction(&self.shared).await.ok()?))),
            Err(error) if error.code().is_some_and(|code| matches!(code.code(), "25001" | "55P04")) => None,
            Err(error) => Some((before, Err(message(&error)))),
        }
    }

    async fn alone(&self, case: &Case) -> Result<(Catalog, Result<Catalog, String>), String> {
        create(&self.admin, &self.own, &self.template).await;
        let client = connect(self.major, &self.own).await;
        for statement in &case.setup {
            // Cases call their database c1.
            let statement = statement.replace("database c1", &format!("database {}", self.own));
            client.batch_execute(&statement).await.map_err(|error| message(&error))?;
        }
        drop(client);
        let client = connect(self.major, &self.own).await;
        let before = introspect(&client).await.unwrap();
        if let Err(error) = client.batch_execute(&case.sql).await {
            return Ok((before, Err(message(&error))));
        }
        drop(client);
        let client = connect(self.major, &self.own).await;
        Ok((before, Ok(introspect(&client).await.map_err(|error| error.to_string())?)))
    }
}

async fn judge(major: i32, fixture: &str, cases: &[Case]) -> Report {
    let mut report = Report { major, ..Report::default() };
    let databases = Databases::start(major, fixture).await;
    // Each major has another part of the cases.
    let whole = ["WESLEY_ORACLE_ONLY", "WESLEY_ORACLE_ALL"].iter().any(|name| std::env::var_os(name).is_some());
    let part = |at: usize| whole || at % 5 == usize::try_from(major % 5).unwrap_or(0);
    for (_, case) in cases.iter().enumerate().filter(|(at, _)| part(*at)) {
        if !case.versions.contains_key(&major.to_string()) || CLUSTER.contains(&case.id.as_str()) {
            continue;
        }
        match databases.run(case).await {
            Ok((before, after)) => compare(&mut report, case, &before, after),
            Err(error) => report.skipped.push((case.id.clone(), error)),
        }
    }
    databases.stop().await;
    report
}

fn compare(report: &mut Report, case: &Case, before: &Catalog, after: Result<Catalog, String>) {
    // `reindex schema concurrently public` and the like are syntax errors to the server as well.
    let Ok(statements) = sql::parse(&case.sql) else {
        report.refused.0 += usize::from(after.is_err());
        return;
    };
    let mut simulated = before.clone();
    // What the server refuses is the classifier's business; what it accepts, the model's.
    let outcome = statements.iter().try_for_each(|statement| match analyze(statement, &simulated).refused {
        Some(refusal) => Err(format!("{}: {}", refusal.sqlstate, refusal.message)),
        None => apply::apply(&mut simulated, statement).map_err(|error| error.0),
    });
    match (outcome, after) {
        (Ok(()), Ok(after)) => {
            let lines = simulated.same_schema(&after);
            if lines.is_empty() {
                report.equal += 1;
                report.exact += usize::from(texts(&simulated) == texts(&after));
            } else {
                report.different.push((case.id.clone(), lines));
            }
        }
        (Err(error), Ok(_)) => report.unforeseeable.push((case.id.clone(), error)),
        (Err(_), Err(_)) => {
            assert_eq!(&simulated, before, "{}: a refused statement changed the catalog", case.id);
            report.refused.0 += 1;
        }
        (Ok(()), Err(error)) => {
            report.refused.1 += 1;
            report.accepted.push(format!("{}: {error}", case.id));
        }
    }
}

/// The whole catalog without sizes: equal only if every text is the same to the letter.
fn texts(catalog: &Catalog) -> Catalog {
    let mut copy = catalog.clone();
    copy.server = Default::default();
    copy.roles.clear();
    copy.tablespaces.clear();
    copy.relations.retain(|name, _| name.schema != "pg_temp");
    for relation in copy.relations.values_mut() {
        relation.stats = Default::default();
    }
    copy
}

#[test]
fn a_simulated_case_is_what_the_server_makes_of_it() {
    let Some(folder) = folder() else {
        println!("no cases: set WESLEY_ORACLE to the folder with cases.json and fixture.sql");
        return;
    };
    let fixture = std::fs::read_to_string(folder.join("fixture.sql")).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let cases: Vec<Case> = cases.into_iter().filter(picked).collect();
    let reports = super::on_every_major(async |major| judge(major, &fixture, &cases).await);
    for report in &reports {
        println!(
            "PostgreSQL {}: {} equal (of them {} to the letter), {} different, {} unforeseeable, {} skipped; \
             refused by the server: {} by the model too, {} not",
            report.major,
            report.equal,
            report.exact,
            report.different.len(),
            report.unforeseeable.len(),
            report.skipped.len(),
            report.refused.0,
            report.refused.1,
        );
        for (id, lines) in &report.different {
            println!("  {id}: different");
            lines.iter().take(8).for_each(|line| println!("    {line:.400}"));
        }
        for (id, reason) in &report.unforeseeable {
            println!("  {id}: unforeseeable: {reason}");
        }
        for (id, reason) in &report.skipped {
            println!("  {id}: skipped: {reason}");
        }
        for line in &report.accepted {
            println!("  accepted: {line}");
        }
    }
    let wrong = reports.iter().map(|report| {
        report.different.len() + report.unforeseeable.len() + report.skipped.len() + report.accepted.len()
    });
    assert_eq!(wrong.sum::<usize>(), 0, "the model differs from the server: see above");
}
