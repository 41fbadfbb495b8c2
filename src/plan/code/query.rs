//! Queries of the catalogs.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExprKind, FuncCall, JoinType, Node, RangeVar, SelectStmt, SetOperation, SubLink, SubLinkType,
};

use super::ask::{Asked, Scope};
use super::rows::{self, Row};
use super::value::Value;

/// How many rows are looked at, before a question counts as one that cannot be answered.
const ROWS_MAX: usize = 1_000_000;

/// How many rows a query gives.
struct Found<'a> {
    certain: Vec<Scope<'a>>,
    possible: usize,
}

impl<'a> Asked<'a, '_> {
    pub(super) fn sub_query(&self, link: &SubLink, scope: &Scope<'a>) -> Value<'a> {
        let Some(NodeEnum::SelectStmt(select)) = link.subselect.as_ref().and_then(|node| node.node.as_ref()) else {
            return Value::Unknown;
        };
        match link.sub_link_type() {
            SubLinkType::ExistsSublink => self.exists(select, scope),
            SubLinkType::ExprSublink => self.scalar(select, scope),
            SubLinkType::AnySublink if link.oper_name.is_empty() => {
                let left = self.optional(link.testexpr.as_deref(), scope);
                match (self.rows(select, scope), target(select)) {
                    (Some(found), Some(target)) if found.possible == 0 => {
                        Value::any(found.certain.iter().map(|row| left.equals(&self.value(target, row))))
                    }
                    _ => Value::Unknown,
                }
            }
            _ => Value::Unknown,
        }
    }

    pub(super) fn exists(&self, select: &SelectStmt, scope: &Scope<'a>) -> Value<'a> {
        let counts = target(select).is_some_and(is_aggregate);
        match self.rows(select, scope) {
            Some(_) if counts => Value::Unknown,
            Some(found) if !found.certain.is_empty() => Value::Boolean(true),
            Some(found) if found.possible == 0 => Value::Boolean(false),
            _ => Value::Unknown,
        }
    }

    /// The one value of a query.
    pub(super) fn scalar(&self, select: &SelectStmt, scope: &Scope<'a>) -> Value<'a> {
        let (Some(found), Some(target)) = (self.rows(select, scope), target(select)) else {
            return Value::Unknown;
        };
        if found.possible > 0 {
            return Value::Unknown;
        }
        match counted(target, &found, self, scope) {
            Some(value) => value,
            None => match found.certain.as_slice() {
                [] => Value::Null,
                [row] => self.value(target, row),
                _ => Value::Unknown,
            },
        }
    }

    /// The rows of a query; `None` for a query that cannot be followed here.
    fn rows(&self, select: &SelectStmt, scope: &Scope<'a>) -> Option<Found<'a>> {
        let plain = select.group_clause.is_empty()
            && select.having_clause.is_none()
            && select.window_clause.is_empty()
            && select.limit_offset.is_none()
            && select.with_clause.is_none()
            && select.values_lists.is_empty()
            && select.into_clause.is_none()
            && select.op() == SetOperation::SetopNone;
        // One that asks for the first row only is taken for one that asks whether there is any.
        let limited = select.limit_count.is_some();
        if !plain {
            return None;
        }
        let condition = select.where_clause.as_deref().and_then(|node| node.node.as_ref());
        let holds = |rows: &Scope<'a>| condition.map_or(Value::Boolean(true), |node| self.value(node, rows));
        let mut combined = vec![(scope.clone(), true)];
        for item in &select.from_clause {
            let mut next = Vec::new();
            for (rows, certain) in &combined {
                for (more, sure) in self.from(item.node.as_ref()?, rows, &holds)? {
                    next.push((more, sure && *certain));
                }
            }
            combined = next;
        }
        let mut found = Found { certain: Vec::new(), possible: 0 };
        for (rows, certain) in combined {
            match holds(&rows).truth() {
                Some(false) => {}
                Some(true) if certain => found.certain.push(rows),
                _ => found.possible += 1,
            }
        }
        if limited && found.certain.len() > 1 {
            found.certain.truncate(1);
            found.possible += 1;
        }
        Some(found)
    }

    /// The rows of an item of FROM beside those that are there already, without those that the condition excludes;
    /// each with whether it is certain.
    fn from(
        &self,
        item: &NodeEnum,
        scope: &Scope<'a>,
        holds: &dyn Fn(&Scope<'a>) -> Value<'a>,
    ) -> Option<Vec<(Scope<'a>, bool)>> {
        match item {
            NodeEnum::RangeVar(table) => {
                let mut found = Vec::new();
                for row in self.table(table)? {
                    let certain = row.certain;
                    let mut rows = scope.clone();
                    let alias = table.alias.as_ref().map_or(&table.relname, |alias| &alias.aliasname);
                    rows.push((alias.clone(), row));
                    if !matches!(holds(&rows), Value::Boolean(false)) {
                        found.push((rows, certain));
                    }
                }
                Some(found)
            }
            NodeEnum::JoinExpr(join)
                if join.jointype() == JoinType::JoinInner && join.using_clause.is_empty() && !join.is_natural =>
            {
                let on = join.quals.as_deref().and_then(|node| node.node.as_ref());
                let mut found = Vec::new();
                for (rows, certain) in self.from(join.larg.as_ref()?.node.as_ref()?, scope, holds)? {
                    for (more, sure) in self.from(join.rarg.as_ref()?.node.as_ref()?, &rows, holds)? {
                        match on.map_or(Some(true), |on| self.value(on, &more).truth()) {
                            Some(false) => {}
                            met => found.push((more, certain && sure && met.is_some())),
                        }
                    }
                }
                Some(found)
            }
            _ => None,
        }
    }

    fn table(&self, table: &RangeVar) -> Option<Vec<Row<'a>>> {
        // A table of the user's own of that name comes after `pg_catalog`.
        let rows = rows::of(&table.schemaname, &table.relname, self.catalog)?;
        self.seen.set(self.seen.get() + rows.len());
        (self.seen.get() <= ROWS_MAX).then_some(rows)
    }
}

/// The expression of a query with one column.
fn target(select: &SelectStmt) -> Option<&NodeEnum> {
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else {
        return None;
    };
    target.val.as_ref()?.node.as_ref()
}

fn is_aggregate(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::FuncCall(call) => call.agg_star || !call.args.is_empty() && aggregate_name(call),
        NodeEnum::AExpr(operation) => {
            let sides = [&operation.lexpr, &operation.rexpr];
            sides.into_iter().flatten().filter_map(|side| side.node.as_ref()).any(is_aggregate)
        }
        NodeEnum::TypeCast(cast) => cast.arg.as_ref().and_then(|arg| arg.node.as_ref()).is_some_and(is_aggregate),
        NodeEnum::CoalesceExpr(list) => list.args.iter().filter_map(|arg| arg.node.as_ref()).any(is_aggregate),
        _ => false,
    }
}

fn aggregate_name(call: &FuncCall) -> bool {
    let Some(Node { node: Some(NodeEnum::String(name)) }) = call.funcname.last() else { return true };
    // What else is called here has one value for a row.
    !matches!(name.sval.as_str(), "quote_ident" | "to_regclass" | "to_regtype" | "current_schemas" | "lower" | "upper")
}

/// The value of an expression with `count(*)`; `None` for one without an aggregate.
fn counted<'a>(node: &NodeEnum, found: &Found<'a>, asked: &Asked<'a, '_>, scope: &Scope<'a>) -> Option<Value<'a>> {
    if !is_aggregate(node) {
        return None;
    }
    Some(match node {
        NodeEnum::FuncCall(call) if call.agg_star && call.agg_filter.is_none() && call.over.is_none() => {
            i64::try_from(found.certain.len()).map_or(Value::Unknown, Value::Number)
        }
        NodeEnum::AExpr(operation) if operation.kind() == AExprKind::AexprOp => {
            let side = |side: Option<&Node>| match side.and_then(|node| node.node.as_ref()) {
                Some(node) => counted(node, found, asked, scope).unwrap_or_else(|| asked.value(node, scope)),
                None => Value::Unknown,
            };
            let (left, right) = (side(operation.lexpr.as_deref()), side(operation.rexpr.as_deref()));
            let [Node { node: Some(NodeEnum::String(operator)) }] = operation.name.as_slice() else {
                return Some(Value::Unknown);
            };
            left.compared(&operator.sval, &right)
        }
        _ => Value::Unknown,
    })
}
