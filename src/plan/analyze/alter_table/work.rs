//! What the subcommands of one ALTER TABLE have gathered: the server's work queue (`AlteredTableInfo` in
//! tablecmds.c). Rewrites, scans and foreign key checks are done once at the end, per table.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::protobuf::Node;

use super::add_column::SYSTEM_COLUMNS;
use crate::catalog::{Column, Name, Relation, RelationKind};
use crate::plan::analyze::resolve::{Rel, Resolver};
use crate::plan::analyze::volatile::{Evaluation, evaluate};
use crate::plan::analyze::{Impact, dependents, refusal, routines};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// What is to be done with one table in the end.
#[derive(Debug, Default)]
struct TableWork {
    /// The relation as the subcommands so far leave it; absent while unchanged.
    now: Option<Relation>,
    /// Gets a new file.
    rewrite: bool,
    /// What to do instead, for people; empty where nothing is.
    way_round: &'static str,
    /// Every row is checked.
    verify: bool,
    /// An index is built.
    builds: bool,
    /// Some column gets values that were not there before.
    new_values: bool,
    /// Indexes that go away, or are made anew under the same name.
    dropped_indexes: BTreeSet<Name>,
    /// Columns added in this statement that are NULL in every row.
    all_null: BTreeSet<String>,
    /// Sequences that filling the rows advances.
    sequences: BTreeSet<Name>,
    /// User-defined functions that run for each row.
    functions: BTreeSet<Name>,
}

/// A foreign key whose rows are checked in the end.
#[derive(Debug)]
struct ForeignKeyCheck<'a> {
    child: Rel<'a>,
    parent: Rel<'a>,
    columns: Vec<String>,
    /// Over ranges: each row is looked up by itself.
    period: bool,
}

/// The work of one statement.
#[derive(Debug)]
pub(super) struct Work<'r, 'a> {
    pub resolver: &'r Resolver<'a>,
    pub impact: Impact,
    /// Lock of the whole statement, taken on the table and on whatever the statement recurses to.
    pub mode: LockMode,
    tables: BTreeMap<&'a Name, TableWork>,
    checks: Vec<ForeignKeyCheck<'a>>,
}

impl<'r, 'a> Work<'r, 'a> {
    pub fn new(resolver: &'r Resolver<'a>, impact: Impact, mode: LockMode) -> Self {
        Self { resolver, impact, mode, tables: BTreeMap::new(), checks: Vec::new() }
    }

    pub fn major(&self) -> i32 {
        self.resolver.major()
    }

    /// The statement's own lock, on one more relation.
    pub fn lock(&mut self, rel: Rel<'a>) {
        self.impact.lock(rel.name.clone(), self.mode);
    }

    /// Another lock than the statement's own.
    pub fn lock_with(&mut self, rel: Rel<'a>, mode: LockMode) {
        self.impact.lock(rel.name.clone(), mode);
    }

    /// A lock on a table that the statement does not name.
    pub fn lock_hidden(&mut self, rel: Rel<'a>, mode: LockMode, why: &str) {
        self.lock_with(rel, mode);
        if mode.blocks_writes() {
            self.impact.hazard(HazardId::HiddenLock, Some(rel.name), format!("{} is locked as well: {why}", rel.name));
        }
    }

    /// The relation as the subcommands so far leave it.
    pub fn now(&self, rel: Rel<'a>) -> &Relation {
        self.tables.get(rel.name).and_then(|table| table.now.as_ref()).unwrap_or(rel.relation)
    }

    /// A column as the subcommands so far leave it.
    pub fn column(&self, rel: Rel<'a>, name: &str) -> Option<&Column> {
        self.now(rel).column(name)
    }

    /// The relation, to be changed.
    pub fn change(&mut self, rel: Rel<'a>) -> &mut Relation {
        self.table(rel).now.get_or_insert_with(|| rel.relation.clone())
    }

    fn table(&mut self, rel: Rel<'a>) -> &mut TableWork {
        self.tables.entry(rel.name).or_default()
    }

    /// The table gets a new file, if it has one at all.
    pub fn rewrite(&mut self, rel: Rel<'a>) {
        if rel.relation.kind.has_heap() {
            self.table(rel).rewrite = true;
        }
    }

    /// What to do instead of a rewrite.
    pub fn advise(&mut self, rel: Rel<'a>, way_round: &'static str) {
        self.table(rel).way_round = way_round;
    }

    /// Every row is read and checked.
    pub fn verify(&mut self, rel: Rel<'a>) {
        if rel.relation.kind.has_heap() {
            self.table(rel).verify = true;
        }
    }

    /// An index is built on the table.
    pub fn build_index(&mut self, rel: Rel<'a>) {
        if rel.relation.kind.has_heap() {
            self.table(rel).builds = true;
        }
    }

    /// An existing index of the table goes away or is replaced.
    pub fn drop_index(&mut self, table: Rel<'a>, index: Rel<'a>) {
        self.lock_with(index, LockMode::AccessExclusive);
        self.table(table).dropped_indexes.insert(index.name.clone());
    }

    /// Rows get values that were not there before; where the row type is used as a column's type the server
    /// refuses that.
    pub fn new_values(&mut self, rel: Rel<'a>) {
        self.table(rel).new_values = true;
    }

    /// The new column is NULL in every row.
    pub fn all_null(&mut self, rel: Rel<'a>, column: &str) {
        self.table(rel).all_null.insert(column.to_owned());
    }

    /// Filling the rows advances the sequences.
    pub fn advances(&mut self, rel: Rel<'a>, sequences: &BTreeSet<Name>) {
        self.table(rel).sequences.extend(sequences.iter().cloned());
    }

    /// The functions run for each row, if rows are read at all.
    pub fn runs<'n>(&mut self, rel: Rel<'a>, functions: impl IntoIterator<Item = &'n Name>) {
        self.table(rel).functions.extend(functions.into_iter().cloned());
    }

    /// The functions run once.
    pub fn runs_once<'n>(&mut self, functions: impl IntoIterator<Item = &'n Name>) {
        for function in functions {
            self.impact.merge(routines::function_named(function, self.resolver));
        }
    }

    /// The rows of `child` are checked against `parent` in the end.
    pub fn check_foreign_key(&mut self, child: Rel<'a>, parent: Rel<'a>, columns: &[String], period: bool) {
        self.checks.push(ForeignKeyCheck { child, parent, columns: columns.to_vec(), period });
    }

    /// Evaluates an expression; refuses functions that are not there.
    pub fn evaluate(&mut self, expression: &Node) -> Evaluation<'a> {
        let found = evaluate(expression, self.resolver);
        if let Some(function) = &found.missing_function {
            self.impact.refuse(
                "42883",
                format!("function {function} does not exist"),
                "Create the function first, or check its name and schema.",
            );
        }
        if let Some(relation) = &found.missing_relation {
            let message = format!("relation \"{relation}\" does not exist");
            self.impact.refuse("42P01", message, "Create it first, or name its schema.");
        }
        let hint = "Put the query into a function, or compute the value in a trigger.";
        for function in &found.functions {
            let name = &function.name.name;
            if function.kind == 'a' {
                let message = format!("aggregate functions are not allowed here: {name}");
                self.impact.refuse("42803", message, hint);
            } else if function.result.starts_with("SETOF ") || function.result.starts_with("TABLE(") {
                let message = format!("set-returning functions are not allowed here: {name}");
                self.impact.refuse("0A000", message, hint);
            }
        }
        found
    }

    /// 42703 for a column that is not there.
    pub fn require_column(&mut self, rel: Rel<'a>, column: &str) -> bool {
        let known = self.column(rel, column).is_some();
        if !known && SYSTEM_COLUMNS.contains(&column) {
            let message = format!("cannot alter system column \"{column}\"");
            self.impact.refuse("0A000", message, "Only the table's own columns can be changed.");
        } else if !known {
            refusal::missing_column(&mut self.impact, column, rel.name);
        }
        known
    }

    /// Existing indexes of the table that nothing in the statement has dropped.
    pub fn indexes(&self, table: Rel<'a>) -> Vec<Rel<'a>> {
        let dropped = self.tables.get(table.name).map(|work| &work.dropped_indexes);
        let all = self.resolver.indexes(table.name).into_iter();
        all.filter(|index| dropped.is_none_or(|dropped| !dropped.contains(index.name))).collect()
    }

    /// The whole statement's impact.
    pub fn finish(mut self) -> Impact {
        for (name, work) in std::mem::take(&mut self.tables) {
            if let Some(table) = self.resolver.get(name) {
                self.finish_table(table, &work);
                self.tables.insert(name, work);
            }
        }
        for check in std::mem::take(&mut self.checks) {
            self.finish_check(&check);
        }
        self.impact
    }

    fn finish_table(&mut self, table: Rel<'a>, work: &TableWork) {
        let blocks = if self.mode.blocks_reads() { HazardId::BlocksReads } else { HazardId::BlocksWrites };
        if work.new_values {
            self.require_unused_row_type(table);
        }
        if (work.rewrite || work.verify || work.builds) && !table.relation.stats.empty {
            self.runs_once(&work.functions);
        }
        if work.rewrite {
            self.impact.rewrite(table.name.clone());
            self.scan(table);
            for index in &self.resolver.indexes(table.name) {
                if index.relation.kind == RelationKind::Index && !work.dropped_indexes.contains(index.name) {
                    self.lock_with(*index, LockMode::AccessExclusive);
                }
                if let Some(facts) = index.relation.index.as_ref().filter(|_| !table.relation.stats.empty) {
                    self.runs_once(&facts.functions);
                }
            }
            if !table.relation.stats.empty {
                for sequence in &work.sequences {
                    self.impact.lock(sequence.clone(), LockMode::RowExclusive);
                }
            }
            let message = format!(
                "{} and its indexes are written anew; reads and writes wait meanwhile{}",
                table.name, work.way_round
            );
            self.impact.hazard(HazardId::TableRewrite, Some(table.name), message);
            self.impact.hazard(blocks, Some(table.name), format!("{} waits for its rewrite", table.name));
            return;
        }
        if work.verify || work.builds {
            self.scan(table);
        }
        if work.builds {
            let message = format!("an index on {} is built while reads and writes wait", table.name);
            self.impact.hazard(HazardId::IndexBuild, Some(table.name), message);
        }
        if work.verify && self.mode.blocks_writes() {
            let message = format!("every row of {} is read to prove the change", table.name);
            self.impact.hazard(HazardId::TableScan, Some(table.name), message);
        }
        if (work.verify || work.builds) && self.mode.blocks_writes() {
            let message = format!("{} waits for work that grows with its size", table.name);
            self.impact.hazard(blocks, Some(table.name), message);
        }
    }

    /// A heap without pages is not read.
    fn scan(&mut self, table: Rel<'a>) {
        if !table.relation.stats.empty {
            self.impact.scans.insert(table.name.clone().into());
        }
    }

    /// The server joins the two tables (`RI_Initial_Check`): without rows in the referencing table, or without
    /// values in its columns, it does not read the referenced one.
    fn finish_check(&mut self, check: &ForeignKeyCheck<'a>) {
        let child = check.child;
        let parents = self.resolver.partitions(check.parent);
        // Partitions have checks of their own.
        if child.relation.stats.empty || child.relation.kind == RelationKind::PartitionedTable {
            return;
        }
        // Where indexes cover the columns the server may read these alone; that depends on its statistics.
        self.scan(child);
        let all_null = self.tables.get(child.name).is_some_and(|work| {
            !check.columns.is_empty() && check.columns.iter().any(|column| work.all_null.contains(column))
        });
        if !all_null && !check.period {
            for parent in parents.into_iter().filter(|parent| parent.relation.kind.has_heap()) {
                self.scan(parent);
            }
        }
        if self.mode.blocks_writes() {
            let message = format!("every row of {} is checked against {}", child.name, check.parent.name);
            self.impact.hazard(HazardId::TableScan, Some(child.name), message);
            for table in [child, check.parent] {
                let message = format!("writes of {} wait for a check that grows with its size", table.name);
                self.impact.hazard(HazardId::BlocksWrites, Some(table.name), message);
            }
        }
    }

    /// `find_composite_type_dependencies`: stored rows of the table elsewhere would not match any more.
    fn require_unused_row_type(&mut self, table: Rel<'a>) {
        let used = self.resolver.columns_of_type(table.name);
        let stored = used.iter().find(|(rel, _)| rel.relation.kind.has_heap());
        if let Some((rel, column)) = stored {
            let kind = if table.relation.kind == RelationKind::ForeignTable { "foreign table" } else { "table" };
            self.impact.refuse(
                "0A000",
                format!(
                    "cannot alter {kind} \"{}\" because column \"{}.{}\" uses its row type",
                    table.name.name, rel.name.name, column.name
                ),
                "Drop that column first, or give it another type.",
            );
        }
    }

    /// Everything that uses the column, besides indexes and constraints.
    pub fn dependents(&self, table: Rel<'a>, column: &str) -> Vec<dependents::Dependent<'a>> {
        dependents::on_column(self.resolver, table, column)
    }
}
