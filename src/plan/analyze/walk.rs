//! The direct parts of an expression, for rules that look for something inside expressions.

use pg_query::NodeEnum;
use pg_query::protobuf::{JsonValueExpr, Node};

/// What is directly below an expression node.
#[derive(Debug)]
pub(super) enum Parts<'n> {
    /// Expressions to look into; empty for a leaf.
    Expressions(Vec<&'n NodeEnum>),
    /// Not an expression node that the grammar puts there: nobody knows what it holds.
    Unknown,
}

/// Collects optional and listed nodes.
struct Collector<'n>(Vec<&'n NodeEnum>);

impl<'n> Collector<'n> {
    fn one(mut self, node: Option<&'n Node>) -> Self {
        self.0.extend(node.and_then(|node| node.node.as_ref()));
        self
    }

    fn list(mut self, nodes: &'n [Node]) -> Self {
        self.0.extend(nodes.iter().filter_map(|node| node.node.as_ref()));
        self
    }

    fn json(self, value: Option<&'n JsonValueExpr>) -> Self {
        match value {
            Some(value) => self.one(value.raw_expr.as_deref()).one(value.formatted_expr.as_deref()),
            None => self,
        }
    }

    fn done(self) -> Parts<'n> {
        Parts::Expressions(self.0)
    }
}

/// The direct parts of `node`. A `SubLink`'s query and a `JsonArrayQueryConstructor`'s are among them as
/// statements (`SelectStmt`).
pub(super) fn parts(node: &NodeEnum) -> Parts<'_> {
    let none = Collector(Vec::new());
    match node {
        NodeEnum::AConst(_)
        | NodeEnum::ColumnRef(_)
        | NodeEnum::ParamRef(_)
        | NodeEnum::AStar(_)
        | NodeEnum::SqlvalueFunction(_)
        | NodeEnum::SetToDefault(_)
        | NodeEnum::CurrentOfExpr(_)
        | NodeEnum::String(_)
        | NodeEnum::Integer(_)
        | NodeEnum::Float(_)
        | NodeEnum::Boolean(_)
        | NodeEnum::TypeName(_)
        | NodeEnum::CaseTestExpr(_) => none.done(),
        NodeEnum::List(list) => none.list(&list.items).done(),
        NodeEnum::AExpr(e) => none.one(e.lexpr.as_deref()).one(e.rexpr.as_deref()).done(),
        NodeEnum::BoolExpr(e) => none.list(&e.args).done(),
        NodeEnum::TypeCast(e) => none.one(e.arg.as_deref()).done(),
        NodeEnum::CollateClause(e) => none.one(e.arg.as_deref()).done(),
        NodeEnum::NullTest(e) => none.one(e.arg.as_deref()).done(),
        NodeEnum::BooleanTest(e) => none.one(e.arg.as_deref()).done(),
        NodeEnum::CoalesceExpr(e) => none.list(&e.args).done(),
        NodeEnum::MinMaxExpr(e) => none.list(&e.args).done(),
        NodeEnum::CaseExpr(e) => none.one(e.arg.as_deref()).list(&e.args).one(e.defresult.as_deref()).done(),
        NodeEnum::CaseWhen(e) => none.one(e.expr.as_deref()).one(e.result.as_deref()).done(),
        NodeEnum::AArrayExpr(e) => none.list(&e.elements).done(),
        NodeEnum::RowExpr(e) => none.list(&e.args).done(),
        NodeEnum::AIndirection(e) => none.one(e.arg.as_deref()).list(&e.indirection).done(),
        NodeEnum::AIndices(e) => none.one(e.lidx.as_deref()).one(e.uidx.as_deref()).done(),
        NodeEnum::NamedArgExpr(e) => none.one(e.arg.as_deref()).done(),
        NodeEnum::MultiAssignRef(e) => none.one(e.source.as_deref()).done(),
        NodeEnum::ResTarget(e) => none.list(&e.indirection).one(e.val.as_deref()).done(),
        NodeEnum::SortBy(e) => none.one(e.node.as_deref()).done(),
        NodeEnum::GroupingFunc(e) => none.list(&e.args).done(),
        NodeEnum::GroupingSet(e) => none.list(&e.content).done(),
        NodeEnum::IndexElem(e) => none.one(e.expr.as_deref()).done(),
        NodeEnum::WindowDef(e) => none
            .list(&e.partition_clause)
            .list(&e.order_clause)
            .one(e.start_offset.as_deref())
            .one(e.end_offset.as_deref())
            .done(),
        NodeEnum::FuncCall(e) => {
            let mut all = none.list(&e.args).list(&e.agg_order).one(e.agg_filter.as_deref());
            if let Some(window) = &e.over {
                all = all.list(&window.partition_clause).list(&window.order_clause);
            }
            all.done()
        }
        NodeEnum::SubLink(e) => none.one(e.testexpr.as_deref()).one(e.subselect.as_deref()).done(),
        NodeEnum::XmlExpr(e) => none.list(&e.named_args).list(&e.args).done(),
        NodeEnum::XmlSerialize(e) => none.one(e.expr.as_deref()).done(),
        NodeEnum::JsonValueExpr(e) => none.json(Some(e)).done(),
        NodeEnum::JsonIsPredicate(e) => none.one(e.expr.as_deref()).done(),
        NodeEnum::JsonKeyValue(e) => none.one(e.key.as_deref()).json(e.value.as_deref()).done(),
        NodeEnum::JsonObjectConstructor(e) => none.list(&e.exprs).done(),
        NodeEnum::JsonArrayConstructor(e) => none.list(&e.exprs).done(),
        NodeEnum::JsonArrayQueryConstructor(e) => none.one(e.query.as_deref()).done(),
        NodeEnum::JsonParseExpr(e) => none.json(e.expr.as_deref()).done(),
        NodeEnum::JsonScalarExpr(e) => none.one(e.expr.as_deref()).done(),
        NodeEnum::JsonSerializeExpr(e) => none.json(e.expr.as_deref()).done(),
        NodeEnum::JsonArgument(e) => none.json(e.val.as_deref()).done(),
        NodeEnum::JsonBehavior(e) => none.one(e.expr.as_deref()).done(),
        NodeEnum::JsonFuncExpr(e) => {
            let mut all = none.json(e.context_item.as_deref()).one(e.pathspec.as_deref()).list(&e.passing);
            for behaviour in [&e.on_empty, &e.on_error].into_iter().flatten() {
                all = all.one(behaviour.expr.as_deref());
            }
            all.done()
        }
        NodeEnum::JsonObjectAgg(e) => {
            let mut all = none;
            if let Some(pair) = &e.arg {
                all = all.one(pair.key.as_deref()).json(pair.value.as_deref());
            }
            aggregate(all, e.constructor.as_deref()).done()
        }
        NodeEnum::JsonArrayAgg(e) => aggregate(none.json(e.arg.as_deref()), e.constructor.as_deref()).done(),
        _ => Parts::Unknown,
    }
}

fn aggregate<'n>(all: Collector<'n>, constructor: Option<&'n pg_query::protobuf::JsonAggConstructor>) -> Collector<'n> {
    match constructor {
        Some(constructor) => all.one(constructor.agg_filter.as_deref()).list(&constructor.agg_order),
        None => all,
    }
}
