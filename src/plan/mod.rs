//! From the author's changes to a safe plan. Pure: same input, same bytes, same digest.
//!
//! - [`analyze`] says what one statement, as written, does on a catalog (locks, rewrites, scans, hazards).
//! - [`model`] is the plan: steps with their SQL, locks, effects, postcondition and undo.
//! - [`planner`] walks the author's statements on an evolving catalog. `expand` turns each into drafts through the
//!   rules in `patterns` and proves by simulation that they end where the statement ends; `steps` makes drafts
//!   into steps; `undo` makes the way back out of the catalogs before and after (`ddl`).

mod action;
pub mod ahead;
mod allow;
pub mod analyze;
mod around;
mod assertion;
mod author;
mod beside;
mod code;
mod contention;
mod created;
pub mod ddl;
mod depends;
mod digest;
mod draft;
mod equivalent;
mod estimate;
mod expand;
pub mod explain;
mod fired;
mod foremost;
mod in_place;
mod labels;
mod left_alone;
pub mod lock;
mod lost;
pub mod model;
mod names;
mod obstacles;
mod patterns;
pub mod planner;
mod postpone;
mod price;
mod replaced;
mod script;
mod steps;
mod temporary;
mod undo;

pub use assertion::{Assertion, AssertionTime, InvalidAssertion, NAME as ASSERTION, only_reads};
pub use author::{UNDO_IN_FILE, unwrapped};
pub use depends::still_holds;
pub use digest::{of_plan as digest_of, of_source as source_digest};
pub use in_place::outgrown;
pub use lock::LockMode;
pub use model::*;
pub use planner::{PlanError, plan, plan_source, plan_with_checks};
pub use script::{LongRun, Source, binds_what_follows, is_of_rows};
