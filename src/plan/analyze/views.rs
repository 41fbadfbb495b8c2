//! Views, materialized views, and tables made from a query.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateTableAsStmt, IntoClause, Node, ObjectType, RefreshMatViewStmt, SelectStmt, ViewStmt};

use super::output::output_names;
use super::query::{Depth, Reader};
use super::refusal::{
    object_exists, relation_exists, require_relation, require_schema, require_tablespace, wrong_kind,
};
use super::resolve::Rel;
use super::{Impact, Resolver, effects, options};
use crate::catalog::apply::apply;
use crate::catalog::{Name, RelationKind};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;
use crate::sql::{Span, Statement};

/// AccessShare on what the query names, AccessExclusive on a view that is replaced. Nothing is read.
pub(super) fn create_view(statement: &ViewStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.view else { return impact };
    security_invoker(&mut impact, &statement.options, resolver);
    let Some(query) = statement.query.as_ref().and_then(|query| query.node.as_ref()) else { return impact };
    impact.merge(Reader::new(resolver, Depth::Names).strictly().statement(query));
    duplicate_columns(&mut impact, statement, query, resolver);
    if name.relpersistence == "t" {
        return impact;
    }
    require_schema(&mut impact, resolver, &name.schemaname);
    let created = resolver.creation_name(&name.schemaname, &name.relname);
    match resolver.get(&created) {
        Some(existing) if statement.replace => {
            if existing.relation.kind != RelationKind::View {
                wrong_kind(&mut impact, &created.name, "a view");
                return impact;
            }
            impact.lock(existing.name.clone(), LockMode::AccessExclusive);
            replaced_columns(&mut impact, statement, query, existing, resolver);
            if impact.refused.is_none() {
                replaced_types(&mut impact, statement, existing, resolver);
            }
        }
        Some(_) => relation_exists(&mut impact, &created.name),
        None if resolver.type_exists(&created) => object_exists(&mut impact, "type", &created.name),
        None => {}
    }
    impact
}

/// 42701: two columns of the view have the same name.
fn duplicate_columns(impact: &mut Impact, statement: &ViewStmt, query: &NodeEnum, resolver: &Resolver<'_>) {
    let Some(names) = view_columns(statement, query, resolver) else { return };
    if statement.aliases.len() > names.len() {
        let message = "CREATE VIEW specifies more column names than columns";
        impact.refuse("42601", message, "Name as many as the query has.");
    }
    let mut seen = BTreeSet::new();
    for name in names.into_iter().flatten() {
        if !seen.insert(name.clone()) {
            impact.refuse(
                "42701",
                format!("column \"{name}\" specified more than once"),
                "Give each column of the view its own name (AS).",
            );
        }
    }
}

/// Names of the view's columns: those of its list, then those of the query.
fn view_columns(statement: &ViewStmt, query: &NodeEnum, resolver: &Resolver<'_>) -> Option<Vec<Option<String>>> {
    let aliases = super::names::strings(&statement.aliases);
    let names = output_names(query, resolver)?;
    let named = |(at, name): (usize, Option<String>)| aliases.get(at).map(|alias| (*alias).to_owned()).or(name);
    Some(names.into_iter().enumerate().map(named).collect())
}

/// `security_invoker` came with 15.
fn security_invoker(impact: &mut Impact, list: &[Node], resolver: &Resolver<'_>) {
    if options::find(list, "security_invoker").is_some() && resolver.major() < 15 {
        impact.refuse(
            "22023",
            "unrecognized parameter \"security_invoker\"",
            "It needs PostgreSQL 15; leave it out on older servers.",
        );
    }
}

/// 42P16: a view that is replaced keeps its columns, in order; new ones come behind them.
fn replaced_columns<'a>(
    impact: &mut Impact,
    statement: &ViewStmt,
    query: &NodeEnum,
    existing: Rel<'a>,
    resolver: &Resolver<'a>,
) {
    let Some(names) = view_columns(statement, query, resolver) else { return };
    for (at, column) in existing.relation.columns.iter().enumerate() {
        match names.get(at) {
            None => impact.refuse(
                "42P16",
                format!("cannot drop columns from view \"{}\"", existing.name.name),
                "Keep all columns of the view, or drop the view and create it anew.",
            ),
            Some(Some(name)) if *name != column.name => impact.refuse(
                "42P16",
                format!("cannot change name of view column \"{}\" to \"{name}\"", column.name),
                "Rename the column with ALTER VIEW ... RENAME COLUMN, or add new columns at the end.",
            ),
            Some(_) => {}
        }
    }
}

/// 42P16: neither do the columns of a view that is replaced change their type.
fn replaced_types(impact: &mut Impact, statement: &ViewStmt, existing: Rel<'_>, resolver: &Resolver<'_>) {
    let mut anew = statement.clone();
    anew.replace = false;
    let Some(range) = &mut anew.view else { return };
    let mut catalog = resolver.catalog.clone();
    let name = existing.name.name.clone() + " anew";
    (range.schemaname, range.relname) = (existing.name.schema.clone(), name.clone());
    let node = NodeEnum::ViewStmt(Box::new(anew));
    let made = Statement { text: String::new(), span: Span { start: 0, end: 0 }, node };
    if apply(&mut catalog, &made).is_err() {
        return;
    }
    let Some(new) = catalog.relations.get(&Name::new(&*existing.name.schema, &*name)) else { return };
    if new.columns_unknown || existing.relation.columns_unknown {
        return;
    }
    for (old, new) in existing.relation.columns.iter().zip(&new.columns) {
        // Modifiers are left to the server.
        if old.data_type.name != new.data_type.name || old.data_type.array != new.data_type.array {
            let (was, is) = (&old.data_type.sql, &new.data_type.sql);
            impact.refuse(
                "42P16",
                format!("cannot change data type of view column \"{}\" from {was} to {is}", old.name),
                "Cast it to the type that it has, or drop the view and create it anew.",
            );
        }
    }
}

/// CREATE TABLE AS and CREATE MATERIALIZED VIEW: the query is run, unless WITH NO DATA.
pub(super) fn create_table_as(statement: &CreateTableAsStmt, resolver: &Resolver<'_>) -> Impact {
    let Some(into) = &statement.into else { return Impact::none() };
    let Some(query) = statement.query.as_ref().and_then(|query| query.node.as_ref()) else { return Impact::none() };
    made_from(query, into, resolver, statement.if_not_exists, statement.objtype == ObjectType::ObjectMatview as i32)
}

/// The INTO of a SELECT, wherever in a chain of set operations it stands.
pub(super) fn into_clause(select: &SelectStmt) -> Option<&IntoClause> {
    select.into_clause.as_deref().or_else(|| into_clause(select.larg.as_ref()?))
}

/// SELECT INTO is CREATE TABLE AS.
pub(super) fn select_into(statement: &SelectStmt, into: &IntoClause, resolver: &Resolver<'_>) -> Impact {
    let query = NodeEnum::SelectStmt(Box::new(statement.clone()));
    made_from(&query, into, resolver, false, false)
}

fn made_from(query: &NodeEnum, into: &IntoClause, resolver: &Resolver<'_>, if_not_exists: bool, view: bool) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &into.rel else { return impact };
    require_schema(&mut impact, resolver, &name.schemaname);
    require_tablespace(&mut impact, resolver, &into.table_space_name);
    let created = resolver.creation_name(&name.schemaname, &name.relname);
    if name.relpersistence != "t" {
        if resolver.get(&created).is_some() {
            if if_not_exists {
                // The query is analysed before the name is looked at.
                impact.merge(super::query::named_by(query, resolver));
                return impact;
            }
            relation_exists(&mut impact, &created.name);
        } else if resolver.type_exists(&created) {
            object_exists(&mut impact, "type", &created.name);
        }
    }
    if matches!(query, NodeEnum::ExecuteStmt(_)) {
        return Impact::unanalyzable("what a prepared statement does is not known here");
    }
    let depth = if into.skip_data { Depth::Names } else { Depth::Run };
    impact.merge(Reader::new(resolver, depth).strictly().statement(query));
    result_columns(&mut impact, query, into, resolver);
    if view && !into.skip_data && !impact.scans.is_empty() {
        impact.hazard(HazardId::MayFail, None, "The whole query is run; it may take long, and the space it fills.");
    }
    impact
}

/// 42601 for more names than columns, 42701 for two columns of one name.
fn result_columns(impact: &mut Impact, query: &NodeEnum, into: &IntoClause, resolver: &Resolver<'_>) {
    let Some(names) = output_names(query, resolver) else { return };
    let given = super::names::strings(&into.col_names);
    if given.len() > names.len() {
        return impact.refuse("42601", "too many column names were specified", "Name as many as the query has.");
    }
    let mut seen = BTreeSet::new();
    let named = |(at, name): (usize, Option<String>)| given.get(at).map(|given| (*given).to_owned()).or(name);
    for name in names.into_iter().enumerate().filter_map(named) {
        if !seen.insert(name.clone()) {
            let message = format!("column \"{name}\" specified more than once");
            return impact.refuse("42701", message, "Give each column its own name (AS).");
        }
    }
}

/// AccessExclusive on the materialized view and its indexes; Exclusive, which lets it be read, with CONCURRENTLY.
/// Its query is run.
pub(super) fn refresh(statement: &RefreshMatViewStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.relation else { return impact };
    let Some(found) = require_relation(&mut impact, resolver, name, false) else { return impact };
    let Some(view) = found.relation.view.as_ref().filter(|_| found.relation.kind == RelationKind::MaterializedView)
    else {
        if found.relation.kind == RelationKind::Table {
            impact.refuse(
                "0A000",
                format!("\"{}\" is not a materialized view", found.name.name),
                "Only materialized views can be refreshed.",
            );
        } else {
            wrong_kind(&mut impact, &found.name.name, "a table or materialized view");
        }
        return impact;
    };
    if statement.concurrent {
        if statement.skip_data {
            impact.refuse(
                "42601",
                "CONCURRENTLY and WITH NO DATA options cannot be used together",
                "Leave one of the two out.",
            );
        } else if !view.populated {
            impact.refuse(
                "0A000",
                "CONCURRENTLY cannot be used when the materialized view is not populated",
                "Refresh it once without CONCURRENTLY.",
            );
        } else if !has_unique_index(resolver, found) {
            impact.refuse(
                "55000",
                format!("cannot refresh materialized view {} concurrently", found.name),
                "Create a unique index without WHERE on one or more plain columns of the materialized view.",
            );
        }
        impact.lock(found.name.clone(), LockMode::Exclusive);
        effects::scan(&mut impact, found);
    } else {
        impact.lock(found.name.clone(), LockMode::AccessExclusive);
        impact.rewrite(found.name.clone());
        for index in &resolver.indexes(found.name) {
            impact.lock(index.name.clone(), LockMode::AccessExclusive);
        }
        // The new contents are read to build the indexes.
        if !resolver.indexes(found.name).is_empty() && !statement.skip_data {
            effects::scan(&mut impact, found);
        }
        impact.hazard(
            HazardId::TableRewrite,
            Some(found.name),
            "Nobody can read the materialized view while its query runs; CONCURRENTLY lets them, given a unique index.",
        );
    }
    if !statement.skip_data {
        match super::query::view_query(found) {
            Some(select) => {
                let query = NodeEnum::SelectStmt(Box::new(select));
                impact.merge(Reader::new(resolver, Depth::Run).statement(&query));
            }
            None => return Impact::unanalyzable("the definition of the materialized view could not be read"),
        }
    }
    impact
}

fn has_unique_index<'a>(resolver: &Resolver<'a>, view: Rel<'a>) -> bool {
    resolver.indexes(view.name).iter().filter_map(|index| index.relation.index.as_ref()).any(|index| {
        index.unique
            && index.valid
            && index.immediate
            && index.predicate.is_none()
            && index.keys.iter().all(|key| key.column.is_some())
    })
}
