//! DROP COLUMN (`ATExecDropColumn` in tablecmds.c): the column's own constraints, indexes and sequence go with
//! it; whatever else uses it goes with CASCADE only.

use pg_query::protobuf::{AlterTableCmd, DropBehavior};

use super::add_column::SYSTEM_COLUMNS;
use super::column_type::refuse_partition_key;
use super::drop_constraint::{foreign_key, index_tree};
use super::work::Work;
use crate::catalog::{Constraint, ConstraintKind, RelationKind};
use crate::plan::analyze::dependents::Dependent;
use crate::plan::analyze::refusal;
use crate::plan::analyze::resolve::{Rel, reads};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

pub(super) fn drop_column<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, command: &AlterTableCmd, recurse: bool) {
    let name = command.name.as_str();
    if root.relation.of_type.is_some() {
        let message = "cannot drop column from typed table";
        work.impact.refuse("42809", message, "Drop the attribute from its type, with CASCADE.");
    }
    if SYSTEM_COLUMNS.contains(&name) {
        let message = format!("cannot drop system column \"{name}\"");
        work.impact.refuse("0A000", message, "Every table has it.");
        return;
    }
    let Some(column) = root.relation.column(name) else {
        if !command.missing_ok {
            refusal::missing_column(&mut work.impact, name, root.name);
        }
        return;
    };
    if column.inherited > 0 {
        let message = format!("cannot drop inherited column \"{name}\"");
        work.impact.refuse("42P16", message, "Drop it from the parent table.");
    }
    let cascade = command.behavior() == DropBehavior::DropCascade;
    let partitioned = root.relation.kind == RelationKind::PartitionedTable;
    if partitioned && !recurse && !work.resolver.children(root.name).is_empty() {
        let message = "cannot drop column from only the partitioned table when partitions exist";
        work.impact.refuse("42P16", message, "Leave out ONLY.");
    }
    drop_below(work, root, name, cascade, recurse);
    let message = format!("the values of {}.{} are lost", root.name, crate::sql::quote::ident(name));
    work.impact.hazard(HazardId::DataLoss, Some(root.name), message);
    let message = format!("applications that use {}.{} fail", root.name, crate::sql::quote::ident(name));
    work.impact.hazard(HazardId::BreaksClients, Some(root.name), message);
}

/// Direct children are locked with ONLY too: the column becomes their own, and what is below is left alone.
fn drop_below<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, name: &str, cascade: bool, recurse: bool) {
    work.lock(table);
    refuse_partition_key(work, table, name, "drop");
    drop_from(work, table, name, cascade);
    for child in &work.resolver.children(table.name) {
        work.lock(*child);
        if recurse && goes_in_child(*child, name) && work.column(*child, name).is_some() {
            drop_below(work, *child, name, cascade, recurse);
        }
    }
}

/// A child keeps a column that it defines itself, or has from another parent.
fn goes_in_child(child: Rel<'_>, name: &str) -> bool {
    child.relation.column(name).is_some_and(|column| column.inherited <= 1 && !column.local)
}

/// The column of one table with what hangs on it.
pub(super) fn drop_from<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, name: &str, cascade: bool) {
    let what = format!("column {name} of table {}", table.name.name);
    dependents(work, table, name, cascade, &what);
    for index in work.indexes(table) {
        let Some(facts) = &index.relation.index else { continue };
        let uses = facts.keys.iter().any(|key| key.column.as_deref() == Some(name))
            || facts.include.iter().chain(&facts.expression_columns).any(|column| column == name);
        if uses {
            index_tree(work, table, index, cascade, &what);
        }
    }
    let constraints: Vec<Constraint> = table.relation.constraints.clone();
    for constraint in &constraints {
        let own = constraint.columns.iter().any(|column| column == name);
        if own && matches!(constraint.kind, ConstraintKind::ForeignKey { .. }) {
            foreign_key(work, table, constraint, false);
        }
    }
    sequences(work, table, name, cascade, &what);
    let relation = work.change(table);
    relation.columns.retain(|column| column.name != name);
    relation.constraints.retain(|constraint| !constraint.columns.iter().any(|column| column == name));
}

/// Views, policies, triggers, functions, generated columns and publications that use it.
fn dependents<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, name: &str, cascade: bool, what: &str) {
    let found: Vec<Dependent<'a>> = work.dependents(table, name);
    // Up to 14 a generated column silently goes with the column it is computed from.
    let silent = |dependent: &Dependent<'a>| matches!(dependent, Dependent::GeneratedColumn(..)) && work.major() < 15;
    let shown: Vec<String> = found.iter().filter(|found| !silent(found)).map(Dependent::describe).collect();
    if !cascade && !shown.is_empty() {
        refusal::dependents(&mut work.impact, what, &shown);
    }
    for dependent in found {
        match dependent {
            Dependent::View(view) => drop_view(work, view),
            Dependent::Rule(holder, _) | Dependent::Policy(holder, _) if holder != table => {
                work.lock_hidden(holder, LockMode::AccessExclusive, "a policy or rule of it goes too");
                // A view's own rule is the view.
                if holder.relation.view.is_some() {
                    drop_view(work, holder);
                }
            }
            Dependent::GeneratedColumn(_, column) => drop_from(work, table, &column.name, cascade),
            _ => {}
        }
    }
}

/// A view goes with everything above it.
pub(super) fn drop_view<'a>(work: &mut Work<'_, 'a>, view: Rel<'a>) {
    let above = work.resolver.views_above(view.name, None);
    for view in std::iter::once(view).chain(above) {
        work.lock_hidden(view, LockMode::AccessExclusive, "it is dropped with the column");
        for index in &work.resolver.indexes(view.name) {
            work.lock_with(*index, LockMode::AccessExclusive);
        }
    }
}

/// The sequence that the column owns goes, and with CASCADE the defaults that use it elsewhere.
fn sequences<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, name: &str, cascade: bool, what: &str) {
    for sequence in owned(work, table, name) {
        work.lock_with(sequence, LockMode::AccessExclusive);
        let others = work.resolver.referring_to(sequence.name).filter(|other| other.name != table.name);
        let users = others.flat_map(|rel| rel.relation.columns.iter().map(move |column| (rel, column)));
        let users: Vec<_> = users.filter(|(_, column)| reads(&column.references, sequence.name, None)).collect();
        if !cascade && !users.is_empty() {
            let shown: Vec<String> = users
                .iter()
                .map(|(rel, column)| format!("default value for column {} of table {}", column.name, rel.name.name))
                .collect();
            refusal::dependents(&mut work.impact, what, &shown);
        }
        for (rel, _) in users {
            work.lock_hidden(rel, LockMode::AccessExclusive, "a default of it used the dropped sequence");
        }
    }
}

/// Sequences that belong to the column: it may own several, one of which is its default's.
pub(super) fn owned<'a>(work: &Work<'_, 'a>, table: Rel<'a>, column: &str) -> Vec<Rel<'a>> {
    let mut owned = work.resolver.owned_sequences(table, Some(column));
    for found in work.resolver.referring_to(table.name) {
        let by = found.relation.sequence.as_ref().and_then(|sequence| sequence.owned_by.as_ref());
        if by.is_some_and(|by| by.relation == *table.name && by.column.as_deref() == Some(column))
            && !owned.contains(&found)
        {
            owned.push(found);
        }
    }
    owned
}
