//! What one needs to see after a failure.

use std::process::Command;

use super::{env, operator_namespace};

/// Prints resources, events and logs of a namespace, and the operator's log.
pub fn print(namespace: &str) {
    let ours = "databases,migrations,migrationplans,validationwindows";
    part(namespace, "overview", &["get", &format!("{ours},jobs,pods"), "--output=wide"]);
    part(namespace, "migrations", &["get", "migrations", "--output=yaml"]);
    part(namespace, "plans", &["get", "migrationplans", "--output=yaml"]);
    part(namespace, "databases and windows", &["get", "databases,validationwindows", "--output=yaml"]);
    part(namespace, "jobs", &["describe", "jobs"]);
    part(namespace, "pods", &["describe", "pods"]);
    part(namespace, "events", &["get", "events", "--sort-by=.metadata.creationTimestamp"]);
    part(
        namespace,
        "logs of runners",
        &["logs", "--selector=batch.kubernetes.io/job-name", "--all-containers", "--prefix", "--tail=60"],
    );
    let operator = ["logs", "--selector=app.kubernetes.io/name=wesley", "--prefix", "--tail=80"];
    part(&operator_namespace(), "log of the operator", &operator);
}

fn part(namespace: &str, title: &str, arguments: &[&str]) {
    let output = Command::new(env("WESLEY_KUBECTL")).args(["--namespace", namespace]).args(arguments).output();
    match output {
        Ok(output) => eprintln!(
            "\n===== {namespace}: {title} =====\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => eprintln!("\n===== {namespace}: {title} =====\n{error}"),
    }
}
