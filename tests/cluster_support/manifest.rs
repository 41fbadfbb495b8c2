//! Manifests as people write them.

/// Name of the Database and of its Secret in every scene.
pub const DATABASE: &str = "shop";

/// A Secret.
pub fn secret(name: &str, values: &[(&str, &str)]) -> String {
    let data = serde_json::Map::from_iter(values.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())));
    serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data,
    })
    .to_string()
}

/// A ConfigMap.
pub fn config_map(name: &str, values: &[(&str, &str)]) -> String {
    let data = serde_json::Map::from_iter(values.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())));
    serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data,
    })
    .to_string()
}

/// A Migration of [`DATABASE`] with inline SQL; `more` are further fields of the spec as YAML.
pub fn migration(name: &str, sql: &str, more: &str) -> String {
    with_source(name, &format!("source:\n  sql: {}", serde_json::Value::from(sql)), more)
}

/// A Migration of [`DATABASE`]; `source` and `more` are fields of the spec as YAML.
pub fn with_source(name: &str, source: &str, more: &str) -> String {
    format!(
        "apiVersion: wesley.dev/v1alpha1\nkind: Migration\nmetadata:\n  name: {name}\nspec:\n  databaseRef: \
         {{name: {DATABASE}}}\n{}\n{}",
        indented(source),
        indented(more)
    )
}

/// A ValidationWindow with one schedule.
pub fn window(name: &str, cron: &str, seconds: i64, more: &str) -> String {
    format!(
        "apiVersion: wesley.dev/v1alpha1\nkind: ValidationWindow\nmetadata:\n  name: {name}\nspec:\n  schedules:\n  \
         - {{cron: \"{cron}\", durationSeconds: {seconds}}}\n{}",
        indented(more)
    )
}

/// Every line two spaces to the right.
pub fn indented(yaml: &str) -> String {
    yaml.lines().map(|line| format!("  {line}\n")).collect()
}
