//! From the author's changes to a safe plan. Pure: same input, same bytes, same digest.
//!
//! - [`analyze`] says what one statement, as written, does on a catalog (locks, rewrites, scans, hazards).
//! - [`model`] is the plan: steps with their SQL, locks, effects, postcondition and undo.

pub mod analyze;
pub mod lock;
pub mod model;
pub mod planner;

pub use lock::LockMode;
pub use model::*;
pub use planner::{PlanError, plan};
