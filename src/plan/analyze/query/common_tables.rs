//! WITH: common table expressions, merged into the query that names them as the planner does.

use pg_query::NodeEnum;
use pg_query::protobuf::{CommonTableExpr, CteMaterialize, SelectStmt, SetOperation, WithClause};

use super::{Depth, Reader};
use crate::plan::analyze::names::strings;

/// Names that a query sees around it.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Common table expressions, with how often each was used.
    pub tables: Vec<(CommonTableExpr, usize)>,
}

impl Reader<'_, '_> {
    pub(super) fn enter_common_tables(&mut self, with: Option<&WithClause>) -> bool {
        let Some(with) = with else { return false };
        let tables = with.ctes.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::CommonTableExpr(table)) => Some(((**table).clone(), 0)),
            _ => None,
        });
        self.scopes.push(Scope { tables: tables.collect() });
        // Those that change data are run whether used or not.
        let changing: Vec<String> = self
            .scopes
            .last()
            .map(|scope| scope.tables.iter().filter(|(t, _)| changes_data(t)).map(|(t, _)| t.ctename.clone()).collect())
            .unwrap_or_default();
        for name in changing {
            self.use_common_table(&name);
        }
        true
    }

    /// Queries that nobody used are rewritten, but neither planned nor run.
    pub(super) fn leave_common_tables(&mut self) {
        let unused: Vec<CommonTableExpr> = self
            .scopes
            .last()
            .map(|scope| scope.tables.iter().filter(|(_, used)| *used == 0).map(|(table, _)| table.clone()).collect())
            .unwrap_or_default();
        let depth = self.depth.min(Depth::Rewrite);
        for table in unused {
            if let Some(query) = table.ctequery.as_ref().and_then(|query| query.node.as_ref()) {
                self.at(depth, |reader| reader.read(query));
            }
        }
        self.scopes.pop();
    }

    /// Reads the common table expression of that name; false when there is none. One that was merged into the
    /// query that named it first is read in full when it is named again.
    pub(super) fn use_common_table(&mut self, name: &str) -> bool {
        let Some(table) = self.common_table(name) else { return false };
        table.1 += 1;
        let first_or_merged = table.1 == 1 || (table.1 == 2 && can_be_inlined(&table.0));
        let query = table.0.ctequery.clone();
        if let Some(query) = query.as_ref().and_then(|query| query.node.as_ref())
            && first_or_merged
        {
            self.read(query);
        }
        true
    }

    /// The query of a common table expression that the planner merges into the only query that names it, with
    /// its column names.
    pub(super) fn inlined_common_table(&mut self, name: &str) -> Option<(SelectStmt, Vec<String>)> {
        let table = self.common_table(name)?;
        if table.1 > 0 || !can_be_inlined(&table.0) {
            return None;
        }
        table.1 += 1;
        let names = strings(&table.0.aliascolnames).into_iter().map(str::to_owned).collect();
        match table.0.ctequery.as_ref()?.node.as_ref()? {
            NodeEnum::SelectStmt(select) => Some(((**select).clone(), names)),
            _ => None,
        }
    }

    fn common_table(&mut self, name: &str) -> Option<&mut (CommonTableExpr, usize)> {
        let tables = self.scopes.iter_mut().rev().flat_map(|scope| &mut scope.tables);
        tables.into_iter().find(|(table, _)| table.ctename == name)
    }
}

/// A plain SELECT that does not say MATERIALIZED and does not name itself.
fn can_be_inlined(table: &CommonTableExpr) -> bool {
    let Some(NodeEnum::SelectStmt(select)) = table.ctequery.as_ref().and_then(|query| query.node.as_ref()) else {
        return false;
    };
    table.ctematerialized != CteMaterialize::Always as i32
        && select.op == SetOperation::SetopNone as i32
        && !table.cterecursive
}

fn changes_data(table: &CommonTableExpr) -> bool {
    matches!(
        table.ctequery.as_ref().and_then(|query| query.node.as_ref()),
        Some(NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_))
    )
}
