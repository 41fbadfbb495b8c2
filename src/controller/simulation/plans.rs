//! What a source means in the simulation: its words are the stages of its steps.

use serde_json::{Value, json};

use super::people::at;
use super::server::State;
use crate::plan::{Assertion, AssertionTime, Plan, Stage, digest_of};

/// A step in the making.
struct Word {
    stage: Stage,
    /// How long it takes at least.
    seconds: i64,
    /// The check that it is.
    check: Option<String>,
}

fn words(sql: &str) -> Vec<Word> {
    let word = |text: &str| {
        let (name, seconds) = text.split_once(':').unwrap_or((text, "0"));
        let stage = match name {
            "expand" => Stage::Expand,
            "backfill" => Stage::Backfill,
            "validate" => Stage::Validate,
            "switch" => Stage::Switch,
            "contract" => Stage::Contract,
            _ => return None,
        };
        Some(Word { stage, seconds: seconds.parse().unwrap(), check: None })
    };
    sql.split_whitespace().filter_map(word).collect()
}

/// The plan of a source: its words are the stages of its steps, with the seconds that they take (`validate:30`). The
/// checks stand where the planner puts them.
pub fn plan(sql: &str, checks: &[Assertion]) -> Plan {
    let mut words = words(sql);
    let asked = |when, stage| {
        let of = checks.iter().filter(move |check| check.when == when);
        of.map(move |check| Word { stage, seconds: 0, check: Some(check.name.clone()) })
    };
    let contract = words.iter().position(|word| word.stage == Stage::Contract).unwrap_or(words.len());
    words.splice(contract..contract, asked(AssertionTime::After, Stage::Switch));
    words.splice(0..0, asked(AssertionTime::Before, Stage::Expand));
    let stages: Vec<Stage> = words.iter().map(|word| word.stage).collect();
    let steps: Vec<Value> = words
        .iter()
        .enumerate()
        .map(|(index, word)| {
            let action = match &word.check {
                Some(name) => json!({"check": {"query": name, "message": ""}}),
                None => json!({"transaction": {"statements": ["select 1"]}}),
            };
            json!({
                "id": format!("{index:03}-step"), "stage": word.stage, "origin": {"statement": 0, "start": 0, "end": 1},
                "pattern": "as-written", "description": sql, "action": action, "locks": [],
                "estimate": {"rows": 0, "bytes": 0, "secondsLeast": word.seconds, "secondsMost": word.seconds + 1},
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
