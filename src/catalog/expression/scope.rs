//! Which columns a name can stand for.

use pg_query::protobuf::{ColumnRef, Node, node};

use super::ir::{Expr, Kind};
use super::types::Type;
use super::{Analysis, Missing, type_name};
use crate::catalog::{Catalog, ColumnReference, Name, Relation};
use crate::sql::quote;

/// A column that expressions can name.
#[derive(Clone, Debug)]
pub(crate) struct Visible {
    pub(crate) name: String,
    pub(crate) data_type: Option<Type>,
    /// Collation when it is not the type's default.
    pub(crate) collation: Option<String>,
    /// The column of the catalog it is, for dependencies.
    pub(crate) source: Option<ColumnReference>,
}

/// A table, subquery or function in FROM.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    /// Alias or relation name.
    pub(crate) alias: String,
    /// Schema of a relation without alias.
    pub(crate) schema: String,
    pub(crate) columns: Vec<Visible>,
    /// Its columns are not all known: any name may be one.
    pub(crate) open: bool,
    /// Only qualified names reach it (`old`, `new`, `excluded`).
    pub(crate) qualified_only: bool,
}

impl Item {
    /// A relation of the catalog under its own name.
    pub(crate) fn relation(name: &Name, relation: &Relation) -> Self {
        let columns = relation
            .columns
            .iter()
            .map(|column| Visible {
                name: column.name.clone(),
                data_type: (!relation.columns_unknown).then(|| Type::of(&column.data_type)),
                collation: column.collation.clone(),
                source: Some(ColumnReference { relation: name.clone(), column: Some(column.name.clone()) }),
            })
            .collect();
        Self {
            alias: name.name.clone(),
            schema: name.schema.clone(),
            columns,
            open: relation.columns_unknown,
            ..Self::default()
        }
    }
}

/// What names mean at one place of a statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) items: Vec<Item>,
    /// The query around this one.
    pub(crate) outer: Option<&'a Scope<'a>>,
    /// Common table expressions by name: columns, `None` where they are not known.
    pub(crate) ctes: Vec<(String, Option<Vec<Visible>>)>,
    /// Type of `VALUE` in a domain's check.
    pub(crate) value: Option<Type>,
    /// Print columns with their table's name.
    pub(crate) qualify: bool,
    /// Names that are not found are taken for parameters rather than missing.
    pub(crate) lenient: bool,
}

impl<'a> Scope<'a> {
    /// The columns of one table, as checks, defaults and indexes see them.
    pub(crate) fn table(name: &Name, relation: &Relation) -> Self {
        Self { items: vec![Item::relation(name, relation)], ..Self::default() }
    }

    /// Common table expression of that name, here or around.
    pub(super) fn cte(&self, name: &str) -> Option<&Option<Vec<Visible>>> {
        let own = self.ctes.iter().rev().find(|(cte, _)| cte == name).map(|(_, columns)| columns);
        own.or_else(|| self.outer.and_then(|outer| outer.cte(name)))
    }
}

/// The relation a name stands for, temporary ones first.
pub(crate) fn relation(catalog: &Catalog, schema: &str, name: &str) -> Option<Name> {
    let find = |schema: &str| Some(Name::new(schema, name)).filter(|full| catalog.relations.contains_key(full));
    if !schema.is_empty() {
        return find(schema);
    }
    find("pg_temp").or_else(|| catalog.server.search_path.iter().find_map(|schema| find(schema)))
}

/// A column reference, or a whole row.
pub(super) fn column(cx: &Analysis<'_>, scope: &Scope<'_>, column: &ColumnRef) -> Result<Expr, Missing> {
    let parts = type_name::strings(&column.fields);
    if parts.len() != column.fields.len() {
        // `t.*` as a value: the whole row.
        return Ok(whole_row(cx, scope, parts.last().map_or("", String::as_str)));
    }
    let found = match parts.as_slice() {
        [name] => find(scope, |item, outer| bare(item, name, outer)),
        [table, name] => find(scope, |item, outer| qualified(item, "", table, name, outer)),
        [schema, table, name] | [_, schema, table, name] => {
            find(scope, |item, outer| qualified(item, schema, table, name, outer))
        }
        _ => None,
    };
    if let Some((visible, text)) = found {
        if let Some(source) = &visible.source {
            cx.use_relation(&source.relation, source.column.as_deref());
            cx.note_column(column.location, source, &parts);
        }
        if let Some(collation) = &visible.collation {
            cx.collations.borrow_mut().insert(collation.clone());
        }
        return Ok(Expr::new(Kind::Name(text), visible.data_type));
    }
    let name = parts.last().map_or("", String::as_str);
    if parts.len() == 1 && name == "value" && current_value(scope).is_some() {
        return Ok(Expr::new(Kind::Name("VALUE".to_owned()), current_value(scope)));
    }
    if let [table, field] = parts.as_slice()
        && find(scope, |item, outer| bare(item, table, outer)).is_some()
    {
        // A field of a composite column needs parentheses; without them it is an error.
        return Err(Missing(format!("table {} for its column {}", quote::ident(table), quote::ident(field))));
    }
    if find(scope, |item, _| (item.alias == name).then(|| (nothing(), String::new()))).is_some() {
        return Ok(whole_row(cx, scope, name));
    }
    if is_open(scope) {
        let text = parts.iter().map(|part| quote::ident(part)).collect::<Vec<_>>().join(".");
        return Ok(Expr::new(Kind::Name(text), None));
    }
    Err(Missing(format!("column {}", parts.iter().map(|part| quote::ident(part)).collect::<Vec<_>>().join("."))))
}

fn nothing() -> Visible {
    Visible { name: String::new(), data_type: None, collation: None, source: None }
}

fn current_value(scope: &Scope<'_>) -> Option<Type> {
    scope.value.clone().or_else(|| scope.outer.and_then(current_value))
}

fn is_open(scope: &Scope<'_>) -> bool {
    scope.lenient || scope.items.iter().any(|item| item.open) || scope.outer.is_some_and(is_open)
}

fn find(
    scope: &Scope<'_>,
    test: impl Fn(&Item, &Scope<'_>) -> Option<(Visible, String)> + Copy,
) -> Option<(Visible, String)> {
    let own = scope.items.iter().find_map(|item| test(item, scope));
    own.or_else(|| find(scope.outer?, test))
}

fn bare(item: &Item, name: &str, scope: &Scope<'_>) -> Option<(Visible, String)> {
    if item.qualified_only {
        return None;
    }
    let visible = item.columns.iter().find(|visible| visible.name == name)?;
    Some((visible.clone(), print(item, name, scope)))
}

fn qualified(item: &Item, schema: &str, table: &str, name: &str, scope: &Scope<'_>) -> Option<(Visible, String)> {
    if item.alias != table || !(schema.is_empty() || schema == item.schema) {
        return None;
    }
    let visible = item.columns.iter().find(|visible| visible.name == name)?;
    Some((visible.clone(), print(item, name, scope)))
}

fn print(item: &Item, name: &str, scope: &Scope<'_>) -> String {
    if item.qualified_only || scope.qualify {
        return format!("{}.{}", quote::ident(&item.alias), quote::ident(name));
    }
    quote::ident(name)
}

fn whole_row(cx: &Analysis<'_>, scope: &Scope<'_>, alias: &str) -> Expr {
    let mut level = Some(scope);
    while let Some(current) = level {
        if let Some(item) = current.items.iter().find(|item| item.alias == alias) {
            if let Some(source) = item.columns.first().and_then(|visible| visible.source.as_ref()) {
                cx.use_relation(&source.relation, None);
            }
            break;
        }
        level = current.outer;
    }
    Expr::new(Kind::Name(format!("{}.*", quote::ident(alias))), None)
}

/// A node without a rule of its own: its text, and everything it names.
pub(super) fn unanalysed(cx: &Analysis<'_>, scope: &Scope<'_>, node: &Node) -> Expr {
    for reference in column_references(node) {
        // A name that is not found here may belong to the node's own syntax.
        let _ = column(cx, scope, &reference);
    }
    Expr::new(Kind::Raw(deparsed(node).unwrap_or_default()), None)
}

/// All column references below a node, wherever they stand.
fn column_references(node: &Node) -> Vec<ColumnRef> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::to_value(node) {
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &serde_json::Value, found: &mut Vec<ColumnRef>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        serde_json::Value::Object(fields) => {
            for (key, item) in fields {
                match (key.as_str(), item.get("fields").and_then(serde_json::Value::as_array)) {
                    ("ColumnRef", Some(parts)) => {
                        let names = parts.iter().filter_map(|part| part.pointer("/node/String/sval"));
                        let fields = names.filter_map(serde_json::Value::as_str).map(|sval| Node {
                            node: Some(node::Node::String(pg_query::protobuf::String { sval: sval.to_owned() })),
                        });
                        found.push(ColumnRef { fields: fields.collect(), location: 0 });
                    }
                    _ => collect(item, found),
                }
            }
        }
        _ => {}
    }
}

/// The text of an expression node, by the parser's own printer.
pub(super) fn deparsed(node: &Node) -> Option<String> {
    let target = pg_query::protobuf::ResTarget { val: Some(Box::new(node.clone())), ..Default::default() };
    let select = pg_query::protobuf::SelectStmt {
        target_list: vec![Node { node: Some(node::Node::ResTarget(Box::new(target))) }],
        limit_option: pg_query::protobuf::LimitOption::Default as i32,
        op: pg_query::protobuf::SetOperation::SetopNone as i32,
        ..Default::default()
    };
    let statement = Node { node: Some(node::Node::SelectStmt(Box::new(select))) };
    let text = statement.deparse(Default::default()).ok()?;
    text.strip_prefix("SELECT ").map(str::to_owned)
}

/// The table column a reference stands for.
pub(super) fn source(scope: &Scope<'_>, column: &ColumnRef) -> Option<ColumnReference> {
    let parts = type_name::strings(&column.fields);
    let found = match parts.as_slice() {
        [name] => find(scope, |item, outer| bare(item, name, outer)),
        [table, name] => find(scope, |item, outer| qualified(item, "", table, name, outer)),
        [schema, table, name] => find(scope, |item, outer| qualified(item, schema, table, name, outer)),
        _ => None,
    };
    found.and_then(|(visible, _)| visible.source)
}
