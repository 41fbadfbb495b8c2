//! `CREATE TABLE AS`, `SELECT INTO`, `CREATE MATERIALIZED VIEW`: tables with the columns of a query.

use pg_query::protobuf::{CreateTableAsStmt, IntoClause, Node, ObjectType, SelectStmt, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::{names, options};
use super::create::{access_method, fresh, tablespace};
use crate::catalog::expression::{Analysis, Output, Shape, Type, Uses, outputs, qualified, strings};
use crate::catalog::naming;
use crate::catalog::{Column, Name, RelationKind, View};

/// `CREATE TABLE AS` and `CREATE MATERIALIZED VIEW`.
pub(in super::super) fn create(edit: &mut Edit<'_>, statement: &CreateTableAsStmt) -> Outcome {
    let (Some(into), Some(query)) = (statement.into.as_deref(), statement.query.as_deref()) else {
        fail!("the statement has no query");
    };
    let kind = if statement.objtype == ObjectType::ObjectMatview as i32 {
        RelationKind::MaterializedView
    } else {
        RelationKind::Table
    };
    add(edit, into, query, kind, statement.if_not_exists)
}

/// `SELECT .. INTO`.
pub(in super::super) fn select_into(edit: &mut Edit<'_>, select: &SelectStmt) -> Outcome {
    let Some(into) = select.into_clause.as_deref() else { return Ok(()) };
    let query = SelectStmt { into_clause: None, ..select.clone() };
    let query = Node { node: Some(node::Node::SelectStmt(Box::new(query))) };
    add(edit, into, &query, RelationKind::Table, false)
}

/// The columns of a query with what it depends on.
pub(in super::super) fn analysed(edit: &Edit<'_>, query: &Node) -> Outcome<(Shape, Uses)> {
    let analysis = Analysis::new(edit);
    let shape = outputs(&analysis, None, query)?;
    Ok((shape, analysis.uses.into_inner()))
}

/// Columns for a query's result under the names of an alias list.
pub(in super::super) fn columns_of(edit: &Edit<'_>, shape: &Shape, aliases: &[String]) -> (Vec<Column>, bool) {
    let mut unknown = shape.open;
    let mut column = |at: usize, output: &Output| {
        let name = aliases.get(at).unwrap_or(&output.name).clone();
        unknown |= output.data_type.is_none();
        let data_type = output.data_type.clone().unwrap_or_else(|| Type::named("text"));
        let mut column = Column::new(name, data_type.to_data_type());
        let source = output
            .source
            .as_ref()
            .and_then(|source| edit.relations.get(&source.relation)?.column(source.column.as_deref()?));
        if let Some(source) = source {
            column.collation.clone_from(&source.collation);
            // The text of a modifier that only an extension knows.
            column.data_type = source.data_type.clone();
        }
        column
    };
    let columns = shape.columns.iter().enumerate().map(|(at, output)| column(at, output)).collect();
    (columns, unknown)
}

fn add(edit: &mut Edit<'_>, into: &IntoClause, query: &Node, kind: RelationKind, if_not_exists: bool) -> Outcome {
    let Some(range) = &into.rel else { fail!("the statement names no table") };
    let name = names::creation_of(edit, range)?;
    if naming::relation_exists(edit, &name) {
        if if_not_exists {
            return Ok(());
        }
        fail!("relation {name} already exists");
    }
    let (shape, uses) = analysed(edit, query)?;
    let (columns, unknown) = columns_of(edit, &shape, &strings(&into.col_names));
    let mut relation = fresh(edit, &name, kind, &range.relpersistence);
    relation.columns = columns;
    relation.columns_unknown = unknown;
    relation.options = options::of(&into.options);
    relation.tablespace = tablespace(edit, &into.table_space_name);
    relation.access_method = access_method(edit, &into.access_method, kind);
    relation.stats.empty = into.skip_data;
    if kind == RelationKind::MaterializedView {
        relation.view = Some(Box::new(view(edit, &name, query, &uses, !into.skip_data)));
    }
    edit.put_relation(name, relation);
    Ok(())
}

/// The facts of a view over a query.
pub(in super::super) fn view(edit: &Edit<'_>, name: &Name, query: &Node, uses: &Uses, populated: bool) -> View {
    let text = qualified(edit, None, query).or_else(|| query.deparse(Default::default()).ok()).unwrap_or_default();
    let mut references = uses.references();
    references.retain(|reference| reference.relation != *name);
    View {
        definition: format!(" {text};"),
        references,
        functions: uses.functions(),
        types: uses.types(),
        constraints: Vec::new(),
        populated,
    }
}
