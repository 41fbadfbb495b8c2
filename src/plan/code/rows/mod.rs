//! The rows that system catalogs and the information schema have for what is in a catalog.

mod information_schema;
mod system_catalog;

use std::borrow::Cow;

use super::value::Value;
use crate::catalog::builtin;
use crate::catalog::{Catalog, Column, Name, Relation, RelationKind, TypeKind};

/// A row, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    /// Columns with their values; those that are left out are not known.
    pub cells: Vec<(&'static str, Value<'a>)>,
    /// Whether it is certain that the session sees the row.
    pub certain: bool,
}

/// The views of the information schema (18): these are relations that the catalog leaves out and whose names do not
/// begin as those of system catalogs do.
const INFORMATION_SCHEMA: &str = "administrable_role_authorizations applicable_roles attributes character_sets \
    check_constraint_routine_usage check_constraints collation_character_set_applicability collations \
    column_column_usage column_domain_usage column_options column_privileges column_udt_usage columns \
    constraint_column_usage constraint_table_usage data_type_privileges domain_constraints domain_udt_usage domains \
    element_types enabled_roles foreign_data_wrapper_options foreign_data_wrappers foreign_server_options \
    foreign_servers foreign_table_options foreign_tables information_schema_catalog_name key_column_usage parameters \
    referential_constraints role_column_grants role_routine_grants role_table_grants role_udt_grants \
    role_usage_grants routine_column_usage routine_privileges routine_routine_usage routine_sequence_usage \
    routine_table_usage routines schemata sequences table_constraints table_privileges tables transforms \
    triggered_update_columns triggers udt_privileges usage_privileges user_defined_types user_mapping_options \
    user_mappings view_column_usage view_routine_usage view_table_usage views cardinal_number character_data \
    sql_identifier time_stamp yes_or_no cardinal_number_domain_check yes_or_no_check ctid xmin xmax cmin cmax tableoid";

/// Whether something of the server itself may have that name, which the catalog leaves out.
pub(super) fn may_be_of_system(name: &str) -> bool {
    let beginnings = ["pg_", "_", "sql_", "RI_", "binary_upgrade_"];
    beginnings.iter().any(|beginning| name.starts_with(beginning))
        // Before 18 the information schema makes such names up.
        || name.ends_with("_not_null") && name.starts_with(|first: char| first.is_ascii_digit())
        || INFORMATION_SCHEMA.split(' ').any(|known| known == name)
        || builtin::type_by_name(name, i32::MAX).is_some()
        || builtin::function_majors(name).is_some()
}

/// The rows of the table of that name; `None` for one that is not known here.
pub(super) fn of<'a>(schema: &str, table: &str, catalog: &'a Catalog) -> Option<Vec<Row<'a>>> {
    let source = Source { catalog };
    match schema {
        "information_schema" => source.information_schema(table),
        "" | "pg_catalog" => source.system_catalog(table),
        _ => None,
    }
}

fn text<'a>(text: &'a str) -> Value<'a> {
    Value::Text(Cow::Borrowed(text))
}

fn yes(is: bool) -> Value<'static> {
    text(if is { "YES" } else { "NO" })
}

fn row<'a, const N: usize>(cells: [(&'static str, Value<'a>); N]) -> Row<'a> {
    Row { cells: cells.into(), certain: true }
}

/// The rows of what the server brings itself: their names are only known not to be others.
fn system<const N: usize>(schema: &'static str, names: [&'static str; N]) -> Row<'static> {
    let mut cells = vec![(schema, Value::SystemSchema)];
    cells.extend(names.into_iter().map(|name| (name, Value::SystemName)));
    Row { cells, certain: false }
}

struct Source<'a> {
    catalog: &'a Catalog,
}

type Named<'a> = (&'a Name, &'a Relation);

impl<'a> Source<'a> {
    fn relations<F: Fn(RelationKind) -> bool>(&self, wanted: F) -> impl Iterator<Item = Named<'a>> + use<'a, F> {
        let relations = self.catalog.relations.iter().filter(|(name, _)| !name.is_temporary());
        relations.filter(move |(_, relation)| wanted(relation.kind))
    }

    /// Of the information schema: what somebody else owns may be hidden from the session.
    fn seen(&self, owner: &str, row: Row<'a>) -> Row<'a> {
        let sees = self.catalog.server.superuser || self.catalog.server.user == owner;
        Row { certain: row.certain && sees, ..row }
    }

    fn composites(&self) -> impl Iterator<Item = &'a Name> + use<'a> {
        let types = self.catalog.types.iter();
        types.filter(|(_, found)| matches!(found.kind, TypeKind::Composite { .. })).map(|(name, _)| name)
    }
}

/// The columns; nothing in place of those that are not known.
fn columns(relation: &Relation) -> Vec<Option<&Column>> {
    let unknown = relation.columns_unknown.then_some(None);
    relation.columns.iter().map(Some).chain(unknown).collect()
}
