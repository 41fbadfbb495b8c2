//! FOREIGN KEY constraints, with those of partitions on either side.

use super::super::edit::{Edit, Outcome, fail};
use super::super::names;
use super::{Wished, basic, change, inherit, put, redefine, unique};
use crate::catalog::expression::strings;
use crate::catalog::naming;
use crate::catalog::{Constraint, ConstraintKind, Name, RelationKind};
use crate::sql::quote;

pub(super) fn body(constraint: &Constraint) -> String {
    let ConstraintKind::ForeignKey {
        references,
        referenced_columns,
        on_update,
        on_delete,
        match_type,
        delete_columns,
        ..
    } = &constraint.kind
    else {
        return String::new();
    };
    let list = |columns: &[String]| {
        let last = columns.len().saturating_sub(1);
        let spelled = |(at, column): (usize, &String)| {
            let period = if constraint.period && at == last { "PERIOD " } else { "" };
            format!("{period}{}", quote::ident(column))
        };
        columns.iter().enumerate().map(spelled).collect::<Vec<_>>().join(", ")
    };
    let mut out =
        format!("FOREIGN KEY ({}) REFERENCES {references}({})", list(&constraint.columns), list(referenced_columns));
    match match_type {
        'f' => out.push_str(" MATCH FULL"),
        'p' => out.push_str(" MATCH PARTIAL"),
        _ => {}
    }
    for (event, action) in [("UPDATE", *on_update), ("DELETE", *on_delete)] {
        let action = match action {
            'r' => "RESTRICT",
            'c' => "CASCADE",
            'n' => "SET NULL",
            'd' => "SET DEFAULT",
            _ => continue,
        };
        out.push_str(&format!(" ON {event} {action}"));
    }
    if !delete_columns.is_empty() {
        let columns: Vec<String> = delete_columns.iter().map(|column| quote::ident(column)).collect();
        out.push_str(&format!(" ({})", columns.join(", ")));
    }
    out
}

fn letter(text: &str, default: char) -> char {
    text.chars().next().unwrap_or(default)
}

/// Adds the foreign key to the table and to its partitions.
pub(super) fn add(edit: &mut Edit<'_>, table: &Name, wished: &Wished, recurse: bool) -> Outcome {
    let references = names::relation(edit, wished.node.pktable.as_ref())?;
    let columns = match &wished.column {
        Some(column) => vec![column.clone()],
        None => strings(&wished.node.fk_attrs),
    };
    let mut referenced_columns = strings(&wished.node.pk_attrs);
    if referenced_columns.is_empty() {
        referenced_columns = match unique::primary_key(edit, &references) {
            Some(columns) => columns,
            None => fail!("{references} has no primary key to reference"),
        };
    }
    for (owner, list) in [(table, &columns), (&references, &referenced_columns)] {
        let relation = edit.relation(owner)?;
        let missing = list.iter().find(|column| relation.column(column).is_none());
        if let Some(missing) = missing.filter(|_| !relation.columns_unknown) {
            fail!("column {} of {owner} does not exist", quote::ident(missing));
        }
    }
    if columns.len() != referenced_columns.len() {
        fail!("the foreign key of {table} and what it references differ in the number of columns");
    }
    let partitioned = edit.relation(table)?.kind == RelationKind::PartitionedTable;
    if partitioned && edit.major() < 18 && wished.node.skip_validation && !wished.new {
        fail!("a foreign key of the partitioned table {table} cannot be NOT VALID");
    }
    let index = unique::index_for(edit, &references, &referenced_columns);
    if index.is_none() {
        fail!("no unique constraint of {references} matches the referenced columns");
    }
    let name = if wished.node.conname.is_empty() {
        generated_name(edit, table, &columns)
    } else {
        wished.node.conname.clone()
    };
    let mut delete_columns = strings(&wished.node.fk_del_set_cols);
    delete_columns.dedup();
    let kind = ConstraintKind::ForeignKey {
        references,
        referenced_columns,
        on_update: letter(&wished.node.fk_upd_action, 'a'),
        on_delete: letter(&wished.node.fk_del_action, 'a'),
        match_type: letter(&wished.node.fk_matchtype, 's'),
        delete_columns,
        from_parent: false,
    };
    let mut constraint = basic(wished, name, kind);
    constraint.columns = columns;
    constraint.index = index;
    constraint.period = wished.node.fk_with_period;
    // For the sake of partitions only theirs can be inherited.
    constraint.no_inherit = edit.relation(table)?.kind != RelationKind::PartitionedTable;
    put(edit, table, constraint.clone())?;
    to_referenced_partitions(edit, table, &constraint)?;
    if recurse {
        to_partitions(edit, table, &constraint)?;
    }
    Ok(())
}

/// `ChooseForeignKeyConstraintNameAddition` and `ChooseConstraintName`.
fn generated_name(edit: &Edit<'_>, table: &Name, columns: &[String]) -> String {
    naming::constraint_name(edit, table, &naming::joined(columns), "fkey")
}

/// One more constraint for every partition of the referenced table.
fn to_referenced_partitions(edit: &mut Edit<'_>, table: &Name, parent: &Constraint) -> Outcome {
    let ConstraintKind::ForeignKey { references, .. } = &parent.kind else { return Ok(()) };
    let references = references.clone();
    if edit.relation(&references)?.kind != RelationKind::PartitionedTable {
        return Ok(());
    }
    for partition in partitions_in_order(edit, &references) {
        to_new_referenced(edit, table, &parent.name, &partition)?;
    }
    Ok(())
}

/// The first free of `name_1`, `name_2` and so on.
fn numbered(edit: &Edit<'_>, table: &Name, name: &str) -> String {
    (1..)
        .map(|number| naming::object_name(name, "", &number.to_string()))
        .find(|name| !naming::constraint_exists(edit, &table.schema, name))
        .unwrap_or_default()
}

fn partitions_in_order(edit: &Edit<'_>, table: &Name) -> Vec<Name> {
    super::super::partition::in_bound_order(edit, names::children(edit, table))
}

/// The same constraint for every partition of the referencing table; an equal one that is there is taken.
pub(in super::super) fn to_partitions(edit: &mut Edit<'_>, table: &Name, parent: &Constraint) -> Outcome {
    if edit.relation(table)?.kind != RelationKind::PartitionedTable {
        return Ok(());
    }
    for partition in partitions_in_order(edit, table) {
        to_partition(edit, &partition, parent)?;
    }
    Ok(())
}

/// The partitioned table's foreign key for one partition.
pub(in super::super) fn to_partition(edit: &mut Edit<'_>, partition: &Name, parent: &Constraint) -> Outcome {
    // Before 18 a constraint that is not valid cannot serve a valid one; 18 validates it.
    let validates = edit.major() >= 18;
    let equal = edit
        .relation(partition)?
        .constraints
        .iter()
        .find(|own| same(own, parent) && (own.validated || !parent.validated || validates))
        .map(|own| own.name.clone());
    if let Some(equal) = equal {
        inherit(edit, partition, &equal, true)?;
        change(edit, partition, &equal, |own| own.validated |= parent.validated)?;
        return redefine(edit, partition, &equal);
    }
    let taken = edit.relation(partition)?.constraint(&parent.name).is_some();
    let name = if taken { generated_name(edit, partition, &parent.columns) } else { parent.name.clone() };
    let mut own = Constraint { name, local: false, inherited: 1, comment: None, ..parent.clone() };
    own.definition = String::new();
    own.no_inherit = false;
    if let ConstraintKind::ForeignKey { from_parent, .. } = &mut own.kind {
        *from_parent = true;
    }
    put(edit, partition, own.clone())?;
    to_referenced_partitions(edit, partition, &own)?;
    to_partitions(edit, partition, &own)
}

/// Whether a partition's own constraint can serve as part of the parent's (`tryAttachPartitionForeignKey`).
fn same(own: &Constraint, parent: &Constraint) -> bool {
    let (
        ConstraintKind::ForeignKey {
            references,
            referenced_columns,
            on_update,
            on_delete,
            match_type,
            from_parent,
            ..
        },
        ConstraintKind::ForeignKey {
            references: wanted,
            referenced_columns: wanted_columns,
            on_update: update,
            on_delete: delete,
            match_type: matching,
            ..
        },
    ) = (&own.kind, &parent.kind)
    else {
        return false;
    };
    !from_parent
        && references == wanted
        && referenced_columns == wanted_columns
        && own.columns == parent.columns
        && own.deferrable == parent.deferrable
        && own.initially_deferred == parent.initially_deferred
        && (on_update, on_delete, match_type) == (update, delete, matching)
}

/// A foreign key to a partitioned table, for a partition that comes to it.
pub(in super::super) fn to_new_referenced(
    edit: &mut Edit<'_>,
    table: &Name,
    constraint: &str,
    partition: &Name,
) -> Outcome {
    let Some(parent) = edit.relation(table)?.constraint(constraint).cloned() else { return Ok(()) };
    let ConstraintKind::ForeignKey { referenced_columns, .. } = &parent.kind else { return Ok(()) };
    let name = match edit.major() {
        18.. => numbered(edit, table, &parent.name),
        _ => generated_name(edit, table, &parent.columns),
    };
    let mut own = Constraint { name, local: false, inherited: 1, comment: None, ..parent.clone() };
    own.definition = String::new();
    own.no_inherit = false;
    own.index = unique::index_for(edit, partition, referenced_columns);
    if let ConstraintKind::ForeignKey { references, from_parent, .. } = &mut own.kind {
        *references = partition.clone();
        *from_parent = true;
    }
    put(edit, table, own.clone())?;
    to_referenced_partitions(edit, table, &own)
}
