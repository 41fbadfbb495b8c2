//! ADD CONSTRAINT: CHECK here, the other kinds in files of their own.

use pg_query::protobuf::{ConstrType, Constraint};

use super::column::members;
use super::work::Work;
use super::{expressions, foreign_key, key, not_null};
use crate::catalog::{self, ConstraintKind};
use crate::plan::analyze::names::strings;
use crate::plan::analyze::resolve::Rel;
use crate::plan::model::HazardId;

pub(super) fn add<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, constraint: &Constraint, recurse: bool) {
    // From 18 on the children are locked before the server sees whether they have a part in it.
    if recurse && work.major() >= 18 {
        members(work, root, true);
    }
    match constraint.contype() {
        ConstrType::ConstrCheck => add_check(work, root, constraint, constraint.is_enforced, recurse),
        ConstrType::ConstrNotnull => not_null::add_constraint(work, root, constraint, recurse),
        ConstrType::ConstrPrimary | ConstrType::ConstrUnique if !constraint.indexname.is_empty() => {
            key::using_index(work, root, constraint, recurse);
        }
        ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion => {
            let columns: Vec<String> = strings(&constraint.keys).into_iter().map(str::to_owned).collect();
            key::add(work, root, constraint, &columns, recurse);
        }
        ConstrType::ConstrForeign => {
            let columns: Vec<String> = strings(&constraint.fk_attrs).into_iter().map(str::to_owned).collect();
            let spec = foreign_key::Spec {
                constraint,
                columns: &columns,
                enforced: constraint.is_enforced,
                checked: !constraint.skip_validation,
                of_column: false,
            };
            foreign_key::add(work, root, &spec, recurse);
        }
        _ => work.impact.merge(crate::plan::analyze::Impact::unanalyzable("this kind of constraint has no rule")),
    }
}

/// 42710 when the table has a constraint of that name.
pub(super) fn require_free_name<'a>(work: &mut Work<'_, 'a>, rel: Rel<'a>, name: &str) {
    if !name.is_empty() && work.now(rel).constraint(name).is_some() {
        let message = format!("constraint \"{name}\" for relation \"{}\" already exists", rel.name.name);
        work.impact.refuse("42710", message, "Choose another name, or drop the existing constraint first.");
    }
}

/// A constraint as the rest of the statement sees it.
pub(super) fn remember<'a>(
    work: &mut Work<'_, 'a>,
    rel: Rel<'a>,
    name: &str,
    kind: ConstraintKind,
    columns: &[String],
) {
    if name.is_empty() && !matches!(kind, ConstraintKind::PrimaryKey) {
        return;
    }
    work.change(rel).constraints.push(catalog::Constraint {
        name: name.to_owned(),
        kind,
        columns: columns.to_vec(),
        definition: String::new(),
        validated: false,
        enforced: true,
        deferrable: false,
        initially_deferred: false,
        no_inherit: false,
        local: true,
        inherited: 0,
        index: None,
        functions: Vec::new(),
        period: false,
        comment: None,
    });
}

/// `enforced` is given apart because a column's constraint has it in a node of its own.
pub(super) fn add_check<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    constraint: &Constraint,
    enforced: bool,
    recurse: bool,
) {
    require_free_name(work, root, &constraint.conname);
    let functions = match constraint.raw_expr.as_deref() {
        Some(expression) => expressions::check(work, root, expression),
        None => Vec::new(),
    };
    if constraint.is_no_inherit && root.relation.partition_key.is_some() {
        let message = format!("cannot add NO INHERIT constraint to partitioned table \"{}\"", root.name.name);
        work.impact.refuse("42P16", message, "Leave out NO INHERIT.");
    }
    let children = !work.resolver.children(root.name).is_empty();
    if !recurse && children && !constraint.is_no_inherit {
        work.impact.refuse(
            "42P16",
            "constraint must be added to child tables too",
            "Leave out ONLY, or use NO INHERIT.",
        );
    }
    let checked = enforced && !constraint.skip_validation;
    for member in members(work, root, recurse && !constraint.is_no_inherit) {
        if member != root && merges(work, member, constraint, enforced) {
            continue;
        }
        if checked {
            work.verify(member);
            work.runs(member, &functions);
            let message = format!("the statement fails if a row of {} violates the check", member.name);
            work.impact.hazard(HazardId::MayFail, Some(member.name), message);
        }
    }
    remember(work, root, &constraint.conname, ConstraintKind::Check { expression: String::new() }, &[]);
}

/// A child that has the same check already keeps it, unless it would promise less than the parent's.
fn merges<'a>(work: &mut Work<'_, 'a>, child: Rel<'a>, constraint: &Constraint, enforced: bool) -> bool {
    let checked = enforced && !constraint.skip_validation;
    let existing = child.relation.constraint(&constraint.conname);
    let Some(existing) = existing.filter(|existing| matches!(existing.kind, ConstraintKind::Check { .. })) else {
        return false;
    };
    let table = &child.name.name;
    if existing.no_inherit {
        let message =
            format!("constraint \"{}\" conflicts with non-inherited constraint on relation \"{table}\"", existing.name);
        work.impact.refuse("42P17", message, "Drop the child's constraint first.");
    }
    if enforced && !existing.enforced {
        let message =
            format!("constraint \"{}\" conflicts with NOT ENFORCED constraint on relation \"{table}\"", existing.name);
        work.impact.refuse("42P17", message, "Drop the child's constraint, and add it enforced.");
    }
    if checked && !existing.validated && existing.enforced {
        let message =
            format!("constraint \"{}\" conflicts with NOT VALID constraint on relation \"{table}\"", existing.name);
        work.impact.refuse("42P17", message, "Validate the child's constraint first.");
    }
    true
}
