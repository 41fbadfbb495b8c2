//! From a connection URL, or the parts of a `Database`, to a client.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{TlsError, TlsFiles, TlsMode, client_config};

/// How to reach a database. Never printed: it holds the password.
#[derive(Clone)]
pub struct Settings {
    config: Config,
    mode: TlsMode,
    files: TlsFiles,
    /// Host, port, database or user are secrets as well.
    private: bool,
}

/// A connection URL that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUrl {
    /// libpq would not read it either. The text is not repeated: it may hold a password.
    #[error("the database URL cannot be read: {0}")]
    Unreadable(String),
    /// Nothing is given.
    #[error("the database URL is empty: give postgres://user@host:port/database")]
    Empty,
    /// A URL of another kind of server.
    #[error("the database URL is none of PostgreSQL: it begins with postgres:// or postgresql://")]
    Scheme,
    /// libpq would go on with a socket of its own build; there is no such default here.
    #[error("the database URL names no host: give postgres://user@host:port/database")]
    Host,
    /// A character of the password ended it, so that the rest of it is read as host or database.
    #[error(
        "the database URL has more than one @: percent-encode the characters @ : / # ? % of user and password (@ is %40, \
         # is %23)"
    )]
    Unescaped,
    /// Unknown `sslmode`.
    #[error("sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full")]
    Mode,
    /// A certificate file cannot be read.
    #[error("{option} names a file that cannot be read: {error}")]
    File {
        /// The option.
        option: &'static str,
        /// The operating system's word.
        error: std::io::Error,
    },
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// Class, for reasons and retry.
    pub kind: ConnectErrorKind,
    /// For people; no secret in it.
    pub message: String,
}

/// Classes of [`ConnectError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// Nothing answers at host and port, or the server is starting or stopping.
    Unreachable,
    /// The TLS handshake failed or the certificate is not trusted.
    Tls,
    /// The server refuses role or password.
    Authentication,
    /// The database does not exist.
    NoSuchDatabase,
    /// The server has no connection left.
    TooManyConnections,
    /// Anything else that the server said.
    Other,
}

impl Settings {
    /// Reads a URL or a key/value string as libpq does, `sslmode`, `sslrootcert`, `sslcert` and `sslkey`
    /// included. Without `sslmode` it is `verify-full`; on loopback and sockets `prefer`.
    ///
    /// # Errors
    /// [`InvalidUrl`] when it cannot be read; the message never repeats the text.
    pub fn from_url(url: &str) -> Result<Self, InvalidUrl> {
        if url.trim().is_empty() {
            return Err(InvalidUrl::Empty);
        }
        if url.split_once("://").is_some_and(|(scheme, _)| is_other_scheme(scheme)) {
            return Err(InvalidUrl::Scheme);
        }
        let (rest, options) = take_tls_options(url);
        let mut config = match Config::from_str(&rest) {
            // The driver may name a piece of the password as an option.
            Err(_) if is_url(&rest) && rest.matches('@').count() > 1 => return Err(InvalidUrl::Unescaped),
            read => read.map_err(|error| InvalidUrl::Unreadable(describe(&error)))?,
        };
        if is_unescaped(&rest, &config) {
            return Err(InvalidUrl::Unescaped);
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(InvalidUrl::Host);
        }
        if config.get_password().is_none()
            && let Ok(password) = std::env::var("PGPASSWORD")
        {
            config.password(password);
        }
        let mode = match options.mode.as_deref() {
            Some(mode) => TlsMode::from_str(mode).map_err(|_| InvalidUrl::Mode)?,
            None if is_local(&config) => TlsMode::Prefer,
            None => TlsMode::VerifyFull,
        };
        let read = |option: &'static str, path: Option<&String>| {
            path.map(|path| std::fs::read(path).map_err(|error| InvalidUrl::File { option, error })).transpose()
        };
        let roots = match options.root.as_deref() {
            Some("system") => None,
            _ => read("sslrootcert", options.root.as_ref())?,
        };
        let identity = match (read("sslcert", options.certificate.as_ref())?, read("sslkey", options.key.as_ref())?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => None,
        };
        Ok(Self::new(config, mode, TlsFiles { roots, identity }))
    }

    /// From parts that are already separate.
    pub fn new(mut config: Config, mode: TlsMode, files: TlsFiles) -> Self {
        config.ssl_mode(match mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Allow | TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        config.keepalives_idle(Duration::from_secs(30));
        config.keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3);
        // A peer that is gone without a word must not hold a step longer than the lock budget.
        config.tcp_user_timeout(Duration::from_secs(60));
        Self { config, mode, files, private: false }
    }

    /// The same settings, of which host, port, database or user come from a Secret: messages name none of them, and
    /// repeat nothing that the server or the driver says about them.
    #[must_use]
    pub fn with_private_parts(self, private: bool) -> Self {
        Self { private, ..self }
    }

    /// The same settings with another TLS mode, where one is given, and with the files that are given.
    #[must_use]
    pub fn with_tls(self, mode: Option<TlsMode>, files: TlsFiles) -> Self {
        let files =
            TlsFiles { roots: files.roots.or(self.files.roots), identity: files.identity.or(self.files.identity) };
        let private = self.private;
        Self::new(self.config, mode.unwrap_or(self.mode), files).with_private_parts(private)
    }

    /// The same settings with another `application_name`.
    #[must_use]
    pub fn with_application_name(mut self, name: &str) -> Self {
        self.config.application_name(name);
        self
    }

    /// Host and port for messages; no user, no password. Where they are secrets, who they belong to.
    pub fn address(&self) -> String {
        if self.private {
            return "the server of spec.connection".to_owned();
        }
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => format!("{host}:{port}"),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => format!("localhost:{port}"),
        }
    }

    /// Connects and spawns the connection's task.
    ///
    /// # Errors
    /// [`ConnectError`] with its class.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        self.connect_and_hear().await.map(|(client, _)| client)
    }

    /// As [`Self::connect`], with the warnings that the server sends.
    ///
    /// # Errors
    /// [`ConnectError`] with its class.
    pub async fn connect_and_hear(&self) -> Result<(Client, Warnings), ConnectError> {
        let warnings = Warnings::default();
        if self.mode == TlsMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await.map_err(|error| self.explain(&error))?;
            spawn(connection, warnings.clone());
            return Ok((client, warnings));
        }
        let tls = self.tls()?;
        let (client, connection) = self.config.connect(tls).await.map_err(|error| self.explain(&error))?;
        spawn(connection, warnings.clone());
        Ok((client, warnings))
    }

    /// As [`Self::connect`], for reading the catalog, which timeouts of the role or the database shall not end.
    ///
    /// # Errors
    /// [`ConnectError`] with its class.
    pub async fn connect_to_read(&self) -> Result<Client, ConnectError> {
        const WITHOUT_TIMEOUTS: &str = "\
            SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN \
            ('statement_timeout', 'transaction_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout')";
        let client = self.connect().await?;
        client.batch_execute(WITHOUT_TIMEOUTS).await.map_err(|error| self.explain(&error))?;
        Ok(client)
    }

    /// Asks the server to cancel what the token's session is running.
    ///
    /// # Errors
    /// [`ConnectError`] when the request cannot be delivered.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), ConnectError> {
        let sent = if self.mode == TlsMode::Disable {
            token.cancel_query(NoTls).await
        } else {
            token.cancel_query(self.tls()?).await
        };
        sent.map_err(|error| self.explain(&error))
    }

    fn tls(&self) -> Result<MakeRustlsConnect, ConnectError> {
        let config = client_config(self.mode, &self.files)
            .map_err(|error: TlsError| ConnectError { kind: ConnectErrorKind::Tls, message: error.to_string() })?;
        Ok(MakeRustlsConnect::new(config))
    }

    fn explain(&self, error: &tokio_postgres::Error) -> ConnectError {
        let address = self.address();
        let (kind, message) = match error.as_db_error() {
            Some(server) => {
                let code = server.code().code();
                let kind = match code {
                    "28P01" | "28000" => ConnectErrorKind::Authentication,
                    "3D000" => ConnectErrorKind::NoSuchDatabase,
                    "53300" => ConnectErrorKind::TooManyConnections,
                    "57P03" | "57P01" | "57P02" => ConnectErrorKind::Unreachable,
                    _ => ConnectErrorKind::Other,
                };
                let said = if self.private { refusal(kind) } else { server.message() };
                (kind, format!("{address} refuses the connection: {said} ({code})"))
            }
            None => {
                let cause = describe(error);
                let tls = cause.contains("certificate") || cause.contains("TLS") || cause.contains("tls");
                let kind = if tls { ConnectErrorKind::Tls } else { ConnectErrorKind::Unreachable };
                // The driver's word for a server without TLS.
                let advice = if cause.contains("server does not support TLS") {
                    "; if that is meant, add sslmode=disable to the URL, or set spec.tls.mode: Disable in the Database"
                } else {
                    ""
                };
                let cause = if self.private { silence(error, kind) } else { cause };
                (kind, format!("cannot connect to {address}: {cause}{advice}"))
            }
        };
        ConnectError { kind, message }
    }
}

/// Why a server refuses, without the names that it repeats.
fn refusal(kind: ConnectErrorKind) -> &'static str {
    match kind {
        ConnectErrorKind::Authentication => "it does not take this user with this password from here",
        ConnectErrorKind::NoSuchDatabase => "the database does not exist",
        ConnectErrorKind::TooManyConnections => "it has no connection left",
        ConnectErrorKind::Unreachable => "it is starting or stopping",
        ConnectErrorKind::Tls | ConnectErrorKind::Other => "its log says why",
    }
}

/// Why no server answers, without the names that resolver and TLS repeat.
fn silence(error: &tokio_postgres::Error, kind: ConnectErrorKind) -> String {
    if kind == ConnectErrorKind::Tls {
        return "there is no TLS with it: it has none, or its certificate is not trusted or for another host name"
            .to_owned();
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        match inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(std::io::ErrorKind::Other) | None => cause = inner.source(),
            // A name that cannot be resolved has no kind of its own.
            Some(kind) => return kind.to_string().replace("uncategorized error", "its host name cannot be resolved"),
        }
    }
    "it does not answer as PostgreSQL does".to_owned()
}

/// SQLSTATEs of warnings that say that a statement has not done what it says, which the server lets pass as a success.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Option<String>>>);

impl Warnings {
    /// `privilege_not_granted` and `privilege_not_revoked`.
    const HEARD: [&str; 2] = ["01007", "01006"];

    fn hear(&self, sqlstate: &str) {
        if Self::HEARD.contains(&sqlstate) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| sqlstate.to_owned());
        }
    }

    /// The first since it was last asked. The server sends a warning before the end of the statement that it is about.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn spawn<S, T>(mut connection: tokio_postgres::Connection<S, T>, warnings: Warnings)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        while let Some(message) = std::future::poll_fn(|task| connection.poll_message(task)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) => warnings.hear(notice.code().code()),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(error = %describe(&error), "database connection ended");
                    break;
                }
            }
        }
    });
}

/// An error with its causes, outermost first.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// `mysql`, `jdbc:postgresql`, ...; a key/value string may have `://` in a value only.
fn is_other_scheme(text: &str) -> bool {
    !matches!(text, "postgres" | "postgresql") && !text.contains(|c: char| c == '=' || c.is_whitespace())
}

fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// Whether host or database seem to hold the end of a password: neither may have an `@` as it is.
fn is_unescaped(text: &str, config: &Config) -> bool {
    let base = text.split_once('?').map_or(text, |(base, _)| base);
    is_url(text) && base.matches('@').count() > 1
        || config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@')))
}

fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts();
    hosts.iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    })
}

#[derive(Default)]
struct TlsOptions {
    mode: Option<String>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl TlsOptions {
    /// Keeps the option when it is one that the driver does not know.
    fn take(&mut self, name: &str, value: String) -> bool {
        let slot = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            "sslcert" => &mut self.certificate,
            "sslkey" => &mut self.key,
            _ => return false,
        };
        *slot = Some(value);
        true
    }
}

/// Splits off the options that the driver would refuse to read.
fn take_tls_options(url: &str) -> (String, TlsOptions) {
    let mut options = TlsOptions::default();
    if is_url(url) {
        let Some((base, query)) = url.split_once('?') else {
            return (url.to_owned(), options);
        };
        let kept: Vec<&str> = query
            .split('&')
            .filter(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                !options.take(name, percent_decode(value))
            })
            .collect();
        let rest = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        return (rest, options);
    }
    let kept: Vec<&str> = words(url)
        .into_iter()
        .filter(|word| {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            !options.take(name.trim(), unquote(value.trim()))
        })
        .collect();
    (kept.join(" "), options)
}

/// Splits `key=value key='a value'` at blanks outside quotes.
fn words(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut quoted, mut escaped) = (None, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if let Some(from) = start.take() {
                    found.push(&text[from..at]);
                }
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    if let Some(from) = start {
        found.push(&text[from..]);
    }
    found
}

fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(value);
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    text
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_by_default_except_on_this_machine() {
        for (url, mode) in [
            ("postgres://u@db.example.com/x", TlsMode::VerifyFull),
            ("postgres://u@127.0.0.1:54018/x", TlsMode::Prefer),
            ("postgres://u@localhost/x", TlsMode::Prefer),
            ("postgresql:///x?host=/run/postgresql", TlsMode::Prefer),
            ("postgres://u@db/x?sslmode=require&application_name=a", TlsMode::Require),
            ("host=db user=u sslmode=verify-ca", TlsMode::VerifyCa),
            ("host=db user=u password='a b\\'c' sslmode='disable'", TlsMode::Disable),
        ] {
            assert_eq!(Settings::from_url(url).map(|s| s.mode).unwrap(), mode, "{url}");
        }
    }

    #[test]
    fn a_url_that_leads_nowhere_is_told_as_such() {
        for (url, part) in [
            ("", "is empty"),
            (" ", "is empty"),
            ("postgres://u:canary@/db", "names no host"),
            ("dbname=x", "names no host"),
            ("mysql://u:canary@h/db", "postgres://"),
            ("jdbc:postgresql://h/db", "postgres://"),
            ("postgres://u:a@canary#1@127.0.0.1:5432/x", "percent-encode"),
            ("postgres://u:a@canary/1@127.0.0.1:5432/x", "percent-encode"),
            ("postgres://u:a@b?canary=1@127.0.0.1:5432/x", "percent-encode"),
            ("host=canary@h user=u", "percent-encode"),
        ] {
            let error = Settings::from_url(url).err().unwrap().to_string();
            assert!(error.contains(part) && !error.contains("canary"), "{url}: {error}");
        }
        assert!(Settings::from_url("host=db user=u password='a://b'").is_ok());
        assert!(Settings::from_url("postgres://u:a%40b%23@h/x?application_name=a@b").is_ok());
    }

    #[tokio::test]
    async fn private_parts_are_in_no_message() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (text, part) in [
            ("host=canary.invalid dbname=canary user=canary sslmode=require".to_owned(), "cannot connect"),
            (format!("host=127.0.0.1 port={} user=canary", closed.port()), "connection refused"),
        ] {
            let settings =
                Settings::from_url(&text).unwrap().with_private_parts(true).with_tls(None, TlsFiles::default());
            let error = settings.connect().await.err().unwrap().message;
            assert!(error.contains(part) && error.contains("the server of spec.connection"), "{error}");
            assert!(!error.contains("canary") && !error.contains(&closed.port().to_string()), "{error}");
        }
    }

    #[test]
    fn other_options_reach_the_driver() {
        let settings = Settings::from_url("host=db user=u password='a b' sslmode=disable connect_timeout=3").unwrap();
        assert_eq!(settings.config.get_password(), Some(&b"a b"[..]));
        assert_eq!(settings.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    }

    #[test]
    fn errors_do_not_repeat_the_password() {
        let error = Settings::from_url("postgres://u:canary@h/x?sslmode=maybe").err().unwrap();
        assert!(!error.to_string().contains("canary"));
        let error = Settings::from_url("postgres://u:canary@h/x?nonsense=1").err().unwrap();
        assert!(!error.to_string().contains("canary"));
    }
}
