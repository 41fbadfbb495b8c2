//! FROM: the relations of a query, with views and simple subqueries merged into it as the planner does.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnRef, JoinExpr, JoinType, Node, RangeVar, SelectStmt, SetOperation};

use super::conditions::{self, Column, Condition, Fact, columns_of, facts};
use super::{Depth, Reader};
use crate::catalog::RelationKind;
use crate::plan::analyze::names::{Qualified, strings};
use crate::plan::analyze::refusal::missing_relation;
use crate::plan::analyze::resolve::{Lookup, Rel};
use crate::plan::lock::LockMode;

/// A relation that a query reads or changes.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    pub rel: Rel<'a>,
    /// Mode it and its children are locked in.
    pub mode: LockMode,
    /// With its children (no ONLY).
    pub inherit: bool,
    /// TABLESAMPLE.
    pub sampled: bool,
}

/// The system column that says where a row lies: a condition on it needs no scan.
pub(super) const ROW_ADDRESS: &str = "ctid";

/// Stands for a column whose name is not known.
pub(super) const MADE_UP: &str = "?column?";

/// What an alias stands for.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A relation of the query.
    Member(usize),
    /// A view or subquery that was merged: its columns, those that are expressions without an origin.
    Derived(BTreeMap<String, Option<Column>>),
    /// Something with rows of its own.
    Opaque,
}

/// One query with what was merged into it.
#[derive(Debug, Default)]
pub(super) struct Level<'a> {
    pub members: Vec<Member<'a>>,
    pub names: Vec<(String, Source)>,
    pub conditions: Vec<Condition>,
}

impl Level<'_> {
    /// The relation and column that a reference means; `None` for other queries' columns and for expressions.
    pub fn resolve(&self, reference: &ColumnRef) -> Option<Column> {
        let parts = columns_of(reference);
        let (column, qualifier) = parts.split_last()?;
        if let Some(alias) = qualifier.last() {
            let (_, source) = self.names.iter().find(|(name, _)| name == alias)?;
            return conditions::origin(source, column);
        }
        self.names.iter().find_map(|(_, source)| match source {
            Source::Member(at) => {
                let member = self.members.get(*at)?;
                let known = member.rel.relation.column(column).is_some() || *column == ROW_ADDRESS;
                known.then(|| (*at, (*column).to_owned()))
            }
            other => conditions::origin(other, column),
        })
    }

    /// Whether no row can come out.
    pub fn is_never(&self) -> bool {
        self.conditions.iter().any(|condition| condition.fact == Fact::Never && condition.only.is_none())
    }
}

/// Which relations of FROM a locking clause locks.
#[derive(Clone, Debug)]
pub(super) enum Locked {
    Nothing,
    Everything,
    Names(BTreeSet<String>),
}

impl Locked {
    fn covers(&self, alias: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Names(names) => names.contains(alias),
        }
    }

    fn below(&self, alias: &str) -> Self {
        if self.covers(alias) { Self::Everything } else { Self::Nothing }
    }
}

impl<'a> Reader<'_, 'a> {
    /// Reads one item of FROM into the level.
    pub(super) fn item(&mut self, node: &NodeEnum, level: &mut Level<'a>, locked: &Locked) {
        match node {
            NodeEnum::RangeVar(name) => self.relation(name, level, locked),
            NodeEnum::JoinExpr(join) => self.join(join, level, locked),
            NodeEnum::RangeSubselect(item) => {
                let alias = item.alias.as_ref().map(|alias| alias.aliasname.clone()).unwrap_or_default();
                if alias.is_empty() {
                    self.require(crate::plan::analyze::since::Feature::SubqueryWithoutAlias);
                }
                let names = item.alias.as_ref().map_or_else(Vec::new, |alias| strings(&alias.colnames));
                if let Some(NodeEnum::SelectStmt(select)) = item.subquery.as_ref().and_then(|q| q.node.as_ref()) {
                    let strict = self.strict;
                    self.strict &= !item.lateral;
                    let source = self.derived(select, level, &locked.below(&alias), &names);
                    self.strict = strict;
                    level.names.push((alias, source));
                }
            }
            NodeEnum::RangeTableSample(item) => {
                let first = level.members.len();
                if let Some(inner) = item.relation.as_ref().and_then(|inner| inner.node.as_ref()) {
                    self.item(inner, level, locked);
                }
                // A sample is taken of the pages, whatever indexes there are.
                for member in level.members.iter_mut().skip(first) {
                    member.sampled = true;
                }
                self.in_expressions(&item.args);
            }
            NodeEnum::RangeFunction(item) => {
                // A list of lists: each function with its column definitions.
                self.in_expressions(&item.functions);
                let alias = item.alias.as_ref().map(|alias| alias.aliasname.clone()).unwrap_or_default();
                level.names.push((alias, Source::Opaque));
            }
            NodeEnum::RangeTableFunc(item) => {
                self.in_optional(item.docexpr.as_deref());
                self.in_optional(item.rowexpr.as_deref());
                level.names.push((String::new(), Source::Opaque));
            }
            NodeEnum::JsonTable(item) => {
                self.require(crate::plan::analyze::since::Feature::JsonTable);
                if let Some(context) = &item.context_item {
                    self.in_optional(context.raw_expr.as_deref());
                }
                level.names.push((String::new(), Source::Opaque));
            }
            _ => self.unknown("an item of FROM that no rule knows"),
        }
    }

    fn join(&mut self, join: &JoinExpr, level: &mut Level<'a>, locked: &Locked) {
        let first = level.members.len();
        if let Some(left) = join.larg.as_ref().and_then(|node| node.node.as_ref()) {
            self.item(left, level, locked);
        }
        let middle = level.members.len();
        if let Some(right) = join.rarg.as_ref().and_then(|node| node.node.as_ref()) {
            self.item(right, level, locked);
        }
        let last = level.members.len();
        // A condition of an outer join only restricts the side that may be missing.
        let only: Option<BTreeSet<usize>> = match JoinType::try_from(join.jointype) {
            Ok(JoinType::JoinLeft) => Some((middle..last).collect()),
            Ok(JoinType::JoinRight) => Some((first..middle).collect()),
            Ok(JoinType::JoinFull) => Some(BTreeSet::new()),
            _ => None,
        };
        if let Some(quals) = join.quals.as_ref().and_then(|node| node.node.as_ref()) {
            self.add_condition(quals, level, only.as_ref());
            self.in_expression(quals);
        }
        for column in strings(&join.using_clause) {
            let side = |range: std::ops::Range<usize>| {
                let has = |at: &usize| level.members.get(*at).is_some_and(|m| m.rel.relation.column(column).is_some());
                range.into_iter().find(has).map(|at| (at, column.to_owned()))
            };
            if let (Some(a), Some(b)) = (side(first..middle), side(middle..last)) {
                level.conditions.push(Condition { fact: Fact::Same(a, b), only: only.clone() });
            }
        }
    }

    /// Adds what a condition says.
    pub(super) fn add_condition(&self, node: &NodeEnum, level: &mut Level<'a>, only: Option<&BTreeSet<usize>>) {
        let found = {
            let level = &*level;
            let is_value =
                |reference: &ColumnRef| level.resolve(reference).is_none() && self.is_outer_value(reference, level);
            facts(node, level, &is_value)
        };
        level.conditions.extend(found.into_iter().map(|fact| Condition { fact, only: only.cloned() }));
    }

    /// Whether a reference that is no column of the level's relations is a parameter or a column of an outer
    /// query, and so one value.
    fn is_outer_value(&self, reference: &ColumnRef, level: &Level<'a>) -> bool {
        let parts = columns_of(reference);
        let Some(first) = parts.first() else { return false };
        let of_this_level = level.names.iter().any(|(alias, source)| {
            parts.len() > 1 && alias == first || parts.len() == 1 && matches!(source, Source::Opaque)
        });
        !of_this_level && self.correlates
    }

    fn relation(&mut self, name: &RangeVar, level: &mut Level<'a>, locked: &Locked) {
        let alias = name.alias.as_ref().map_or_else(|| name.relname.clone(), |alias| alias.aliasname.clone());
        let column_names = name.alias.as_ref().map_or_else(Vec::new, |alias| strings(&alias.colnames));
        if name.schemaname.is_empty() {
            if self.tables.contains(&name.relname) {
                level.names.push((alias, Source::Opaque));
                return;
            }
            if let Some(select) = self.inlined_common_table(&name.relname) {
                let given: Vec<&str> =
                    if column_names.is_empty() { select.1.iter().map(String::as_str).collect() } else { column_names };
                let source = self.derived(&select.0, level, &Locked::Nothing, &given);
                level.names.push((alias, source));
                return;
            }
            if self.use_common_table(&name.relname) {
                level.names.push((alias, Source::Opaque));
                return;
            }
        }
        let found = match self.resolver.lookup(name) {
            Lookup::Found(found) => found,
            Lookup::System => {
                level.names.push((alias, Source::Opaque));
                return;
            }
            Lookup::Missing => {
                missing_relation(&mut self.impact, Qualified::from_range(name));
                level.names.push((alias, Source::Opaque));
                return;
            }
        };
        let mode = if locked.covers(&alias) { LockMode::RowShare } else { LockMode::AccessShare };
        self.impact.lock(found.name.clone(), mode);
        if found.relation.kind.is_index() {
            crate::plan::analyze::refusal::wrong_kind(&mut self.impact, &found.name.name, "a table or view");
            return;
        }
        let source = if found.relation.kind == RelationKind::View {
            self.expand_view(found, level, &locked.below(&alias), &column_names)
        } else {
            level.members.push(Member { rel: found, mode, inherit: name.inh, sampled: false });
            let at = level.members.len() - 1;
            if column_names.is_empty() { Source::Member(at) } else { renamed(found, at, &column_names) }
        };
        level.names.push((alias, source));
    }

    /// A view's query takes the place of its name from the rewriter on.
    fn expand_view(&mut self, view: Rel<'a>, level: &mut Level<'a>, locked: &Locked, names: &[&str]) -> Source {
        if self.depth < Depth::Rewrite || self.expanding.contains(view.name) {
            return Source::Opaque;
        }
        let Some(select) = definition(view) else {
            self.unknown("the definition of a view could not be read");
            return Source::Opaque;
        };
        self.expanding.push(view.name.clone());
        let outer = std::mem::take(&mut self.scopes);
        let own: Vec<&str> = view.relation.columns.iter().map(|column| column.name.as_str()).collect();
        let source = self.derived(&select, level, locked, if names.is_empty() { &own } else { names });
        self.scopes = outer;
        self.expanding.pop();
        source
    }

    /// A subquery of FROM: merged into the level when it is simple, else read on its own.
    pub(super) fn derived(
        &mut self,
        select: &SelectStmt,
        level: &mut Level<'a>,
        locked: &Locked,
        names: &[&str],
    ) -> Source {
        if !self.is_simple(select) {
            self.select_locked(select, locked);
            return Source::Opaque;
        }
        let outer_names = std::mem::take(&mut level.names);
        self.read_from_and_where(select, level, locked);
        self.in_expressions(&select.target_list);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let source = outputs_of(select, level, &names);
        level.names = outer_names;
        source
    }

    /// Whether the planner pulls the subquery up (`is_simple_subquery` in prepjointree.c).
    fn is_simple(&self, select: &SelectStmt) -> bool {
        select.op == SetOperation::SetopNone as i32
            && select.values_lists.is_empty()
            && select.with_clause.is_none()
            && select.group_clause.is_empty()
            && select.having_clause.is_none()
            && select.window_clause.is_empty()
            && select.distinct_clause.is_empty()
            && select.sort_clause.is_empty()
            && select.limit_count.is_none()
            && select.limit_offset.is_none()
            && select.locking_clause.is_empty()
            && !select.from_clause.is_empty()
            && !select.target_list.iter().any(|target| self.aggregates(target))
    }

    /// FROM and WHERE of a query, into a level.
    pub(super) fn read_from_and_where(&mut self, select: &SelectStmt, level: &mut Level<'a>, locked: &Locked) {
        for item in select.from_clause.iter().filter_map(|node| node.node.as_ref()) {
            self.item(item, level, locked);
        }
        if let Some(condition) = select.where_clause.as_ref().and_then(|node| node.node.as_ref()) {
            self.add_condition(condition, level, None);
            self.in_expression(condition);
        }
    }

    fn unknown(&mut self, why: &str) {
        self.impact.merge(crate::plan::analyze::Impact::unanalyzable(why));
    }
}

/// The query of a view, parsed from the server's text.
pub(in crate::plan::analyze) fn definition(view: Rel<'_>) -> Option<SelectStmt> {
    let text = &view.relation.view.as_ref()?.definition;
    let parsed = crate::sql::parse(text.trim().trim_end_matches(';')).ok()?;
    match parsed.into_iter().next()?.node {
        NodeEnum::SelectStmt(select) => Some(*select),
        _ => None,
    }
}

fn renamed(found: Rel<'_>, at: usize, names: &[&str]) -> Source {
    let columns = found.relation.columns.iter().enumerate().map(|(position, column)| {
        let name = names.get(position).map_or_else(|| column.name.clone(), |name| (*name).to_owned());
        (name, Some((at, column.name.clone())))
    });
    Source::Derived(columns.collect())
}

/// What a merged query's columns are, with the names given from outside. A column whose name the server makes up
/// hides all: nobody knows then which names there are.
pub(super) fn outputs_of(select: &SelectStmt, level: &Level<'_>, names: &[String]) -> Source {
    let mut columns = BTreeMap::new();
    for (position, (name, origin)) in outputs(select, level).into_iter().enumerate() {
        match names.get(position).cloned().or(name) {
            Some(name) => columns.insert(name, origin),
            None => columns.insert(MADE_UP.to_owned(), None),
        };
    }
    Source::Derived(columns)
}

/// The columns a query gives, each with its name and the relation's column it is, where it is one.
fn outputs(select: &SelectStmt, level: &Level<'_>) -> Vec<(Option<String>, Option<Column>)> {
    let mut outputs = Vec::new();
    for node in &select.target_list {
        let Some(NodeEnum::ResTarget(target)) = &node.node else { continue };
        let Some(value) = target.val.as_ref().and_then(|value| value.node.as_ref()) else { continue };
        match value {
            NodeEnum::ColumnRef(reference) if ends_in_star(&reference.fields) => {
                star(reference, level, &mut outputs);
            }
            _ => {
                let named = match value {
                    NodeEnum::ColumnRef(reference) => columns_of(reference).last().map(|name| (*name).to_owned()),
                    _ => None,
                };
                let name = if target.name.is_empty() { named } else { Some(target.name.clone()) };
                outputs.push((name, conditions::column(value, level)));
            }
        }
    }
    outputs
}

fn ends_in_star(fields: &[Node]) -> bool {
    fields.last().is_some_and(|field| matches!(field.node, Some(NodeEnum::AStar(_))))
}

fn star(reference: &ColumnRef, level: &Level<'_>, outputs: &mut Vec<(Option<String>, Option<Column>)>) {
    let qualifier = columns_of(reference).last().copied();
    for (alias, source) in &level.names {
        if qualifier.is_some_and(|qualifier| qualifier != alias) {
            continue;
        }
        match source {
            Source::Member(at) => {
                let columns = level.members.get(*at).map_or(&[][..], |member| &member.rel.relation.columns);
                outputs
                    .extend(columns.iter().map(|column| (Some(column.name.clone()), Some((*at, column.name.clone())))));
            }
            Source::Derived(columns) => {
                outputs.extend(columns.iter().map(|(name, origin)| (Some(name.clone()), origin.clone())));
            }
            Source::Opaque => {}
        }
    }
}
