//! Constants within expressions, and what is known of built-in functions and operators by name.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, a_const};

/// A whole number or a text, where its text alone tells whether two are equal.
pub(super) fn literal(node: &Node) -> Option<a_const::Val> {
    let NodeEnum::AConst(constant) = node.node.as_ref()? else { return None };
    match constant.val.as_ref()? {
        value @ (a_const::Val::Ival(_) | a_const::Val::Sval(_)) => Some(value.clone()),
        _ => None,
    }
}

/// Operators that are strict for every built-in pair of types.
pub(super) const STRICT: &[&str] = &["+", "-", "*", "/", "%", "=", "<>", "!=", "<", ">", "<=", ">="];

/// Whether every overload with so many arguments is stable; of other names some overload is immutable.
pub(super) fn is_certainly_stable(name: &str, arguments: usize) -> bool {
    match name {
        "to_tsvector" | "to_tsquery" | "plainto_tsquery" | "phraseto_tsquery" | "websearch_to_tsquery" => {
            arguments == 1
        }
        _ => STABLE.contains(&name),
    }
}

pub(super) const STABLE: &[&str] = &[
    "concat",
    "concat_ws",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_setting",
    "format",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "now",
    "pg_backend_pid",
    "pg_current_xact_id",
    "pg_typeof",
    "statement_timestamp",
    "to_char",
    "to_date",
    "transaction_timestamp",
    "txid_current",
    "version",
];

/// The value of a text that is read as a boolean (`boolin` in bool.c).
pub(super) fn boolean_literal(node: Option<&Node>) -> Option<bool> {
    let Some(NodeEnum::AConst(constant)) = node.and_then(|node| node.node.as_ref()) else { return None };
    let Some(a_const::Val::Sval(text)) = &constant.val else { return None };
    match text.sval.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}
