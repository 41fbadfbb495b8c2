//! ADD COLUMN (`ATExecAddColumn` in tablecmds.c).
//!
//! A default that is the same for all rows is kept once, beside the table; what must be computed row by row, and
//! a domain with constraints, makes the server write the table anew.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, ConstrType, Constraint, Node};

use super::work::Work;
use super::{add_constraint, expressions, foreign_key, key};
use crate::catalog::types::{resolve_type, serial_integer};
use crate::catalog::{Column, DataType, Generated, Identity, Name, RelationKind, TypeKind};
use crate::plan::analyze::coercion::has_constraints;
use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::refusal::missing_object;
use crate::plan::analyze::resolve::Rel;
use crate::plan::model::HazardId;
use crate::sql::expression::parse_expression;

/// Names that every table has (`SystemAttributeByName`).
pub(super) const SYSTEM_COLUMNS: &[&str] = &["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"];

/// The subcommand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec<'n> {
    pub column: &'n ColumnDef,
    pub if_not_exists: bool,
    pub recurse: bool,
}

/// How existing rows get the new column's value.
#[derive(Clone, Debug, Default)]
struct Filling {
    /// There is an expression, or a domain that must accept NULL.
    has_values: bool,
    /// One value for all rows, kept beside the table.
    missing_value: bool,
    /// The table is written anew.
    per_row: bool,
    sequences: BTreeSet<Name>,
    /// User-defined functions that run for each row.
    functions: BTreeSet<Name>,
}

/// The parts of a column's definition.
#[derive(Debug, Default)]
struct Parts<'n> {
    default: Option<&'n Node>,
    generated: Option<(&'n Node, Generated)>,
    identity: Option<Identity>,
    not_null: bool,
    serial: bool,
}

fn constraints(column: &ColumnDef) -> impl Iterator<Item = &Constraint> {
    column.constraints.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::Constraint(constraint) => Some(&**constraint),
        _ => None,
    })
}

impl<'n> Parts<'n> {
    fn of(column: &'n ColumnDef) -> Self {
        let mut parts = Self { serial: column.type_name.as_ref().is_some_and(is_serial), ..Self::default() };
        parts.not_null = parts.serial;
        for constraint in constraints(column) {
            match constraint.contype() {
                ConstrType::ConstrDefault => parts.default = constraint.raw_expr.as_deref(),
                ConstrType::ConstrNotnull | ConstrType::ConstrPrimary => parts.not_null = true,
                ConstrType::ConstrIdentity => {
                    parts.not_null = true;
                    let always = constraint.generated_when == "a";
                    parts.identity = Some(if always { Identity::Always } else { Identity::ByDefault });
                }
                ConstrType::ConstrGenerated => {
                    let kind = if constraint.generated_kind == "v" { Generated::Virtual } else { Generated::Stored };
                    parts.generated = constraint.raw_expr.as_deref().map(|expression| (expression, kind));
                }
                _ => {}
            }
        }
        parts
    }
}

fn is_serial(name: &pg_query::protobuf::TypeName) -> bool {
    serial_integer(name).is_some()
}

/// Whether the new column has a default of its own (NULL counts) or a generation expression, which the server
/// keeps in the same place (`raw_default`); then its foreign keys are checked.
pub(super) fn has_default(column: &ColumnDef) -> bool {
    let serial = column.type_name.as_ref().is_some_and(is_serial);
    let fills = |constraint: &Constraint| {
        matches!(constraint.contype(), ConstrType::ConstrDefault | ConstrType::ConstrGenerated)
    };
    serial || constraints(column).any(fills)
}

pub(super) fn add_column<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, spec: &Spec<'_>, checks_foreign_keys: bool) {
    let column = spec.column;
    let table = root.relation;
    if table.of_type.is_some() {
        work.impact.refuse("42809", "cannot add column to typed table", "Add an attribute to its type instead.");
    }
    if table.partition_bound.is_some() {
        work.impact.refuse("42809", "cannot add column to a partition", "Add the column to the partitioned table.");
    }
    if work.column(root, &column.colname).is_some() {
        if !spec.if_not_exists {
            let message = format!("column \"{}\" of relation \"{}\" already exists", column.colname, root.name.name);
            work.impact.refuse("42701", message, "Choose another name, or leave the statement out.");
        }
        return;
    }
    if SYSTEM_COLUMNS.contains(&column.colname.as_str()) {
        let message = format!("column name \"{}\" conflicts with a system column name", column.colname);
        work.impact.refuse("42701", message, "Choose another name.");
    }
    refuse_own_row(work, root, column);
    let mut attributes = constraints(column);
    if root.relation.partition_key.is_some()
        && work.major() >= 18
        && attributes.any(|constraint| constraint.contype() == ConstrType::ConstrNotnull && constraint.is_no_inherit)
    {
        let message = "not-null constraints on partitioned tables cannot be NO INHERIT";
        work.impact.refuse("0A000", message, "Leave out NO INHERIT.");
    }
    let parts = Parts::of(column);
    refuse_conflicts(work, root, column, &parts);
    let data_type = resolve(work, column);
    let tree = work.resolver.tree(root);
    if !spec.recurse && tree.len() > 1 {
        let message = "column must be added to child tables too";
        work.impact.refuse("42P16", message, "Leave out ONLY.");
    }
    // From 17 on the partitions of a table share its identity.
    let shares = work.major() >= 17 && table.partition_key.is_some();
    if parts.identity.is_some() && !shares && tree.len() > 1 {
        let message = "cannot recursively add identity column to table that has child tables";
        work.impact.refuse("42P16", message, "Add the column without identity, or use a sequence as its default.");
    }
    let of_domain = data_type.as_ref().is_some_and(|of| {
        let known = work.resolver.catalog.types.get(&of.name).filter(|_| !of.array);
        known.is_some_and(|known| matches!(known.kind, TypeKind::Domain { .. }))
    });
    if of_domain && matches!(parts.generated, Some((_, Generated::Virtual))) {
        let message = format!("virtual generated column \"{}\" cannot have a domain type", column.colname);
        work.impact.refuse("0A000", message, "Use the domain's base type.");
    }
    let filling = filling(work, root, column, &parts, data_type.as_ref());
    for member in receiving(work, root, &column.colname) {
        work.lock(member);
        add_to(work, member, column, &parts, data_type.as_ref(), &filling);
    }
    inline_constraints(work, root, spec, checks_foreign_keys);
}

/// The tree that gets the column: a child that has one of that name merges it, and what is below is left alone.
fn receiving<'a>(work: &Work<'_, 'a>, root: Rel<'a>, column: &str) -> Vec<Rel<'a>> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(current) = all.get(next).copied() {
        next += 1;
        if current != root && work.column(current, column).is_some() {
            continue;
        }
        for child in &work.resolver.children(current.name) {
            if !all.contains(child) {
                all.push(*child);
            }
        }
    }
    all
}

/// 42P16: a table's rows do not contain themselves (`CheckAttributeType`).
fn refuse_own_row<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, column: &ColumnDef) {
    let Some(name) = &column.type_name else { return };
    if let TypeLookup::Row(of) = work.resolver.type_named(name)
        && of == root
    {
        let message = format!("composite type {} cannot be made a member of itself", root.name.name);
        work.impact.refuse("42P16", message, "Refer to other rows by their key.");
    }
}

/// Mistakes that the server finds when it takes the definition apart.
fn refuse_conflicts<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, column: &ColumnDef, parts: &Parts<'_>) {
    let given = [
        (parts.default.is_some() || parts.serial, "default"),
        (parts.generated.is_some(), "generation expression"),
        (parts.identity.is_some(), "identity"),
    ];
    let mut given = given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, word)| word);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        let message = format!(
            "both {first} and {second} specified for column \"{}\" of table \"{}\"",
            column.colname, root.name.name
        );
        work.impact.refuse("42601", message, "Keep one of them.");
    }
}

fn resolve(work: &mut Work<'_, '_>, column: &ColumnDef) -> Option<DataType> {
    let name = column.type_name.as_ref()?;
    let found = resolve_type(name, work.resolver.catalog);
    match &found {
        Some(found) => expressions::column_type(work, column, found),
        None => refuse_missing_type(work, name),
    }
    found
}

/// 42704, where the name is certainly no type.
pub(super) fn refuse_missing_type(work: &mut Work<'_, '_>, name: &pg_query::protobuf::TypeName) {
    if matches!(work.resolver.type_named(name), TypeLookup::Missing)
        && let Some(shown) = crate::plan::analyze::names::Qualified::from_type(name)
    {
        crate::plan::analyze::refusal::require_schema(&mut work.impact, work.resolver, shown.schema);
        missing_object(&mut work.impact, "type", &shown.shown());
    }
}

fn filling<'a>(
    work: &mut Work<'_, 'a>,
    root: Rel<'a>,
    column: &ColumnDef,
    parts: &Parts<'_>,
    data_type: Option<&DataType>,
) -> Filling {
    let constrained = data_type.is_some_and(|of| has_constraints(of, work.resolver.catalog));
    let mut filling = Filling { has_values: constrained, per_row: constrained, ..Filling::default() };
    if parts.serial || parts.identity.is_some() {
        return Filling { has_values: true, per_row: true, ..filling };
    }
    if let Some((expression, kind)) = parts.generated {
        let functions = expressions::generated(work, root, &column.colname, expression).into_iter().collect();
        return match kind {
            Generated::Stored => Filling { has_values: true, per_row: true, functions, ..filling },
            Generated::Virtual => Filling::default(),
        };
    }
    let own_default = parts.default.cloned();
    let default = own_default.or_else(|| domain_default(work, data_type?));
    let Some(default) = default else { return filling };
    if parts.default.is_some() {
        expressions::default(work, &column.colname, &default, data_type, expressions::Evaluated::Now);
    }
    let value = work.evaluate(&default);
    if value.is_null() {
        return filling;
    }
    filling.has_values = true;
    filling.per_row |= value.volatile;
    filling.missing_value = !filling.per_row;
    if filling.per_row {
        filling.functions = value.function_names().cloned().collect();
    } else {
        work.runs_once(value.function_names());
    }
    filling.sequences = value.sequences;
    filling
}

/// The default that the type itself brings, of the domain or of one below it.
fn domain_default(work: &Work<'_, '_>, data_type: &DataType) -> Option<Node> {
    let mut current = data_type.clone();
    // A domain cannot be over itself; the bound is for a catalog file that says so.
    for _ in 0..100 {
        let TypeKind::Domain { base, default, .. } = &work.resolver.catalog.types.get(&current.name)?.kind else {
            return None;
        };
        if current.array {
            return None;
        }
        if let Some(default) = default {
            return parse_expression(default);
        }
        current = base.clone();
    }
    None
}

/// The column in one table of the tree.
fn add_to<'a>(
    work: &mut Work<'_, 'a>,
    member: Rel<'a>,
    column: &ColumnDef,
    parts: &Parts<'_>,
    data_type: Option<&DataType>,
    filling: &Filling,
) {
    if let Some(existing) = work.column(member, &column.colname) {
        // A child that has such a column already keeps it.
        let same =
            data_type.is_none_or(|of| existing.data_type.name == of.name && existing.data_type.array == of.array);
        if !same {
            let message =
                format!("child table \"{}\" has different type for column \"{}\"", member.name.name, column.colname);
            work.impact.refuse("42804", message, "Give both columns the same type first.");
        }
        return;
    }
    if filling.has_values && member.relation.kind != RelationKind::PartitionedTable {
        work.new_values(member);
    }
    if filling.per_row {
        work.rewrite(member);
        if parts.generated.is_some() {
            work.advise(
                member,
                ". The server cannot make a column generated that is there, so there is no other way to a stored one: \
                 a plain column that a trigger computes, filled in batches, comes close, and from 18 on a virtual one \
                 is instant",
            );
        }
        work.advances(member, &filling.sequences);
        work.runs(member, &filling.functions);
    } else if parts.not_null && !filling.missing_value {
        work.verify(member);
        let message = format!("{} must be empty: the new column has no value for existing rows", member.name);
        work.impact.hazard(HazardId::MayFail, Some(member.name), message);
    }
    if !filling.has_values && parts.generated.is_none() {
        work.all_null(member, &column.colname);
    }
    let Some(data_type) = data_type else { return };
    let mut added = Column::new(column.colname.clone(), data_type.clone());
    added.not_null = parts.not_null;
    added.identity = parts.identity;
    added.generated = parts.generated.map(|(_, kind)| kind);
    work.change(member).columns.push(added);
}

/// CHECK, UNIQUE, PRIMARY KEY and REFERENCES within the definition.
fn inline_constraints<'a>(work: &mut Work<'_, 'a>, root: Rel<'a>, spec: &Spec<'_>, checks_foreign_keys: bool) {
    let columns = [spec.column.colname.clone()];
    let all: Vec<&Constraint> = constraints(spec.column).collect();
    for (index, constraint) in all.iter().enumerate() {
        // Its attributes follow it in the list.
        let attributes = all.iter().skip(index + 1).map(|next| next.contype());
        let enforced = !attributes.take_while(is_attribute).any(|kind| kind == ConstrType::ConstrAttrNotEnforced);
        match constraint.contype() {
            ConstrType::ConstrCheck => {
                add_constraint::add_check(work, root, constraint, enforced, spec.recurse);
            }
            ConstrType::ConstrUnique | ConstrType::ConstrPrimary => {
                key::add(work, root, constraint, &columns, spec.recurse);
            }
            ConstrType::ConstrForeign => {
                let checked = enforced && checks_foreign_keys;
                let spec = foreign_key::Spec { constraint, columns: &columns, enforced, checked, of_column: true };
                foreign_key::add(work, root, &spec, true);
            }
            _ => {}
        }
    }
}

fn is_attribute(kind: &ConstrType) -> bool {
    matches!(
        kind,
        ConstrType::ConstrAttrDeferrable
            | ConstrType::ConstrAttrNotDeferrable
            | ConstrType::ConstrAttrDeferred
            | ConstrType::ConstrAttrImmediate
            | ConstrType::ConstrAttrEnforced
            | ConstrType::ConstrAttrNotEnforced
    )
}
