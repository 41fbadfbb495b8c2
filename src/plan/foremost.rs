//! Questions to rows come first in a plan where nothing before them can change the answer: a run that rows stop then has
//! changed nothing.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterEnumStmt, AlterTableType, Node, ObjectType};

use super::analyze::{Target, analyze};
use super::draft::{Draft, Work};
use super::expand::single;
use super::lock::LockMode;
use super::steps::{Placed, update};
use crate::catalog::{Catalog, Name, apply::apply};
use crate::sql::Statement;
use crate::sql::render::{self, Mentions};

/// Moves the questions that no row of a table stands in the way of a change.
pub(super) fn ask(steps: &mut [Placed], start: &Catalog) {
    let Some(last) = steps.iter().rposition(|placed| asks(&placed.draft)) else { return };
    let mut catalog = start.clone();
    let mut changed = Changed::default();
    let mut first = Vec::new();
    for (at, placed) in steps.iter().enumerate().take(last + 1) {
        if changed.anything {
            break;
        }
        catalog.server = start.server.clone();
        placed.settings.enter(&mut catalog);
        match &placed.draft.work {
            Work::Check(check) if asks(&placed.draft) => {
                let mut then = start.clone();
                placed.settings.enter(&mut then);
                let question = single(&check.query);
                if placed.span.is_none() && question.is_some_and(|question| changed.nothing_in(&question, &then)) {
                    first.push(at);
                }
            }
            Work::Check(_) => {}
            Work::Script(_) => changed.anything = true,
            Work::Backfill(backfill) => match update(backfill) {
                Some(update) => changed.by(&update, &mut catalog),
                None => changed.anything = true,
            },
            Work::Sql(texts) => {
                for text in texts {
                    match single(text) {
                        Some(statement) => changed.by(&statement, &mut catalog),
                        None => changed.anything = true,
                    }
                }
            }
        }
    }
    for (to, from) in first.into_iter().enumerate() {
        if let Some(moved) = steps.get_mut(to..=from) {
            moved.rotate_right(1);
        }
    }
}

/// Whether it asks for rows that a change cannot have.
fn asks(draft: &Draft) -> bool {
    draft.slug == Draft::CHECK_ROWS
}

/// What the steps so far may have changed of rows and of what is asked about them.
#[derive(Default)]
struct Changed {
    tables: BTreeSet<Name>,
    labels: BTreeSet<String>,
    anything: bool,
}

impl Changed {
    fn by(&mut self, statement: &Statement, catalog: &mut Catalog) {
        let impact = analyze(statement, catalog);
        match change(&statement.node) {
            Change::NoRow => {}
            Change::Label(alter) => {
                let named = [&alter.old_val, &alter.new_val].into_iter().filter(|label| !label.is_empty());
                self.labels.extend(named.cloned());
            }
            Change::Locked => {
                for (target, mode) in &impact.locks {
                    match target {
                        Target::Any => self.anything = true,
                        Target::Relation(name) if *mode >= LockMode::RowExclusive => {
                            self.tables.insert(name.clone());
                        }
                        Target::Relation(_) => {}
                    }
                }
            }
            Change::Anything => self.anything = true,
        }
        self.anything |= impact.code_changes_schema || apply(catalog, statement).is_err();
    }

    /// Whether the question has the same answer in the catalog before the plan.
    fn nothing_in(&self, question: &Statement, before: &Catalog) -> bool {
        let impact = analyze(question, before);
        let mut tables = Vec::new();
        for target in impact.locks.keys() {
            match target {
                Target::Relation(name) if !self.tables.contains(name) => tables.extend(before.relations.get(name)),
                _ => return false,
            }
        }
        let mut mentions = Mentions::default();
        mentions.add(&Node { node: Some(question.node.clone()) });
        let there = |column: &String| tables.iter().any(|table| table.column(column).is_some());
        impact.refused.is_none()
            && mentions.columns.iter().all(there)
            && !render::strings(&question.node).iter().any(|text| self.labels.contains(text))
    }
}

/// What a statement may change of an answer.
enum Change<'a> {
    /// Rows keep the values of all columns that are there.
    NoRow,
    /// Rows of tables that it locks.
    Locked,
    /// A label of an enum type.
    Label(&'a AlterEnumStmt),
    /// Also what names mean.
    Anything,
}

fn change(node: &NodeEnum) -> Change<'_> {
    match node {
        NodeEnum::AlterTableStmt(alter) if alter.cmds.iter().all(leaves_rows) => Change::NoRow,
        NodeEnum::IndexStmt(_) | NodeEnum::CommentStmt(_) | NodeEnum::GrantStmt(_) | NodeEnum::CreateStmt(_) => {
            Change::NoRow
        }
        NodeEnum::AlterEnumStmt(alter) => Change::Label(alter),
        NodeEnum::AlterTableStmt(_)
        | NodeEnum::CreateTrigStmt(_)
        | NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::TruncateStmt(_) => Change::Locked,
        NodeEnum::DropStmt(drop) => match drop.remove_type() {
            ObjectType::ObjectIndex | ObjectType::ObjectTrigger => Change::NoRow,
            ObjectType::ObjectTable => Change::Locked,
            // Others of the name may be meant from here on.
            _ => Change::Anything,
        },
        _ => Change::Anything,
    }
}

fn leaves_rows(command: &Node) -> bool {
    let Some(NodeEnum::AlterTableCmd(command)) = &command.node else { return false };
    matches!(
        command.subtype(),
        AlterTableType::AtAddColumn
            | AlterTableType::AtAddConstraint
            | AlterTableType::AtColumnDefault
            | AlterTableType::AtDropConstraint
            | AlterTableType::AtDropNotNull
            | AlterTableType::AtSetNotNull
            | AlterTableType::AtValidateConstraint
    )
}

#[cfg(test)]
mod tests {
    use crate::catalog::{Catalog, apply::apply};
    use crate::plan::{Action, HazardId, Policy, plan};
    use crate::sql::parse;

    /// Positions of the questions in the plan, and the number of its steps.
    fn questions(changes: &str) -> (Vec<usize>, usize) {
        use strum::IntoEnumIterator;
        let mut catalog = Catalog::default();
        catalog.server.version = 170_000;
        catalog.server.search_path = vec!["public".to_owned()];
        let setup = "CREATE SCHEMA public; CREATE EXTENSION plpgsql; CREATE TYPE e AS ENUM ('x'); CREATE TABLE t (id int PRIMARY KEY, a int, b int, d e); CREATE TABLE u (id int PRIMARY KEY, a int)";
        for statement in parse(setup).unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        for relation in catalog.relations.values_mut() {
            (relation.stats.empty, relation.stats.bytes) = (false, 1 << 30);
        }
        let policy = Policy { allowed: HazardId::iter().collect(), ..Policy::default() };
        let plan = plan(&parse(changes).unwrap(), &catalog, &policy).unwrap();
        let asked = plan.steps.iter().enumerate().filter(|(_, step)| matches!(step.action, Action::Check(_)));
        (asked.map(|(at, _)| at).collect(), plan.steps.len())
    }

    #[test]
    fn rows_are_asked_before_anything_is_changed() {
        let before =
            "CREATE INDEX ON t (b); UPDATE u SET a = 1; ALTER TYPE e ADD VALUE 'y'; ALTER TABLE t ADD COLUMN c int;";
        let after = "ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0); ALTER TABLE t ALTER a SET NOT NULL";
        assert_eq!(questions(&format!("{before} {after}")).0, [0, 1]);
    }

    #[test]
    fn rows_that_the_plan_changes_are_asked_afterwards() {
        for before in [
            "UPDATE t SET a = 1 WHERE a IS NULL",
            "DELETE FROM t WHERE a < 0",
            "ALTER TABLE t ALTER a TYPE bigint USING abs(a)",
            "ALTER TABLE t RENAME a TO g; ALTER TABLE t RENAME b TO a",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN UPDATE t SET a = 1; RETURN 1; END'; SELECT f()",
            "DO $$ BEGIN PERFORM set_config('a.b', 'c', false); EXECUTE current_setting('a.b'); END $$",
        ] {
            let (asked, _) = questions(&format!("{before}; ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0)"));
            assert!(asked.iter().all(|at| *at > 0), "{before}: {asked:?}");
        }
        let column = "ALTER TABLE t ADD COLUMN c int; ALTER TABLE t ADD CHECK (num_nonnulls(a, c) = 1)";
        assert!(questions(column).0.iter().all(|at| *at > 0));
        let label = "ALTER TYPE e ADD VALUE 'y'; ALTER TABLE t ADD CONSTRAINT known CHECK (d <> 'y')";
        assert!(questions(label).0.iter().all(|at| *at > 0));
    }
}
