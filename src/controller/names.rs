//! Names and labels of what the operator makes.
//!
//! Names of Jobs are made from what the Job is for, so that a create that was cut off can be repeated.

use sha2::{Digest, Sha256};

use crate::report::RunAction;

/// Who writes: field manager of every patch and value of the managed-by label.
pub const MANAGER: &str = "wesley-controller";

/// Account of the Jobs, one in each namespace.
pub const RUNNER_ACCOUNT: &str = "wesley-runner";

/// Finalizer of Migrations.
pub const FINALIZER: &str = "wesley.dev/migration";

/// Standard label: what made the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Label: name of the Migration.
pub const MIGRATION_LABEL: &str = "wesley.dev/migration";

/// Label: uid of the Migration.
pub const UID_LABEL: &str = "wesley.dev/migration-uid";

/// Label: what a Job does.
pub const ACTION_LABEL: &str = "wesley.dev/action";

/// Label: name of the Database.
pub const DATABASE_LABEL: &str = "wesley.dev/database";

/// Annotation of a Job: set when its result is in the status of the Migration.
pub const RECORDED_ANNOTATION: &str = "wesley.dev/recorded";

/// Longest part of a Migration's name in names made from it. 35 + 1 + 8 (`rollback`) + 1 + 10 is below 63.
const STEM_MAX: usize = 35;

/// Name of the Job of a run. The same run has the same name, another run has another.
pub fn job(migration: &str, uid: &str, action: RunAction, subject: &str, number: i32) -> String {
    let action_name = action.to_string().to_lowercase();
    let hash = short_hash(&[uid, &action_name, subject, &number.to_string()]);
    format!("{}-{action_name}-{hash}", stem(migration))
}

/// Name of a Job that samples the activity of a Database.
pub fn sample_job(database: &str, uid: &str, number: i32) -> String {
    format!("{}-sample-{}", stem(database), short_hash(&[uid, "sample", &number.to_string()]))
}

/// Name of the ConfigMap that holds inline SQL.
pub fn sql_config_map(migration: &str, uid: &str, source_digest: &str) -> String {
    format!("{}-sql-{}", stem(migration), short_hash(&[uid, source_digest]))
}

/// Name of the ConfigMap that holds checks.
pub fn checks_config_map(migration: &str, uid: &str, checks: &str) -> String {
    format!("{}-checks-{}", stem(migration), short_hash(&[uid, checks]))
}

/// Name of the ConfigMap that holds `spec.backfill`: the same for all Jobs of the Migration, because what it says may
/// change while one runs.
pub fn backfill_config_map(migration: &str, uid: &str) -> String {
    format!("{}-backfill-{}", stem(migration), short_hash(&[uid]))
}

/// `sha256:` and the hex digest of parts, each with its length, so that parts cannot run together.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    format!("sha256:{}", hex::encode(hasher.finalize()))
}

fn short_hash(parts: &[&str]) -> String {
    digest(parts.iter().copied()).chars().skip("sha256:".len()).take(10).collect()
}

fn stem(name: &str) -> &str {
    let end = name.char_indices().map(|(at, _)| at).take_while(|at| *at < STEM_MAX).last().map_or(0, |at| at + 1);
    name.get(..end).unwrap_or(name).trim_end_matches(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_a_label_and_tell_runs_apart() {
        let long = "a".repeat(52);
        let one = job(&long, "uid", RunAction::Rollback, "sha256:1", 1);
        assert!(one.len() <= 63, "{one}");
        assert_eq!(one, job(&long, "uid", RunAction::Rollback, "sha256:1", 1));
        assert_ne!(one, job(&long, "uid", RunAction::Rollback, "sha256:1", 2));
        assert_ne!(one, job(&long, "other", RunAction::Rollback, "sha256:1", 1));
        assert_ne!(one, job(&long, "uid", RunAction::Execute, "sha256:1", 1));
        assert!(sql_config_map(&long, "uid", "sha256:1").len() <= 63);
    }

    #[test]
    fn a_cut_name_does_not_end_in_a_hyphen() {
        let name = job(&format!("{}-b", "a".repeat(34)), "uid", RunAction::Plan, "", 1);
        assert!(name.starts_with(&format!("{}-plan-", "a".repeat(34))), "{name}");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
    }
}
