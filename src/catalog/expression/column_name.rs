//! The name a result column or an index column gets from its expression (`FigureColname` in parse_target.c).

use pg_query::protobuf::{AExprKind, MinMaxOp, Node, SqlValueFunctionOp, SubLinkType, node};

use super::type_name;

/// The name and how good it is: 2 for a real one, 1 for a last resort.
fn strength(node: &Node) -> Option<(String, u8)> {
    let good = |name: &str| Some((name.to_owned(), 2));
    match node.node.as_ref()? {
        node::Node::ColumnRef(column) => type_name::strings(&column.fields).pop().map(|name| (name, 2)),
        node::Node::AIndirection(indirection) => match type_name::strings(&indirection.indirection).pop() {
            Some(field) => Some((field, 2)),
            None => strength(indirection.arg.as_deref()?),
        },
        node::Node::FuncCall(call) => type_name::strings(&call.funcname).pop().map(|name| (name, 2)),
        node::Node::AExpr(operation) if operation.kind == AExprKind::AexprNullif as i32 => good("nullif"),
        node::Node::TypeCast(cast) => {
            let inner = cast.arg.as_deref().and_then(strength);
            match inner {
                Some((_, 2)) => inner,
                _ => type_name::strings(&cast.type_name.as_ref()?.names).pop().map(|name| (name, 1)),
            }
        }
        node::Node::CollateClause(collate) => strength(collate.arg.as_deref()?),
        node::Node::GroupingFunc(_) => good("grouping"),
        node::Node::SubLink(link) => match SubLinkType::try_from(link.sub_link_type).ok()? {
            SubLinkType::ExistsSublink => good("exists"),
            SubLinkType::ArraySublink => good("array"),
            SubLinkType::ExprSublink => match link.subselect.as_deref()?.node.as_ref()? {
                node::Node::SelectStmt(select) => match select.target_list.first()?.node.as_ref()? {
                    node::Node::ResTarget(target) if !target.name.is_empty() => good(&target.name),
                    node::Node::ResTarget(target) => strength(target.val.as_deref()?),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        },
        node::Node::CaseExpr(case) => {
            let otherwise = case.defresult.as_deref().and_then(strength);
            match otherwise {
                Some((_, 2)) => otherwise,
                _ => Some(("case".to_owned(), 1)),
            }
        }
        node::Node::AArrayExpr(_) => good("array"),
        node::Node::RowExpr(_) => good("row"),
        node::Node::CoalesceExpr(_) => good("coalesce"),
        node::Node::MinMaxExpr(extreme) if extreme.op == MinMaxOp::IsLeast as i32 => good("least"),
        node::Node::MinMaxExpr(_) => good("greatest"),
        node::Node::XmlSerialize(_) => good("xmlserialize"),
        node::Node::SqlvalueFunction(function) => good(keyword(function.op)),
        node::Node::JsonParseExpr(_) => good("json"),
        node::Node::JsonScalarExpr(_) => good("json_scalar"),
        node::Node::JsonSerializeExpr(_) => good("json_serialize"),
        node::Node::JsonObjectConstructor(_) => good("json_object"),
        node::Node::JsonArrayConstructor(_) | node::Node::JsonArrayQueryConstructor(_) => good("json_array"),
        node::Node::JsonObjectAgg(_) => good("json_objectagg"),
        node::Node::JsonArrayAgg(_) => good("json_arrayagg"),
        _ => None,
    }
}

fn keyword(op: i32) -> &'static str {
    use SqlValueFunctionOp as Op;
    match Op::try_from(op).unwrap_or(Op::SqlvalueFunctionOpUndefined) {
        Op::SvfopCurrentDate => "current_date",
        Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => "current_time",
        Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => "current_timestamp",
        Op::SvfopLocaltime | Op::SvfopLocaltimeN => "localtime",
        Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => "localtimestamp",
        Op::SvfopCurrentRole => "current_role",
        Op::SvfopCurrentUser => "current_user",
        Op::SvfopUser => "user",
        Op::SvfopSessionUser => "session_user",
        Op::SvfopCurrentCatalog => "current_catalog",
        _ => "current_schema",
    }
}

/// The name of a result column without an alias.
pub(crate) fn of_result(node: &Node) -> String {
    strength(node).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// The name of an index column that is an expression.
pub(crate) fn of_index(node: &Node) -> String {
    strength(node).map_or_else(|| "expr".to_owned(), |(name, _)| name)
}
