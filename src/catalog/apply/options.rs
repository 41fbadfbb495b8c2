//! Storage parameters (`WITH (...)`, `SET (...)`, `RESET (...)`).

use pg_query::protobuf::{DefElem, Node};

use super::names::{option_text, options};

/// `name=value` as `reloptions` holds it; those of the toast table with `toast.` before.
fn entry(element: &DefElem) -> String {
    let value = option_text(element.arg.as_deref()).unwrap_or_else(|| "true".to_owned());
    format!("{}={value}", key(element))
}

fn key(element: &DefElem) -> String {
    match element.defnamespace.as_str() {
        "" => element.defname.clone(),
        namespace => format!("{namespace}.{}", element.defname),
    }
}

/// The parameters of a `WITH` clause. `oids` is only accepted for the sake of old scripts.
pub(super) fn of(nodes: &[Node]) -> Vec<String> {
    let mut out = Vec::new();
    set(&mut out, nodes);
    out
}

/// Adds or replaces: the server puts what is set behind what stays, toast parameters in a list of their own.
pub(super) fn set(current: &mut Vec<String>, nodes: &[Node]) {
    reset(current, nodes);
    current.extend(options(nodes).filter(|element| element.defname != "oids").map(entry));
    current.sort_by_key(|entry| entry.starts_with("toast."));
}

/// Takes parameters out.
pub(super) fn reset(current: &mut Vec<String>, nodes: &[Node]) {
    for element in options(nodes) {
        let key = key(element);
        current.retain(|entry| entry.split_once('=').is_none_or(|(name, _)| name != key));
    }
}

/// As `pg_get_indexdef` writes them behind `WITH`.
pub(super) fn definition(entries: &[String]) -> String {
    let written = entries.iter().map(|entry| {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        let quoted = crate::sql::quote::ident(value);
        if quoted == value { format!("{name}={value}") } else { format!("{name}='{}'", value.replace('\'', "''")) }
    });
    written.collect::<Vec<_>>().join(", ")
}
