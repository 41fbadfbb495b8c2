//! The information schema.

use super::{Row, Source, columns, row, system, text, yes};
use crate::catalog::{Column, Constraint, ConstraintKind, DataType, Name, RelationKind, TypeKind};
use crate::plan::code::value::Value;

impl<'a> Source<'a> {
    /// The rows of the view of that name.
    pub(super) fn information_schema(&self, table: &str) -> Option<Vec<Row<'a>>> {
        use RelationKind::{ForeignTable, PartitionedTable, Table, View};
        let with_columns = |kind: RelationKind| matches!(kind, Table | PartitionedTable | View | ForeignTable);
        let mut rows = Vec::new();
        match table {
            "schemata" => {
                rows.push(system("schema_name", []));
                let schemas = self.catalog.schemas.iter();
                rows.extend(schemas.map(|(name, schema)| self.seen(&schema.owner, row([("schema_name", text(name))]))));
            }
            "tables" => {
                rows.push(system("table_schema", ["table_name"]));
                for (name, relation) in self.relations(with_columns) {
                    let kind = match relation.kind {
                        View => "VIEW",
                        ForeignTable => "FOREIGN",
                        _ => "BASE TABLE",
                    };
                    let cells = [
                        ("table_schema", text(&name.schema)),
                        ("table_name", text(&name.name)),
                        ("table_type", text(kind)),
                    ];
                    rows.push(self.seen(&relation.owner, row(cells)));
                }
            }
            "views" => {
                rows.push(system("table_schema", ["table_name"]));
                for (name, relation) in self.relations(|kind| kind == View) {
                    let cells = [("table_schema", text(&name.schema)), ("table_name", text(&name.name))];
                    rows.push(self.seen(&relation.owner, row(cells)));
                }
            }
            "columns" => {
                rows.push(system("table_schema", ["table_name"]));
                for (name, relation) in self.relations(with_columns) {
                    for column in columns(relation) {
                        let mut cells = vec![("table_schema", text(&name.schema)), ("table_name", text(&name.name))];
                        if let Some(column) = column {
                            cells.extend(self.column(column));
                        }
                        rows.push(self.seen(&relation.owner, Row { cells, certain: column.is_some() }));
                    }
                }
            }
            "sequences" => {
                rows.push(system("sequence_schema", ["sequence_name"]));
                for (name, relation) in self.relations(|kind| kind == RelationKind::Sequence) {
                    if relation.sequence.as_ref().is_some_and(|sequence| sequence.identity) {
                        continue;
                    }
                    let cells = [("sequence_schema", text(&name.schema)), ("sequence_name", text(&name.name))];
                    rows.push(self.seen(&relation.owner, row(cells)));
                }
            }
            "table_constraints" => {
                rows.push(system("table_schema", ["table_name", "constraint_name"]));
                for (name, relation) in self.relations(RelationKind::is_table) {
                    let of_table = |constraint: Value<'a>, kind: &'static str| {
                        let cells = [
                            ("table_schema", text(&name.schema)),
                            ("table_name", text(&name.name)),
                            ("constraint_schema", text(&name.schema)),
                            ("constraint_name", constraint),
                            ("constraint_type", text(kind)),
                        ];
                        self.seen(&relation.owner, row(cells))
                    };
                    if self.catalog.server.major() < 18 {
                        let nulls = relation.columns.iter().filter(|column| column.not_null);
                        rows.extend(nulls.map(|_| of_table(Value::SystemName, "CHECK")));
                    }
                    for constraint in &relation.constraints {
                        let kind = match constraint.kind {
                            ConstraintKind::Check { .. } | ConstraintKind::NotNull => "CHECK",
                            ConstraintKind::PrimaryKey => "PRIMARY KEY",
                            ConstraintKind::Unique => "UNIQUE",
                            ConstraintKind::ForeignKey { .. } => "FOREIGN KEY",
                            ConstraintKind::Exclusion | ConstraintKind::Trigger => continue,
                        };
                        rows.push(of_table(text(&constraint.name), kind));
                    }
                }
            }
            "key_column_usage" => {
                rows.push(system("table_schema", ["table_name", "constraint_name"]));
                for (name, relation) in self.relations(RelationKind::is_table) {
                    for constraint in relation.constraints.iter().filter(|constraint| is_key(constraint)) {
                        for column in &constraint.columns {
                            let cells = [
                                ("table_schema", text(&name.schema)),
                                ("table_name", text(&name.name)),
                                ("constraint_schema", text(&name.schema)),
                                ("constraint_name", text(&constraint.name)),
                                ("column_name", text(column)),
                            ];
                            rows.push(self.seen(&relation.owner, row(cells)));
                        }
                    }
                }
            }
            "constraint_column_usage" => {
                rows.push(system("table_schema", ["table_name", "constraint_name"]));
                for (name, relation) in self.relations(RelationKind::is_table) {
                    for constraint in &relation.constraints {
                        rows.extend(self.used(name, constraint));
                    }
                }
            }
            "triggers" => {
                rows.push(system("trigger_schema", ["trigger_name", "event_object_table"]));
                for (name, relation) in self.relations(|_| true) {
                    for trigger in &relation.triggers {
                        let cells = [
                            ("trigger_schema", text(&name.schema)),
                            ("trigger_name", text(&trigger.name)),
                            ("event_object_schema", text(&name.schema)),
                            ("event_object_table", text(&name.name)),
                        ];
                        // There is one row for each event: how many is not told.
                        let events = [trigger.on_insert, trigger.on_update, trigger.on_delete];
                        let events = events.into_iter().filter(|fires| *fires);
                        rows.extend(events.map(|_| self.seen(&relation.owner, row(cells.clone()))));
                    }
                }
            }
            "routines" => {
                rows.push(system("routine_schema", ["routine_name"]));
                for function in self.catalog.functions.iter() {
                    let kind = if function.kind == 'p' { "PROCEDURE" } else { "FUNCTION" };
                    let cells = [
                        ("routine_schema", text(&function.name.schema)),
                        ("routine_name", text(&function.name.name)),
                        ("routine_type", text(kind)),
                    ];
                    rows.push(self.seen(&function.owner, row(cells)));
                }
            }
            _ => return None,
        }
        Some(rows)
    }

    /// `information_schema.constraint_column_usage`: the columns that a constraint of the table is about. Of a foreign
    /// key these are the columns that it refers to, which is where the view differs from `key_column_usage`.
    fn used(&self, table: &'a Name, constraint: &'a Constraint) -> Vec<Row<'a>> {
        let (of, of_columns) = match &constraint.kind {
            ConstraintKind::ForeignKey { references, referenced_columns, .. } => (references, referenced_columns),
            ConstraintKind::Exclusion | ConstraintKind::Trigger => return Vec::new(),
            _ => (table, &constraint.columns),
        };
        let Some(relation) = self.catalog.relations.get(of) else {
            return vec![Row { cells: Vec::new(), certain: false }];
        };
        let cells = |constraint: Value<'a>, column: &'a str| {
            vec![
                ("table_schema", text(&of.schema)),
                ("table_name", text(&of.name)),
                ("column_name", text(column)),
                ("constraint_schema", text(&table.schema)),
                ("constraint_name", constraint),
            ]
        };
        let usage = |column: &'a String| {
            self.seen(&relation.owner, Row { cells: cells(text(&constraint.name), column), certain: true })
        };
        let mut rows: Vec<Row<'a>> = of_columns.iter().map(usage).collect();
        let foreign = matches!(constraint.kind, ConstraintKind::ForeignKey { .. });
        if foreign && relation.kind == RelationKind::PartitionedTable {
            // The server has a constraint of its own for each partition that is referred to, by names that it makes up.
            rows.push(Row { cells: vec![("constraint_schema", text(&table.schema))], certain: false });
        }
        rows
    }

    /// `information_schema.columns`, its columns about the column.
    fn column(&self, column: &'a Column) -> Vec<(&'static str, Value<'a>)> {
        let data_type = &column.data_type;
        let mut cells = vec![
            ("column_name", text(&column.name)),
            ("is_nullable", yes(!column.not_null)),
            ("is_identity", yes(column.identity.is_some())),
        ];
        if column.generated.is_none() {
            let default = column.default.as_deref().map_or(Value::Null, text);
            cells.push(("column_default", default));
        }
        // Of a domain the type below is shown.
        if matches!(self.catalog.types.get(&data_type.name).map(|found| &found.kind), Some(TypeKind::Domain { .. })) {
            return cells;
        }
        let array = data_type.array.then(|| format!("_{}", data_type.name.name));
        cells.push(("udt_schema", text(&data_type.name.schema)));
        cells.push(("udt_name", array.map_or_else(|| text(&data_type.name.name), |name| Value::Text(name.into()))));
        cells.push(("data_type", standard_type(data_type)));
        if matches!(data_type.name.name.as_str(), "varchar" | "bpchar") && !data_type.array {
            let length = (data_type.modifier >= 4).then(|| i64::from(data_type.modifier) - 4);
            cells.push(("character_maximum_length", length.map_or(Value::Null, Value::Number)));
        }
        cells
    }
}

fn is_key(constraint: &Constraint) -> bool {
    matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::ForeignKey { .. })
}

/// `information_schema.columns.data_type`: `format_type` without the modifier for what is built in.
fn standard_type(data_type: &DataType) -> Value<'_> {
    if data_type.array {
        return text("ARRAY");
    }
    if data_type.name.schema != "pg_catalog" {
        return text("USER-DEFINED");
    }
    match (data_type.sql.find('('), data_type.sql.find(')')) {
        (Some(open), Some(close)) => {
            let (before, after) = (data_type.sql.get(..open), data_type.sql.get(close + 1..));
            Value::Text(format!("{}{}", before.unwrap_or_default(), after.unwrap_or_default()).into())
        }
        _ => text(&data_type.sql),
    }
}
