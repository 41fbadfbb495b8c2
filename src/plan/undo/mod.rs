//! How a step is undone: from the catalog before it and after it, never by reversing text.

mod data;
mod insert;
mod made;
mod rename;

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, Node, ObjectType};

use super::action::{self, Run};
use super::analyze::{Impact, Resolver, Target, analyze};
use super::created::Created;
use super::ddl::{self, Needed, Skip};
use super::draft::{Back, UndoSource, Work};
use super::expand::{Expander, single};
use super::lost::Lost;
use super::model::{Action, Backfill, Empty, HazardId, Irreversible, LossyUndo, Policy, Undo, UndoAction, UndoSteps};
use super::steps;
use crate::catalog::apply::{apply, do_statements};
use crate::catalog::{Catalog, Name};
use crate::sql::{Statement, quote};

/// What a step did, as far as its undo has to know.
pub(super) struct Done<'a> {
    /// Before it.
    pub before: &'a Catalog,
    /// After it.
    pub after: &'a Catalog,
    /// Its statements.
    pub statements: &'a [Statement],
    /// What they do together.
    pub impact: &'a Impact,
    /// Whether the effect of one of them on the schema is not known.
    pub unforeseeable: bool,
    /// What the plan had made before the step.
    pub created: &'a Created,
    /// What loses its values in the whole plan.
    pub lost: Option<&'a Lost>,
    /// The way back is made within the same limits.
    pub policy: &'a Policy,
    /// Where the undo comes from.
    pub source: &'a UndoSource,
}

impl Skip for Created {
    fn relation(&self, name: &Name) -> bool {
        Self::relation(self, name)
    }
    fn column(&self, table: &Name, column: &str) -> bool {
        Self::column(self, table, column)
    }
    fn constraint(&self, table: &Name, constraint: &str) -> bool {
        Self::constraint(self, table, constraint)
    }
    fn user_type(&self, name: &Name) -> bool {
        Self::user_type(self, name)
    }
    fn function(&self, name: &Name) -> bool {
        Self::function(self, name)
    }
    fn needed_relation(&self, name: &Name) -> bool {
        self.freed_relation(name)
    }
    fn needed_constraint(&self, table: &Name, constraint: &str) -> bool {
        self.freed_constraint(table, constraint)
    }
}

/// The undo of statements. Values that it needs, and that are still there behind them, are added to `needed`; where the
/// statements themselves remove some that the undo of an earlier step needs, there is no way back.
pub(super) fn of_statements(done: &Done<'_>, needed: &mut Vec<Needed>) -> Undo {
    let here = |catalog: &Catalog, value: &Needed| {
        catalog.relations.get(&value.table).is_some_and(|table| table.column(&value.column).is_some())
    };
    let removed = needed.iter().filter(|value| here(done.before, value) && !here(done.after, value));
    let removed: Vec<&str> = removed.map(|value| value.why.as_str()).collect();
    if !removed.is_empty() {
        return irreversible(removed.join("; "));
    }
    own(done, needed)
}

fn own(done: &Done<'_>, needed: &mut Vec<Needed>) -> Undo {
    let unknown = done.impact.hazards.iter().any(|hazard| hazard.id == HazardId::Unanalyzable);
    match done.source {
        UndoSource::Nothing | UndoSource::Catalog if unknown => return irreversible("what it does cannot be known"),
        UndoSource::Nothing => return Undo::Nothing(Empty {}),
        UndoSource::Statements(statements) => return finish(done, statements.clone(), Vec::new(), Vec::new()),
        UndoSource::Way(way, lost) => return by_way(done, way, lost.clone()),
        UndoSource::None(why) => return irreversible(why),
        UndoSource::Catalog => {}
    }
    if done.unforeseeable {
        return irreversible("what it changes cannot be known before it runs");
    }
    if let Some(reversed) = rename::reversed(done) {
        return match reversed {
            Ok(statements) => finish(done, statements, Vec::new(), Vec::new()),
            Err(why) => irreversible(why),
        };
    }
    let mut script = ddl::between_without(done.after, done.before, done.created, done.lost);
    let (drops, covered) = made::drops(done.statements, done.before);
    drops.into_iter().for_each(|(kind, drop)| script.drop_unseen(kind, drop));
    let (mut lost, mut gaps) = (script.lost.clone(), script.gaps.clone());
    needed.extend(script.needed.clone());
    let mut statements = script.statements();
    for (position, statement) in done.statements.iter().enumerate() {
        match insert::deletion(done, statement) {
            // The last rows go first, and all of them before the schema changes.
            Some(deletion) => {
                statements.splice(0..0, deletion.statements);
                lost.extend(deletion.stays);
            }
            None => data::lost(done, statement, &mut lost),
        }
        gaps.extend(outside(&statement.node).filter(|_| !covered.contains(&position)));
    }
    data::lost_by_code(done, &mut lost);
    let mut said = BTreeSet::new();
    lost.retain(|what| said.insert(what.clone()));
    gaps.extend(done.statements.iter().filter_map(|statement| without_inverse(&statement.node, done.before)));
    if done.statements.iter().any(|statement| retypes(&statement.node)) {
        let goes = |target: &Target| matches!(target, Target::Relation(name) if done.created.relation(name));
        for name in done.impact.rewrites.iter().filter(|target| !statements.is_empty() && !goes(target)) {
            lost.push(format!("what the change of type took from the values in {name}"));
        }
    }
    finish(done, statements, lost, gaps)
}

/// Adds what a change of rows on that catalog loses.
pub(super) fn lost_rows(catalog: &Catalog, created: &Created, statement: &Statement, lost: &mut Vec<String>) {
    let (impact, policy) = (Impact::none(), Policy::default());
    let done = Done {
        before: catalog,
        after: catalog,
        statements: &[],
        impact: &impact,
        unforeseeable: false,
        created,
        lost: None,
        policy: &policy,
        source: &UndoSource::Catalog,
    };
    let mut found = Vec::new();
    data::lost(&done, statement, &mut found);
    for what in found {
        if !lost.contains(&what) {
            lost.push(what);
        }
    }
}

/// The undo of rows changed in batches.
pub(super) fn of_backfill(backfill: &Backfill, created: &Created) -> Undo {
    let table = Name::new(&*backfill.schema, &*backfill.table);
    let lost: Vec<String> = backfill
        .assignments
        .iter()
        .filter(|assignment| !created.column(&table, &assignment.column))
        .map(|assignment| format!("the former values of column {} of {table}", quote::ident(&assignment.column)))
        .collect();
    if lost.is_empty() {
        return Undo::Nothing(Empty {});
    }
    Undo::Lossy(LossyUndo { actions: Vec::new(), lost: lost.join("; ") })
}

fn irreversible(why: impl Into<String>) -> Undo {
    Undo::Irreversible(Irreversible { why: why.into() })
}

fn by_way(done: &Done<'_>, way: &[Back], lost: Option<String>) -> Undo {
    match (actions(done, way), lost) {
        (None, _) => irreversible("its undo cannot be written as SQL"),
        (Some(actions), None) => Undo::Lossless(UndoSteps { actions }),
        (Some(actions), Some(lost)) => Undo::Lossy(LossyUndo { actions, lost }),
    }
}

fn finish(done: &Done<'_>, statements: Vec<String>, lost: Vec<String>, gaps: Vec<String>) -> Undo {
    if !gaps.is_empty() {
        return irreversible(gaps.join("; "));
    }
    if statements.is_empty() && lost.is_empty() {
        return Undo::Nothing(Empty {});
    }
    let way: Vec<Back> = statements.into_iter().map(Back::Change).collect();
    match actions(done, &way) {
        None => irreversible("its undo cannot be written as SQL"),
        Some(actions) if lost.is_empty() => Undo::Lossless(UndoSteps { actions }),
        Some(actions) => Undo::Lossy(LossyUndo { actions, lost: lost.join("; ") }),
    }
}

/// The changes made safe by the same patterns, those that may in one transaction.
fn actions(done: &Done<'_>, way: &[Back]) -> Option<Vec<UndoAction>> {
    let mut catalog = done.after.clone();
    // Everything else of the plan is undone by then or stays: nothing is private any more.
    let created = Created::default();
    let expander = Expander { policy: done.policy, created: &created, own_session: false };
    let mut actions: Vec<UndoAction> = Vec::new();
    // Of the last action: what its statements do together, and the catalog before them.
    let (mut impact, mut begun) = (Impact::none(), catalog.clone());
    for part in way {
        let before = catalog.clone();
        let works = match part {
            Back::Change(sql) => {
                let statement = single(sql)?;
                match expander.change(&mut catalog, &statement) {
                    Ok(drafts) => drafts
                        .into_iter()
                        .map(|expanded| expanded.draft.work)
                        .filter(|work| !matches!(work, Work::Check(_)))
                        .collect(),
                    // The objects of later steps stand in the way only in this catalog.
                    Err(_) => {
                        let _ = apply(&mut catalog, &statement);
                        vec![Work::Sql(vec![sql.clone()])]
                    }
                }
            }
            Back::Work(work) => {
                if let Work::Sql(texts) = work {
                    for text in texts {
                        apply(&mut catalog, &single(text)?).ok()?;
                    }
                }
                vec![work.clone()]
            }
        };
        let apart = matches!(part, Back::Work(_));
        let mut at = before;
        for work in works {
            let texts = match work {
                Work::Sql(texts) => texts,
                Work::Backfill(backfill) => {
                    let locks = steps::update(&backfill).map(|update| steps::locks(&analyze(&update, &at), &at));
                    actions.push(UndoAction {
                        action: Action::Backfill(backfill),
                        postcondition: action::recorded(),
                        locks: locks.unwrap_or_default(),
                    });
                    continue;
                }
                // Nothing that undoes is a file of the author.
                Work::Script(_) => return None,
                Work::Check(check) => {
                    let locks = single(&check.query).map(|query| steps::locks(&analyze(&query, &at), &at));
                    actions.push(UndoAction {
                        action: Action::Check(check),
                        postcondition: action::recorded(),
                        locks: locks.unwrap_or_default(),
                    });
                    continue;
                }
            };
            let here = at.clone();
            let run = Run::of(&texts, &mut at)?;
            let (action, postcondition) = action::sql(texts, &run);
            match (actions.last_mut(), &action) {
                (Some(UndoAction { action: Action::Transaction(last), locks, .. }), Action::Transaction(next))
                    if !last.long && !next.long && !run.alone && !apart =>
                {
                    last.statements.extend(next.statements.clone());
                    action::join(&mut impact, run.impact);
                    *locks = steps::locks(&impact, &begun);
                }
                _ => {
                    (impact, begun) = (run.impact, here);
                    actions.push(UndoAction { action, postcondition, locks: steps::locks(&impact, &begun) });
                }
            }
        }
    }
    Some(actions)
}

/// Effects outside the schema that nothing here undoes.
fn outside(node: &NodeEnum) -> Option<String> {
    let what = match node {
        // What it does to the schema is known, or the step would be unforeseeable.
        NodeEnum::DoStmt(block) => match do_statements(block) {
            Some(statements) => return statements.iter().find_map(outside),
            None => "what the code did is not known",
        },
        NodeEnum::CallStmt(_) => "what the code did is not known",
        NodeEnum::AlterSystemStmt(_) => "the former setting of the server is not known",
        NodeEnum::AlterDatabaseStmt(_)
        | NodeEnum::AlterDatabaseSetStmt(_)
        | NodeEnum::CreatedbStmt(_)
        | NodeEnum::DropdbStmt(_) => "databases are not a part of the schema",
        NodeEnum::CreateRoleStmt(_)
        | NodeEnum::AlterRoleStmt(_)
        | NodeEnum::AlterRoleSetStmt(_)
        | NodeEnum::DropRoleStmt(_)
        | NodeEnum::GrantRoleStmt(_) => "roles are not a part of the schema",
        NodeEnum::CreateTableSpaceStmt(_) | NodeEnum::DropTableSpaceStmt(_) => {
            "tablespaces are not a part of the schema"
        }
        NodeEnum::SecLabelStmt(_) => "the former security label is not known",
        node if is_unmodelled(node) => "objects of this kind are not a part of the schema that is compared",
        _ => return None,
    };
    Some(what.to_owned())
}

/// Kinds of objects that the catalog does not hold, so that no difference of catalogs shows what became of them.
fn is_unmodelled(node: &NodeEnum) -> bool {
    let kind = |kind: ObjectType| {
        matches!(
            kind,
            ObjectType::ObjectAccessMethod
                | ObjectType::ObjectCollation
                | ObjectType::ObjectConversion
                | ObjectType::ObjectFdw
                | ObjectType::ObjectForeignServer
                | ObjectType::ObjectLanguage
                | ObjectType::ObjectLargeobject
                | ObjectType::ObjectOpclass
                | ObjectType::ObjectOperator
                | ObjectType::ObjectOpfamily
                | ObjectType::ObjectSubscription
                | ObjectType::ObjectTransform
                | ObjectType::ObjectTsconfiguration
                | ObjectType::ObjectTsdictionary
                | ObjectType::ObjectTsparser
                | ObjectType::ObjectTstemplate
                | ObjectType::ObjectUserMapping
        )
    };
    match node {
        NodeEnum::DefineStmt(define) => kind(define.kind()),
        NodeEnum::DropStmt(drop) => kind(drop.remove_type()),
        NodeEnum::RenameStmt(rename) => kind(rename.rename_type()),
        NodeEnum::AlterOwnerStmt(owner) => kind(owner.object_type()),
        NodeEnum::CommentStmt(comment) => kind(comment.objtype()),
        NodeEnum::GrantStmt(grant) => kind(grant.objtype()),
        NodeEnum::AlterObjectSchemaStmt(moved) => {
            kind(moved.object_type()) || moved.object_type() == ObjectType::ObjectExtension
        }
        NodeEnum::CreateFdwStmt(_)
        | NodeEnum::AlterFdwStmt(_)
        | NodeEnum::CreateForeignServerStmt(_)
        | NodeEnum::AlterForeignServerStmt(_)
        | NodeEnum::CreateUserMappingStmt(_)
        | NodeEnum::AlterUserMappingStmt(_)
        | NodeEnum::DropUserMappingStmt(_)
        | NodeEnum::CreateOpClassStmt(_)
        | NodeEnum::CreateOpFamilyStmt(_)
        | NodeEnum::AlterOpFamilyStmt(_)
        | NodeEnum::AlterOperatorStmt(_)
        | NodeEnum::CreateConversionStmt(_)
        | NodeEnum::AlterTsdictionaryStmt(_)
        | NodeEnum::AlterTsconfigurationStmt(_)
        | NodeEnum::AlterCollationStmt(_)
        | NodeEnum::CreateAmStmt(_)
        | NodeEnum::CreatePlangStmt(_)
        | NodeEnum::CreateTransformStmt(_)
        | NodeEnum::CreateSubscriptionStmt(_)
        | NodeEnum::AlterSubscriptionStmt(_)
        | NodeEnum::DropSubscriptionStmt(_)
        | NodeEnum::ImportForeignSchemaStmt(_) => true,
        _ => false,
    }
}

/// A column of rows that are there whose values an expression of the author computed: a cast back to the former type is
/// not what turns that round.
fn without_inverse(node: &NodeEnum, before: &Catalog) -> Option<String> {
    let NodeEnum::AlterTableStmt(alter) = node else {
        return None;
    };
    let table = Resolver::new(before).relation(alter.relation.as_ref()?)?;
    if table.relation.stats.empty {
        return None;
    }
    alter.cmds.iter().find_map(|command| match &command.node {
        Some(NodeEnum::AlterTableCmd(command)) if command.subtype() == AlterTableType::AtAlterColumnType => {
            let Some(NodeEnum::ColumnDef(clause)) = command.def.as_ref()?.node.as_ref() else {
                return None;
            };
            let using = clause.raw_default.as_deref()?;
            (!only_casts(using)).then(|| {
                let column = quote::ident(&command.name);
                format!("the expression that made the values of {column} of {} has no inverse", table.name)
            })
        }
        _ => None,
    })
}

/// Whether the expression is a column under nothing but casts.
fn only_casts(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::ColumnRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(only_casts),
        Some(NodeEnum::CollateClause(clause)) => clause.arg.as_deref().is_some_and(only_casts),
        _ => false,
    }
}

fn retypes(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::AlterTableStmt(statement) => statement.cmds.iter().any(|command| match &command.node {
            Some(NodeEnum::AlterTableCmd(command)) => command.subtype() == AlterTableType::AtAlterColumnType,
            _ => false,
        }),
        _ => false,
    }
}
