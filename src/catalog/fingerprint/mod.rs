//! One short text that changes when the schema does.
//!
//! It covers what plans depend on: every definition, privilege and comment, and the session facts that change
//! what a statement means (major version, time zone, search path, defaults). It does not cover sizes and row
//! counts, the order of privileges, roles and tablespaces of the cluster, nor who reads from which database:
//! the physical identity of the target is compared on its own.

mod closure;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest, Sha256};

use self::closure::{Closure, closure};
use super::{Catalog, Name, Relation, RelationDetails};

/// `sha256:` and the hex digest over the whole schema.
pub fn fingerprint(catalog: &Catalog) -> String {
    let mut hash = Hash::default();
    hash.server(catalog);
    for (name, relation) in &catalog.relations {
        hash.relation(name, Some(relation));
    }
    hash.all("types", &catalog.types);
    hash.all("functions", &catalog.functions);
    hash.all("casts", &catalog.casts);
    hash.all("publications", &catalog.publications);
    hash.all("statistics", &catalog.statistics);
    hash.all("schemas", &catalog.schemas);
    hash.all("extensions", &catalog.extensions);
    hash.all("subscriptions", &catalog.subscriptions);
    hash.all("slotless subscriptions", &catalog.slotless_subscriptions);
    hash.finish()
}

/// `sha256:` and the hex digest over the part of the schema that a plan on `relations` depends on: these, their
/// inheritance and partition trees, indexes and sequences, both sides of their foreign keys, the views above
/// them, and the types, functions, publications and statistics that any of these use. A name that does not exist
/// is a fact too.
pub fn fingerprint_of(catalog: &Catalog, relations: &BTreeSet<Name>) -> String {
    let Closure { relations: all, types, functions } = closure(catalog, relations);
    let mut hash = Hash::default();
    hash.server(catalog);
    for name in &all {
        hash.relation(name, catalog.relations.get(name));
    }
    hash.all("shadows", &closure::same_names(catalog, relations));
    hash.all("types", &types.iter().filter_map(|name| catalog.types.get_key_value(*name)).collect::<Vec<_>>());
    let used = |name: &Name| functions.contains(name);
    hash.all("functions", &catalog.functions.iter().filter(|function| used(&function.name)).collect::<Vec<_>>());
    let cast_uses = |name: &Name| types.contains(name);
    let casts = catalog.casts.iter().filter(|cast| cast_uses(&cast.source) || cast_uses(&cast.target));
    hash.all("casts", &casts.collect::<Vec<_>>());
    let publications = catalog.publications.iter().filter(|(_, publication)| {
        publication.all_tables
            || publication.tables.iter().any(|table| all.contains(table))
            || publication.schemas.iter().any(|schema| all.iter().any(|name| name.schema == *schema))
    });
    hash.all("publications", &publications.collect::<Vec<_>>());
    let statistics = catalog.statistics.iter().filter(|(_, statistics)| all.contains(&statistics.table));
    hash.all("statistics", &statistics.collect::<Vec<_>>());
    let schemas: BTreeSet<&str> = all.iter().map(|name| name.schema.as_str()).collect();
    hash.all("schemas", &schemas.iter().map(|schema| catalog.schemas.get_key_value(*schema)).collect::<Vec<_>>());
    hash.finish()
}

/// Takes JSON documents, one after another: their text is deterministic and shows where each ends.
#[derive(Default)]
struct Hash {
    hash: Sha256,
    document: Vec<u8>,
}

impl Hash {
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.document.clear();
        if let Err(error) = serde_json::to_writer(&mut self.document, value) {
            // Every map of the model has text as keys and nothing is a float: there is no error to be had.
            self.document.extend(error.to_string().into_bytes());
        }
        self.document.push(b'\n');
        self.hash.update(&self.document);
    }

    fn all<T: Serialize + ?Sized>(&mut self, section: &str, value: &T) {
        self.value(section);
        self.value(value);
    }

    fn finish(self) -> String {
        format!("sha256:{}", hex::encode(self.hash.finalize()))
    }

    /// What every statement depends on.
    fn server(&mut self, catalog: &Catalog) {
        let server = &catalog.server;
        let defaults = (&server.default_tablespace, &server.default_table_access_method);
        self.all("server", &(server.major(), &server.time_zone, &server.search_path, defaults));
        self.all("event triggers", &catalog.event_triggers);
        self.all("default privileges", &catalog.default_privileges);
    }

    fn relation(&mut self, name: &Name, relation: Option<&Relation>) {
        self.value(name);
        match relation {
            Some(relation) => self.schema_facts(relation),
            None => self.value("missing"),
        }
    }

    /// The relation without sizes, privileges in order. Taken apart in full, so that no new field is forgotten.
    fn schema_facts(&mut self, relation: &Relation) {
        let Relation { kind, persistence, owner, columns, constraints, index, access_method, stats: _, details } =
            relation;
        let RelationDetails {
            triggers,
            rules,
            policies,
            row_security,
            force_row_security,
            parents,
            partition_bound,
            detach_pending,
            partition_key,
            of_type,
            view,
            sequence,
            foreign,
            options,
            tablespace,
            replica_identity,
            privileges,
            comment,
            extension,
            columns_unknown: _,
        } = &**details;
        self.value(&(
            kind,
            persistence,
            owner,
            constraints,
            triggers,
            rules,
            policies,
            row_security,
            force_row_security,
        ));
        self.value(&(parents, partition_bound, detach_pending, partition_key, of_type, view, index, sequence, foreign));
        self.value(&(options, access_method, tablespace, replica_identity, sorted(privileges), comment, extension));
        for column in columns {
            if column.privileges.len() > 1 {
                let mut column = column.clone();
                column.privileges.sort();
                self.value(&column);
            } else {
                self.value(column);
            }
        }
    }
}

fn sorted(privileges: &[String]) -> Cow<'_, [String]> {
    if privileges.is_sorted() {
        return Cow::Borrowed(privileges);
    }
    let mut sorted = privileges.to_vec();
    sorted.sort();
    Cow::Owned(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, DataType, Function, RelationKind, Statistics, Trigger, TriggerTiming, View};

    fn column(name: &str) -> Column {
        let data_type =
            DataType { name: Name::new("pg_catalog", "int4"), modifier: -1, array: false, sql: "integer".to_owned() };
        Column::new(name, data_type)
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        for name in ["a", "b"] {
            let mut table = Relation::new(RelationKind::Table, "owner");
            table.columns = vec![column("id"), column("n")];
            table.privileges = vec!["x=r/owner".to_owned(), "y=r/owner".to_owned()];
            catalog.relations.insert(Name::new("s", name), table);
        }
        catalog
    }

    fn of(catalog: &Catalog, names: &[&str]) -> String {
        fingerprint_of(catalog, &names.iter().map(|name| Name::new("s", *name)).collect())
    }

    #[test]
    fn sizes_and_the_order_of_privileges_do_not_count() {
        let (catalog, mut other) = (catalog(), catalog());
        let table = other.relations.get_mut(&Name::new("s", "a")).unwrap();
        table.stats = Statistics { rows: 7, bytes: 8_192, total_bytes: 8_192, ..Statistics::default() };
        table.privileges.reverse();
        other.roles.push("someone".to_owned());
        other.server.user = "someone".to_owned();
        assert_eq!(fingerprint(&catalog), fingerprint(&other));
        assert_eq!(of(&catalog, &["a"]), of(&other, &["a"]));
        assert!(fingerprint(&catalog).starts_with("sha256:") && fingerprint(&catalog).len() == 71);
    }

    #[test]
    fn a_part_does_not_change_with_the_rest() {
        let (catalog, mut other) = (catalog(), catalog());
        other.relations.get_mut(&Name::new("s", "b")).unwrap().columns.push(column("new"));
        assert_ne!(fingerprint(&catalog), fingerprint(&other));
        assert_eq!(of(&catalog, &["a"]), of(&other, &["a"]));
        assert_ne!(of(&catalog, &["b"]), of(&other, &["b"]));
    }

    #[test]
    fn a_name_that_appears_counts() {
        let (catalog, mut other) = (catalog(), catalog());
        other.relations.insert(Name::new("s", "c"), Relation::new(RelationKind::View, "owner"));
        assert_ne!(of(&catalog, &["c"]), of(&other, &["c"]));
        let mut shadowed = other.clone();
        shadowed.server.search_path = vec!["first".to_owned(), "s".to_owned()];
        let before = of(&shadowed, &["a"]);
        shadowed.relations.insert(Name::new("first", "a"), Relation::new(RelationKind::Table, "owner"));
        assert_ne!(of(&shadowed, &["a"]), before);
    }

    #[test]
    fn dependents_and_what_they_call_count() {
        let mut catalog = catalog();
        let reads = |relation: &str| View {
            references: vec![crate::catalog::ColumnReference { relation: Name::new("s", relation), column: None }],
            ..View::default()
        };
        for (name, below) in [("v", "a"), ("w", "v")] {
            let mut view = Relation::new(RelationKind::View, "owner");
            view.view = Some(Box::new(reads(below)));
            catalog.relations.insert(Name::new("s", name), view);
        }
        let trigger = Trigger {
            name: "t".to_owned(),
            definition: String::new(),
            for_each_row: true,
            timing: TriggerTiming::Before,
            on_insert: true,
            on_update: false,
            on_delete: false,
            on_truncate: false,
            columns: vec![],
            enabled: 'O',
            function: Name::new("s", "f"),
            functions: vec![],
            from_parent: false,
            references: None,
            comment: None,
        };
        catalog.relations.get_mut(&Name::new("s", "a")).unwrap().triggers.push(trigger);
        let before = of(&catalog, &["a"]);

        let mut other = catalog.clone();
        other.relations.get_mut(&Name::new("s", "w")).unwrap().comment = Some("new".to_owned());
        assert_ne!(of(&other, &["a"]), before, "a view above a view");
        let mut other = catalog.clone();
        other.functions.push(Function {
            name: Name::new("s", "f"),
            kind: 'f',
            arguments: String::new(),
            result: "trigger".to_owned(),
            volatility: 'v',
            language: "plpgsql".to_owned(),
            strict: false,
            references: vec![],
            functions: vec![],
            types: vec![],
            definition: "new".to_owned(),
            extension: None,
            owner: String::new(),
            privileges: vec![],
            comment: None,
        });
        assert_ne!(of(&other, &["a"]), before, "the function of a trigger");
    }
}
