//! From drafts to steps: locks, hazards, estimate, postcondition and undo, all read off the SQL and the catalog.

use std::collections::BTreeSet;

use pg_query::NodeEnum;

use super::action::{self, Run};
use super::allow;
use super::analyze::{Impact, Target, TransactionRule, analyze};
use super::author::Settings;
use super::created::Created;
use super::ddl::Needed;
use super::draft::{Draft, Work};
use super::estimate::{self, Kind, estimate};
use super::expand::{heavy, single};
use super::lock::LockMode;
use super::lost::Lost;
use super::model::{Action, Backfill, Blocks, Check, Empty, Hazard, Origin, Policy, Stage, Step, StepLock, Undo};
use super::patterns::{as_written, data};
use super::script::Together;
use super::{fired, price, undo};
use crate::catalog::{Catalog, Name, apply::apply};
use crate::sql::{Statement, quote};

/// A draft in its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// The draft.
    pub draft: Draft,
    /// The pattern that made it.
    pub pattern: &'static str,
    /// The author's statement.
    pub origin: Origin,
    /// Settings that hold for it.
    pub settings: Settings,
    /// Number of the span of statements that share its transaction, if it is in one.
    pub span: Option<usize>,
}

/// The statement that does at once what a backfill does in batches.
pub(super) fn update(backfill: &Backfill) -> Option<Statement> {
    let table = Name::new(&*backfill.schema, &*backfill.table);
    let set: Vec<String> = backfill
        .assignments
        .iter()
        .map(|assignment| format!("{} = {}", quote::ident(&assignment.column), assignment.expression))
        .collect();
    let filter = backfill.filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE {filter}"));
    single(&format!("UPDATE {table} SET {}{filter}", set.join(", ")))
}

/// Statements that become one step.
struct Group {
    first: Placed,
    end: i64,
    texts: Vec<String>,
    guards: Vec<Check>,
    slugs: Vec<&'static str>,
    descriptions: Vec<String>,
    run: Run,
    before: Catalog,
    created: Created,
    /// Whether nobody in use is touched, so that more of the kind may join.
    quiet: bool,
    /// Whether it is nothing but rows that the author gives.
    rows: bool,
}

/// Makes the steps of a plan one after another.
pub(super) struct Builder<'a> {
    policy: &'a Policy,
    /// The catalog before the plan.
    start: Catalog,
    /// The catalog behind the steps so far.
    pub catalog: Catalog,
    server: crate::catalog::Server,
    /// The catalog behind the plan, where nothing is renamed on the way.
    lost: Lost,
    created: Created,
    /// Values that the undo of a step needs.
    needed: Vec<Needed>,
    group: Option<Group>,
    /// The steps so far.
    pub steps: Vec<Step>,
    /// Their hazards.
    pub hazards: Vec<Hazard>,
    /// Remarks.
    pub notes: Vec<String>,
}

impl<'a> Builder<'a> {
    /// Starts on that catalog.
    pub fn new(catalog: &Catalog, lost: Lost, policy: &'a Policy) -> Self {
        Self {
            policy,
            start: catalog.clone(),
            catalog: catalog.clone(),
            server: catalog.server.clone(),
            lost,
            created: Created::default(),
            needed: Vec::new(),
            group: None,
            steps: Vec::new(),
            hazards: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a draft, to the step before it where they belong together.
    pub fn push(&mut self, placed: Placed) {
        let apart = |group: &Group| group.first.settings != placed.settings || group.first.span != placed.span;
        if self.group.as_ref().is_some_and(apart) {
            self.flush();
        }
        self.catalog.server = self.server.clone();
        placed.settings.enter(&mut self.catalog);
        if let Some(note) = placed.draft.note.as_ref().filter(|note| !self.notes.contains(note)) {
            self.notes.push(note.clone());
        }
        let texts = match &placed.draft.work {
            Work::Sql(texts) => texts.clone(),
            Work::Backfill(backfill) => {
                let backfill = backfill.clone();
                self.flush();
                return self.backfill(&placed, backfill);
            }
            Work::Check(check) => {
                let check = check.clone();
                self.flush();
                return self.check(&placed, check);
            }
            Work::Script(script) => {
                self.flush();
                return self.script(&placed, script);
            }
        };
        let quiet = self.quiet(&placed, &texts);
        let joins = self.group.as_ref().is_some_and(|group| {
            let both_quiet = quiet && group.quiet && group.first.draft.stage == placed.draft.stage;
            let rows = group.rows && group.texts.len() < MOST_INSERTS && inserts(&placed, &texts);
            placed.span.is_some()
                || rows
                || both_quiet
                || (parts_of_one(&group.first, &placed) && !self.heavy(&texts) && !group_heavy(group, self))
        });
        if !joins {
            self.flush();
        }
        let mut group = match self.group.take() {
            Some(group) => group,
            None => Group {
                end: placed.origin.end,
                texts: Vec::new(),
                guards: Vec::new(),
                slugs: Vec::new(),
                descriptions: Vec::new(),
                run: match Run::of(&[], &mut self.catalog) {
                    Some(run) => run,
                    None => return,
                },
                before: self.catalog.clone(),
                created: self.created.clone(),
                quiet,
                rows: true,
                first: placed.clone(),
            },
        };
        let before = self.catalog.clone();
        for text in &texts {
            if let Some(statement) = single(text) {
                group.run.then(statement, &mut self.catalog);
            }
        }
        self.created.observe(&before, &self.catalog, group.run.statements.iter().map(|statement| &statement.node));
        group.end = placed.origin.end;
        let rows = inserts(&placed, &texts);
        group.texts.extend(texts);
        group.guards.extend(placed.draft.guards.clone());
        group.slugs.push(placed.draft.slug);
        group.descriptions.push(placed.draft.description.clone());
        group.quiet &= quiet;
        group.rows &= rows;
        self.group = Some(group);
    }

    /// Ends the step that is being collected.
    pub fn flush(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        let Group { first, end, texts, guards, slugs, descriptions, run, before, created, quiet, rows: _ } = group;
        let done = undo::Done {
            before: &before,
            after: &self.catalog,
            statements: &run.statements,
            impact: &run.impact,
            unforeseeable: run.unforeseeable,
            created: &created,
            lost: Some(&self.lost),
            policy: self.policy,
            source: &first.draft.undo,
        };
        let undo = undo::of_statements(&done, &mut self.needed);
        self.danger(&run, &first.draft, &before, &created, &undo);
        let estimate = estimate::of_run(&run, &before, &created);
        let (mut action, postcondition) = action::sql(texts, &run);
        if let Action::Transaction(transaction) = &mut action {
            let mut statements = first.settings.statements();
            statements.append(&mut transaction.statements);
            if first.settings.role() {
                statements.push("RESET ROLE".to_owned());
            }
            transaction.statements = statements;
            transaction.guards = guards;
        }
        let touched = Touched::of(&run.impact, &before);
        let slug = match slugs.as_slice() {
            [only] => *only,
            [one, rest @ ..] if rest.iter().all(|slug| slug == one) => *one,
            _ if quiet => "new-objects",
            _ => "alter-table",
        };
        let step = Step {
            id: self.id(slug),
            stage: first.draft.stage,
            origin: Origin { end, ..first.origin },
            pattern: first.pattern.to_owned(),
            description: described(&descriptions),
            action,
            locks: touched.locks,
            rewrites: touched.rewrites,
            scans: touched.scans,
            waits_for_transactions: touched.waits_for_transactions,
            estimate,
            postcondition,
            undo,
        };
        self.steps.push(step);
    }

    fn id(&self, slug: &str) -> String {
        format!("{:03}-{slug}", self.steps.len() + 1)
    }

    fn heavy(&self, texts: &[String]) -> bool {
        texts.iter().any(|text| {
            single(text).is_none_or(|statement| {
                heavy(&analyze(&statement, &self.catalog), &self.catalog, &self.created, self.policy)
            })
        })
    }

    /// Whether the draft touches nothing that is in use beyond reading it briefly.
    fn quiet(&self, placed: &Placed, texts: &[String]) -> bool {
        let ([text], false) = (texts, placed.draft.alone || placed.draft.late) else {
            return false;
        };
        let Some(statement) = single(text) else {
            return false;
        };
        if placed.pattern != as_written::NAME || placed.draft.stage != Stage::Expand {
            return false;
        }
        let impact = analyze(&statement, &self.catalog);
        let private = |target: &Target| match target {
            Target::Any => false,
            Target::Relation(name) => self.created.relation(name),
        };
        impact.transaction == TransactionRule::Allowed
            && impact.locks.iter().all(|(target, mode)| private(target) || *mode <= LockMode::RowShare)
            && impact.scans.iter().all(private)
            && impact.rewrites.iter().all(private)
    }

    fn backfill(&mut self, placed: &Placed, backfill: Backfill) {
        let table = Name::new(&*backfill.schema, &*backfill.table);
        let locks = update(&backfill).map_or_else(Vec::new, |update| {
            let impact = analyze(&update, &self.catalog);
            impact.locks.iter().map(|(target, mode)| lock(target, *mode)).collect()
        });
        let mut undo = undo::of_backfill(&backfill, &self.created);
        // Where the author wrote an UPDATE, triggers fire in every form, and so do those that the plan has made.
        let own = placed.pattern == data::NAME;
        let triggers = fired::triggers(&backfill, if own { &self.catalog } else { &self.start });
        if !triggers.is_empty() {
            undo = fired::undo(undo, &backfill, &triggers);
        }
        if !triggers.is_empty() && !own {
            let hazard = fired::hazard(&backfill, &triggers);
            if !self.hazards.contains(&hazard) {
                self.hazards.push(hazard);
            }
        }
        let step = Step {
            id: self.id(placed.draft.slug),
            stage: placed.draft.stage,
            origin: placed.origin.clone(),
            pattern: placed.pattern.to_owned(),
            description: placed.draft.description.clone(),
            locks,
            rewrites: Vec::new(),
            scans: Vec::new(),
            waits_for_transactions: Vec::new(),
            estimate: estimate(Kind::Backfill, [&table].into_iter(), &self.catalog, &Created::default()),
            postcondition: action::recorded(),
            undo,
            action: Action::Backfill(backfill),
        };
        self.steps.push(step);
    }

    fn check(&mut self, placed: &Placed, check: Check) {
        let mut names: Vec<Name> = Vec::new();
        let mut locks = Vec::new();
        if let Some(statement) = single(&check.query) {
            for (target, mode) in analyze(&statement, &self.catalog).locks {
                locks.push(lock(&target, mode));
                if let Target::Relation(name) = target {
                    names.push(name);
                }
            }
        }
        let step = Step {
            id: self.id(placed.draft.slug),
            stage: placed.draft.stage,
            origin: placed.origin.clone(),
            pattern: placed.pattern.to_owned(),
            description: placed.draft.description.clone(),
            action: Action::Check(check),
            rewrites: Vec::new(),
            scans: locks.iter().map(|lock| lock.relation.clone()).collect(),
            locks,
            waits_for_transactions: Vec::new(),
            estimate: estimate(Kind::Scan, names.iter(), &self.catalog, &self.created),
            postcondition: action::recorded(),
            undo: Undo::Nothing(Empty {}),
        };
        self.steps.push(step);
    }

    fn script(&mut self, placed: &Placed, script: &Together) {
        let Together { script, impact, undo, unforeseeable, kinds } = script;
        if *unforeseeable {
            self.notes.push(unforetold(self.steps.len() + 1));
        }
        let catalogs = (&self.catalog, &self.catalog);
        for hazard in allow::hazards(impact, undo, catalogs, &self.created, self.policy) {
            if !self.hazards.contains(&hazard) {
                self.hazards.push(hazard);
            }
        }
        let touched = Touched::of(impact, &self.catalog);
        let step = Step {
            id: self.id(placed.draft.slug),
            stage: placed.draft.stage,
            origin: placed.origin.clone(),
            pattern: placed.pattern.to_owned(),
            description: placed.draft.description.clone(),
            locks: touched.locks,
            rewrites: touched.rewrites,
            scans: touched.scans,
            waits_for_transactions: touched.waits_for_transactions,
            estimate: estimate::of_script(script),
            postcondition: action::recorded(),
            undo: undo.clone(),
            action: Action::Script(script.clone()),
        };
        self.steps.push(step);
        for kind in kinds {
            let _ = apply(&mut self.catalog, kind);
        }
    }

    fn danger(&mut self, run: &Run, draft: &Draft, before: &Catalog, created: &Created, undo: &Undo) {
        if run.unforeseeable {
            self.notes.push(unforetold(self.steps.len() + 1));
        }
        if heavy(&run.impact, before, created, self.policy)
            && let Some(why) = run.statements.iter().find_map(|statement| price::no_safe_form(&statement.node))
        {
            self.notes.push(format!("step {}: others wait, in every form: {why}", self.steps.len() + 1));
        }
        let own = created.with_those_of(&self.created, before);
        let found = allow::hazards(&run.impact, undo, (before, &self.catalog), &own, self.policy);
        let found = found.into_iter().filter(|hazard| !draft.harmless.contains(&hazard.id));
        for hazard in found.chain(draft.hazards.iter().cloned()) {
            if !self.hazards.contains(&hazard) {
                self.hazards.push(hazard);
            }
        }
    }
}

/// The locks of `impact` on relations that are there before it, as the plan shows them.
pub(super) fn locks(impact: &Impact, before: &Catalog) -> Vec<StepLock> {
    Touched::of(impact, before).locks
}

/// What a step does to relations that were there before it, as the plan shows it.
struct Touched {
    locks: Vec<StepLock>,
    rewrites: Vec<String>,
    scans: Vec<String>,
    waits_for_transactions: Vec<String>,
}

impl Touched {
    fn of(impact: &Impact, before: &Catalog) -> Self {
        let exists = |target: &Target| match target {
            Target::Any => true,
            Target::Relation(name) => before.relations.contains_key(name),
        };
        let list = |targets: &BTreeSet<Target>| -> Vec<String> {
            targets.iter().filter(|target| exists(target)).map(ToString::to_string).collect()
        };
        let locks = impact.locks.iter().filter(|(target, _)| exists(target));
        Self {
            locks: locks.map(|(target, mode)| lock(target, *mode)).collect(),
            rewrites: list(&impact.rewrites),
            scans: list(&impact.scans),
            waits_for_transactions: list(&impact.waits_for_transactions),
        }
    }
}

fn unforetold(step: usize) -> String {
    format!("step {step}: its effect on the schema cannot be foretold; what follows is planned as if there were none")
}

fn group_heavy(group: &Group, builder: &Builder<'_>) -> bool {
    heavy(&group.run.impact, &group.before, &group.created, builder.policy)
}

/// Statements of given rows in one step at most: it has to stay short.
const MOST_INSERTS: usize = 500;

/// Whether it is nothing but rows that the author gives.
fn inserts(placed: &Placed, texts: &[String]) -> bool {
    let values = |text: &String| match single(text).map(|statement| statement.node) {
        Some(NodeEnum::InsertStmt(insert)) => match insert.select_stmt.as_ref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => !select.values_lists.is_empty(),
            _ => false,
        },
        _ => false,
    };
    placed.pattern == as_written::NAME && placed.draft.slug == "insert" && texts.iter().all(values)
}

/// Whether both are plain parts of the same statement of the author.
fn parts_of_one(one: &Placed, other: &Placed) -> bool {
    one.origin == other.origin
        && one.pattern == as_written::NAME
        && other.pattern == as_written::NAME
        && one.draft.stage == other.draft.stage
        && !(one.draft.alone || other.draft.alone || one.draft.late || other.draft.late)
}

fn lock(target: &Target, mode: LockMode) -> StepLock {
    StepLock { relation: target.to_string(), mode, blocks: Blocks::from(mode) }
}

/// The first sentence, and how many more there are.
fn described(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [only] => only.clone(),
        [first, second] => format!("{first}; {}", lower(second)),
        [first, second, rest @ ..] => format!("{first}; {}; and {} more", lower(second), rest.len()),
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
