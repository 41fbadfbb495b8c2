//! Names of the columns that a query gives.

use pg_query::NodeEnum;
use pg_query::protobuf::{CommonTableExpr, JoinExpr, Node, SelectStmt, a_const};

use super::Resolver;
use super::names::{Qualified, strings};

/// A name of a column; none where it is not worked out here.
type OutputName = Option<String>;

/// The names in their order; `None` when a star cannot be spelled out.
pub(super) fn output_names(query: &NodeEnum, resolver: &Resolver<'_>) -> Option<Vec<OutputName>> {
    Scope { common_tables: Vec::new(), resolver }.names(query)
}

/// What names of relations may mean in a query.
struct Scope<'q, 'r, 'c> {
    /// Common table expressions that the query sees, the nearest last, and whether they are of a recursive WITH.
    common_tables: Vec<(&'q CommonTableExpr, bool)>,
    resolver: &'r Resolver<'c>,
}

impl<'q, 'r, 'c> Scope<'q, 'r, 'c> {
    fn names(&self, query: &'q NodeEnum) -> Option<Vec<OutputName>> {
        let NodeEnum::SelectStmt(select) = query else { return None };
        self.of_select(select)
    }

    fn of_select(&self, select: &'q SelectStmt) -> Option<Vec<OutputName>> {
        let own = select.with_clause.iter().flat_map(|with| {
            with.ctes.iter().filter_map(|node| match &node.node {
                Some(NodeEnum::CommonTableExpr(table)) => Some((table.as_ref(), with.recursive)),
                _ => None,
            })
        });
        let scope =
            Scope { common_tables: self.common_tables.iter().copied().chain(own).collect(), resolver: self.resolver };
        if let Some(left) = &select.larg {
            return scope.of_select(left);
        }
        if !select.values_lists.is_empty() {
            return None;
        }
        let mut names = Vec::new();
        for node in &select.target_list {
            let Some(NodeEnum::ResTarget(target)) = &node.node else { return None };
            let value = target.val.as_ref()?.node.as_ref()?;
            match value {
                NodeEnum::ColumnRef(reference) => {
                    let parts = super::query::columns_of(reference);
                    if parts.len() == reference.fields.len() {
                        let name = if target.name.is_empty() { parts.last().copied()? } else { target.name.as_str() };
                        names.push(Some(name.to_owned()));
                    } else {
                        for item in &select.from_clause {
                            names.extend(scope.star(item, parts.last().copied())?);
                        }
                    }
                }
                NodeEnum::FuncCall(call) if target.name.is_empty() => {
                    names.push(Qualified::from_nodes(&call.funcname).map(|name| name.name.to_owned()));
                }
                NodeEnum::AConst(constant)
                    if target.name.is_empty() && !matches!(constant.val, Some(a_const::Val::Boolval(_))) =>
                {
                    names.push(Some("?column?".to_owned()));
                }
                _ if target.name.is_empty() => names.push(None),
                _ => names.push(Some(target.name.clone())),
            }
        }
        Some(names)
    }

    /// What an item of FROM gives to `*`, or to `qualifier.*`.
    fn star(&self, item: &'q Node, qualifier: Option<&str>) -> Option<Vec<OutputName>> {
        let (alias, given, columns) = match item.node.as_ref()? {
            NodeEnum::JoinExpr(join) => return self.join(join, qualifier),
            NodeEnum::RangeSubselect(item) => {
                let alias = item.alias.as_ref()?;
                (alias.aliasname.as_str(), strings(&alias.colnames), self.names(item.subquery.as_ref()?.node.as_ref()?))
            }
            NodeEnum::RangeVar(name) => {
                let columns = match self.common_table(Qualified::from_range(name)) {
                    Some(common) => common,
                    None => self
                        .resolver
                        .relation(name)
                        .map(|found| found.relation.columns.iter().map(|column| Some(column.name.clone())).collect()),
                };
                match &name.alias {
                    Some(alias) => (alias.aliasname.as_str(), strings(&alias.colnames), columns),
                    None => (name.relname.as_str(), Vec::new(), columns),
                }
            }
            _ => return None,
        };
        if qualifier.is_some_and(|qualifier| qualifier != alias) {
            return Some(Vec::new());
        }
        columns.map(|columns| renamed(&given, columns))
    }

    /// The columns of USING come first, and once.
    fn join(&self, join: &'q JoinExpr, qualifier: Option<&str>) -> Option<Vec<OutputName>> {
        if join.alias.is_some() || join.join_using_alias.is_some() || join.is_natural {
            return None;
        }
        let (mut left, right) =
            (self.star(join.larg.as_ref()?, qualifier)?, self.star(join.rarg.as_ref()?, qualifier)?);
        if qualifier.is_some() {
            left.extend(right);
            return Some(left);
        }
        let using = strings(&join.using_clause);
        let merged = using.iter().map(|name| Some((*name).to_owned()));
        let rest = left
            .into_iter()
            .chain(right)
            .filter(|name| name.as_ref().is_none_or(|name| !using.contains(&name.as_str())));
        Some(merged.chain(rest).collect())
    }

    /// The columns of a common table expression of that name, if there is one; none inside where they are not known.
    fn common_table(&self, name: Qualified<'_>) -> Option<Option<Vec<OutputName>>> {
        if !name.schema.is_empty() {
            return None;
        }
        let at = self.common_tables.iter().rposition(|(table, _)| table.ctename == name.name)?;
        let (seen, found) = self.common_tables.split_at(at);
        let (table, recursive) = found.first()?;
        let query = table.ctequery.as_ref().and_then(|query| query.node.as_ref()).filter(|_| !recursive);
        let scope = Scope { common_tables: seen.to_vec(), resolver: self.resolver };
        Some(query.and_then(|query| scope.names(query)).map(|names| renamed(&strings(&table.aliascolnames), names)))
    }
}

/// The columns with the names that a list in an alias gives to the first of them.
fn renamed(given: &[&str], columns: Vec<OutputName>) -> Vec<OutputName> {
    let named = |(at, name)| given.get(at).map(|given: &&str| (*given).to_owned()).or(name);
    columns.into_iter().enumerate().map(named).collect()
}
