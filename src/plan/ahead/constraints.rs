//! Constraints and unique indexes that come back: what they want of rows, asked when they are proven.

use pg_query::NodeEnum;
use pg_query::protobuf::{ConstrType, Constraint, IndexStmt};

use super::read::written;
use super::{Asked, Walk};
use crate::catalog::expression::strings;
use crate::sql::quote;
use crate::sql::render::render_expression;

/// What a constraint wants of rows.
#[derive(Clone)]
pub(super) enum Rule {
    /// No row may be so; and what is said of one.
    Never(String, String),
    /// The query is true; the tables it reads.
    Holds(String, Vec<String>, String),
}

impl Walk<'_> {
    pub(super) fn constraint(&mut self, name: &str, from: &str, constraint: &Constraint) {
        let rule = match constraint.contype() {
            ConstrType::ConstrCheck => constraint.raw_expr.as_deref().and_then(render_expression).map(|expression| {
                let message = format!("rows of {name} violate the check {}", quote::ident(&constraint.conname));
                Rule::Never(format!("NOT ({expression})"), message)
            }),
            ConstrType::ConstrNotnull => strings(&constraint.keys).first().map(|column| not_null(name, column)),
            ConstrType::ConstrForeign => self.reference(name, from, constraint),
            ConstrType::ConstrUnique | ConstrType::ConstrPrimary if constraint.indexname.is_empty() => {
                let columns: Vec<String> = strings(&constraint.keys).iter().map(|key| quote::ident(key)).collect();
                self.unique(name, from, &columns, None, constraint.nulls_not_distinct)
            }
            _ => None,
        };
        let Some(rule) = rule else { return };
        if constraint.skip_validation {
            self.table(name).unproven.insert(constraint.conname.clone(), rule);
        } else {
            self.prove(name, from, rule);
        }
    }

    pub(super) fn prove(&mut self, name: &str, from: &str, rule: Rule) {
        match rule {
            Rule::Never(wrong, message) => {
                if let Some(wrong) = self.now(name, &wrong) {
                    self.ask(vec![name.to_owned()], Asked::NoRow { from: from.to_owned(), wrong }, message);
                }
            }
            Rule::Holds(query, tables, message) => self.ask(tables, Asked::Query(query), message),
        }
    }

    /// Rows without the row that they point at. Only where no column of it has changed on the way.
    fn reference(&self, name: &str, from: &str, constraint: &Constraint) -> Option<Rule> {
        let range = constraint.pktable.as_ref()?;
        let parent = written(range)?;
        let (own, others) = (strings(&constraint.fk_attrs), strings(&constraint.pk_attrs));
        let same = |table: &str, columns: &[String]| {
            self.tables
                .get(&(self.root)(table))
                .is_none_or(|state| !state.lost && columns.iter().all(|column| !state.columns.contains_key(column)))
        };
        if constraint.fk_matchtype == "f" || own.len() != others.len() || !same(name, &own) || !same(&parent, &others) {
            return None;
        }
        let given: Vec<String> = own.iter().map(|column| format!("c.{} IS NOT NULL", quote::ident(column))).collect();
        let meets: Vec<String> = own
            .iter()
            .zip(&others)
            .map(|(own, other)| format!("p.{} = c.{}", quote::ident(other), quote::ident(own)))
            .collect();
        let parent_from = if range.inh { parent.clone() } else { format!("ONLY {parent}") };
        let query = format!(
            "SELECT NOT EXISTS (SELECT FROM {from} c WHERE {} AND NOT EXISTS (SELECT FROM {parent_from} p WHERE {}))",
            given.join(" AND "),
            meets.join(" AND ")
        );
        let message = format!(
            "rows of {name} point at no row of {parent}, which the foreign key {} does not allow",
            quote::ident(&constraint.conname)
        );
        Some(Rule::Holds(query, vec![name.to_owned(), parent], message))
    }

    pub(super) fn index(&mut self, index: &IndexStmt) {
        if !index.unique {
            return;
        }
        let Some(range) = index.relation.as_ref() else { return };
        let Some(name) = written(range) else {
            self.lost = true;
            return;
        };
        let parts: Option<Vec<String>> = index
            .index_params
            .iter()
            .map(|part| match &part.node {
                Some(NodeEnum::IndexElem(part)) if part.expr.is_none() => Some(quote::ident(&part.name)),
                Some(NodeEnum::IndexElem(part)) => render_expression(part.expr.as_deref()?),
                _ => None,
            })
            .collect();
        let condition = match &index.where_clause {
            Some(condition) => render_expression(condition).map(Some),
            None => Some(None),
        };
        let (Some(parts), Some(condition)) = (parts, condition) else { return };
        let from = if range.inh { name.clone() } else { format!("ONLY {name}") };
        if let Some(rule) = self.unique(&name, &from, &parts, condition.as_deref(), index.nulls_not_distinct) {
            self.prove(&name, &from, rule);
        }
    }

    /// Rows with the same values.
    fn unique(
        &self,
        name: &str,
        from: &str,
        parts: &[String],
        condition: Option<&str>,
        nulls_not_distinct: bool,
    ) -> Option<Rule> {
        if self.compared {
            return None;
        }
        let now: Vec<String> = parts.iter().map(|part| self.now(name, part)).collect::<Option<_>>()?;
        let mut terms: Vec<String> = Vec::new();
        if let Some(condition) = condition {
            terms.push(format!("({})", self.now(name, condition)?));
        }
        if !nulls_not_distinct {
            terms.extend(now.iter().map(|part| format!("({part}) IS NOT NULL")));
        }
        let filter = if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) };
        let groups: Vec<String> = now.iter().map(|part| format!("({part})")).collect();
        let query = format!(
            "SELECT NOT EXISTS (SELECT FROM {from}{filter} GROUP BY {} HAVING pg_catalog.count(*) > 1)",
            groups.join(", ")
        );
        let message = format!("rows of {name} have the same values in ({}), which has to be unique", parts.join(", "));
        Some(Rule::Holds(query, vec![name.to_owned()], message))
    }
}

pub(super) fn not_null(table: &str, column: &str) -> Rule {
    let column = quote::ident(column);
    let message = format!("rows of {table} have no value in {column}, which must not be null");
    Rule::Never(format!("{column} IS NULL"), message)
}
