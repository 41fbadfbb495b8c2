//! Reasons of conditions: one closed list, explained in `docs/reasons.md`.
//!
//! The runner has its own list ([`crate::run::Reason`]); its words reach `status.lastRun.reason` and the
//! `Ready` and `Stalled` conditions unchanged.

/// Why a condition is as it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
pub enum Reason {
    // Activities: reasons of `Reconciling`, and so the phases of the same name.
    /// Not looked at yet.
    Pending,
    /// Waits for something it refers to.
    Blocked,
    /// A Job plans.
    Planning,
    /// The plan waits for its approval.
    AwaitingApproval,
    /// A Job executes.
    Executing,
    /// The next step waits for the ValidationWindow.
    AwaitingWindow,
    /// A Job executes inside the window.
    Validating,
    /// The contract steps wait for time or for somebody.
    Observing,
    /// A Job executes the contract steps.
    Contracting,
    /// A Job undoes the change.
    RollingBack,

    // Ends.
    /// All steps are done.
    Succeeded,
    /// Everything was undone.
    RolledBack,
    /// Stopped by `spec.suspend`.
    Suspended,
    /// Being deleted.
    Deleting,

    // What a Migration waits for.
    /// The Database does not exist.
    DatabaseMissing,
    /// A ConfigMap of the source does not exist.
    ConfigMapMissing,
    /// A key of a ConfigMap of the source does not exist.
    ConfigMapKeyMissing,
    /// The ConfigMaps hold no SQL.
    SourceEmpty,
    /// The ValidationWindow does not exist.
    WindowMissing,
    /// The ValidationWindow's `databaseSelector` does not select the Database.
    WindowNotForDatabase,
    /// The ValidationWindow can never open or cannot be understood.
    WindowInvalid,
    /// The window is open, but the next validation does not fit into what is left of it.
    WindowTooShort,
    /// The window is open, but as many Migrations as it admits are validating.
    WindowFull,
    /// Another Migration of the same database is being executed or comes first.
    DatabaseBusy,
    /// Other Migrations of the same database are planned first.
    PlanningQueued,
    /// The Job's pod cannot start.
    PodNotStarting,
    /// The Job cannot be created.
    JobRefused,
    /// The contract steps wait until the soak time is over.
    Soaking,
    /// The contract steps wait for somebody's word.
    AwaitingContract,

    /// A Migration of `spec.dependsOn` does not exist.
    DependencyMissing,
    /// A Migration of `spec.dependsOn` has not succeeded.
    DependencyUnfinished,

    // What stops a Migration.
    /// `spec.dependsOn` leads back to the Migration itself.
    DependencyCycle,
    /// The Migration allows a hazard that the Database forbids.
    HazardForbidden,
    /// A person rejected the plan.
    PlanRejected,
    /// The SQL changed after steps of the earlier plan ran.
    SourceChanged,
    /// The MigrationPlan was deleted after steps of it ran.
    PlanMissing,
    /// An object of that name exists that is not ours.
    NameConflict,
    /// Runs ended unexpectedly more often than `spec.retry.limit` allows.
    RetriesExhausted,
    /// The run ended without saying how.
    RunLost,
    /// The run was told to stop, and did before it could say how far it came.
    RunStopped,
    /// The Job took longer than it may.
    DeadlineExceeded,
    /// The runner was killed for using more memory than it may.
    OutOfMemory,
    /// What the runner said cannot be understood: its version differs.
    ReportUnreadable,

    // Planned, Approved, Executed, Validated.
    /// A plan exists.
    PlanReady,
    /// There is no plan yet.
    NotPlanned,
    /// What the plan was made from changed.
    PlanOutdated,
    /// The plan needs no approval.
    Automatic,
    /// A person approved the MigrationPlan.
    ApprovedByPerson,
    /// The approval of a person was for a time that is over.
    ApprovalExpired,
    /// `spec.approvedPlan` names the plan.
    ApprovedInSpec,
    /// `spec.approvedPlan` names another plan.
    OtherPlanApproved,
    /// Not every step is done.
    StepsLeft,
    /// Every step is done.
    StepsDone,
    /// Nothing has been executed.
    NotStarted,
    /// The plan has nothing to validate.
    NothingToValidate,

    // Gates.
    /// Nothing of it was come to yet.
    NotReached,
    /// All of `spec.dependsOn` have succeeded.
    DependenciesDone,
    /// No other Migration is executed on the database.
    DatabaseFree,
    /// Somebody let the plan into the window by `spec.overrides`.
    WindowOverridden,
    /// The contract steps may run.
    ContractOpen,
    /// The application's statements are observed until the time is over.
    ObservationRunning,
    /// No statement became slower than tolerated.
    NoRegression,
    /// A statement became slower than tolerated.
    RegressionFound,
    /// No statement was executed often enough to be compared.
    NothingToCompare,
    /// Statements cannot be compared: the server does not count them, or not for this role.
    StatementsUnavailable,
    /// Somebody decided to go, by `spec.observation.override`.
    ObservationOverridden,

    // RollbackReady.
    /// A rollback brings back schema and data.
    Lossless,
    /// A rollback brings back the schema; some data is lost.
    Lossy,
    /// There is no way back.
    ForwardOnly,
    /// There is nothing to undo.
    NothingToUndo,
    /// A rollback is asked for with the digest of another plan.
    OtherPlanRequested,

    // Database.
    /// The last Job reached the database.
    Connected,
    /// No Job has tried yet.
    NotContacted,
    /// The database failed several runs in a row: no Job works on it until the next try.
    CircuitOpen,
    /// One Job tries whether a database that failed is back.
    CircuitProbing,

    // Sampled activity.
    /// Quiet hours were found.
    QuietHours,
    /// Not enough hours of the week were measured.
    TooFewSamples,
    /// No hour is much quieter than the mean one.
    NoQuietHours,

    // ValidationWindow.
    /// The window is open.
    WindowOpen,
    /// The window is shut.
    WindowClosed,
    /// A deny schedule keeps the window shut.
    Denied,
    /// The schedules are understood.
    Scheduled,
    /// The window never opens.
    NeverOpens,
    /// A cron expression or time zone is not known.
    ScheduleInvalid,
}

impl Reason {
    /// The word.
    pub fn word(self) -> &'static str {
        self.into()
    }
}
