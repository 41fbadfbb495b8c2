//! The Job as the API server gets it.

use super::*;
use crate::api::backfill::PrometheusHold;
use crate::api::migration_status::Gate;
use crate::api::reference::{LocalRef, SecretKeyRef, SecretSource};
use crate::controller::migration::tests::world::{World, database};
use serde_json::{Value, json};

fn made(world: &World, source: &SourceMount) -> Value {
    let status = world.status();
    let runner = Runner { image: "wesley:1".to_owned(), pull_policy: "Never".to_owned() };
    let request = Request {
        migration: &world.observed.migration,
        database: world.observed.database.as_ref().unwrap(),
        run: status.run.as_ref().unwrap(),
        plan: status.plan.as_ref(),
        source: world.observed.source.digest().map(|digest| (digest, source)),
        guards: match &world.observed.window {
            crate::controller::migration::observed::WindowState::Known(window) => window.guards.as_ref(),
            _ => None,
        },
        runner: &runner,
    };
    serde_json::to_value(job(&request)).unwrap()
}

fn arguments_of(job: &Value) -> Vec<String> {
    serde_json::from_value(job.pointer("/spec/template/spec/containers/0/args").unwrap().clone()).unwrap()
}

fn value_of<'a>(arguments: &'a [String], option: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == option)?;
    arguments.get(at + 1).map(String::as_str)
}

fn secret(name: &str, key: &str) -> SecretKeyRef {
    SecretKeyRef { name: name.to_owned(), key: key.to_owned() }
}

#[test]
fn the_pod_is_restricted() {
    let mut world = World::new();
    world.turn();
    let job = made(&world, &SourceMount::Inline);
    let pod = job.pointer("/spec/template/spec").unwrap();
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true));
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault"));
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], json!(false));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], json!(true));
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(container["terminationMessagePolicy"], json!("File"));
    assert_eq!(
        (pod["serviceAccountName"].as_str(), pod["restartPolicy"].as_str()),
        (Some("wesley-runner"), Some("Never"))
    );
    for host in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
        assert!(pod.get(host).is_none(), "{host}");
    }
    let spec = &job["spec"];
    assert_eq!((spec["backoffLimit"].as_i64(), spec["podReplacementPolicy"].as_str()), (Some(0), Some("Failed")));
    assert!(spec.get("ttlSecondsAfterFinished").is_none(), "the result would be lost");
    assert_eq!(spec["podFailurePolicy"]["rules"][0]["action"], json!("Ignore"));
    assert_eq!(job.pointer("/metadata/ownerReferences/0/uid"), Some(&json!("uid-1")));
}

#[test]
fn a_sample_needs_the_database_and_nothing_of_the_cluster() {
    let mut database = database();
    database.metadata.namespace = Some("team".to_owned());
    database.metadata.uid = Some("uid-2".to_owned());
    database.spec.connection.password = Some(SecretSource { secret_key_ref: secret("shop-db", "password") });
    let runner = Runner { image: "wesley:1".to_owned(), pull_policy: "Never".to_owned() };
    let job = serde_json::to_value(sample_job(&database, "shop-sample-1", &runner)).unwrap();
    let pod = job.pointer("/spec/template/spec").unwrap();
    assert_eq!(pod["automountServiceAccountToken"], json!(false));
    assert_eq!(arguments_of(&job)[..3], ["run", "inspect", "--sample"]);
    assert_eq!(pod["volumes"].as_array().unwrap().len(), 2, "temporary files and the connection: {pod}");
    assert_eq!(job.pointer("/metadata/ownerReferences/0/kind"), Some(&json!("Database")));
    assert!(job["metadata"]["labels"].get("wesley.dev/migration").is_none());
}

#[test]
fn what_the_runner_is_told_when_it_plans() {
    let mut world = World::new();
    world.observed.migration.spec.allow_hazards = vec![crate::plan::HazardId::DataLoss];
    world.observed.migration.spec.timeouts.lock_budget_seconds = Some(7);
    let spec = &mut world.observed.database.as_mut().unwrap().spec;
    spec.policy.allowed_hazards = vec![crate::plan::HazardId::IndexBuild];
    spec.timeouts.lock_budget_seconds = Some(9);
    spec.timeouts.statement_seconds = Some(3);
    world.turn();
    let arguments = arguments_of(&made(&world, &SourceMount::Inline));
    assert_eq!(arguments[..2], ["run", "plan"]);
    for (option, value) in [
        ("--migration", "orders"),
        ("--uid", "uid-1"),
        ("--namespace", "team"),
        ("--generation", "1"),
        ("--source", "/var/run/wesley/source"),
        ("--database-dir", "/var/run/wesley/database"),
        ("--allow", "DataLoss,IndexBuild"),
        ("--in-place-bytes", "16777216"),
        ("--lock-budget-seconds", "7"),
        ("--statement-seconds", "3"),
    ] {
        assert_eq!(value_of(&arguments, option), Some(value), "{option}");
    }
    assert!(!arguments.iter().any(|argument| argument == "--plan" || argument == "--gates"));
}

#[test]
fn what_the_runner_is_told_when_it_executes() {
    let mut world = World::new();
    world.observed.migration.spec.backfill.holds.query = Some("SELECT busy($$(POD)$$)".to_owned());
    world.observed.migration.spec.backfill.holds.http = Some("https://gate/busy".to_owned());
    let prometheus = PrometheusHold { url: "http://prometheus:9090".to_owned(), query: "busy > 1".to_owned() };
    world.observed.migration.spec.backfill.holds.prometheus = Some(prometheus);
    world.turn().planned("orders-a");
    assert_eq!(world.status().run.as_ref().unwrap().gates, [Gate::Validate, Gate::Contract]);
    let job = made(&world, &SourceMount::Inline);
    let arguments = arguments_of(&job);
    assert_eq!(arguments[..2], ["run", "execute"]);
    assert_eq!(value_of(&arguments, "--plan"), Some("orders-a"));
    assert_eq!(value_of(&arguments, "--digest"), Some(world.digest().as_str()));
    assert_eq!(value_of(&arguments, "--gates"), Some("validate,contract"));
    assert_eq!(value_of(&arguments, "--backfill"), Some("/var/run/wesley/backfill/backfill.json"));
    let map = backfill_config_map(&world.observed.migration).unwrap();
    let volumes = job.pointer("/spec/template/spec/volumes").unwrap().as_array().unwrap();
    let mounted = volumes.iter().find(|volume| volume["name"] == "backfill").unwrap();
    assert_eq!(mounted.pointer("/projected/sources/0/configMap/name"), Some(&json!(map.metadata.name)));
    assert_eq!(map.immutable, None, "what it says may change");
    assert!(!format!("{map:?}").contains("busy"), "no SQL and no address in what others may write");
    assert_eq!(value_of(&arguments, "--hold-http"), Some("https://gate/busy"));
    assert_eq!(value_of(&arguments, "--hold-prometheus"), Some("http://prometheus:9090"));
    assert_eq!(value_of(&arguments, "--hold-prometheus-query"), Some("busy > 1"));
    let escaped = Some("SELECT busy($$$$(POD)$$$$)");
    assert_eq!(value_of(&arguments, "--hold-query"), escaped, "the kubelet makes $$ a dollar sign");
    assert!(!arguments.iter().any(|argument| argument == "--source"), "the plan holds what is executed");
    assert_eq!(job.pointer("/spec/activeDeadlineSeconds"), Some(&json!(86_400)));
}

#[test]
fn secrets_are_files_and_values_are_environment() {
    let mut world = World::new();
    let mut database = database();
    let connection = &mut database.spec.connection;
    connection.password = Some(SecretSource { secret_key_ref: secret("shop-db", "pw") });
    database.spec.tls.ca_secret_ref = Some(secret("ca", "root.pem"));
    database.spec.tls.client_cert_secret_ref = Some(LocalRef { name: "client".to_owned() });
    world.observed.database = Some(database);
    world.turn();
    let job = made(&world, &SourceMount::Inline);
    let pod = job.pointer("/spec/template/spec").unwrap();
    let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "database").unwrap();
    let files: Vec<(String, String)> = volume["projected"]["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| {
            let item = &source["secret"]["items"][0];
            (item["path"].as_str().unwrap().to_owned(), item["key"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [("password", "pw"), ("ca.crt", "root.pem"), ("tls.crt", "tls.crt"), ("tls.key", "tls.key")];
    assert_eq!(files, expected.map(|(path, key)| (path.to_owned(), key.to_owned())));
    let environment: BTreeMap<&str, &str> = pod["containers"][0]["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["name"].as_str().unwrap(), entry["value"].as_str().unwrap()))
        .collect();
    assert_eq!(environment["WESLEY_DATABASE_HOST"], "db");
    assert_eq!(environment["WESLEY_DATABASE_TLS_MODE"], "VerifyFull");
    assert_eq!(
        environment["WESLEY_DATABASE_SECRETS"],
        "password=shop-db/pw,ca.crt=ca/root.pem,tls.crt=client/tls.crt,tls.key=client/tls.key"
    );
    assert!(!environment.contains_key("WESLEY_DATABASE_PASSWORD"));
}

#[test]
fn config_maps_keep_their_order() {
    let mut world = World::new();
    world.turn();
    let keys = [("b", "2.sql"), ("a", "1.sql")].map(|(name, key)| (name.to_owned(), key.to_owned()));
    let job = made(&world, &SourceMount::Keys(keys.to_vec()));
    let volumes = job.pointer("/spec/template/spec/volumes").unwrap().as_array().unwrap();
    let sources = &volumes.iter().find(|volume| volume["name"] == "source").unwrap()["projected"]["sources"];
    assert_eq!(sources[0]["configMap"]["items"][0], json!({"key": "2.sql", "path": "0000-2.sql"}));
    assert_eq!(sources[1]["configMap"]["name"], json!("a"));
}

#[test]
fn inline_sql_is_mounted_from_the_config_map_that_is_made_of_it() {
    let mut world = World::new();
    world.turn();
    let digest = world.observed.source.digest().unwrap().to_owned();
    let map = sql_config_map(&world.observed.migration, &digest).unwrap();
    let job = made(&world, &SourceMount::Inline);
    let volumes = job.pointer("/spec/template/spec/volumes").unwrap().as_array().unwrap();
    let source = &volumes.iter().find(|volume| volume["name"] == "source").unwrap()["projected"]["sources"][0];
    assert_eq!(source["configMap"]["name"].as_str(), map.metadata.name.as_deref());
    assert_eq!(map.immutable, Some(true));
    assert_eq!(map.data.unwrap()["migration.sql"], "select 1");
}

#[test]
fn overrides_apply_and_labels_of_ours_win() {
    let mut world = World::new();
    let template = &mut world.observed.database.as_mut().unwrap().spec.job_template;
    *template = serde_json::from_value(json!({
        "resources": {"limits": {"memory": "1Gi"}},
        "labels": {"team": "a", "app.kubernetes.io/name": "theirs"},
        "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "low",
        "nodeSelector": {"disk": "ssd"},
    }))
    .unwrap();
    world.turn();
    let job = made(&world, &SourceMount::Inline);
    let pod = job.pointer("/spec/template/spec").unwrap();
    assert_eq!(pod["containers"][0]["resources"]["limits"], json!({"memory": "1Gi"}));
    assert_eq!(pod["containers"][0]["resources"]["requests"], json!({"cpu": "50m", "memory": "64Mi"}));
    assert_eq!(job.pointer("/metadata/labels/team"), Some(&json!("a")));
    assert_eq!(job.pointer("/metadata/labels/app.kubernetes.io~1name"), Some(&json!("wesley")));
    assert_eq!(pod["tolerations"][0]["effect"], json!("NoSchedule"));
    assert_eq!(pod["priorityClassName"], json!("low"));
}

#[test]
fn checks_and_author_reach_the_planner_only() {
    let mut world = World::new();
    world.observed.migration.spec.checks =
        serde_json::from_value(json!([{"name": "calm", "when": "Before", "sql": "select 'canary' = 'canary'"}]))
            .unwrap();
    world.annotate(crate::api::AUTHOR_ANNOTATION, "bob");
    let job = made(&world, &SourceMount::Inline);
    let arguments = arguments_of(&job);
    assert_eq!(value_of(&arguments, "--checks"), Some("/var/run/wesley/checks/checks.json"));
    assert_eq!(value_of(&arguments, "--author"), Some("bob"));
    assert!(!job.to_string().contains("canary"), "literals stay out of the Job");
    let map = checks_config_map(&world.observed.migration).unwrap();
    let volumes = job.pointer("/spec/template/spec/volumes").unwrap().to_string();
    assert!(volumes.contains(map.metadata.name.as_deref().unwrap()));
    let read: Vec<crate::plan::Assertion> = serde_json::from_str(&map.data.unwrap()["checks.json"]).unwrap();
    assert_eq!(read, world.observed.migration.spec.checks);
    world.planned("orders-a");
    let job = made(&world, &SourceMount::Inline);
    assert_eq!(value_of(&arguments_of(&job), "--checks"), None);
}

#[test]
fn the_end_of_the_window_reaches_the_runner() {
    let mut world = World::new();
    world.observed.window =
        crate::controller::migration::observed::WindowState::Known(crate::controller::migration::observed::Window {
            name: "quiet".to_owned(),
            opening: crate::controller::windows::Opening::Open {
                closes_at: Some("2026-06-10T13:00:00Z".parse().unwrap()),
            },
            overrun: crate::api::validation_window::Overrun::Cancel,
            longest_seconds: 3_600,
            overrides: Vec::new(),
            guards: Some(crate::api::validation_window::Guards { active_sessions_max: Some(5), ..Default::default() }),
            places: 1,
            has_place: true,
        });
    world.turn().planned("orders-a");
    let arguments = arguments_of(&made(&world, &SourceMount::Inline));
    assert_eq!(value_of(&arguments, "--window-closes-at"), Some("2026-06-10T13:00:00Z"));
    assert_eq!(value_of(&arguments, "--longest-opening-seconds"), Some("3600"));
    assert_eq!(value_of(&arguments, "--overrun"), Some("cancel"));
    assert_eq!(value_of(&arguments, "--guards"), Some("/var/run/wesley/guards/guards.json"));
}
