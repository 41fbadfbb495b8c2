//! What a source means in the simulation: its words are the stages of its steps.

use serde_json::{Value, json};

use super::people::at;
use super::server::State;
use crate::plan::{Plan, Stage, digest_of};

/// The plan of a source: its words are the stages of its steps.
pub fn plan(sql: &str) -> Plan {
    let stages: Vec<Stage> = sql
        .split_whitespace()
        .filter_map(|word| match word {
            "expand" => Some(Stage::Expand),
            "backfill" => Some(Stage::Backfill),
            "validate" => Some(Stage::Validate),
            "switch" => Some(Stage::Switch),
            "contract" => Some(Stage::Contract),
            _ => None,
        })
        .collect();
    let steps: Vec<Value> = stages
        .iter()
        .enumerate()
        .map(|(index, stage)| {
            json!({
                "id": format!("{index:03}-step"), "stage": stage, "origin": {"statement": 0, "start": 0, "end": 1},
                "pattern": "as-written", "description": sql, "action": {"transaction": {"statements": ["select 1"]}},
                "locks": [], "estimate": {"rows": 0, "bytes": 0, "secondsLeast": 0, "secondsMost": 1},
                "postcondition": {"recorded": {}}, "undo": {"nothing": {}},
            })
        })
        .collect();
    let contract = stages.contains(&Stage::Contract);
    let summary = json!({
        "statements": 1, "steps": steps.len(), "needsValidation": stages.contains(&Stage::Validate),
        "hasContract": contract, "rollback": if contract { "ForwardOnly" } else { "Lossless" },
    });
    let target = json!({"serverVersion": 180_004, "systemIdentifier": "1", "databaseOid": 5, "database": "shop"});
    let notes: Vec<&str> = sql.split_whitespace().filter(|word| word.starts_with("fail:") || *word == "slow").collect();
    let plan = json!({
        "digest": "", "sourceDigest": "", "target": target, "catalogFingerprint": "", "summary": summary,
        "steps": steps, "notes": notes,
    });
    let mut plan: Plan = serde_json::from_value(plan).unwrap();
    plan.digest = digest_of(&plan);
    plan
}

/// The MigrationPlan as the runner makes it.
pub fn plan_object(plan: &Plan, migration: &str, uid: &str, generation: &str) -> Value {
    let owner = json!({"apiVersion": "wesley.dev/v1alpha1", "kind": "Migration", "name": migration, "uid": uid});
    let mut spec = serde_json::to_value(plan).unwrap();
    spec["migration"] = json!({"name": migration, "uid": uid, "generation": generation.parse::<i64>().unwrap()});
    json!({"metadata": {"ownerReferences": [owner]}, "spec": spec})
}

/// What the author's words say about the plan.
pub fn notes(state: &State, plan: &str) -> String {
    state.store.get(&at("migrationplans", plan)).map(|plan| plan["spec"]["notes"].to_string()).unwrap_or_default()
}

/// Whether a step of a plan fails for good.
pub fn fails_at(state: &State, plan: &str, step: usize) -> bool {
    let plan = state.store.get(&at("migrationplans", plan));
    plan.is_some_and(|plan| plan["spec"]["notes"] == json!([format!("fail:{step}")]))
}
