//! Dependencies point inward only: what decides knows neither Kubernetes, nor sockets, nor a driver.

#![allow(clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Crates that belong to the edges.
const EDGE_CRATES: [&str; 8] =
    ["kube", "k8s_openapi", "kube_lease_manager", "tokio", "tokio_postgres", "tokio_postgres_rustls", "axum", "rustls"];

/// Modules of ours that belong to the edges.
const EDGE_MODULES: [&str; 6] = ["run", "controller", "cli", "telemetry", "inspect", "api"];

/// The pure core: folders and files.
const CORE: [&str; 3] = ["src/sql", "src/catalog", "src/plan"];

/// Reading the catalog of a live server is the one place with catalog queries.
const EXEMPT: [&str; 1] = ["src/catalog/introspect"];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line of code names a crate or module of the edges.
fn offends(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or("");
    let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let names_crate = EDGE_CRATES.iter().any(|name| words.contains(name) && code.contains(&format!("{name}::")));
    let names_module = EDGE_MODULES.iter().any(|name| code.contains(&format!("crate::{name}")));
    names_crate || names_module
}

#[test]
fn the_core_imports_no_edge() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in CORE {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 10, "the core was not found");
    let mut offences = Vec::new();
    for file in files {
        let shown = file.strip_prefix(root).expect("below the root").display().to_string();
        if EXEMPT.iter().any(|exempt| shown.starts_with(exempt)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        let lines = text.lines().enumerate().filter(|(_, line)| offends(line));
        offences.extend(lines.map(|(number, line)| format!("{shown}:{}: {}", number + 1, line.trim())));
    }
    assert!(offences.is_empty(), "the core must not know its edges:\n{}", offences.join("\n"));
}

#[test]
fn the_rule_can_fail() {
    assert!(offends("use tokio_postgres::Client;"));
    assert!(offends("let x = crate::run::connect::Settings::from_url;"));
    assert!(!offends("// as kube::Client does"));
}
