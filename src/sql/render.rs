//! Parse tree to text, proven by parsing the text again.
//!
//! libpg_query's deparser is wrong in places (a `COLLATE` before `USING` moves behind it, for one), so its text
//! is used only when it parses to the very tree it was made from.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ParseResult, RawStmt, ResTarget, SelectStmt};
use serde_json::Value;

use super::parse;

/// The statement as text; `None` when the deparser cannot write it faithfully.
pub fn render(statement: &NodeEnum) -> Option<String> {
    let raw = RawStmt { stmt: Some(Box::new(Node { node: Some(statement.clone()) })), stmt_location: 0, stmt_len: 0 };
    let tree = ParseResult { version: 180_000, stmts: vec![raw] };
    let text = pg_query::deparse(&tree, pg_query::DeparseOptions::default()).ok()?;
    let again = parse(&text).ok()?;
    match again.as_slice() {
        [only] if same_tree(&only.node, statement) => Some(text),
        _ => None,
    }
}

/// The expression as text; `None` when the deparser cannot write it faithfully.
pub fn render_expression(expression: &Node) -> Option<String> {
    // A SELECT of nothing else is the smallest statement that holds an expression.
    let mut select = parse("SELECT 1").ok()?.pop()?.node;
    let NodeEnum::SelectStmt(inner) = &mut select else {
        return None;
    };
    replace_target(inner, expression);
    let text = render(&select)?;
    text.strip_prefix("SELECT ").map(str::to_owned)
}

fn replace_target(select: &mut SelectStmt, expression: &Node) {
    let target = ResTarget { val: Some(Box::new(expression.clone())), ..ResTarget::default() };
    select.target_list = vec![Node { node: Some(NodeEnum::ResTarget(Box::new(target))) }];
}

/// Whether two trees say the same, wherever in a text they stand.
pub fn same_tree(one: &NodeEnum, other: &NodeEnum) -> bool {
    match (tree(one), tree(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// Every string of the tree: names, literals, bodies. What a statement does not mention here it does not name.
pub fn strings(node: &NodeEnum) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::to_value(node) {
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}

/// What an expression mentions.
#[derive(Clone, Debug, Default)]
pub struct Mentions {
    /// Names of the parse nodes in it: `FuncCall`, `SubLink`, ...
    pub nodes: std::collections::BTreeSet<String>,
    /// Columns, without what qualifies them; `*` for whole rows.
    pub columns: std::collections::BTreeSet<String>,
    /// Whether a column is qualified by a table.
    pub qualified_columns: bool,
}

impl Mentions {
    /// Adds what `expression` mentions.
    pub fn add(&mut self, expression: &Node) {
        if let Ok(value) = serde_json::to_value(expression) {
            self.walk(&value);
        }
    }

    /// Whether a parse node of that name is there.
    pub fn has(&self, node: &str) -> bool {
        self.nodes.contains(node)
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    if name.starts_with(char::is_uppercase) {
                        self.nodes.insert(name.clone());
                    }
                    if name == "ColumnRef" {
                        let mut path = Vec::new();
                        collect(field, &mut path);
                        self.qualified_columns |= path.len() > 1;
                        self.columns.insert(path.pop().unwrap_or_else(|| "*".to_owned()));
                    }
                    self.walk(field);
                }
            }
            _ => {}
        }
    }
}

fn tree(node: &NodeEnum) -> Option<Value> {
    let mut value = serde_json::to_value(node).ok()?;
    drop_locations(&mut value);
    Some(value)
}

fn drop_locations(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_locations),
        Value::Object(fields) => {
            fields.retain(|name, _| !is_location(name));
            fields.values_mut().for_each(drop_locations);
        }
        _ => {}
    }
}

/// Fields that hold byte positions in the parsed text.
fn is_location(field: &str) -> bool {
    field == "location"
        || field.ends_with("_location")
        || field == "stmt_len"
        || field.ends_with("list_start")
        || field.ends_with("list_end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> NodeEnum {
        parse(text).unwrap().remove(0).node
    }

    #[test]
    fn writes_what_it_can_prove() {
        for text in [
            "CREATE INDEX CONCURRENTLY \"I x\" ON public.t USING btree (a, lower(b) DESC) INCLUDE (c) WHERE d > 3",
            "ALTER TABLE ONLY public.t ADD CONSTRAINT c CHECK (a > 0 AND b IN (1, 2)) NOT VALID",
            "ALTER TABLE public.t ADD COLUMN a numeric(10, 2) COLLATE \"C\" DEFAULT random() NOT NULL",
            "ALTER TABLE public.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.p (id) ON DELETE CASCADE NOT VALID",
            "UPDATE t SET a = b || 'x' WHERE a IS NULL",
        ] {
            let written = render(&node(text)).unwrap_or_else(|| panic!("{text}"));
            assert!(same_tree(&node(&written), &node(text)), "{text}\n{written}");
        }
    }

    #[test]
    fn refuses_what_the_deparser_gets_wrong() {
        let text = "ALTER TABLE t ALTER COLUMN c TYPE numeric(10,2) COLLATE \"de_DE\" USING c::numeric";
        assert_eq!(render(&node(text)), None);
    }

    #[test]
    fn finds_every_mentioned_name() {
        let found = strings(&node("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select a from t'"));
        assert!(found.iter().any(|text| text.contains("from t")), "{found:?}");
    }
}
