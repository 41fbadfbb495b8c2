//! The chart's admission policies, asked of a real API server: who may approve what.
//!
//! Needs a cluster (`WESLEY_KUBECONFIG` or `KUBECONFIG`, with all rights) and Helm (`WESLEY_HELM`, or `helm`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

const NAMESPACE: &str = "wesley-test-admission";
const EDITOR: &str = "carol";

async fn client(user: Option<&str>) -> Client {
    let file = std::env::var("WESLEY_KUBECONFIG")
        .or_else(|_| std::env::var("KUBECONFIG"))
        .expect("WESLEY_KUBECONFIG or KUBECONFIG names a cluster for tests; ./e2e/up makes one");
    let kubeconfig = Kubeconfig::read_from(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let options = KubeConfigOptions { context: std::env::var("WESLEY_TEST_CONTEXT").ok(), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a usable kubeconfig");
    if let Some(user) = user {
        config.auth_info.impersonate = Some(user.to_owned());
        // Everybody may do everything, but for one who may write Migrations only.
        let group = if user == EDITOR { "system:authenticated" } else { "system:masters" };
        config.auth_info.impersonate_groups = Some(vec![group.to_owned()]);
    }
    Client::try_from(config).expect("a client")
}

fn api(client: &Client, group_version: (&str, &str), kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group_version.0, group_version.1, kind));
    match kind {
        "Migration" | "MigrationPlan" | "Role" | "RoleBinding" => {
            Api::namespaced_with(client.clone(), NAMESPACE, &resource)
        }
        _ => Api::all_with(client.clone(), &resource),
    }
}

/// The chart's policies, under names of their own and for one namespace only.
fn policies() -> Vec<Value> {
    let helm = std::env::var("WESLEY_HELM").unwrap_or_else(|_| "helm".to_owned());
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/wesley");
    let made = Command::new(helm)
        .args(["template", "wesley-test", &chart.display().to_string(), "--kube-version", "1.34.0"])
        .args(["--set", "admission.approvals=ByAnother", "--set", "crds.install=false"])
        .output()
        .expect("helm runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout).unwrap();
    let documents = text.split("\n---\n").filter_map(|text| serde_saphyr::from_str::<Value>(text).ok());
    let mut found: Vec<Value> = documents
        .filter(|object| object["kind"].as_str().is_some_and(|kind| kind.starts_with("ValidatingAdmissionPolicy")))
        .collect();
    for object in &mut found {
        if object["kind"] == "ValidatingAdmissionPolicyBinding" {
            object["spec"]["matchResources"] =
                json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}});
        }
    }
    found
}

fn apply() -> PatchParams {
    PatchParams::apply("wesley-tests").force()
}

fn refusal<T>(answer: kube::Result<T>) -> String {
    match answer {
        Ok(_) => "accepted".to_owned(),
        Err(kube::Error::Api(status)) => status.message,
        Err(other) => panic!("the API server does not answer: {other}"),
    }
}

fn migration(author: Option<&str>, sql: &str) -> Value {
    let mut object = json!({
        "apiVersion": "wesley.dev/v1alpha1", "kind": "Migration", "metadata": {"name": "orders"},
        "spec": {"databaseRef": {"name": "shop"}, "source": {"sql": sql}, "approval": "Required"},
    });
    if let Some(author) = author {
        object["metadata"]["annotations"] = json!({"wesley.dev/author": author});
    }
    object
}

async fn write(user: &str, object: &Value) -> String {
    let migrations = api(&client(Some(user)).await, ("wesley.dev", "v1alpha1"), "Migration");
    refusal(migrations.patch("orders", &apply(), &Patch::Apply(object)).await)
}

async fn approve(user: &str, plan: &str, by: &str, decision: &str) -> String {
    let plans = api(&client(Some(user)).await, ("wesley.dev", "v1alpha1"), "MigrationPlan");
    let patch = json!({"status": {"approval": {"decision": decision, "by": by}}});
    refusal(plans.patch_status(plan, &PatchParams::default(), &Patch::Merge(patch)).await)
}

async fn prepare(client: &Client) {
    for (plural, definition) in wesley::api::schema::definitions().unwrap() {
        let definitions = api(client, ("apiextensions.k8s.io", "v1"), "CustomResourceDefinition");
        let name = format!("{plural}.wesley.dev");
        definitions
            .patch(&name, &apply(), &Patch::Apply(definition))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    api(client, ("", "v1"), "Namespace").patch(NAMESPACE, &apply(), &Patch::Apply(namespace)).await.unwrap();
    let rbac = ("rbac.authorization.k8s.io", "v1");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "editor"},
        "rules": [{"apiGroups": ["wesley.dev"], "resources": ["migrations"], "verbs": ["*"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "editor"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "editor"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": EDITOR}],
    });
    api(client, rbac, "Role").patch("editor", &apply(), &Patch::Apply(role)).await.unwrap();
    api(client, rbac, "RoleBinding").patch("editor", &apply(), &Patch::Apply(binding)).await.unwrap();
    for object in policies() {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        let policies = api(client, ("admissionregistration.k8s.io", "v1"), kind);
        policies.patch(name, &apply(), &Patch::Apply(&object)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for name in ["by-alice", "by-nobody"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifests/good/plan.yaml");
        let text = std::fs::read_to_string(file).unwrap();
        let mut plan: Value = serde_saphyr::from_str(text.split("\n---\n").last().unwrap()).unwrap();
        plan["metadata"] = json!({"name": name});
        if name == "by-alice" {
            plan["metadata"]["annotations"] = json!({"wesley.dev/author": "alice"});
        }
        let plans = api(client, ("wesley.dev", "v1alpha1"), "MigrationPlan");
        let _ = plans.delete(name, &Default::default()).await;
        plans.create(&PostParams::default(), &serde_json::from_value(plan).unwrap()).await.unwrap();
    }
    let _ = api(client, ("wesley.dev", "v1alpha1"), "Migration").delete("orders", &Default::default()).await;
}

/// The policies of the chart take a moment to be in force.
async fn in_force() {
    for number in 0..100 {
        // Each time another one: what does not change is let through.
        if write("alice", &migration(None, &format!("select {number} as probe"))).await != "accepted" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the policies are not in force after 10 s");
}

#[tokio::test]
async fn who_may_approve_what() {
    let admin = client(None).await;
    prepare(&admin).await;
    in_force().await;
    let _ = api(&admin, ("wesley.dev", "v1alpha1"), "Migration").delete("orders", &Default::default()).await;
    let digest = format!("sha256:{}", "a".repeat(64));
    let mut in_spec = migration(Some("alice"), "select 1");
    in_spec["spec"]["approvedPlan"] = digest.into();
    let mut suspended = migration(Some("alice"), "select 1");
    suspended["spec"]["suspend"] = true.into();
    let runner = format!("system:serviceaccount:{NAMESPACE}:wesley-runner");
    let answers = [
        ("a Migration without author", write("alice", &migration(None, "select 1")).await, "wesley.dev/author: alice"),
        ("in another's name", write("alice", &migration(Some("bob"), "select 1")).await, "wesley.dev/author: alice"),
        ("in one's own name", write("alice", &migration(Some("alice"), "select 1")).await, "accepted"),
        (
            "new SQL in another's name",
            write("bob", &migration(Some("alice"), "select 2")).await,
            "wesley.dev/author: bob",
        ),
        ("suspended by another", write("bob", &suspended).await, "accepted"),
        ("approved in the spec by the author", write("alice", &in_spec).await, "somebody else"),
        ("approved in the spec by who may not approve", write(EDITOR, &in_spec).await, "wesley-approver"),
        ("suspended by who may not approve", write(EDITOR, &suspended).await, "accepted"),
        ("approved in the spec by an approver", write("bob", &in_spec).await, "accepted"),
        ("approved by the author", approve("alice", "by-alice", "alice", "Approved").await, "you are the author"),
        ("rejected by the author", approve("alice", "by-alice", "alice", "Rejected").await, "accepted"),
        ("approved in another's name", approve("bob", "by-alice", "ada", "Approved").await, "your own name, bob"),
        ("approved by another", approve("bob", "by-alice", "bob", "Approved").await, "accepted"),
        (
            "approved, author unknown",
            approve("bob", "by-nobody", "bob", "Approved").await,
            "author of the plan is not known",
        ),
        ("approved by a Job", approve(&runner, "by-alice", &runner, "Approved").await, "a Job may not approve"),
    ];
    for object in policies() {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        let _ = api(&admin, ("admissionregistration.k8s.io", "v1"), kind).delete(name, &Default::default()).await;
    }
    let wrong: Vec<String> = answers
        .iter()
        .filter(|(_, answer, expected)| !answer.contains(expected))
        .map(|(what, answer, expected)| format!("{what}: {expected:?} expected, {answer:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
