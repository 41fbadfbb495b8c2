//! One PostgreSQL 18 with TLS for all tests of a run; a database and an ordinary role for each.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::api::Api;
use tokio::sync::OnceCell;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, NoTls, Row};

use super::scene::{apply_in, make_namespace};
use super::{PATIENCE, env, eventually};

/// Namespace of the common server.
pub const NAMESPACE: &str = "wesley-test-postgres";

/// Password of `postgres`.
const PASSWORD: &str = "postgres";

/// Where a server is.
#[derive(Clone, Debug)]
pub struct Server {
    /// As pods of any namespace reach it, and as its certificate says.
    pub host: String,
    /// As the test reaches it.
    address: String,
    /// Its own certificate authority.
    pub authority: String,
}

static SERVER: OnceCell<Server> = OnceCell::const_new();

/// The common server; the first call of a run waits until it is there.
pub async fn server() -> Server {
    SERVER
        .get_or_init(|| async {
            let kube = super::client(None).await;
            make_namespace(&kube, NAMESPACE).await;
            start(&kube, NAMESPACE, "pg").await
        })
        .await
        .clone()
}

/// Starts a server, if it is not there yet, and waits for it.
pub async fn start(kube: &kube::Client, namespace: &str, name: &str) -> Server {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/manifests/postgres.yaml");
    let manifest = std::fs::read_to_string(file).unwrap();
    let image = format!("{}:18", env("WESLEY_TEST_POSTGRES_IMAGE"));
    let manifest = manifest.replace("@NAME@", name).replace("@IMAGE@", &image).replace("@PASSWORD@", PASSWORD);
    apply_in(kube, namespace, &manifest).await.unwrap();
    let sets: Api<StatefulSet> = Api::namespaced(kube.clone(), namespace);
    eventually(&format!("PostgreSQL {namespace}/{name} is ready"), async || {
        let set = sets.get(name).await.ok()?;
        set.status?.ready_replicas.filter(|ready| *ready == 1)
    })
    .await;
    let services: Api<Service> = Api::namespaced(kube.clone(), namespace);
    let address = services.get(name).await.unwrap().spec.unwrap().cluster_ip.unwrap();
    let host = format!("{name}.{namespace}.svc");
    let authority = encrypt(&address, &host).await;
    Server { host, address, authority }
}

/// Gives the server a certificate of its own; the certificate, which is also its authority.
async fn encrypt(address: &str, host: &str) -> String {
    let client = connect(address, "postgres", PASSWORD, "postgres").await;
    let on: String = client.query_one("SHOW ssl", &[]).await.unwrap().get(0);
    if on == "off" {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let made = std::process::Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "30",
            ])
            .args(["-keyout", &path("key"), "-out", &path("crt"), "-subj", &format!("/CN={host}")])
            .args(["-addext", &format!("subjectAltName=DNS:{host}"), "-addext", "basicConstraints=critical,CA:FALSE"])
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for (name, file) in [("key", "server.key"), ("crt", "server.crt")] {
            let text = std::fs::read_to_string(path(name)).unwrap();
            let program = format!("umask 077; cat >\"$PGDATA/{file}\"");
            let lines: Vec<&str> = text.lines().collect();
            let sql = format!("COPY (SELECT unnest('{{{}}}'::text[])) TO PROGRAM '{program}'", lines.join(","));
            client.batch_execute(&sql).await.unwrap();
        }
        client.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
        client.query_one("SELECT pg_reload_conf()", &[]).await.unwrap();
        eventually("the server has TLS", async || {
            let on: String = client.query_one("SHOW ssl", &[]).await.ok()?.get(0);
            (on == "on").then_some(())
        })
        .await;
    }
    client.query_one("SELECT pg_read_file('server.crt')", &[]).await.unwrap().get(0)
}

async fn try_connect(
    address: &str,
    user: &str,
    password: &str,
    database: &str,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(address).user(user).password(password).dbname(database).connect_timeout(Duration::from_secs(3));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A session; tries until the server answers.
pub async fn connect(address: &str, user: &str, password: &str, database: &str) -> Client {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match try_connect(address, user, password, database).await {
            Ok(client) => return client,
            Err(error) if tokio::time::Instant::now() >= until => panic!("{address}: {error}"),
            Err(_) => tokio::time::sleep(super::LOOK).await,
        }
    }
}

/// A database, its role, and a superuser's session in it.
pub struct Database {
    /// The server.
    pub server: Server,
    /// Name of the database and of its owner.
    pub name: String,
    /// Password of the owner: a word that must be seen nowhere.
    pub password: String,
    client: Client,
}

impl Database {
    /// Creates it with the schema of a small shop.
    pub async fn create(server: Server, name: &str) -> Self {
        let admin = connect(&server.address, "postgres", PASSWORD, "postgres").await;
        let password = format!("canary-password-{name}");
        for sql in
            [format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"), format!("CREATE DATABASE {name} OWNER {name}")]
        {
            admin.batch_execute(&sql).await.unwrap();
        }
        let client = connect(&server.address, "postgres", PASSWORD, name).await;
        let owned = connect(&server.address, name, &password, name).await;
        owned.batch_execute(SHOP).await.unwrap();
        Self { server, name: name.to_owned(), password, client }
    }

    /// Removes it.
    pub async fn drop(&self) {
        let admin = connect(&self.server.address, "postgres", PASSWORD, "postgres").await;
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        admin.batch_execute(&sql).await.unwrap();
        admin.batch_execute(&format!("DROP ROLE {}", self.name)).await.unwrap();
    }

    /// Another session of the superuser.
    pub async fn session(&self) -> Client {
        connect(&self.server.address, "postgres", PASSWORD, &self.name).await
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        self.session().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The first column of the first row.
    pub async fn ask<T: for<'a> FromSql<'a>>(&self, sql: &str) -> T {
        self.first_row(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
    }

    async fn first_row(&self, sql: &str) -> Result<Row, tokio_postgres::Error> {
        if self.client.is_closed() {
            self.session().await.query_one(sql, &[]).await
        } else {
            self.client.query_one(sql, &[]).await
        }
    }

    /// Waits until a question is answered with true; about a table that is not there yet, the answer is no.
    pub async fn until(&self, what: &str, question: &str) {
        eventually(what, async || match self.first_row(question).await {
            Ok(row) => row.get::<_, Option<bool>>(0).filter(|yes| *yes),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => None,
            Err(error) => panic!("{question}: {error}"),
        })
        .await;
    }

    /// Waits until a session of the runner waits for a lock, or for other transactions to end.
    pub async fn until_runner_waits(&self) {
        self.until(
            "the runner waits for a lock",
            // Behind a transaction that holds the table it does not queue; it looks again and again who holds it.
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = current_database()
                 AND datname = current_database()
                 AND (wait_event_type = 'Lock' OR query LIKE 'SELECT DISTINCT l.virtualtransaction%'))",
        )
        .await;
    }

    /// A transaction that has run `sql` and stays open: its locks are held until [`Held::release`].
    pub async fn hold(&self, sql: &str) -> Held {
        let client = self.session().await;
        client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        Held(client)
    }

    /// Makes `orders` larger than what is changed in place.
    pub async fn fill(&self) {
        self.run(
            "INSERT INTO orders (customer_id, number, amount) SELECT 1, 'B' || n, n FROM generate_series(1, 95000) n;
             ANALYZE orders",
        )
        .await;
    }

    /// One text of the schema `public` and its data.
    pub async fn picture(&self) -> String {
        self.ask(PICTURE).await
    }

    /// The ledger's run of a Migration: `state: step=state step=state`; empty when it has none.
    pub async fn ledger(&self, namespace: &str, migration: &str) -> String {
        if self.ask::<bool>("SELECT to_regclass('wesley.runs') IS NULL").await {
            return String::new();
        }
        self.ask(&format!(
            "SELECT coalesce(string_agg(line, ', ' ORDER BY line), '') FROM (
                 SELECT r.state || ': ' || coalesce(string_agg(s.id || '=' || s.state, ' ' ORDER BY s.ordinal), '')
                 FROM wesley.runs r LEFT JOIN wesley.steps s ON s.run = r.name
                 WHERE r.name LIKE '{namespace}.{migration}.%' GROUP BY r.name, r.state) AS x(line)"
        ))
        .await
    }

    /// Sessions of the runner that are left.
    pub async fn runner_sessions(&self) -> i64 {
        self.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = current_database() AND datname = current_database()",
        )
        .await
    }
}

/// An open transaction.
pub struct Held(Client);

impl Held {
    /// Ends it.
    pub async fn release(self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}

const SHOP: &str = "\
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL,
    number text NOT NULL, amount int NOT NULL, remark text);
INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 100) n;
INSERT INTO orders (customer_id, number, amount) SELECT n % 100 + 1, 'A' || n, n FROM generate_series(1, 5000) n;
ANALYZE";

const PICTURE: &str = "\
SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM (
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
  SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
  UNION ALL
  SELECT 'routine ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL
  SELECT 'data ' || c.relname || ' ' || query_to_xml(
           format('SELECT count(*) AS n, md5(string_agg(x::text, '','' ORDER BY x::text)) AS d FROM %I x',
                  c.relname), true, true, '')::text
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
) AS lines";
