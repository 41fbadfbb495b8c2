//! Constraints of tables, as `CREATE TABLE` and `ALTER TABLE` add them.

pub(super) mod check;
pub(super) mod drop;
pub(super) mod exclusion;
pub(super) mod foreign_key;
pub(super) mod not_null;
pub(super) mod unique;

use pg_query::protobuf::{self, ConstrType};

use super::edit::{Edit, Outcome, fail};
use crate::catalog::{Constraint, ConstraintKind, Name};

/// A constraint of a statement, column constraints with their column.
#[derive(Clone, Debug)]
pub(super) struct Wished {
    pub(super) node: protobuf::Constraint,
    /// The column of a column constraint.
    pub(super) column: Option<String>,
    /// Rows need not be checked: the table is new, or the column is.
    pub(super) new: bool,
}

impl Wished {
    pub(super) fn kind(&self) -> ConstrType {
        ConstrType::try_from(self.node.contype).unwrap_or(ConstrType::Undefined)
    }

    /// `convalidated`: of a new table everything enforced is valid.
    pub(super) fn validated(&self) -> bool {
        self.enforced() && (self.new || !self.node.skip_validation)
    }

    pub(super) fn enforced(&self) -> bool {
        // The grammar leaves it unset where NOT ENFORCED does not exist.
        self.node.is_enforced || self.kind() == ConstrType::ConstrNotnull
    }
}

/// A constraint with what the statement says about it and nothing else.
pub(super) fn basic(wished: &Wished, name: String, kind: ConstraintKind) -> Constraint {
    Constraint {
        name,
        kind,
        columns: Vec::new(),
        definition: String::new(),
        validated: wished.validated(),
        enforced: wished.enforced(),
        deferrable: wished.node.deferrable || wished.node.initdeferred,
        initially_deferred: wished.node.initdeferred,
        no_inherit: wished.node.is_no_inherit,
        local: true,
        inherited: 0,
        index: None,
        functions: Vec::new(),
        period: false,
        comment: None,
    }
}

/// What `pg_get_constraintdef` appends to any constraint.
pub(super) fn tail(constraint: &Constraint, major: i32) -> String {
    let mut out = String::new();
    if constraint.deferrable {
        out.push_str(" DEFERRABLE");
    }
    if constraint.initially_deferred {
        out.push_str(" INITIALLY DEFERRED");
    }
    if major >= 18 && !constraint.enforced {
        out.push_str(" NOT ENFORCED");
    } else if !constraint.validated {
        out.push_str(" NOT VALID");
    }
    out
}

/// Writes the definition anew from the constraint's facts.
pub(super) fn redefine(edit: &mut Edit<'_>, table: &Name, name: &str) -> Outcome {
    let Some(constraint) = edit.relation(table)?.constraint(name).cloned() else { return Ok(()) };
    let definition = definition(edit, &constraint)?;
    change(edit, table, name, |constraint| constraint.definition = definition)
}

fn definition(edit: &Edit<'_>, constraint: &Constraint) -> Outcome<String> {
    let major = edit.major();
    let body = match &constraint.kind {
        ConstraintKind::Check { expression } => check::body(expression, constraint.no_inherit),
        ConstraintKind::NotNull => not_null::body(&constraint.columns, constraint.no_inherit),
        ConstraintKind::PrimaryKey | ConstraintKind::Unique => unique::body(edit, constraint),
        ConstraintKind::ForeignKey { .. } => foreign_key::body(constraint),
        ConstraintKind::Exclusion => return exclusion::renewed(edit, constraint),
        ConstraintKind::Trigger => "TRIGGER".to_owned(),
    };
    Ok(format!("{body}{}", tail(constraint, major)))
}

/// Adds a constraint at its place in the order; its name must be free on the table.
pub(super) fn put(edit: &mut Edit<'_>, table: &Name, mut constraint: Constraint) -> Outcome {
    if edit.relation(table)?.constraint(&constraint.name).is_some() {
        fail!("constraint {} of {table} already exists", crate::sql::quote::ident(&constraint.name));
    }
    if constraint.definition.is_empty() {
        constraint.definition = definition(edit, &constraint)?;
    }
    let constraints = &mut edit.relation_mut(table)?.constraints;
    let at = constraints.partition_point(|other| other.name < constraint.name);
    constraints.insert(at, constraint);
    Ok(())
}

/// Changes a constraint of a table.
pub(super) fn change(edit: &mut Edit<'_>, table: &Name, name: &str, apply: impl FnOnce(&mut Constraint)) -> Outcome {
    let constraint = edit.relation_mut(table)?.constraints.iter_mut().find(|constraint| constraint.name == name);
    match constraint {
        Some(constraint) => {
            apply(constraint);
            Ok(())
        }
        None => fail!("constraint {} of {table} does not exist", crate::sql::quote::ident(name)),
    }
}

/// Makes a constraint of a child (also) an inherited one. Constraints of partitions are not their own any more.
pub(super) fn inherit(edit: &mut Edit<'_>, table: &Name, name: &str, partition: bool) -> Outcome {
    change(edit, table, name, |constraint| {
        constraint.inherited += 1;
        if partition {
            constraint.local = false;
        }
        if let ConstraintKind::ForeignKey { from_parent, .. } = &mut constraint.kind {
            *from_parent = true;
        }
    })
}

/// Adds constraints in the server's order: checks and not-nulls, indexes with the primary key first, foreign keys.
pub(super) fn add_all(edit: &mut Edit<'_>, table: &Name, wished: &[Wished], recurse: bool) -> Outcome {
    for wish in wished.iter().filter(|wish| wish.kind() == ConstrType::ConstrCheck) {
        check::add(edit, table, wish, recurse)?;
    }
    for wish in wished.iter().filter(|wish| wish.kind() == ConstrType::ConstrNotnull) {
        not_null::add(edit, table, wish, recurse)?;
    }
    let is_index = |wish: &&Wished| {
        matches!(wish.kind(), ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion)
    };
    let (primary, others): (Vec<&Wished>, Vec<&Wished>) =
        wished.iter().filter(is_index).partition(|wish| wish.kind() == ConstrType::ConstrPrimary);
    let mut seen: Vec<&Wished> = Vec::new();
    for wish in primary.into_iter().chain(others) {
        // The server makes one index of two equal wishes.
        if seen.iter().any(|other| unique::makes_same_index(other, wish)) {
            continue;
        }
        match wish.kind() {
            ConstrType::ConstrExclusion => exclusion::add(edit, table, wish)?,
            _ => unique::add(edit, table, wish, recurse)?,
        }
        seen.push(wish);
    }
    for wish in wished.iter().filter(|wish| wish.kind() == ConstrType::ConstrForeign) {
        foreign_key::add(edit, table, wish, recurse)?;
    }
    Ok(())
}
