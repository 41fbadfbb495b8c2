//! What the API server says about good and bad manifests: the message that a user sees at `kubectl apply`.
//!
//! Needs a cluster: the current context of `WESLEY_KUBECONFIG` or `KUBECONFIG`, with rights on resource definitions
//! and namespaces.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, ValidationDirective,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// A manifest of the table: its documents in the order they are applied, and what the last one is answered.
struct Case {
    name: String,
    documents: Vec<Value>,
    says: Vec<String>,
}

fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifests").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| case(file)).collect()
}

fn case(file: &Path) -> Case {
    let text = std::fs::read_to_string(file).unwrap();
    let says = text.lines().filter_map(|line| line.strip_prefix("# says: ")).map(str::to_owned).collect();
    let documents = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
        .collect();
    Case { name: file.file_stem().unwrap().to_string_lossy().into_owned(), documents, says }
}

async fn client() -> Client {
    let file = std::env::var("WESLEY_KUBECONFIG")
        .or_else(|_| std::env::var("KUBECONFIG"))
        .expect("WESLEY_KUBECONFIG or KUBECONFIG names a cluster for tests; ./e2e/up makes one");
    let kubeconfig = Kubeconfig::read_from(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let options = KubeConfigOptions { context: std::env::var("WESLEY_TEST_CONTEXT").ok(), ..Default::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a usable kubeconfig");
    Client::try_from(config).expect("a client")
}

fn apply() -> PatchParams {
    PatchParams::apply("wesley-tests").force()
}

/// The definitions as they are in the types now, served by the API server.
async fn install_definitions(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (plural, definition) in wesley::api::schema::definitions().unwrap() {
        let name = format!("{plural}.wesley.dev");
        api.patch(&name, &apply(), &Patch::Apply(&definition)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let established =
            kube::runtime::wait::await_condition(api.clone(), &name, kube::runtime::conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(30), established).await.expect("in time").expect("established");
    }
}

/// A namespace of its own, without what an earlier test left in it.
async fn fresh_namespace(client: &Client, name: &str) {
    let api: Api<Namespace> = Api::all(client.clone());
    if api.get_opt(name).await.unwrap().is_some() {
        let _ = api.delete(name, &DeleteParams::default()).await;
        let gone = kube::runtime::wait::await_condition(api.clone(), name, |found: Option<&Namespace>| found.is_none());
        tokio::time::timeout(Duration::from_secs(60), gone).await.expect("in time").expect("deleted");
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    api.patch(name, &apply(), &Patch::Apply(&namespace)).await.expect("a namespace");
}

/// Applies a document; the server's message when it refuses.
async fn answer(client: &Client, namespace: &str, document: &Value, dry_run: bool) -> Result<(), String> {
    let kind = document["kind"].as_str().unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("wesley.dev", "v1alpha1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let mut params = apply().validation(ValidationDirective::Strict);
    params.dry_run = dry_run;
    match api.patch(document["metadata"]["name"].as_str().unwrap(), &params, &Patch::Apply(document)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(other) => panic!("the API server does not answer: {other}"),
    }
}

/// Applies all documents, the last one as a dry run.
async fn judge(client: &Client, namespace: &str, case: &Case) -> Result<(), String> {
    let (last, earlier) = case.documents.split_last().unwrap();
    for document in earlier {
        answer(client, namespace, document, false).await.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    answer(client, namespace, last, true).await
}

#[tokio::test]
async fn manifests() {
    let client = client().await;
    let namespace = "wesley-test-manifests";
    install_definitions(&client).await;
    fresh_namespace(&client, namespace).await;
    let mut wrong = Vec::new();
    let (bad, good) = (cases("bad"), cases("good"));
    assert!(bad.len() >= 40, "{} bad manifests", bad.len());
    for case in &bad {
        assert!(!case.says.is_empty(), "{} does not say what is expected", case.name);
        match judge(&client, namespace, case).await {
            Ok(()) => wrong.push(format!("{} is accepted", case.name)),
            Err(message) => {
                let missing = case.says.iter().filter(|part| !message.contains(part.as_str()));
                wrong.extend(missing.map(|part| format!("{}: no {part:?} in {message:?}", case.name)));
            }
        }
    }
    for case in &good {
        if let Err(message) = judge(&client, namespace, case).await {
            wrong.push(format!("{} is refused: {message}", case.name));
        }
    }
    let api: Api<Namespace> = Api::all(client);
    let _ = api.delete(namespace, &DeleteParams::default()).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table itself: what the API server is asked is what the types can read.
#[test]
fn good_manifests_are_read() {
    for case in cases("good") {
        for document in &case.documents {
            let read = match document["kind"].as_str().unwrap() {
                "Migration" => serde_json::from_value::<wesley::api::Migration>(document.clone()).map(drop),
                "Database" => serde_json::from_value::<wesley::api::Database>(document.clone()).map(drop),
                "ValidationWindow" => {
                    serde_json::from_value::<wesley::api::ValidationWindow>(document.clone()).map(drop)
                }
                _ => serde_json::from_value::<wesley::api::MigrationPlan>(document.clone()).map(drop),
            };
            assert!(read.is_ok(), "{}: {read:?}", case.name);
        }
    }
}
