//! Queries and changes of data as statements of their own, and what wraps them.

use pg_query::NodeEnum;
use pg_query::protobuf::{CopyStmt, DeclareCursorStmt, ExplainStmt, OverridingKind, PrepareStmt, SelectStmt};

use super::names::strings;
use super::query::{Depth, Reader};
use super::refusal::{missing_column, require_relation};
use super::resolve::Rel;
use super::since::{self, Feature};
use super::{Impact, Resolver, effects, options, views};
use crate::catalog::RelationKind;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

pub(super) use super::query::has_replica_identity;

/// SELECT, VALUES, TABLE and SELECT INTO.
pub(super) fn select(statement: &SelectStmt, resolver: &Resolver<'_>) -> Impact {
    match views::into_clause(statement) {
        Some(into) => views::select_into(statement, into, resolver),
        None => run(&NodeEnum::SelectStmt(Box::new(statement.clone())), resolver),
    }
}

/// INSERT, UPDATE, DELETE and MERGE.
pub(super) fn run(node: &NodeEnum, resolver: &Resolver<'_>) -> Impact {
    Reader::new(resolver, Depth::Run).strictly().statement(node)
}

/// AccessShare and a full read when data goes out, the locks of INSERT when it comes in.
pub(super) fn copy(statement: &CopyStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    if statement.is_program {
        impact.hazard(HazardId::ClusterWide, None, "A program is run on the server's machine.");
    } else if !statement.is_from && !statement.filename.is_empty() {
        impact.hazard(HazardId::ClusterWide, None, "A file is written on the server's machine.");
    }
    if let Some(query) = statement.query.as_ref().and_then(|query| query.node.as_ref()) {
        impact.merge(run(query, resolver));
        return impact;
    }
    let Some(name) = &statement.relation else { return impact };
    for (option, feature) in [("on_error", Feature::CopyOnError), ("log_verbosity", Feature::CopyOnError)] {
        if options::find(&statement.options, option).is_some() {
            since::require(&mut impact, resolver, feature);
        }
    }
    let Some(table) = require_relation(&mut impact, resolver, name, false) else { return impact };
    let columns = strings(&statement.attlist);
    for column in &columns {
        if table.relation.column(column).is_none() {
            missing_column(&mut impact, column, table.name);
        }
    }
    if statement.is_from {
        copy_from(&mut impact, resolver, table, &columns, &statement.filename);
    } else {
        copy_to(&mut impact, resolver, table);
    }
    if let Some(condition) = statement.where_clause.as_ref().and_then(|node| node.node.as_ref()) {
        impact.merge(Reader::new(resolver, Depth::Run).expression(condition));
    }
    impact
}

/// Only the table itself is copied, not its children.
fn copy_to<'a>(impact: &mut Impact, resolver: &Resolver<'a>, table: Rel<'a>) {
    impact.lock(table.name.clone(), LockMode::AccessShare);
    let populated = table.relation.view.as_ref().is_some_and(|view| view.populated);
    let copyable = match table.relation.kind {
        RelationKind::Table => true,
        RelationKind::MaterializedView => resolver.major() >= 18 && populated,
        _ => false,
    };
    if copyable {
        effects::scan(impact, table);
    } else {
        impact.refuse(
            "42809",
            format!("cannot copy from {} \"{}\"", super::refusal::kind_word(table.relation.kind), table.name.name),
            "Use COPY (SELECT ...) TO.",
        );
    }
}

fn copy_from<'a>(impact: &mut Impact, resolver: &Resolver<'a>, table: Rel<'a>, columns: &[&str], filename: &str) {
    impact.lock(table.name.clone(), LockMode::RowExclusive);
    match table.relation.kind {
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable => {}
        RelationKind::View if table.relation.triggers.iter().any(|trigger| trigger.on_insert) => {}
        _ => {
            return impact.refuse(
                "42809",
                format!("cannot copy to {} \"{}\"", super::refusal::kind_word(table.relation.kind), table.name.name),
                "Copy into a table, or give the view an INSTEAD OF INSERT trigger.",
            );
        }
    }
    let columns: Vec<String> = if columns.is_empty() {
        // Generated columns are left out of COPY's own list.
        let given = table.relation.columns.iter().filter(|column| column.generated.is_none());
        given.map(|column| column.name.clone()).collect()
    } else {
        columns.iter().map(|column| (*column).to_owned()).collect()
    };
    // The one file whose contents are known.
    if filename == "/dev/null" {
        return;
    }
    impact.merge(Reader::new(resolver, Depth::Run).new_rows(table, &columns, OverridingKind::OverridingSystemValue));
}

/// The statement explained is planned; with ANALYZE it is run.
pub(super) fn explain(statement: &ExplainStmt, resolver: &Resolver<'_>) -> Impact {
    let Some(query) = statement.query.as_ref().and_then(|query| query.node.as_ref()) else { return Impact::none() };
    let mut impact = Impact::none();
    explain_options(&mut impact, statement, resolver);
    impact.merge(explained(statement, query, resolver));
    impact
}

/// 42601 for options that EXPLAIN does not have in that major.
fn explain_options(impact: &mut Impact, statement: &ExplainStmt, resolver: &Resolver<'_>) {
    let major = resolver.major();
    for element in options::elements(&statement.options) {
        let since = match element.defname.as_str() {
            "analyze" | "verbose" | "costs" | "buffers" | "wal" | "settings" | "timing" | "summary" | "format" => 13,
            "generic_plan" => 16,
            "serialize" | "memory" => 17,
            _ => i32::MAX,
        };
        // Extensions may bring options from 18 on.
        if since > major && major < 18 {
            impact.refuse(
                "42601",
                format!("unrecognized EXPLAIN option \"{}\"", element.defname),
                "Check the spelling of the option, or whether the server's version has it.",
            );
        }
    }
}

fn explained(statement: &ExplainStmt, query: &NodeEnum, resolver: &Resolver<'_>) -> Impact {
    if options::is_on(&statement.options, "analyze") {
        return super::analyze_node(query, resolver);
    }
    match query {
        NodeEnum::CreateTableAsStmt(create) => match create.query.as_ref().and_then(|query| query.node.as_ref()) {
            Some(query) => plan(query, resolver),
            None => Impact::none(),
        },
        NodeEnum::DeclareCursorStmt(cursor) => match cursor.query.as_ref().and_then(|query| query.node.as_ref()) {
            Some(query) => plan(query, resolver),
            None => Impact::none(),
        },
        NodeEnum::RefreshMatViewStmt(_) => Impact::none(),
        other => plan(other, resolver),
    }
}

fn plan(query: &NodeEnum, resolver: &Resolver<'_>) -> Impact {
    Reader::new(resolver, Depth::Plan).strictly().statement(query)
}

/// The statement is analysed and rewritten; planning waits for EXECUTE.
pub(super) fn prepare(statement: &PrepareStmt, resolver: &Resolver<'_>) -> Impact {
    match statement.query.as_ref().and_then(|query| query.node.as_ref()) {
        Some(query) => Reader::new(resolver, Depth::Rewrite).statement(query),
        None => Impact::none(),
    }
}

/// The query is planned; rows are read by FETCH, or, with HOLD, when the transaction ends.
pub(super) fn declare_cursor(statement: &DeclareCursorStmt, resolver: &Resolver<'_>) -> Impact {
    let Some(query) = statement.query.as_ref().and_then(|query| query.node.as_ref()) else { return Impact::none() };
    let mut impact = plan(query, resolver);
    let locks_rows = matches!(query, NodeEnum::SelectStmt(select) if !select.locking_clause.is_empty());
    // CURSOR_OPT_SCROLL, CURSOR_OPT_INSENSITIVE and CURSOR_OPT_HOLD of parsenodes.h.
    for (bit, word) in [(0x0020, "WITH HOLD"), (0x0002, "SCROLL"), (0x0008, "INSENSITIVE")] {
        if locks_rows && statement.options & bit != 0 {
            let state = if word == "INSENSITIVE" { "42P11" } else { "0A000" };
            impact.refuse(
                state,
                format!("DECLARE {word} CURSOR ... FOR UPDATE/SHARE is not supported"),
                "Leave out one of the two.",
            );
        }
    }
    impact
}

#[cfg(test)]
mod tests {
    use crate::catalog::{Catalog, Schema, apply::apply};
    use crate::plan::HazardId;
    use crate::plan::analyze::analyze;
    use crate::sql::parse;

    fn hazards(sql: &str) -> Vec<HazardId> {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        catalog.schemas.insert("public".to_owned(), Schema::default());
        for statement in parse("CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE s (id int, a int)").unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        for relation in catalog.relations.values_mut() {
            relation.stats.empty = false;
        }
        let statements = parse(sql).unwrap();
        let mut found: Vec<_> = analyze(&statements[0], &catalog).hazards.iter().map(|hazard| hazard.id).collect();
        found.sort();
        found
    }

    #[test]
    fn what_statements_do_to_rows_and_to_the_server_is_told() {
        use HazardId::{BreaksClients, ClusterWide, DataLoss, LargeDataChange};
        let merge = "MERGE INTO t USING s ON s.id = t.id WHEN MATCHED THEN";
        for (sql, expected) in [
            (&*format!("{merge} DELETE"), &[DataLoss, LargeDataChange][..]),
            (&*format!("{merge} UPDATE SET a = s.a"), &[LargeDataChange]),
            (&*format!("{merge} DO NOTHING"), &[]),
            ("SELECT * FROM s FOR UPDATE", &[LargeDataChange]),
            ("SELECT * FROM s", &[]),
            ("INSERT INTO t SELECT * FROM s ON CONFLICT (id) DO UPDATE SET a = 1", &[LargeDataChange]),
            ("INSERT INTO t VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET a = 1", &[]),
            ("COPY s TO PROGRAM 'gzip'", &[ClusterWide]),
            ("COPY (SELECT 1) TO '/tmp/a'", &[ClusterWide]),
            ("SELECT pg_terminate_backend(1)", &[ClusterWide]),
            ("SELECT pg_drop_replication_slot('a')", &[ClusterWide]),
            ("SET session_replication_role = replica", &[BreaksClients]),
            ("SET session_replication_role = 'origin'", &[]),
        ] {
            assert_eq!(hazards(sql), expected, "{sql}");
        }
    }
}
