//! `wesley analyze`: what each statement, as written, would do.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;

use super::{Failure, Format, SchemaArgs, SourceArgs, catalog, input, print, print_json};
use crate::catalog::apply::apply;
use crate::plan::analyze::{Impact, Refusal, Target, TransactionRule, analyze};
use crate::plan::{Blocks, Hazard, LockMode};
use crate::sql::Span;

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
    let mut catalog = catalog::read(schema).await?;
    let mut analysis = Analysis { server_version: catalog.server.version, statements: Vec::new() };
    for (index, statement) in input.statements.iter().enumerate() {
        let impact = analyze(statement, &catalog);
        if impact.refused.is_none() {
            // What cannot be foretold leaves the catalog as it is; later statements are judged on that.
            let _ = apply(&mut catalog, statement);
        }
        analysis.statements.push(analyzed(index, statement, impact));
    }
    match format {
        Format::Json => print_json(&analysis),
        Format::Text | Format::Markdown => {
            print(&text(&analysis));
            Ok(())
        }
    }
}

fn analyzed(index: usize, statement: &crate::sql::Statement, impact: Impact) -> AnalyzedStatement {
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
