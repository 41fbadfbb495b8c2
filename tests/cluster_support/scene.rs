//! A namespace with a Database, and what a person does and sees in it.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::await_condition;
use wesley::api::migration_plan::MigrationPlan;
use wesley::api::{Condition, Migration, Phase, RETRY_ANNOTATION};

use super::manifest::{self, DATABASE};
use super::postgres::{self, Database};
use super::{PATIENCE, TEST_LABEL, canary, client, dump, eventually, fault};

/// A test's own namespace and database.
pub struct Scene {
    /// The namespace.
    pub namespace: String,
    /// The cluster, as its administrator.
    pub kube: kube::Client,
    /// The database.
    pub database: Database,
}

/// Runs `body` in a namespace and a database of its own; prints what is needed to understand a failure.
pub async fn scene(name: &str, body: impl AsyncFnOnce(&Scene)) {
    let server = postgres::server().await;
    scene_on(name, server, body).await;
}

/// The same with a database on a server of the test's own, which it may break.
pub async fn scene_with_server(name: &str, body: impl AsyncFnOnce(&Scene)) {
    let kube = client(None).await;
    let namespace = namespace_of(name);
    make_namespace(&kube, &namespace).await;
    let server = postgres::start(&kube, &namespace, "pg").await;
    scene_on(name, server, body).await;
}

async fn scene_on(name: &str, server: postgres::Server, body: impl AsyncFnOnce(&Scene)) {
    let namespace = namespace_of(name);
    let kube = client(None).await;
    make_namespace(&kube, &namespace).await;
    let database = Database::create(server, &namespace.replace('-', "_")).await;
    let scene = Scene { namespace, kube, database };
    let result = AssertUnwindSafe(async {
        scene.apply_database("").await;
        body(&scene).await;
        canary::search(&scene).await;
    })
    .catch_unwind()
    .await;
    if let Err(panic) = result {
        // The namespace stays for whoever wants to look; the tier removes it.
        dump::print(&scene.namespace);
        eprintln!("ledger and schema:\n{}", scene.database_text().await);
        std::panic::resume_unwind(panic);
    }
    scene.database.drop().await;
    let namespaces: Api<Namespace> = Api::all(scene.kube.clone());
    // One that the test deleted itself is gone already.
    let _ = namespaces.delete(&scene.namespace, &DeleteParams::default()).await;
}

fn namespace_of(test: &str) -> String {
    format!("test-{test}-{}", std::process::id())
}

/// A namespace with the restricted pod security profile enforced.
pub async fn make_namespace(kube: &kube::Client, name: &str) {
    let manifest = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {TEST_LABEL: "true", "pod-security.kubernetes.io/enforce": "restricted"}},
    });
    apply_in(kube, name, &manifest.to_string()).await.unwrap();
}

/// Applies all documents of a YAML text on the server's side.
///
/// # Errors
/// The API server's, as a person sees it.
pub async fn apply_in(kube: &kube::Client, namespace: &str, yaml: &str) -> Result<(), kube::Error> {
    let documents: Vec<DynamicObject> = serde_saphyr::from_multiple(yaml).expect(yaml);
    for object in documents {
        let types = object.types.clone().expect("apiVersion and kind");
        let kind = GroupVersionKind::try_from(&types).unwrap();
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = if kind.kind == "Namespace" {
            Api::all_with(kube.clone(), &resource)
        } else {
            Api::namespaced_with(kube.clone(), namespace, &resource)
        };
        let name = object.metadata.name.clone().expect("a name");
        let parameters = PatchParams::apply("wesley-test").force().validation_strict();
        api.patch(&name, &parameters, &Patch::Apply(&object)).await?;
    }
    Ok(())
}

impl Scene {
    /// Applies manifests in the namespace.
    pub async fn apply(&self, yaml: &str) {
        apply_in(&self.kube, &self.namespace, yaml).await.unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    }

    /// Applies a Migration with inline SQL; `more` are further fields of the spec as YAML.
    pub async fn migrate(&self, name: &str, sql: &str, more: &str) {
        self.apply(&manifest::migration(name, sql, more)).await;
    }

    /// The usual Database and its Secret. Small tables are treated as large ones, so that steps are the same.
    /// `more` are further fields of the spec as YAML.
    pub async fn apply_database(&self, more: &str) {
        self.apply(&manifest::secret(DATABASE, &[("password", self.database.password.as_str())])).await;
        self.apply(&self.database_manifest("tls: {mode: Require}", more)).await;
    }

    /// The manifest of the usual Database.
    pub fn database_manifest(&self, tls: &str, more: &str) -> String {
        let (host, name) = (&self.database.server.host, &self.database.name);
        let policy = if more.contains("policy:") { "" } else { "policy: {inPlaceBytesMax: 0}" };
        format!(
            "apiVersion: wesley.dev/v1alpha1\nkind: Database\nmetadata:\n  name: {DATABASE}\nspec:\n  connection:\n    \
             host: {{value: {host}}}\n    dbname: {{value: {name}}}\n    user: {{value: {name}}}\n    password: \
             {{secretKeyRef: {{name: {DATABASE}, key: password}}}}\n{}{}{}",
            manifest::indented(tls),
            manifest::indented(policy),
            manifest::indented(more)
        )
    }

    /// The Migrations.
    pub fn migrations(&self) -> Api<Migration> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// The MigrationPlans.
    pub fn plans(&self) -> Api<MigrationPlan> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// The Jobs.
    pub fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// The pods.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// A Migration as it is.
    pub async fn get(&self, name: &str) -> Migration {
        self.migrations().get(name).await.unwrap()
    }

    /// Merges JSON into a Migration.
    pub async fn patch(&self, name: &str, patch: serde_json::Value) -> Migration {
        self.migrations().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Sets an annotation of a Migration.
    pub async fn annotate(&self, name: &str, annotation: &str, value: &str) {
        self.patch(name, serde_json::json!({"metadata": {"annotations": {annotation: value}}})).await;
    }

    /// Asks for another try.
    pub async fn retry(&self, name: &str) {
        self.annotate(name, RETRY_ANNOTATION, "now").await;
    }

    /// Watches a Migration until it is as expected.
    pub async fn until(&self, name: &str, what: &str, expected: impl Fn(&Migration) -> bool) -> Migration {
        let condition = |migration: Option<&Migration>| {
            migration.is_some_and(|migration| current(migration) && expected(migration))
        };
        let waiting = await_condition(self.migrations(), name, condition);
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => {
                let migration = self.get(name).await;
                panic!("{name}: not {what} within {} s, but:\n{}", PATIENCE.as_secs(), describe(&migration));
            }
        }
    }

    /// Watches a Migration until it is in that phase. One that fails on the way does not get there.
    pub async fn phase(&self, name: &str, phase: Phase) -> Migration {
        let failed = |migration: &Migration| phase_of(migration) == Some(Phase::Failed);
        let found = self
            .until(name, &phase.to_string(), |migration| phase_of(migration) == Some(phase) || failed(migration))
            .await;
        assert!(phase_of(&found) == Some(phase), "{name}: expected {phase}, but:\n{}", describe(&found));
        found
    }

    /// Watches a Migration until a condition is true with that reason.
    pub async fn reason(&self, name: &str, kind: &str, reason: &str) -> Migration {
        let what = format!("{kind} with reason {reason}");
        self.until(name, &what, |migration| condition(migration, kind).is_some_and(|found| found.reason == reason))
            .await
    }

    /// Deletes a Migration.
    pub async fn delete(&self, name: &str) {
        self.migrations().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until a Migration is gone.
    pub async fn gone(&self, name: &str) {
        let waiting = await_condition(self.migrations(), name, |migration: Option<&Migration>| migration.is_none());
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{name}: still there:\n{}", describe(&self.get(name).await));
        }
    }

    /// The MigrationPlan that a Migration names.
    pub async fn plan_of(&self, migration: &Migration) -> MigrationPlan {
        let name = &migration.status.as_ref().unwrap().plan.as_ref().expect("a plan").name;
        self.plans().get(name).await.unwrap()
    }

    /// Writes a decision about a plan, as `user`.
    ///
    /// # Errors
    /// The API server's: who is not an approver may not.
    pub async fn decide_as(&self, user: &str, plan: &str, decision: &str) -> Result<(), kube::Error> {
        let plans: Api<MigrationPlan> = Api::namespaced(client(Some(user)).await, &self.namespace);
        let patch = serde_json::json!({"status": {"approval": {"decision": decision, "by": user}}});
        plans.patch_status(plan, &PatchParams::default(), &Patch::Merge(patch)).await.map(|_| ())
    }

    /// Gives a user a ClusterRole of the chart in the namespace; returns when the API server goes by it.
    pub async fn grant(&self, user: &str, role: &str) {
        self.apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {user}-{role}}}\nroleRef: \
             {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\nsubjects:\n- {{apiGroup: \
             rbac.authorization.k8s.io, kind: User, name: {user}}}\n"
        ))
        .await;
        let plans: Api<MigrationPlan> = Api::namespaced(client(Some(user)).await, &self.namespace);
        eventually("the role is in force", async || plans.list(&ListParams::default().limit(1)).await.ok()).await;
    }

    /// The name of the running pod of a Migration's Job that does `action`; waits for one.
    pub async fn runner(&self, migration: &str, action: &str) -> String {
        let selector = ListParams::default()
            .labels(&format!("wesley.dev/migration={migration},wesley.dev/action={action}"))
            .fields("status.phase=Running");
        eventually(&format!("a running pod that does {action} for {migration}"), async || {
            let pods = self.pods().list(&selector).await.ok()?;
            let alive = pods.items.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none())?;
            alive.metadata.name
        })
        .await
    }

    /// SIGKILL to the runner of a Migration.
    pub async fn kill_runner(&self, migration: &str, action: &str) -> String {
        let pod = self.runner(migration, action).await;
        fault::kill(&self.namespace, &pod);
        pod
    }

    /// Reasons and messages of the events about an object of ours, oldest first.
    pub async fn events(&self, name: &str) -> Vec<(String, String)> {
        let events: Api<Event> = Api::namespaced(self.kube.clone(), &self.namespace);
        let selector = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let mut found = events.list(&selector).await.unwrap().items;
        found.sort_by_key(|event| event.metadata.creation_timestamp.clone());
        found.into_iter().map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default())).collect()
    }

    /// Everything that the pods of the namespace have logged.
    pub async fn logs(&self) -> String {
        let mut text = String::new();
        for pod in self.pods().list(&ListParams::default()).await.unwrap().items {
            let name = pod.metadata.name.unwrap_or_default();
            text += &self.pods().logs(&name, &LogParams::default()).await.unwrap_or_default();
        }
        text
    }

    /// Ledger of a Migration: see [`Database::ledger`].
    pub async fn ledger(&self, migration: &str) -> String {
        self.database.ledger(&self.namespace, migration).await
    }

    async fn database_text(&self) -> String {
        let ledger = self.database.ledger(&self.namespace, "%").await;
        format!("{ledger}\n{}", self.database.picture().await)
    }
}

/// Whether the status is about the present spec, and about the present wish for another try.
fn current(migration: &Migration) -> bool {
    let Some(status) = &migration.status else { return false };
    let wished = migration.metadata.annotations.as_ref().and_then(|all| all.get(RETRY_ANNOTATION));
    status.observed_generation == migration.metadata.generation
        && wished.is_none_or(|wished| status.retry_handled.as_ref() == Some(wished))
}

/// The phase.
pub fn phase_of(migration: &Migration) -> Option<Phase> {
    migration.status.as_ref()?.phase
}

/// The condition of that type.
pub fn condition<'a>(migration: &'a Migration, kind: &str) -> Option<&'a Condition> {
    migration.status.as_ref()?.conditions.iter().find(|condition| condition.kind == kind)
}

/// Asserts what a person sees of a condition: status, reason, and words of its message.
#[track_caller]
pub fn shows(migration: &Migration, kind: &str, status: &str, reason: &str, words: &[&str]) {
    let Some(found) = condition(migration, kind) else {
        panic!("no condition {kind}:\n{}", describe(migration));
    };
    let right = found.status.to_string() == status && found.reason == reason;
    let missing = words.iter().find(|word| !found.message.contains(**word));
    assert!(
        right && missing.is_none(),
        "expected {kind}={status} {reason} with {words:?} in the message, but:\n{}",
        describe(migration)
    );
}

/// Asserts that nothing will happen until somebody does something, and that a person sees why.
#[track_caller]
pub fn stalled(migration: &Migration, reason: &str, words: &[&str]) {
    shows(migration, "Ready", "False", reason, words);
    shows(migration, "Stalled", "True", reason, words);
    assert!(condition(migration, "Reconciling").is_none(), "{}", describe(migration));
}

/// Phase, conditions and the end of the last run.
pub fn describe(migration: &Migration) -> String {
    let Some(status) = &migration.status else { return "no status".to_owned() };
    let mut text = format!("phase {:?}, step {:?}, runs {}\n", status.phase, status.step, status.runs);
    for condition in &status.conditions {
        let (kind, holds, reason, message) = (&condition.kind, condition.status, &condition.reason, &condition.message);
        text += &format!("  {kind}={holds} {reason}: {message}\n");
    }
    if let Some(run) = &status.last_run {
        text += &format!("  last run: {} {:?} {}: {}\n", run.action, run.exit_code, run.reason, run.message);
    }
    text
}

/// Digest of the plan.
pub fn digest(migration: &Migration) -> String {
    migration.status.as_ref().and_then(|status| status.plan.as_ref()).expect("a plan").digest.clone()
}

/// Number of runs so far.
pub fn runs(migration: &Migration) -> i32 {
    migration.status.as_ref().map_or(0, |status| status.runs)
}
