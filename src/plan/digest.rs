//! Digests that name a plan and its source.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::model::Plan;
use super::script::{LongRun, Source};

/// `sha256:` and the hex digest of the plan's canonical JSON (sorted keys, no blanks) with an empty digest.
pub fn of_plan(plan: &Plan) -> String {
    of_json(&Plan { digest: String::new(), ..plan.clone() })
}

/// Of the author's statements, byte for byte, each ended by a semicolon and a line feed; a long run is its own digest.
pub fn of_source(source: Source<'_>) -> String {
    let mut hash = Sha256::new();
    for (index, statement) in source.statements.iter().enumerate() {
        hash.update(source.run(index).map_or(statement.text.as_str(), LongRun::digest));
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
