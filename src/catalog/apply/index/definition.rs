//! `pg_get_indexdef`, from the index's facts.

use super::super::edit::{Edit, Outcome};
use super::super::options;
use super::keys::natural_collation;
use crate::catalog::{Catalog, Index, IndexKey, Name, Relation, RelationKind};
use crate::sql::quote;

/// Writes the definition of an index anew from its facts.
pub(in super::super) fn redefine(edit: &mut Edit<'_>, name: &Name) -> Outcome {
    let mut entry = edit.relation(name)?.clone();
    redefine_entry(edit, name, &mut entry);
    edit.put_relation(name.clone(), entry);
    Ok(())
}

pub(super) fn redefine_entry(catalog: &Catalog, name: &Name, entry: &mut Relation) {
    if let Some(index) = &entry.index {
        let text = definition(catalog, name, entry, index);
        if let Some(index) = &mut entry.index {
            index.definition = text;
        }
    }
}

/// `CREATE INDEX` as the server would print it.
pub(in super::super) fn definition(catalog: &Catalog, name: &Name, entry: &Relation, index: &Index) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let only = if entry.kind == RelationKind::PartitionedIndex { "ONLY " } else { "" };
    let mut out = format!(
        "CREATE {unique}INDEX {} ON {only}{} USING {} ({})",
        quote::ident(&name.name),
        index.table,
        quote::ident(&index.method),
        keys(catalog, index).join(", ")
    );
    if !index.include.is_empty() {
        let columns: Vec<String> = index.include.iter().map(|column| quote::ident(column)).collect();
        out.push_str(&format!(" INCLUDE ({})", columns.join(", ")));
    }
    if index.nulls_not_distinct {
        out.push_str(" NULLS NOT DISTINCT");
    }
    if !entry.options.is_empty() {
        out.push_str(&format!(" WITH ({})", options::definition(&entry.options)));
    }
    if let Some(predicate) = &index.predicate {
        out.push_str(&format!(" WHERE {predicate}"));
    }
    out
}

fn keys(catalog: &Catalog, index: &Index) -> Vec<String> {
    index.keys.iter().map(|key| self::key(catalog, index, key)).collect()
}

fn key(catalog: &Catalog, index: &Index, key: &IndexKey) -> String {
    let mut out = match (&key.column, &key.expression) {
        (Some(column), _) => quote::ident(column),
        (None, Some(expression)) => expression.clone(),
        (None, None) => String::new(),
    };
    let natural = natural_collation(catalog, &index.table, key);
    if !key.collation.is_empty() && key.collation != natural {
        out.push_str(&format!(" COLLATE {}", key.collation.strip_prefix("pg_catalog.").unwrap_or(&key.collation)));
    }
    if !key.default_class && !key.operator_class.is_empty() {
        out.push_str(&format!(" {}", key.operator_class));
    }
    if index.method == "btree" {
        match (key.descending, key.nulls_first) {
            (true, true) => out.push_str(" DESC"),
            (true, false) => out.push_str(" DESC NULLS LAST"),
            (false, true) => out.push_str(" NULLS FIRST"),
            (false, false) => {}
        }
    }
    out
}

/// `pg_get_constraintdef` of an exclusion constraint; `operators` as printed, one per key.
pub(in super::super) fn exclusion(catalog: &Catalog, entry: &Relation, index: &Index, operators: &[String]) -> String {
    let parts: Vec<String> = keys(catalog, index)
        .into_iter()
        .zip(operators)
        .map(|(key, operator)| format!("{key} WITH {operator}"))
        .collect();
    let mut out = format!("EXCLUDE USING {} ({})", quote::ident(&index.method), parts.join(", "));
    if !index.include.is_empty() {
        let columns: Vec<String> = index.include.iter().map(|column| quote::ident(column)).collect();
        out.push_str(&format!(" INCLUDE ({})", columns.join(", ")));
    }
    if !entry.options.is_empty() {
        out.push_str(&format!(" WITH ({})", options::definition(&entry.options)));
    }
    if let Some(predicate) = &index.predicate {
        out.push_str(&format!(" WHERE ({predicate})"));
    }
    out
}
