//! Texts of definitions as trees in which equal meanings are equal.

use pg_query::protobuf::node;
use serde_json::{Map, Value, json};

use super::names;

/// The canonical form of a field's text; `None` for fields that are compared as they stand.
pub(super) fn of(key: &str, text: &str) -> Option<Value> {
    let canonical = match key {
        "expression" | "default" | "using" | "withCheck" | "predicate" => expression(text),
        "definition" => definition(text),
        "partitionBound" => statement(&format!("CREATE TABLE t PARTITION OF u {text}")),
        _ => return None,
    };
    Some(json!({ "canonical": canonical.unwrap_or_else(|| Value::String(text.to_owned())), "text": text }))
}

/// The canonical form of an expression.
pub(crate) fn canonical_expression(text: &str) -> Value {
    expression(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The canonical form of a definition.
pub(crate) fn canonical_definition(text: &str) -> Value {
    definition(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn expression(text: &str) -> Option<Value> {
    let tree = crate::sql::expression::parse_expression(text)?;
    Some(simplify(serde_json::to_value(tree).ok()?))
}

fn statement(text: &str) -> Option<Value> {
    let parsed = crate::sql::parse(text).ok()?.into_iter().next()?;
    let tree = match parsed.node {
        node::Node::CreateFunctionStmt(mut function) => {
            // The order of options is free.
            function.options.sort_by_key(|option| match &option.node {
                Some(node::Node::DefElem(element)) => element.defname.clone(),
                _ => String::new(),
            });
            node::Node::CreateFunctionStmt(function)
        }
        other => other,
    };
    Some(simplify(serde_json::to_value(tree).ok()?))
}

/// Definitions of several kinds: statements, constraints, keys of partitioned tables.
fn definition(text: &str) -> Option<Value> {
    statement(text)
        .or_else(|| statement(&format!("ALTER TABLE t ADD {text}")))
        .or_else(|| statement(&format!("ALTER DOMAIN d ADD {text}")))
        .or_else(|| statement(&format!("CREATE TABLE t () PARTITION BY {text}")))
}

/// What has no meaning of its own. Columns are compared without their table, so aliases of tables count as that.
const NOISE: [&str; 11] = [
    "alias",
    "location",
    "rexpr_list_start",
    "rexpr_list_end",
    "list_start",
    "list_end",
    "funcformat",
    "row_format",
    "arg_location",
    "stmt_location",
    "stmt_len",
];

fn simplify(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(simplify).collect()),
        Value::Object(fields) => object(fields),
        other => other,
    }
}

fn object(fields: Map<String, Value>) -> Value {
    if fields.len() == 1
        && let Some((kind, content)) = fields.iter().next()
    {
        // The wrapper of every node, then the node by its kind.
        if kind == "node" {
            return simplify(content.clone());
        }
        if let Some(done) = node(kind, content) {
            return done;
        }
    }
    let kept = fields.into_iter().filter(|(key, _)| !NOISE.contains(&key.as_str()));
    Value::Object(kept.map(|(key, item)| (key, simplify(item))).collect())
}

fn field(content: &Value, key: &str) -> Value {
    content.get(key).cloned().map(simplify).unwrap_or_default()
}

fn last_name(list: &Value) -> String {
    let last = list.as_array().and_then(|items| items.last());
    last.and_then(|item| item.pointer("/node/String/sval")).and_then(Value::as_str).unwrap_or("*").to_owned()
}

fn node(kind: &str, content: &Value) -> Option<Value> {
    Some(match kind {
        "TypeCast" => field(content, "arg"),
        "ColumnRef" => json!({ "column": last_name(content.get("fields")?) }),
        "AConst" => constant(content),
        "AExpr" => operation(content)?,
        "BoolExpr" => boolean(content),
        "FuncCall" => function(content),
        "CollateClause" => json!({ "collate": last_name(content.get("collname")?), "arg": field(content, "arg") }),
        "RangeVar" => {
            json!({ "relation": [content.get("schemaname"), content.get("relname")] })
        }
        "SubLink" => json!({
            "sublink": content.get("sub_link_type"),
            "test": field(content, "testexpr"),
            "operator": content.get("oper_name").map(last_name).filter(|name| name != "=" && name != "*"),
            "query": field(content, "subselect"),
        }),
        "SelectStmt" => names::select(&simplify_fields(content), content),
        "ResTarget" => {
            let name = content.get("name").and_then(Value::as_str).unwrap_or("");
            let name = if name.is_empty() { names::figure(content.get("val")) } else { name.to_owned() };
            json!({ "as": name, "value": field(content, "val"), "indirection": field(content, "indirection") })
        }
        _ => return None,
    })
}

fn simplify_fields(content: &Value) -> Map<String, Value> {
    let fields = content.as_object().cloned().unwrap_or_default();
    fields
        .into_iter()
        .filter(|(key, _)| !NOISE.contains(&key.as_str()))
        .map(|(key, item)| (key, simplify(item)))
        .collect()
}

/// Constants by their text, whatever their type: casts are left out as well.
fn constant(content: &Value) -> Value {
    if content.get("isnull").and_then(Value::as_bool) == Some(true) {
        return json!({ "constant": null });
    }
    let of = |path: &str| content.pointer(path);
    let text = if let Some(value) = of("/val/Ival/ival") {
        value.to_string()
    } else if let Some(Value::String(value)) = of("/val/Fval/fval") {
        value.clone()
    } else if let Some(Value::Bool(value)) = of("/val/Boolval/boolval") {
        value.to_string()
    } else if let Some(Value::String(value)) = of("/val/Sval/sval") {
        match value.as_str() {
            "t" => "true".to_owned(),
            "f" => "false".to_owned(),
            other => other.to_owned(),
        }
    } else if let Some(Value::String(value)) = of("/val/Bsval/bsval") {
        value.clone()
    } else {
        "0".to_owned()
    };
    json!({ "constant": text })
}

fn operation(content: &Value) -> Option<Value> {
    // Numbers of AExprKind.
    const ANY: i64 = 2;
    const ALL: i64 = 3;
    let kind = content.get("kind")?.as_i64()?;
    let name = content.get("name").map(last_name)?;
    let (left, right) = (field(content, "lexpr"), field(content, "rexpr"));
    let plain = |name: &str, left: &Value, right: &Value| json!({ "operator": name, "left": left, "right": right });
    Some(match kind {
        5 => json!({ "not": plain("distinct", &left, &right) }),
        4 => plain("distinct", &left, &right),
        7 => {
            let items = right.pointer("/List/items").or_else(|| right.get("items")).cloned().unwrap_or_default();
            match items.as_array().map(Vec::as_slice) {
                // One element is a plain comparison.
                Some([only]) => plain(&name, &left, only),
                _ => {
                    let kind = if name == "<>" { ALL } else { ANY };
                    json!({ "array operator": kind, "operator": name, "left": left, "right": { "array": items } })
                }
            }
        }
        ANY | ALL => {
            let right = match right.pointer("/AArrayExpr/elements") {
                Some(elements) => json!({ "array": elements }),
                None => right,
            };
            json!({ "array operator": kind, "operator": name, "left": left, "right": right })
        }
        11 | 12 => {
            let items = right.pointer("/List/items").or_else(|| right.get("items")).cloned().unwrap_or_default();
            let (low, high) = (items.get(0)?.clone(), items.get(1)?.clone());
            let (word, first, second) = if kind == 11 { ("and", ">=", "<=") } else { ("or", "<", ">") };
            flat(word, vec![plain(first, &left, &low), plain(second, &left, &high)])
        }
        6 => json!({ "nullif": [left, right] }),
        _ => plain(&name, &left, &right),
    })
}

/// Nested ANDs and ORs as one list.
fn flat(word: &str, args: Vec<Value>) -> Value {
    let mut out = Vec::new();
    for arg in args {
        match arg.get(word) {
            Some(Value::Array(inner)) => out.extend(inner.iter().cloned()),
            _ => out.push(arg),
        }
    }
    json!({ word: out })
}

fn boolean(content: &Value) -> Value {
    let args = field(content, "args");
    let args: Vec<Value> = args.as_array().cloned().unwrap_or_default();
    match content.get("boolop").and_then(Value::as_i64) {
        Some(1) => flat("and", args),
        Some(2) => flat("or", args),
        _ => json!({ "not": args.into_iter().next() }),
    }
}

fn function(content: &Value) -> Value {
    let mut fields = simplify_fields(content);
    fields.insert("funcname".to_owned(), Value::String(content.get("funcname").map(last_name).unwrap_or_default()));
    json!({ "call": fields })
}
