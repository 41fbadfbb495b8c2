//! MERGE.

use pg_query::NodeEnum;
use pg_query::protobuf::{CmdType, MergeMatchKind, MergeStmt, MergeWhenClause, OverridingKind};

use super::change::{Change, Event, assignments, given_row};
use super::from::{Level, Locked};
use super::target::refuse_without_identity;
use super::{Depth, Reader};
use crate::catalog::RelationKind;
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::since::Feature;

impl<'a> Reader<'_, 'a> {
    pub(super) fn merge_into(&mut self, statement: &MergeStmt) {
        self.require(Feature::Merge);
        let scoped = self.enter_common_tables(statement.with_clause.as_ref());
        let target = self.target(statement.relation.as_ref(), "merge into");
        let mut level = Level::default();
        let mut base = None;
        if let Some(target) = target {
            if target.relation.kind == RelationKind::View && self.resolver.major() < 17 {
                self.impact.refuse(
                    "0A000",
                    format!("cannot execute MERGE on relation \"{}\"", target.name.name),
                    "MERGE into a view needs PostgreSQL 17; merge into its table.",
                );
            }
            if target.relation.rules.iter().any(|rule| rule.enabled != 'D') {
                self.impact.refuse(
                    "0A000",
                    format!("cannot execute MERGE on relation \"{}\"", target.name.name),
                    "MERGE is not supported for relations with rules; use INSERT ... ON CONFLICT or UPDATE.",
                );
            }
            base = self.rewrite_target(target, Event::Update, statement.relation.as_ref(), Some(&mut level));
        }
        if let Some(source) = statement.source_relation.as_ref().and_then(|node| node.node.as_ref()) {
            self.item(source, &mut level, &Locked::Nothing);
        }
        if let Some(condition) = statement.join_condition.as_ref().and_then(|node| node.node.as_ref()) {
            self.add_condition(condition, &mut level, None);
            self.in_expression(condition);
        }
        self.finish(&level, true);
        for node in &statement.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(clause)) = &node.node else { continue };
            self.merge_clause(clause, target, base);
        }
        if statement.returning_clause.is_some() {
            self.require(Feature::MergeReturning);
        }
        self.returning(statement.returning_clause.as_ref());
        if scoped {
            self.leave_common_tables();
        }
    }

    fn merge_clause(&mut self, clause: &MergeWhenClause, target: Option<Rel<'a>>, base: Option<Rel<'a>>) {
        if clause.match_kind == MergeMatchKind::MergeWhenNotMatchedBySource as i32 {
            self.require(Feature::MergeNotMatchedBySource);
        }
        self.in_optional(clause.condition.as_deref());
        self.in_expressions(&clause.target_list);
        self.in_expressions(&clause.values);
        let Some(base) = base else { return };
        let changed = assignments(&clause.target_list);
        if let Some(target) = target {
            for (column, _) in &changed {
                self.require_column(target, column);
            }
        }
        let (change, command) = match CmdType::try_from(clause.command_type).unwrap_or_default() {
            CmdType::CmdUpdate => (Change::update(changed), "update"),
            CmdType::CmdDelete => (Change::delete(), "delete"),
            CmdType::CmdInsert => {
                let columns: Vec<String> = if changed.is_empty() {
                    base.relation.columns.iter().map(|column| column.name.clone()).collect()
                } else {
                    changed.into_iter().map(|(column, _)| column).collect()
                };
                let row = given_row(&columns, &clause.values);
                self.insert_into(base, &columns, vec![row], OverridingKind::OverridingNotSet);
                return;
            }
            _ => return,
        };
        if self.depth < Depth::Plan {
            return;
        }
        for leaf in self.resolver.leaves(base) {
            refuse_without_identity(&mut self.impact, self.resolver, leaf, command);
            if self.depth == Depth::Run {
                self.after_change(leaf, &change);
                self.warn_of_change(leaf, &change);
            }
        }
    }
}
