//! What `IF NOT EXISTS` leaves as it is although it is not what the statement describes. The server says no more than
//! that it is there.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, AlterTableType, CreateStmt, IndexStmt};

use super::analyze::Resolver;
use super::expand::single;
use crate::catalog::apply::apply;
use crate::catalog::compare::canonical_definition;
use crate::catalog::{Catalog, Column, Name, Relation};
use crate::sql::{Statement, quote};

/// For people: what is there under the name, and how it differs. `None`: nothing is left alone, or it is the same.
pub(super) fn note(statement: &Statement, catalog: &Catalog) -> Option<String> {
    let (what, differences) = match &statement.node {
        NodeEnum::CreateStmt(create) if create.if_not_exists => of_table(create, statement, catalog)?,
        NodeEnum::IndexStmt(index) if index.if_not_exists => of_index(index, statement, catalog)?,
        NodeEnum::AlterTableStmt(alter) => of_columns(alter, statement, catalog)?,
        _ => return None,
    };
    (!differences.is_empty())
        .then(|| format!("{what} is there and stays as it is, which is not as described: {}", differences.join("; ")))
}

fn of_table(create: &CreateStmt, statement: &Statement, catalog: &Catalog) -> Option<(String, Vec<String>)> {
    let found = Resolver::new(catalog).relation(create.relation.as_ref()?)?;
    let what = found.name.to_string();
    if !found.relation.kind.is_table() {
        return Some((what, vec!["it is no table".to_owned()]));
    }
    let wanted = without(catalog, &format!("DROP TABLE {} CASCADE", found.name), statement)?;
    let wanted = wanted.relations.get(found.name)?;
    let mut differences: Vec<String> =
        wanted.columns.iter().filter_map(|column| of_column(column, found.relation.column(&column.name))).collect();
    let more = found.relation.columns.iter().filter(|column| wanted.column(&column.name).is_none());
    differences.extend(more.map(|column| format!("column {} is not described", quote::ident(&column.name))));
    Some((what, differences))
}

fn of_index(index: &IndexStmt, statement: &Statement, catalog: &Catalog) -> Option<(String, Vec<String>)> {
    let table = Resolver::new(catalog).relation(index.relation.as_ref()?)?;
    let name = Name::new(&*table.name.schema, &*index.idxname);
    let found = catalog.relations.get(&name)?;
    let what = name.to_string();
    let Some(facts) = &found.index else { return Some((what, vec!["it is no index".to_owned()])) };
    if facts.table != *table.name {
        return Some((what, vec![format!("it is on {}", facts.table)]));
    }
    let mut differences = Vec::new();
    if !facts.valid {
        differences.push("it is not valid".to_owned());
    }
    let wanted = without(catalog, &format!("DROP INDEX {name}"), statement);
    let definition = |relation: &Relation| relation.index.as_ref().map(|facts| canonical_definition(&facts.definition));
    if wanted.is_some_and(|wanted| wanted.relations.get(&name).and_then(definition) != definition(found)) {
        differences.push(format!("it is {}", facts.definition));
    }
    Some((what, differences))
}

/// Columns of `ADD COLUMN IF NOT EXISTS`.
fn of_columns(alter: &AlterTableStmt, statement: &Statement, catalog: &Catalog) -> Option<(String, Vec<String>)> {
    let table = Resolver::new(catalog).relation(alter.relation.as_ref()?)?;
    let mut differences = Vec::new();
    for command in &alter.cmds {
        let Some(NodeEnum::AlterTableCmd(command)) = &command.node else { continue };
        let Some(NodeEnum::ColumnDef(column)) = command.def.as_ref().and_then(|node| node.node.as_ref()) else {
            continue;
        };
        let known = table.relation.column(&column.colname);
        if command.subtype() != AlterTableType::AtAddColumn || !command.missing_ok || known.is_none() {
            continue;
        }
        let drop = format!("ALTER TABLE {} DROP COLUMN {} CASCADE", table.name, quote::ident(&column.colname));
        let Some(wanted) = without(catalog, &drop, statement) else { continue };
        let wanted = wanted.relations.get(table.name)?.column(&column.colname)?;
        differences.extend(of_column(wanted, known));
    }
    Some((table.name.to_string(), differences))
}

/// The catalog behind the statement if what it describes were not there.
fn without(catalog: &Catalog, drop: &str, statement: &Statement) -> Option<Catalog> {
    let mut free = catalog.clone();
    apply(&mut free, &single(drop)?).ok()?;
    apply(&mut free, statement).ok()?;
    Some(free)
}

fn of_column(wanted: &Column, there: Option<&Column>) -> Option<String> {
    let column = quote::ident(&wanted.name);
    let Some(there) = there else { return Some(format!("column {column} is missing")) };
    if there.data_type != wanted.data_type {
        return Some(format!("column {column} is {}, not {}", there.data_type.sql, wanted.data_type.sql));
    }
    if there.not_null != wanted.not_null {
        return Some(format!("column {column} is {}NOT NULL", if there.not_null { "" } else { "not " }));
    }
    (there.default.is_some() != wanted.default.is_some()).then(|| {
        let has = if there.default.is_some() { "has a" } else { "has no" };
        format!("column {column} {has} default")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note_on(setup: &str, sql: &str) -> Option<String> {
        let mut catalog = Catalog::default();
        catalog.server.version = 170_000;
        for statement in crate::sql::parse(setup).unwrap() {
            apply(&mut catalog, &statement).unwrap();
        }
        note(&single(sql).unwrap(), &catalog)
    }

    #[test]
    fn what_is_there_is_held_against_what_is_described() {
        let setup = "CREATE SCHEMA s; CREATE TABLE s.t (a int NOT NULL, b text); CREATE INDEX i ON s.t (a)";
        for same in [
            "CREATE TABLE IF NOT EXISTS s.t (a int NOT NULL, b text)",
            "CREATE INDEX IF NOT EXISTS i ON s.t (a)",
            "ALTER TABLE s.t ADD COLUMN IF NOT EXISTS b text",
            "ALTER TABLE s.t ADD COLUMN IF NOT EXISTS c text",
        ] {
            assert_eq!(note_on(setup, same), None, "{same}");
        }
        for (other, tells) in [
            ("CREATE TABLE IF NOT EXISTS s.t (a bigint, c int)", ["a is integer, not bigint", "c is missing"]),
            ("CREATE TABLE IF NOT EXISTS s.t (a int)", ["a is NOT NULL", "b is not described"]),
            ("CREATE INDEX IF NOT EXISTS i ON s.t (b)", ["s.i is there", "ON s.t USING btree (a)"]),
            ("ALTER TABLE s.t ADD COLUMN IF NOT EXISTS b text DEFAULT 'x'", ["s.t", "b has no default"]),
        ] {
            let note = note_on(setup, other).unwrap_or_default();
            assert!(tells.iter().all(|tell| note.contains(tell)), "{other}: {note}");
        }
    }
}
