//! From one change to drafts: the first pattern whose result is the author's, as the simulation proves.

use std::cell::OnceCell;

use super::analyze::{Impact, Refusal, Resolver, Target, TransactionRule, analyze};
use super::around::{Around, retyped};
use super::created::Created;
use super::draft::{Draft, Piece, Work};
use super::equivalent::{equivalent, equivalent_in_any_order};
use super::model::Policy;
use super::patterns::{self, Pattern};
use crate::catalog::{Catalog, Name, RelationKind, apply::apply};
use crate::sql::{Statement, parse};

/// Patterns inside patterns: a column with a unique constraint on a partitioned table goes three deep.
const DEPTH: usize = 8;

/// A draft with the pattern that made it.
#[derive(Clone, Debug)]
pub(super) struct Expanded {
    /// The draft.
    pub draft: Draft,
    /// Name of the pattern.
    pub pattern: &'static str,
}

/// What a pattern may look at.
pub(super) struct Context<'a> {
    /// The change.
    pub statement: &'a Statement,
    /// The catalog before it.
    pub look: Resolver<'a>,
    /// What it does as written, where nothing stands in its way.
    pub impact: Impact,
    /// What stands in its way.
    pub around: Option<Around>,
    /// Limits.
    pub policy: &'a Policy,
    /// Relations that only this plan knows.
    pub created: &'a Created,
    /// Whether the author's settings hold for the statement. They do outside of transactions too in the author's
    /// session, but not in a step: what runs there must not depend on them.
    pub own_session: bool,
    /// The catalog before the author's whole statement.
    start: &'a Catalog,
    after: OnceCell<Option<Catalog>>,
}

impl<'a> Context<'a> {
    /// The catalog before the change.
    pub fn before(&self) -> &'a Catalog {
        self.look.catalog
    }

    /// The catalog after the change as written; `None` when it cannot be foretold.
    pub fn after(&self) -> Option<&Catalog> {
        self.after
            .get_or_init(|| {
                if let Some(around) = &self.around {
                    return Some(around.after.clone());
                }
                let mut after = self.before().clone();
                apply(&mut after, self.statement).ok().map(|()| after)
            })
            .as_ref()
    }

    /// Whether the change as written makes others wait for work above the limit.
    pub fn heavy(&self) -> bool {
        heavy(&self.impact, self.before(), self.created, self.policy)
    }

    /// Whether that statement would make others wait for work above the limit, on the same catalog.
    pub fn heavy_statement(&self, sql: &str) -> bool {
        let Some(statement) = single(sql) else {
            return true;
        };
        heavy(&analyze(&statement, self.before()), self.before(), self.created, self.policy)
    }

    /// Whether nobody but this plan can see the relation.
    pub fn private(&self, relation: &Name) -> bool {
        self.created.relation(relation)
    }

    /// Whether the author's own statement, or one before it, made the column: no row of old has a value there.
    pub fn fresh(&self, table: &Name, column: &str) -> bool {
        self.created.column(table, column)
            || self.start.relations.get(table).is_none_or(|relation| relation.column(column).is_none())
    }

    /// Major version of the server.
    pub fn major(&self) -> i32 {
        self.look.major()
    }
}

/// Bytes that reading or writing the relation as a whole means; unknown relations are as large as can be.
pub(super) fn size(catalog: &Catalog, relation: &Name) -> i64 {
    match catalog.relations.get(relation) {
        Some(relation) if relation.stats.empty => 0,
        Some(relation) => relation.stats.bytes.max(relation.stats.total_bytes),
        None => i64::MAX,
    }
}

/// Whether others wait, for reading or writing, on work above the limit. The concurrent commands, which wait for
/// transactions, have the locks that block for moments only.
pub(super) fn heavy(impact: &Impact, catalog: &Catalog, created: &Created, policy: &Policy) -> bool {
    if !impact.waits_for_transactions.is_empty() {
        return false;
    }
    let blocks = impact.locks.iter().any(|(target, mode)| match target {
        Target::Any => mode.blocks_writes(),
        Target::Relation(name) if created.relation(name) => false,
        // Nobody writes to a materialized view but the statement that refreshes it.
        Target::Relation(name) if is_materialized_view(catalog, name) => mode.blocks_reads(),
        Target::Relation(_) => mode.blocks_writes(),
    });
    blocks && work(impact, catalog, created) > policy.in_place_bytes
}

fn is_materialized_view(catalog: &Catalog, name: &Name) -> bool {
    catalog.relations.get(name).is_some_and(|relation| relation.kind == RelationKind::MaterializedView)
}

/// Bytes that the statement reads or writes in full, as far as others can see them.
pub(super) fn work(impact: &Impact, catalog: &Catalog, created: &Created) -> i64 {
    impact
        .scans
        .union(&impact.rewrites)
        .map(|target| match target {
            Target::Any => i64::MAX,
            Target::Relation(name) if created.relation(name) => 0,
            Target::Relation(name) => size(catalog, name),
        })
        .fold(0, i64::saturating_add)
}

/// The only statement of the text.
pub(super) fn single(sql: &str) -> Option<Statement> {
    let mut statements = parse(sql).ok()?;
    if statements.len() == 1 { statements.pop() } else { None }
}

/// Where a change stands.
struct Place<'a> {
    /// The catalog before the author's whole statement.
    start: Option<&'a Catalog>,
    /// What the author wrote around it.
    around: Option<Around>,
    /// Patterns that it is a part of.
    depth: usize,
}

/// Turns changes into drafts while it evolves a catalog.
pub(super) struct Expander<'a> {
    /// Limits.
    pub policy: &'a Policy,
    /// Relations that only this plan knows.
    pub created: &'a Created,
    /// Whether settings of the author hold.
    pub own_session: bool,
}

impl Expander<'_> {
    /// The drafts of one change; `catalog` is moved behind it.
    ///
    /// # Errors
    /// The refusal that the catalog foretells.
    pub fn change(&self, catalog: &mut Catalog, statement: &Statement) -> Result<Vec<Expanded>, Refusal> {
        self.expand(catalog, statement, Place { start: None, around: None, depth: 0 })
    }

    /// [`Self::change`] with the author's statements around it that take away what stands in its way, and make it again.
    ///
    /// # Errors
    /// The refusal that the catalog foretells.
    pub fn change_between(
        &self,
        catalog: &mut Catalog,
        drops: &[&Statement],
        statement: &Statement,
        creates: &[&Statement],
    ) -> Result<Vec<Expanded>, Refusal> {
        match Around::written(catalog, drops, statement, creates, self.policy.in_place_bytes) {
            Some(around) => self.expand(catalog, statement, Place { start: None, around: Some(around), depth: 0 }),
            None => self.change(catalog, statement),
        }
    }

    /// The statement as it is, whatever the catalog says of it; `catalog` is moved behind it where that can be told.
    pub fn as_written(&self, catalog: &mut Catalog, statement: &Statement) -> Vec<Expanded> {
        let context = self.context(catalog, statement, None, None);
        let draft = patterns::as_written::draft(&context);
        drop(context);
        let _ = apply(catalog, statement);
        vec![Expanded { draft, pattern: patterns::as_written::NAME }]
    }

    fn context<'a>(
        &'a self,
        catalog: &'a Catalog,
        statement: &'a Statement,
        start: Option<&'a Catalog>,
        around: Option<Around>,
    ) -> Context<'a> {
        Context {
            statement,
            impact: analyze(statement, around.as_ref().map_or(catalog, |around| &around.clear)),
            around,
            look: Resolver::new(catalog),
            policy: self.policy,
            created: self.created,
            own_session: self.own_session,
            start: start.unwrap_or(catalog),
            after: OnceCell::new(),
        }
    }

    fn expand(&self, catalog: &mut Catalog, statement: &Statement, place: Place<'_>) -> Result<Vec<Expanded>, Refusal> {
        let Place { start, around, depth } = place;
        let mut context = self.context(catalog, statement, start, around);
        if let Some(refusal) = &context.impact.refused {
            let around = match Around::found(catalog, statement, self.policy.in_place_bytes) {
                Ok(Some(around)) => around,
                Ok(None) => return Err(refusal.clone()),
                Err(why) => {
                    let hint = format!("{} The plan cannot do that: {why}", refusal.hint);
                    return Err(Refusal { hint, ..refusal.clone() });
                }
            };
            context = self.context(catalog, statement, start, Some(around));
        }
        if depth < DEPTH && context.impact.transaction != TransactionRule::Unknown {
            for pattern in patterns::ALL {
                let Some(pieces) = (pattern.plan)(&context) else {
                    continue;
                };
                if let Some((reached, drafts)) = self.prove(&context, pattern, pieces, depth) {
                    *catalog = reached;
                    return Ok(drafts);
                }
            }
        }
        let mut draft = patterns::as_written::draft(&context);
        draft.note = patterns::shadow_column::why_not(&context).or(draft.note);
        // What cannot be foretold leaves the catalog as it was: the step says so.
        if let Some(after) = context.after().cloned() {
            *catalog = after;
        }
        Ok(vec![Expanded { draft, pattern: patterns::as_written::NAME }])
    }

    /// The drafts of the pieces, if together they end where the change as written ends.
    fn prove(
        &self,
        context: &Context<'_>,
        pattern: &Pattern,
        pieces: Vec<Piece>,
        depth: usize,
    ) -> Option<(Catalog, Vec<Expanded>)> {
        let mut reached = context.before().clone();
        let mut drafts = Vec::new();
        // What the author wrote around the whole belongs around the last of its parts that changes a type.
        let last = match &context.around {
            Some(_) if pattern.name == patterns::SPLIT => pieces.iter().rposition(|piece| match piece {
                Piece::Change(sql) => single(sql).is_some_and(|part| !retyped(&part, context.before()).is_empty()),
                Piece::Draft(_) => false,
            }),
            _ => None,
        };
        for (at, piece) in pieces.into_iter().enumerate() {
            match piece {
                Piece::Draft(draft) => {
                    simulate(&mut reached, &draft)?;
                    drafts.push(Expanded { draft: *draft, pattern: pattern.name });
                }
                Piece::Change(sql) => {
                    let statement = single(&sql)?;
                    let around = match &context.around {
                        Some(around) if last == Some(at) => {
                            around.moved_to(&reached, &statement, self.policy.in_place_bytes)
                        }
                        _ => None,
                    };
                    let place = Place { start: Some(context.start), around, depth: depth + 1 };
                    drafts.extend(self.expand(&mut reached, &statement, place).ok()?);
                }
            }
        }
        same_end(&reached, context.after()?, &drafts).then_some((reached, drafts))
    }
}

/// Whether the drafts end where they should. A column that was made anew stands last.
fn same_end(reached: &Catalog, wanted: &Catalog, drafts: &[Expanded]) -> bool {
    let reorders = drafts.iter().any(|expanded| expanded.pattern == patterns::shadow_column::NAME);
    if reorders { equivalent_in_any_order(reached, wanted) } else { equivalent(reached, wanted) }
}

/// Runs a draft on the catalog; `None` when the server would refuse a part of it or its effect is not known.
pub(super) fn simulate(catalog: &mut Catalog, draft: &Draft) -> Option<()> {
    let Work::Sql(statements) = &draft.work else {
        return Some(());
    };
    for sql in statements {
        let statement = single(sql)?;
        if analyze(&statement, catalog).refused.is_some() {
            return None;
        }
        apply(catalog, &statement).ok()?;
    }
    Some(())
}
