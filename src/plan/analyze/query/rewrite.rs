//! Views and rules in the place of the relation that a statement names as its target.

use pg_query::NodeEnum;
use pg_query::protobuf::{RangeVar, RuleStmt, SelectStmt};

use super::change::Event;
use super::conditions::{Condition, Fact};
use super::from::{Level, Locked, Member, Source, definition};
use super::{Depth, Reader};
use crate::catalog::{RelationKind, Rule, TriggerTiming};
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::missing_relation;
use crate::plan::analyze::resolve::{Lookup, Rel};
use crate::plan::analyze::routines;
use crate::plan::lock::LockMode;

/// Whether rules take the place of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replaced {
    No,
    /// By DO INSTEAD NOTHING: no row is even looked for.
    ByNothing,
    ByActions,
}

impl<'a> Reader<'_, 'a> {
    /// RowExclusive on the relation named; `None` when rows of it cannot be changed.
    pub(super) fn target(&mut self, name: Option<&RangeVar>, verb: &str) -> Option<Rel<'a>> {
        let name = name?;
        let found = match self.resolver.lookup(name) {
            Lookup::Found(found) => found,
            Lookup::System => return None,
            Lookup::Missing => {
                missing_relation(&mut self.impact, Qualified::from_range(name));
                return None;
            }
        };
        let changeable = matches!(
            found.relation.kind,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::View | RelationKind::ForeignTable
        );
        if !changeable {
            self.impact.refuse(
                "42809",
                format!(
                    "cannot {verb} \"{}\", which is {}",
                    found.name.name,
                    crate::plan::analyze::refusal::kind_phrase(found.relation.kind)
                ),
                "Name a table or a view.",
            );
            return None;
        }
        self.impact.lock(found.name.clone(), LockMode::RowExclusive);
        Some(found)
    }

    /// The table whose rows change in the end: what the view names that was given, or nothing where rules or
    /// INSTEAD OF triggers do something else. Its conditions and columns go into `level`, where there is one.
    pub(super) fn rewrite_target(
        &mut self,
        target: Rel<'a>,
        event: Event,
        name: Option<&RangeVar>,
        level: Option<&mut Level<'a>>,
    ) -> Option<Rel<'a>> {
        let alias = name.map(|name| name.alias.as_ref().map_or_else(|| name.relname.clone(), |a| a.aliasname.clone()));
        let alias = alias.unwrap_or_default();
        let inherit = name.is_none_or(|name| name.inh);
        let mut own = Level::default();
        let level = level.unwrap_or(&mut own);
        let replaced = if self.depth >= Depth::Rewrite { self.apply_rules(target, event) } else { Replaced::No };
        if replaced == Replaced::ByNothing {
            level.conditions.push(Condition { fact: Fact::Never, only: None });
        }
        let replaced = replaced != Replaced::No;
        if target.relation.kind != RelationKind::View {
            level.members.push(Member { rel: target, mode: LockMode::RowExclusive, inherit, sampled: false });
            let at = level.members.len() - 1;
            level.names.push((alias, Source::Member(at)));
            return (!replaced).then_some(target);
        }
        if self.depth < Depth::Rewrite || replaced {
            level.names.push((alias, Source::Opaque));
            return None;
        }
        if self.instead_of(target, event, level, &alias) {
            return None;
        }
        self.through_view(target, event, level, alias)
    }

    /// Whether an INSTEAD OF trigger takes the rows; it runs for each row of the view.
    fn instead_of(&mut self, view: Rel<'a>, event: Event, level: &mut Level<'a>, alias: &str) -> bool {
        let triggers: Vec<_> = view
            .relation
            .triggers
            .iter()
            .filter(|trigger| trigger.timing == TriggerTiming::InsteadOf && trigger.enabled != 'D')
            .filter(|trigger| match event {
                Event::Insert => trigger.on_insert,
                Event::Update => trigger.on_update,
                Event::Delete => trigger.on_delete,
            })
            .collect();
        if triggers.is_empty() {
            return false;
        }
        for trigger in triggers {
            if self.depth == Depth::Run {
                self.impact.merge(routines::trigger_function(trigger, self.resolver));
            }
        }
        let source = match definition(view) {
            Some(select) if event != Event::Insert => {
                let columns: Vec<&str> = view.relation.columns.iter().map(|column| column.name.as_str()).collect();
                self.derived(&select, level, &Locked::Nothing, &columns)
            }
            _ => Source::Opaque,
        };
        level.names.push((alias.to_owned(), source));
        true
    }

    /// A view that is simple enough stands for its table.
    fn through_view(&mut self, view: Rel<'a>, event: Event, level: &mut Level<'a>, alias: String) -> Option<Rel<'a>> {
        let select = definition(view);
        let Some(select) =
            select.filter(|select| is_updatable(select) && !select.target_list.iter().any(|t| self.aggregates(t)))
        else {
            let verb = match event {
                Event::Insert => "insert into",
                Event::Update => "update",
                Event::Delete => "delete from",
            };
            self.impact.refuse(
                "55000",
                format!("cannot {verb} view \"{}\"", view.name.name),
                "Change the tables behind it, or give the view an INSTEAD OF trigger or a rule.",
            );
            level.names.push((alias, Source::Opaque));
            return None;
        };
        let Some(NodeEnum::RangeVar(inner)) = select.from_clause.first().and_then(|node| node.node.as_ref()) else {
            return None;
        };
        let base = self.target(Some(inner), "change")?;
        let first = level.names.len();
        let table = self.rewrite_target(base, event, Some(inner), Some(level));
        if let Some(condition) = select.where_clause.as_ref().and_then(|node| node.node.as_ref()) {
            self.add_condition(condition, level, None);
            self.in_expression(condition);
        }
        let columns: Vec<String> = view.relation.columns.iter().map(|column| column.name.clone()).collect();
        let source = super::from::outputs_of(&select, level, &columns);
        level.names.truncate(first);
        level.names.push((alias, source));
        table
    }

    /// Runs the rules of the target for the event; whether one replaces the statement.
    fn apply_rules(&mut self, target: Rel<'a>, event: Event) -> Replaced {
        let mut replaced = Replaced::No;
        for rule in target.relation.rules.iter().filter(|rule| rule.enabled != 'D') {
            let Some(parsed) = parse_rule(rule) else {
                self.impact
                    .merge(crate::plan::analyze::Impact::unanalyzable("the definition of a rule could not be read"));
                continue;
            };
            let of_event = match event {
                Event::Insert => pg_query::protobuf::CmdType::CmdInsert,
                Event::Update => pg_query::protobuf::CmdType::CmdUpdate,
                Event::Delete => pg_query::protobuf::CmdType::CmdDelete,
            };
            if parsed.event != of_event as i32 || self.expanding.contains(target.name) {
                continue;
            }
            self.expanding.push(target.name.clone());
            let before = std::mem::replace(&mut self.correlates, false);
            if let Some(condition) = parsed.where_clause.as_ref().and_then(|node| node.node.as_ref()) {
                self.in_expression(condition);
            }
            for action in parsed.actions.iter().filter_map(|node| node.node.as_ref()) {
                self.read(action);
            }
            self.correlates = before;
            self.expanding.pop();
            if parsed.instead && parsed.where_clause.is_none() {
                let nothing = parsed.actions.is_empty() && replaced != Replaced::ByActions;
                replaced = if nothing { Replaced::ByNothing } else { Replaced::ByActions };
            }
        }
        replaced
    }
}

fn parse_rule(rule: &Rule) -> Option<RuleStmt> {
    let parsed = crate::sql::parse(rule.definition.trim().trim_end_matches(';')).ok()?;
    match parsed.into_iter().next()?.node {
        NodeEnum::RuleStmt(rule) => Some(*rule),
        _ => None,
    }
}

/// Whether rows of a view are rows of one table (`view_query_is_auto_updatable` in rewriteHandler.c).
fn is_updatable(select: &SelectStmt) -> bool {
    matches!(select.from_clause.as_slice(), [only] if matches!(only.node, Some(NodeEnum::RangeVar(_))))
        && select.op == pg_query::protobuf::SetOperation::SetopNone as i32
        && select.with_clause.is_none()
        && select.distinct_clause.is_empty()
        && select.group_clause.is_empty()
        && select.having_clause.is_none()
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
        && select.values_lists.is_empty()
}
