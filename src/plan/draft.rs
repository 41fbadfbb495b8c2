//! What a pattern makes of a change: SQL and what it is for. Locks, estimates, postconditions and undo are
//! found out from the SQL afterwards, never stated by a pattern.

use super::model::{Backfill, Check, Hazard, HazardId, Stage};
use super::script::Together;

/// One step in the making.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    /// What it is for.
    pub stage: Stage,
    /// The second half of the step's id: `add-column`.
    pub slug: &'static str,
    /// One sentence for people. No literals.
    pub description: String,
    /// What runs.
    pub work: Work,
    /// Where its undo comes from.
    pub undo: UndoSource,
    /// A drop that should wait for the end of the plan when nothing after it depends on it.
    pub late: bool,
    /// Must not share its transaction with another statement of the author.
    pub alone: bool,
    /// Dangers of single statements that are none of the whole.
    pub harmless: &'static [HazardId],
    /// Dangers of the whole that no single statement shows.
    pub hazards: Vec<Hazard>,
    /// A remark for people.
    pub note: Option<String>,
    /// Asked under the locks of its statements, before them.
    pub guards: Vec<Check>,
}

/// What a draft runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    /// Statements of one transaction; or one statement that the server refuses there.
    Sql(Vec<String>),
    /// Rows in batches.
    Backfill(Backfill),
    /// A question that must be answered with true.
    Check(Check),
    /// A long run of statements that change rows.
    Script(Box<Together>),
}

/// Where the undo of a draft comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum UndoSource {
    /// From the catalog before and after the step.
    Catalog,
    /// Another step's undo undoes this one too.
    Nothing,
    /// These statements.
    Statements(Vec<String>),
    /// This way back, and what is lost on it.
    Way(Vec<Back>, Option<String>),
    /// There is none, and why.
    None(String),
}

/// A part of a way back.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Back {
    /// A change that the patterns make safe.
    Change(String),
    /// As it is.
    Work(Work),
}

impl Back {
    /// Statements of one transaction; or one statement that the server refuses there.
    pub fn together(statements: Vec<String>) -> Self {
        Self::Work(Work::Sql(statements))
    }
}

impl Draft {
    /// Slug of the question whether rows stand in the way of a change.
    pub const CHECK_ROWS: &'static str = "check-rows";

    /// Statements of one transaction.
    pub fn transaction(
        stage: Stage,
        slug: &'static str,
        description: impl Into<String>,
        statements: Vec<String>,
    ) -> Self {
        Self::new(stage, slug, description.into(), Work::Sql(statements))
    }

    /// One statement.
    pub fn sql(stage: Stage, slug: &'static str, description: impl Into<String>, statement: impl Into<String>) -> Self {
        Self::transaction(stage, slug, description, vec![statement.into()])
    }

    /// Rows in batches.
    pub fn backfill(description: impl Into<String>, backfill: Backfill) -> Self {
        Self::new(Stage::Backfill, "backfill", description.into(), Work::Backfill(backfill))
    }

    /// A question before going on.
    pub fn check(stage: Stage, slug: &'static str, description: impl Into<String>, check: Check) -> Self {
        let mut draft = Self::new(stage, slug, description.into(), Work::Check(check));
        draft.undo = UndoSource::Nothing;
        draft
    }

    /// A long run of statements.
    pub fn script(stage: Stage, description: String, work: Work) -> Self {
        Self::new(stage, "script", description, work)
    }

    fn new(stage: Stage, slug: &'static str, description: String, work: Work) -> Self {
        Self {
            stage,
            slug,
            description,
            work,
            undo: UndoSource::Catalog,
            late: false,
            alone: false,
            harmless: &[],
            hazards: Vec::new(),
            note: None,
            guards: Vec::new(),
        }
    }

    /// With a question that is asked under its locks.
    pub fn guarded(mut self, guard: Check) -> Self {
        self.guards.push(guard);
        self
    }

    /// With another source of its undo.
    pub fn undone_by(mut self, undo: UndoSource) -> Self {
        self.undo = undo;
        self
    }

    /// At the end of the plan if possible.
    pub fn late(mut self) -> Self {
        self.late = true;
        self
    }

    /// Other dangers than its statements have one by one.
    pub fn with_hazards(mut self, harmless: &'static [HazardId], hazards: Vec<Hazard>) -> Self {
        self.harmless = harmless;
        self.hazards = hazards;
        self
    }

    /// With a remark.
    pub fn noted(mut self, note: Option<String>) -> Self {
        self.note = note;
        self
    }

    /// In a transaction of its own.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }
}

/// What a pattern returns: a draft, or a simpler change that is planned in its turn.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// Runs as it is.
    Draft(Box<Draft>),
    /// SQL of a change that the patterns look at again, on the catalog as it is by then.
    Change(String),
}

impl From<Draft> for Piece {
    fn from(draft: Draft) -> Self {
        Self::Draft(Box::new(draft))
    }
}
