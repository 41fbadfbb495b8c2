//! INHERIT, NO INHERIT, OF and NOT OF.

use pg_query::protobuf::{RangeVar, TypeName};

use super::work::Work;
use crate::catalog::{Constraint, ConstraintKind, RelationKind, TypeKind};
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::{missing_object, missing_relation};
use crate::plan::analyze::resolve::{Lookup, Rel};
use crate::plan::analyze::{lookup::TypeLookup, refusal};
use crate::plan::lock::LockMode;

fn find<'a>(work: &mut Work<'_, 'a>, name: &RangeVar) -> Option<Rel<'a>> {
    match work.resolver.lookup(name) {
        Lookup::Found(found) => Some(found),
        Lookup::System => None,
        Lookup::Missing => {
            missing_relation(&mut work.impact, Qualified::from_range(name));
            None
        }
    }
}

pub(super) fn add<'a>(work: &mut Work<'_, 'a>, child: Rel<'a>, parent: &RangeVar) {
    if child.relation.of_type.is_some() {
        work.impact.refuse("42809", "cannot change inheritance of typed table", "Use NOT OF first.");
    }
    if child.relation.partition_bound.is_some() {
        work.impact.refuse("42809", "cannot change inheritance of a partition", "Detach it first.");
    }
    if child.relation.kind == RelationKind::PartitionedTable {
        let message = "cannot change inheritance of partitioned table";
        work.impact.refuse("42809", message, "Partitioned tables have partitions only.");
    }
    let Some(parent) = find(work, parent) else { return };
    work.lock_with(parent, LockMode::ShareUpdateExclusive);
    if !matches!(
        parent.relation.kind,
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable
    ) {
        let message = format!("ALTER action INHERIT cannot be performed on relation \"{}\"", parent.name.name);
        work.impact.refuse("42809", message, "Inherit from a table.");
        return;
    }
    if parent.relation.kind == RelationKind::PartitionedTable {
        let message = format!("cannot inherit from partitioned table \"{}\"", parent.name.name);
        work.impact.refuse("42809", message, "Use ATTACH PARTITION.");
    }
    if parent.relation.partition_bound.is_some() {
        let message = "cannot inherit from a partition";
        work.impact.refuse("42809", message, "Inherit from a plain table.");
    }
    // The server looks for a circle below the child.
    for below in work.resolver.descendants(child) {
        work.lock_with(below, LockMode::AccessShare);
    }
    if work.resolver.tree(child).contains(&parent) {
        work.impact.refuse("42P07", "circular inheritance not allowed", "The parent inherits from the child already.");
    }
    if child.relation.parents.contains(parent.name) {
        let message = format!("relation \"{}\" would be inherited from more than once", parent.name.name);
        work.impact.refuse("42P07", message, "Leave the statement out.");
    }
    merge(work, child, parent);
}

/// What a child must have before it becomes one: the parent's columns, NOT NULLs and checks (`MergeAttributesIntoExisting`,
/// `MergeConstraintsIntoExisting`).
pub(super) fn merge<'a>(work: &mut Work<'_, 'a>, child: Rel<'a>, parent: Rel<'a>) {
    for wanted in &parent.relation.columns {
        let name = &wanted.name;
        let Some(own) = child.relation.column(name) else {
            let message = format!("child table is missing column \"{name}\"");
            work.impact.refuse("42804", message, "Add the column to the child first.");
            continue;
        };
        if own.data_type != wanted.data_type {
            let message = format!("child table \"{}\" has different type for column \"{name}\"", child.name.name);
            work.impact.refuse("42804", message, "Give both columns the same type.");
        }
        if own.collation != wanted.collation {
            let message = format!("child table \"{}\" has different collation for column \"{name}\"", child.name.name);
            work.impact.refuse("42P21", message, "Give both columns the same collation.");
        }
        let inheritable = !parent.relation.constraints.iter().any(|constraint| {
            constraint.kind == ConstraintKind::NotNull && constraint.no_inherit && constraint.columns == [name.as_str()]
        });
        if wanted.not_null && inheritable && !own.not_null {
            let message = format!("column \"{name}\" in child table must be marked NOT NULL");
            work.impact.refuse("42804", message, "Make the child's column NOT NULL first.");
        }
        let not_null = |rel: Rel<'a>| {
            let mut constraints = rel.relation.constraints.iter();
            constraints
                .find(|constraint| constraint.kind == ConstraintKind::NotNull && constraint.columns == [name.as_str()])
        };
        if let (Some(wanted), Some(own)) = (not_null(parent).filter(|_| inheritable), not_null(child)) {
            refuse_weaker_not_null(work, child, wanted, own);
        }
        if wanted.generated.is_some() != own.generated.is_some() {
            let message = format!("column \"{name}\" in child table must be a generated column as in the parent");
            work.impact.refuse("42804", message, "Define the column alike in both.");
        }
    }
    for wanted in &parent.relation.constraints {
        let ConstraintKind::Check { .. } = wanted.kind else { continue };
        if wanted.no_inherit {
            continue;
        }
        match child.relation.constraint(&wanted.name) {
            None => {
                let message = format!("child table is missing constraint \"{}\"", wanted.name);
                work.impact.refuse("42804", message, "Add the constraint to the child first.");
            }
            Some(own) if own.kind != wanted.kind => {
                let message = format!(
                    "child table \"{}\" has different definition for check constraint \"{}\"",
                    child.name.name, wanted.name
                );
                work.impact.refuse("42804", message, "Define the constraint alike in both.");
            }
            Some(own) if own.no_inherit => {
                let message = format!(
                    "constraint \"{}\" conflicts with non-inherited constraint on child table \"{}\"",
                    wanted.name, child.name.name
                );
                work.impact.refuse("42P17", message, "Drop the child's constraint first.");
            }
            Some(own) if wanted.validated && own.enforced && !own.validated => {
                let message = format!(
                    "constraint \"{}\" conflicts with NOT VALID constraint on child table \"{}\"",
                    wanted.name, child.name.name
                );
                work.impact.refuse("42P17", message, "Validate the child's constraint first.");
            }
            Some(_) => {}
        }
    }
}

/// A child's own not-null constraint does not promise less than the parent's.
fn refuse_weaker_not_null<'a>(work: &mut Work<'_, 'a>, child: Rel<'a>, wanted: &Constraint, own: &Constraint) {
    let table = &child.name.name;
    if own.no_inherit {
        let message =
            format!("constraint \"{}\" conflicts with non-inherited constraint on child table \"{table}\"", own.name);
        work.impact.refuse("42P17", message, "Alter the child's constraint to INHERIT first.");
    } else if wanted.validated && !own.validated {
        let message =
            format!("constraint \"{}\" conflicts with NOT VALID constraint on child table \"{table}\"", own.name);
        work.impact.refuse("42P17", message, "Validate the child's constraint first.");
    }
}

pub(super) fn drop<'a>(work: &mut Work<'_, 'a>, child: Rel<'a>, parent: &RangeVar) {
    if child.relation.partition_bound.is_some() {
        work.impact.refuse("42809", "cannot change inheritance of a partition", "Use DETACH PARTITION.");
    }
    let Some(parent) = find(work, parent) else { return };
    work.lock_with(parent, LockMode::AccessShare);
    if !child.relation.parents.contains(parent.name) {
        let message = format!("relation \"{}\" is not a parent of relation \"{}\"", parent.name.name, child.name.name);
        work.impact.refuse("42P01", message, "Leave the statement out.");
    }
}

/// The columns must be the type's, in name, type and order.
pub(super) fn add_of<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, of: &TypeName) {
    let found = work.resolver.type_named(of);
    if !table.relation.parents.is_empty() {
        work.impact.refuse("42809", "typed tables cannot inherit", "Use NO INHERIT first.");
    }
    let TypeLookup::User(name, user_type) = found else {
        if matches!(found, TypeLookup::Missing)
            && let Some(shown) = Qualified::from_type(of)
        {
            missing_object(&mut work.impact, "type", &shown.shown());
        }
        return;
    };
    let TypeKind::Composite { attributes } = &user_type.kind else {
        refusal::wrong_kind(&mut work.impact, &name.name, "a composite type");
        return;
    };
    work.impact.lock(name.clone(), LockMode::AccessShare);
    let mut columns = table.relation.columns.iter();
    for attribute in attributes {
        match columns.next() {
            None => {
                let message = format!("table is missing column \"{}\"", attribute.name);
                work.impact.refuse("42804", message, "Add the column to the table first.");
            }
            Some(column) if column.name != attribute.name => {
                let message =
                    format!("table has column \"{}\" where type requires \"{}\"", column.name, attribute.name);
                work.impact.refuse("42804", message, "Give the table the type's columns.");
            }
            Some(column) if column.data_type != attribute.data_type => {
                let message =
                    format!("table \"{}\" has different type for column \"{}\"", table.name.name, column.name);
                work.impact.refuse("42804", message, "Give both the same type.");
            }
            Some(_) => {}
        }
    }
    if let Some(column) = columns.next() {
        let message = format!("table has extra column \"{}\"", column.name);
        work.impact.refuse("42804", message, "Drop the column first.");
    }
}

pub(super) fn drop_of<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>) {
    if table.relation.of_type.is_none() {
        let message = format!("\"{}\" is not a typed table", table.name.name);
        work.impact.refuse("42809", message, "Leave the statement out.");
    }
}
