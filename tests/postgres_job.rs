//! The runner as a Job starts it, against a real database and the two requests that it may make of an API server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::{patch, post};
use run_support::plans::shop;
use run_support::{Database, end_majors};
use serde_json::{Value, json};
use wesley::report::Report;

type Objects = Arc<Mutex<BTreeMap<String, Value>>>;

/// An API server with one namespace of MigrationPlans, `create` and `patch status`, and nothing else.
async fn api_server() -> (Objects, tempfile::NamedTempFile) {
    let objects = Objects::default();
    let base = "/apis/wesley.dev/v1alpha1/namespaces/shop/migrationplans";
    let router = Router::new()
        .route(base, post(create))
        .route(&format!("{base}/{{name}}/status"), patch(patch_status))
        .with_state(objects.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = tempfile::NamedTempFile::new().unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "users": [{"name": "u", "user": {}}],
    });
    serde_json::to_writer(&config, &kubeconfig).unwrap();
    (objects, config)
}

async fn create(State(objects): State<Objects>, body: String) -> (StatusCode, String) {
    let object: Value = serde_json::from_str(&body).unwrap();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let mut objects = objects.lock().unwrap();
    if objects.contains_key(&name) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "AlreadyExists",
                            "message": "exists", "code": 409, "metadata": {}});
        return (StatusCode::CONFLICT, status.to_string());
    }
    objects.insert(name, object.clone());
    (StatusCode::CREATED, object.to_string())
}

async fn patch_status(
    State(objects): State<Objects>,
    UrlPath(name): UrlPath<String>,
    body: String,
) -> (StatusCode, String) {
    let change: Value = serde_json::from_str(&body).unwrap();
    let mut objects = objects.lock().unwrap();
    let Some(object) = objects.get_mut(&name) else {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                            "message": "no such plan", "code": 404, "metadata": {}});
        return (StatusCode::NOT_FOUND, status.to_string());
    };
    if let Some(status) = change.get("status") {
        object["status"] = status.clone();
    }
    (StatusCode::OK, object.to_string())
}

struct Cluster {
    objects: Objects,
    kubeconfig: tempfile::NamedTempFile,
    folder: tempfile::TempDir,
}

impl Cluster {
    async fn new(database: &Database, sql: &str) -> Self {
        let (objects, kubeconfig) = api_server().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("source")).unwrap();
        std::fs::create_dir_all(folder.path().join("database")).unwrap();
        std::fs::write(folder.path().join("database/url"), database.url()).unwrap();
        let cluster = Self { objects, kubeconfig, folder };
        cluster.source(sql);
        cluster
    }

    fn source(&self, sql: &str) {
        std::fs::write(self.path("source/000.sql"), sql).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it; the exit code and the report.
    fn run(&self, action: &str, more: &[&str]) -> (i32, Report) {
        let report = self.path("report");
        let path = |path: &Path| path.display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_wesley"))
            .args(["run", action, "--namespace", "shop", "--migration", "add-token", "--generation", "2"])
            .args(["--uid", "4be0e0ba-1a5b-4c64-9c0b-0d5c3f1e7d11"])
            .args(["--source", &path(&self.path("source")), "--database-dir", &path(&self.path("database"))])
            .args(["--report", &path(&report), "--allow", "all"])
            .args(more)
            .env("KUBECONFIG", self.kubeconfig.path())
            .env("WESLEY_DATABASE_TLS_MODE", "Disable")
            .output()
            .unwrap();
        let text = std::fs::read(&report).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert!(text.len() < 2048);
        let report: Report = serde_json::from_slice(&text).unwrap();
        assert_eq!(output.status.code(), Some(report.exit_code), "{report:?}");
        (report.exit_code, report)
    }

    /// Samples the activity; the exit code and the report.
    fn sample(&self) -> (i32, Report) {
        let report = self.path("report");
        let folder = self.path("database").display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_wesley"))
            .args(["run", "inspect", "--sample", "--namespace", "shop", "--database-dir", &folder])
            .args(["--report", &report.display().to_string()])
            .env("WESLEY_DATABASE_TLS_MODE", "Disable")
            .output()
            .unwrap();
        let text = std::fs::read(&report).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert!(text.len() < 2048);
        let report: Report = serde_json::from_slice(&text).unwrap();
        (report.exit_code, report)
    }

    fn states(&self, plan: &str) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let steps = objects[plan]["status"]["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().map(|step| step["state"].as_str().unwrap().to_owned()).collect()
    }
}

const SQL: &str = "CREATE TABLE tokens (id bigint PRIMARY KEY, value text)";

#[tokio::test(flavor = "multi_thread")]
async fn plans_executes_inspects_and_rolls_back() {
    for major in end_majors() {
        let database = Database::create("job", major, &shop(10)).await;
        let before = database.picture().await;
        let cluster = Cluster::new(&database, SQL).await;

        let (code, planned) = cluster.run("plan", &[]);
        assert_eq!((code, planned.reason.as_str()), (0, "Planned"), "{planned:?}");
        let (plan, digest) = (planned.plan.unwrap(), planned.digest.unwrap());
        {
            let objects = cluster.objects.lock().unwrap();
            let object = &objects[&plan];
            assert_eq!(object["spec"]["digest"], digest.as_str());
            assert_eq!(object["metadata"]["ownerReferences"][0]["kind"], "Migration");
            assert_eq!(object["spec"]["migration"]["generation"], 2);
        }
        let again = cluster.run("plan", &[]).1;
        assert_eq!(again.plan.as_deref(), Some(plan.as_str()), "a plan made twice is one object");

        let which = ["--plan", &plan, "--digest", &digest];
        assert_eq!(cluster.run("inspect", &which).1.reason, "NotRecorded");
        let other = cluster.run("execute", &["--plan", &plan, "--digest", "sha256:other"]);
        assert_eq!((other.0, other.1.reason.as_str()), (11, "PlanChanged"));
        assert_eq!(database.picture().await, before);

        let (code, executed) = cluster.run("execute", &which);
        assert_eq!((code, executed.reason.as_str(), executed.next_stage), (0, "Done", None), "{executed:?}");
        assert_eq!(executed.steps_done, executed.steps_total);
        assert!(cluster.states(&plan).iter().all(|state| state == "Done"), "{:?}", cluster.states(&plan));
        assert!(database.picture().await.contains("tokens"));

        let inspected = cluster.run("inspect", &which).1;
        assert_eq!((inspected.reason.as_str(), inspected.steps_done), ("Done", executed.steps_done));
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_made_for_another_schema_is_not_executed() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("job_stale", major, &shop(10)).await;
    let cluster = Cluster::new(&database, SQL).await;
    let planned = cluster.run("plan", &[]).1;
    let (plan, digest) = (planned.plan.unwrap(), planned.digest.unwrap());
    database.client.batch_execute("CREATE TABLE tokens (id text)").await.unwrap();
    let before = database.picture().await;
    let (code, report) = cluster.run("execute", &["--plan", &plan, "--digest", &digest]);
    assert_eq!((code, report.reason.as_str(), report.steps_done), (11, "CatalogChanged", 0), "{report:?}");
    assert_eq!(database.picture().await, before);
    let (code, report) = cluster.run("rollback", &["--plan", &plan, "--digest", &digest]);
    assert_eq!((code, report.reason.as_str()), (0, "AlreadyRolledBack"), "nothing was ever done");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_has_a_reason_a_place_and_no_values() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("job_input", major, &shop(10)).await;
    let cluster = Cluster::new(&database, "").await;
    for (sql, code, reason, says) in [
        ("SELECT 1;\nALTER TABEL orders", 10, "SyntaxError", "line 2, column 7"),
        ("-- nothing", 10, "SourceUnreadable", "no SQL statement"),
        ("SELECT 1; BEGIN; SELECT 'canary'", 10, "StatementUnsupported", "000.sql"),
    ] {
        cluster.source(sql);
        let (found, report) = cluster.run("plan", &[]);
        assert_eq!((found, report.reason.as_str()), (code, reason), "{sql}: {report:?}");
        assert!(report.message.contains(says) && !report.message.contains("canary"), "{}", report.message);
        assert!(cluster.objects.lock().unwrap().is_empty());
    }
    cluster.source(SQL);
    for (file, text, code, reason) in [
        ("url", database.url().replace(":postgres@", ":canary@"), 12, "AuthenticationFailed"),
        ("url", database.url_at(1), 75, "Unreachable"),
        ("url", "postgres://:canary:canary".to_owned(), 11, "ConnectionInvalid"),
    ] {
        std::fs::write(cluster.path("database").join(file), text).unwrap();
        let (found, report) = cluster.run("plan", &[]);
        assert_eq!((found, report.reason.as_str()), (code, reason), "{report:?}");
        assert!(!report.message.contains("canary"), "{}", report.message);
    }
    database.drop().await;
}

/// A sample of the activity, as the Job of a Database takes it.
#[tokio::test(flavor = "multi_thread")]
async fn activity_is_kept_by_the_hour() {
    for major in end_majors() {
        let database = Database::create("job_sample", major, "CREATE TABLE t (id int)").await;
        let cluster = Cluster::new(&database, SQL).await;
        let (code, first) = cluster.sample();
        assert_eq!((code, first.reason.as_str()), (0, "Inspected"), "{first:?}");
        let activity = first.activity.unwrap();
        assert_eq!((activity.reason.as_str(), activity.hours_measured), ("TooFewSamples", 0));
        // As if the first reading were a quarter of an hour old and had seen nothing.
        database
            .client
            .batch_execute(
                "update wesley.activity_reading set taken_at = taken_at - 900, transactions = 0, rows_changed = 0",
            )
            .await
            .unwrap();
        database.client.batch_execute("insert into t select generate_series(1, 1000)").await.unwrap();
        counted(&database, 1_000).await;
        assert_eq!(cluster.sample().0, 0);
        let seconds: i64 = database.ask("select sum(seconds)::bigint from wesley.activity").await;
        let transactions: i64 = database.ask("select sum(transactions)::bigint from wesley.activity").await;
        let changed: i64 = database.ask("select sum(rows_changed)::bigint from wesley.activity").await;
        assert!(seconds >= 900 && transactions > 0 && changed >= 1_000, "{seconds} {transactions} {changed}");
        // A server that counts anew has nothing to say about the time before.
        database
            .client
            .batch_execute("update wesley.activity_reading set transactions = transactions + 1000000")
            .await
            .unwrap();
        assert_eq!(cluster.sample().0, 0);
        let again: i64 = database.ask("select sum(seconds)::bigint from wesley.activity").await;
        assert_eq!(again, seconds);
        // What is older than six weeks goes, what is known of a week gives quiet hours.
        database.client.batch_execute("insert into wesley.activity select h, 3600, case when (h % 24) between 1 and 4 then 10 else 5000 end, 0
                 from (select extract(epoch from now())::bigint / 3600 - n as h from generate_series(2, 2000) n) hours on conflict do nothing").await.unwrap();
        let activity = cluster.sample().1.activity.unwrap();
        assert_eq!((activity.reason.as_str(), activity.quiet[0].cron.as_str()), ("QuietHours", "0 1 * * *"));
        let kept: i64 = database.ask("select count(*) from wesley.activity").await;
        assert!(kept <= 1_010, "{kept}");
        let refused = Command::new(env!("CARGO_BIN_EXE_wesley"))
            .args(["run", "execute", "--sample", "--namespace", "shop", "--database-dir", "/"])
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(2));
        database.drop().await;
    }
}

/// Waits until the server's statistics show that many inserted rows: sessions tell them a little later.
async fn counted(database: &Database, rows: i64) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let counted = "select tup_inserted from pg_stat_database where datname = current_database()";
    while database.ask::<i64>(counted).await < rows {
        assert!(std::time::Instant::now() < deadline, "the server does not count");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// A server that counts statements, and a database in it, as the role that Migrations run as.
async fn counting_server(major: u16) -> (run_support::server::Server, tokio_postgres::Client) {
    let server = run_support::server::Server::start(major, "shared_preload_libraries = 'pg_stat_statements'").await;
    let admin = server.admin("postgres").await;
    admin.batch_execute("CREATE ROLE run_owner LOGIN; GRANT pg_read_all_stats TO run_owner").await.unwrap();
    admin.batch_execute("CREATE DATABASE shop OWNER run_owner").await.unwrap();
    let client = server.admin("shop").await;
    client.batch_execute("CREATE SCHEMA stats; CREATE EXTENSION pg_stat_statements SCHEMA stats").await.unwrap();
    client
        .batch_execute("GRANT USAGE ON SCHEMA stats TO run_owner; GRANT ALL ON SCHEMA public TO run_owner")
        .await
        .unwrap();
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_compared_before_and_after_the_change() {
    for major in end_majors() {
        let (server, client) = counting_server(major).await;
        // Only a place for the runner's folders: the database is the server's own.
        let shared = Database::create("job_observe", major, "").await;
        let cluster = Cluster::new(&shared, SQL).await;
        let url = format!("postgres://run_owner@127.0.0.1:{}/shop", server.port);
        std::fs::write(cluster.path("database/url"), url).unwrap();
        let planned = cluster.run("plan", &[]).1;
        let (plan, digest) = (planned.plan.unwrap(), planned.digest.unwrap());
        let observed = ["--plan", &plan, "--digest", &digest, "--regression-percent-max", "10", "--calls-min", "20"];
        let executions = |seconds: &'static str| {
            let client = &client;
            async move {
                for _ in 0..25 {
                    client.simple_query(&format!("SELECT 'canary', pg_sleep({seconds})")).await.unwrap();
                }
            }
        };
        executions("0.001").await;
        let (code, executed) = cluster.run("execute", &observed);
        assert_eq!((code, executed.reason.as_str()), (0, "Done"), "{executed:?}");
        executions("0.02").await;
        let report = cluster.run("inspect", &observed).1;
        let observation = report.observation.clone().unwrap();
        assert_eq!(observation.verdict, Some(wesley::inspect::statements::Verdict::NoGo), "{observation:?}");
        let worst = &observation.worst[0];
        assert_eq!((worst.calls_before, worst.calls_after), (25, 25));
        assert!(worst.mean_microseconds_before < 20_000 && worst.mean_microseconds_after >= 20_000, "{worst:?}");
        assert!(!serde_json::to_string(&report).unwrap().contains("canary"));
        let texts: i64 = client
            .query_one("SELECT count(*) FROM wesley.statements s WHERE s::text LIKE '%canary%'", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(texts, 0, "the ledger has no text of statements");
        // A run that has not been observed from its beginning has nothing to compare with.
        client.batch_execute("DELETE FROM wesley.observations").await.unwrap();
        cluster.run("execute", &observed);
        let late = cluster.run("inspect", &observed).1.observation.unwrap();
        assert_eq!(late.verdict, Some(wesley::inspect::statements::Verdict::Unavailable));
        shared.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_extension_nothing_is_compared_and_the_report_says_so() {
    let major = *end_majors().last().unwrap();
    let database = Database::create("job_unobserved", major, &shop(10)).await;
    let cluster = Cluster::new(&database, SQL).await;
    let planned = cluster.run("plan", &[]).1;
    let (plan, digest) = (planned.plan.unwrap(), planned.digest.unwrap());
    let observed = ["--plan", &plan, "--digest", &digest, "--regression-percent-max", "10", "--calls-min", "20"];
    assert_eq!(cluster.run("execute", &observed).1.reason, "Done");
    let observation = cluster.run("inspect", &observed).1.observation.unwrap();
    assert_eq!(observation.verdict, Some(wesley::inspect::statements::Verdict::Unavailable));
    assert!(observation.message.contains("pg_stat_statements is not installed"), "{}", observation.message);
    database.drop().await;
}
