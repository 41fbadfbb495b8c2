//! Partitioning: keys, bounds, attaching and detaching.

mod bound;

use pg_query::protobuf::{PartitionBoundSpec, PartitionCmd, PartitionSpec, PartitionStrategy, node};

pub(super) use self::bound::in_bound_order;

use super::constraint::{self, foreign_key, not_null};
use super::edit::{Edit, Outcome, fail};
use super::{index, names, trigger};
use crate::catalog::expression::{Scope, cook, strings};
use crate::catalog::{ConstraintKind, Name, PartitionKey, RelationKind};
use crate::sql::quote;

/// `PARTITION BY`.
pub(super) fn set_key(edit: &mut Edit<'_>, table: &Name, specification: &PartitionSpec) -> Outcome {
    let relation = edit.relation(table)?;
    let scope = Scope::table(table, relation);
    let (strategy, word) = match PartitionStrategy::try_from(specification.strategy) {
        Ok(PartitionStrategy::List) => ('l', "LIST"),
        Ok(PartitionStrategy::Hash) => ('h', "HASH"),
        _ => ('r', "RANGE"),
    };
    let (mut parts, mut columns, mut functions) = (Vec::new(), Vec::new(), Vec::new());
    let mut inside: Vec<String> = Vec::new();
    for parameter in &specification.part_params {
        let Some(node::Node::PartitionElem(element)) = &parameter.node else { continue };
        let mut part = match element.expr.as_deref() {
            None => {
                if relation.column(&element.name).is_none() {
                    fail!("column {} of the partition key does not exist", quote::ident(&element.name));
                }
                columns.push(element.name.clone());
                quote::ident(&element.name)
            }
            Some(expression) => {
                let cooked = cook(edit, &scope, expression)?;
                inside.extend(cooked.uses.columns_of(table));
                functions.extend(cooked.uses.functions());
                if cooked.is_call { cooked.text } else { format!("({})", cooked.text) }
            }
        };
        if let Some(collation) = index::collation_name(edit, &strings(&element.collation)) {
            part.push_str(&format!(" COLLATE {}", collation.strip_prefix("pg_catalog.").unwrap_or(&collation)));
        }
        if let Some(class) = strings(&element.opclass).last() {
            part.push_str(&format!(" {}", quote::ident(class)));
        }
        parts.push(part);
    }
    for column in relation.columns.iter().map(|column| &column.name) {
        if inside.contains(column) && !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    functions.sort();
    functions.dedup();
    let key = PartitionKey {
        strategy,
        columns,
        functions,
        definition: format!("{word} ({})", parts.join(", ")),
        default_partition: None,
    };
    edit.relation_mut(table)?.partition_key = Some(Box::new(key));
    Ok(())
}

fn set_bound(edit: &mut Edit<'_>, table: &Name, parent: &Name, specification: &PartitionBoundSpec) -> Outcome {
    let text = bound::text(edit, parent, specification)?;
    let Some(key) = &mut edit.relation_mut(parent)?.partition_key else { fail!("{parent} is not partitioned") };
    if specification.is_default {
        if let Some(other) = &key.default_partition {
            fail!("{parent} already has the default partition {other}");
        }
        key.default_partition = Some(table.clone());
    }
    edit.relation_mut(table)?.partition_bound = Some(text);
    Ok(())
}

/// The rest of `CREATE TABLE .. PARTITION OF`, once the table with its columns is there.
pub(super) fn create(edit: &mut Edit<'_>, table: &Name, parent: &Name, specification: &PartitionBoundSpec) -> Outcome {
    set_bound(edit, table, parent, specification)?;
    from_parent(edit, table, parent)
}

/// Indexes, foreign keys and row triggers of the parent, for a partition.
fn from_parent(edit: &mut Edit<'_>, table: &Name, parent: &Name) -> Outcome {
    for parent_index in names::indexes(edit, parent) {
        let wish = index::like(edit, &parent_index)?;
        index::for_partition(edit, table, &parent_index, &wish)?;
    }
    for constraint in edit.relation(parent)?.constraints.clone() {
        let ConstraintKind::ForeignKey { references, .. } = &constraint.kind else { continue };
        if is_root_constraint(edit, parent, &constraint.name, references) {
            foreign_key::to_partition(edit, table, &constraint)?;
        }
    }
    for referencing in referencing(edit, parent) {
        foreign_key::to_new_referenced(edit, &referencing.0, &referencing.1, table)?;
    }
    trigger::to_partition(edit, parent, table)
}

/// Constraints on the partitions of the referenced table are made from the one on the whole.
fn is_root_constraint(edit: &Edit<'_>, table: &Name, name: &str, references: &Name) -> bool {
    let Some(relation) = edit.relations.get(table) else { return false };
    let above = edit.relations.get(references).map(|relation| relation.parents.clone()).unwrap_or_default();
    let own = relation.constraint(name);
    !relation.constraints.iter().any(|other| match (&other.kind, own.map(|own| &own.columns)) {
        (ConstraintKind::ForeignKey { references: whole, .. }, Some(columns)) => {
            other.name != name && above.contains(whole) && other.columns == *columns
        }
        _ => false,
    })
}

/// Tables and constraints that reference the table.
fn referencing(edit: &Edit<'_>, table: &Name) -> Vec<(Name, String)> {
    let mut out = Vec::new();
    for (name, relation) in edit.relations.referring_to(table) {
        for constraint in &relation.constraints {
            if matches!(&constraint.kind, ConstraintKind::ForeignKey { references, .. } if references == table) {
                out.push((name.clone(), constraint.name.clone()));
            }
        }
    }
    out
}

/// `ATTACH PARTITION`.
pub(super) fn attach(edit: &mut Edit<'_>, parent: &Name, command: &PartitionCmd) -> Outcome {
    let child = names::relation(edit, command.name.as_ref())?;
    let Some(specification) = &command.bound else { fail!("the statement has no bound") };
    if edit.relation(&child)?.partition_bound.is_some() || !edit.relation(&child)?.parents.is_empty() {
        fail!("{child} is already a partition or a child");
    }
    inherit(edit, &child, parent, true)?;
    set_bound(edit, &child, parent, specification)?;
    from_parent(edit, &child, parent)
}

/// Makes a table a child of another: columns and constraints are matched (`CreateInheritance`).
pub(super) fn inherit(edit: &mut Edit<'_>, child: &Name, parent: &Name, partition: bool) -> Outcome {
    if edit.relation(child)?.parents.contains(parent) {
        fail!("{child} already inherits from {parent}");
    }
    let of_parent = edit.relation(parent)?.clone();
    if partition && of_parent.kind != RelationKind::PartitionedTable {
        fail!("{parent} is not partitioned");
    }
    let major = edit.major();
    let own = edit.relation_mut(child)?;
    for column in &of_parent.columns {
        let Some(found) = own.columns.iter_mut().find(|found| found.name == column.name) else {
            fail!("{child} lacks column {}", quote::ident(&column.name));
        };
        if found.data_type != column.data_type {
            fail!("column {} of {child} has another type than in {parent}", quote::ident(&column.name));
        }
        found.inherited += 1;
        if partition {
            found.local = false;
            if major >= 17 {
                found.identity = column.identity;
            }
        }
    }
    own.parents.push(parent.clone());
    for constraint in &of_parent.constraints {
        if constraint.no_inherit {
            continue;
        }
        let matching = match &constraint.kind {
            ConstraintKind::Check { .. } => edit.relation(child)?.constraint(&constraint.name).cloned(),
            ConstraintKind::NotNull => {
                constraint.columns.first().and_then(|column| not_null::of_column(edit, child, column)).cloned()
            }
            _ => continue,
        };
        let Some(matching) = matching else {
            fail!("{child} lacks constraint {}", quote::ident(&constraint.name));
        };
        constraint::change(edit, child, &matching.name, |own| {
            own.inherited += 1;
            if partition {
                own.local = false;
            }
        })?;
    }
    Ok(())
}

/// `NO INHERIT`, and what detaching a partition has in common with it (`RemoveInheritance`).
pub(super) fn disinherit(edit: &mut Edit<'_>, child: &Name, parent: &Name) -> Outcome {
    if !edit.relation(child)?.parents.contains(parent) {
        fail!("{child} does not inherit from {parent}");
    }
    let of_parent = edit.relation(parent)?.clone();
    let own = edit.relation_mut(child)?;
    own.parents.retain(|other| other != parent);
    for column in own.columns.iter_mut().filter(|column| of_parent.column(&column.name).is_some()) {
        column.inherited -= 1;
        if column.inherited == 0 {
            column.local = true;
        }
    }
    for constraint in &mut own.constraints {
        let matching = match &constraint.kind {
            ConstraintKind::Check { .. } => of_parent.constraint(&constraint.name).is_some_and(|of| !of.no_inherit),
            ConstraintKind::NotNull => of_parent
                .constraints
                .iter()
                .any(|of| of.kind == ConstraintKind::NotNull && !of.no_inherit && of.columns == constraint.columns),
            _ => false,
        };
        if matching && constraint.inherited > 0 {
            constraint.inherited -= 1;
            if constraint.inherited == 0 {
                constraint.local = true;
            }
        }
    }
    Ok(())
}

/// `DETACH PARTITION`.
pub(super) fn detach(edit: &mut Edit<'_>, parent: &Name, command: &PartitionCmd) -> Outcome {
    let child = names::relation(edit, command.name.as_ref())?;
    let bound = edit.relation(&child)?.partition_bound.clone();
    disinherit(edit, &child, parent)?;
    let major = edit.major();
    for name in names::indexes(edit, &child) {
        let Some(found) = edit.relation(&name)?.index.clone() else { continue };
        let Some(above) = found.parent.clone() else { continue };
        if edit.relation(&above)?.index.as_ref().is_none_or(|index| index.table != *parent) {
            continue;
        }
        if let Some(index) = &mut edit.relation_mut(&name)?.index {
            index.parent = None;
        }
        if let Some(own) = &found.constraint {
            constraint::change(edit, &child, own, |own| {
                own.inherited -= 1;
                own.local = own.inherited == 0;
            })?;
        }
    }
    for constraint in &mut edit.relation_mut(&child)?.constraints {
        if let ConstraintKind::ForeignKey { from_parent, .. } = &mut constraint.kind
            && *from_parent
        {
            *from_parent = false;
            constraint.inherited -= 1;
            constraint.local = true;
        }
    }
    trigger::from_partition(edit, &child)?;
    drop_referenced_parts(edit, parent, &child)?;
    let own = edit.relation_mut(&child)?;
    own.partition_bound = None;
    own.detach_pending = false;
    if major >= 17 {
        for column in own.columns.iter_mut().filter(|column| column.identity.is_some()) {
            column.identity = None;
        }
    }
    if let Some(key) = &mut edit.relation_mut(parent)?.partition_key
        && key.default_partition.as_ref() == Some(&child)
    {
        key.default_partition = None;
    }
    if command.concurrent
        && let Some(bound) = bound
    {
        bound::as_check(edit, &child, parent, &bound)?;
    }
    Ok(())
}

/// Foreign keys to the parent reference this partition no longer.
fn drop_referenced_parts(edit: &mut Edit<'_>, parent: &Name, child: &Name) -> Outcome {
    for (table, name) in referencing(edit, child) {
        let part = edit
            .relation(&table)?
            .constraint(&name)
            .is_some_and(|constraint| matches!(constraint.kind, ConstraintKind::ForeignKey { from_parent: true, .. }));
        let of_parent = referencing(edit, parent).iter().any(|(other, _)| *other == table);
        if part && of_parent {
            constraint::drop::remove(edit, &table, &name, true)?;
        }
    }
    Ok(())
}
