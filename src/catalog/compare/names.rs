//! Names in queries: of result columns, and where ORDER BY and GROUP BY use them.

use serde_json::{Map, Value, json};

/// A query with positions and output names in its clauses replaced by what they stand for.
pub(super) fn select(fields: &Map<String, Value>, _raw: &Value) -> Value {
    let mut fields = fields.clone();
    let targets: Vec<Value> = fields.get("target_list").and_then(Value::as_array).cloned().unwrap_or_default();
    for clause in ["sort_clause", "group_clause"] {
        if let Some(Value::Array(items)) = fields.get_mut(clause) {
            for item in items {
                let place = match item.pointer("/SortBy/node") {
                    Some(_) => item.pointer_mut("/SortBy/node"),
                    None => Some(item),
                };
                if let Some(place) = place
                    && let Some(value) = meant(place, &targets)
                {
                    *place = value;
                }
            }
        }
    }
    json!({ "select": fields })
}

/// What a position or an output name stands for.
fn meant(item: &Value, targets: &[Value]) -> Option<Value> {
    if let Some(position) = item.get("constant").and_then(Value::as_str).and_then(|text| text.parse::<usize>().ok()) {
        return targets.get(position.checked_sub(1)?)?.get("value").cloned();
    }
    let name = item.get("column")?.as_str()?;
    let target = targets.iter().find(|target| target.get("as").and_then(Value::as_str) == Some(name))?;
    target.get("value").cloned()
}

/// The name a result column gets from its expression (`FigureColname`), on the tree as it was parsed.
pub(super) fn figure(value: Option<&Value>) -> String {
    value.and_then(strength).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

fn strength(value: &Value) -> Option<(String, u8)> {
    let node = value.get("node").unwrap_or(value);
    let (kind, content) = node.as_object()?.iter().next()?;
    let last = |key: &str| {
        let item = content.get(key)?.as_array()?.last()?;
        item.pointer("/node/String/sval").and_then(Value::as_str).map(str::to_owned)
    };
    let good = |name: &str| Some((name.to_owned(), 2));
    match kind.as_str() {
        "ColumnRef" => last("fields").map(|name| (name, 2)),
        "FuncCall" => last("funcname").map(|name| (name, 2)),
        "AIndirection" => match last("indirection") {
            Some(name) => Some((name, 2)),
            None => strength(content.get("arg")?),
        },
        "CollateClause" => strength(content.get("arg")?),
        "TypeCast" => match strength(content.get("arg")?) {
            Some(found @ (_, 2)) => Some(found),
            _ => {
                let names = content.pointer("/type_name/names")?.as_array()?;
                let name = names.last()?.pointer("/node/String/sval")?.as_str()?;
                Some((name.to_owned(), 1))
            }
        },
        "CaseExpr" => match content.get("defresult").and_then(strength) {
            Some(found @ (_, 2)) => Some(found),
            _ => Some(("case".to_owned(), 1)),
        },
        "CoalesceExpr" => good("coalesce"),
        "MinMaxExpr" => good(if content.get("op").and_then(Value::as_i64) == Some(2) { "least" } else { "greatest" }),
        "AArrayExpr" => good("array"),
        "RowExpr" => good("row"),
        "AExpr" if content.get("kind").and_then(Value::as_i64) == Some(6) => good("nullif"),
        "SubLink" => match content.get("sub_link_type").and_then(Value::as_i64) {
            Some(1) => good("exists"),
            Some(6 | 7) => good("array"),
            _ => {
                let target = content.pointer("/subselect/node/SelectStmt/target_list/0/node/ResTarget")?;
                match target.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
                    Some(name) => good(name),
                    None => strength(target.get("val")?),
                }
            }
        },
        "SqlvalueFunction" => keyword(content.get("op")?.as_i64()?),
        _ => None,
    }
}

fn keyword(op: i64) -> Option<(String, u8)> {
    let name = match op {
        1 => "current_date",
        2 | 3 => "current_time",
        4 | 5 => "current_timestamp",
        6 | 7 => "localtime",
        8 | 9 => "localtimestamp",
        10 => "current_role",
        11 => "current_user",
        12 => "user",
        13 => "session_user",
        14 => "current_catalog",
        _ => "current_schema",
    };
    Some((name.to_owned(), 2))
}
