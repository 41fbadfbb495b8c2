//! The parts of a connection from a mounted folder (`url`, or `host port dbname user password`; `ca.crt tls.crt
//! tls.key`) and from `WESLEY_DATABASE_HOST`, `_PORT`, `_DBNAME`, `_USER`, `_TLS_MODE` for those given in the open.

use std::path::Path;

use crate::run::connect::{InvalidUrl, Settings};
use crate::run::error::{Reason, RunError};
use crate::run::tls::{TlsFiles, TlsMode};

/// Reads them.
pub(super) fn settings(folder: &Path) -> Result<Settings, RunError> {
    from_parts(folder, |name| std::env::var(name).ok())
}

fn from_parts(folder: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Settings, RunError> {
    require_secrets(folder, &environment("WESLEY_DATABASE_SECRETS").unwrap_or_default())?;
    let files = TlsFiles {
        roots: bytes(folder, "ca.crt")?,
        identity: match (bytes(folder, "tls.crt")?, bytes(folder, "tls.key")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(invalid("tls.crt and tls.key belong together: one of them is missing")),
        },
    };
    let mode = environment("WESLEY_DATABASE_TLS_MODE").map(|text| tls_mode(&text)).transpose()?;
    if let Some(url) = text(folder, "url")? {
        let settings = Settings::from_url(&url).map_err(|error| match error {
            // The driver names the option that it does not know, which may be any text that ends in `=`.
            InvalidUrl::Unreadable(_) => {
                invalid("url cannot be read: it must be postgres://user:password@host:port/database")
            }
            error => invalid(&error.to_string()),
        })?;
        // Without a mode of its own the URL's counts, and the files are used with it.
        return Ok(settings.with_tls(mode, files).with_private_parts(true));
    }
    let part = |file: &str, variable: &str| -> Result<Option<String>, RunError> {
        Ok(text(folder, file)?.or_else(|| environment(variable)).filter(|value| !value.is_empty()))
    };
    let mut config = tokio_postgres::Config::new();
    let host = part("host", "WESLEY_DATABASE_HOST")?.ok_or_else(|| invalid("host is missing"))?;
    if host.starts_with('/') {
        config.host_path(host)
    } else {
        config.host(host)
    };
    if let Some(port) = part("port", "WESLEY_DATABASE_PORT")? {
        config.port(port.parse().map_err(|_| invalid("port is not a number from 1 to 65535"))?);
    }
    config.dbname(part("dbname", "WESLEY_DATABASE_DBNAME")?.ok_or_else(|| invalid("dbname is missing"))?);
    config.user(part("user", "WESLEY_DATABASE_USER")?.ok_or_else(|| invalid("user is missing"))?);
    if let Some(password) = text(folder, "password")? {
        config.password(password);
    }
    let private = ["host", "port", "dbname", "user"].iter().any(|part| folder.join(part).exists());
    Ok(Settings::new(config, mode.unwrap_or(TlsMode::VerifyFull), files).with_private_parts(private))
}

/// The files that are expected, as `file=secret/key,...`: the kubelet leaves out what does not exist.
fn require_secrets(folder: &Path, expected: &str) -> Result<(), RunError> {
    let missing: Vec<String> = expected
        .split(',')
        .filter_map(|entry| entry.split_once('='))
        .filter(|(file, _)| !folder.join(file).exists())
        .filter_map(|(_, place)| place.split_once('/'))
        .map(|(secret, key)| format!("the Secret {secret} does not exist or has no key {key}"))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(invalid(&missing.join("; "))) }
}

/// As the resource spells it (`VerifyFull`) or as libpq does (`verify-full`).
fn tls_mode(text: &str) -> Result<TlsMode, RunError> {
    match text.to_lowercase().replace('-', "").as_str() {
        "verifyfull" => Ok(TlsMode::VerifyFull),
        "verifyca" => Ok(TlsMode::VerifyCa),
        "require" => Ok(TlsMode::Require),
        "prefer" => Ok(TlsMode::Prefer),
        "allow" => Ok(TlsMode::Allow),
        "disable" => Ok(TlsMode::Disable),
        _ => Err(invalid("the TLS mode is not one of VerifyFull, VerifyCA, Require, Prefer, Disable")),
    }
}

/// A file's text without the line end that editors leave in Secrets; `None` when there is no such file.
fn text(folder: &Path, name: &str) -> Result<Option<String>, RunError> {
    let Some(bytes) = bytes(folder, name)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| invalid(&format!("{name} is not UTF-8")))?;
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

fn bytes(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, RunError> {
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(invalid(&format!("{name} cannot be read: {error}"))),
    }
}

fn invalid(what: &str) -> RunError {
    RunError::new(Reason::ConnectionInvalid, format!("the Database's connection: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn parts_come_from_files_and_environment() {
        let environment = |name: &str| match name {
            "WESLEY_DATABASE_HOST" => Some("db.example.com".into()),
            "WESLEY_DATABASE_PORT" => Some("6432".into()),
            "WESLEY_DATABASE_DBNAME" => Some("shop".into()),
            "WESLEY_DATABASE_USER" => Some("app".into()),
            _ => None,
        };
        let parts = folder(&[("password", "canary\n")]);
        assert_eq!(from_parts(parts.path(), environment).unwrap().address(), "db.example.com:6432");
        let parts = folder(&[("password", "canary\n"), ("user", "app\n")]);
        assert_eq!(from_parts(parts.path(), environment).unwrap().address(), "the server of spec.connection");
    }

    #[test]
    fn a_secret_that_is_no_url_is_not_repeated() {
        for secret in ["canary=", "canary", "canary=1 x", "postgres://h/x?canary=1", "://canary", "host=canary canary="]
        {
            let parts = folder(&[("url", secret)]);
            let error = from_parts(parts.path(), |_| None).err().unwrap();
            assert!(!error.message.contains("canary") && error.message.contains("postgres://"), "{secret}: {error}");
        }
    }

    #[tokio::test]
    async fn parts_of_secrets_are_in_no_message() {
        for (part, file) in [("host", "canary.invalid"), ("dbname", "canary"), ("user", "canary"), ("url", "")] {
            let text = if part == "url" { "postgres://canary:canary@canary.invalid/canary" } else { file };
            let settings = from_parts(folder(&[(part, text)]).path(), |name| match name {
                "WESLEY_DATABASE_HOST" => Some("canary.invalid".into()),
                "WESLEY_DATABASE_DBNAME" | "WESLEY_DATABASE_USER" => Some("canary".into()),
                _ => None,
            });
            let error = settings.unwrap().connect().await.err().unwrap().message;
            assert!(error.contains("spec.connection") && !error.contains("canary"), "{part}: {error}");
        }
    }

    #[test]
    fn missing_secrets_are_named() {
        let parts = folder(&[("host", "h"), ("user", "u")]);
        let error = from_parts(parts.path(), |name| {
            (name == "WESLEY_DATABASE_SECRETS")
                .then(|| "host=shop/host,password=shop-db/pw,ca.crt=ca/root.pem".to_owned())
        });
        let error = error.err().unwrap();
        assert_eq!(error.reason, Reason::ConnectionInvalid);
        assert!(error.message.contains("the Secret shop-db does not exist or has no key pw"), "{error}");
        assert!(error.message.contains("ca") && !error.message.contains("no key host"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named_without_values() {
        let parts = folder(&[("password", "canary"), ("host", "h"), ("user", "u")]);
        let error = from_parts(parts.path(), |_| None).err().unwrap();
        assert_eq!(error.reason, Reason::ConnectionInvalid);
        assert!(error.message.contains("dbname is missing") && !error.message.contains("canary"));
        let url = folder(&[("url", "postgres://u:canary@h/x?sslmode=never")]);
        let error = from_parts(url.path(), |_| None).err().unwrap();
        assert!(error.message.contains("sslmode") && !error.message.contains("canary"), "{error}");
    }

    #[test]
    fn modes_are_spelled_both_ways() {
        assert_eq!(tls_mode("VerifyCA").unwrap(), TlsMode::VerifyCa);
        assert_eq!(tls_mode("verify-full").unwrap(), TlsMode::VerifyFull);
        assert!(tls_mode("sometimes").is_err());
    }
}
