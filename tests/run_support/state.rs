//! Schema, data and ledger of a database as texts that two runs can be compared by.

use tokio_postgres::Client;
use wesley::catalog::introspect::introspect;
use wesley::catalog::{Catalog, ConstraintKind, Relation, Relations, Server, Statistics};
use wesley::sql::quote;

/// What a database holds.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The catalog, an object a line.
    pub schema: String,
    /// A count and a digest for each table with rows.
    pub data: String,
}

impl State {
    pub async fn of(client: &Client) -> Self {
        let catalog = introspect(client).await.unwrap();
        let mut data = String::new();
        for (name, relation) in &catalog.relations {
            if !relation.kind.has_heap() {
                continue;
            }
            // By name, because a column that came back stands last.
            let mut columns: Vec<String> = relation.columns.iter().map(|column| quote::ident(&column.name)).collect();
            columns.sort();
            let row = format!("ROW({})::text", columns.join(", "));
            let query = format!(
                "SELECT count(*) || ' rows, ' || coalesce(md5(string_agg({row}, ';' ORDER BY {row})), '-') FROM ONLY {name}"
            );
            let digest: String = client.query_one(&query, &[]).await.unwrap().get(0);
            data.push_str(&format!("{name}: {digest}\n"));
        }
        Self { schema: schema(catalog), data }
    }

    /// What differs, line by line; empty when nothing does.
    pub fn differences(&self, expected: &Self, data: bool) -> String {
        let mut found = lines(&self.schema, &expected.schema);
        if data {
            found.push_str(&lines(&self.data, &expected.data));
        }
        found
    }
}

fn lines(is: &str, expected: &str) -> String {
    let only = |a: &str, b: &str, sign: char| -> String {
        a.lines()
            .filter(|line| !b.lines().any(|other| other == *line))
            .map(|line| format!("  {sign} {line}\n"))
            .collect()
    };
    only(is, expected, '+') + &only(expected, is, '-')
}

fn schema(mut catalog: Catalog) -> String {
    let mut text = String::new();
    for (name, relation) in std::mem::replace(&mut catalog.relations, Relations::new()).iter() {
        let mut relation = relation.clone();
        plain(&mut relation);
        text.push_str(&format!("{name} {}\n", serde_json::to_string(&relation).unwrap()));
    }
    catalog.server = Server::default();
    // Of the cluster, and others use it too.
    catalog.roles.clear();
    catalog.tablespaces.clear();
    text + &serde_json::to_string(&catalog).unwrap()
}

/// Without sizes and without the order of what has none, columns included.
fn plain(relation: &mut Relation) {
    relation.stats = Statistics::default();
    if let Some(index) = &mut relation.index {
        index.expression_columns.sort();
    }
    relation.columns.sort_by(|a, b| a.name.cmp(&b.name));
    for constraint in &mut relation.constraints {
        if let ConstraintKind::Check { .. } = constraint.kind {
            constraint.columns.sort();
        }
        // A primary key makes inherited not-null constraints of a partition its own too, and the server has no
        // statement that takes that back.
        constraint.local |= constraint.inherited > 0;
        // Of keys it only says where they were made.
        if !matches!(constraint.kind, ConstraintKind::Check { .. } | ConstraintKind::NotNull) {
            constraint.no_inherit = true;
        }
    }
    relation.constraints.sort_by(|a, b| a.name.cmp(&b.name));
    relation.triggers.sort_by(|a, b| a.name.cmp(&b.name));
}
