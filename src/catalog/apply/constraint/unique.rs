//! PRIMARY KEY and UNIQUE: a constraint and the index behind it.

use pg_query::protobuf::{ConstrType, Node, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::{index, names};
use super::not_null::{self, Request};
use super::{Wished, basic, put};
use crate::catalog::expression::strings;
use crate::catalog::{Constraint, ConstraintKind, Name};
use crate::sql::quote;

pub(super) fn body(edit: &Edit<'_>, constraint: &Constraint) -> String {
    let word = if constraint.kind == ConstraintKind::PrimaryKey { "PRIMARY KEY" } else { "UNIQUE" };
    let behind = constraint.index.as_ref().and_then(|index| edit.relations.get(index)?.index.as_ref());
    let list = |columns: &[String]| columns.iter().map(|column| quote::ident(column)).collect::<Vec<_>>().join(", ");
    let nulls = if behind.is_some_and(|index| index.nulls_not_distinct) { " NULLS NOT DISTINCT" } else { "" };
    let period = if constraint.period { " WITHOUT OVERLAPS" } else { "" };
    // The key alone: what is included stands behind.
    let keys = behind.map_or_else(|| constraint.columns.clone(), |index| index::plain_columns(&index.keys));
    let mut out = format!("{word}{nulls} ({}{period})", list(&keys));
    if let Some(index) = behind.filter(|index| !index.include.is_empty()) {
        out.push_str(&format!(" INCLUDE ({})", list(&index.include)));
    }
    out
}

fn key_columns(wished: &Wished) -> Vec<Node> {
    match &wished.column {
        Some(column) => {
            vec![Node { node: Some(node::Node::String(pg_query::protobuf::String { sval: column.clone() })) }]
        }
        None => wished.node.keys.clone(),
    }
}

/// Whether the server makes one index of two wishes of one statement (`transformIndexConstraints`).
pub(super) fn makes_same_index(one: &Wished, other: &Wished) -> bool {
    let plain = |wish: &Wished| wish.kind() != ConstrType::ConstrExclusion && wish.node.indexname.is_empty();
    plain(one)
        && plain(other)
        && strings(&key_columns(one)) == strings(&key_columns(other))
        && strings(&one.node.including) == strings(&other.node.including)
        && one.node.nulls_not_distinct == other.node.nulls_not_distinct
        && one.node.deferrable == other.node.deferrable
        && one.node.initdeferred == other.node.initdeferred
        && (other.node.conname.is_empty() || one.node.conname == other.node.conname)
}

/// Adds the constraint with a new index, or with the one it names.
pub(super) fn add(edit: &mut Edit<'_>, table: &Name, wished: &Wished, recurse: bool) -> Outcome {
    let primary = wished.kind() == ConstrType::ConstrPrimary;
    if primary && edit.relation(table)?.constraints.iter().any(|other| other.kind == ConstraintKind::PrimaryKey) {
        fail!("{table} already has a primary key");
    }
    if !wished.node.indexname.is_empty() {
        return using_index(edit, table, wished, primary);
    }
    let keys = key_columns(wished);
    if primary {
        for column in strings(&keys) {
            make_not_null(edit, table, &column, recurse)?;
        }
    }
    let method = if wished.node.without_overlaps { "gist" } else { "btree" };
    let wish = index::Wish {
        name: Some(wished.node.conname.clone()).filter(|name| !name.is_empty()),
        method: method.to_owned(),
        unique: true,
        nulls_not_distinct: wished.node.nulls_not_distinct,
        primary,
        label: "key",
        keys: index::elements(&keys),
        include: wished.node.including.clone(),
        options: wished.node.options.clone(),
        tablespace: wished.node.indexspace.clone(),
        constraint: true,
        deferrable: wished.node.deferrable,
        only: !recurse,
        ..index::Wish::default()
    };
    let name = index::add(edit, table, &wish)?;
    let mut constraint = of_index(edit, wished, &name, primary)?;
    constraint.period = wished.node.without_overlaps;
    // The index came first; those of the partitions got their constraints with them.
    put(edit, table, constraint)
}

/// The columns of a primary key are not null, in partitions and children as well.
fn make_not_null(edit: &mut Edit<'_>, table: &Name, column: &str, recurse: bool) -> Outcome {
    let Some(found) = edit.relation(table)?.column(column) else {
        fail!("column {} of {table} does not exist", quote::ident(column));
    };
    if found.not_null && (edit.major() < 18 || not_null::of_column(edit, table, column).is_some()) {
        return Ok(());
    }
    not_null::set(edit, table, column, &Request::plain())?;
    if !recurse {
        return Ok(());
    }
    let name = not_null::of_column(edit, table, column).map(|constraint| constraint.name.clone());
    not_null::descend(edit, table, column, name.as_deref(), true)
}

/// The constraint over an index that exists.
fn of_index(edit: &Edit<'_>, wished: &Wished, index: &Name, primary: bool) -> Outcome<Constraint> {
    let kind = if primary { ConstraintKind::PrimaryKey } else { ConstraintKind::Unique };
    let Some(found) = &edit.relation(index)?.index else { fail!("{index} is not an index") };
    let mut constraint = basic(wished, index.name.clone(), kind);
    constraint.columns = index::plain_columns(&found.keys);
    constraint.index = Some(index.clone());
    constraint.validated = true;
    constraint.enforced = true;
    // `connoinherit` has no meaning here; the server sets it unless there is a parent's constraint.
    constraint.no_inherit = true;
    Ok(constraint)
}

/// The constraint of a partition, over the index it got from the parent's.
pub(in super::super) fn behind(edit: &mut Edit<'_>, table: &Name, index: &Name, wish: &index::Wish) -> Outcome {
    let node = pg_query::protobuf::Constraint {
        is_enforced: true,
        deferrable: wish.deferrable,
        ..pg_query::protobuf::Constraint::default()
    };
    let wished = Wished { node, column: None, new: true };
    let mut constraint = of_index(edit, &wished, index, wish.primary)?;
    constraint.no_inherit = false;
    put(edit, table, constraint)
}

/// `ADD CONSTRAINT .. USING INDEX`: the index takes the constraint's name.
fn using_index(edit: &mut Edit<'_>, table: &Name, wished: &Wished, primary: bool) -> Outcome {
    let mut index = Name::new(table.schema.as_str(), wished.node.indexname.as_str());
    let Some(found) = edit.relation(&index)?.index.clone() else { fail!("{index} is not an index") };
    if found.table != *table || !found.unique || found.constraint.is_some() || found.predicate.is_some() {
        fail!("index {index} cannot stand behind a constraint of {table}");
    }
    if found.keys.iter().any(|key| key.column.is_none()) || !found.valid {
        fail!("index {index} cannot stand behind a constraint of {table}");
    }
    if primary {
        for column in index::plain_columns(&found.keys) {
            let unproven = not_null::of_column(edit, table, &column).is_some_and(|constraint| !constraint.validated);
            if unproven {
                fail!("the not-null constraint of column {} of {table} is not valid", quote::ident(&column));
            }
            make_not_null(edit, table, &column, true)?;
        }
    }
    let wanted = &wished.node.conname;
    if !wanted.is_empty() && *wanted != index.name {
        let renamed = Name::new(index.schema.as_str(), wanted.as_str());
        super::super::rename::relation(edit, &index, &renamed)?;
        index = renamed;
    }
    let deferrable = wished.node.deferrable || wished.node.initdeferred;
    if let Some(found) = &mut edit.relation_mut(&index)?.index {
        found.constraint = Some(index.name.clone());
        found.primary = primary;
        found.immediate = !deferrable;
    }
    let constraint = of_index(edit, wished, &index, primary)?;
    put(edit, table, constraint)
}

/// The unique index that a foreign key to these columns uses: the primary key's first, else the first by name.
pub(super) fn index_for(edit: &Edit<'_>, table: &Name, columns: &[String]) -> Option<Name> {
    let mut candidates: Vec<(bool, Name)> = names::indexes(edit, table)
        .into_iter()
        .filter_map(|name| {
            let index = edit.relations.get(&name)?.index.as_ref()?;
            let mut own = index::plain_columns(&index.keys);
            let mut wanted = columns.to_vec();
            own.sort();
            wanted.sort();
            let fits = index.unique
                && index.valid
                && index.immediate
                && index.predicate.is_none()
                && index.keys.len() == columns.len()
                && own == wanted;
            fits.then_some((!index.primary, name))
        })
        .collect();
    candidates.sort();
    candidates.into_iter().next().map(|(_, name)| name)
}

/// Columns of the primary key, in its order.
pub(super) fn primary_key(edit: &Edit<'_>, table: &Name) -> Option<Vec<String>> {
    let constraints = &edit.relations.get(table)?.constraints;
    let primary = constraints.iter().find(|constraint| constraint.kind == ConstraintKind::PrimaryKey)?;
    Some(primary.columns.clone())
}
