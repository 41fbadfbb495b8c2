//! What a database holds, to compare two of them: the catalog, and a digest of each table's rows.

use std::collections::BTreeMap;

use wesley::catalog::{Catalog, ConstraintKind, Relation, RelationKind, Statistics};
use wesley::sql::quote;

use crate::server::Database;

#[derive(Clone)]
pub struct State {
    catalog: Catalog,
    data: BTreeMap<String, String>,
}

impl State {
    pub async fn of(database: &Database) -> Self {
        let mut catalog = database.catalog().await;
        let mut data = BTreeMap::new();
        for (name, relation) in &catalog.relations {
            if !relation.kind.has_heap() || relation.view.as_ref().is_some_and(|view| !view.populated) {
                continue;
            }
            // Columns by name, because a column that came back stands last.
            let mut columns: Vec<String> = relation.columns.iter().map(|column| quote::ident(&column.name)).collect();
            columns.sort();
            let row = if columns.is_empty() { "'-'".to_owned() } else { format!("ROW({})::text", columns.join(", ")) };
            let query = format!(
                "SELECT count(*) || ' rows, ' || coalesce(md5(string_agg({row}, ';' ORDER BY {row})), '-') FROM ONLY {name}"
            );
            data.insert(name.to_string(), database.client.query_one(&query, &[]).await.unwrap().get(0));
        }
        // MAINTAIN came with 17.
        let all = if catalog.server.major() >= 17 { "arwdDxtm" } else { "arwdDxt" };
        for relation in catalog.relations.values_mut() {
            plain(relation, all);
        }
        // They name columns in the table's order.
        for statistics in catalog.statistics.values_mut() {
            statistics.columns.sort();
            let mut words: Vec<&str> = statistics.definition.split([' ', ',']).collect();
            words.sort_unstable();
            statistics.definition = words.join(" ");
        }
        catalog.server = wesley::catalog::Server::default();
        // Of the cluster, and others use it too.
        catalog.roles.clear();
        catalog.tablespaces.clear();
        Self { catalog, data }
    }

    /// Takes all constraints for proven: an undo that brings no values back does not prove them.
    pub fn proven(mut self) -> Self {
        for constraint in self.catalog.relations.values_mut().flat_map(|relation| &mut relation.constraints) {
            constraint.validated = true;
            if let Some(definition) = constraint.definition.strip_suffix(" NOT VALID") {
                constraint.definition = definition.to_owned();
            }
        }
        self
    }

    pub fn differences(&self, other: &Self, data: bool) -> Vec<String> {
        let mut found = Vec::new();
        for (name, relation) in &self.catalog.relations {
            match other.catalog.relations.get(name) {
                None => found.push(format!("{name} should not be there")),
                Some(expected) if expected != relation => {
                    found.push(format!("{name}\n    is       {}\n    expected {}", json(relation), json(expected)));
                }
                Some(_) => {}
            }
        }
        for name in other.catalog.relations.keys().filter(|name| !self.catalog.relations.contains_key(name)) {
            found.push(format!("{name} is missing"));
        }
        let rest = |catalog: &Catalog| Catalog { relations: wesley::catalog::Relations::new(), ..catalog.clone() };
        let (is, expected) = (rest(&self.catalog), rest(&other.catalog));
        if is != expected {
            found.push(format!("outside of relations\n    is       {}\n    expected {}", json(&is), json(&expected)));
        }
        if data && self.data != other.data {
            found.push(format!("data\n    is       {:?}\n    expected {:?}", self.data, other.data));
        }
        found
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Without sizes and without the order of what has none, columns included.
fn plain(relation: &mut Relation, all: &str) {
    relation.stats = Statistics::default();
    if let Some(index) = &mut relation.index {
        index.expression_columns.sort();
    }
    relation.columns.sort_by(|a, b| a.name.cmp(&b.name));
    let partition = relation.partition_bound.is_some();
    for constraint in &mut relation.constraints {
        if let ConstraintKind::Check { .. } = constraint.kind {
            constraint.columns.sort();
        }
        // Of keys it only says where they were made.
        if !matches!(constraint.kind, ConstraintKind::Check { .. } | ConstraintKind::NotNull) {
            constraint.no_inherit = true;
        }
        // Neither a dump nor DETACH tells a partition's own not-null constraint from an inherited one.
        if constraint.kind == ConstraintKind::NotNull && partition && constraint.inherited > 0 {
            constraint.local = false;
        }
    }
    // No list of privileges, and a list of all that the owner has anyway, are the same.
    let owner =
        format!("{0}={1}/{0}", relation.owner, if relation.kind == RelationKind::Sequence { "rwU" } else { all });
    relation.privileges.retain(|item| *item != owner);
    // In the order in which they were granted, which says nothing.
    relation.privileges.sort();
    relation.constraints.sort_by(|a, b| a.name.cmp(&b.name));
    relation.triggers.sort_by(|a, b| a.name.cmp(&b.name));
    relation.policies.sort_by(|a, b| a.name.cmp(&b.name));
    relation.rules.sort_by(|a, b| a.name.cmp(&b.name));
}
