//! Resource types of the group `wesley.dev`: data and documentation only.
//!
//! The doc comments are what `kubectl explain` shows. [`schema`] turns the types into the definitions in `crds/`.

pub mod backfill;
pub mod condition;
pub mod database;
pub mod job_template;
#[allow(
    dead_code,
    reason = "schemas are derived from copies of the types; nothing reads a field that is skipped there"
)]
pub mod migration;
pub mod migration_plan;
pub mod migration_status;
pub mod reason;
pub mod reference;
pub mod schema;
pub mod validation_window;

pub use condition::{Condition, ConditionStatus, ConditionType};
pub use database::{Database, DatabaseSpec, DatabaseStatus};
pub use migration::{Migration, MigrationSpec};
pub use migration_plan::{MigrationPlan, MigrationPlanSpec, MigrationPlanStatus};
pub use migration_status::{MigrationStatus, Phase};
pub use reason::Reason;
pub use validation_window::{ValidationWindow, ValidationWindowSpec, ValidationWindowStatus};

/// API group.
pub const GROUP: &str = "wesley.dev";

/// API version.
pub const VERSION: &str = "v1alpha1";

/// Annotation on a Migration whose change asks for another try after a failure; any value.
pub const RETRY_ANNOTATION: &str = "wesley.dev/retry";

/// Annotation on a Migration that asks for its rollback; the value is the digest of the plan to undo.
pub const ROLLBACK_ANNOTATION: &str = "wesley.dev/rollback";

/// Annotation on a Migration that opens the contract gate; the value is the digest of the plan.
pub const CONTRACT_ANNOTATION: &str = "wesley.dev/contract";

/// Annotation on a Migration and on its plans: who wrote what is planned. Truthful where the chart's admission policy
/// is on; without it nothing reads it.
pub const AUTHOR_ANNOTATION: &str = "wesley.dev/author";
