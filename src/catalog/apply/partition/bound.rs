//! Bounds of partitions.

use pg_query::protobuf::{Node, PartitionBoundSpec, PartitionRangeDatumKind, node};

use super::super::constraint::{self, Wished};
use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use crate::catalog::expression::{Type, cook_bound};
use crate::catalog::{ConstraintKind, Name, PartitionKey};
use crate::sql::quote;

/// The bound as `pg_get_expr(relpartbound)` prints it.
pub(super) fn text(edit: &Edit<'_>, parent: &Name, specification: &PartitionBoundSpec) -> Outcome<String> {
    if specification.is_default {
        return Ok("DEFAULT".to_owned());
    }
    let relation = edit.relation(parent)?;
    let Some(key) = &relation.partition_key else { fail!("{parent} is not partitioned") };
    let types: Vec<Option<Type>> = key_columns(key)
        .iter()
        .map(|column| column.as_ref().and_then(|column| names::column_type(relation, column)))
        .collect();
    let value = |at: usize, node: &Node| {
        if let Some(node::Node::PartitionRangeDatum(datum)) = &node.node {
            match PartitionRangeDatumKind::try_from(datum.kind) {
                Ok(PartitionRangeDatumKind::PartitionRangeDatumMinvalue) => return "MINVALUE".to_owned(),
                Ok(PartitionRangeDatumKind::PartitionRangeDatumMaxvalue) => return "MAXVALUE".to_owned(),
                _ => {}
            }
        }
        if let Some(node::Node::ColumnRef(column)) = &node.node {
            let word = crate::catalog::expression::strings(&column.fields).concat();
            if matches!(word.as_str(), "minvalue" | "maxvalue") {
                return word.to_ascii_uppercase();
            }
        }
        let unknown = Type::named("unknown");
        let data_type = types.get(at).and_then(Option::as_ref).unwrap_or(&unknown);
        cook_bound(edit, node, data_type)
    };
    Ok(match specification.strategy.as_str() {
        "l" => {
            let values: Vec<String> = specification.listdatums.iter().map(|node| value(0, node)).collect();
            format!("FOR VALUES IN ({})", values.join(", "))
        }
        "h" => {
            format!("FOR VALUES WITH (modulus {}, remainder {})", specification.modulus, specification.remainder)
        }
        _ => {
            let list = |nodes: &[Node]| {
                nodes.iter().enumerate().map(|(at, node)| value(at, node)).collect::<Vec<_>>().join(", ")
            };
            format!("FOR VALUES FROM ({}) TO ({})", list(&specification.lowerdatums), list(&specification.upperdatums))
        }
    })
}

/// The columns of the key in its order, `None` for an expression. The definition is asked, for the list of the
/// key's columns has those of expressions too.
fn key_columns(key: &PartitionKey) -> Vec<Option<String>> {
    let text = format!("CREATE TABLE t () PARTITION BY {}", key.definition);
    let parsed = crate::sql::parse(&text).ok().and_then(|parsed| parsed.into_iter().next());
    let Some(node::Node::CreateStmt(statement)) = parsed.map(|parsed| parsed.node) else { return Vec::new() };
    let parameters = statement.partspec.map(|specification| specification.part_params).unwrap_or_default();
    parameters
        .into_iter()
        .map(|parameter| match parameter.node {
            Some(node::Node::PartitionElem(element)) if element.expr.is_none() => Some(element.name),
            _ => None,
        })
        .collect()
}

/// The partitions in the order of their bounds, as the server goes through them: the default one last.
pub(in super::super) fn in_bound_order(edit: &Edit<'_>, mut partitions: Vec<Name>) -> Vec<Name> {
    partitions.sort_by_key(|name| {
        let bound = edit.relations.get(name).and_then(|relation| relation.partition_bound.clone()).unwrap_or_default();
        let values = bound.split_once('(').map_or("", |(_, values)| values);
        let first: String = values.chars().take_while(|c| !matches!(c, ',' | ')')).collect();
        let rank = match bound.as_str() {
            "DEFAULT" => 2,
            _ if first == "MINVALUE" => 0,
            _ => 1,
        };
        let number = first.trim_matches('\'').parse::<i64>().unwrap_or(i64::MAX);
        (rank, number, first)
    });
    partitions
}

/// `DETACH CONCURRENTLY` leaves the bound behind as a check.
pub(super) fn as_check(edit: &mut Edit<'_>, child: &Name, parent: &Name, bound: &str) -> Outcome {
    let Some(key) = edit.relation(parent)?.partition_key.clone() else { return Ok(()) };
    let columns = key_columns(&key);
    let expression = match (key.strategy, columns.as_slice()) {
        ('r', [Some(column)]) => range_check(column, bound),
        ('l', [Some(column)]) => list_check(column, bound),
        _ => None,
    };
    let Some(expression) = expression else {
        fail!("the check that detaching {child} leaves behind is not foreseen for this partition key");
    };
    let node = super::super::index::parse(&expression)?;
    let name = crate::catalog::naming::constraint_name(edit, child, columns[0].as_deref().unwrap_or(""), "check");
    let wished = Wished {
        node: pg_query::protobuf::Constraint {
            conname: name,
            is_enforced: true,
            raw_expr: Some(Box::new(node)),
            ..Default::default()
        },
        column: None,
        new: true,
    };
    let built = constraint::check::build(edit, child, &wished)?;
    debug_assert!(matches!(built.kind, ConstraintKind::Check { .. }));
    constraint::put(edit, child, built)
}

fn range_check(column: &str, bound: &str) -> Option<String> {
    let (lower, upper) = bound.strip_prefix("FOR VALUES FROM (")?.split_once(") TO (")?;
    let upper = upper.strip_suffix(')')?;
    let column = quote::ident(column);
    let mut parts = vec![format!("{column} IS NOT NULL")];
    if lower != "MINVALUE" {
        parts.push(format!("{column} >= {lower}"));
    }
    if upper != "MAXVALUE" {
        parts.push(format!("{column} < {upper}"));
    }
    Some(parts.join(" AND "))
}

fn list_check(column: &str, bound: &str) -> Option<String> {
    let values = bound.strip_prefix("FOR VALUES IN (")?.strip_suffix(')')?;
    let column = quote::ident(column);
    Some(format!("{column} IS NOT NULL AND {column} = ANY (ARRAY[{values}])"))
}
