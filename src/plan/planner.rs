//! Turns the author's changes into ordered safe steps.

use super::analyze::Refusal;
use super::model::{Plan, Policy};
use crate::catalog::Catalog;
use crate::sql::Statement;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The server will refuse the statement.
    #[error("statement {statement}: {} ({})", refusal.message, refusal.sqlstate)]
    Refused {
        /// Index of the author's statement, from 0.
        statement: usize,
        /// What the server will say, and what to do.
        refusal: Refusal,
    },
    /// The statement has no place in a migration (transaction control, psql commands, COPY data).
    #[error("statement {statement}: {message}")]
    Unsupported {
        /// Index of the author's statement, from 0.
        statement: usize,
        /// Why, and what to do instead.
        message: String,
    },
    /// Hazards that the policy does not allow. The plan is there to be shown.
    #[error("the plan has hazards that are not allowed")]
    NotAllowed {
        /// The plan as it would be.
        plan: Box<Plan>,
        /// The hazards in question.
        hazards: Vec<super::model::Hazard>,
    },
}

/// Plans `statements` against `catalog`. Pure: the same input gives the same bytes and the same digest.
///
/// # Errors
/// [`PlanError`] when there is no plan that may run.
pub fn plan(statements: &[Statement], catalog: &Catalog, policy: &Policy) -> Result<Plan, PlanError> {
    let _ = (catalog, policy);
    Err(PlanError::Unsupported { statement: statements.len(), message: "not built yet".to_owned() })
}
