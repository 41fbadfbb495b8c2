//! A PostgreSQL server of a test's own, to be crashed and restarted. Its programs and its user are those of the
//! shared server of the same major.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

pub struct Server {
    pub port: u16,
    bin: PathBuf,
    owner: (u32, u32),
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Server {
    /// Initialises and starts it; the superuser is `postgres`, everybody local is trusted.
    pub async fn start(major: u16, settings: &str) -> Self {
        let shared = super::connect(&super::url(major, "postgres", "postgres")).await;
        let row = shared
            .query_one(
                "SELECT (SELECT setting FROM pg_config WHERE name = 'BINDIR'), current_setting('data_directory')",
                &[],
            )
            .await
            .unwrap();
        let (bin, data): (String, String) = (row.get(0), row.get(1));
        let metadata = std::fs::metadata(data).unwrap();
        let folder = tempfile::Builder::new().prefix("run-server").tempdir_in("/tmp").unwrap();
        let owner = (metadata.uid(), metadata.gid());
        chown(folder.path(), Some(owner.0), Some(owner.1)).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { port, bin: bin.into(), owner, folder, child: None };
        let made = server
            .command("initdb")
            .args(["--no-sync", "--username", "postgres", "--auth", "trust", "--no-locale", "--encoding", "UTF8"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let all = format!("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n{settings}\n");
        let file = server.data().join("postgresql.conf");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\nport = {port}\n{all}")).unwrap();
        server.launch();
        server.admin("postgres").await;
        server
    }

    /// A streaming standby of this server, on a port of its own. The server is stopped for the copy.
    pub async fn standby(&mut self) -> Self {
        let folder = tempfile::Builder::new().prefix("run-standby").tempdir_in("/tmp").unwrap();
        chown(folder.path(), Some(self.owner.0), Some(self.owner.1)).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut standby = Self { port, bin: self.bin.clone(), owner: self.owner, folder, child: None };
        self.stop("INT");
        let copied = Command::new("cp").arg("-a").arg(self.data()).arg(standby.data()).status().unwrap();
        assert!(copied.success());
        self.launch();
        self.admin("postgres").await;
        let file = standby.data().join("postgresql.conf");
        let text = std::fs::read_to_string(&file).unwrap();
        let primary = format!("host=127.0.0.1 port={} user=postgres", self.port);
        std::fs::write(
            &file,
            format!("{text}\nport = {port}\nprimary_conninfo = '{primary}'\nmax_standby_streaming_delay = -1\n"),
        )
        .unwrap();
        std::fs::write(standby.data().join("standby.signal"), "").unwrap();
        standby.launch();
        standby.admin("postgres").await;
        standby
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.arg("-D").arg(self.data()).current_dir(self.folder.path());
        // Only root can become somebody else, and only root has to: the server refuses to run as root.
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(self.owner.0).gid(self.owner.1);
        }
        command
    }

    pub fn launch(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = self.command("postgres").stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    /// Ends it with a signal: `QUIT` is an immediate shutdown, as after a crash; `INT` a fast one.
    pub fn stop(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            let pid = child.id().to_string();
            Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Connects as the superuser, as soon as the server answers.
    pub async fn admin(&self, database: &str) -> Client {
        let config = tokio_postgres::Config::from_str(&self.url("postgres", database)).unwrap();
        for _ in 0..600 {
            if let Ok((client, connection)) = config.connect(NoTls).await {
                tokio::spawn(connection);
                return client;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no answer: {}", std::fs::read_to_string(log_of(self.folder.path())).unwrap());
    }

    /// A database `shop` of an ordinary role `owner`, with `setup` run by it.
    pub async fn shop(&self, setup: &str) -> Client {
        let admin = self.admin("postgres").await;
        admin.batch_execute("CREATE ROLE owner LOGIN").await.unwrap();
        admin.batch_execute("CREATE DATABASE shop OWNER owner").await.unwrap();
        self.admin("shop").await.batch_execute("GRANT ALL ON SCHEMA public TO owner").await.unwrap();
        let client = self.owner().await;
        client.batch_execute(setup).await.unwrap();
        client
    }

    /// Connects to `shop` as its owner.
    pub async fn owner(&self) -> Client {
        self.admin("shop").await;
        super::connect(&self.url("owner", "shop")).await
    }
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("log")
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("QUIT");
    }
}
