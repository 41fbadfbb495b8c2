//! INSERT.

use std::collections::BTreeMap;

use pg_query::NodeEnum;
use pg_query::protobuf::{InsertStmt, Node, OnConflictAction, OnConflictClause, OverridingKind, SelectStmt};

use super::change::{Change, Event, Given, GivenRow, assignments, given_rows, is_star, parse_expression};
use super::literal::Literal;
use super::partitions::routed;
use super::target::refuse_without_identity;
use super::{Depth, Reader};
use crate::catalog::{Column, Identity, RelationKind};
use crate::plan::analyze::objects::is_system_column;
use crate::plan::analyze::refusal::missing_column;
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Of rows that a query finds and ON CONFLICT updates.
const IN_ONE_TRANSACTION: &str = "Every row that is there already is changed in one transaction, and stays locked until it \
                                  ends; change them in batches.";

/// `(value).*` in VALUES.
fn is_row_star(value: &Node) -> bool {
    matches!(&value.node, Some(NodeEnum::AIndirection(_) | NodeEnum::ColumnRef(_)))
}

impl<'a> Reader<'_, 'a> {
    pub(super) fn insert(&mut self, statement: &InsertStmt) {
        let scoped = self.enter_common_tables(statement.with_clause.as_ref());
        let target = self.target(statement.relation.as_ref(), "insert into");
        let query = statement.select_stmt.as_ref().and_then(|query| query.node.as_ref());
        if let Some(NodeEnum::SelectStmt(select)) = query {
            self.select(select);
        }
        let mut updated = Vec::new();
        if let Some(conflict) = &statement.on_conflict_clause {
            self.in_expressions(&conflict.target_list);
            self.in_optional(conflict.where_clause.as_deref());
            if conflict.action == OnConflictAction::OnconflictUpdate as i32 {
                updated = assignments(&conflict.target_list);
            }
        }
        self.returning(statement.returning_clause.as_ref());
        if let (Some(target), Some(conflict)) = (target, &statement.on_conflict_clause) {
            self.require_arbiter(target, conflict);
        }
        if let Some(target) = target {
            let columns = self.insert_columns(target, &statement.cols);
            if let Some(NodeEnum::SelectStmt(select)) = query.filter(|_| !target.relation.columns_unknown) {
                self.require_as_many(&columns, !statement.cols.is_empty(), select);
            }
            let rows = match query {
                Some(NodeEnum::SelectStmt(select)) => given_rows(&columns, select),
                _ => vec![BTreeMap::new()],
            };
            if let Some(base) = self.rewrite_target(target, Event::Insert, statement.relation.as_ref(), None) {
                let overriding = OverridingKind::try_from(statement.r#override).unwrap_or_default();
                self.insert_into(base, &columns, rows, overriding);
                if !updated.is_empty() && self.depth == Depth::Run {
                    self.updates_on_conflict(base, updated);
                    if matches!(query, Some(NodeEnum::SelectStmt(select)) if select.values_lists.is_empty())
                        && !base.relation.stats.empty
                    {
                        self.impact.hazard(HazardId::LargeDataChange, Some(base.name), IN_ONE_TRANSACTION);
                    }
                }
            }
        }
        if scoped {
            self.leave_common_tables();
        }
    }

    /// ON CONFLICT needs a constraint of that name, or a unique index over exactly these columns
    /// (`infer_arbiter_indexes` in plancat.c). Conditions and expressions are left to the server.
    fn require_arbiter(&mut self, target: Rel<'a>, conflict: &OnConflictClause) {
        let Some(infer) = conflict.infer.as_ref().filter(|_| target.relation.kind.is_table()) else { return };
        let name = infer.conname.as_str();
        if !name.is_empty() {
            if !target.relation.constraints.iter().any(|constraint| constraint.name == name) {
                let message = format!("constraint \"{name}\" for table \"{}\" does not exist", target.name.name);
                self.impact.refuse("42704", message, "Name a unique or exclusion constraint of the table.");
            }
            return;
        }
        let mut columns = Vec::new();
        for node in &infer.index_elems {
            match &node.node {
                Some(NodeEnum::IndexElem(element))
                    if element.expr.is_none() && element.opclass.is_empty() && element.collation.is_empty() =>
                {
                    columns.push(element.name.as_str());
                }
                _ => return,
            }
        }
        for column in &columns {
            if target.relation.column(column).is_none() {
                let message = format!("column \"{column}\" does not exist");
                return self.impact.refuse("42703", message, "Check the spelling of the column.");
            }
        }
        if infer.where_clause.is_some() || self.depth < Depth::Plan {
            return;
        }
        let fits =
            self.resolver.indexes(target.name).iter().filter_map(|index| index.relation.index.as_ref()).any(|index| {
                let keys: Vec<&str> = index.keys.iter().filter_map(|key| key.column.as_deref()).collect();
                index.unique
                    && index.predicate.is_none()
                    && keys.len() == index.keys.len()
                    && keys.iter().all(|key| columns.contains(key))
                    && columns.iter().all(|column| keys.contains(column))
            });
        if !fits {
            self.impact.refuse(
                "42P10",
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
                "Name the columns of a unique index or constraint.",
            );
        }
    }

    /// The columns that get values: those named, else all in order.
    fn insert_columns(&mut self, target: Rel<'a>, named: &[Node]) -> Vec<String> {
        if named.is_empty() {
            return target.relation.columns.iter().map(|column| column.name.clone()).collect();
        }
        let columns = assignments(named);
        for (at, (column, _)) in columns.iter().enumerate() {
            self.require_column(target, column);
            let whole =
                |node: &Node| matches!(&node.node, Some(NodeEnum::ResTarget(name)) if name.indirection.is_empty());
            let again = columns.iter().take(at).any(|(other, _)| other == column);
            if again && named.iter().all(whole) {
                let message = format!("column \"{column}\" specified more than once");
                self.impact.refuse("42701", message, "Name each column once.");
            }
        }
        columns.into_iter().map(|(column, _)| column).collect()
    }

    /// 42601: a row has as many values as there are columns; fewer where none are named (`transformInsertStmt`).
    fn require_as_many(&mut self, columns: &[String], named: bool, select: &SelectStmt) {
        let listed = |node: &Node| match &node.node {
            Some(NodeEnum::List(list)) if !list.items.iter().any(is_row_star) => Some(list.items.len()),
            _ => None,
        };
        let given = if select.values_lists.is_empty() {
            let plain = select.larg.is_none() && !select.target_list.is_empty();
            if !plain || select.target_list.iter().any(is_star) {
                return;
            }
            Some(select.target_list.len())
        } else {
            select.values_lists.first().and_then(listed)
        };
        let Some(given) = given else { return };
        if given > columns.len() {
            let message = "INSERT has more expressions than target columns";
            self.impact.refuse("42601", message, "Give one value for each column.");
        } else if named && given < columns.len() {
            let message = "INSERT has more target columns than expressions";
            self.impact.refuse("42601", message, "Give one value for each column.");
        }
    }

    pub(super) fn require_column(&mut self, target: Rel<'a>, column: &str) {
        if target.relation.column(column).is_none() && !is_system_column(column) {
            missing_column(&mut self.impact, column, target.name);
        }
    }

    /// New rows in a table: its defaults and sequences, the partitions they go to, foreign keys, triggers.
    pub(super) fn insert_into(
        &mut self,
        target: Rel<'a>,
        columns: &[String],
        rows: Vec<GivenRow>,
        overriding: OverridingKind,
    ) {
        if overriding != OverridingKind::OverridingSystemValue {
            self.refuse_generated(target, columns, &rows, overriding);
        }
        if self.depth < Depth::Run {
            return;
        }
        let mut known = Vec::new();
        for row in rows {
            let mut values = BTreeMap::new();
            for column in &target.relation.columns {
                let user_value_ignored = overriding == OverridingKind::OverridingUserValue && column.identity.is_some();
                match row.get(&column.name) {
                    Some(Given::Value(value)) if !user_value_ignored => {
                        values.insert(column.name.clone(), value.clone());
                    }
                    _ => {
                        values.insert(column.name.clone(), self.default_of(column));
                    }
                }
            }
            known.push(values);
        }
        let change = Change::insert(known);
        if target.relation.kind == RelationKind::PartitionedTable {
            for row in change.rows() {
                for member in routed(self.resolver, target, &|column| change.value(row, column)) {
                    self.impact.lock(member.name.clone(), LockMode::RowExclusive);
                    if member.relation.kind != RelationKind::PartitionedTable {
                        self.after_change(member, &change);
                    }
                }
            }
            self.fire(target, &change, false);
        } else {
            self.after_change(target, &change);
        }
    }

    /// 428C9: a value for a column that makes its own.
    fn refuse_generated(&mut self, target: Rel<'a>, columns: &[String], rows: &[GivenRow], overriding: OverridingKind) {
        for column in target.relation.columns.iter().filter(|column| columns.contains(&column.name)) {
            let always = column.identity == Some(Identity::Always) && overriding != OverridingKind::OverridingUserValue;
            let given = rows.iter().any(|row| matches!(row.get(&column.name), Some(Given::Value(_))));
            if given && (always || column.generated.is_some()) {
                self.impact.refuse(
                    "428C9",
                    format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
                    "Leave the column out; for an identity column, OVERRIDING SYSTEM VALUE takes the value.",
                );
            }
        }
    }

    /// What making the default of a column does; the constant, when it is one.
    fn default_of(&mut self, column: &Column) -> Option<Literal> {
        if column.identity.is_some() {
            if let Some(sequence) = &column.owned_sequence {
                self.impact.lock(sequence.clone(), LockMode::RowExclusive);
            }
            return None;
        }
        let Some(text) = &column.default else { return Some(Literal::Null) };
        let expression = parse_expression(text)?;
        self.in_expression(&expression);
        if column.generated.is_some() { None } else { Literal::of(&expression) }
    }

    fn updates_on_conflict(&mut self, target: Rel<'a>, columns: Vec<(String, Option<Literal>)>) {
        for leaf in self.resolver.leaves(target) {
            refuse_without_identity(&mut self.impact, self.resolver, leaf, "update");
        }
        let change = Change::update(columns);
        for member in routed(self.resolver, target, &|_| None) {
            if member.relation.kind != RelationKind::PartitionedTable {
                self.after_change(member, &change);
            }
        }
    }
}
