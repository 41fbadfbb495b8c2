//! Whether two catalogs hold the same schema, and where they differ.
//!
//! Texts are compared by what they say: casts that the server adds, parentheses, and the several spellings of the
//! same thing (`IN` and `= ANY`, `LIKE` and `~~`) make no difference.

mod canonical;
mod names;

use serde_json::{Map, Value};

pub(crate) use self::canonical::{canonical_definition, canonical_expression};
use super::Catalog;

/// Facts that are not the schema: sizes, and the session.
const LEFT_OUT: [&str; 2] = ["stats", "columnsUnknown"];

impl Catalog {
    /// An empty catalog of a server of that version (`server_version_num`).
    pub fn of_version(version: i32) -> Self {
        let mut catalog = Self::default();
        catalog.server.version = version;
        catalog
    }

    /// The differences between two schemas as readable lines; none when they are the same. Sizes, the server, the
    /// session, roles, access methods and temporary relations are left out, as are columns that a simulation could not work out.
    pub fn same_schema(&self, other: &Catalog) -> Vec<String> {
        let mut lines = Vec::new();
        let unknown: Vec<String> = [self, other]
            .iter()
            .flat_map(|catalog| catalog.relations.iter())
            .filter(|(_, relation)| relation.columns_unknown)
            .map(|(name, _)| name.to_string())
            .collect();
        let sides = [self, other].map(|catalog| {
            let mut side = value(catalog);
            for name in &unknown {
                if let Some(relation) = side.pointer_mut("/relations").and_then(|all| all.get_mut(name)) {
                    drop(relation.as_object_mut().map(|fields| fields.remove("columns")));
                }
            }
            side
        });
        difference("", &sides[0], &sides[1], &mut lines);
        lines
    }
}

/// The catalog as a tree in which equal schemas are equal.
fn value(catalog: &Catalog) -> Value {
    let mut whole = serde_json::to_value(catalog).unwrap_or_default();
    if let Some(fields) = whole.as_object_mut() {
        for left_out in ["server", "roles", "tablespaces", "accessMethods"] {
            fields.remove(left_out);
        }
        if let Some(relations) = fields.get_mut("relations").and_then(Value::as_object_mut) {
            relations.retain(|name, _| !name.starts_with("pg_temp."));
        }
    }
    normalise(&mut whole);
    whole
}

fn normalise(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(normalise);
            by_name(value);
        }
        Value::Object(fields) => {
            for left_out in LEFT_OUT {
                fields.remove(left_out);
            }
            for (key, item) in fields.iter_mut() {
                match item {
                    // The order of grants is the order in which they were made: it says nothing.
                    Value::Array(grants) if key == "privileges" => {
                        grants.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
                    }
                    Value::String(text) => {
                        if let Some(canonical) = canonical::of(key, text) {
                            *item = canonical;
                        }
                    }
                    other => normalise(other),
                }
            }
        }
        _ => {}
    }
}

/// Lists of named things become maps, so that a difference names the thing.
fn by_name(list: &mut Value) {
    let Some(items) = list.as_array_mut() else { return };
    let keys: Option<Vec<String>> = items.iter().map(key_of).collect();
    let Some(keys) = keys.filter(|keys| !keys.is_empty()) else { return };
    let mut map = Map::new();
    let order: Vec<Value> = keys.iter().map(|key| Value::String(key.clone())).collect();
    for (key, item) in keys.into_iter().zip(std::mem::take(items)) {
        map.insert(key, item);
    }
    map.insert("(order)".to_owned(), Value::Array(order));
    *list = Value::Object(map);
}

fn key_of(item: &Value) -> Option<String> {
    let name = item.get("name")?.as_str()?;
    let arguments = item.get("arguments").and_then(Value::as_str);
    Some(arguments.map_or_else(|| name.to_owned(), |arguments| format!("{name}({arguments})")))
}

fn difference(path: &str, one: &Value, other: &Value, lines: &mut Vec<String>) {
    if one == other {
        return;
    }
    if let (Value::Object(one), Value::Object(other)) = (one, other) {
        let is_leaf = one.contains_key("canonical") || other.contains_key("canonical");
        if !is_leaf {
            for (key, value) in one {
                let path = if path.is_empty() { key.clone() } else { format!("{path} / {key}") };
                match other.get(key) {
                    Some(counterpart) => difference(&path, value, counterpart, lines),
                    None => lines.push(format!("{path}: {} against nothing", short(value))),
                }
            }
            for (key, value) in other.iter().filter(|(key, _)| !one.contains_key(*key)) {
                lines.push(format!("{path} / {key}: nothing against {}", short(value)));
            }
            return;
        }
        if one.get("canonical") == other.get("canonical") {
            return;
        }
    }
    if let (Value::Array(one), Value::Array(other)) = (one, other)
        && one.len() == other.len()
        && one.iter().chain(other).all(Value::is_object)
    {
        for (at, (one, other)) in one.iter().zip(other).enumerate() {
            difference(&format!("{path} / {}", at + 1), one, other, lines);
        }
        return;
    }
    lines.push(format!("{path}: {} against {}", short(one), short(other)));
}

fn short(value: &Value) -> String {
    match value.get("text") {
        Some(Value::String(text)) => text.clone(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, ConstraintKind, Name, Relation, RelationKind};

    fn catalog(check: &str) -> Catalog {
        let mut table = Relation::new(RelationKind::Table, "app");
        let mut statements = crate::sql::parse("CREATE TABLE t (a int)").unwrap();
        let integer = crate::catalog::types::parse_type("integer", &Catalog::of_version(180_000)).unwrap();
        table.columns.push(Column::new("a", integer));
        drop(statements.pop());
        let mut constraint: crate::catalog::Constraint =
            serde_json::from_str(r#"{"name":"c","kind":{"type":"NotNull"},"definition":""}"#).unwrap();
        constraint.kind = ConstraintKind::Check { expression: check.to_owned() };
        table.constraints.push(constraint);
        let mut catalog = Catalog::of_version(180_000);
        catalog.relations.insert(Name::new("public", "t"), table);
        catalog
    }

    #[test]
    fn spelling_makes_no_difference() {
        let one = catalog("((a)::text = ANY ((ARRAY['x'::character varying, 'y'::character varying])::text[]))");
        assert_eq!(one.same_schema(&catalog("a IN ('x', 'y')")), Vec::<String>::new());
        assert_eq!(one.same_schema(&catalog("a IN ('x', 'z')")).len(), 1);
    }

    #[test]
    fn a_difference_names_its_place() {
        let one = catalog("a > 0");
        let mut other = one.clone();
        other.relations.values_mut().next().unwrap().columns[0].not_null = true;
        let lines = one.same_schema(&other);
        assert_eq!(lines, ["relations / public.t / columns / a / notNull: nothing against true"]);
    }
}
