//! What a way back depends on besides the schema: rows that were written since. The questions are made over the tables as
//! they are now, so that they can be asked before the first action of the way back runs.
//!
//! The actions are followed column by column: a column that an action adds is null, one that a backfill writes has the
//! backfill's expression, one that is renamed is the former one. Where an action changes rows in another way, nothing more
//! is asked: a question that is not certain to be the one of its moment is left to that moment.

mod constraints;
mod read;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, ObjectType, RangeVar, RenameStmt};

use self::constraints::{Rule, not_null};
use self::read::{cast, is_of_trigger, leaves_rows, no_row, null_of, over, read_tables, sets_sequence, written};
use super::model::{Action, Assignment, Backfill, Check, UndoAction};
use crate::sql::expression::with_columns;
use crate::sql::parse;
use crate::sql::quote;
use crate::sql::render::render_expression;

/// What the way back asks of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Id of the step whose undo asks.
    pub step: String,
    /// Tables that are read, as SQL.
    pub tables: Vec<String>,
    /// What is asked.
    pub what: Asked,
    /// Said when the answer stands in the way. No row values.
    pub message: String,
}

/// See [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A query with one boolean column and one row, which must be true.
    Query(String),
    /// No row of the table may be so.
    NoRow {
        /// What stands behind `FROM`.
        from: String,
        /// True for a row that stands in the way.
        wrong: String,
    },
    /// The expression must have a value, be it null, for each row.
    Values {
        /// What stands behind `FROM`.
        from: String,
        /// The rows in question; absent: all.
        filter: Option<String>,
        /// Fails for a row that stands in the way.
        expression: String,
    },
}

/// The questions of undo actions, each with the id of its step, in the order in which they would run. `root` gives the
/// topmost partitioned table of a partition, and every other table itself; names are as SQL, with their schema.
pub fn questions<'a>(
    actions: impl IntoIterator<Item = (&'a str, &'a UndoAction)>,
    root: &dyn Fn(&str) -> String,
) -> Vec<Question> {
    let mut walk = Walk { root, tables: HashMap::new(), step: "", compared: false, lost: false, found: Vec::new() };
    for (step, undo) in actions {
        if walk.step != step {
            (walk.step, walk.compared) = (step, false);
        }
        walk.action(&undo.action);
        if walk.lost {
            break;
        }
    }
    walk.found
}

/// What a table has become on the way.
#[derive(Default)]
struct Table {
    /// Columns that are not what they are now: their values, from the present columns; `None` where those are not known.
    columns: HashMap<String, Option<String>>,
    /// Its rows are not known any more.
    lost: bool,
    /// Constraints that are there and not proven.
    unproven: HashMap<String, Rule>,
    /// The last backfill and the columns before it: the partitions of a table have one each.
    filled: Option<Filled>,
}

/// A backfill, and the columns of its table before it.
struct Filled {
    assignments: Vec<Assignment>,
    filter: Option<String>,
    before: HashMap<String, Option<String>>,
}

struct Walk<'a> {
    root: &'a dyn Fn(&str) -> String,
    tables: HashMap<String, Table>,
    step: &'a str,
    /// Whether a check of the step has proven its columns equal to others: then these are as unique as those.
    compared: bool,
    lost: bool,
    found: Vec<Question>,
}

impl Walk<'_> {
    fn action(&mut self, action: &Action) {
        match action {
            Action::Transaction(transaction) => transaction.statements.iter().for_each(|text| self.statement(text)),
            Action::Concurrent(concurrent) => self.statement(&concurrent.statement),
            Action::Backfill(backfill) => self.backfill(backfill),
            Action::Check(check) => self.check(check),
            Action::Script(_) => self.lost = true,
        }
    }

    fn ask(&mut self, tables: Vec<String>, what: Asked, message: String) {
        if !self.lost && !self.found.iter().any(|known| known.what == what) {
            self.found.push(Question { step: self.step.to_owned(), tables, what, message });
        }
    }

    fn table(&mut self, name: &str) -> &mut Table {
        self.tables.entry((self.root)(name)).or_default()
    }

    /// The expression over the columns that the table has now; `None` where that is not known.
    fn now(&self, table: &str, expression: &str) -> Option<String> {
        match self.tables.get(&(self.root)(table)) {
            None => with_columns(expression, &quote::ident),
            Some(state) if state.lost => None,
            Some(state) => over(&state.columns, expression),
        }
    }

    fn check(&mut self, check: &Check) {
        self.compared = true;
        if self.tables.is_empty() {
            let tables = read_tables(&check.query);
            let what = match no_row(&check.query) {
                Some((from, _, wrong)) => Asked::NoRow { from, wrong },
                None => Asked::Query(check.query.clone()),
            };
            return self.ask(tables, what, check.message.clone());
        }
        let Some((from, table, wrong)) = no_row(&check.query) else { return };
        if let Some(wrong) = self.now(&table, &wrong) {
            self.ask(vec![table], Asked::NoRow { from, wrong }, check.message.clone());
        }
    }

    fn backfill(&mut self, spec: &Backfill) {
        let name = quote::qualified(&spec.schema, &spec.table);
        let state = self.table(&name);
        if state.lost {
            return;
        }
        let same = |filled: &&Filled| filled.assignments == spec.assignments && filled.filter == spec.filter;
        let before = match state.filled.as_ref().filter(same) {
            Some(filled) => filled.before.clone(),
            None => state.columns.clone(),
        };
        let filter = spec.filter.as_deref().map(|filter| over(&before, filter));
        let mut after = before.clone();
        let mut asked = Vec::new();
        for Assignment { column, expression } in &spec.assignments {
            let old = before.get(column).cloned().unwrap_or_else(|| Some(quote::ident(column)));
            let value = match (&filter, over(&before, expression), old) {
                (None, Some(value), _) => {
                    asked.push((None, value.clone()));
                    Some(value)
                }
                (Some(Some(filter)), Some(value), Some(old)) => {
                    asked.push((Some(filter.clone()), value.clone()));
                    Some(format!("CASE WHEN {filter} THEN {value} ELSE {old} END"))
                }
                _ => None,
            };
            after.insert(column.clone(), value);
        }
        state.filled = Some(Filled { assignments: spec.assignments.clone(), filter: spec.filter.clone(), before });
        state.columns = after;
        for (filter, expression) in asked {
            let what = Asked::Values { from: format!("ONLY {name}"), filter, expression };
            self.ask(
                vec![name.clone()],
                what,
                format!("a row of {name} has a value that does not fit its former type"),
            );
        }
    }

    fn statement(&mut self, text: &str) {
        let parsed = parse(text).unwrap_or_default();
        let [statement] = parsed.as_slice() else {
            self.lost = true;
            return;
        };
        match &statement.node {
            NodeEnum::AlterTableStmt(alter) if alter.objtype() == ObjectType::ObjectTable => self.alter(alter),
            NodeEnum::RenameStmt(rename) => self.rename(rename),
            NodeEnum::IndexStmt(index) => self.index(index),
            NodeEnum::CreateStmt(create) => self.lose(create.relation.as_ref()),
            NodeEnum::DropStmt(drop)
                if matches!(drop.remove_type(), ObjectType::ObjectTable | ObjectType::ObjectSchema) =>
            {
                self.lost = true;
            }
            NodeEnum::CreateFunctionStmt(function) => self.lost |= !is_of_trigger(function),
            NodeEnum::SelectStmt(select) => self.lost |= !sets_sequence(select),
            node => self.lost |= !leaves_rows(node),
        }
    }

    fn lose(&mut self, relation: Option<&RangeVar>) {
        match relation.and_then(written) {
            Some(name) => self.table(&name).lost = true,
            None => self.lost = true,
        }
    }

    fn rename(&mut self, rename: &RenameStmt) {
        match rename.rename_type() {
            ObjectType::ObjectColumn => {
                let Some(name) = rename.relation.as_ref().and_then(written) else {
                    self.lost = true;
                    return;
                };
                let state = self.table(&name);
                let now = state.columns.remove(&rename.subname).unwrap_or_else(|| Some(quote::ident(&rename.subname)));
                state.columns.insert(rename.newname.clone(), now);
                state.columns.insert(rename.subname.clone(), None);
                (state.filled, state.unproven) = (None, HashMap::new());
            }
            ObjectType::ObjectTabconstraint => match rename.relation.as_ref().and_then(written) {
                Some(name) => self.table(&name).unproven.clear(),
                None => self.lost = true,
            },
            ObjectType::ObjectIndex
            | ObjectType::ObjectSequence
            | ObjectType::ObjectTrigger
            | ObjectType::ObjectPolicy
            | ObjectType::ObjectView => {}
            _ => self.lost = true,
        }
    }

    fn alter(&mut self, alter: &AlterTableStmt) {
        let Some(range) = alter.relation.as_ref() else { return };
        let Some(name) = written(range) else {
            self.lost = true;
            return;
        };
        let from = if range.inh { name.clone() } else { format!("ONLY {name}") };
        for command in &alter.cmds {
            match &command.node {
                Some(NodeEnum::AlterTableCmd(command)) => self.command(&name, &from, command),
                _ => self.table(&name).lost = true,
            }
        }
    }

    fn command(&mut self, name: &str, from: &str, command: &AlterTableCmd) {
        use AlterTableType as Type;
        match (command.subtype(), command.def.as_ref().and_then(|def| def.node.as_ref())) {
            (Type::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => {
                let state = self.table(name);
                state.filled = None;
                state.columns.insert(column.colname.clone(), null_of(column));
            }
            (Type::AtDropColumn, _) => {
                let state = self.table(name);
                state.filled = None;
                state.columns.insert(command.name.clone(), None);
            }
            (Type::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
                self.retype(name, from, &command.name, column)
            }
            (Type::AtSetNotNull, _) => {
                let rule = not_null(name, &command.name);
                self.prove(name, from, rule);
            }
            (Type::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => self.constraint(name, from, constraint),
            (Type::AtValidateConstraint, _) => {
                if let Some(rule) = self.table(name).unproven.remove(&command.name) {
                    self.prove(name, from, rule);
                }
            }
            (
                Type::AtColumnDefault
                | Type::AtDropNotNull
                | Type::AtDropConstraint
                | Type::AtSetStatistics
                | Type::AtSetStorage
                | Type::AtSetCompression
                | Type::AtSetOptions
                | Type::AtResetOptions
                | Type::AtSetRelOptions
                | Type::AtResetRelOptions
                | Type::AtReplicaIdentity
                | Type::AtChangeOwner
                | Type::AtEnableTrig
                | Type::AtEnableAlwaysTrig
                | Type::AtEnableReplicaTrig
                | Type::AtDisableTrig
                | Type::AtEnableRowSecurity
                | Type::AtDisableRowSecurity
                | Type::AtForceRowSecurity
                | Type::AtNoForceRowSecurity
                | Type::AtAddIdentity
                | Type::AtSetIdentity
                | Type::AtDropIdentity
                | Type::AtClusterOn,
                _,
            ) => {}
            _ => self.table(name).lost = true,
        }
    }

    fn retype(&mut self, name: &str, from: &str, column: &str, definition: &ColumnDef) {
        let using = match &definition.raw_default {
            Some(using) => render_expression(using),
            None => Some(quote::ident(column)),
        };
        let value = using.and_then(|using| self.now(name, &using)).and_then(|value| cast(&value, definition));
        let state = self.table(name);
        state.filled = None;
        state.columns.insert(column.to_owned(), value.clone());
        if let Some(expression) = value {
            let what = Asked::Values { from: from.to_owned(), filter: None, expression };
            let column = quote::ident(column);
            self.ask(
                vec![name.to_owned()],
                what,
                format!("a value of {column} of {name} does not fit its former type"),
            );
        }
    }
}
