//! The statements that turn one catalog into another, from the definitions that the catalogs hold. One file for
//! each kind of object.
//!
//! They are plain statements: making them safe for a table in use is the planner's business. Renames do not
//! occur here (two catalogs cannot tell a rename from a drop and a new object).

mod acl;
mod column;
mod constraint;
mod held;
mod index;
mod order;
mod relation;
mod routine;
pub(in crate::plan) mod sequence;
mod table;
mod types;
mod view;

pub(in crate::plan) use column::{collation_name, identity_clause};

use pg_query::protobuf::ObjectType;

use super::lost::Lost;
use super::obstacles::{self, around};
use crate::catalog::{Catalog, Difference, Name, Relation, RelationKind};

/// Objects of `from` that need not be undone because something else removes them.
pub(super) trait Skip {
    /// The relation.
    fn relation(&self, name: &Name) -> bool;
    /// A column of a relation.
    fn column(&self, table: &Name, column: &str) -> bool;
    /// A constraint of a relation.
    fn constraint(&self, table: &Name, constraint: &str) -> bool;
    /// A type.
    fn user_type(&self, name: &Name) -> bool;
    /// A function, of whatever arguments.
    fn function(&self, name: &Name) -> bool;
    /// Whether something else removes the relation, if not in time.
    fn goes(&self, name: &Name) -> bool {
        self.relation(name)
    }
    /// Whether the name of a relation is needed before that happens, so that the relation has to go by itself.
    fn needed_relation(&self, name: &Name) -> bool;
    /// Like [`Self::needed_relation`], for a constraint.
    fn needed_constraint(&self, table: &Name, constraint: &str) -> bool;
}

/// What a script does at which point. The order of the variants is the order of execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    ClearTheWay,
    DropAttached,
    DropRoutineOnView,
    DropView,
    DropForeignKey,
    DropConstraint,
    DropNotNull,
    DropLeft,
    DropIndex,
    DropRoutineOnTable,
    DropColumn,
    DropTable,
    DropOperator,
    DropType,
    DropSequence,
    DropUnseen,
    DropSchema,
    CreateSchema,
    CreateSequence,
    CreateType,
    CreateTable,
    Column,
    Own,
    DropFormerType,
    Constraint,
    Index,
    Partition,
    ForeignKey,
    RoutineOnTable,
    CreateView,
    RoutineOnView,
    Attach,
    Facts,
}

/// Statements with what they cannot bring back.
#[derive(Clone, Debug, Default)]
pub struct Script {
    statements: Vec<(Phase, String)>,
    /// Data that the statements do not restore, for people.
    pub lost: Vec<String>,
    /// Differences that have no statement, for people.
    pub gaps: Vec<String>,
    /// Values without which it cannot run, and which are still there at its beginning.
    pub needed: Vec<Needed>,
}

/// Values of a column that an undo needs. A later step that removes them leaves no way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Table.
    pub table: Name,
    /// Column.
    pub column: String,
    /// What they are needed for, for people.
    pub why: String,
}

impl Script {
    fn add(&mut self, phase: Phase, statement: impl Into<String>) {
        let statement = statement.into();
        if !self.statements.iter().any(|(_, known)| *known == statement) {
            self.statements.push((phase, statement));
        }
    }

    fn gap(&mut self, what: impl Into<String>) {
        self.gaps.push(what.into());
    }

    fn lose(&mut self, what: impl Into<String>) {
        self.lost.push(what.into());
    }

    /// Drops objects that no catalog shows: operators before the functions that they are made of, others behind all that
    /// may use them.
    pub fn drop_unseen(&mut self, kind: ObjectType, statement: String) {
        let phase = if kind == ObjectType::ObjectOperator { Phase::DropOperator } else { Phase::DropUnseen };
        self.add(phase, statement);
    }

    /// In the order of execution.
    pub fn statements(mut self) -> Vec<String> {
        self.statements.sort_by_key(|(phase, _)| *phase);
        self.statements.into_iter().map(|(_, statement)| statement).collect()
    }
}

/// The two ends of a script.
struct Ends<'a> {
    from: &'a Catalog,
    to: &'a Catalog,
    skip: &'a dyn Skip,
    /// What has lost its values when the way back begins, where that is known.
    lost: Option<&'a Lost>,
}

impl<'a> Ends<'a> {
    /// Relations of both ends that differ in more than their size.
    fn changed(&self) -> impl Iterator<Item = (&'a Name, &'a Relation, &'a Relation)> {
        self.differences().filter_map(|(name, old, new)| {
            let (old, new) = (old?, new?);
            (old != new).then_some((name, old, new))
        })
    }

    fn gone(&self) -> impl Iterator<Item = (&'a Name, &'a Relation)> {
        self.differences().filter_map(|(name, old, new)| old.filter(|_| new.is_none()).map(|old| (name, old)))
    }

    fn come(&self) -> impl Iterator<Item = (&'a Name, &'a Relation)> {
        self.differences().filter_map(|(name, old, new)| new.filter(|_| old.is_none()).map(|new| (name, new)))
    }

    /// Whether the relation is gone, with its values, when the script runs or before.
    fn loses(&self, relation: &Name) -> bool {
        !self.from.relations.contains_key(relation) || self.lost.is_some_and(|lost| lost.table(relation))
    }

    /// Says that the unique key `key` of `to` needs the values of a column, which something removes.
    fn key_needs(&self, script: &mut Script, table: &Name, column: &str, key: &str) {
        let why = column::no_keys(table, column, key);
        if self.from.relations.get(table).is_some_and(|relation| relation.column(column).is_some()) {
            script.needed.push(Needed { table: table.clone(), column: column.to_owned(), why });
        } else {
            script.gap(why);
        }
    }

    /// Whether the column of `to` is brought back to rows that are there, and has none of their values.
    fn loses_column(&self, table: &Name, column: &str) -> bool {
        let has_rows = |catalog: &'a Catalog| catalog.relations.get(table).filter(|relation| !relation.stats.empty);
        has_rows(self.from).is_some_and(|relation| relation.column(column).is_none())
            || self.lost.is_some_and(|lost| lost.column(table, column)) && has_rows(self.to).is_some()
    }

    fn differences(&self) -> impl Iterator<Item = Difference<'a>> {
        self.from.relations.differences(&self.to.relations)
    }
}

/// What turns `from` into `to`, as plain statements in the order of execution.
pub fn between(from: &Catalog, to: &Catalog) -> Script {
    between_without(from, to, &Nothing, None)
}

/// Skips nothing.
struct Nothing;

impl Skip for Nothing {
    fn relation(&self, _: &Name) -> bool {
        false
    }
    fn column(&self, _: &Name, _: &str) -> bool {
        false
    }
    fn constraint(&self, _: &Name, _: &str) -> bool {
        false
    }
    fn user_type(&self, _: &Name) -> bool {
        false
    }
    fn function(&self, _: &Name) -> bool {
        false
    }
    fn needed_relation(&self, _: &Name) -> bool {
        false
    }
    fn needed_constraint(&self, _: &Name, _: &str) -> bool {
        false
    }
}

/// [`between`] without what something else turns back, where `lost` has lost its values by the time that the script runs.
pub(super) fn between_without(from: &Catalog, to: &Catalog, skip: &dyn Skip, lost: Option<&Lost>) -> Script {
    let mut script = Script::default();
    let cleared = cleared(from, to, &mut script);
    let from = cleared.as_ref().unwrap_or(from);
    let skip = &held::Held::new(from, to, skip);
    let ends = Ends { from, to, skip, lost };
    types::schemas(&ends, &mut script);
    order::types_and_routines(&ends, &mut script);
    relation::drops(&ends, &mut script);
    relation::creates(&ends, &mut script);
    for (name, old, new) in ends.changed() {
        if skip.relation(name) {
            relation::release(&ends, name, old, &mut script);
            constraint::release_names(&ends, name, old, new, &mut script);
        } else {
            relation::change(&ends, name, old, new, &mut script);
        }
    }
    types::others(&ends, &mut script);
    script
}

/// `from` without what keeps the types of columns, and the columns of views, from changing; it is made again as `to` has
/// it.
fn cleared(from: &Catalog, to: &Catalog, script: &mut Script) -> Option<Catalog> {
    let (mut retyped, mut reshaped) = (Vec::new(), Vec::new());
    for (name, old, new) in from.relations.differences(&to.relations) {
        let (Some(old), Some(new)) = (old, new) else { continue };
        if view::stands_in_the_way(from, name, old, new) {
            reshaped.push(name.clone());
        }
        if !old.kind.is_table() && old.kind != RelationKind::ForeignTable {
            continue;
        }
        let changed = old.columns.iter().filter(|column| {
            new.column(&column.name)
                .is_some_and(|other| other.data_type != column.data_type || other.collation != column.collation)
        });
        retyped.extend(changed.map(|column| (name.clone(), column.name.clone())));
    }
    if retyped.is_empty() && reshaped.is_empty() {
        return None;
    }
    let obstacles = around(from, &retyped, &reshaped).obstacles;
    if obstacles.is_empty() {
        return None;
    }
    // Where they cannot be dropped one by one, the statement on the column says what is in its way.
    let cleared = obstacles::clear(from, &obstacles).ok()?;
    for obstacle in &obstacles {
        script.add(Phase::ClearTheWay, obstacle.drop());
    }
    Some(cleared)
}
