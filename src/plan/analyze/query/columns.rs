//! Columns that a query names and its relations do not have (42703), and names of tables it does not read (42P01).

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnRef, Node};

use super::Reader;
use super::conditions::columns_of;
use super::from::{Level, MADE_UP, Source};
use crate::plan::analyze::objects::is_system_column;
use crate::plan::analyze::since::Feature;
use crate::plan::analyze::walk::{self, Parts};

impl<'a> Reader<'_, 'a> {
    /// Checks the column references of expressions over the level, those of subqueries left aside. Only where no
    /// outer query and no parameters can give the names a meaning.
    pub(super) fn check_columns<'n>(&mut self, parts: impl IntoIterator<Item = &'n Node>, level: &Level<'a>) {
        if !self.strict {
            return;
        }
        for node in parts.into_iter().filter_map(|node| node.node.as_ref()) {
            self.check_below(node, level);
        }
    }

    fn check_below(&mut self, node: &NodeEnum, level: &Level<'a>) {
        match node {
            NodeEnum::ColumnRef(reference) => self.check_reference(reference, level),
            NodeEnum::SubLink(_) | NodeEnum::SelectStmt(_) => {}
            _ => {
                if let Parts::Expressions(parts) = walk::parts(node) {
                    parts.into_iter().for_each(|part| self.check_below(part, level));
                }
            }
        }
    }

    fn check_reference(&mut self, reference: &ColumnRef, level: &Level<'a>) {
        let parts = columns_of(reference);
        // A star, or a name with its schema.
        if parts.len() != reference.fields.len() || parts.len() > 2 {
            return;
        }
        match parts.as_slice() {
            [column] => {
                let whole_row = level.names.iter().any(|(alias, _)| alias == column);
                let known = whole_row || level.names.iter().any(|(_, source)| has_column(source, column, level));
                if !known {
                    self.missing(column);
                }
            }
            [alias, column] => match level.names.iter().find(|(name, _)| name == alias) {
                Some((_, source)) if has_column(source, column, level) => {}
                Some(_) if self.is_function(column) => {}
                Some(_) => self.missing(&format!("{alias}.{column}")),
                None if matches!(*alias, "old" | "new") => self.require(Feature::ReturningOldNew),
                None => self.impact.refuse(
                    "42P01",
                    format!("missing FROM-clause entry for table \"{alias}\""),
                    "Name the table in FROM, or use the alias it has there.",
                ),
            },
            _ => {}
        }
    }

    /// `row.function` calls a function on the row.
    fn is_function(&self, name: &str) -> bool {
        self.resolver.catalog.functions.iter().any(|function| function.name.name == name)
    }

    fn missing(&mut self, column: &str) {
        self.impact.refuse(
            "42703",
            format!("column \"{column}\" does not exist"),
            "Check the spelling of the column, or add it first.",
        );
    }
}

fn has_column(source: &Source, column: &str, level: &Level<'_>) -> bool {
    match source {
        Source::Member(at) => {
            level.members.get(*at).is_none_or(|member| {
                member.rel.relation.columns.is_empty() || member.rel.relation.column(column).is_some()
            }) || is_system_column(column)
        }
        Source::Derived(columns) => columns.contains_key(column) || columns.contains_key(MADE_UP),
        Source::Opaque => true,
    }
}
