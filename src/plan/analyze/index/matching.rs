//! Whether an index that a statement describes equals one that exists (`CompareIndexInfo` in index.c).

use pg_query::NodeEnum;
use pg_query::protobuf::{IndexElem, IndexStmt, Node};

use crate::catalog::{Index, IndexKey, Relation};
use crate::plan::analyze::names::strings;
use crate::plan::analyze::walk::{self, Parts};

/// Whether the existing index on `table` is what the statement would build there. The order of a key part
/// (DESC, NULLS FIRST) does not matter to the server.
pub(in crate::plan::analyze) fn matches(statement: &IndexStmt, index: &Index, table: &Relation) -> bool {
    let method = if statement.access_method.is_empty() { "btree" } else { &statement.access_method };
    let includes: Vec<&str> =
        elements(&statement.index_including_params).map(|element| element.name.as_str()).collect();
    let keys: Vec<&IndexElem> = elements(&statement.index_params).collect();
    index.method == method
        && index.unique == statement.unique
        && index.nulls_not_distinct == statement.nulls_not_distinct
        && index.include.iter().map(String::as_str).eq(includes)
        && index.keys.len() == keys.len()
        && index.keys.iter().zip(keys).all(|(key, element)| same_key(key, element, table))
        && same_optional(index.predicate.as_deref(), statement.where_clause.as_deref())
}

fn elements(nodes: &[Node]) -> impl Iterator<Item = &IndexElem> {
    nodes.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::IndexElem(element)) => Some(element.as_ref()),
        _ => None,
    })
}

fn same_key(key: &IndexKey, element: &IndexElem, table: &Relation) -> bool {
    let same_part = match &key.column {
        Some(column) => *column == element.name,
        None => same_optional(key.expression.as_deref(), element.expr.as_deref()),
    };
    let same_class = match strings(&element.opclass).last() {
        Some(class) => key.operator_class == *class,
        None => key.default_class,
    };
    let same_collation = match strings(&element.collation).last() {
        Some(collation) => last_part(&key.collation) == *collation,
        None => {
            // Without COLLATE the index takes the column's.
            let column = key.column.as_ref().and_then(|column| table.column(column));
            match column.and_then(|column| column.collation.as_deref()) {
                Some(collation) => key.collation == collation,
                None => matches!(last_part(&key.collation), "" | "default") || key.column.is_none(),
            }
        }
    };
    same_part && same_class && same_collation
}

/// The name behind the schema of `schema.name`, unquoted as far as the comparison needs.
fn last_part(qualified: &str) -> &str {
    qualified.rsplit('.').next().unwrap_or(qualified).trim_matches('"')
}

fn same_optional(existing: Option<&str>, wanted: Option<&Node>) -> bool {
    match (existing, wanted.and_then(|node| node.node.as_ref())) {
        (None, None) => true,
        (Some(existing), Some(wanted)) => same_expression(existing, wanted),
        _ => false,
    }
}

/// Whether an expression as the server prints it and one of the author's are the same. Casts are left out of the
/// comparison: the server prints the implicit ones.
fn same_expression(printed: &str, wanted: &NodeEnum) -> bool {
    parse_expression(printed).is_some_and(|printed| same(&printed, wanted))
}

fn parse_expression(text: &str) -> Option<NodeEnum> {
    let parsed = crate::sql::parse(&format!("SELECT {text}")).ok()?;
    let NodeEnum::SelectStmt(select) = parsed.into_iter().next()?.node else { return None };
    match select.target_list.into_iter().next()?.node? {
        NodeEnum::ResTarget(target) => target.val?.node,
        _ => None,
    }
}

fn same(a: &NodeEnum, b: &NodeEnum) -> bool {
    let (a, b) = (without_casts(a), without_casts(b));
    if std::mem::discriminant(a) != std::mem::discriminant(b) {
        return false;
    }
    let last = |nodes: &[Node]| strings(nodes).last().map(|name| (*name).to_owned());
    let same_head = match (a, b) {
        (NodeEnum::ColumnRef(a), NodeEnum::ColumnRef(b)) => last(&a.fields) == last(&b.fields),
        (NodeEnum::AConst(a), NodeEnum::AConst(b)) => a.isnull == b.isnull && a.val == b.val,
        (NodeEnum::AExpr(a), NodeEnum::AExpr(b)) => a.kind == b.kind && last(&a.name) == last(&b.name),
        (NodeEnum::FuncCall(a), NodeEnum::FuncCall(b)) => last(&a.funcname) == last(&b.funcname),
        (NodeEnum::BoolExpr(a), NodeEnum::BoolExpr(b)) => a.boolop == b.boolop,
        (NodeEnum::NullTest(a), NodeEnum::NullTest(b)) => a.nulltesttype == b.nulltesttype,
        (NodeEnum::BooleanTest(a), NodeEnum::BooleanTest(b)) => a.booltesttype == b.booltesttype,
        (NodeEnum::MinMaxExpr(a), NodeEnum::MinMaxExpr(b)) => a.op == b.op,
        (NodeEnum::SqlvalueFunction(a), NodeEnum::SqlvalueFunction(b)) => a.op == b.op,
        _ => true,
    };
    match (walk::parts(a), walk::parts(b)) {
        (Parts::Expressions(a), Parts::Expressions(b)) => {
            same_head && a.len() == b.len() && a.into_iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => false,
    }
}

fn without_casts(node: &NodeEnum) -> &NodeEnum {
    match node {
        NodeEnum::TypeCast(cast) => match cast.arg.as_ref().and_then(|arg| arg.node.as_ref()) {
            Some(inner) => without_casts(inner),
            None => node,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(sql: &str) -> NodeEnum {
        parse_expression(sql).unwrap()
    }

    #[test]
    fn the_servers_casts_do_not_matter() {
        assert!(same_expression("lower((v)::text)", &expression("lower(v)")));
        assert!(same_expression("(k > 0)", &expression("k>0")));
        assert!(same_expression("(a + 1)", &expression("a + 1")));
        assert!(!same_expression("upper((v)::text)", &expression("lower(v)")));
        assert!(!same_expression("(k > 0)", &expression("k > 1")));
    }
}
