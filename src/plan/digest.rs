//! Digests that name a plan and its source.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::model::Plan;
use crate::sql::Statement;

/// `sha256:` and the hex digest of the plan's canonical JSON (sorted keys, no blanks) with an empty digest.
pub fn of_plan(plan: &Plan) -> String {
    of_json(&Plan { digest: String::new(), ..plan.clone() })
}

/// Of the author's statements, byte for byte, each ended by a semicolon and a line feed.
pub fn of_source(statements: &[Statement]) -> String {
    let mut hash = Sha256::new();
    for statement in statements {
        hash.update(statement.text.as_bytes());
        hash.update(b";\n");
    }
    named(hash)
}

fn of_json(value: &impl Serialize) -> String {
    // A map that sorts its keys; what cannot be written does not occur in these types, and hashes as null.
    let canonical = serde_json::to_value(value).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(canonical.to_string().as_bytes());
    named(hash)
}

fn named(hash: Sha256) -> String {
    format!("sha256:{}", hex::encode(hash.finalize()))
}
