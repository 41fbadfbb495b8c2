//! ADD FOREIGN KEY (`ATAddForeignKeyConstraint` in tablecmds.c).

use pg_query::protobuf::Constraint;

use super::add_column::SYSTEM_COLUMNS;
use super::add_constraint::{remember, require_free_name};
use super::work::Work;
use crate::catalog::types::base_type;
use crate::catalog::{self, Catalog, ConstraintKind, DataType, Generated, Persistence, RelationKind};
use crate::plan::analyze::coercion::{Context, Conversion, convert};
use crate::plan::analyze::expression::Problem;
use crate::plan::analyze::names::{Qualified, strings};
use crate::plan::analyze::refusal::missing_relation;
use crate::plan::analyze::resolve::{Lookup, Rel};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// The constraint to add.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec<'n> {
    pub constraint: &'n Constraint,
    /// Referencing columns.
    pub columns: &'n [String],
    pub enforced: bool,
    /// Existing rows are checked.
    pub checked: bool,
    /// Written within a column's definition.
    pub of_column: bool,
}

pub(super) fn add<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, spec: &Spec<'_>, recurse: bool) {
    require_free_name(work, root, &spec.constraint.conname);
    let Some(name) = &spec.constraint.pktable else { return };
    let parent = match work.resolver.lookup(name) {
        Lookup::Found(parent) => parent,
        Lookup::System => {
            let message = format!("permission denied: \"{}\" is a system catalog", name.relname);
            work.impact.refuse("42501", message, "Reference a table of your own.");
            return;
        }
        Lookup::Missing => {
            missing_relation(&mut work.impact, Qualified::from_range(name));
            return;
        }
    };
    refuse_kinds(work, root, parent, spec, recurse);
    for member in work.resolver.partitions(parent) {
        work.lock_with(member, LockMode::ShareRowExclusive);
    }
    let referenced = referenced_columns(work, parent, spec);
    refuse_columns(work, root, parent, spec, &referenced);
    for column in spec.columns {
        let generated = work.column(root, column).and_then(|column| column.generated);
        if let Some(problem) = action_on_generated(spec.constraint, generated) {
            work.impact.refuse(problem.sqlstate, problem.message, problem.hint);
        }
    }

    if recurse && root.relation.partition_key.is_some() {
        for member in work.resolver.descendants(root) {
            work.lock(member);
        }
    }
    let own = ConstraintKind::ForeignKey {
        references: parent.name.clone(),
        referenced_columns: referenced,
        on_update: letter(&spec.constraint.fk_upd_action),
        on_delete: letter(&spec.constraint.fk_del_action),
        match_type: letter(&spec.constraint.fk_matchtype),
        delete_columns: strings(&spec.constraint.fk_del_set_cols).into_iter().map(str::to_owned).collect(),
        from_parent: false,
    };
    check_rows(work, root, parent, spec, &own);
    if spec.checked {
        let message = format!("the statement fails if a row of {} refers to nothing in {}", root.name, parent.name);
        work.impact.hazard(HazardId::MayFail, Some(root.name), message);
    }
    remember(work, root, &spec.constraint.conname, own, spec.columns);
}

/// What a foreign key over a generated column cannot do: change it (`ATAddForeignKeyConstraint`).
pub(in crate::plan::analyze) fn action_on_generated(
    constraint: &Constraint,
    generated: Option<Generated>,
) -> Option<Problem> {
    let hint = "Use NO ACTION or RESTRICT, or a plain column.";
    let sets = |action: &str, letters: &[&str]| letters.contains(&action);
    let message = match generated? {
        Generated::Virtual => {
            let message = "foreign key constraints on virtual generated columns are not supported";
            return Some(Problem { sqlstate: "0A000", message: message.to_owned(), hint });
        }
        Generated::Stored if sets(&constraint.fk_upd_action, &["n", "d", "c"]) => {
            "invalid ON UPDATE action for foreign key constraint containing generated column"
        }
        Generated::Stored if sets(&constraint.fk_del_action, &["n", "d"]) => {
            "invalid ON DELETE action for foreign key constraint containing generated column"
        }
        Generated::Stored => return None,
    };
    Some(Problem { sqlstate: "42601", message: message.to_owned(), hint })
}

fn letter(text: &str) -> char {
    text.chars().next().unwrap_or(' ')
}

/// Rows of the table, or of each partition; one that has the same foreign key already gives it up to the
/// parent's: the triggers that are then double are dropped from the referenced table.
fn check_rows<'a>(work: &mut Work<'_, 'a>, table: Rel<'a>, parent: Rel<'a>, spec: &Spec<'_>, own: &ConstraintKind) {
    if table.relation.kind != RelationKind::PartitionedTable {
        if spec.checked {
            work.check_foreign_key(table, parent, spec.columns, spec.constraint.fk_with_period);
        }
        return;
    }
    for partition in &work.resolver.children(table.name) {
        refuse_other_enforcement(work, *partition, own, spec);
        let equal = equal_key(*partition, own, spec);
        match equal {
            Some(existing) if existing.validated => adopt(work, parent),
            Some(existing) if work.major() >= 18 => {
                adopt(work, parent);
                check_leaves(work, *partition, parent, spec, existing);
            }
            _ => check_rows(work, *partition, parent, spec, own),
        }
    }
}

/// 42P17: from 18 on a partition's foreign key to the same columns is enforced as its parent's is.
fn refuse_other_enforcement<'a>(work: &mut Work<'_, 'a>, partition: Rel<'a>, own: &ConstraintKind, spec: &Spec<'_>) {
    let ConstraintKind::ForeignKey { references, referenced_columns, .. } = own else { return };
    let other = partition.relation.constraints.iter().find(|existing| {
        matches!(&existing.kind, ConstraintKind::ForeignKey { references: of, referenced_columns: columns, .. }
            if of == references && columns == referenced_columns)
            && existing.columns == spec.columns
            && existing.enforced != spec.enforced
    });
    if let Some(other) = other {
        let message = format!(
            "constraint \"{}\" enforceability conflicts with constraint \"{}\" on relation \"{}\"",
            spec.constraint.conname, other.name, partition.name.name
        );
        work.impact.refuse("42P17", message, "Enforce both of them, or none.");
    }
}

fn adopt<'a>(work: &mut Work<'_, 'a>, parent: Rel<'a>) {
    for member in work.resolver.partitions(parent) {
        work.lock_with(member, LockMode::AccessExclusive);
    }
}

fn check_leaves<'a>(
    work: &mut Work<'_, 'a>,
    partition: Rel<'a>,
    parent: Rel<'a>,
    spec: &Spec<'_>,
    existing: &catalog::Constraint,
) {
    if spec.checked && existing.enforced {
        for leaf in work.resolver.leaves(partition) {
            work.check_foreign_key(leaf, parent, spec.columns, existing.period);
        }
    }
}

/// A foreign key of the partition that the parent's can take over (`tryAttachPartitionForeignKey`).
pub(super) fn equal_key<'a>(
    partition: Rel<'a>,
    wanted: &ConstraintKind,
    spec: &Spec<'_>,
) -> Option<&'a catalog::Constraint> {
    partition.relation.constraints.iter().find(|existing| {
        existing.kind == *wanted
            && existing.columns == spec.columns
            && existing.enforced == spec.enforced
            && existing.deferrable == spec.constraint.deferrable
            && existing.initially_deferred == spec.constraint.initdeferred
    })
}

/// Named columns of the referenced table, or its primary key.
fn referenced_columns<'a>(work: &mut Work<'_, 'a>, parent: Rel<'a>, spec: &Spec<'_>) -> Vec<String> {
    let named: Vec<String> = strings(&spec.constraint.pk_attrs).into_iter().map(str::to_owned).collect();
    if !named.is_empty() {
        return named;
    }
    let primary = work.now(parent).constraints.iter().find(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
    match primary {
        Some(primary) => primary.columns.clone(),
        None => {
            let message = format!("there is no primary key for referenced table \"{}\"", parent.name.name);
            work.impact.refuse("42704", message, "Name the referenced columns, or add a primary key.");
            Vec::new()
        }
    }
}

fn refuse_kinds<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, parent: Rel<'a>, spec: &Spec<'_>, recurse: bool) {
    let (child, referenced) = (&root.name.name, &parent.name.name);
    if root.relation.kind == RelationKind::ForeignTable {
        let message = "foreign key constraints are not supported on foreign tables";
        work.impact.refuse("0A000", message, "Add the constraint where the rows are.");
    }
    if root.relation.partition_key.is_some() {
        if !recurse {
            let message = format!(
                "cannot use ONLY for foreign key on partitioned table \"{child}\" referencing relation \"{referenced}\""
            );
            work.impact.refuse("42809", message, "Leave out ONLY.");
        }
        if work.major() < 18 && !spec.checked && !spec.of_column {
            let message = format!(
                "cannot add NOT VALID foreign key on partitioned table \"{child}\" referencing relation \"{referenced}\""
            );
            let hint = "Add it NOT VALID to each partition and validate it there, then add it to the table.";
            work.impact.refuse("42809", message, hint);
        }
    }
    if !parent.relation.kind.is_table() {
        let message = format!("referenced relation \"{referenced}\" is not a table");
        work.impact.refuse("42809", message, "Reference a table.");
    }
    let weaker = match root.relation.persistence {
        Persistence::Permanent => parent.relation.persistence != Persistence::Permanent,
        Persistence::Unlogged => parent.relation.persistence == Persistence::Temporary,
        Persistence::Temporary => parent.relation.persistence != Persistence::Temporary,
    };
    if weaker {
        let (own, other) = match root.relation.persistence {
            Persistence::Permanent => ("permanent", "permanent"),
            Persistence::Unlogged => ("unlogged", "permanent or unlogged"),
            Persistence::Temporary => ("temporary", "temporary"),
        };
        let message = format!("constraints on {own} tables may reference only {other} tables");
        work.impact.refuse("42P16", message, "Make the referenced table as durable as the referencing one.");
    }
}

/// 42P10: what a delete sets to NULL or to its default is of the key.
fn refuse_foreign_actions(work: &mut Work<'_, '_>, spec: &Spec<'_>) {
    let set = strings(&spec.constraint.fk_del_set_cols);
    if let Some(column) = set.into_iter().find(|column| !spec.columns.iter().any(|own| own == column)) {
        let message = format!("column \"{column}\" referenced in ON DELETE SET action must be part of foreign key");
        work.impact.refuse("42P10", message, "Name columns of the key only.");
    }
    let period = spec.constraint.fk_with_period;
    let actions = [(&spec.constraint.fk_upd_action, "UPDATE"), (&spec.constraint.fk_del_action, "DELETE")];
    for (_, event) in actions.into_iter().filter(|(action, _)| period && matches!(action.as_str(), "c" | "n" | "d")) {
        let message = format!("unsupported ON {event} action for foreign key constraint using PERIOD");
        work.impact.refuse("0A000", message, "Use NO ACTION.");
    }
}

fn refuse_columns<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, parent: Rel<'a>, spec: &Spec<'_>, referenced: &[String]) {
    refuse_foreign_actions(work, spec);
    for (table, columns) in [(root, spec.columns), (parent, referenced)] {
        if columns.iter().any(|column| SYSTEM_COLUMNS.contains(&column.as_str())) {
            let message = "system columns cannot be used in foreign keys";
            return work.impact.refuse("0A000", message, "Use columns of your own.");
        }
        let missing = columns.iter().find(|column| work.column(table, column).is_none());
        if let Some(column) = missing {
            let message = format!("column \"{column}\" referenced in foreign key constraint does not exist");
            work.impact.refuse("42703", message, "Check the spelling of the column, or add it first.");
            return;
        }
    }
    if referenced.is_empty() {
        return;
    }
    if spec.columns.len() != referenced.len() {
        let message = "number of referencing and referenced columns for foreign key disagree";
        work.impact.refuse("42830", message, "Name as many columns on both sides.");
        return;
    }
    if !spec.constraint.pk_with_period {
        require_unique(work, parent, referenced);
    }
    let catalog = work.resolver.catalog;
    for (own, other) in spec.columns.iter().zip(referenced) {
        let (Some(from), Some(to)) = (work.column(root, own), work.column(parent, other)) else { continue };
        if !comparable(&from.data_type, &to.data_type, catalog) {
            let message = format!(
                "foreign key constraint cannot be implemented: key columns \"{own}\" and \"{other}\" are of \
                 incompatible types {} and {}",
                from.data_type.sql, to.data_type.sql
            );
            work.impact.refuse("42804", message, "Give both columns the same type.");
            return;
        }
    }
}

/// 42830 without a unique index over exactly these columns, 55000 when it is deferrable.
fn require_unique<'a>(work: &mut Work<'_, 'a>, parent: Rel<'a>, columns: &[String]) {
    let covers = |keys: &[String]| keys.len() == columns.len() && columns.iter().all(|column| keys.contains(column));
    let existing = work.indexes(parent).into_iter().filter_map(|index| index.relation.index.as_ref());
    let found: Vec<bool> = existing
        .filter(|index| {
            let keys: Vec<String> = index.keys.iter().filter_map(|key| key.column.clone()).collect();
            index.unique && index.valid && index.predicate.is_none() && keys.len() == index.keys.len() && covers(&keys)
        })
        .map(|index| index.immediate)
        .collect();
    // One that the same statement adds.
    let added = work.now(parent).constraints.iter().any(|constraint| {
        matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique)
            && constraint.index.is_none()
            && covers(&constraint.columns)
    });
    if added || found.contains(&true) {
        return;
    }
    let table = &parent.name.name;
    if found.is_empty() {
        let message = format!("there is no unique constraint matching given keys for referenced table \"{table}\"");
        work.impact.refuse("42830", message, "Add a unique constraint on the referenced columns first.");
    } else {
        let message = format!("cannot use a deferrable unique constraint for referenced table \"{table}\"");
        work.impact.refuse("55000", message, "Make the unique constraint not deferrable.");
    }
}

/// Whether an operator compares the two: the same type, one family of types, or an implicit cast.
pub(super) fn comparable(own: &DataType, referenced: &DataType, catalog: &Catalog) -> bool {
    const FAMILIES: &[&[&str]] = &[
        &["int2", "int4", "int8"],
        &["float4", "float8"],
        &["date", "timestamp", "timestamptz"],
        &["text", "varchar", "bpchar", "name"],
    ];
    let (own, referenced) = (base_type(own, catalog), base_type(referenced, catalog));
    let built_in = own.name.schema == "pg_catalog" && referenced.name.schema == "pg_catalog";
    let one_family = built_in
        && !own.array
        && !referenced.array
        && FAMILIES
            .iter()
            .any(|family| family.contains(&own.name.name.as_str()) && family.contains(&referenced.name.name.as_str()));
    one_family || convert(&own, &referenced, Context::Implicit, catalog) != Conversion::Impossible
}
