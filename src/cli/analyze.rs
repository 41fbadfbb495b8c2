//! `wesley analyze`: what each statement, as written, would do.

use std::collections::BTreeSet;
use std::fmt::Write;

use pg_query::protobuf::node::Node;
use serde::Serialize;

use super::{Failure, Format, SchemaArgs, SourceArgs, catalog, input, print, print_json};
use crate::catalog::Catalog;
use crate::catalog::apply::apply;
use crate::plan::analyze::{Impact, Refusal, Target, TransactionRule, analyze};
use crate::plan::{Blocks, Hazard, LockMode};
use crate::sql::{Span, Statement};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Analysis {
    server_version: i32,
    statements: Vec<AnalyzedStatement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnalyzedStatement {
    index: usize,
    sql: String,
    span: Span,
    transaction: TransactionRule,
    locks: Vec<AnalyzedLock>,
    rewrites: BTreeSet<Target>,
    scans: BTreeSet<Target>,
    waits_for_transactions: BTreeSet<Target>,
    hazards: Vec<Hazard>,
    refused: Option<Refusal>,
}

#[derive(Serialize)]
struct AnalyzedLock {
    relation: Target,
    mode: LockMode,
}

pub(super) async fn run(source: &SourceArgs, schema: &SchemaArgs, format: Format) -> Result<(), Failure> {
    let input = input::read_for_analysis(source)?;
    let catalog = catalog::read(schema).await?;
    let server_version = catalog.server.version;
    let impacts = impacts(&input.statements, catalog);
    let statements = input.statements.iter().zip(impacts).enumerate();
    let analysis = Analysis {
        server_version,
        statements: statements.map(|(index, (statement, impact))| analyzed(index, statement, impact)).collect(),
    };
    match format {
        Format::Json => print_json(&analysis),
        Format::Text | Format::Markdown => {
            print(&text(&analysis));
            Ok(())
        }
    }
}

/// What each statement would do after those before it.
fn impacts(statements: &[Statement], mut catalog: Catalog) -> Vec<Impact> {
    let mut unforeseen = false;
    let mut all = Vec::new();
    for statement in statements {
        let mut impact = analyze(statement, &catalog);
        if unforeseen && (impact.refused.is_some() || is_code(statement)) {
            // Only the server knows what code before it has made.
            impact = Impact::unanalyzable("It depends on what a statement before it made, which cannot be foretold.");
        }
        if impact.refused.is_none() {
            unforeseen |= apply(&mut catalog, statement).is_err();
        }
        all.push(impact);
    }
    all
}

/// Whether it runs code, in which a name without a relation is no refusal.
fn is_code(statement: &Statement) -> bool {
    matches!(statement.node, Node::DoStmt(_) | Node::CallStmt(_))
}

fn analyzed(index: usize, statement: &Statement, impact: Impact) -> AnalyzedStatement {
    AnalyzedStatement {
        index,
        sql: statement.text.clone(),
        span: statement.span,
        transaction: impact.transaction,
        locks: impact.locks.into_iter().map(|(relation, mode)| AnalyzedLock { relation, mode }).collect(),
        rewrites: impact.rewrites,
        scans: impact.scans,
        waits_for_transactions: impact.waits_for_transactions,
        hazards: impact.hazards,
        refused: impact.refused,
    }
}

fn text(analysis: &Analysis) -> String {
    let mut out = String::new();
    for statement in &analysis.statements {
        let first_line = statement.sql.lines().next().unwrap_or("");
        let more = if statement.sql.lines().count() > 1 { " ..." } else { "" };
        let _ = writeln!(out, "{}. {first_line}{more}", statement.index + 1);
        if let Some(refusal) = &statement.refused {
            let _ = writeln!(out, "   refused   {} ({}); {}", refusal.message, refusal.sqlstate, refusal.hint);
        }
        match statement.transaction {
            TransactionRule::Allowed => {}
            TransactionRule::Forbidden => out.push_str("   runs      only outside a transaction block\n"),
            TransactionRule::Unknown => out.push_str("   runs      nobody can tell what it does before it runs\n"),
        }
        for lock in &statement.locks {
            let blocks = match Blocks::from(lock.mode) {
                Blocks::Nothing => "blocks neither reads nor writes",
                Blocks::Writes => "blocks writes",
                Blocks::ReadsAndWrites => "blocks reads and writes",
            };
            let _ = writeln!(out, "   lock      {} {} ({blocks})", lock.relation, lock.mode);
        }
        for (label, relations) in [
            ("rewrites", &statement.rewrites),
            ("scans", &statement.scans),
            ("waits for", &statement.waits_for_transactions),
        ] {
            if !relations.is_empty() {
                let names: Vec<String> = relations.iter().map(ToString::to_string).collect();
                let _ = writeln!(out, "   {label:<9} {}", names.join(", "));
            }
        }
        for hazard in &statement.hazards {
            let _ = writeln!(out, "   hazard    {hazard}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::HazardId;

    #[test]
    fn what_code_made_is_not_refused_as_missing() {
        let text = "ALTER TABLE a ADD b int; DO $$ BEGIN EXECUTE 'create table t ()'; END $$; CREATE INDEX ON t (a);
            DO $$ BEGIN UPDATE t SET a = 1; END $$";
        let found = impacts(&crate::sql::parse(text).unwrap(), Catalog::default());
        let unknown = |impact: &Impact| impact.hazards.iter().any(|hazard| hazard.id == HazardId::Unanalyzable);
        assert_eq!(found[0].refused.as_ref().map(|refusal| refusal.sqlstate.as_str()), Some("42P01"));
        assert!(found[1..].iter().all(|impact| impact.refused.is_none()));
        assert_eq!(found.iter().map(unknown).collect::<Vec<_>>(), [false, false, true, true]);
    }
}
