//! What hangs on a column, made anew on another one beside it: indexes, checks, foreign keys, NOT NULL.
//!
//! The definitions come from the wanted catalog with the column renamed, so that whatever the server prints of an
//! index or constraint is carried over.

use std::collections::BTreeMap;

use pg_query::NodeEnum;

use super::super::parts;
use super::script::{Script, run};
use crate::catalog::{Catalog, Constraint, ConstraintKind, Index, Name, Relation, RelationKind};
use crate::plan::expand::single;
use crate::plan::model::Stage;
use crate::plan::names;
use crate::sql::{quote, render};

/// A statement that makes a twin.
pub(super) struct Making {
    /// What the step is for.
    pub stage: Stage,
    /// The second half of the step's id.
    pub slug: &'static str,
    /// One sentence.
    pub description: String,
    /// The statement.
    pub sql: String,
    /// Whether the patterns have to make it safe.
    pub raw: bool,
}

/// What was made, under names of its own, with the names it shall have.
#[derive(Default)]
pub(super) struct Twins {
    /// Index and the index that it is the twin of, with the constraint behind that.
    pub indexes: Vec<(Name, Name, Option<Constraint>)>,
    /// Table, constraint, and the constraint that it is the twin of.
    pub constraints: Vec<(Name, String, String)>,
    /// The statements.
    pub makings: Vec<Making>,
}

/// Whether the index is on the column in any way.
pub(super) fn is_on(index: &Index, column: &str) -> bool {
    index.keys.iter().any(|key| key.column.as_deref() == Some(column))
        || index.include.iter().chain(&index.expression_columns).any(|name| name == column)
}

/// Indexes of the table that are on the column.
pub(super) fn indexes<'c>(
    catalog: &'c Catalog,
    table: &Name,
    column: &str,
) -> Vec<(&'c Name, &'c Relation, &'c Index)> {
    let all = catalog.relations.referring_to(table);
    all.filter_map(|(name, relation)| Some((name, relation, relation.index.as_deref()?)))
        .filter(|(_, _, index)| index.table == *table && is_on(index, column))
        .collect()
}

/// Foreign keys from and to the column, with their tables.
pub(super) fn foreign_keys<'c>(catalog: &'c Catalog, table: &Name, column: &str) -> Vec<(&'c Name, &'c Constraint)> {
    let on = |owner: &Name, constraint: &Constraint| match &constraint.kind {
        ConstraintKind::ForeignKey { references, referenced_columns, .. } => {
            owner == table && constraint.columns.iter().any(|name| name == column)
                || references == table && referenced_columns.iter().any(|name| name == column)
        }
        _ => false,
    };
    let of = |(owner, relation): (&'c Name, &'c Relation)| {
        let own = relation.constraints.iter().filter(move |constraint| on(owner, constraint));
        own.map(move |constraint| (owner, constraint))
    };
    // The table's own foreign keys need not point at it.
    let all: BTreeMap<&Name, &Relation> =
        catalog.relations.referring_to(table).chain(catalog.relations.get_key_value(table)).collect();
    all.into_iter().flat_map(of).collect()
}

/// Checks on the column.
pub(super) fn checks<'c>(relation: &'c Relation, column: &str) -> Vec<&'c Constraint> {
    let on = |constraint: &&Constraint| {
        matches!(constraint.kind, ConstraintKind::Check { .. }) && constraint.columns.iter().any(|name| name == column)
    };
    relation.constraints.iter().filter(on).collect()
}

/// The not-null constraint of the column, where such have names (18).
pub(super) fn not_null<'c>(relation: &'c Relation, column: &str) -> Option<&'c Constraint> {
    let on = |constraint: &&Constraint| {
        constraint.kind == ConstraintKind::NotNull && constraint.columns.first().map(String::as_str) == Some(column)
    };
    relation.constraints.iter().find(on)
}

/// Makes on `shadow` what `wanted` has on `live`, in the table that comes first among `members` and in its partitions.
/// `None` when something has no twin.
pub(super) fn make(
    script: &mut Script,
    members: &[Name],
    (live, shadow): (&str, &str),
    wanted: &Catalog,
) -> Option<Twins> {
    let table = members.first()?;
    let mut renamed = wanted.clone();
    let (from, to) = (quote::ident(live), quote::ident(shadow));
    run(&mut renamed, &format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"))?;
    let mut twins = Twins::default();
    for member in members {
        let relation = wanted.relations.get(member)?;
        // What the table has its partitions have by then.
        if !relation.column(live)?.not_null || script.catalog.relations.get(member)?.column(shadow)?.not_null {
            continue;
        }
        if not_null(relation, live).is_some_and(|constraint| !constraint.validated) {
            return None;
        }
        let sql = format!("ALTER TABLE {member} ALTER COLUMN {to} SET NOT NULL");
        script.run(sql.clone())?;
        twins.makings.push(Making {
            stage: Stage::Validate,
            slug: "set-not-null",
            description: format!("Makes {to} of {member} not null"),
            sql,
            raw: true,
        });
    }
    let whole = |index: &Index| index.parent.is_none();
    let of_members = members.iter().flat_map(|member| indexes(wanted, member, live));
    for (name, relation, index) in of_members.filter(|(_, _, index)| whole(index)) {
        let constraint = match &index.constraint {
            Some(constraint) => Some(wanted.relations.get(table)?.constraint(constraint)?.clone()),
            None => None,
        };
        let keyed = |known: &Constraint| matches!(known.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique);
        let partitioned = relation.kind == RelationKind::PartitionedIndex;
        if !index.valid || !constraint.as_ref().is_none_or(keyed) || partitioned && constraint.is_some() {
            return None;
        }
        let twin = names::relation(&script.catalog, &index.table, &suffix(&index.table, &name.name), "new");
        let NodeEnum::IndexStmt(mut statement) = single(&renamed.relations.get(name)?.index.as_ref()?.definition)?.node
        else {
            return None;
        };
        statement.idxname.clone_from(&twin.name);
        statement.concurrent = !partitioned;
        // The server prints it for the partitioned table alone.
        statement.relation.as_mut()?.inh = true;
        statement.table_space.clone_from(&relation.tablespace);
        let sql = render::render(&NodeEnum::IndexStmt(statement))?;
        script.run(sql.clone())?;
        twins.makings.push(Making {
            stage: Stage::Expand,
            slug: "create-index",
            description: format!("Builds the twin of index {name} while reads and writes go on"),
            sql,
            raw: partitioned,
        });
        twins.parts(&script.catalog, &twin, name, wanted)?;
        twins.indexes.push((twin, name.clone(), constraint));
    }
    for member in members {
        for constraint in checks(wanted.relations.get(member)?, live).into_iter().filter(|check| check.inherited == 0) {
            twins.constraint(script, member, renamed.relations.get(member)?.constraint(&constraint.name)?)?;
        }
    }
    for (owner, constraint) in foreign_keys(wanted, table, live) {
        let ConstraintKind::ForeignKey { from_parent: false, .. } = constraint.kind else { return None };
        twins.constraint(script, owner, renamed.relations.get(owner)?.constraint(&constraint.name)?)?;
    }
    Some(twins)
}

impl Twins {
    /// The parts of a partitioned index, which the server made with it.
    fn parts(&mut self, catalog: &Catalog, twin: &Name, original: &Name, wanted: &Catalog) -> Option<()> {
        let parts = |catalog: &Catalog, of: &Name| -> Vec<(Name, Name)> {
            let all = catalog.relations.iter().filter_map(|(name, relation)| Some((name, relation.index.as_deref()?)));
            let own = all.filter(|(_, index)| index.parent.as_ref() == Some(of));
            own.map(|(name, index)| (index.table.clone(), name.clone())).collect()
        };
        let originals = parts(wanted, original);
        for (table, part) in parts(catalog, twin) {
            let (_, name) = originals.iter().find(|(of, _)| *of == table)?;
            self.parts(catalog, &part, name, wanted)?;
            self.indexes.push((part, name.clone(), None));
        }
        Some(())
    }

    /// The twin of a check or foreign key: for new rows first, then proven.
    fn constraint(&mut self, script: &mut Script, table: &Name, constraint: &Constraint) -> Option<()> {
        let twin = names::constraint(&script.catalog, table, &suffix(table, &constraint.name), "new");
        let (quoted, original) = (quote::ident(&twin), quote::ident(&constraint.name));
        let proven = constraint.validated && constraint.enforced;
        let not_valid = if proven { " NOT VALID" } else { "" };
        let sql = format!("ALTER TABLE {table} ADD CONSTRAINT {quoted} {}{not_valid}", constraint.definition);
        script.run(sql.clone())?;
        self.makings.push(Making {
            stage: Stage::Expand,
            slug: "add-constraint",
            description: format!("Adds the twin of constraint {original} of {table} for new rows"),
            sql,
            raw: false,
        });
        if proven {
            let sql = parts::validate(table, &twin);
            script.run(sql.clone())?;
            self.makings.push(Making {
                stage: Stage::Validate,
                slug: "validate",
                description: format!("Reads {table} to prove {quoted} while reads and writes go on"),
                sql,
                raw: false,
            });
        }
        self.constraints.push((table.clone(), twin, constraint.name.clone()));
        Some(())
    }
}

/// The part of an object's name behind its table's.
fn suffix(table: &Name, name: &str) -> String {
    let rest = name.strip_prefix(table.name.as_str()).and_then(|rest| rest.strip_prefix('_'));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(name).to_owned()
}
