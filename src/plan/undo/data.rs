//! Rows that a statement changes and that no undo brings back.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar, UpdateStmt};

use super::Done;
use crate::catalog::apply::{apply, do_statements};
use crate::catalog::{Name, RelationKind};
use crate::plan::analyze::{Lookup, Resolver, Target, analyze};
use crate::plan::lock::LockMode;
use crate::plan::postpone;
use crate::sql::Statement;

/// Adds what is lost. Rows of tables that the plan made go with their table.
pub(super) fn lost(done: &Done<'_>, statement: &Statement, lost: &mut Vec<String>) {
    match &statement.node {
        NodeEnum::InsertStmt(insert) => about(done, insert.relation.as_ref(), "the inserted rows stay in", lost),
        NodeEnum::UpdateStmt(update) if only_new_columns(done, statement, update) => {}
        NodeEnum::UpdateStmt(update) => {
            about(done, update.relation.as_ref(), "the former values of the updated rows of", lost)
        }
        NodeEnum::DeleteStmt(delete) => about(done, delete.relation.as_ref(), "the deleted rows of", lost),
        NodeEnum::MergeStmt(merge) => about(done, merge.relation.as_ref(), "the former rows of", lost),
        NodeEnum::CopyStmt(copy) if copy.is_from => {
            about(done, copy.relation.as_ref(), "the copied rows stay in", lost)
        }
        NodeEnum::TruncateStmt(truncate) => {
            for relation in &truncate.relations {
                if let Some(NodeEnum::RangeVar(range)) = &relation.node {
                    about(done, Some(range), "the rows of", lost);
                }
            }
        }
        NodeEnum::AlterSeqStmt(alter) if restarts(&alter.options) => {
            about(done, alter.sequence.as_ref(), "the position of", lost);
        }
        _ => {}
    }
}

/// Adds what functions of the step's queries and its blocks of code change, each analysed where it stands among the
/// statements.
pub(super) fn lost_by_code(done: &Done<'_>, lost: &mut Vec<String>) {
    let runs = |statement: &Statement| match &statement.node {
        NodeEnum::SelectStmt(_) => Some("what functions of the query changed in"),
        NodeEnum::DoStmt(block) if do_statements(block).is_some_and(|all| all.iter().any(changes_rows)) => {
            Some("what the code changed in")
        }
        _ => None,
    };
    if !done.statements.iter().any(|statement| runs(statement).is_some()) {
        return;
    }
    let mut catalog = done.before.clone();
    for statement in done.statements {
        if let Some(what) = runs(statement) {
            for (target, mode) in &analyze(statement, &catalog).locks {
                let Target::Relation(name) = target else { continue };
                let table = done.before.relations.get(name).is_some_and(|relation| relation.kind.is_table());
                if table && *mode >= LockMode::RowExclusive && !done.created.relation(name) {
                    lost.push(format!("{what} {name}"));
                }
            }
        }
        let _ = apply(&mut catalog, statement);
    }
}

/// Whether rows may change by it; queries may call functions that change some.
fn changes_rows(node: &NodeEnum) -> bool {
    postpone::changes_rows(node) || matches!(node, NodeEnum::SelectStmt(select) if select.into_clause.is_none())
}

/// Whether nothing but columns that the plan makes gets other values: these go by themselves.
fn only_new_columns(done: &Done<'_>, statement: &Statement, update: &UpdateStmt) -> bool {
    let Some(Lookup::Found(found)) = update.relation.as_ref().map(|range| Resolver::new(done.before).lookup(range))
    else {
        return false;
    };
    let is_new = |column: &str| found.relation.column(column).is_none() || done.created.column(found.name, column);
    let fires = found.relation.triggers.iter().any(|trigger| trigger.on_update) || !found.relation.rules.is_empty();
    // Queries in front of it and functions may change other rows.
    let impact = analyze(statement, done.after);
    let other = |target: &Target| !matches!(target, Target::Relation(name) if name == found.name);
    let elsewhere = impact.locks.iter().any(|(target, mode)| *mode >= LockMode::RowExclusive && other(target));
    !fires
        && !elsewhere
        && impact.refused.is_none()
        && found.relation.kind == RelationKind::Table
        && update
            .target_list
            .iter()
            .all(|target| matches!(&target.node, Some(NodeEnum::ResTarget(target)) if is_new(&target.name)))
}

fn restarts(options: &[Node]) -> bool {
    options
        .iter()
        .any(|option| matches!(&option.node, Some(NodeEnum::DefElem(element)) if element.defname == "restart"))
}

fn about(done: &Done<'_>, range: Option<&RangeVar>, what: &str, lost: &mut Vec<String>) {
    let Some(range) = range else {
        return;
    };
    let name = match Resolver::new(done.before).lookup(range) {
        Lookup::Found(found) => found.name.clone(),
        _ if range.schemaname.is_empty() => return,
        _ => Name::new(&*range.schemaname, &*range.relname),
    };
    if !done.created.relation(&name) && done.before.relations.contains_key(&name) {
        lost.push(format!("{what} {name}"));
    }
}
