//! Turns the author's changes into ordered safe steps.

use std::ops::Range;

use super::analyze::{Refusal, TransactionRule, analyze};
use super::around::Around;
use super::assertion::{self, Assertion, InvalidAssertion};
use super::author::{self, Authored};
use super::beside::{Bracket, brackets};
use super::created::Created;
use super::draft::{Draft, Work};
use super::equivalent::{equivalent, equivalent_in_any_order};
use super::expand::{Expanded, Expander, simulate, single};
use super::lost::Lost;
use super::model::{Blocks, Plan, Policy, RollbackClass, Stage, Step, Summary, TargetIdentity, Undo};
use super::patterns::{as_written, shadow_column};
use super::postpone::Later;
use super::script::{self, Source};
use super::steps::{Builder, Placed};
use super::{
    allow, code, contention, depends, digest, foremost, in_place, labels, left_alone, postpone, replaced, temporary,
};
use crate::catalog::{Catalog, apply::apply};
use crate::sql::Statement;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The server will refuse the statement.
    #[error("statement {}: {} ({})", statement + 1, refusal.message, refusal.sqlstate)]
    Refused {
        /// Index of the author's statement, from 0.
        statement: usize,
        /// What the server will say, and what to do.
        refusal: Refusal,
    },
    /// The statement has no place in a migration (transaction control, psql commands, COPY data).
    #[error("statement {}: {message}", statement + 1)]
    Unsupported {
        /// Index of the author's statement, from 0.
        statement: usize,
        /// Why, and what to do instead.
        message: String,
    },
    /// A check of the author cannot be asked.
    #[error(transparent)]
    Check(#[from] InvalidAssertion),
    /// The server will refuse a statement of a long run.
    #[error("statement {} of a long run: {} ({})", number + 1, refusal.message, refusal.sqlstate)]
    RefusedInRun {
        /// Index of the statement that stands for the run, from 0.
        first: usize,
        /// Its number in the run, from 0.
        number: i64,
        /// Its first byte in the source.
        start: usize,
        /// What the server will say, and what to do.
        refusal: Refusal,
    },
    /// A long run cannot be read again as it was.
    #[error("{message}")]
    SourceChanged {
        /// What is different.
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
    plan_with_checks(statements, &[], catalog, policy)
}

/// Plans `statements` with the author's `checks` before and after them.
///
/// # Errors
/// [`PlanError`] when there is no plan that may run.
pub fn plan_with_checks(
    statements: &[Statement],
    checks: &[Assertion],
    catalog: &Catalog,
    policy: &Policy,
) -> Result<Plan, PlanError> {
    plan_source(Source::of(statements), checks, catalog, policy)
}

/// Plans what the author wrote, long runs included, with the `checks` before and after it.
///
/// # Errors
/// [`PlanError`] when there is no plan that may run.
pub fn plan_source(
    source: Source<'_>,
    checks: &[Assertion],
    catalog: &Catalog,
    policy: &Policy,
) -> Result<Plan, PlanError> {
    let (written, mut notes) = author::read(source, catalog)?;
    let opened = code::opened(&written, catalog);
    let authored = bare(written, &opened, &mut notes);
    let walk = Walk { authored: &authored, catalog, policy };
    let mut placed = walk.best()?;
    foremost::ask(&mut placed.steps, catalog);
    assertion::place(&mut placed.steps, checks, catalog)?;
    labels::settle(&mut placed.steps);
    if authored.iter().any(|authored| replaced::is_drop(&authored.statement.node)) {
        replaced::join(&mut placed.steps, catalog, policy);
    }
    let mut builder = Builder::new(catalog, Lost::of(&authored, catalog), policy);
    for placed in placed.steps {
        builder.push(placed);
    }
    builder.flush();
    notes.extend(placed.notes);
    notes.append(&mut builder.notes);
    notes.extend(allow::small_tables(&builder.steps, &builder.catalog, policy));
    notes.extend(contention::notes(&builder.steps, catalog));
    for step in &mut builder.steps {
        in_place::mark(step, catalog, policy);
    }
    let summary = summary(source.len(), &builder.steps);
    let mut plan = Plan {
        digest: String::new(),
        source_digest: digest::of_source(source),
        target: TargetIdentity {
            server_version: catalog.server.version,
            system_identifier: catalog.server.system_identifier.clone(),
            database_oid: i64::from(catalog.server.database_oid),
            database: catalog.server.database.clone(),
        },
        catalog_fingerprint: String::new(),
        summary,
        steps: builder.steps,
        hazards: builder.hazards,
        notes,
    };
    plan.catalog_fingerprint = depends::fingerprint_for(&plan, catalog);
    plan.digest = digest::of_plan(&plan);
    let hazards = allow::forbidden(&plan.hazards, policy);
    if hazards.is_empty() { Ok(plan) } else { Err(PlanError::NotAllowed { plan: Box::new(plan), hazards }) }
}

/// The author's statements, with those of blocks of code in their place.
fn bare<'a>(
    written: Vec<Authored<'a>>,
    opened: &'a [Option<Vec<Statement>>],
    notes: &mut Vec<String>,
) -> Vec<Authored<'a>> {
    let mut bare = Vec::new();
    for (authored, opened) in written.into_iter().zip(opened) {
        let Some(statements) = opened else {
            bare.push(authored);
            continue;
        };
        if statements.is_empty() {
            notes.push(format!("statement {}: there is nothing to do", authored.origin.statement + 1));
        }
        bare.extend(statements.iter().map(|statement| Authored { statement, ..authored.clone() }));
    }
    bare
}

/// The drafts of all statements in their order.
struct Ordered {
    steps: Vec<Placed>,
    notes: Vec<String>,
    /// The catalog behind them.
    reached: Catalog,
    /// Whether a drop was moved.
    moved: bool,
    /// Whether a statement cannot run in its new place.
    broken: bool,
}

impl Ordered {
    /// Whether it ends there; a column that was made anew stands last.
    fn ends_in(&self, wanted: &Catalog) -> bool {
        let reorders = self.steps.iter().any(|placed| placed.pattern == shadow_column::NAME);
        if reorders { equivalent_in_any_order(&self.reached, wanted) } else { equivalent(&self.reached, wanted) }
    }
}

struct Walk<'a> {
    authored: &'a [Authored<'a>],
    catalog: &'a Catalog,
    policy: &'a Policy,
}

impl Walk<'_> {
    /// With what stands in the way of a change of type taken away and made again beside it, if that ends where the
    /// author's order ends; in the author's order otherwise.
    fn best(&self) -> Result<Ordered, PlanError> {
        let brackets = brackets(self.authored, &temporary::spans(self.authored, self.catalog), self.catalog);
        if !brackets.is_empty()
            && let Ok(ordered) = self.best_with(&brackets)
            && !ordered.broken
            && ordered.ends_in(&self.as_written())
        {
            return Ok(ordered);
        }
        self.best_with(&[])
    }

    /// With the drops at the end, if that ends where the author's order ends; in the author's order otherwise.
    fn best_with(&self, brackets: &[Bracket]) -> Result<Ordered, PlanError> {
        match self.ordered(true, brackets) {
            Ok(late) if !late.moved => Ok(late),
            Ok(late) if !late.broken && late.ends_in(&self.as_written()) => Ok(late),
            _ => self.ordered(false, brackets),
        }
    }

    /// The catalog behind the statements as the author wrote them, with what stands in their way made again.
    fn as_written(&self) -> Catalog {
        let mut catalog = self.catalog.clone();
        for authored in self.authored {
            authored.settings.enter(&mut catalog);
            if let Some(after) = self.behind(&catalog, authored.statement) {
                catalog = after;
            }
            catalog.server = self.catalog.server.clone();
        }
        catalog
    }

    /// The catalog behind the statement; `None` when that cannot be foretold.
    fn behind(&self, catalog: &Catalog, statement: &Statement) -> Option<Catalog> {
        let mut after = catalog.clone();
        if apply(&mut after, statement).is_ok() {
            return Some(after);
        }
        Around::found(catalog, statement, self.policy.in_place_bytes).ok()?.map(|around| around.after)
    }

    fn statements(&self, positions: Range<usize>) -> Vec<&Statement> {
        self.authored.get(positions).unwrap_or_default().iter().map(|authored| authored.statement).collect()
    }

    fn ordered(&self, move_drops: bool, brackets: &[Bracket]) -> Result<Ordered, PlanError> {
        let mut ordered = Ordered {
            steps: Vec::new(),
            notes: Vec::new(),
            reached: self.catalog.clone(),
            moved: false,
            broken: false,
        };
        let mut late: Vec<Placed> = Vec::new();
        let mut created = Created::default();
        let mut unforeseen = false;
        let spans = temporary::spans(self.authored, self.catalog);
        let all: Vec<Later<'_>> = self.authored.iter().map(|authored| Later::new(authored.statement)).collect();
        for (position, authored) in self.authored.iter().enumerate() {
            if brackets.iter().any(|bracket| bracket.takes(position)) {
                continue;
            }
            let bracket = brackets.iter().find(|bracket| bracket.change == position);
            authored.settings.enter(&mut ordered.reached);
            let before = ordered.reached.clone();
            if let Some(run) = authored.run {
                let draft = script::draft(run, authored, &mut ordered.reached, &created, unforeseen)?;
                unforeseen |= matches!(&draft.work, Work::Script(script) if script.unforeseeable);
                ordered.steps.push(Placed {
                    draft,
                    pattern: script::NAME,
                    origin: authored.origin.clone(),
                    settings: authored.settings.clone(),
                    span: None,
                });
                ordered.reached.server = self.catalog.server.clone();
                continue;
            }
            let own_session = !authored.settings.is_empty();
            let expander = Expander { policy: self.policy, created: &created, own_session };
            let span = spans.get(position).copied().flatten();
            let drafts = if span.is_some() {
                expander.as_written(&mut ordered.reached, authored.statement)
            } else {
                let planned = match bracket {
                    Some(bracket) => expander.change_between(
                        &mut ordered.reached,
                        &self.statements(bracket.drops.clone()),
                        authored.statement,
                        &self.statements(bracket.creates.clone()),
                    ),
                    None => expander.change(&mut ordered.reached, authored.statement),
                };
                match planned {
                    Ok(drafts) => drafts,
                    // What code before it made is not known here: the server has the last word.
                    Err(refusal) if unforeseen => {
                        ordered.notes.push(format!(
                            "statement {}: whether the server takes it depends on what came before and cannot be \
                         foretold ({})",
                            authored.origin.statement + 1,
                            refusal.message
                        ));
                        expander.as_written(&mut ordered.reached, authored.statement)
                    }
                    Err(refusal) => {
                        let statement = usize::try_from(authored.origin.statement).unwrap_or(0);
                        return Err(PlanError::Refused { statement, refusal });
                    }
                }
            };
            unforeseen |= bracket.is_none() && self.behind(&before, authored.statement).is_none();
            if own_session && drafts.iter().any(|expanded| outside_transactions(expanded, &before)) {
                return Err(PlanError::Unsupported {
                    statement: usize::try_from(authored.origin.statement).unwrap_or(0),
                    message:
                        "it runs outside of a transaction, where the plan cannot make the settings before it hold: \
                              leave SET out and qualify the names"
                            .to_owned(),
                });
            }
            if bracket.is_some() {
                ordered.notes.push(format!(
                    "statement {}: what the statements beside it drop and make again changes in its transaction",
                    authored.origin.statement + 1
                ));
            }
            if let Some(note) = left_alone::note(authored.statement, &before) {
                ordered.notes.push(format!("statement {}: {note}", authored.origin.statement + 1));
            }
            if drafts.is_empty() {
                ordered.notes.push(format!("statement {}: there is nothing to do", authored.origin.statement + 1));
            }
            let placed = drafts.into_iter().map(|expanded| Placed {
                draft: expanded.draft,
                pattern: expanded.pattern,
                origin: authored.origin.clone(),
                settings: authored.settings.clone(),
                span,
            });
            let next = bracket.map_or(position + 1, |bracket| bracket.creates.end);
            let later = all.get(next..).unwrap_or_default();
            let mut passed = !later.is_empty();
            let (mut waiting, mut now): (Vec<Placed>, Vec<Placed>) = (Vec::new(), Vec::new());
            for placed in placed {
                if move_drops && waits(&placed.draft, authored.statement, later, &before) {
                    waiting.push(placed);
                } else {
                    passed |= !waiting.is_empty();
                    now.push(placed);
                }
            }
            if !waiting.is_empty() && passed {
                ordered.reached = before.clone();
                ordered.broken |= now.iter().any(|placed| simulate(&mut ordered.reached, &placed.draft).is_none());
                ordered.moved = true;
            }
            created.observe(&before, &ordered.reached, std::iter::once(&authored.statement.node));
            late.extend(waiting);
            ordered.steps.extend(now);
            ordered.reached.server = self.catalog.server.clone();
        }
        if ordered.moved {
            ordered.broken |= late.iter().any(|placed| simulate(&mut ordered.reached, &placed.draft).is_none());
            ordered.notes.push("drops come last: nothing that follows them depends on what they remove".to_owned());
        }
        ordered.steps.extend(late);
        Ok(ordered)
    }
}

/// Whether it is a statement of the author that the server refuses inside a transaction block.
fn outside_transactions(expanded: &Expanded, catalog: &Catalog) -> bool {
    expanded.pattern == as_written::NAME
        && match &expanded.draft.work {
            Work::Sql(texts) => texts
                .iter()
                .filter_map(|text| single(text))
                .any(|statement| analyze(&statement, catalog).transaction == TransactionRule::Forbidden),
            _ => false,
        }
}

/// Whether the draft is a drop that can wait for the end.
fn waits(draft: &Draft, statement: &Statement, later: &[Later<'_>], catalog: &Catalog) -> bool {
    draft.late && matches!(draft.work, Work::Sql(_)) && postpone::can_wait(statement, later, catalog)
}

fn summary(statements: i64, steps: &[Step]) -> Summary {
    let locks = || steps.iter().flat_map(|step| &step.locks);
    let blocked = |wanted: Blocks| {
        let mut list: Vec<String> =
            locks().filter(|lock| lock.blocks >= wanted).map(|lock| lock.relation.clone()).collect();
        list.sort();
        list.dedup();
        list
    };
    let (mut class, mut reasons) = (RollbackClass::Lossless, Vec::new());
    for step in steps {
        let (of_step, reason) = match &step.undo {
            Undo::Nothing(_) | Undo::Lossless(_) => continue,
            Undo::Lossy(lossy) => (RollbackClass::Lossy, &lossy.lost),
            Undo::Irreversible(irreversible) => (RollbackClass::ForwardOnly, &irreversible.why),
        };
        class = class.max(of_step);
        reasons.push(format!("{}: {reason}", step.id));
    }
    Summary {
        statements,
        steps: i64::try_from(steps.len()).unwrap_or(i64::MAX),
        strongest_lock: locks().map(|lock| lock.mode).reduce(super::lock::LockMode::join),
        blocks_reads: blocked(Blocks::ReadsAndWrites),
        blocks_writes: blocked(Blocks::Writes),
        needs_validation: steps.iter().any(|step| step.stage == Stage::Validate),
        has_contract: steps.iter().any(|step| step.stage == Stage::Contract),
        rollback: class,
        rollback_reason: reasons.join("; "),
    }
}
