//! What breaks things.

use std::process::{Command, Output};

use super::env;

/// Context of the embedded cluster, the only one whose parts can be broken.
const EMBEDDED: &str = "wesley-embedded";

/// SIGKILL to every container of a pod. Where that is out of reach, the pod is deleted without a grace period.
pub fn kill(namespace: &str, pod: &str) {
    if env("WESLEY_TEST_CONTEXT") == EMBEDDED {
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

fn expect_success(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
