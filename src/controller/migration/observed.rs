//! Everything that a decision about a Migration is made from. Data only: `observe` fills it, `decide` reads it.

use jiff::Timestamp;

use crate::api::database::DatabaseIdentity;
use crate::api::migration_plan::Approval;
use crate::api::validation_window::{Guards, Override, Overrun};
use crate::api::{Database, Migration, MigrationStatus, Reason};
use crate::plan::{LockMode, RollbackClass, Stage};
use crate::report::Report;

use super::dependencies::Dependencies;
use crate::controller::database::circuit::Standing;
use crate::controller::windows::{InvalidSchedule, Opening};

/// The state of the world around one Migration.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The Migration itself.
    pub migration: Migration,
    /// Its Database; absent when it does not exist.
    pub database: Option<Database>,
    /// What was found of `spec.dependsOn`.
    pub dependencies: Dependencies,
    /// Its SQL.
    pub source: SourceState,
    /// The MigrationPlan of `status.plan`; absent when it does not exist or there is none.
    pub plan: Option<PlanFacts>,
    /// The MigrationPlan that the ended planning Job named.
    pub made: Option<PlanFacts>,
    /// The Job of `status.run`.
    pub job: JobState,
    /// The window that validation has to wait for.
    pub window: WindowState,
    /// The Migration that is executed on the same database, or that comes before this one.
    pub rival: Option<String>,
    /// Migrations that are planned on the same database, or come first to be.
    pub ahead_in_planning: usize,
    /// Whether the database failed so often that Jobs have to wait.
    pub circuit: Standing,
    /// Ended Jobs of this Migration whose results are recorded, but which do not expire yet.
    pub leftover_jobs: Vec<String>,
    /// MigrationPlans of this Migration beyond the number that is kept, without the present one.
    pub old_plans: Vec<String>,
    /// What the ConfigMap for the running Job says of `spec.backfill`; absent where no Job reads it now.
    pub backfill: Option<String>,
    /// Whether the namespace is being deleted, so that nothing can be created in it.
    pub namespace_ending: bool,
}

impl Observed {
    /// The status as it is.
    pub fn status(&self) -> MigrationStatus {
        self.migration.status.clone().unwrap_or_default()
    }

    /// Whether somebody deleted the Migration.
    pub fn deleting(&self) -> bool {
        self.migration.metadata.deletion_timestamp.is_some()
    }
}

/// The SQL of a Migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Not looked at, because nothing depends on it now.
    Unread,
    /// It cannot be read yet.
    Missing {
        /// Why.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
    /// Known.
    Known {
        /// Fingerprint of the text.
        digest: String,
        /// Where Jobs find the text.
        mount: SourceMount,
    },
}

impl SourceState {
    /// The fingerprint, where known.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Known { digest, .. } => Some(digest),
            Self::Unread | Self::Missing { .. } => None,
        }
    }
}

/// Where Jobs find the SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceMount {
    /// In the Migration; the operator makes a ConfigMap of it.
    Inline,
    /// In keys of ConfigMaps, in this order.
    Keys(Vec<(String, String)>),
}

/// What is needed of a MigrationPlan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanFacts {
    /// Name of the object.
    pub name: String,
    /// Uid of the Migration it is for.
    pub migration_uid: String,
    /// Digest.
    pub digest: String,
    /// Number of steps.
    pub steps: i32,
    /// Strongest lock of any step.
    pub strongest_lock: Option<LockMode>,
    /// Whether it has steps of stage `Validate`.
    pub needs_validation: bool,
    /// Steps of stage `Validate`: index in the plan, and the least seconds that it is expected to take.
    pub validations: Vec<(usize, i64)>,
    /// Whether it has steps of stage `Contract`.
    pub has_contract: bool,
    /// How the whole can be undone.
    pub rollback: RollbackClass,
    /// Why not, or what is lost.
    pub rollback_reason: String,
    /// The database it was made for.
    pub target: DatabaseIdentity,
    /// What people decided about it.
    pub approval: Option<Approval>,
    /// Steps done, as the runner reports them while it runs. For display only.
    pub steps_done: i32,
    /// Stage of the step that runs, as the runner reports it. For display only.
    pub running_stage: Option<Stage>,
}

/// The Job of the present run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// There is no run.
    None,
    /// The Job does not exist: not yet, or no more.
    Absent,
    /// The Job does not exist, because the API server refuses to create it.
    Refused(String),
    /// An object of that name exists that is not ours.
    Foreign,
    /// The Job has not ended.
    Active {
        /// Whether it is being deleted.
        ending: bool,
        /// Why its pod cannot start, where it cannot.
        stuck: Option<String>,
    },
    /// The Job has ended and no pod of it is left running.
    Ended(End),
}

/// How a Job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Exit code of the runner.
    pub exit_code: Option<i32>,
    /// What the runner said at its end.
    pub report: Option<Box<Report>>,
    /// What else is known.
    pub cause: Option<EndCause>,
}

/// Ends that the runner cannot report itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The Job exceeded its deadline.
    DeadlineExceeded,
    /// The runner used more memory than it may.
    OutOfMemory,
    /// The runner's report cannot be read.
    ReportUnreadable,
}

/// The window that validation has to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowState {
    /// None is named: validation runs at once.
    None,
    /// The one that is named does not exist.
    Missing(String),
    /// It exists, and its `databaseSelector` does not select the Database.
    NotForDatabase(String),
    /// Its schedules cannot be understood.
    Invalid(String, InvalidSchedule),
    /// It exists.
    Known(Window),
}

/// A window that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Name.
    pub name: String,
    /// Whether it is open.
    pub opening: Opening,
    /// What it says about validation that overruns.
    pub overrun: Overrun,
    /// Seconds of its longest opening to come, the present one aside; while it is shut, 0.
    pub longest_seconds: i64,
    /// Overrides for this Migration.
    pub overrides: Vec<Override>,
    /// What the database must be like for validation to begin.
    pub guards: Option<Guards>,
    /// How many Migrations may be in it.
    pub places: i32,
    /// Whether one of the places is for this Migration.
    pub has_place: bool,
}

/// When an object was created.
pub fn created(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Option<Timestamp> {
    meta.creation_timestamp.as_ref().map(|time| time.0)
}
