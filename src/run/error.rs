//! How a run fails: one closed reason, one exit code, one message for people.
//!
//! Messages hold no row values, SQL literals or secrets: see [`super::sqlstate::describe`].

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio_postgres::error::Severity;

use super::connect::{ConnectError, ConnectErrorKind};
use crate::exit::Exit;

/// Why a run ended as it did. Closed list, documented in `docs/reasons.md`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum Reason {
    /// All steps are done.
    Done,
    /// All steps were done before this run started.
    AlreadyDone,
    /// The next step's stage is not open yet.
    Paused,
    /// Everything that was done is undone.
    RolledBack,
    /// There was nothing left to undo.
    AlreadyRolledBack,
    /// A plan was made.
    Planned,
    /// The ledger was read.
    Inspected,
    /// The SQL does not parse.
    SyntaxError,
    /// The files with the SQL cannot be read.
    SourceUnreadable,
    /// The SQL is more than a migration may have.
    SourceTooLarge,
    /// A file is not what it was when the plan was made.
    SourceChanged,
    /// The server will refuse a statement: the catalog already tells.
    StatementRefused,
    /// A statement has no place in a migration.
    StatementUnsupported,
    /// The plan is larger than an object in the cluster may be.
    PlanTooLarge,
    /// The change has hazards that are not allowed.
    HazardNotAllowed,
    /// How the database is reached is not given, or not given right.
    ConnectionInvalid,
    /// The catalog is not the one that the plan was made for.
    CatalogChanged,
    /// The MigrationPlan is not the one that was asked for.
    PlanChanged,
    /// The ledger has begun with another plan for the same SQL.
    OtherPlanRecorded,
    /// The API server does not answer.
    ApiUnavailable,
    /// The API server refuses the request.
    ApiRefused,
    /// The name is not 1 to 200 letters, digits, `.`, `_`, `-`.
    InvalidName,
    /// Nothing answers at host and port, or the server is starting or stopping.
    Unreachable,
    /// The server has no connection left.
    TooManyConnections,
    /// TLS failed, or the server's certificate is not trusted.
    TlsFailed,
    /// The server refuses role or password.
    AuthenticationFailed,
    /// The database does not exist.
    DatabaseNotFound,
    /// A pooler in transaction mode stands between us and the server.
    PoolerInTransactionMode,
    /// The server is a standby or otherwise read-only.
    ReadOnly,
    /// The server's major version is not supported.
    UnsupportedServer,
    /// The role lacks a privilege.
    MissingPrivilege,
    /// The plan was made for another database.
    TargetMismatch,
    /// The ledger was written in another database: this one is a copy, or was restored elsewhere.
    TargetChanged,
    /// The ledger was written by a newer version.
    LedgerTooNew,
    /// The ledger holds what it should not.
    LedgerCorrupt,
    /// The name is taken by other SQL.
    NameTaken,
    /// The run is being rolled back: finish that first.
    RollbackUnfinished,
    /// The ledger has no run of that name.
    NotRecorded,
    /// Something irreversible has been done.
    ForwardOnly,
    /// Rows stand in the way of the rollback, which has not begun.
    RollbackBlocked,
    /// Another run holds the database.
    DatabaseBusy,
    /// The lock budget is spent.
    LockBudgetSpent,
    /// A guard of the window is not met.
    GuardNotMet,
    /// A newer run has taken over.
    Fenced,
    /// The connection was lost and the server did not come back in time.
    ConnectionLost,
    /// The server came back without its last commits.
    CommitsLost,
    /// Asked to stop.
    Interrupted,
    /// A check before the first change was not true.
    PreconditionFailed,
    /// A check after the first change was not true.
    CheckFailed,
    /// The server refused a statement for good.
    StatementFailed,
    /// A statement that must be short was not, several times.
    StatementTimeout,
    /// A table that a step goes through in place, because it was small, is large now.
    TableGrown,
    /// Rows violate the constraint or unique index that a step adds.
    ConstraintViolated,
    /// One row cannot be changed by the backfill.
    PoisonRow,
    /// The server's disk is full.
    DiskFull,
    /// An object of that name exists, and is another.
    ObjectDiffers,
    /// A statement went well, but what it should have done is not there.
    PostconditionFailed,
    /// A defect of ours.
    Defect,
}

impl Reason {
    /// Whether a run that ends so has not executed a step: it was refused, or did not get hold of the database.
    pub const fn comes_before_the_steps(self) -> bool {
        matches!(self.exit(), Exit::InvalidInput | Exit::Precondition | Exit::NotAllowed)
            || matches!(self, Self::Unreachable | Self::TooManyConnections | Self::DatabaseBusy)
    }

    /// The exit code that goes with it.
    pub const fn exit(self) -> Exit {
        match self {
            Self::Done
            | Self::AlreadyDone
            | Self::Paused
            | Self::RolledBack
            | Self::AlreadyRolledBack
            | Self::Planned
            | Self::Inspected => Exit::Done,
            Self::InvalidName => Exit::Usage,
            Self::SyntaxError
            | Self::SourceUnreadable
            | Self::SourceTooLarge
            | Self::StatementRefused
            | Self::StatementUnsupported
            | Self::PlanTooLarge => Exit::InvalidInput,
            Self::Unreachable
            | Self::TooManyConnections
            | Self::ConnectionLost
            | Self::CommitsLost
            | Self::Interrupted
            | Self::ApiUnavailable => Exit::Interrupted,
            Self::TlsFailed
            | Self::DatabaseNotFound
            | Self::PoolerInTransactionMode
            | Self::ReadOnly
            | Self::UnsupportedServer
            | Self::TargetMismatch
            | Self::LedgerTooNew
            | Self::NameTaken
            | Self::RollbackUnfinished
            | Self::NotRecorded
            | Self::ForwardOnly
            | Self::RollbackBlocked
            | Self::ConnectionInvalid
            | Self::CatalogChanged
            | Self::SourceChanged
            | Self::PlanChanged
            | Self::ApiRefused
            | Self::PreconditionFailed => Exit::Precondition,
            Self::AuthenticationFailed | Self::MissingPrivilege | Self::HazardNotAllowed => Exit::NotAllowed,
            Self::TargetChanged
            | Self::LedgerCorrupt
            | Self::OtherPlanRecorded
            | Self::ObjectDiffers
            | Self::PostconditionFailed => Exit::Integrity,
            Self::DatabaseBusy | Self::LockBudgetSpent | Self::GuardNotMet | Self::Fenced => Exit::Busy,
            Self::CheckFailed
            | Self::StatementFailed
            | Self::StatementTimeout
            | Self::TableGrown
            | Self::ConstraintViolated
            | Self::PoisonRow
            | Self::DiskFull => Exit::StepFailed,
            Self::Defect => Exit::Defect,
        }
    }
}

/// A run that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RunError {
    /// Why, one word.
    pub reason: Reason,
    /// For people: what is wrong and what to do. No row values, no SQL literals.
    pub message: String,
    /// SQLSTATE, where the server said it.
    pub sqlstate: Option<String>,
    /// Id of the step it happened at.
    pub step: Option<String>,
}

impl RunError {
    /// Builds an error without SQLSTATE and step.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), sqlstate: None, step: None }
    }

    /// The process exit code class.
    pub const fn exit(&self) -> Exit {
        self.reason.exit()
    }

    /// The same error at a step, unless it already names one.
    #[must_use]
    pub fn at(mut self, step: &str) -> Self {
        if self.step.is_none() {
            self.message = format!("step {step}: {}", self.message);
            self.step = Some(step.to_owned());
        }
        self
    }

    /// A state that the code rules out.
    pub(super) fn defect(what: impl fmt::Display) -> Self {
        Self::new(Reason::Defect, format!("a defect of wesley: {what}"))
    }
}

impl From<ConnectError> for RunError {
    fn from(error: ConnectError) -> Self {
        let reason = match error.kind {
            ConnectErrorKind::Unreachable => Reason::Unreachable,
            ConnectErrorKind::Tls => Reason::TlsFailed,
            ConnectErrorKind::Authentication => Reason::AuthenticationFailed,
            ConnectErrorKind::NoSuchDatabase => Reason::DatabaseNotFound,
            ConnectErrorKind::TooManyConnections => Reason::TooManyConnections,
            ConnectErrorKind::Other => Reason::StatementFailed,
        };
        Self::new(reason, error.message)
    }
}

/// How one try of a statement fails; whether it is tried again is decided by [`super::retry`].
#[derive(Debug)]
pub(super) enum Fault {
    /// The server said no.
    Server(ServerError),
    /// The connection is gone: what was sent last may or may not have happened.
    Lost,
    /// We were asked to stop.
    Interrupted,
    /// Not a matter of trying again.
    Fatal(RunError),
}

/// The part of a server's error that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerError {
    /// SQLSTATE.
    pub sqlstate: String,
    /// Condition and identifiers, no values.
    pub message: String,
}

impl From<RunError> for Fault {
    fn from(error: RunError) -> Self {
        Self::Fatal(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // The server ends the session together with these: what follows is a closed connection.
            Some(server) if matches!(server.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) => Self::Lost,
            Some(server) => Self::Server(ServerError {
                sqlstate: server.code().code().to_owned(),
                message: super::sqlstate::describe(server),
            }),
            None if error.is_closed() || is_io(&error) => Self::Lost,
            // Encoding and decoding: our types do not fit the server's.
            None => Self::Fatal(RunError::defect(error)),
        }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_once() {
        let error = RunError::new(Reason::StatementFailed, "no").at("001-a").at("002-b");
        assert_eq!(error.message, "step 001-a: no");
        assert_eq!(error.step.as_deref(), Some("001-a"));
    }
}
