//! Queries: their result columns and what they depend on.

use pg_query::protobuf::{Node, SelectStmt, SubLink, SubLinkType, node};

use super::from::{self, From};
use super::ir::{Expr, Kind};
use super::scope::{Item, Scope, Visible};
use super::types::Type;
use super::{Analysis, Missing, call, column_name, constructs, list, type_name};
use crate::catalog::ColumnReference;

/// A result column.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) data_type: Option<Type>,
    /// The table column it is, when it is one as it stands.
    pub(crate) source: Option<ColumnReference>,
}

/// The result columns of a query; `open` when there may be more than are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) columns: Vec<Output>,
    pub(crate) open: bool,
}

/// The result columns of a query.
pub(crate) fn outputs(cx: &Analysis<'_>, outer: Option<&Scope<'_>>, node: &Node) -> Result<Shape, Missing> {
    match &node.node {
        Some(node::Node::SelectStmt(select)) => self::select(cx, outer, select),
        _ => Ok(Shape { columns: Vec::new(), open: true }),
    }
}

fn select(cx: &Analysis<'_>, outer: Option<&Scope<'_>>, stmt: &SelectStmt) -> Result<Shape, Missing> {
    let mut scope = Scope { outer, qualify: true, ..Scope::default() };
    with(cx, &mut scope, stmt)?;
    let shape = if let (Some(left), Some(right)) = (stmt.larg.as_deref(), stmt.rarg.as_deref()) {
        set_operation(cx, &scope, left, right)?
    } else if !stmt.values_lists.is_empty() {
        values(cx, &scope, stmt)?
    } else {
        plain(cx, &mut scope, stmt)?
    };
    for sort in &stmt.sort_clause {
        if let Some(node::Node::SortBy(sort)) = &sort.node
            && let Some(node) = sort.node.as_deref()
        {
            sort_item(cx, &scope, &shape, node)?;
        }
    }
    for limit in [&stmt.limit_count, &stmt.limit_offset] {
        if let Some(limit) = limit.as_deref() {
            super::expression(cx, &scope, limit)?;
        }
    }
    Ok(shape)
}

/// Positions and output names first; everything else is an expression.
fn sort_item(cx: &Analysis<'_>, scope: &Scope<'_>, shape: &Shape, node: &Node) -> Result<(), Missing> {
    match &node.node {
        Some(node::Node::AConst(_)) => return Ok(()),
        Some(node::Node::ColumnRef(column)) => {
            let parts = type_name::strings(&column.fields);
            let output = shape.columns.iter().any(|output| parts.len() == 1 && output.name == parts[0]);
            if output || (scope.items.is_empty() && shape.open) {
                return Ok(());
            }
        }
        _ => {}
    }
    super::expression(cx, scope, node).map(|_| ())
}

fn with(cx: &Analysis<'_>, scope: &mut Scope<'_>, stmt: &SelectStmt) -> Result<(), Missing> {
    let Some(clause) = &stmt.with_clause else { return Ok(()) };
    for cte in &clause.ctes {
        let Some(node::Node::CommonTableExpr(cte)) = &cte.node else { continue };
        let aliases = type_name::strings(&cte.aliascolnames);
        if clause.recursive {
            let first = recursive_start(cx, scope, cte.ctequery.as_deref());
            scope.ctes.push((cte.ctename.clone(), first.map(|columns| renamed(columns, &aliases))));
        }
        let shape = match cte.ctequery.as_deref() {
            Some(query) => outputs(cx, Some(scope), query)?,
            None => Shape { columns: Vec::new(), open: true },
        };
        let columns = (!shape.open).then(|| renamed(visible(shape.columns), &aliases));
        scope.ctes.push((cte.ctename.clone(), columns));
    }
    Ok(())
}

/// The columns of the non-recursive half of a recursive query.
fn recursive_start(cx: &Analysis<'_>, scope: &Scope<'_>, query: Option<&Node>) -> Option<Vec<Visible>> {
    let Some(node::Node::SelectStmt(stmt)) = query?.node.as_ref() else { return None };
    let shape = select(cx, Some(scope), stmt.larg.as_deref()?).ok()?;
    (!shape.open).then(|| visible(shape.columns))
}

fn visible(columns: Vec<Output>) -> Vec<Visible> {
    // A column of a subquery is not a table's column any more: the subquery has noted that one already.
    columns
        .into_iter()
        .map(|output| Visible { name: output.name, data_type: output.data_type, collation: None, source: None })
        .collect()
}

/// The result as columns of a subquery or a CTE in FROM.
pub(super) fn as_columns(shape: Shape) -> (Vec<Visible>, bool) {
    (visible(shape.columns), shape.open)
}

/// Columns under the names of an alias list; those beyond it keep theirs.
pub(super) fn renamed(mut columns: Vec<Visible>, aliases: &[String]) -> Vec<Visible> {
    for (column, alias) in columns.iter_mut().zip(aliases) {
        column.name.clone_from(alias);
    }
    columns
}

fn set_operation(
    cx: &Analysis<'_>,
    scope: &Scope<'_>,
    left: &SelectStmt,
    right: &SelectStmt,
) -> Result<Shape, Missing> {
    let left = select(cx, Some(scope), left)?;
    let right = select(cx, Some(scope), right)?;
    let open = left.open || right.open;
    let columns = left
        .columns
        .into_iter()
        .zip(right.columns)
        .map(|(left, right)| {
            let same = left.data_type.as_ref().zip(right.data_type.as_ref()).is_some_and(|(l, r)| l == r);
            let data_type = if same {
                left.data_type
            } else {
                let sides = [left.data_type, right.data_type].map(|own| Expr::new(Kind::Raw(String::new()), own));
                constructs::common_type(cx, &sides)
            };
            Output { name: left.name, data_type, source: None }
        })
        .collect();
    Ok(Shape { columns, open })
}

fn values(cx: &Analysis<'_>, scope: &Scope<'_>, stmt: &SelectStmt) -> Result<Shape, Missing> {
    let mut columns: Vec<Vec<Expr>> = Vec::new();
    for row in &stmt.values_lists {
        let Some(node::Node::List(row)) = &row.node else { continue };
        for (at, value) in list(cx, scope, &row.items)?.into_iter().enumerate() {
            match columns.get_mut(at) {
                Some(column) => column.push(value),
                None => columns.push(vec![value]),
            }
        }
    }
    let output = |(at, values): (usize, Vec<Expr>)| Output {
        name: format!("column{}", at + 1),
        data_type: constructs::common_type(cx, &values),
        source: None,
    };
    Ok(Shape { columns: columns.into_iter().enumerate().map(output).collect(), open: false })
}

fn plain(cx: &Analysis<'_>, scope: &mut Scope<'_>, stmt: &SelectStmt) -> Result<Shape, Missing> {
    let mut star: Vec<(String, Visible)> = Vec::new();
    let mut open = false;
    for node in &stmt.from_clause {
        let From { items, columns, open: more } = from::item(cx, scope, node)?;
        scope.items.extend(items);
        star.extend(columns);
        open |= more;
    }
    let scope: &Scope<'_> = scope;
    let mut shape = Shape::default();
    for target in &stmt.target_list {
        let Some(node::Node::ResTarget(target)) = &target.node else { continue };
        let Some(value) = target.val.as_deref() else { continue };
        match star_of(value) {
            Some((location, parts)) => {
                let wanted = parts.last();
                let chosen: Vec<&(String, Visible)> = match wanted {
                    None => star.iter().collect(),
                    Some(alias) => star.iter().filter(|(own, _)| own == alias).collect(),
                };
                let columns: Vec<(String, Visible)> = match wanted {
                    // Columns merged by USING belong to every table that has them.
                    Some(alias) => {
                        let item = scope.items.iter().find(|item| item.alias == *alias);
                        shape.open |= item.is_none_or(|item| item.open);
                        let all = item.map(|item| item.columns.clone()).unwrap_or_default();
                        all.into_iter().map(|visible| (alias.clone(), visible)).collect()
                    }
                    None => {
                        shape.open |= open;
                        chosen.into_iter().cloned().collect()
                    }
                };
                cx.note_star(location, &columns);
                for (_, visible) in columns {
                    if let Some(source) = &visible.source {
                        cx.use_relation(&source.relation, source.column.as_deref());
                    }
                    let Visible { name, data_type, source, .. } = visible;
                    shape.columns.push(Output { name, data_type, source });
                }
            }
            None => shape.columns.push(output(cx, scope, &target.name, value)?),
        }
    }
    clauses(cx, scope, &shape, stmt)?;
    Ok(shape)
}

fn output(cx: &Analysis<'_>, scope: &Scope<'_>, name: &str, value: &Node) -> Result<Output, Missing> {
    if let Some(node::Node::ColumnRef(column)) = &value.node
        && name.is_empty()
    {
        cx.note_bare_target(column.location);
    }
    let expr = super::expression(cx, scope, value)?;
    let source = match &value.node {
        Some(node::Node::ColumnRef(column)) => super::scope::source(scope, column),
        _ => None,
    };
    // What is still an open literal becomes text.
    let data_type = match expr.data_type {
        Some(own) if own.is_unknown() && matches!(expr.kind, Kind::Const(_)) => Some(Type::named("text")),
        other => other,
    };
    let name = if name.is_empty() { column_name::of_result(value) } else { name.to_owned() };
    Ok(Output { name, data_type, source })
}

/// `*` or `t.*`: its location and the names before the star.
fn star_of(node: &Node) -> Option<(i32, Vec<String>)> {
    let Some(node::Node::ColumnRef(column)) = &node.node else { return None };
    match &column.fields.last()?.node {
        Some(node::Node::AStar(_)) => Some((column.location, type_name::strings(&column.fields))),
        _ => None,
    }
}

fn clauses(cx: &Analysis<'_>, scope: &Scope<'_>, shape: &Shape, stmt: &SelectStmt) -> Result<(), Missing> {
    for condition in [&stmt.where_clause, &stmt.having_clause] {
        if let Some(condition) = condition.as_deref() {
            super::condition(cx, scope, condition)?;
        }
    }
    for item in stmt.group_clause.iter().chain(&stmt.distinct_clause) {
        match &item.node {
            None | Some(node::Node::AConst(_)) => {}
            Some(node::Node::GroupingSet(sets)) => grouping(cx, scope, shape, &sets.content)?,
            _ => group_item(cx, scope, shape, item)?,
        }
    }
    for window in &stmt.window_clause {
        if let Some(node::Node::WindowDef(window)) = &window.node {
            call::window_uses(cx, scope, window)?;
        }
    }
    Ok(())
}

fn grouping(cx: &Analysis<'_>, scope: &Scope<'_>, shape: &Shape, nodes: &[Node]) -> Result<(), Missing> {
    nodes.iter().try_for_each(|node| match &node.node {
        Some(node::Node::GroupingSet(sets)) => grouping(cx, scope, shape, &sets.content),
        _ => group_item(cx, scope, shape, node),
    })
}

/// Input columns first, output names where there is none.
fn group_item(cx: &Analysis<'_>, scope: &Scope<'_>, shape: &Shape, node: &Node) -> Result<(), Missing> {
    match super::expression(cx, scope, node) {
        Err(missing) => match &node.node {
            Some(node::Node::ColumnRef(column)) => {
                let parts = type_name::strings(&column.fields);
                let output = shape.columns.iter().any(|output| parts.len() == 1 && output.name == parts[0]);
                if output { Ok(()) } else { Err(missing) }
            }
            _ => Err(missing),
        },
        Ok(_) => Ok(()),
    }
}

/// The tables of a FROM clause alone.
pub(super) fn from_items(cx: &Analysis<'_>, scope: &Scope<'_>, stmt: &SelectStmt) -> Result<Vec<Item>, Missing> {
    let mut items = Vec::new();
    for node in &stmt.from_clause {
        items.extend(from::item(cx, scope, node)?.items);
    }
    Ok(items)
}

/// A subquery inside an expression.
pub(super) fn sublink(cx: &Analysis<'_>, scope: &Scope<'_>, link: &SubLink) -> Result<Expr, Missing> {
    let test = link.testexpr.as_deref().map(|test| super::expression(cx, scope, test)).transpose()?;
    let Some(subselect) = link.subselect.as_deref() else { return Ok(Expr::new(Kind::Raw(String::new()), None)) };
    let shape = outputs(cx, Some(scope), subselect)?;
    let first = shape.columns.into_iter().next().and_then(|output| output.data_type);
    let operator = type_name::strings(&link.oper_name).pop().unwrap_or_default();
    let (operator, data_type) = match SubLinkType::try_from(link.sub_link_type).unwrap_or(SubLinkType::Undefined) {
        SubLinkType::ExistsSublink => ("EXISTS".to_owned(), Some(Type::named("bool"))),
        SubLinkType::AllSublink => (format!("{operator} ALL"), Some(Type::named("bool"))),
        SubLinkType::AnySublink if operator.is_empty() || operator == "=" => {
            ("IN".to_owned(), Some(Type::named("bool")))
        }
        SubLinkType::AnySublink => (format!("{operator} ANY"), Some(Type::named("bool"))),
        SubLinkType::ArraySublink => ("ARRAY".to_owned(), first.map(|own| own.array_of())),
        _ => (String::new(), first),
    };
    let query = format!(" {}", super::query_text::qualified(cx.catalog, Some(scope), subselect).unwrap_or_default());
    Ok(Expr::new(Kind::Sublink { test: test.map(Box::new), operator, query }, data_type))
}
