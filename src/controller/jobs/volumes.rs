//! What is mounted: the secret parts of the connection, the SQL, and a place for temporary files.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, EmptyDirVolumeSource, KeyToPath, ProjectedVolumeSource, SecretProjection, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{
    BACKFILL_KEY, CHECKS_KEY, GUARDS_KEY, Request, SQL_KEY, backfill_config_map_name, checks, guards, may_backfill,
    sql_config_map_name,
};
use crate::api::reference::SecretKeyRef;
use crate::api::{Database, DatabaseSpec};
use crate::controller::migration::observed::SourceMount;
use crate::report::RunAction;

/// Where the parts of the connection are.
pub const DATABASE_FOLDER: &str = "/var/run/wesley/database";

/// Where the SQL is.
pub const SOURCE_FOLDER: &str = "/var/run/wesley/source";

/// Where the guards are.
pub const GUARDS_FOLDER: &str = "/var/run/wesley/guards";

/// Where the checks are.
pub const CHECKS_FOLDER: &str = "/var/run/wesley/checks";

/// Where `spec.backfill` is. What the ConfigMap says later comes into the same file.
pub const BACKFILL_FOLDER: &str = "/var/run/wesley/backfill";

/// Owner and group may read; the pod's group is that of the process.
const MODE: i32 = 0o440;

/// A secret part of the connection and the file it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretFile {
    /// File name in the folder.
    pub path: &'static str,
    /// Name of the Secret.
    pub secret: String,
    /// Key in the Secret.
    pub key: String,
}

/// The secret parts of a connection.
pub(super) fn secret_files(spec: &DatabaseSpec) -> Vec<SecretFile> {
    let connection = &spec.connection;
    let tls = &spec.tls;
    let client = tls.client_cert_secret_ref.as_ref();
    let client_key = |key: &str| client.map(|secret| SecretKeyRef { name: secret.name.clone(), key: key.to_owned() });
    let text = |source: &Option<crate::api::reference::TextSource>| {
        source.as_ref().and_then(|source| source.secret_key_ref.clone())
    };
    let secret = |source: &Option<crate::api::reference::SecretSource>| {
        source.as_ref().map(|source| source.secret_key_ref.clone())
    };
    [
        ("url", secret(&connection.url)),
        ("host", text(&connection.host)),
        ("port", connection.port.as_ref().and_then(|port| port.secret_key_ref.clone())),
        ("dbname", text(&connection.dbname)),
        ("user", text(&connection.user)),
        ("password", secret(&connection.password)),
        ("ca.crt", tls.ca_secret_ref.clone()),
        ("tls.crt", client_key("tls.crt")),
        ("tls.key", client_key("tls.key")),
    ]
    .into_iter()
    .filter_map(|(path, reference)| {
        let reference = reference?;
        Some(SecretFile { path, secret: reference.name, key: reference.key })
    })
    .collect()
}

/// A place for temporary files, and the secret parts of the connection.
pub(super) fn connection(database: &Database) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut volumes = vec![Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit: Some(Quantity("64Mi".to_owned())), medium: None }),
        ..Volume::default()
    }];
    let mut mounts = vec![mount("tmp", "/tmp", false)];
    let secrets = secret_files(&database.spec);
    if !secrets.is_empty() {
        let sources = secrets.into_iter().map(|file| VolumeProjection {
            secret: Some(SecretProjection {
                name: file.secret,
                items: Some(vec![KeyToPath { key: file.key, path: file.path.to_owned(), mode: None }]),
                // What is missing is named by the runner; a pod that waits for it says nothing to anybody.
                optional: Some(true),
            }),
            ..VolumeProjection::default()
        });
        volumes.push(projected("database", sources.collect()));
        mounts.push(mount("database", DATABASE_FOLDER, true));
    }
    (volumes, mounts)
}

/// File name of a part of the SQL.
pub(super) fn source_file(index: usize, key: &str) -> String {
    format!("{index:04}-{key}")
}

/// The same for the run of a Migration, with what it is told in files.
pub(super) fn volumes(request: &Request<'_>) -> (Vec<Volume>, Vec<VolumeMount>) {
    let (mut volumes, mut mounts) = connection(request.database);
    if request.run.action == RunAction::Plan
        && let Some((digest, source)) = request.source
    {
        let keys = match source {
            SourceMount::Inline => vec![(sql_config_map_name(request.migration, digest), SQL_KEY.to_owned())],
            SourceMount::Keys(keys) => keys.clone(),
        };
        let sources = keys.into_iter().enumerate().map(|(index, (name, key))| VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name,
                // The runner reads files in the order of their names.
                items: Some(vec![KeyToPath { path: source_file(index, &key), key, mode: None }]),
                optional: None,
            }),
            ..VolumeProjection::default()
        });
        volumes.push(projected("source", sources.collect()));
        mounts.push(mount("source", SOURCE_FOLDER, true));
    }
    let checks = checks(request.migration).filter(|_| request.run.action == RunAction::Plan);
    let backfill = may_backfill(request.run.action).then(|| backfill_config_map_name(request.migration));
    let files = [
        ("checks", checks.map(|(name, _)| name), CHECKS_KEY, CHECKS_FOLDER),
        ("guards", guards(request).map(|(name, _)| name), GUARDS_KEY, GUARDS_FOLDER),
        ("backfill", backfill, BACKFILL_KEY, BACKFILL_FOLDER),
    ];
    for (volume, made, key, folder) in files {
        let Some(name) = made else { continue };
        let items = vec![KeyToPath { path: key.to_owned(), key: key.to_owned(), mode: None }];
        // A run does not fail because somebody has deleted what tunes it.
        let optional = (volume == "backfill").then_some(true);
        let source = ConfigMapProjection { name, items: Some(items), optional };
        let source = VolumeProjection { config_map: Some(source), ..VolumeProjection::default() };
        volumes.push(projected(volume, vec![source]));
        mounts.push(mount(volume, folder, true));
    }
    (volumes, mounts)
}

fn projected(name: &str, sources: Vec<VolumeProjection>) -> Volume {
    Volume {
        name: name.to_owned(),
        projected: Some(ProjectedVolumeSource { default_mode: Some(MODE), sources: Some(sources) }),
        ..Volume::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}
