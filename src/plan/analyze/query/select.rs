//! SELECT: its level, subqueries and expressions, and what is read.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    CaseExpr, LimitOption, LockClauseStrength, Node, SelectStmt, SetOperation, SubLink, SubLinkType,
};

use super::access::{covers, head_wins, is_read_in_full, single_rows};
use super::conditions::{self, Fact, allowed};
use super::from::{Level, Locked, Source};
use super::literal::Literal;
use super::partitions::surviving;
use super::{Depth, Reader, functions};
use crate::catalog::RelationKind;
use crate::plan::analyze::effects;
use crate::plan::analyze::names::{Qualified, strings};
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::since::{self, Feature};
use crate::plan::analyze::walk::{self, Parts};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

impl<'a> Reader<'_, 'a> {
    pub(super) fn select(&mut self, select: &SelectStmt) {
        self.select_locked(select, &Locked::Nothing);
    }

    /// A SELECT whose relations an outer locking clause may lock.
    pub(super) fn select_locked(&mut self, select: &SelectStmt, outer: &Locked) {
        let scoped = self.enter_common_tables(select.with_clause.as_ref());
        if select.op == SetOperation::SetopNone as i32 || select.op == SetOperation::Undefined as i32 {
            self.plain(select, outer);
        } else {
            for side in [&select.larg, &select.rarg].into_iter().flatten() {
                self.select_locked(side, outer);
            }
            self.in_expressions(&select.sort_clause);
        }
        if scoped {
            self.leave_common_tables();
        }
    }

    fn plain(&mut self, select: &SelectStmt, outer: &Locked) {
        self.refuse_row_locks(select);
        let locked = locking(select, outer);
        let mut level = Level::default();
        self.read_from_and_where(select, &mut level, &locked);
        self.check_columns(select.target_list.iter().chain(select.where_clause.as_deref()), &level);
        for list in &select.values_lists {
            self.in_optional(Some(list));
        }
        self.in_expressions(&select.target_list);
        self.in_expressions(&select.group_clause);
        self.in_optional(select.having_clause.as_deref());
        self.in_expressions(&select.window_clause);
        self.in_expressions(&select.sort_clause);
        self.in_expressions(&select.distinct_clause);
        self.in_optional(select.limit_offset.as_deref());
        self.in_optional(select.limit_count.as_deref());
        let nothing = is_zero(select.limit_count.as_deref());
        let by_index = !level.members.iter().any(|member| member.sampled)
            && (self.is_extreme_of_index(select, &level)
                || self.is_head_of_index(select, &level)
                || self.is_index_only(select, &level));
        self.finish(&level, !nothing && !by_index);
    }

    /// Locks the children that are not ruled out, and says what is read in full.
    pub(super) fn finish(&mut self, level: &Level<'a>, reads: bool) {
        if self.depth < Depth::Plan || level.is_never() {
            return;
        }
        let single = single_rows(self.resolver, &level.members, &level.conditions);
        for (at, member) in level.members.iter().enumerate() {
            let survivors = if member.inherit {
                surviving(self.resolver, member.rel, &|column| allowed(&level.conditions, at, column))
            } else {
                vec![member.rel]
            };
            // The planner opens what a partitioned table is itself a partition of, for its bound.
            let relation = member.rel.relation;
            if member.inherit && relation.kind == RelationKind::PartitionedTable && relation.partition_bound.is_some() {
                for above in self.resolver.ancestors(member.rel) {
                    self.impact.lock(above.name.clone(), LockMode::AccessShare);
                }
            }
            for relation in survivors {
                self.impact.lock(relation.name.clone(), member.mode);
                if self.depth < Depth::Run || !reads {
                    continue;
                }
                self.require_populated(relation);
                if relation.relation.kind == RelationKind::MaterializedView && member.mode != LockMode::AccessShare {
                    self.impact.refuse(
                        "42809",
                        format!("cannot lock rows in materialized view \"{}\"", relation.name.name),
                        "Leave out FOR UPDATE.",
                    );
                }
                if member.sampled || is_read_in_full(self.resolver, relation, at, &level.conditions, &single) {
                    effects::scan(&mut self.impact, relation);
                    if member.mode == LockMode::RowShare && !relation.relation.stats.empty {
                        let message = "Every row that matches is locked until the transaction ends.";
                        self.impact.hazard(HazardId::LargeDataChange, Some(relation.name), message);
                    }
                }
            }
        }
    }

    /// Rows of groups are no rows of a table (`CheckSelectLocking` in analyze.c).
    fn refuse_row_locks(&mut self, select: &SelectStmt) {
        if select.locking_clause.is_empty() {
            return;
        }
        let reasons = [
            (!select.distinct_clause.is_empty(), "DISTINCT clause"),
            (!select.group_clause.is_empty(), "GROUP BY clause"),
            (select.having_clause.is_some(), "HAVING clause"),
        ];
        for (_, what) in reasons.into_iter().filter(|(is, _)| *is) {
            self.impact.refuse(
                "0A000",
                format!("FOR UPDATE and its kin are not allowed with {what}"),
                "Lock the rows in a subquery, or leave the clause out.",
            );
        }
    }

    fn require_populated(&mut self, relation: Rel<'a>) {
        if relation.relation.kind == RelationKind::MaterializedView
            && relation.relation.view.as_ref().is_some_and(|view| !view.populated)
        {
            self.impact.refuse(
                "55000",
                format!("materialized view \"{}\" has not been populated", relation.name.name),
                "Use REFRESH MATERIALIZED VIEW first.",
            );
        }
    }

    /// `SELECT max(a), min(b) FROM t` reads the ends of indexes on the columns, if there are any.
    fn is_extreme_of_index(&self, select: &SelectStmt, level: &Level<'a>) -> bool {
        let [member] = level.members.as_slice() else { return false };
        let plain =
            select.group_clause.is_empty() && select.having_clause.is_none() && select.distinct_clause.is_empty();
        let columns: Option<Vec<String>> =
            select.target_list.iter().map(|target| extreme_column(target.node.as_ref()?, level)).collect();
        let Some(columns) = columns.filter(|columns| plain && !columns.is_empty()) else { return false };
        // Other conditions may make the server read on until a row fits.
        let only_on_it = level.conditions.iter().all(|condition| match &condition.fact {
            Fact::Compares((_, column), ..) => columns.iter().all(|extreme| extreme == column),
            _ => false,
        });
        let heaps = if member.inherit { self.resolver.leaves(member.rel) } else { vec![member.rel] };
        only_on_it && heaps.into_iter().all(|heap| columns.iter().all(|column| self.has_ordered_index(heap, column)))
    }

    /// A query without conditions that needs only columns of an index may read that instead of the table.
    fn is_index_only(&self, select: &SelectStmt, level: &Level<'a>) -> bool {
        let [member] = level.members.as_slice() else { return false };
        let plain = level.conditions.is_empty()
            && matches!(level.names.as_slice(), [(_, Source::Member(0))])
            && select.limit_count.is_none()
            && select.sort_clause.is_empty()
            && select.distinct_clause.is_empty()
            && select.locking_clause.is_empty()
            && member.mode == LockMode::AccessShare;
        let parts = select.target_list.iter().chain(&select.group_clause).chain(select.having_clause.as_deref());
        let mut columns = BTreeSet::new();
        let known = parts.filter_map(|part| part.node.as_ref()).all(|part| columns_below(part, level, &mut columns));
        let heaps = if member.inherit { self.resolver.leaves(member.rel) } else { vec![member.rel] };
        plain && known && heaps.into_iter().all(|heap| self.has_covering_index(heap, &columns))
    }

    fn has_covering_index(&self, heap: Rel<'a>, columns: &BTreeSet<String>) -> bool {
        self.resolver.indexes(heap.name).iter().any(|index| covers(heap, *index, columns))
    }

    /// Whether a btree index over all rows starts with the column.
    fn has_ordered_index(&self, heap: Rel<'a>, column: &str) -> bool {
        self.resolver.indexes(heap.name).iter().filter_map(|index| index.relation.index.as_ref()).any(|index| {
            let first = index.keys.first().and_then(|key| key.column.as_deref());
            index.method == "btree" && index.valid && index.predicate.is_none() && first == Some(column)
        })
    }

    /// `SELECT ... FROM t ORDER BY c LIMIT n` takes the first rows from an index on the column, when that is much
    /// less than reading and sorting all.
    fn is_head_of_index(&self, select: &SelectStmt, level: &Level<'a>) -> bool {
        let ([member], [order]) = (level.members.as_slice(), select.sort_clause.as_slice()) else { return false };
        let Some(NodeEnum::SortBy(order)) = &order.node else { return false };
        let column =
            order.node.as_ref().and_then(|node| node.node.as_ref()).and_then(|node| conditions::column(node, level));
        let limit = select.limit_count.as_ref().and_then(|node| node.node.as_ref()).and_then(Literal::of);
        let (Some((_, column)), Some(Literal::Number(limit))) = (column, limit) else { return false };
        let plain = level.conditions.is_empty()
            && select.group_clause.is_empty()
            && select.distinct_clause.is_empty()
            && select.limit_offset.is_none()
            && select.limit_option == LimitOption::Count as i32
            && !select.target_list.iter().any(|target| self.aggregates(target));
        plain
            && member.rel.relation.kind.has_heap()
            && self.resolver.children(member.rel.name).is_empty()
            && self.has_ordered_index(member.rel, &column)
            && head_wins(member.rel.relation, limit)
    }

    pub(super) fn in_expressions(&mut self, nodes: &[Node]) {
        for node in nodes.iter().filter_map(|node| node.node.as_ref()) {
            self.in_expression(node);
        }
    }

    pub(super) fn in_optional(&mut self, node: Option<&Node>) {
        if let Some(node) = node.and_then(|node| node.node.as_ref()) {
            self.in_expression(node);
        }
    }

    /// Reads the subqueries of an expression and what its functions do.
    pub(super) fn in_expression(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::SubLink(link) => self.sublink(link),
            NodeEnum::SelectStmt(select) => self.select(select),
            NodeEnum::FuncCall(call) => {
                functions::require(&mut self.impact, call, self.resolver);
                if self.depth == Depth::Run {
                    let impact = functions::call(call, self.resolver);
                    self.impact.merge(impact);
                }
                self.below(node);
            }
            NodeEnum::CaseExpr(case) => self.case(case),
            NodeEnum::JsonFuncExpr(_)
            | NodeEnum::JsonParseExpr(_)
            | NodeEnum::JsonScalarExpr(_)
            | NodeEnum::JsonSerializeExpr(_) => {
                self.require(Feature::JsonQueryFunctions);
                self.below(node);
            }
            NodeEnum::JsonObjectConstructor(_)
            | NodeEnum::JsonArrayConstructor(_)
            | NodeEnum::JsonArrayQueryConstructor(_)
            | NodeEnum::JsonObjectAgg(_)
            | NodeEnum::JsonArrayAgg(_)
            | NodeEnum::JsonIsPredicate(_) => {
                self.require(Feature::JsonConstructors);
                self.below(node);
            }
            _ => self.below(node),
        }
    }

    /// Branches that a constant condition rules out are not run.
    fn case(&mut self, case: &CaseExpr) {
        self.in_optional(case.arg.as_deref());
        for branch in &case.args {
            let Some(NodeEnum::CaseWhen(when)) = &branch.node else { continue };
            let condition = when.expr.as_ref().and_then(|node| node.node.as_ref());
            let constant = condition.and_then(Literal::of).filter(|_| case.arg.is_none());
            self.in_optional(when.expr.as_deref());
            match constant {
                Some(Literal::Boolean(false) | Literal::Null) => {}
                Some(Literal::Boolean(true)) => return self.in_optional(when.result.as_deref()),
                _ => self.in_optional(when.result.as_deref()),
            }
        }
        self.in_optional(case.defresult.as_deref());
    }

    fn below(&mut self, node: &NodeEnum) {
        match walk::parts(node) {
            Parts::Expressions(parts) => {
                for part in parts {
                    self.in_expression(part);
                }
            }
            Parts::Unknown => {
                self.impact.merge(crate::plan::analyze::Impact::unanalyzable("an expression that no rule knows"));
            }
        }
    }

    fn sublink(&mut self, link: &SubLink) {
        self.in_optional(link.testexpr.as_deref());
        let Some(NodeEnum::SelectStmt(select)) = link.subselect.as_ref().and_then(|query| query.node.as_ref()) else {
            return;
        };
        let strict = std::mem::replace(&mut self.strict, false);
        // EXISTS and IN become joins with the outer query, whose rows are many: a lookup for each is then no
        // longer what the planner chooses. A scalar subquery is looked up for each row.
        let joined = matches!(
            SubLinkType::try_from(link.sub_link_type),
            Ok(SubLinkType::ExistsSublink | SubLinkType::AnySublink)
        );
        if joined && self.depth == Depth::Run {
            self.select_joined(select);
        } else {
            self.select(select);
        }
        self.strict = strict;
    }

    /// A subquery that is joined to the outer query: its relations are read in full unless constants rule that
    /// out.
    fn select_joined(&mut self, select: &SelectStmt) {
        let before = std::mem::replace(&mut self.correlates, false);
        self.select(select);
        self.correlates = before;
    }

    /// Whether the query has an aggregate or a function that returns a set in this part.
    pub(super) fn aggregates(&self, node: &Node) -> bool {
        node.node.as_ref().is_some_and(|node| self.aggregates_below(node))
    }

    fn aggregates_below(&self, node: &NodeEnum) -> bool {
        if let NodeEnum::FuncCall(call) = node {
            let Some(name) = Qualified::from_nodes(&call.funcname) else { return true };
            let built_in = crate::catalog::builtin::function(name.name, self.resolver.major());
            let kinds = built_in.map_or("", |function| function.kinds);
            let user = self.resolver.functions_named(name);
            let is_plain = call.over.is_none()
                && !kinds.contains('a')
                && !kinds.contains('w')
                && user.iter().all(|function| function.kind == 'f' && !function.result.starts_with("SETOF"))
                && !matches!(name.name, "generate_series" | "unnest" | "regexp_matches" | "jsonb_array_elements");
            if !is_plain {
                return true;
            }
        }
        match walk::parts(node) {
            Parts::Expressions(parts) => parts.into_iter().any(|part| self.aggregates_below(part)),
            Parts::Unknown => true,
        }
    }

    pub(super) fn require(&mut self, feature: Feature) {
        since::require(&mut self.impact, self.resolver, feature);
    }
}

/// What the locking clauses of a query lock; an outer clause locks everything below.
fn locking(select: &SelectStmt, outer: &Locked) -> Locked {
    if matches!(outer, Locked::Everything) {
        return Locked::Everything;
    }
    let mut names = BTreeSet::new();
    for node in &select.locking_clause {
        let Some(NodeEnum::LockingClause(clause)) = &node.node else { continue };
        if clause.strength <= LockClauseStrength::LcsNone as i32 {
            continue;
        }
        if clause.locked_rels.is_empty() {
            return Locked::Everything;
        }
        names.extend(clause.locked_rels.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::RangeVar(name)) => Some(name.relname.clone()),
            _ => None,
        }));
    }
    if names.is_empty() { Locked::Nothing } else { Locked::Names(names) }
}

/// Collects the columns of the level that an expression uses; false when it uses something else than columns, such
/// as a whole row or a subquery.
fn columns_below(node: &NodeEnum, level: &Level<'_>, columns: &mut BTreeSet<String>) -> bool {
    match node {
        NodeEnum::ColumnRef(_) => match conditions::column(node, level) {
            Some((_, column)) => {
                columns.insert(column);
                true
            }
            None => false,
        },
        NodeEnum::SubLink(_) => false,
        _ => match walk::parts(node) {
            Parts::Expressions(parts) => parts.into_iter().all(|part| columns_below(part, level, columns)),
            Parts::Unknown => false,
        },
    }
}

/// The column that `max(c)` or `min(c)` is of.
fn extreme_column(target: &NodeEnum, level: &Level<'_>) -> Option<String> {
    let NodeEnum::ResTarget(target) = target else { return None };
    let NodeEnum::FuncCall(call) = target.val.as_ref()?.node.as_ref()? else { return None };
    let is_extreme = matches!(strings(&call.funcname).last().copied(), Some("max" | "min"));
    let [argument] = call.args.as_slice() else { return None };
    let (_, column) = conditions::column(argument.node.as_ref()?, level)?;
    (is_extreme && call.agg_filter.is_none() && call.over.is_none()).then_some(column)
}

fn is_zero(limit: Option<&Node>) -> bool {
    limit.and_then(|node| node.node.as_ref()).and_then(Literal::of) == Some(Literal::Number(0))
}
