//! The TLS modes of libpq, client certificates and channel binding, each against a server that insists on them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod run_support;

use run_support::binary::Program;
use run_support::certificates::{Certificates, install};
use run_support::end_majors;
use run_support::server::Server;
use wesley::run::connect::{ConnectErrorKind, Settings};

/// A server with a certificate for `localhost` alone, whose `owner` has a password and whose `certified` has none.
/// Neither may come in unencrypted.
async fn encrypted(major: u16, certificates: &Certificates) -> Server {
    certificates.authority("authority");
    certificates.authority("stranger");
    certificates.certificate("server", "authority", "server", "DNS:localhost");
    certificates.certificate("certified", "authority", "certified", "");
    certificates.certificate("somebody", "authority", "somebody", "");
    let mut server = Server::start(major, "password_encryption = 'scram-sha-256'").await;
    let admin = server.admin("postgres").await;
    for sql in [
        "CREATE ROLE owner LOGIN PASSWORD 'secret'",
        "CREATE ROLE certified LOGIN",
        "GRANT certified TO owner",
        "CREATE DATABASE shop OWNER certified",
    ] {
        admin.batch_execute(sql).await.unwrap();
    }
    server.stop("INT");
    let data = server.data();
    for (from, to) in [("server.crt", "server.crt"), ("server.key", "server.key"), ("authority.crt", "root.crt")] {
        install(&certificates.path(from), &data, to);
    }
    let settings = data.join("postgresql.conf");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, format!("{text}\nssl = on\nssl_ca_file = 'root.crt'\n")).unwrap();
    let rules = "hostssl shop owner 127.0.0.1/32 scram-sha-256\n\
                 hostssl shop certified 127.0.0.1/32 cert\n\
                 host all postgres 127.0.0.1/32 trust\n";
    std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
    server.launch();
    server.admin("postgres").await;
    server
}

/// How the session is encrypted, as the server sees it, or the class of the error.
async fn connects(url: &str) -> Result<bool, ConnectErrorKind> {
    let client = Settings::from_url(url).unwrap().connect().await.map_err(|error| error.kind)?;
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(client.query_one(encrypted, &[]).await.unwrap().get(0))
}

#[tokio::test]
async fn every_mode_verifies_what_libpq_verifies() {
    for major in end_majors() {
        let certificates = Certificates::new();
        let server = encrypted(major, &certificates).await;
        let file = |name: &str| certificates.path(name).display().to_string();
        let root = format!("sslrootcert={}", file("authority.crt"));
        let other = format!("sslrootcert={}", file("stranger.crt"));
        let identity =
            |name: &str| format!("sslcert={}&sslkey={}", file(&format!("{name}.crt")), file(&format!("{name}.key")));
        let certified = format!("{root}&{}", identity("certified"));
        let somebody = format!("{root}&{}", identity("somebody"));
        let (owner, nobody) = ("owner:secret", "certified");
        let (named, unnamed) = ("localhost", "127.0.0.1");
        let (tls, refused) = (Err(ConnectErrorKind::Tls), Err(ConnectErrorKind::Authentication));
        for (user, host, options, expected) in [
            (owner, named, format!("sslmode=verify-full&{root}"), Ok(true)),
            (owner, unnamed, format!("sslmode=verify-full&{root}"), tls),
            (owner, named, format!("sslmode=verify-full&{other}"), tls),
            (owner, named, "sslmode=verify-full".to_owned(), tls),
            (owner, unnamed, format!("sslmode=verify-ca&{root}"), Ok(true)),
            (owner, unnamed, format!("sslmode=verify-ca&{other}"), tls),
            (owner, unnamed, format!("sslmode=require&{other}"), tls),
            (owner, unnamed, "sslmode=require".to_owned(), Ok(true)),
            (owner, unnamed, "sslmode=prefer".to_owned(), Ok(true)),
            (owner, unnamed, "sslmode=disable".to_owned(), refused),
            (owner, named, format!("sslmode=verify-full&{root}&channel_binding=require"), Ok(true)),
            ("owner:wrong", named, format!("sslmode=verify-full&{root}"), refused),
            (nobody, named, format!("sslmode=verify-full&{certified}"), Ok(true)),
            (nobody, named, format!("sslmode=verify-full&{somebody}"), refused),
        ] {
            let url = format!("postgres://{user}@{host}:{}/shop?{options}", server.port);
            assert_eq!(connects(&url).await, expected, "{major}: {user}@{host} {options}");
        }
        // Without a certificate where one is demanded, and without encryption where binding is: which of its two sides
        // tells is the server's choice.
        for (user, options) in [
            (nobody, format!("sslmode=verify-full&{root}")),
            (nobody, format!("sslmode=verify-full&{certified}&channel_binding=require")),
            (owner, "sslmode=disable&channel_binding=require".to_owned()),
        ] {
            let url = format!("postgres://{user}@{named}:{}/shop?{options}", server.port);
            assert!(connects(&url).await.is_err(), "{major}: {user} {options}");
        }

        // A whole change, with nothing but a certificate.
        let url = format!("postgres://{nobody}@{named}:{}/shop?sslmode=verify-full&{certified}", server.port);
        let program = Program::new(&url, "m", "CREATE TABLE orders (id bigint PRIMARY KEY);");
        for verb in ["apply", "rollback"] {
            let ended = program.run(verb, None);
            assert_eq!(ended.code, Some(0), "{major}: {verb}: {}", ended.stderr);
        }
    }
}
