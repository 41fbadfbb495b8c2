//! Expressions within a subcommand: what the server refuses when it reads them.

use pg_query::protobuf::{ColumnDef, Node};

use super::work::Work;
use crate::catalog::{DataType, Name};
use crate::plan::analyze::coercion::{Context, Conversion, convert};
use crate::plan::analyze::expression::{
    Place, Problem, check as problems, check_of as problems_of, impossible_cast, is_mutable, misread_constant, type_of,
    uncollatable, unstorable,
};
use crate::plan::analyze::resolve::Rel;

fn refuse(work: &mut Work<'_, '_>, problem: Problem) {
    work.impact.refuse(problem.sqlstate, problem.message, problem.hint);
}

/// When a default's value is worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evaluated {
    /// For the rows that exist.
    Now,
    /// For rows to come: only literals are read at once, what fits them into the type is not run.
    Later,
}

/// A default for a column of the type.
pub(super) fn default(
    work: &mut Work<'_, '_>,
    column: &str,
    expression: &Node,
    data_type: Option<&DataType>,
    evaluated: Evaluated,
) {
    let nothing = crate::catalog::Relation::new(crate::catalog::RelationKind::Table, "");
    if let Err(problem) = problems(expression, &nothing, Place::Default) {
        return refuse(work, problem);
    }
    let Some(data_type) = data_type else { return };
    if let Some(problem) = misread_constant(expression, data_type, work.resolver)
        && (evaluated == Evaluated::Now || problem.sqlstate == "22P02")
    {
        return refuse(work, problem);
    }
    let Some(from) = type_of(expression, None, work.resolver.catalog) else { return };
    if convert(&from, data_type, Context::Assignment, work.resolver.catalog) == Conversion::Impossible {
        let message =
            format!("column \"{column}\" is of type {} but default expression is of type {}", data_type.sql, from.sql);
        work.impact.refuse("42804", message, "Rewrite or cast the expression.");
    }
}

/// The type in a column's definition, and its COLLATE.
pub(super) fn column_type(work: &mut Work<'_, '_>, column: &ColumnDef, data_type: &DataType) {
    if let Some(problem) = unstorable(&column.colname, data_type, work.resolver.catalog) {
        refuse(work, problem);
    }
    if column.coll_clause.is_some()
        && let Some(problem) = uncollatable(data_type, work.resolver.catalog)
    {
        refuse(work, problem);
    }
}

/// The expression of a generated column; the user-defined functions that it calls.
pub(super) fn generated<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>, column: &str, expression: &Node) -> Vec<Name> {
    let mut relation = work.now(rel).clone();
    if relation.column(column).is_none() {
        let name = Name::new("pg_catalog", "int4");
        let data_type = DataType { name, modifier: -1, array: false, sql: "integer".to_owned() };
        let mut own = crate::catalog::Column::new(column.to_owned(), data_type);
        own.generated = Some(crate::catalog::Generated::Stored);
        relation.columns.push(own);
    }
    if let Err(problem) = problems_of(expression, &relation, Some(&rel.name.name), Place::Generated) {
        refuse(work, problem);
        return Vec::new();
    }
    if let Some(problem) = impossible_cast(expression, &relation, work.resolver) {
        refuse(work, problem);
    }
    let found = work.evaluate(expression);
    if is_mutable(expression, Some(&relation), work.resolver) {
        let message = "generation expression is not immutable";
        work.impact.refuse("42P17", message, "Use immutable functions only, or a trigger.");
    }
    found.function_names().cloned().collect()
}

/// The condition of a CHECK; the user-defined functions that it calls.
pub(super) fn check<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>, expression: &Node) -> Vec<Name> {
    if let Err(problem) = problems_of(expression, work.now(rel), Some(&rel.name.name), Place::Check) {
        refuse(work, problem);
        return Vec::new();
    }
    if let Some(problem) = impossible_cast(expression, work.now(rel), work.resolver) {
        refuse(work, problem);
    }
    let functions = work.evaluate(expression).function_names().cloned().collect();
    if let Some(of) = type_of(expression, Some(work.now(rel)), work.resolver.catalog)
        && of.sql != "boolean"
        && convert(&of, &boolean(), Context::Implicit, work.resolver.catalog) == Conversion::Impossible
    {
        let message = format!("argument of CHECK must be type boolean, not type {}", of.sql);
        work.impact.refuse("42804", message, "Compare the value with something.");
    }
    functions
}

fn boolean() -> DataType {
    let name = Name::new("pg_catalog", "bool");
    DataType { name, modifier: -1, array: false, sql: "boolean".to_owned() }
}
