//! Exit codes: a contract with the controller (pod failure policy) and with scripts.

/// What an end of a run means for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It did what it should.
    Done,
    /// Something else has to pass first, and will: try again without limit.
    Waiting,
    /// It should not have ended: try again, not for ever.
    Unexpected,
    /// Somebody has to do something that the operator cannot see: look again from time to time.
    Slow,
    /// Trying again would end the same.
    Permanent,
}

/// How a run of `wesley` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter)]
pub enum Exit {
    /// Done.
    Done,
    /// A defect of ours.
    Defect,
    /// The command line is wrong.
    Usage,
    /// The input is invalid: it does not parse, names what does not exist, or the server will refuse it.
    InvalidInput,
    /// A precondition does not hold, or the database drifted away from the plan.
    Precondition,
    /// Not allowed: a hazard, a missing approval or a missing privilege.
    NotAllowed,
    /// Ledger and catalog disagree: a person has to look.
    Integrity,
    /// A step failed for good after the start.
    StepFailed,
    /// Another run holds the database, or the lock budget is spent: try again later.
    Busy,
    /// Interrupted: run it again, it resumes.
    Interrupted,
}

impl Exit {
    /// The process exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Defect => 1,
            Self::Usage => 2,
            Self::InvalidInput => 10,
            Self::Precondition => 11,
            Self::NotAllowed => 12,
            Self::Integrity => 13,
            Self::StepFailed => 14,
            Self::Busy => 20,
            Self::Interrupted => 75,
        }
    }

    /// The meaning of a process exit code; `None` when it is not one of ours.
    pub fn from_code(code: i32) -> Option<Self> {
        use strum::IntoEnumIterator;
        Self::iter().find(|exit| i32::from(exit.code()) == code)
    }

    /// What it means for the next run.
    pub const fn class(self) -> Class {
        match self {
            Self::Done => Class::Done,
            Self::Busy | Self::Interrupted => Class::Waiting,
            Self::Precondition | Self::NotAllowed => Class::Slow,
            Self::InvalidInput | Self::Integrity | Self::StepFailed | Self::Usage => Class::Permanent,
            Self::Defect => Class::Unexpected,
        }
    }
}
