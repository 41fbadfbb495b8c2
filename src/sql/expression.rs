//! Looking inside scalar expressions.

use std::collections::HashSet;

use pg_query::protobuf::node::Node as Kind;
use pg_query::protobuf::{JsonBehavior, JsonValueExpr, Node, ResTarget, SelectStmt, WindowDef};

/// The parse tree of a scalar expression, as the server prints one in a definition; `None` when the text is not
/// one expression.
pub fn parse_expression(text: &str) -> Option<Node> {
    let parsed = crate::sql::parse::tree(&format!("SELECT ({text})")).ok()?;
    let [statement] = <[_; 1]>::try_from(parsed.stmts).ok()?;
    let Kind::SelectStmt(mut select) = statement.stmt?.node? else { return None };
    let Kind::ResTarget(target) = select.target_list.pop()?.node? else { return None };
    // Nothing may be left over: the text could close the parenthesis itself.
    let empty = SelectStmt { limit_option: select.limit_option, op: select.op, ..SelectStmt::default() };
    target.val.filter(|_| *select == empty).map(|value| *value)
}

/// Names of the columns that an expression over one table mentions; `None` when that cannot be told (a
/// subquery, a whole row, a construct that is not known). Qualified names count with all their parts.
pub fn mentioned_columns(expression: &str) -> Option<HashSet<String>> {
    let root = parse_expression(expression)?;
    let mut columns = HashSet::new();
    let mut pending = vec![&root];
    while let Some(node) = pending.pop() {
        if let Some(Kind::ColumnRef(column)) = &node.node {
            for field in &column.fields {
                match &field.node {
                    Some(Kind::String(name)) => columns.insert(name.sval.clone()),
                    _ => return None,
                };
            }
        }
        pending.extend(operands(node)?);
    }
    Some(columns)
}

/// The expression with each column as `write` has it; `None` where [`mentioned_columns`] cannot tell, and for a
/// column with a qualified name.
pub fn with_columns(expression: &str, write: &dyn Fn(&str) -> String) -> Option<String> {
    const BEFORE: &str = "SELECT (";
    parse_expression(expression)?;
    let whole = format!("{BEFORE}{expression})");
    let parsed = crate::sql::parse::tree(&whole).ok()?;
    let Kind::SelectStmt(select) = parsed.stmts.into_iter().next()?.stmt?.node? else { return None };
    let tokens = pg_query::scan(&whole).ok()?.tokens;
    let mut places: Vec<(usize, usize, String)> = Vec::new();
    let mut pending: Vec<&Node> = select.target_list.iter().collect();
    while let Some(node) = pending.pop() {
        if let Some(Kind::ColumnRef(column)) = &node.node {
            let [Node { node: Some(Kind::String(name)) }] = column.fields.as_slice() else { return None };
            let token = tokens.iter().find(|token| token.start == column.location)?;
            let (start, end) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
            places.push((start, end, write(&name.sval)));
        }
        pending.extend(operands(node)?);
    }
    places.sort();
    let mut text = whole.clone();
    for (start, end, new) in places.into_iter().rev() {
        text.replace_range(start..end, &new);
    }
    text.strip_prefix(BEFORE)?.strip_suffix(')').map(str::to_owned)
}

/// The expressions directly below a node of a raw expression tree, subqueries not entered; `None` for a subquery
/// and for a node that is not known.
pub fn operands(node: &Node) -> Option<Vec<&Node>> {
    let mut below = Vec::new();
    match node.node.as_ref()? {
        Kind::ColumnRef(_)
        | Kind::ParamRef(_)
        | Kind::AConst(_)
        | Kind::AStar(_)
        | Kind::String(_)
        | Kind::SqlvalueFunction(_)
        | Kind::SetToDefault(_)
        | Kind::MergeSupportFunc(_) => {}
        Kind::List(list) => below.extend(&list.items),
        Kind::TypeCast(cast) => below.extend(cast.arg.as_deref()),
        Kind::CollateClause(collate) => below.extend(collate.arg.as_deref()),
        Kind::FuncCall(call) => {
            below.extend(call.args.iter().chain(&call.agg_order));
            below.extend(call.agg_filter.as_deref());
            window(call.over.as_deref(), &mut below);
        }
        Kind::AExpr(operator) => below.extend(operator.lexpr.as_deref().into_iter().chain(operator.rexpr.as_deref())),
        Kind::BoolExpr(boolean) => below.extend(&boolean.args),
        Kind::NullTest(test) => below.extend(test.arg.as_deref()),
        Kind::BooleanTest(test) => below.extend(test.arg.as_deref()),
        Kind::CaseExpr(case) => {
            below.extend(case.arg.as_deref().into_iter().chain(&case.args).chain(case.defresult.as_deref()));
        }
        Kind::CaseWhen(when) => below.extend(when.expr.as_deref().into_iter().chain(when.result.as_deref())),
        Kind::CoalesceExpr(coalesce) => below.extend(&coalesce.args),
        Kind::MinMaxExpr(extreme) => below.extend(&extreme.args),
        Kind::RowExpr(row) => below.extend(&row.args),
        Kind::AArrayExpr(array) => below.extend(&array.elements),
        Kind::AIndirection(part) => below.extend(part.arg.as_deref().into_iter().chain(&part.indirection)),
        Kind::AIndices(index) => below.extend(index.lidx.as_deref().into_iter().chain(index.uidx.as_deref())),
        Kind::NamedArgExpr(argument) => below.extend(argument.arg.as_deref()),
        Kind::SortBy(sort) => below.extend(sort.node.as_deref()),
        Kind::ResTarget(target) => result_target(target, &mut below),
        Kind::GroupingFunc(grouping) => below.extend(&grouping.args),
        Kind::XmlExpr(xml) => below.extend(xml.named_args.iter().chain(&xml.args)),
        Kind::XmlSerialize(xml) => below.extend(xml.expr.as_deref()),
        _ => json(node, &mut below)?,
    }
    Some(below)
}

fn result_target<'a>(target: &'a ResTarget, below: &mut Vec<&'a Node>) {
    below.extend(target.val.as_deref().into_iter().chain(&target.indirection));
}

fn window<'a>(window: Option<&'a WindowDef>, below: &mut Vec<&'a Node>) {
    let Some(window) = window else { return };
    below.extend(window.partition_clause.iter().chain(&window.order_clause));
    below.extend(window.start_offset.as_deref().into_iter().chain(window.end_offset.as_deref()));
}

/// The SQL/JSON constructors and functions (16 and later).
fn json<'a>(node: &'a Node, below: &mut Vec<&'a Node>) -> Option<()> {
    match node.node.as_ref()? {
        Kind::JsonObjectConstructor(object) => below.extend(&object.exprs),
        Kind::JsonArrayConstructor(array) => below.extend(&array.exprs),
        Kind::JsonKeyValue(pair) => {
            below.extend(pair.key.as_deref());
            json_value(pair.value.as_deref(), below);
        }
        Kind::JsonValueExpr(value) => json_value(Some(value), below),
        Kind::JsonParseExpr(parse) => json_value(parse.expr.as_deref(), below),
        Kind::JsonScalarExpr(scalar) => below.extend(scalar.expr.as_deref()),
        Kind::JsonSerializeExpr(serialize) => json_value(serialize.expr.as_deref(), below),
        Kind::JsonIsPredicate(predicate) => below.extend(predicate.expr.as_deref()),
        Kind::JsonArgument(argument) => json_value(argument.val.as_deref(), below),
        Kind::JsonFuncExpr(function) => {
            json_value(function.context_item.as_deref(), below);
            below.extend(function.pathspec.as_deref().into_iter().chain(&function.passing));
            json_behavior(function.on_empty.as_deref(), below);
            json_behavior(function.on_error.as_deref(), below);
        }
        Kind::JsonObjectAgg(aggregate) => {
            let pair = aggregate.arg.as_deref()?;
            below.extend(pair.key.as_deref());
            json_value(pair.value.as_deref(), below);
        }
        Kind::JsonArrayAgg(aggregate) => json_value(aggregate.arg.as_deref(), below),
        _ => return None,
    }
    Some(())
}

fn json_value<'a>(value: Option<&'a JsonValueExpr>, below: &mut Vec<&'a Node>) {
    below.extend(value.and_then(|value| value.raw_expr.as_deref()));
}

fn json_behavior<'a>(behavior: Option<&'a JsonBehavior>, below: &mut Vec<&'a Node>) {
    below.extend(behavior.and_then(|behavior| behavior.expr.as_deref()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(expression: &str) -> Option<Vec<String>> {
        let mut columns: Vec<String> = mentioned_columns(expression)?.into_iter().collect();
        columns.sort();
        Some(columns)
    }

    #[test]
    fn finds_columns_in_every_construct() {
        let expression = r#"
            lower(a) > 'x' and (b is not null or not c) and coalesce(d, 1) in (e, 2)
            and case f when 1 then g else h end = (i).part and j[k] = array[l, greatest(m, 3)]
            and n collate "C" like 'q%' and row(o, p) = (q, "R s"::int) and r between s and t
            and json_value(u, '$.x' default v on empty) = 'y' and xmlforest(w as z) is document
            and (x at time zone 'UTC') < now() and f2(arg => y) is true"#;
        let found = columns(expression).unwrap();
        let expected = "R s a b c d e f g h i j k l m n o p q r s t u v w x y";
        let mut expected: Vec<&str> = expected.strip_prefix("R s ").unwrap().split(' ').collect();
        expected.insert(0, "R s");
        assert_eq!(found, expected);
    }

    #[test]
    fn writes_columns_anew() {
        let write = |name: &str| format!("NEW.{}", crate::sql::quote::ident(name));
        let text = with_columns("lower(\"Id\"::text) || 'id' || id || f.id(idx, paid => id)", &write).unwrap();
        assert_eq!(text, "lower(NEW.\"Id\"::text) || 'id' || NEW.id || f.id(NEW.idx, paid => NEW.id)");
        for unknown in ["t.id", "id >", "(select id)"] {
            assert_eq!(with_columns(unknown, &write), None, "{unknown}");
        }
    }

    #[test]
    fn does_not_guess() {
        for unknown in ["(select 1) > a", "t.* is null", "a >", "a; select 1", "1) from t, (select 2", "1), (2"] {
            assert_eq!(columns(unknown), None, "{unknown}");
        }
    }
}
