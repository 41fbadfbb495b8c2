//! Rows that change: which columns, what values are known, and what follows in the table.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ReturningClause, SelectStmt};

use super::Reader;
use super::literal::Literal;
use crate::plan::analyze::names::strings;
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::routines;
use crate::plan::analyze::since::Feature;
use crate::plan::analyze::walk::{self, Parts};
use crate::plan::lock::LockMode;

/// What happens to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Insert,
    Update,
    Delete,
}

/// A change of rows: which columns, and their constants where they are known.
#[derive(Clone, Debug)]
pub(super) struct Change {
    event: Event,
    /// One map for each row of VALUES; a single one for everything else. A column that is not there is not
    /// touched by an update, and NULL in a new row.
    rows: Vec<BTreeMap<String, Option<Literal>>>,
    /// Columns that are set to the value they have.
    kept: Vec<String>,
}

impl Change {
    pub fn insert(rows: Vec<BTreeMap<String, Option<Literal>>>) -> Self {
        Self { event: Event::Insert, rows, kept: Vec::new() }
    }

    pub fn update(columns: impl IntoIterator<Item = (String, Option<Literal>)>) -> Self {
        Self { event: Event::Update, rows: vec![columns.into_iter().collect()], kept: Vec::new() }
    }

    pub fn delete() -> Self {
        Self { event: Event::Delete, rows: vec![BTreeMap::new()], kept: Vec::new() }
    }

    /// Says which of the columns keep their value.
    pub fn keeping(mut self, columns: Vec<String>) -> Self {
        self.kept = columns;
        self
    }

    pub fn event(&self) -> Event {
        self.event
    }

    pub fn rows(&self) -> std::ops::Range<usize> {
        0..self.rows.len()
    }

    /// Whether the column may get another value.
    pub fn touches(&self, column: &str) -> bool {
        self.names(column) && !self.kept.iter().any(|kept| kept == column)
    }

    /// Whether the column is given a value, be it the one it has.
    fn names(&self, column: &str) -> bool {
        match self.event {
            Event::Insert => true,
            Event::Update => self.rows.iter().any(|row| row.contains_key(column)),
            Event::Delete => false,
        }
    }

    /// Every column that is given, in any row.
    pub fn columns(&self) -> BTreeSet<&String> {
        self.rows.iter().flat_map(BTreeMap::keys).collect()
    }

    /// The constant that the column gets, if it is known.
    pub fn value(&self, row: usize, column: &str) -> Option<Literal> {
        let row = self.rows.get(row)?;
        match row.get(column) {
            Some(value) => value.clone(),
            None if self.event == Event::Insert => Some(Literal::Null),
            None => None,
        }
    }
}

impl<'a> Reader<'_, 'a> {
    /// What follows a change of rows in a table with storage.
    pub(super) fn after_change(&mut self, table: Rel<'a>, change: &Change) {
        match change.event() {
            Event::Insert => self.check_references(table, change),
            Event::Update => {
                self.check_references(table, change);
                self.check_referencing(table, change);
            }
            Event::Delete => self.check_referencing(table, change),
        }
        if change.event() != Event::Delete {
            self.evaluate_constraints(table);
            // The bound of a partition is checked, for which the server opens its parents.
            if table.relation.partition_bound.is_some() {
                for above in self.resolver.ancestors(table) {
                    self.impact.lock(above.name.clone(), LockMode::AccessShare);
                }
            }
        }
        self.fire(table, change, true);
    }

    /// User-defined functions in checks, generated columns and indexes.
    fn evaluate_constraints(&mut self, table: Rel<'a>) {
        let relation = table.relation;
        let checks = relation.constraints.iter().flat_map(|constraint| &constraint.functions);
        let generated =
            relation.columns.iter().filter(|column| column.generated.is_some()).flat_map(|column| &column.functions);
        let indexes = self.resolver.indexes(table.name).into_iter().filter_map(|index| index.relation.index.as_ref());
        let functions: Vec<_> = checks.chain(generated).chain(indexes.flat_map(|index| &index.functions)).collect();
        for function in functions {
            self.impact.merge(routines::function_named(function, self.resolver));
        }
    }

    /// Triggers for the event: those for each row of the table (`rows`), and those for the statement.
    pub(super) fn fire(&mut self, table: Rel<'a>, change: &Change, rows: bool) {
        for trigger in table.relation.triggers.iter().filter(|trigger| !matches!(trigger.enabled, 'D' | 'R')) {
            let fires = match change.event() {
                Event::Insert => trigger.on_insert,
                Event::Update => trigger.on_update && updates_trigger_columns(&trigger.definition, change),
                Event::Delete => trigger.on_delete,
            };
            // A trigger for the statement fires on the table named, not on its partitions.
            let level_fits = rows || !trigger.for_each_row;
            if fires && level_fits {
                self.impact.merge(routines::trigger_function(trigger, self.resolver));
            }
        }
    }

    pub(super) fn returning(&mut self, clause: Option<&ReturningClause>) {
        if let Some(clause) = clause {
            if clause.exprs.iter().filter_map(|node| node.node.as_ref()).any(names_old_or_new) {
                self.require(Feature::ReturningOldNew);
            }
            if !clause.options.is_empty() {
                self.require(Feature::ReturningOldNew);
            }
            self.in_expressions(&clause.exprs);
        }
    }
}

/// `old.c` and `new.c` stand for the row before and after, unless a table has the name.
fn names_old_or_new(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::ColumnRef(reference) => {
            matches!(super::columns_of(reference).as_slice(), [alias, ..] if reference.fields.len() > 1 && matches!(*alias, "old" | "new"))
        }
        _ => match walk::parts(node) {
            Parts::Expressions(parts) => parts.into_iter().any(names_old_or_new),
            Parts::Unknown => false,
        },
    }
}

/// What a row of an INSERT has for a column.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// A value; the constant, where it is one.
    Value(Option<Literal>),
    /// DEFAULT.
    Default,
}

pub(super) type GivenRow = BTreeMap<String, Given>;

pub(super) fn given_row(columns: &[String], values: &[Node]) -> GivenRow {
    columns
        .iter()
        .zip(values)
        .map(|(column, value)| {
            let given = match &value.node {
                Some(NodeEnum::SetToDefault(_)) => Given::Default,
                Some(value) => Given::Value(Literal::of(value)),
                None => Given::Value(None),
            };
            (column.clone(), given)
        })
        .collect()
}

/// The rows of VALUES; one row of unknown values for a query.
pub(super) fn given_rows(columns: &[String], select: &SelectStmt) -> Vec<GivenRow> {
    if select.values_lists.is_empty() {
        let spelled_out = !select.target_list.is_empty() && !select.target_list.iter().any(is_star);
        if !spelled_out {
            return vec![columns.iter().map(|column| (column.clone(), Given::Value(None))).collect()];
        }
        let constants = select.target_list.iter().map(|node| match &node.node {
            Some(NodeEnum::ResTarget(target)) => {
                target.val.as_ref().and_then(|value| value.node.as_ref()).and_then(Literal::of)
            }
            _ => None,
        });
        return vec![columns.iter().cloned().zip(constants.map(Given::Value)).collect()];
    }
    select
        .values_lists
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::List(list)) => Some(given_row(columns, &list.items)),
            _ => None,
        })
        .collect()
}

/// Whether it stands for several columns.
pub(super) fn is_star(target: &Node) -> bool {
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return false };
    match target.val.as_ref().and_then(|value| value.node.as_ref()) {
        Some(NodeEnum::ColumnRef(reference)) => {
            matches!(reference.fields.last().and_then(|field| field.node.as_ref()), Some(NodeEnum::AStar(_)))
        }
        // The attributes of a composite value.
        Some(NodeEnum::AIndirection(of)) => {
            matches!(of.indirection.last().and_then(|field| field.node.as_ref()), Some(NodeEnum::AStar(_)))
        }
        _ => false,
    }
}

/// Columns of a SET list or a column list, with the constants they get.
pub(super) fn assignments(targets: &[Node]) -> Vec<(String, Option<Literal>)> {
    targets
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::ResTarget(target)) => {
                let value = target.val.as_ref().and_then(|value| value.node.as_ref());
                let plain = target.indirection.is_empty();
                Some((target.name.clone(), value.filter(|_| plain).and_then(Literal::of)))
            }
            Some(NodeEnum::String(name)) => Some((name.sval.clone(), None)),
            _ => None,
        })
        .collect()
}

/// An expression as the server prints it.
pub(super) fn parse_expression(text: &str) -> Option<NodeEnum> {
    let parsed = crate::sql::parse(&format!("SELECT {text}")).ok()?;
    match parsed.into_iter().next()?.node {
        NodeEnum::SelectStmt(select) => match select.target_list.into_iter().next()?.node? {
            NodeEnum::ResTarget(target) => target.val?.node,
            _ => None,
        },
        _ => None,
    }
}

/// A trigger on `UPDATE OF columns` fires only for these.
fn updates_trigger_columns(definition: &str, change: &Change) -> bool {
    let Ok(parsed) = crate::sql::parse(definition) else { return true };
    match parsed.first().map(|statement| &statement.node) {
        Some(NodeEnum::CreateTrigStmt(trigger)) => {
            let columns = strings(&trigger.columns);
            columns.is_empty() || columns.iter().any(|column| change.names(column))
        }
        _ => true,
    }
}
