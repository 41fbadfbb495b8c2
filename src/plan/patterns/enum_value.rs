//! `ALTER TYPE ... ADD VALUE`: the value cannot be used before its transaction is over (55P04), so it gets one
//! of its own.
//!
//! The server cannot take a value out again. Where the type is one of columns of small tables and of nothing else, the
//! way back makes the type anew without it, once no row has it; the simulation proves that this ends where the change
//! began.

use pg_query::NodeEnum;
use pg_query::protobuf::AlterEnumStmt;

use crate::catalog::{Catalog, Name, Relation, RelationKind, TypeKind, apply::apply};
use crate::plan::analyze::analyze;
use crate::plan::ddl;
use crate::plan::draft::{Back, Draft, Piece, UndoSource, Work};
use crate::plan::equivalent::equivalent;
use crate::plan::expand::{Context, single, size};
use crate::plan::model::{Check, HazardId, Stage};
use crate::plan::names;
use crate::sql::quote;

pub(super) fn plan(context: &Context<'_>) -> Option<Vec<Piece>> {
    let change = added(&context.statement.node)?;
    let draft =
        Draft::sql(Stage::Expand, "add-enum-value", "Adds a value to an enum type", context.statement.text.clone());
    let draft = match way_back(context, &change.new_val) {
        Some(way) => draft.with_hazards(&[HazardId::Irreversible], Vec::new()).undone_by(UndoSource::Way(way, None)),
        None => draft,
    };
    Some(vec![draft.alone().into()])
}

/// The statement, if it adds a value.
pub(in crate::plan) fn added(node: &NodeEnum) -> Option<&AlterEnumStmt> {
    match node {
        NodeEnum::AlterEnumStmt(change) if change.old_val.is_empty() => Some(change),
        _ => None,
    }
}

/// `None` where there is none, or nothing to go back from.
fn way_back(context: &Context<'_>, label: &str) -> Option<Vec<Back>> {
    let (before, after) = (context.before(), context.after()?);
    let (name, former) = before.types.iter().find(|(name, known)| after.types.get(*name) != Some(*known))?;
    let TypeKind::Enum { labels } = &former.kind else { return None };
    let TypeKind::Enum { labels: now } = &after.types.get(name)?.kind else { return None };
    if context.created.user_type(name) {
        return None;
    }
    let mut way = Vec::new();
    let aside = names::user_type(after, name, "former");
    let mut statements = vec![
        format!("ALTER TYPE {name} RENAME TO {}", quote::ident(&aside.name)),
        format!("CREATE TYPE {name} AS ENUM ({})", listed(labels)),
    ];
    for (table, relation) in before.relations.referring_to(name) {
        let columns: Vec<_> = relation.columns.iter().filter(|column| column.data_type.name == *name).collect();
        if columns.is_empty() {
            continue;
        }
        if !relation.kind.is_table()
            || (relation.kind.has_heap() && size(before, table) > context.policy.in_place_bytes)
        {
            return None;
        }
        if inherits(before, relation) {
            continue;
        }
        let mut parts = Vec::new();
        for column in columns {
            let quoted = quote::ident(&column.name);
            let (text, brackets) = if column.data_type.array { ("text[]", "[]") } else { ("text", "") };
            let has = if column.data_type.array {
                format!("{} = ANY ({quoted}::{text})", quote::literal(label))
            } else {
                format!("{quoted}::{text} = {}", quote::literal(label))
            };
            way.push(Back::Work(Work::Check(Check {
                query: format!("SELECT NOT EXISTS (SELECT FROM {table} WHERE {has})"),
                message: format!(
                    "{table} has rows whose {quoted} is the value of {name} that goes: give them another one first"
                ),
            })));
            let default = column.default.as_ref();
            parts.extend(default.map(|_| format!("ALTER {quoted} DROP DEFAULT")));
            parts.push(format!("ALTER {quoted} TYPE {name}{brackets} USING {quoted}::{text}::{name}{brackets}"));
            parts.extend(default.map(|default| format!("ALTER {quoted} SET DEFAULT {default}")));
        }
        statements.push(format!("ALTER TABLE {table} {}", parts.join(", ")));
    }
    statements.push(format!("DROP TYPE {aside}"));
    // Values that others have added since would go too.
    way.push(Back::Work(Work::Check(Check {
        query: format!(
            "SELECT pg_catalog.array_agg(enumlabel ORDER BY enumsortorder) = ARRAY[{}]::pg_catalog.name[] \
             FROM pg_catalog.pg_enum WHERE enumtypid = {}::pg_catalog.regtype",
            listed(now),
            quote::literal(&name.to_string())
        ),
        message: format!("type {name} has other values by now: undo first what changed them"),
    })));
    let mut reached = after.clone();
    run(&mut reached, &statements)?;
    // Its owner, privileges and comment.
    let rest = ddl::between(&reached, before);
    if !rest.gaps.is_empty() || !rest.lost.is_empty() {
        return None;
    }
    let rest = rest.statements();
    run(&mut reached, &rest)?;
    if !equivalent(&reached, before) {
        return None;
    }
    statements.extend(rest);
    way.push(Back::together(statements));
    Some(way)
}

fn listed(labels: &[String]) -> String {
    labels.iter().map(|label| quote::literal(label)).collect::<Vec<_>>().join(", ")
}

/// Whether the table has its columns from another one, whose change comes down to it.
fn inherits(catalog: &Catalog, relation: &Relation) -> bool {
    relation.parents.iter().any(|parent: &Name| {
        catalog
            .relations
            .get(parent)
            .is_some_and(|parent| matches!(parent.kind, RelationKind::Table | RelationKind::PartitionedTable))
    })
}

/// Simulates the statements; `None` where the server would refuse one, or its effect is not known.
fn run(catalog: &mut Catalog, statements: &[String]) -> Option<()> {
    for text in statements {
        let statement = single(text)?;
        if analyze(&statement, catalog).refused.is_some() {
            return None;
        }
        apply(catalog, &statement).ok()?;
    }
    Some(())
}
