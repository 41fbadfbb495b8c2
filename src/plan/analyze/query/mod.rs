//! What queries and changes of data lock and read, down to the depth to which a statement takes them.
//!
//! A statement inside another is not always run: a view's query is only analysed when the view is created, a
//! prepared statement is rewritten but not planned, EXPLAIN plans without running. [`Depth`] says how far it goes.

mod access;
mod change;
mod columns;
mod common_tables;
mod conditions;
mod from;
mod functions;
mod hash;
mod insert;
mod keys;
mod literal;
mod merge;
mod partitions;
mod proof;
mod rewrite;
mod select;
mod target;
mod update;

use pg_query::NodeEnum;
use pg_query::protobuf::Node;

pub(super) use conditions::columns_of;
pub(super) use from::definition as view_query;
pub(super) use functions::call;
pub(super) use literal::Literal;
pub(super) use partitions::Bound;
pub(super) use proof::excluded_by_checks;
pub(super) use target::has_replica_identity;

use super::walk::{self, Parts};
use super::{Impact, Resolver};
use common_tables::Scope;

/// How far the server takes a query. Each step includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Parse analysis: what the text names is locked.
    Names,
    /// Views and rules are expanded: what they name is locked.
    Rewrite,
    /// Children and partitions that are not ruled out are locked.
    Plan,
    /// Rows are read and written; foreign keys are checked, triggers and functions run.
    Run,
}

/// Analyses one query or change of data at a depth.
pub(super) struct Reader<'r, 'a> {
    resolver: &'r Resolver<'a>,
    depth: Depth,
    impact: Impact,
    /// Names of tables that only the statement's surroundings know: transition tables of a trigger.
    tables: Vec<String>,
    /// Common table expressions and outer queries, innermost last.
    scopes: Vec<Scope>,
    /// Whether columns of the outer query count as one value for each of its rows; not so in a subquery that is
    /// joined to it.
    correlates: bool,
    /// Whether a name that is no column of the query's relations is a mistake: not so in the body of a function,
    /// nor in a subquery.
    strict: bool,
    /// Tables whose rows a foreign key changes, against keys in a circle.
    cascading: Vec<crate::catalog::Name>,
    /// Views being expanded, against views that name each other.
    expanding: Vec<crate::catalog::Name>,
}

impl<'r, 'a> Reader<'r, 'a> {
    /// A reader with nothing read yet.
    pub fn new(resolver: &'r Resolver<'a>, depth: Depth) -> Self {
        Self {
            resolver,
            depth,
            impact: Impact::none(),
            tables: Vec::new(),
            scopes: Vec::new(),
            correlates: true,
            strict: false,
            cascading: Vec::new(),
            expanding: Vec::new(),
        }
    }

    /// Takes names that are no columns for mistakes: nothing around the statement can give them a meaning.
    pub fn strictly(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Names of tables that exist only around the statement.
    pub fn with_tables<S: Into<String>>(mut self, tables: impl IntoIterator<Item = S>) -> Self {
        self.tables.extend(tables.into_iter().map(Into::into));
        self
    }

    /// Reads a SELECT, INSERT, UPDATE, DELETE or MERGE.
    pub fn statement(mut self, node: &NodeEnum) -> Impact {
        self.read(node);
        self.impact
    }

    fn read(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::SelectStmt(statement) => self.select(statement),
            NodeEnum::InsertStmt(statement) => self.insert(statement),
            NodeEnum::UpdateStmt(statement) => self.update(statement),
            NodeEnum::DeleteStmt(statement) => self.delete(statement),
            NodeEnum::MergeStmt(statement) => self.merge_into(statement),
            NodeEnum::NotifyStmt(_) => {}
            other => {
                let below = super::analyze_node(other, self.resolver);
                self.impact.merge(below);
            }
        }
    }

    /// New rows of unknown values for these columns of a table (COPY).
    pub fn new_rows(
        mut self,
        table: super::resolve::Rel<'a>,
        columns: &[String],
        overriding: pg_query::protobuf::OverridingKind,
    ) -> Impact {
        let row = columns.iter().map(|column| (column.clone(), change::Given::Value(None))).collect();
        self.insert_into(table, columns, vec![row], overriding);
        self.impact
    }

    /// Reads an expression outside of any query.
    pub fn expression(mut self, node: &NodeEnum) -> Impact {
        self.in_expression(node);
        self.impact
    }

    /// At another depth for the time of `read`.
    fn at(&mut self, depth: Depth, read: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.depth, depth);
        read(self);
        self.depth = before;
    }
}

/// What the subqueries of an expression name, when the expression is only analysed (a policy, a rule's
/// condition).
pub(super) fn named_in(expression: &Node, resolver: &Resolver<'_>) -> Impact {
    match &expression.node {
        Some(node) => Reader::new(resolver, Depth::Names).expression(node),
        None => Impact::none(),
    }
}

/// What a query names, when it is only analysed.
pub(super) fn named_by(statement: &NodeEnum, resolver: &Resolver<'_>) -> Impact {
    Reader::new(resolver, Depth::Names).statement(statement)
}

/// Whether a subquery is anywhere in the expression.
pub(super) fn has_subquery(expression: &Node) -> bool {
    fn below(node: &NodeEnum) -> bool {
        matches!(node, NodeEnum::SubLink(_))
            || match walk::parts(node) {
                Parts::Expressions(parts) => parts.into_iter().any(below),
                Parts::Unknown => false,
            }
    }
    expression.node.as_ref().is_some_and(below)
}
