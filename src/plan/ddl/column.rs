//! Columns of a table that stays.

use super::{Ends, Phase, Script, relation, sequence};
use crate::catalog::{Catalog, Column, ConstraintKind, DataType, Generated, Identity, Name, Relation, TypeKind};
use crate::plan::analyze::{CastContext, Conversion, convert};
use crate::sql::quote;

pub(super) fn change_all(ends: &Ends<'_>, table: &Name, old: &Relation, new: &Relation, script: &mut Script) {
    // The columns of a typed table are those of its type.
    if new.of_type.is_some() && old.of_type == new.of_type {
        return;
    }
    for column in old.columns.iter().filter(|column| column.local) {
        if new.column(&column.name).is_none() && !ends.skip.column(table, &column.name) {
            drop(table, column, script);
        }
    }
    for column in &new.columns {
        match old.column(&column.name) {
            None if column.inherited == 0 => add(ends, table, old, new, column, script),
            None => {}
            // Nobody needs its former type, which may not take the values of the rows.
            Some(known) if known.data_type != column.data_type && known.inherited == 0 && ends.skip.goes(table) => {
                drop(table, column, script);
            }
            Some(known) if known != column && !ends.skip.column(table, &column.name) => {
                change(ends, table, new, known, column, script);
            }
            Some(_) => {}
        }
    }
}

fn drop(table: &Name, column: &Column, script: &mut Script) {
    script.add(Phase::DropColumn, format!("ALTER TABLE {table} DROP COLUMN IF EXISTS {}", quote::ident(&column.name)));
}

/// A column definition for `CREATE TABLE` and `ADD COLUMN`, without NOT NULL.
pub(super) fn definition(catalog: &Catalog, column: &Column) -> String {
    let mut text = format!("{} {}", quote::ident(&column.name), column.data_type.sql);
    if let Some(collation) = &column.collation {
        text.push_str(&format!(" COLLATE {}", collation_name(collation)));
    }
    match (column.generated, &column.default) {
        (Some(generated), Some(expression)) => {
            let kind = if generated == Generated::Stored { "STORED" } else { "VIRTUAL" };
            text.push_str(&format!(" GENERATED ALWAYS AS ({expression}) {kind}"));
        }
        (None, Some(default)) => text.push_str(&format!(" DEFAULT {default}")),
        _ => {}
    }
    if let Some(identity) = column.identity {
        text.push_str(&format!(" {}", identity_clause(catalog, column, identity)));
    }
    text
}

/// A collation of the catalog (`schema.name`) in SQL.
pub(in crate::plan) fn collation_name(collation: &str) -> String {
    match collation.parse::<Name>() {
        Ok(name) => name.to_string(),
        Err(_) => quote::ident(collation),
    }
}

/// `GENERATED ... AS IDENTITY` with the options of the column's sequence.
pub(in crate::plan) fn identity_clause(catalog: &Catalog, column: &Column, identity: Identity) -> String {
    let kind = if identity == Identity::Always { "ALWAYS" } else { "BY DEFAULT" };
    let facts =
        column.owned_sequence.as_ref().and_then(|name| Some((name, catalog.relations.get(name)?.sequence.as_ref()?)));
    match facts {
        Some((name, facts)) => {
            format!("GENERATED {kind} AS IDENTITY ({})", sequence::identity_options(name, facts))
        }
        None => format!("GENERATED {kind} AS IDENTITY"),
    }
}

/// Whether the column comes back to rows that are there with values of nobody's.
pub(super) fn is_filled(ends: &Ends<'_>, table: &Name, name: &str) -> bool {
    let column = ends.to.relations.get(table).and_then(|relation| relation.column(name));
    column.is_some_and(|column| column.generated.is_none() && (column.not_null || column.default.is_some()))
        && ends.loses_column(table, name)
}

/// Whether the column of `to` has a default.
pub(super) fn has_default(ends: &Ends<'_>, table: &Name, name: &str) -> bool {
    let column = ends.to.relations.get(table).and_then(|relation| relation.column(name));
    column.is_some_and(|column| column.default.is_some() || column.identity.is_some())
}

/// One of the columns that a unique key is on, where all of them would have the same values in the rows that are there.
pub(super) fn without_keys<'c>(ends: &Ends<'_>, table: &Name, columns: &'c [String]) -> Option<&'c String> {
    let relation = ends.to.relations.get(table)?;
    let distinct = |name: &String| {
        relation.column(name).is_some_and(|column| {
            column.identity.is_some()
                || column
                    .default
                    .as_ref()
                    .is_some_and(|text| text.contains("nextval(") || text.contains("gen_random_uuid("))
        })
    };
    let filled = columns.iter().find(|name| is_filled(ends, table, name))?;
    (!columns.iter().any(distinct)).then_some(filled)
}

/// Why a unique key of a column cannot come back when its values are gone.
pub(super) fn no_keys(table: &Name, column: &str, key: &str) -> String {
    format!("column {} of {table} had a value for every row that {key} needs", quote::ident(column))
}

fn add(ends: &Ends<'_>, table: &Name, old: &Relation, new: &Relation, column: &Column, script: &mut Script) {
    let quoted = quote::ident(&column.name);
    let definition = definition(ends.to, column);
    let empty = old.stats.empty;
    let filled = column.default.is_some() || column.identity.is_some();
    if column.not_null && !filled && !empty {
        // NOT NULL needs a value in the rows that are there: the plainest of the type, for them only.
        let Some(filler) = filler(ends.to, &column.data_type) else {
            script.gap(format!("column {quoted} of {table} was never null, and there is no plain value of its type"));
            return;
        };
        script.add(
            Phase::Column,
            format!("ALTER TABLE {table} ADD COLUMN {definition} DEFAULT {filler}{}", not_null(new, column)),
        );
        script.add(Phase::Column, format!("ALTER TABLE {table} ALTER COLUMN {quoted} DROP DEFAULT"));
    } else {
        let not_null = if column.not_null { not_null(new, column) } else { String::new() };
        script.add(Phase::Column, format!("ALTER TABLE {table} ADD COLUMN {definition}{not_null}"));
    }
    if column.generated.is_none() {
        script.lose(format!("the values of column {quoted} of {table}"));
    }
    details(table, None, column, script);
}

/// ` NOT NULL`, under the name that it has in the catalog from 18 on.
pub(super) fn not_null(relation: &Relation, column: &Column) -> String {
    let named = relation.constraints.iter().find(|constraint| {
        constraint.kind == ConstraintKind::NotNull && constraint.columns.first() == Some(&column.name)
    });
    match named {
        Some(constraint) => format!(" CONSTRAINT {} NOT NULL", quote::ident(&constraint.name)),
        None => " NOT NULL".to_owned(),
    }
}

fn change(ends: &Ends<'_>, table: &Name, new: &Relation, old: &Column, column: &Column, script: &mut Script) {
    let alter = format!("ALTER TABLE {table} ALTER COLUMN {}", quote::ident(&column.name));
    // What a parent hands down changes with the parent.
    if column.inherited > 0 && !column.local && new.parents.iter().any(|parent| differs(ends, parent, &column.name)) {
        return below(ends, table, new, old, column, script);
    }
    let retyped = old.data_type != column.data_type || old.collation != column.collation;
    if retyped {
        let collation =
            column.collation.as_ref().map_or_else(String::new, |text| format!(" COLLATE {}", collation_name(text)));
        let using = if old.data_type == column.data_type {
            String::new()
        } else {
            // What has no cast, as between enum types, goes by way of text.
            let cast = convert(&old.data_type, &column.data_type, CastContext::Explicit, ends.from);
            let via = if cast == Conversion::Impossible { "::text" } else { "" };
            format!(" USING {}{via}::{}", quote::ident(&column.name), column.data_type.sql)
        };
        if old.default.is_some() && old.generated.is_none() {
            script.add(Phase::DropColumn, format!("{alter} DROP DEFAULT"));
        }
        script.add(Phase::Column, format!("{alter} TYPE {}{collation}{using}", column.data_type.sql));
    }
    if old.generated != column.generated || (old.generated.is_some() && old.default != column.default) {
        generated(ends, &alter, table, old, column, script);
    } else if old.generated.is_none() && (old.default != column.default || retyped) {
        match &column.default {
            Some(default) => script.add(Phase::Own, format!("{alter} SET DEFAULT {default}")),
            None if old.default.is_some() => script.add(Phase::DropConstraint, format!("{alter} DROP DEFAULT")),
            None => {}
        }
    }
    let by_constraint = |relation: &Relation| {
        relation
            .constraints
            .iter()
            .any(|constraint| constraint.kind == ConstraintKind::NotNull && constraint.columns.contains(&column.name))
    };
    let named = by_constraint(new) || ends.from.relations.get(table).is_some_and(by_constraint);
    if old.not_null != column.not_null && !named {
        let verb = if column.not_null { "SET" } else { "DROP" };
        script.add(Phase::Constraint, format!("{alter} {verb} NOT NULL"));
    }
    if old.identity != column.identity {
        match column.identity {
            None => script.add(Phase::DropConstraint, format!("{alter} DROP IDENTITY IF EXISTS")),
            Some(kind) if old.identity.is_some() => {
                let word = if kind == Identity::Always { "ALWAYS" } else { "BY DEFAULT" };
                script.add(Phase::Facts, format!("{alter} SET GENERATED {word}"));
            }
            Some(kind) => {
                script.add(Phase::Facts, format!("{alter} ADD {}", identity_clause(ends.to, column, kind)));
                script.lose(format!("the position of the identity of {table}.{}", quote::ident(&column.name)));
            }
        }
    }
    details(table, Some(old), column, script);
}

/// A column that changes with the parent's: what it has of its own.
fn below(ends: &Ends<'_>, table: &Name, new: &Relation, old: &Column, column: &Column, script: &mut Script) {
    let handed = new.parents.iter().find_map(|parent| ends.to.relations.get(parent)?.column(&column.name));
    if column.generated.is_none() && handed.is_some_and(|handed| handed.default != column.default) {
        let what =
            column.default.as_ref().map_or_else(|| "DROP DEFAULT".to_owned(), |text| format!("SET DEFAULT {text}"));
        script.add(Phase::Facts, format!("ALTER TABLE {table} ALTER COLUMN {} {what}", quote::ident(&column.name)));
    }
    details(table, Some(old), column, script);
}

/// Whether the parent's column is another at the other end.
fn differs(ends: &Ends<'_>, parent: &Name, column: &str) -> bool {
    let of = |catalog: &Catalog| catalog.relations.get(parent).and_then(|relation| relation.column(column)).cloned();
    of(ends.from) != of(ends.to)
}

fn generated(ends: &Ends<'_>, alter: &str, table: &Name, old: &Column, column: &Column, script: &mut Script) {
    match (old.generated, column.generated, &column.default) {
        (Some(_), None, default) => {
            script.add(Phase::Column, format!("{alter} DROP EXPRESSION IF EXISTS"));
            if let Some(default) = default {
                script.add(Phase::Own, format!("{alter} SET DEFAULT {default}"));
            }
        }
        (Some(one), Some(other), Some(expression)) if one == other && ends.to.server.major() >= 17 => {
            script.add(Phase::Column, format!("{alter} SET EXPRESSION AS ({expression})"));
        }
        _ => script.gap(format!(
            "PostgreSQL cannot turn column {} of {table} into a generated one",
            quote::ident(&column.name)
        )),
    }
}

/// Storage, statistics and comment of a column.
pub(super) fn details(table: &Name, old: Option<&Column>, new: &Column, script: &mut Script) {
    let quoted = quote::ident(&new.name);
    let alter = format!("ALTER TABLE {table} ALTER COLUMN {quoted}");
    if old.and_then(|old| old.storage.as_ref()) != new.storage.as_ref() {
        // From 16 on there is a word for the type's own; before, that is EXTENDED for types that can be toasted.
        let storage = new.storage.as_deref().unwrap_or("EXTENDED");
        script.add(Phase::Facts, format!("{alter} SET STORAGE {storage}"));
    }
    if old.and_then(|old| old.compression.as_ref()) != new.compression.as_ref() {
        let compression = new.compression.as_deref().unwrap_or("default");
        script.add(Phase::Facts, format!("{alter} SET COMPRESSION {compression}"));
    }
    if old.and_then(|old| old.statistics_target) != new.statistics_target {
        script.add(Phase::Facts, format!("{alter} SET STATISTICS {}", new.statistics_target.unwrap_or(-1)));
    }
    let options = old.map_or(&[][..], |old| &old.options);
    if options != new.options {
        let keys: Vec<&str> = options.iter().filter_map(|option| option.split_once('=').map(|(key, _)| key)).collect();
        if !keys.is_empty() {
            script.add(Phase::Facts, format!("{alter} RESET ({})", keys.join(", ")));
        }
        let set: Vec<String> = new.options.iter().map(|option| relation::option_text(option)).collect();
        if !set.is_empty() {
            script.add(Phase::Facts, format!("{alter} SET ({})", set.join(", ")));
        }
    }
    if old.and_then(|old| old.comment.as_ref()) != new.comment.as_ref() {
        script.add(Phase::Facts, relation::comment("COLUMN", &format!("{table}.{quoted}"), new.comment.as_deref()));
    }
}

/// The plainest value of a type, as a literal.
fn filler(catalog: &Catalog, data_type: &DataType) -> Option<String> {
    if data_type.array {
        return Some("'{}'".to_owned());
    }
    if let Some(known) = catalog.types.get(&data_type.name) {
        return match &known.kind {
            TypeKind::Enum { labels } => labels.first().map(|label| quote::literal(label)),
            TypeKind::Domain { base, constraints, .. } if constraints.is_empty() => filler(catalog, base),
            _ => None,
        };
    }
    let value = match data_type.name.name.as_str() {
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "money" | "oid" => "0",
        "text" | "varchar" | "bpchar" | "name" | "bytea" | "citext" => "''",
        "bool" => "false",
        "date" | "timestamp" | "timestamptz" => "'epoch'",
        "time" | "timetz" => "'00:00'",
        "interval" => "'0'",
        "uuid" => "'00000000-0000-0000-0000-000000000000'",
        "json" | "jsonb" => "'{}'",
        "inet" | "cidr" => "'0.0.0.0'",
        _ => return None,
    };
    Some(value.to_owned())
}
