//! The format of `cases.json`.

use std::collections::BTreeMap;

use wesley::plan::LockMode;

#[derive(serde::Deserialize)]
pub struct Case {
    pub id: String,
    pub sql: String,
    pub setup: Vec<String>,
    pub versions: BTreeMap<String, Cell>,
}

impl Case {
    /// Prefix of the id.
    pub fn family(&self) -> &str {
        self.id.split('.').next().unwrap_or(&self.id)
    }
}

/// A cell with facts may also carry `error`, so that variant comes first.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub enum Cell {
    Facts(Facts),
    Refused { error: String },
}

#[derive(serde::Deserialize)]
pub struct Facts {
    pub in_tx: bool,
    locks: BTreeMap<String, String>,
    pub rewritten: Vec<String>,
    pub heap_rewrite: Vec<String>,
    pub scanned: Vec<String>,
    pub verified: Vec<String>,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub sampled: bool,
    #[serde(default)]
    pub waits_for_holders_of: BTreeMap<String, Vec<String>>,
}

impl Facts {
    /// Strongest mode per relation.
    pub fn locks(&self) -> BTreeMap<&str, LockMode> {
        let mode = |name: &str| name.strip_suffix("Lock").unwrap_or(name).parse().unwrap();
        self.locks.iter().map(|(relation, name)| (relation.as_str(), mode(name))).collect()
    }
}
