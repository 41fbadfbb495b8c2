//! From types to CustomResourceDefinitions.
//!
//! The derived schemas have warts that this module takes away: `nullable` (absent fields are absent, never null),
//! enum values without their descriptions, strings and lists without bounds (the API server's cost estimate of
//! validation rules needs them), integers without a lower bound.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::{Database, Migration, MigrationPlan, ValidationWindow};

/// Bound of strings that have none of their own: the SQL of a plan. Below what the API server stores.
const STRING_MAX: i64 = 1_048_576;

/// Bound of lists that have none of their own.
const LIST_MAX: i64 = 100_000;

/// Bound of the values of maps that have none of their own.
const MAP_VALUE_MAX: i64 = 253;

/// All definitions, by plural name.
///
/// # Errors
/// A schema that cannot be written as JSON: a defect.
pub fn definitions() -> Result<Vec<(String, Value)>, serde_json::Error> {
    [Database::crd(), Migration::crd(), MigrationPlan::crd(), ValidationWindow::crd()].iter().map(finish).collect()
}

/// All definitions as one YAML stream.
///
/// # Errors
/// See [`definitions`] and [`yaml`].
pub fn print() -> Result<String, String> {
    let mut text = String::new();
    for (_, definition) in definitions().map_err(|error| error.to_string())? {
        text.push_str("---\n");
        text.push_str(&yaml(&definition)?);
    }
    Ok(text)
}

/// The one place that writes YAML.
///
/// # Errors
/// The writer's message.
pub fn yaml(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

fn finish(definition: &CustomResourceDefinition) -> Result<(String, Value), serde_json::Error> {
    let mut value = serde_json::to_value(definition)?;
    let values = documented_values();
    if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
                improve(schema, &values);
            }
        }
    }
    Ok((definition.spec.names.plural.clone(), value))
}

fn improve(schema: &mut Value, values: &BTreeMap<Vec<String>, String>) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove("nullable");
    if let Some(list) = object.get_mut("enum").and_then(Value::as_array_mut) {
        list.retain(|value| !value.is_null());
    }
    describe_values(object, values);
    bound(object);
    for key in ["properties"] {
        if let Some(children) = object.get_mut(key).and_then(Value::as_object_mut) {
            children.values_mut().for_each(|child| improve(child, values));
        }
    }
    if let Some(item) = object.get_mut("items") {
        improve(item, values);
    }
    if let Some(value) = object.get_mut("additionalProperties").filter(|value| value.is_object()) {
        if let Some(value) = value.as_object_mut() {
            value.entry("maxLength").or_insert(MAP_VALUE_MAX.into());
        }
        improve(value, values);
    }
}

fn describe_values(object: &mut Map<String, Value>, values: &BTreeMap<Vec<String>, String>) {
    let Some(names) = object.get("enum").and_then(Value::as_array) else { return };
    let key: Vec<String> = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let Some(text) = values.get(&key) else { return };
    let mut description = object.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !description.is_empty() {
        description.push('\n');
    }
    description.push_str(text);
    object.insert("description".to_owned(), description.into());
}

fn bound(object: &mut Map<String, Value>) {
    match object.get("type").and_then(Value::as_str) {
        Some("string") if !object.contains_key("enum") && !object.contains_key("format") => {
            object.entry("maxLength").or_insert(STRING_MAX.into());
        }
        Some("array") => {
            object.entry("maxItems").or_insert(LIST_MAX.into());
        }
        _ => {}
    }
}

/// Enum values (in the order of the schema) with the text that explains them.
fn documented_values() -> BTreeMap<Vec<String>, String> {
    use super::{condition, database, job_template, migration, migration_plan, migration_status, validation_window};
    use crate::plan;
    [
        explain::<condition::ConditionStatus>(),
        explain::<database::ApprovalRule>(),
        explain::<database::TlsMode>(),
        explain::<job_template::TaintEffect>(),
        explain::<job_template::TolerationOperator>(),
        explain::<migration::ContractPolicy>(),
        explain::<migration::DeletionPolicy>(),
        explain::<migration::RollbackPolicy>(),
        explain::<migration_plan::Decision>(),
        explain::<migration_plan::StepState>(),
        explain::<migration_status::ExecutionState>(),
        explain::<migration_status::Gate>(),
        explain::<migration_status::GateName>(),
        explain::<migration_status::GateVerdict>(),
        explain::<migration_status::Phase>(),
        explain::<migration_status::RollbackOrigin>(),
        explain::<migration_status::StopCause>(),
        explain::<validation_window::Overrun>(),
        explain::<crate::inspect::statements::Verdict>(),
        explain::<plan::AssertionTime>(),
        explain::<plan::Blocks>(),
        explain::<plan::HazardId>(),
        explain::<plan::RollbackClass>(),
        explain::<plan::Stage>(),
        explain::<crate::report::RunAction>(),
    ]
    .into_iter()
    .collect()
}

/// The values of an enum of unit variants and one line for each.
fn explain<T: JsonSchema>() -> (Vec<String>, String) {
    let schema = serde_json::to_value(schemars::schema_for!(T)).unwrap_or_default();
    let variants = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut names = Vec::new();
    let mut lines = Vec::new();
    for variant in &variants {
        let description = variant.get("description").and_then(Value::as_str).unwrap_or_default();
        let one = variant.get("const").cloned().into_iter();
        let several = variant.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
        for name in one.chain(several).filter_map(|name| name.as_str().map(str::to_owned)) {
            lines.push(format!("- {name}: {description}"));
            names.push(name);
        }
    }
    (names, lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Walks a schema: path and object.
    fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Map<String, Value>)) {
        let Some(object) = schema.as_object() else { return };
        visit(path, object);
        if let Some(children) = object.get("properties").and_then(Value::as_object) {
            for (name, child) in children {
                walk(&format!("{path}.{name}"), child, visit);
            }
        }
        if let Some(item) = object.get("items") {
            walk(&format!("{path}[]"), item, visit);
        }
    }

    fn schemas() -> Vec<(String, Value)> {
        definitions()
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name, value.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone()))
            .collect()
    }

    /// The files are what the types say. `UPDATE=1 cargo test` writes them.
    #[test]
    fn files_are_up_to_date() {
        for folder in ["crds", "charts/wesley/files/crds"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            for (name, definition) in definitions().unwrap() {
                let file = folder.join(format!("{name}.yaml"));
                let text = yaml(&definition).unwrap();
                if std::env::var_os("UPDATE").is_some() {
                    std::fs::create_dir_all(&folder).unwrap();
                    std::fs::write(&file, &text).unwrap();
                }
                let found = std::fs::read_to_string(&file).unwrap_or_default();
                assert!(found == text, "{} differs from the types: run UPDATE=1 cargo test files_are", file.display());
            }
        }
    }

    #[test]
    fn every_field_is_described() {
        let mut missing = Vec::new();
        for (name, schema) in schemas() {
            walk(&name, &schema, &mut |path, object| {
                let described = object.get("description").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
                let root = [".apiVersion", ".kind", ".metadata"].iter().any(|end| path == format!("{name}{end}"));
                if !described && !root && !path.ends_with("[]") {
                    missing.push(path.to_owned());
                }
            });
        }
        assert!(missing.is_empty(), "no description: {missing:#?}");
    }

    #[test]
    fn every_enum_value_is_described() {
        let mut missing = Vec::new();
        for (name, schema) in schemas() {
            walk(&name, &schema, &mut |path, object| {
                let text = object.get("description").and_then(Value::as_str).unwrap_or_default();
                for value in object.get("enum").and_then(Value::as_array).into_iter().flatten() {
                    // Lock modes are PostgreSQL's own words.
                    if path.ends_with("ode") || path.ends_with("trongestLock") {
                        continue;
                    }
                    if !value.as_str().is_some_and(|value| text.contains(&format!("- {value}: "))) {
                        missing.push(format!("{path}: {value}"));
                    }
                }
            });
        }
        assert!(missing.is_empty(), "no description: {missing:#?}");
    }

    #[test]
    fn everything_is_bounded_and_camel_case() {
        let mut wrong = Vec::new();
        for (name, schema) in schemas() {
            walk(&name, &schema, &mut |path, object| {
                let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
                let bounded = match kind {
                    "string" => ["maxLength", "enum", "format"].iter().any(|key| object.contains_key(*key)),
                    "array" => object.contains_key("maxItems") && object.contains_key("items"),
                    "number" => false,
                    _ => true,
                };
                let root = [".apiVersion", ".kind"].iter().any(|end| path == format!("{name}{end}"));
                if !bounded && !root {
                    wrong.push(format!("{path}: {kind} without bound"));
                }
                let field = path.rsplit('.').next().unwrap_or_default();
                if field.contains('_') || field.starts_with(char::is_uppercase) {
                    wrong.push(format!("{path}: not camelCase"));
                }
                if object.contains_key("nullable") {
                    wrong.push(format!("{path}: nullable"));
                }
            });
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Clients that apply by themselves put the object into an annotation, which may hold 262144 bytes.
    #[test]
    fn definitions_can_be_applied_by_old_clients() {
        for (name, definition) in definitions().unwrap() {
            let size = definition.to_string().len();
            assert!(size < 200_000, "{name} has {size} bytes");
        }
    }
}
