//! Functions that a query calls: built-in ones that lock, and what the bodies of user-defined ones do.

use pg_query::NodeEnum;
use pg_query::protobuf::FuncCall;

use super::literal::Literal;
use crate::catalog::{Name, RelationKind, builtin};
use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::{missing_relation, wrong_kind};
use crate::plan::analyze::resolve::Lookup;
use crate::plan::analyze::{Impact, Resolver, Target, effects, routines};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// What running the function does.
pub(in crate::plan::analyze) fn call(call: &FuncCall, resolver: &Resolver<'_>) -> Impact {
    let Some(name) = Qualified::from_nodes(&call.funcname) else { return Impact::none() };
    let user = resolver.functions_named(name);
    if !user.is_empty() {
        let arguments = call.args.len();
        let mut fitting: Vec<_> = user.iter().filter(|function| accepts(&function.arguments, arguments)).collect();
        if fitting.is_empty() {
            fitting = user.iter().collect();
        }
        let mut impact = Impact::none();
        for function in fitting {
            impact.merge(routines::function(function, resolver));
        }
        return impact;
    }
    if !matches!(name.schema, "" | "pg_catalog") {
        return Impact::none();
    }
    built_in(name.name, call, resolver)
}

/// Whether a call with that many arguments fits the declared ones (defaults and VARIADIC allow others).
fn accepts(declared: &str, given: usize) -> bool {
    let declared_count = if declared.is_empty() { 0 } else { declared.matches(',').count() + 1 };
    declared_count == given || declared.contains("VARIADIC") || given < declared_count
}

/// Says 42883 when no function of the name exists, of the user or built in.
pub(super) fn require(impact: &mut Impact, call: &FuncCall, resolver: &Resolver<'_>) {
    let Some(name) = Qualified::from_nodes(&call.funcname) else { return };
    if !resolver.functions_named(name).is_empty() || name.schema == "information_schema" {
        return;
    }
    // A type's name, or a column of a row, can be called like a function.
    let is_type = !matches!(resolver.type_lookup(name), TypeLookup::Missing);
    let is_attribute = match call.args.as_slice() {
        [only] => !matches!(&only.node, Some(NodeEnum::AConst(_) | NodeEnum::SqlvalueFunction(_))),
        _ => false,
    };
    if matches!(name.schema, "" | "pg_catalog") {
        if is_type || builtin::function(name.name, resolver.major()).is_some() {
            return;
        }
        if let Some((first, _)) = builtin::function_majors(name.name)
            && first > resolver.major()
        {
            impact.refuse(
                "42883",
                format!("function {} needs PostgreSQL {first}; the server is {}", name.name, resolver.major()),
                format!("Do without it, or upgrade the server to PostgreSQL {first} first."),
            );
            return;
        }
    } else if !resolver.catalog.schemas.contains_key(name.schema) && !name.schema.starts_with("pg_") {
        return crate::plan::analyze::refusal::missing_schema(impact, name.schema);
    }
    if !is_attribute && !is_type {
        impact.refuse(
            "42883",
            format!("function {} with {} arguments does not exist", name.shown(), call.args.len()),
            "Check the name and the search path, or create the function first.",
        );
    }
}

fn built_in(name: &str, call: &FuncCall, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    match name {
        "nextval" | "setval" | "currval" | "pg_sequence_last_value" => sequence(&mut impact, call, resolver),
        "lastval" => impact.lock(Target::Any, LockMode::RowExclusive),
        "brin_summarize_new_values" | "brin_summarize_range" | "brin_desummarize_range" => {
            index_maintenance(&mut impact, call, resolver);
        }
        "pg_restore_relation_stats"
        | "pg_clear_relation_stats"
        | "pg_restore_attribute_stats"
        | "pg_clear_attribute_stats" => impact.lock(Target::Any, LockMode::ShareUpdateExclusive),
        "query_to_xml" | "query_to_xmlschema" | "query_to_xml_and_xmlschema" | "ts_stat" => {
            return query_text(call, resolver);
        }
        "ts_rewrite" if call.args.len() == 2 => return query_text_at(call, 1, resolver),
        "table_to_xml" | "table_to_xmlschema" | "table_to_xml_and_xmlschema" => {
            if let Some(name) = relation_argument(call, resolver) {
                impact.lock(name.clone(), LockMode::AccessShare);
                if let Some(found) = resolver.get(&name) {
                    effects::scan(&mut impact, found);
                }
            } else {
                return Impact::unanalyzable("a table is read whose name is only known when it runs");
            }
        }
        "schema_to_xml"
        | "schema_to_xmlschema"
        | "schema_to_xml_and_xmlschema"
        | "database_to_xml"
        | "database_to_xmlschema"
        | "database_to_xml_and_xmlschema"
        | "cursor_to_xml"
        | "cursor_to_xmlschema" => {
            return Impact::unanalyzable("tables are read that the statement does not name");
        }
        _ if BEYOND.contains(&name) => {
            let message = format!("{name} acts on the server beyond this database.");
            impact.hazard(HazardId::ClusterWide, None, message);
        }
        _ => {}
    }
    impact
}

/// Built-in functions that change more than the database (documentation, "System Administration Functions" and
/// "Server-side functions" of large objects).
const BEYOND: [&str; 27] = [
    "lo_export",
    "lo_import",
    "pg_backup_start",
    "pg_backup_stop",
    "pg_cancel_backend",
    "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot",
    "pg_drop_replication_slot",
    "pg_promote",
    "pg_reload_conf",
    "pg_replication_origin_advance",
    "pg_replication_origin_create",
    "pg_replication_origin_drop",
    "pg_replication_slot_advance",
    "pg_rotate_logfile",
    "pg_start_backup",
    "pg_stat_reset_replication_slot",
    "pg_stat_reset_shared",
    "pg_stat_reset_slru",
    "pg_stop_backup",
    "pg_switch_wal",
    "pg_sync_replication_slots",
    "pg_terminate_backend",
    "pg_wal_replay_pause",
    "pg_wal_replay_resume",
];

/// RowExclusive on the sequence; on any sequence when its name is computed.
fn sequence(impact: &mut Impact, call: &FuncCall, resolver: &Resolver<'_>) {
    let Some(argument) = call.args.first().and_then(|node| node.node.as_ref()) else { return };
    if let Some(owned) = serial_sequence(argument, resolver) {
        return impact.lock(owned, LockMode::RowExclusive);
    }
    let Some(Literal::Text(text)) = Literal::of(argument) else {
        return impact.lock(Target::Any, LockMode::RowExclusive);
    };
    let parts = identifiers(&text);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let Some(name) = Qualified::from_parts(&parts) else { return };
    match resolver.lookup_name(name.schema, name.name) {
        Lookup::Found(found) if found.relation.kind == RelationKind::Sequence => {
            impact.lock(found.name.clone(), LockMode::RowExclusive);
        }
        Lookup::Found(found) => wrong_kind(impact, &found.name.name, "a sequence"),
        Lookup::System => {}
        Lookup::Missing => missing_relation(impact, name),
    }
}

/// The sequence that `pg_get_serial_sequence('table', 'column')` gives.
fn serial_sequence(argument: &NodeEnum, resolver: &Resolver<'_>) -> Option<Name> {
    let argument = match argument {
        NodeEnum::TypeCast(cast) => cast.arg.as_ref()?.node.as_ref()?,
        other => other,
    };
    let NodeEnum::FuncCall(inner) = argument else { return None };
    if Qualified::from_nodes(&inner.funcname)?.name != "pg_get_serial_sequence" {
        return None;
    }
    let [table, column] = inner.args.as_slice() else { return None };
    let (Some(Literal::Text(table)), Some(Literal::Text(column))) =
        (table.node.as_ref().and_then(Literal::of), column.node.as_ref().and_then(Literal::of))
    else {
        return None;
    };
    let parts = identifiers(&table);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let name = Qualified::from_parts(&parts)?;
    match resolver.lookup_name(name.schema, name.name) {
        Lookup::Found(found) => found.relation.column(&column)?.owned_sequence.clone(),
        _ => None,
    }
}

/// The parts of a dotted name as `regclass` reads it: bare words in lower case, quoted ones as they are.
fn identifiers(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut parts, '"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c if quoted => push(&mut parts, c),
            c => push(&mut parts, c.to_ascii_lowercase()),
        }
    }
    parts
}

fn push(parts: &mut [String], c: char) {
    if let Some(last) = parts.last_mut() {
        last.push(c);
    }
}

fn relation_argument(call: &FuncCall, resolver: &Resolver<'_>) -> Option<Name> {
    let Literal::Text(text) = Literal::of(call.args.first()?.node.as_ref()?)? else { return None };
    let parts = identifiers(&text);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let name = Qualified::from_parts(&parts)?;
    match resolver.lookup_name(name.schema, name.name) {
        Lookup::Found(found) => Some(found.name.clone()),
        _ => None,
    }
}

/// ShareUpdateExclusive on the index and its table while it works.
fn index_maintenance(impact: &mut Impact, call: &FuncCall, resolver: &Resolver<'_>) {
    let index = relation_argument(call, resolver);
    match index.as_ref().and_then(|name| resolver.get(name)) {
        Some(found) => {
            impact.lock(found.name.clone(), LockMode::ShareUpdateExclusive);
            if let Some(facts) = &found.relation.index {
                impact.lock(facts.table.clone(), LockMode::ShareUpdateExclusive);
            }
        }
        None => impact.lock(Target::Any, LockMode::ShareUpdateExclusive),
    }
}

/// A function that runs the query its first argument holds.
fn query_text(call: &FuncCall, resolver: &Resolver<'_>) -> Impact {
    query_text_at(call, 0, resolver)
}

fn query_text_at(call: &FuncCall, position: usize, resolver: &Resolver<'_>) -> Impact {
    let argument = call.args.get(position).and_then(|node| node.node.as_ref());
    match argument.and_then(Literal::of) {
        Some(Literal::Text(text)) => routines::text(&text, resolver),
        _ => Impact::unanalyzable("a query is run whose text is only known when it runs"),
    }
}

#[cfg(test)]
mod tests {
    use super::identifiers;

    #[test]
    fn names_are_read_as_regclass_reads_them() {
        assert_eq!(identifiers("S1"), ["s1"]);
        assert_eq!(identifiers("public.\"My Seq\""), ["public", "My Seq"]);
        assert_eq!(identifiers("\"a\"\"b\".c"), ["a\"b", "c"]);
    }
}
