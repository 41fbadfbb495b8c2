//! What breaks things.

use std::process::{Command, Output};

use super::env;

/// Context of the embedded cluster, the only one whose parts can be broken.
const EMBEDDED: &str = "wesley-embedded";

fn is_embedded() -> bool {
    env("WESLEY_TEST_CONTEXT") == EMBEDDED
}

/// The exit code that is known of a runner after [`kill`]: none of a pod that was deleted.
pub fn exit_code_of_killed() -> Option<i32> {
    is_embedded().then_some(137)
}

/// The PostgreSQL of a pod crashes, and its container starts again on the same data.
pub fn crash_server(namespace: &str, pod: &str) {
    if is_embedded() {
        return run(&["kill", namespace, pod]);
    }
    // A deleted pod would take the data along. The command ends with the container that it runs in.
    let stop = ["exec", "--namespace", namespace, pod, "--", "pg_ctl", "stop", "--mode=immediate", "--no-wait"];
    let output = Command::new(env("WESLEY_KUBECTL")).args(stop).output().unwrap();
    let killed = output.status.code() == Some(137);
    if !killed {
        expect_success("pg_ctl stop", &output);
    }
}

/// SIGKILL to every container of a pod. Where that is out of reach, the pod is deleted without a grace period.
pub fn kill(namespace: &str, pod: &str) {
    if is_embedded() {
        run(&["kill", namespace, pod]);
    } else {
        kubectl(&["delete", "pod", "--namespace", namespace, pod, "--grace-period=0", "--force"]);
    }
}

/// A part of the embedded cluster ends.
pub fn end(part: &str) {
    run(&["end", part]);
}

/// A part of the embedded cluster comes back.
pub fn start(part: &str) {
    run(&["start", part]);
}

fn run(arguments: &[&str]) {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/fault")).args(arguments).output().unwrap();
    expect_success(&format!("e2e/fault {}", arguments.join(" ")), &output);
}

/// Runs kubectl on the cluster; what it printed.
pub fn kubectl(arguments: &[&str]) -> String {
    let output = Command::new(env("WESLEY_KUBECTL")).args(arguments).output().unwrap();
    expect_success(&format!("kubectl {}", arguments.join(" ")), &output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs helm on the cluster.
pub fn helm(arguments: &[&str]) {
    let output = Command::new(env("WESLEY_HELM")).args(arguments).output().unwrap();
    expect_success(&format!("helm {}", arguments.join(" ")), &output);
}

/// Changes one value of the installed chart; returns when the operator is ready.
pub fn reinstall(setting: &str) {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/wesley");
    let namespace = super::operator_namespace();
    let options = ["--namespace", &namespace, "--reuse-values", "--set", setting, "--wait", "--timeout", "120s"];
    helm(&[["upgrade", "wesley", chart].as_slice(), &options].concat());
}

fn expect_success(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
