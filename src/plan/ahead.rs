//! What a way back depends on besides the schema: rows that were written since. The questions are made over the tables as
//! they are now, so that they can be asked before the first action of the way back runs.
//!
//! The actions are followed column by column: a column that an action adds is null, one that a backfill writes has the
//! backfill's expression, one that is renamed is the former one. Where an action changes rows in another way, nothing more
//! is asked: a question that is not certain to be the one of its moment is left to that moment.

use std::cell::Cell;
use std::collections::HashMap;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, ConstrType, Constraint, CreateFunctionStmt, IndexStmt,
    Node, ObjectType, RangeVar, RenameStmt, SelectStmt, TypeCast,
};

use super::model::{Action, Assignment, Backfill, Check, UndoAction};
use crate::sql::expression::with_columns;
use crate::sql::parse;
use crate::sql::quote;
use crate::sql::render::{render, render_expression};

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

/// What a constraint wants of rows.
#[derive(Clone)]
enum Rule {
    /// No row may be so; and what is said of one.
    Never(String, String),
    /// The query is true; the tables it reads.
    Holds(String, Vec<String>, String),
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

    fn constraint(&mut self, name: &str, from: &str, constraint: &Constraint) {
        let rule = match constraint.contype() {
            ConstrType::ConstrCheck => constraint.raw_expr.as_deref().and_then(render_expression).map(|expression| {
                let message = format!("rows of {name} violate the check {}", quote::ident(&constraint.conname));
                Rule::Never(format!("NOT ({expression})"), message)
            }),
            ConstrType::ConstrNotnull => strings(&constraint.keys).first().map(|column| not_null(name, column)),
            ConstrType::ConstrForeign => self.reference(name, from, constraint),
            ConstrType::ConstrUnique | ConstrType::ConstrPrimary if constraint.indexname.is_empty() => {
                let columns: Vec<String> = strings(&constraint.keys).iter().map(|key| quote::ident(key)).collect();
                self.unique(name, from, &columns, None, constraint.nulls_not_distinct)
            }
            _ => None,
        };
        let Some(rule) = rule else { return };
        if constraint.skip_validation {
            self.table(name).unproven.insert(constraint.conname.clone(), rule);
        } else {
            self.prove(name, from, rule);
        }
    }

    fn prove(&mut self, name: &str, from: &str, rule: Rule) {
        match rule {
            Rule::Never(wrong, message) => {
                if let Some(wrong) = self.now(name, &wrong) {
                    self.ask(vec![name.to_owned()], Asked::NoRow { from: from.to_owned(), wrong }, message);
                }
            }
            Rule::Holds(query, tables, message) => self.ask(tables, Asked::Query(query), message),
        }
    }

    /// Rows without the row that they point at. Only where no column of it has changed on the way.
    fn reference(&self, name: &str, from: &str, constraint: &Constraint) -> Option<Rule> {
        let range = constraint.pktable.as_ref()?;
        let parent = written(range)?;
        let (own, others) = (strings(&constraint.fk_attrs), strings(&constraint.pk_attrs));
        let same = |table: &str, columns: &[String]| {
            self.tables
                .get(&(self.root)(table))
                .is_none_or(|state| !state.lost && columns.iter().all(|column| !state.columns.contains_key(column)))
        };
        if constraint.fk_matchtype == "f" || own.len() != others.len() || !same(name, &own) || !same(&parent, &others) {
            return None;
        }
        let given: Vec<String> = own.iter().map(|column| format!("c.{} IS NOT NULL", quote::ident(column))).collect();
        let meets: Vec<String> = own
            .iter()
            .zip(&others)
            .map(|(own, other)| format!("p.{} = c.{}", quote::ident(other), quote::ident(own)))
            .collect();
        let parent_from = if range.inh { parent.clone() } else { format!("ONLY {parent}") };
        let query = format!(
            "SELECT NOT EXISTS (SELECT FROM {from} c WHERE {} AND NOT EXISTS (SELECT FROM {parent_from} p WHERE {}))",
            given.join(" AND "),
            meets.join(" AND ")
        );
        let message = format!(
            "rows of {name} point at no row of {parent}, which the foreign key {} does not allow",
            quote::ident(&constraint.conname)
        );
        Some(Rule::Holds(query, vec![name.to_owned(), parent], message))
    }

    fn index(&mut self, index: &IndexStmt) {
        if !index.unique {
            return;
        }
        let Some(range) = index.relation.as_ref() else { return };
        let Some(name) = written(range) else {
            self.lost = true;
            return;
        };
        let parts: Option<Vec<String>> = index
            .index_params
            .iter()
            .map(|part| match &part.node {
                Some(NodeEnum::IndexElem(part)) if part.expr.is_none() => Some(quote::ident(&part.name)),
                Some(NodeEnum::IndexElem(part)) => render_expression(part.expr.as_deref()?),
                _ => None,
            })
            .collect();
        let condition = match &index.where_clause {
            Some(condition) => render_expression(condition).map(Some),
            None => Some(None),
        };
        let (Some(parts), Some(condition)) = (parts, condition) else { return };
        let from = if range.inh { name.clone() } else { format!("ONLY {name}") };
        if let Some(rule) = self.unique(&name, &from, &parts, condition.as_deref(), index.nulls_not_distinct) {
            self.prove(&name, &from, rule);
        }
    }

    /// Rows with the same values.
    fn unique(
        &self,
        name: &str,
        from: &str,
        parts: &[String],
        condition: Option<&str>,
        nulls_not_distinct: bool,
    ) -> Option<Rule> {
        if self.compared {
            return None;
        }
        let now: Vec<String> = parts.iter().map(|part| self.now(name, part)).collect::<Option<_>>()?;
        let mut terms: Vec<String> = Vec::new();
        if let Some(condition) = condition {
            terms.push(format!("({})", self.now(name, condition)?));
        }
        if !nulls_not_distinct {
            terms.extend(now.iter().map(|part| format!("({part}) IS NOT NULL")));
        }
        let filter = if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) };
        let groups: Vec<String> = now.iter().map(|part| format!("({part})")).collect();
        let query = format!(
            "SELECT NOT EXISTS (SELECT FROM {from}{filter} GROUP BY {} HAVING pg_catalog.count(*) > 1)",
            groups.join(", ")
        );
        let message = format!("rows of {name} have the same values in ({}), which has to be unique", parts.join(", "));
        Some(Rule::Holds(query, vec![name.to_owned()], message))
    }
}

/// The expression over the columns as they are now.
fn over(columns: &HashMap<String, Option<String>>, expression: &str) -> Option<String> {
    let known = Cell::new(true);
    let text = with_columns(expression, &|name| match columns.get(name) {
        None => quote::ident(name),
        Some(Some(now)) => format!("({now})"),
        Some(None) => {
            known.set(false);
            String::new()
        }
    });
    text.filter(|_| known.get())
}

fn not_null(table: &str, column: &str) -> Rule {
    let column = quote::ident(column);
    let message = format!("rows of {table} have no value in {column}, which must not be null");
    Rule::Never(format!("{column} IS NULL"), message)
}

/// The value of a new column in rows that are there: null unless its definition gives another.
fn null_of(column: &ColumnDef) -> Option<String> {
    if !column.constraints.is_empty() || column.raw_default.is_some() {
        return None;
    }
    cast("NULL", column)
}

/// The value as one of the column's type.
fn cast(value: &str, column: &ColumnDef) -> Option<String> {
    let value = crate::sql::expression::parse_expression(value)?;
    let cast = TypeCast { arg: Some(Box::new(value)), type_name: column.type_name.clone(), location: -1 };
    render_expression(&Node { node: Some(NodeEnum::TypeCast(Box::new(cast))) })
}

/// `SELECT NOT EXISTS (SELECT FROM table WHERE condition)`: what stands behind FROM, the table and the condition.
fn no_row(query: &str) -> Option<(String, String, String)> {
    let parsed = parse(query).ok()?;
    let [statement] = parsed.as_slice() else { return None };
    let NodeEnum::SelectStmt(select) = &statement.node else { return None };
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return None };
    let Some(NodeEnum::BoolExpr(not)) = &target.val.as_ref()?.node else { return None };
    let [Node { node: Some(NodeEnum::SubLink(link)) }] = not.args.as_slice() else { return None };
    let Some(NodeEnum::SelectStmt(inner)) = &link.subselect.as_ref()?.node else { return None };
    let [Node { node: Some(NodeEnum::RangeVar(range)) }] = inner.from_clause.as_slice() else { return None };
    let table = written(range).filter(|_| range.alias.is_none())?;
    let from = if range.inh { table.clone() } else { format!("ONLY {table}") };
    let wrong = render_expression(inner.where_clause.as_deref()?)?;
    // Nothing else may be in it: made anew from its parts it is the same.
    let again = parse(&format!("SELECT NOT EXISTS (SELECT FROM {from} WHERE {wrong})")).ok()?;
    (render(&again.first()?.node)? == render(&statement.node)?).then_some((from, table, wrong))
}

/// The tables that a query names, with their schema.
fn read_tables(query: &str) -> Vec<String> {
    let Ok(parsed) = pg_query::parse(query, pg_query::ParserOptions::DEFAULT) else { return Vec::new() };
    let tables = parsed.tables();
    tables
        .iter()
        .map(|table| match table.split_once('.') {
            Some((schema, name)) => quote::qualified(schema, name),
            None => quote::ident(table),
        })
        .collect()
}

fn written(relation: &RangeVar) -> Option<String> {
    (!relation.schemaname.is_empty()).then(|| quote::qualified(&relation.schemaname, &relation.relname))
}

fn strings(nodes: &[Node]) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::String(text)) => Some(text.sval.clone()),
            _ => None,
        })
        .collect()
}

/// What another function gives, a question may depend on.
fn is_of_trigger(function: &CreateFunctionStmt) -> bool {
    let names = function.return_type.as_ref().map(|of| strings(&of.names)).unwrap_or_default();
    names.last().is_some_and(|name| name == "trigger")
}

/// `SELECT setval(...)`.
fn sets_sequence(select: &SelectStmt) -> bool {
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return false };
    match target.val.as_ref().and_then(|value| value.node.as_ref()) {
        Some(NodeEnum::FuncCall(call)) => strings(&call.funcname) == ["pg_catalog", "setval"],
        _ => false,
    }
}

/// Statements that change no row, no table's columns, and nothing that an expression uses.
fn leaves_rows(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::DropStmt(_)
            | NodeEnum::CreateTrigStmt(_)
            | NodeEnum::CommentStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::AlterFunctionStmt(_)
            | NodeEnum::AlterOwnerStmt(_)
            | NodeEnum::CreateStatsStmt(_)
            | NodeEnum::AlterStatsStmt(_)
            | NodeEnum::ViewStmt(_)
            | NodeEnum::RuleStmt(_)
            | NodeEnum::CreatePolicyStmt(_)
            | NodeEnum::AlterPolicyStmt(_)
            | NodeEnum::CreatePublicationStmt(_)
            | NodeEnum::AlterPublicationStmt(_)
            | NodeEnum::VacuumStmt(_)
            | NodeEnum::ReindexStmt(_)
            | NodeEnum::RefreshMatViewStmt(_)
            | NodeEnum::AlterTableStmt(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::{Empty, Postcondition, Transaction};

    fn undo(action: Action) -> UndoAction {
        UndoAction { action, postcondition: Postcondition::Recorded(Empty {}) }
    }

    fn sql(statements: &[&str]) -> UndoAction {
        let statements = statements.iter().map(|text| (*text).to_owned()).collect();
        undo(Action::Transaction(Transaction { statements, long: false, small: None, guards: Vec::new() }))
    }

    fn asked(actions: &[UndoAction]) -> Vec<Asked> {
        let root = |name: &str| if name.starts_with("public.part") { "public.t".to_owned() } else { name.to_owned() };
        questions(actions.iter().map(|action| ("s", action)), &root).into_iter().map(|asked| asked.what).collect()
    }

    fn no_row(wrong: &str) -> Asked {
        Asked::NoRow { from: "public.t".into(), wrong: wrong.into() }
    }

    fn fill(table: &str) -> UndoAction {
        undo(Action::Backfill(Backfill {
            schema: "public".into(),
            table: table.into(),
            key: Vec::new(),
            assignments: vec![Assignment { column: "old".into(), expression: "CAST(id AS integer)".into() }],
            filter: Some("id IS DISTINCT FROM CAST(old AS bigint)".into()),
            idempotent: true,
        }))
    }

    fn compare() -> UndoAction {
        undo(Action::Check(Check {
            query: "SELECT NOT EXISTS (SELECT FROM public.t WHERE id IS DISTINCT FROM CAST(old AS bigint))".into(),
            message: String::new(),
        }))
    }

    #[test]
    fn a_column_that_comes_back_is_asked_for_over_the_one_that_is_there() {
        let restore = || sql(&["ALTER TABLE public.t ADD COLUMN old integer"]);
        let found = asked(&[restore(), fill("part1"), fill("part2"), compare()]);
        let filter = "id IS DISTINCT FROM CAST((NULL::int) AS bigint)";
        let values = |table: &str| Asked::Values {
            from: format!("ONLY public.{table}"),
            filter: Some(filter.into()),
            expression: "CAST(id AS integer)".into(),
        };
        assert_eq!(found[..2], [values("part1"), values("part2")]);
        let Asked::NoRow { wrong, .. } = &found[2] else { panic!("{found:?}") };
        assert!(wrong.contains("CASE WHEN") && !wrong.contains("old"), "{wrong}");
        assert_eq!(asked(&[compare()]), [no_row("id IS DISTINCT FROM old::bigint")]);
    }

    #[test]
    fn constraints_that_come_back_are_asked_for_when_they_are_proven() {
        let not_null = || sql(&["ALTER TABLE public.t ALTER COLUMN v SET NOT NULL"]);
        assert_eq!(asked(&[not_null()]), [no_row("v IS NULL")]);
        let renamed = sql(&["ALTER TABLE public.t RENAME COLUMN w TO v"]);
        assert_eq!(asked(&[renamed, not_null()]), [no_row("(w) IS NULL")]);
        let add = || sql(&["ALTER TABLE public.t ADD CONSTRAINT c CHECK (v > 0) NOT VALID"]);
        assert_eq!(asked(&[add()]), []);
        assert_eq!(asked(&[add(), sql(&["ALTER TABLE public.t VALIDATE CONSTRAINT c"])]), [no_row("NOT (v > 0)")]);
        let narrow = sql(&["ALTER TABLE public.t ALTER COLUMN v TYPE int"]);
        let values = Asked::Values { from: "public.t".into(), filter: None, expression: "v::int".into() };
        assert_eq!(asked(&[narrow]), [values]);
    }

    #[test]
    fn nothing_is_asked_behind_changes_of_rows() {
        let not_null = || sql(&["ALTER TABLE public.t ALTER COLUMN v SET NOT NULL"]);
        assert_eq!(asked(&[sql(&["DELETE FROM public.u WHERE a = 1"]), not_null()]), []);
        assert_eq!(asked(&[sql(&["ALTER TABLE public.t DROP COLUMN v"]), not_null()]), []);
        assert_eq!(asked(&[sql(&["CREATE TABLE public.t (v int)"]), not_null()]), []);
        assert_eq!(asked(&[sql(&["ALTER TABLE t ADD COLUMN w int"]), not_null()]), []);
        let index = sql(&["CREATE INDEX i ON public.t (v)", "COMMENT ON INDEX public.i IS 'x'"]);
        assert_eq!(asked(&[index, not_null()]), [no_row("v IS NULL")]);
    }
}
