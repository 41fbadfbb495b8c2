//! `pg_catalog`.

use super::{Row, Source, columns, row, system, text};
use crate::catalog::{Constraint, ConstraintKind, Name, RelationKind, TypeKind};
use crate::plan::code::value::Value;

impl<'a> Source<'a> {
    /// The rows of the table or view of that name.
    pub(super) fn system_catalog(&self, table: &str) -> Option<Vec<Row<'a>>> {
        use RelationKind::{MaterializedView, Sequence, Table, View};
        let listed = |schema: &'static str, named: &'static str, kinds: &'static [RelationKind]| {
            let mut rows = vec![system(schema, [named])];
            rows.extend(
                self.relations(|kind| kinds.contains(&kind))
                    .map(|(name, _)| row([(schema, text(&name.schema)), (named, text(&name.name))])),
            );
            Some(rows)
        };
        match table {
            "pg_tables" => return listed("schemaname", "tablename", &[Table, RelationKind::PartitionedTable]),
            "pg_views" => return listed("schemaname", "viewname", &[View]),
            "pg_matviews" => return listed("schemaname", "matviewname", &[MaterializedView]),
            "pg_sequences" => return listed("schemaname", "sequencename", &[Sequence]),
            _ => {}
        }
        let mut rows = Vec::new();
        match table {
            "pg_namespace" => {
                rows.push(system("nspname", []));
                let schemas = self.catalog.schemas.keys();
                rows.extend(schemas.map(|name| row([("oid", Value::Schema(name)), ("nspname", text(name))])));
            }
            "pg_class" => {
                rows.push(system("", ["relname"]));
                for (name, relation) in self.relations(|_| true) {
                    rows.push(row([
                        ("oid", Value::Relation(name.clone())),
                        ("relname", text(&name.name)),
                        ("relnamespace", Value::Schema(&name.schema)),
                        ("relkind", text(relkind(relation.kind))),
                        ("relrowsecurity", Value::Boolean(relation.row_security)),
                        ("relispartition", Value::Boolean(relation.partition_bound.is_some())),
                    ]));
                }
                for name in self.composites() {
                    rows.push(row([
                        ("oid", Value::Relation(name.clone())),
                        ("relname", text(&name.name)),
                        ("relnamespace", Value::Schema(&name.schema)),
                        ("relkind", text("c")),
                    ]));
                }
            }
            "pg_attribute" => {
                rows.push(system("", ["attname"]));
                for (name, relation) in self.relations(|_| true) {
                    // The columns of an index or a sequence are not told by name.
                    let told = !relation.kind.is_index() && relation.kind != Sequence;
                    let all = if told { columns(relation) } else { vec![None] };
                    for column in all {
                        let mut cells = vec![("attrelid", Value::Relation(name.clone()))];
                        cells.extend(column.map(|column| ("attname", text(&column.name))));
                        cells.extend(column.map(|column| ("attnotnull", Value::Boolean(column.not_null))));
                        cells.push(("attisdropped", Value::Boolean(false)));
                        rows.push(Row { cells, certain: column.is_some() });
                    }
                }
                for name in self.composites() {
                    let cells = vec![("attrelid", Value::Relation(name.clone()))];
                    rows.push(Row { cells, certain: false });
                }
            }
            "pg_indexes" => {
                rows.push(system("schemaname", ["tablename", "indexname"]));
                for (name, relation) in self.relations(RelationKind::is_index) {
                    let Some(index) = &relation.index else { continue };
                    rows.push(row([
                        ("schemaname", text(&index.table.schema)),
                        ("tablename", text(&index.table.name)),
                        ("indexname", text(&name.name)),
                    ]));
                }
            }
            "pg_index" => {
                rows.push(Row { cells: Vec::new(), certain: false });
                for (name, relation) in self.relations(RelationKind::is_index) {
                    let Some(index) = &relation.index else { continue };
                    rows.push(row([
                        ("indexrelid", Value::Relation(name.clone())),
                        ("indrelid", Value::Relation(index.table.clone())),
                        ("indisunique", Value::Boolean(index.unique)),
                        ("indisprimary", Value::Boolean(index.primary)),
                        ("indisvalid", Value::Boolean(index.valid)),
                    ]));
                }
            }
            "pg_constraint" => {
                rows.push(system("", ["conname"]));
                for (name, relation) in self.relations(|_| true) {
                    rows.extend(relation.constraints.iter().map(|constraint| {
                        row([
                            ("oid", Value::Unknown),
                            ("conname", text(&constraint.name)),
                            ("conrelid", Value::Relation(name.clone())),
                            ("connamespace", Value::Schema(&name.schema)),
                            ("contype", text(contype(&constraint.kind))),
                            ("convalidated", Value::Boolean(constraint.validated)),
                            ("confrelid", referenced(constraint)),
                        ])
                    }));
                }
                for found in self.catalog.types.values() {
                    if let TypeKind::Domain { constraints, .. } = &found.kind {
                        rows.extend(constraints.iter().map(|constraint| row([("conname", text(&constraint.name))])));
                    }
                }
            }
            "pg_trigger" => {
                rows.push(system("", ["tgname"]));
                for (name, relation) in self.relations(|_| true) {
                    rows.extend(relation.triggers.iter().map(|trigger| {
                        row([
                            ("oid", Value::Unknown),
                            ("tgname", text(&trigger.name)),
                            ("tgrelid", Value::Relation(name.clone())),
                            ("tgisinternal", Value::Boolean(false)),
                        ])
                    }));
                }
            }
            "pg_policies" => {
                for (name, relation) in self.relations(|_| true) {
                    rows.extend(relation.policies.iter().map(|policy| {
                        row([
                            ("schemaname", text(&name.schema)),
                            ("tablename", text(&name.name)),
                            ("policyname", text(&policy.name)),
                        ])
                    }));
                }
            }
            "pg_policy" => {
                for (name, relation) in self.relations(|_| true) {
                    rows.extend(relation.policies.iter().map(|policy| {
                        row([
                            ("oid", Value::Unknown),
                            ("polname", text(&policy.name)),
                            ("polrelid", Value::Relation(name.clone())),
                        ])
                    }));
                }
            }
            "pg_type" => {
                rows.push(system("", ["typname"]));
                let of_type = |name: &'a Name, kind: &'static str| {
                    row([
                        ("oid", Value::Type(name.clone())),
                        ("typname", text(&name.name)),
                        ("typnamespace", Value::Schema(&name.schema)),
                        ("typtype", text(kind)),
                    ])
                };
                rows.extend(self.catalog.types.iter().map(|(name, found)| of_type(name, typtype(&found.kind))));
                let rowed = |kind: RelationKind| !kind.is_index() && kind != Sequence;
                rows.extend(self.relations(rowed).map(|(name, _)| of_type(name, "c")));
            }
            "pg_enum" => {
                for (name, found) in self.catalog.types.iter() {
                    if let TypeKind::Enum { labels } = &found.kind {
                        rows.extend(labels.iter().map(|label| {
                            row([
                                ("oid", Value::Unknown),
                                ("enumtypid", Value::Type(name.clone())),
                                ("enumlabel", text(label)),
                            ])
                        }));
                    }
                }
            }
            "pg_proc" => {
                rows.push(system("", ["proname"]));
                rows.extend(self.catalog.functions.iter().map(|function| {
                    row([
                        ("oid", Value::Unknown),
                        ("proname", text(&function.name.name)),
                        ("pronamespace", Value::Schema(&function.name.schema)),
                    ])
                }));
            }
            "pg_roles" | "pg_authid" => {
                rows.push(system("", ["rolname"]));
                rows.extend(
                    self.catalog.roles.iter().map(|role| row([("oid", Value::Unknown), ("rolname", text(role))])),
                );
            }
            "pg_extension" => {
                rows.extend(self.catalog.extensions.iter().map(|(name, schema)| {
                    row([("oid", Value::Unknown), ("extname", text(name)), ("extnamespace", Value::Schema(schema))])
                }));
            }
            "pg_publication" => {
                rows.extend(
                    self.catalog
                        .publications
                        .keys()
                        .map(|name| row([("oid", Value::Unknown), ("pubname", text(name))])),
                );
            }
            "pg_publication_tables" => {
                for (name, publication) in self.catalog.publications.iter() {
                    let published = |table: &'a Name| {
                        row([
                            ("pubname", text(name)),
                            ("schemaname", text(&table.schema)),
                            ("tablename", text(&table.name)),
                        ])
                    };
                    rows.extend(publication.tables.iter().map(published));
                    if publication.all_tables || !publication.schemas.is_empty() {
                        rows.push(Row { cells: vec![("pubname", text(name))], certain: false });
                    }
                }
            }
            _ => return None,
        }
        Some(rows)
    }
}

fn referenced(constraint: &Constraint) -> Value<'_> {
    match &constraint.kind {
        ConstraintKind::ForeignKey { references, .. } => Value::Relation(references.clone()),
        _ => Value::Unknown,
    }
}

fn relkind(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table => "r",
        RelationKind::PartitionedTable => "p",
        RelationKind::Index => "i",
        RelationKind::PartitionedIndex => "I",
        RelationKind::View => "v",
        RelationKind::MaterializedView => "m",
        RelationKind::Sequence => "S",
        RelationKind::ForeignTable => "f",
    }
}

fn contype(kind: &ConstraintKind) -> &'static str {
    match kind {
        ConstraintKind::Check { .. } => "c",
        ConstraintKind::NotNull => "n",
        ConstraintKind::PrimaryKey => "p",
        ConstraintKind::Unique => "u",
        ConstraintKind::Exclusion => "x",
        ConstraintKind::ForeignKey { .. } => "f",
        ConstraintKind::Trigger => "t",
    }
}

fn typtype(kind: &TypeKind) -> &'static str {
    match kind {
        TypeKind::Enum { .. } => "e",
        TypeKind::Domain { .. } => "d",
        TypeKind::Composite { .. } => "c",
        TypeKind::Range { .. } => "r",
        TypeKind::Base => "b",
    }
}
