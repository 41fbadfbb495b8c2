//! The FROM clause.

use pg_query::protobuf::{Alias, JoinExpr, Node, RangeFunction, RangeSubselect, RangeVar, node};

use super::query::{as_columns, renamed};
use super::scope::{self, Item, Scope, Visible};
use super::types::Type;
use super::{Analysis, Missing, call, column_name, query, type_name};
use crate::catalog::{Name, TypeKind};
use crate::sql::quote;

/// What one element of FROM brings: tables for names, and the columns `*` stands for with their table's alias.
#[derive(Default)]
pub(super) struct From {
    pub(super) items: Vec<Item>,
    pub(super) columns: Vec<(String, Visible)>,
    pub(super) open: bool,
}

impl From {
    fn single(item: Item) -> Self {
        let columns = item.columns.iter().map(|visible| (item.alias.clone(), visible.clone())).collect();
        Self { columns, open: item.open, items: vec![item] }
    }
}

pub(super) fn item(cx: &Analysis<'_>, scope: &Scope<'_>, node: &Node) -> Result<From, Missing> {
    match &node.node {
        Some(node::Node::RangeVar(range)) => table(cx, scope, range).map(From::single),
        Some(node::Node::JoinExpr(joined)) => join(cx, scope, joined),
        Some(node::Node::RangeSubselect(subselect)) => subquery(cx, scope, subselect).map(From::single),
        Some(node::Node::RangeFunction(function)) => self::function(cx, scope, function).map(From::single),
        Some(node::Node::RangeTableSample(sample)) => match sample.relation.as_deref() {
            Some(relation) => item(cx, scope, relation),
            None => Ok(From { open: true, ..From::default() }),
        },
        Some(other) => {
            // XMLTABLE and JSON_TABLE: their columns are not worked out.
            let alias = match other {
                node::Node::RangeTableFunc(table) => table.alias.as_ref(),
                node::Node::JsonTable(table) => table.alias.as_ref(),
                _ => None,
            };
            scope::unanalysed(cx, scope, node);
            let alias = alias.map(|alias| alias.aliasname.clone()).unwrap_or_default();
            Ok(From::single(Item { alias, open: true, ..Item::default() }))
        }
        None => Ok(From::default()),
    }
}

fn with_alias(mut item: Item, alias: Option<&Alias>) -> Item {
    if let Some(alias) = alias {
        item.alias.clone_from(&alias.aliasname);
        item.schema.clear();
        item.columns = renamed(item.columns, &type_name::strings(&alias.colnames));
    }
    item
}

fn table(cx: &Analysis<'_>, scope: &Scope<'_>, range: &RangeVar) -> Result<Item, Missing> {
    let alias = range.alias.as_ref();
    if range.schemaname.is_empty()
        && let Some(columns) = scope.cte(&range.relname)
    {
        let item = Item {
            alias: range.relname.clone(),
            open: columns.is_none(),
            columns: columns.clone().unwrap_or_default(),
            ..Item::default()
        };
        return Ok(with_alias(item, alias));
    }
    if let Some(name) = scope::relation(cx.catalog, &range.schemaname, &range.relname) {
        cx.use_relation(&name, None);
        cx.note_relation(range.location, &name, range.schemaname.is_empty());
        if let Some(relation) = cx.catalog.relations.get(&name) {
            return Ok(with_alias(Item::relation(&name, relation), alias));
        }
    }
    let system = matches!(range.schemaname.as_str(), "pg_catalog" | "information_schema")
        || range.schemaname.is_empty() && range.relname.starts_with("pg_");
    if system || scope.lenient {
        return Ok(with_alias(Item { alias: range.relname.clone(), open: true, ..Item::default() }, alias));
    }
    let spelled = match range.schemaname.as_str() {
        "" => quote::ident(&range.relname),
        schema => quote::qualified(schema, &range.relname),
    };
    Err(Missing(format!("relation {spelled}")))
}

/// What a subquery may see: the queries around it, and with LATERAL its neighbours to the left.
fn around<'s>(scope: &'s Scope<'s>, lateral: bool) -> Scope<'s> {
    let items = if lateral { scope.items.clone() } else { Vec::new() };
    Scope { items, outer: scope.outer, ctes: scope.ctes.clone(), qualify: true, ..Scope::default() }
}

fn subquery(cx: &Analysis<'_>, scope: &Scope<'_>, subselect: &RangeSubselect) -> Result<Item, Missing> {
    let around = around(scope, subselect.lateral);
    let (columns, open) = match subselect.subquery.as_deref() {
        Some(node) => as_columns(query::outputs(cx, Some(&around), node)?),
        None => (Vec::new(), true),
    };
    Ok(with_alias(Item { columns, open, ..Item::default() }, subselect.alias.as_ref()))
}

fn join(cx: &Analysis<'_>, scope: &Scope<'_>, joined: &JoinExpr) -> Result<From, Missing> {
    let side = |node: &Option<Box<Node>>, scope: &Scope<'_>| match node.as_deref() {
        Some(node) => item(cx, scope, node),
        None => Ok(From::default()),
    };
    let left = side(&joined.larg, scope)?;
    let mut inner =
        Scope { items: scope.items.clone(), outer: scope.outer, ctes: scope.ctes.clone(), ..Scope::default() };
    inner.items.extend(left.items.iter().cloned());
    let right = side(&joined.rarg, &inner)?;
    inner.items.extend(right.items.iter().cloned());
    let using = if joined.is_natural {
        let right_names: Vec<&str> = right.columns.iter().map(|(_, visible)| visible.name.as_str()).collect();
        let common = left.columns.iter().map(|(_, visible)| &visible.name);
        common.filter(|name| right_names.contains(&name.as_str())).cloned().collect()
    } else {
        type_name::strings(&joined.using_clause)
    };
    for (_, visible) in left.columns.iter().chain(&right.columns) {
        if using.contains(&visible.name)
            && let Some(source) = &visible.source
        {
            cx.use_relation(&source.relation, source.column.as_deref());
        }
    }
    if let Some(quals) = joined.quals.as_deref() {
        inner.qualify = true;
        super::condition(cx, &inner, quals)?;
    }
    let open = left.open || right.open;
    let merged = |(_, visible): &(String, Visible)| using.contains(&visible.name);
    let mut columns: Vec<_> = left.columns.iter().filter(|column| merged(column)).cloned().collect();
    columns.extend(left.columns.iter().filter(|column| !merged(column)).cloned());
    columns.extend(right.columns.iter().filter(|column| !merged(column)).cloned());
    let mut items = left.items;
    items.extend(right.items);
    match &joined.alias {
        Some(alias) => {
            let columns = columns.into_iter().map(|(_, visible)| visible).collect();
            Ok(From::single(with_alias(Item { columns, open, ..Item::default() }, Some(alias))))
        }
        None => Ok(From { items, columns, open }),
    }
}

fn function(cx: &Analysis<'_>, scope: &Scope<'_>, function: &RangeFunction) -> Result<Item, Missing> {
    // A function in FROM may always look to its left.
    let around = around(scope, true);
    let mut columns = Vec::new();
    let mut open = false;
    let mut first_name = String::new();
    let alias = function.alias.as_ref();
    let several = function.functions.len() > 1;
    for node in &function.functions {
        let call = match &node.node {
            // Each is a list of the call and its column definitions.
            Some(node::Node::List(list)) => list.items.first(),
            _ => Some(node),
        };
        let Some(call) = call else { continue };
        let name = column_name::of_result(call);
        if first_name.is_empty() {
            first_name.clone_from(&name);
        }
        let scalar_name = alias.filter(|_| !several).map_or(name, |alias| alias.aliasname.clone());
        match &call.node {
            Some(node::Node::FuncCall(found)) => match call::row_of(cx, &around, found)? {
                call::Row::Columns(found) => columns.extend(found),
                call::Row::Scalar(data_type) => match data_type.as_ref().and_then(|own| composite(cx, own)) {
                    Some(fields) => columns.extend(fields),
                    None => columns.push(Visible { name: scalar_name, data_type, collation: None, source: None }),
                },
                call::Row::Record => open |= function.coldeflist.is_empty(),
            },
            _ => {
                let data_type = super::expression(cx, &around, call)?.data_type;
                columns.push(Visible { name: scalar_name, data_type, collation: None, source: None });
            }
        }
    }
    for definition in &function.coldeflist {
        if let Some(node::Node::ColumnDef(column)) = &definition.node {
            let data_type = column.type_name.as_ref().and_then(|own| type_name::resolve(cx.catalog, own));
            columns.push(Visible { name: column.colname.clone(), data_type, collation: None, source: None });
        }
    }
    if function.ordinality {
        columns.push(Visible {
            name: "ordinality".to_owned(),
            data_type: Some(Type::named("int8")),
            collation: None,
            source: None,
        });
    }
    let item = Item { alias: first_name, columns, open, ..Item::default() };
    Ok(with_alias(item, alias))
}

/// The columns of a composite type or a table's row type.
fn composite(cx: &Analysis<'_>, data_type: &Type) -> Option<Vec<Visible>> {
    if data_type.is_array() {
        return None;
    }
    let name: Name = data_type.user_defined()?;
    let columns = match cx.catalog.types.get(&name).map(|found| &found.kind) {
        Some(TypeKind::Composite { attributes }) => attributes,
        Some(_) => return None,
        None => &cx.catalog.relations.get(&name)?.columns,
    };
    let field = |column: &crate::catalog::Column| Visible {
        name: column.name.clone(),
        data_type: Some(Type::of(&column.data_type)),
        collation: None,
        source: None,
    };
    Some(columns.iter().map(field).collect())
}
