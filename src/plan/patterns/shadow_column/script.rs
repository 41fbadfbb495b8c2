//! Statements with the catalog that they lead to.

use crate::catalog::{Catalog, apply::apply};
use crate::plan::analyze::analyze;
use crate::plan::expand::single;

/// Statements one after another.
pub(super) struct Script {
    /// The catalog behind them.
    pub catalog: Catalog,
    /// The statements.
    pub statements: Vec<String>,
}

impl Script {
    /// Starts on that catalog.
    pub fn on(catalog: &Catalog) -> Self {
        Self { catalog: catalog.clone(), statements: Vec::new() }
    }

    /// Adds a statement; `None` when the server would refuse it, or its effect is not known.
    pub fn run(&mut self, sql: impl Into<String>) -> Option<()> {
        let sql = sql.into();
        run(&mut self.catalog, &sql)?;
        self.statements.push(sql);
        Some(())
    }

    /// Adds statements.
    pub fn run_all(&mut self, statements: impl IntoIterator<Item = String>) -> Option<()> {
        statements.into_iter().try_for_each(|sql| self.run(sql))
    }
}

/// Moves the catalog behind the statement.
pub(super) fn run(catalog: &mut Catalog, sql: &str) -> Option<()> {
    let statement = single(sql)?;
    if analyze(&statement, catalog).refused.is_some() {
        return None;
    }
    apply(catalog, &statement).ok()
}
