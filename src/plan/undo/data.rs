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
    if postpone::changes_rows(&statement.node) {
        beside(done, statement, lost);
    }
}

/// Adds the tables that triggers, cascades and queries in front of a change of rows change as well.
fn beside(done: &Done<'_>, statement: &Statement, lost: &mut Vec<String>) {
    let named = written(&statement.node).filter_map(|range| match Resolver::new(done.before).lookup(range) {
        Lookup::Found(found) => Some(found.name),
        _ => None,
    });
    let named: Vec<&Name> = named.collect();
    let changed = analyze(statement, done.before).locks.into_iter().filter_map(|(target, mode)| match target {
        Target::Relation(name) if mode >= LockMode::RowExclusive => Some(name),
        _ => None,
    });
    let others: Vec<String> = changed
        .filter(|name| done.before.relations.get(name).is_some_and(|relation| relation.kind.is_table()))
        .filter(|name| !done.created.relation(name) && !is_below(done, name, &named))
        .map(|name| name.to_string())
        .collect();
    if !others.is_empty() {
        lost.push(format!("what it changed beside in {}", others.join(", ")));
    }
}

/// The tables that a change of rows names.
fn written(node: &NodeEnum) -> impl Iterator<Item = &RangeVar> {
    let one = match node {
        NodeEnum::InsertStmt(insert) => insert.relation.as_ref(),
        NodeEnum::UpdateStmt(update) => update.relation.as_ref(),
        NodeEnum::DeleteStmt(delete) => delete.relation.as_ref(),
        NodeEnum::MergeStmt(merge) => merge.relation.as_ref(),
        NodeEnum::CopyStmt(copy) => copy.relation.as_ref(),
        _ => None,
    };
    let several = match node {
        NodeEnum::TruncateStmt(truncate) => truncate.relations.as_slice(),
        _ => &[],
    };
    one.into_iter().chain(several.iter().filter_map(|relation| match &relation.node {
        Some(NodeEnum::RangeVar(range)) => Some(range),
        _ => None,
    }))
}

/// Whether it is one of those tables or holds a part of their rows.
fn is_below(done: &Done<'_>, name: &Name, tops: &[&Name]) -> bool {
    let parents = || done.before.relations.get(name).map_or(&[][..], |relation| &relation.parents);
    tops.contains(&name) || parents().iter().any(|parent| is_below(done, parent, tops))
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

#[cfg(test)]
mod tests {
    use crate::catalog::{Catalog, apply::apply};
    use crate::plan::{HazardId, Policy, Undo, plan};
    use crate::sql::parse;

    #[test]
    fn rows_that_go_with_others_are_told() {
        use strum::IntoEnumIterator;
        let mut catalog = Catalog::default();
        catalog.server.version = 170_000;
        catalog.server.search_path = vec!["public".to_owned()];
        let setup = "CREATE SCHEMA public; CREATE TABLE t (id int PRIMARY KEY, a int) PARTITION BY RANGE (id);
            CREATE TABLE t_1 PARTITION OF t DEFAULT; CREATE TABLE u (t_id int REFERENCES t ON DELETE CASCADE);
            CREATE TABLE w (t_id int REFERENCES t)";
        for statement in parse(setup).unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        let policy = Policy { allowed: HazardId::iter().collect(), ..Policy::default() };
        let lost = |change: &str| {
            let plan = plan(&parse(change).unwrap(), &catalog, &policy).unwrap();
            let lost = plan.steps.iter().filter_map(|step| match &step.undo {
                Undo::Lossy(lossy) => Some(lossy.lost.clone()),
                _ => None,
            });
            lost.collect::<Vec<_>>().join("; ")
        };
        let wanted = "the deleted rows of public.t; what it changed beside in public.u";
        assert_eq!(lost("DELETE FROM t WHERE a = 1"), wanted);
        assert_eq!(lost("UPDATE t SET a = 1 WHERE a = 2"), "the former values of the updated rows of public.t");
        assert_eq!(
            lost("TRUNCATE t, w CASCADE"),
            "the rows of public.t; the rows of public.w; what it changed beside in public.u"
        );
    }
}
