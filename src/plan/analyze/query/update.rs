//! UPDATE and DELETE.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{DeleteStmt, Node, RangeVar, UpdateStmt};

use super::change::{Change, Event, assignments};
use super::from::{Level, Locked, Source};
use super::partitions::{routed, surviving};
use super::target::refuse_without_identity;
use super::{Depth, Reader, conditions};
use crate::catalog::{Identity, RelationKind};
use crate::plan::analyze::resolve::Rel;
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Columns that are set to something else than DEFAULT.
fn valued(targets: &[Node]) -> impl Iterator<Item = &str> {
    targets.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::ResTarget(target)) => match target.val.as_ref()?.node.as_ref()? {
            NodeEnum::SetToDefault(_) => None,
            _ => Some(target.name.as_str()),
        },
        _ => None,
    })
}

/// A column that is set as a whole more than once.
fn twice(targets: &[Node]) -> Option<&str> {
    let mut seen = BTreeSet::new();
    targets.iter().find_map(|node| match &node.node {
        Some(NodeEnum::ResTarget(target)) if target.indirection.is_empty() => {
            (!seen.insert(&target.name)).then_some(target.name.as_str())
        }
        _ => None,
    })
}

/// Columns that are set to themselves: their triggers fire, but no key changes.
fn kept(targets: &[Node]) -> Vec<String> {
    targets
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::ResTarget(target)) => match target.val.as_ref()?.node.as_ref()? {
                NodeEnum::ColumnRef(reference)
                    if super::columns_of(reference).last() == Some(&target.name.as_str()) =>
                {
                    Some(target.name.clone())
                }
                _ => None,
            },
            _ => None,
        })
        .collect()
}

impl<'a> Reader<'_, 'a> {
    pub(super) fn update(&mut self, statement: &UpdateStmt) {
        let scoped = self.enter_common_tables(statement.with_clause.as_ref());
        let changed = assignments(&statement.target_list);
        let keeps = kept(&statement.target_list);
        if let Some(column) = twice(&statement.target_list) {
            let message = format!("multiple assignments to same column \"{column}\"");
            self.impact.refuse("42601", message, "Assign to each column once.");
        }
        if let Some(target) = statement.relation.as_ref().and_then(|name| self.resolver.relation(name)) {
            for column in valued(&statement.target_list) {
                self.refuse_generated_update(target, column);
            }
        }
        self.change_rows(
            statement.relation.as_ref(),
            &statement.from_clause,
            statement.where_clause.as_deref(),
            Change::update(changed).keeping(keeps),
        );
        self.in_expressions(&statement.target_list);
        self.returning(statement.returning_clause.as_ref());
        if scoped {
            self.leave_common_tables();
        }
    }

    pub(super) fn delete(&mut self, statement: &DeleteStmt) {
        let scoped = self.enter_common_tables(statement.with_clause.as_ref());
        self.change_rows(
            statement.relation.as_ref(),
            &statement.using_clause,
            statement.where_clause.as_deref(),
            Change::delete(),
        );
        self.returning(statement.returning_clause.as_ref());
        if scoped {
            self.leave_common_tables();
        }
    }

    fn change_rows(&mut self, name: Option<&RangeVar>, from: &[Node], condition: Option<&Node>, change: Change) {
        let verb = if change.event() == Event::Delete { "delete from" } else { "update" };
        let target = self.target(name, verb);
        let mut level = Level::default();
        let mut base = None;
        if let Some(target) = target {
            for column in change.columns() {
                self.require_column(target, column);
            }
            base = self.rewrite_target(target, change.event(), name, Some(&mut level));
        } else if let Some(name) = name {
            // A relation of the server itself: the catalog does not hold its columns.
            let alias = name.alias.as_ref().map_or(&name.relname, |alias| &alias.aliasname);
            level.names.push((alias.clone(), Source::Opaque));
        }
        for item in from.iter().filter_map(|node| node.node.as_ref()) {
            self.item(item, &mut level, &Locked::Nothing);
        }
        self.check_columns(condition, &level);
        if let Some(condition) = condition.and_then(|node| node.node.as_ref()) {
            self.add_condition(condition, &mut level, None);
            self.in_expression(condition);
        }
        self.finish(&level, true);
        let Some(base) = base.filter(|_| self.depth >= Depth::Plan) else { return };
        if level.is_never() {
            // Without rows too the statement is one.
            if self.depth >= Depth::Run {
                self.fire(base, &change, false);
            }
            return;
        }
        let inherit = name.is_none_or(|name| name.inh);
        let members = if inherit {
            surviving(self.resolver, base, &|column| conditions::allowed(&level.conditions, 0, column))
        } else {
            vec![base]
        };
        let command = if change.event() == Event::Delete { "delete" } else { "update" };
        for member in &members {
            refuse_without_identity(&mut self.impact, self.resolver, *member, command);
        }
        if self.depth < Depth::Run {
            return;
        }
        for member in members.iter().filter(|member| member.relation.kind != RelationKind::PartitionedTable) {
            self.after_change(*member, &change);
            self.warn_of_change(*member, &change);
        }
        if base.relation.kind == RelationKind::PartitionedTable {
            self.fire(base, &change, false);
            self.move_rows(base, &members, &change);
        }
    }

    /// What a change of a table's rows puts at risk.
    pub(super) fn warn_of_change(&mut self, table: Rel<'a>, change: &Change) {
        if table.relation.stats.empty {
            return;
        }
        if change.event() == Event::Delete {
            self.impact.hazard(HazardId::DataLoss, Some(table.name), "Rows that match are removed.");
        }
        if self.impact.scans.contains(&table.name.clone().into()) {
            self.impact.hazard(
                HazardId::LargeDataChange,
                Some(table.name),
                "Every row that matches is changed in one transaction, and stays locked until it ends; change them in \
                 batches.",
            );
        }
    }

    /// 428C9: a generated column takes no value but DEFAULT.
    fn refuse_generated_update(&mut self, target: Rel<'a>, column: &str) {
        let found = target.relation.column(column);
        let generated = found.is_some_and(|column| column.generated.is_some());
        let always = found.is_some_and(|column| column.identity == Some(Identity::Always));
        if generated || always {
            self.impact.refuse(
                "428C9",
                format!("column \"{column}\" can only be updated to DEFAULT"),
                "Leave the column out.",
            );
        }
    }

    /// An update of the partition key may move rows to other partitions.
    fn move_rows(&mut self, target: Rel<'a>, from: &[Rel<'a>], change: &Change) {
        let partitioned =
            self.resolver.tree(target).into_iter().filter_map(|member| member.relation.partition_key.as_ref());
        let moves = partitioned.flat_map(|key| &key.columns).any(|column| change.touches(column));
        if change.event() != Event::Update || !moves {
            return;
        }
        let to = routed(self.resolver, target, &|column| change.value(0, column));
        let leaf = |member: &&Rel<'a>| member.relation.kind != RelationKind::PartitionedTable;
        let stays = from.iter().filter(leaf).count() == 1 && to.iter().filter(leaf).eq(from.iter().filter(leaf));
        if stays {
            return;
        }
        for member in to {
            self.impact.lock(member.name.clone(), LockMode::RowExclusive);
            if member.relation.kind != RelationKind::PartitionedTable {
                let new_row = member.relation.columns.iter().map(|column| (column.name.clone(), None)).collect();
                self.after_change(member, &Change::insert(vec![new_row]));
            }
        }
        for member in from.iter().filter(leaf) {
            self.after_change(*member, &Change::delete());
        }
    }
}
