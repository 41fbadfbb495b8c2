//! The author's checks: questions that must be answered with true before the first step, or after everything but the
//! contract steps.

use pg_query::protobuf::node::Node;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::analyze::{Target, analyze};
use super::author::Settings;
use super::draft::Draft;
use super::lock::LockMode;
use super::model::{Check, HazardId, Origin, Stage};
use super::steps::Placed;
use crate::catalog::Catalog;
use crate::sql;

/// Pattern of steps that are made of checks.
pub const NAME: &str = "assertion";

/// A named question to the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assertion {
    /// Its name, in the plan and in messages.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// When it is asked.
    pub when: AssertionTime,
    /// One SELECT that reads only and answers with one row of one boolean; anything but true stops the Migration.
    #[schemars(length(min = 1, max = 8_192))]
    pub sql: String,
}

/// When a check is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum AssertionTime {
    /// Before the first step: when it is not true, nothing is touched.
    Before,
    /// After all steps but those of the contract: when it is not true, `rollback.policy` decides.
    After,
}

/// A check that cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the check {name}: {message}")]
pub struct InvalidAssertion {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub message: String,
}

/// Puts the checks into the steps.
pub(super) fn place(steps: &mut Vec<Placed>, checks: &[Assertion], catalog: &Catalog) -> Result<(), InvalidAssertion> {
    for check in checks {
        require(check, catalog)?;
    }
    let of = |when| checks.iter().filter(move |check| check.when == when);
    let contract = steps.iter().rposition(|step| step.draft.stage != Stage::Contract).map_or(0, |last| last + 1);
    let origin = |at: Option<&Placed>| at.map_or(Origin { statement: 0, start: 0, end: 0 }, |step| step.origin.clone());
    let (first, last) = (origin(steps.first()), origin(contract.checked_sub(1).and_then(|at| steps.get(at))));
    let after: Vec<Placed> = of(AssertionTime::After).map(|check| placed(check, Stage::Switch, &last)).collect();
    let before: Vec<Placed> = of(AssertionTime::Before).map(|check| placed(check, Stage::Expand, &first)).collect();
    steps.splice(contract..contract, after);
    steps.splice(0..0, before);
    Ok(())
}

fn placed(check: &Assertion, stage: Stage, origin: &Origin) -> Placed {
    let question = Check { query: check.sql.clone(), message: format!("the check {} is not true", check.name) };
    let description = match check.when {
        AssertionTime::Before => format!("Check {} before anything is changed", check.name),
        AssertionTime::After => format!("Check {} after the change", check.name),
    };
    Placed {
        draft: Draft::check(stage, "check", description, question),
        pattern: NAME,
        origin: origin.clone(),
        settings: Settings::default(),
        span: None,
    }
}

fn require(check: &Assertion, catalog: &Catalog) -> Result<(), InvalidAssertion> {
    only_reads(&check.sql, catalog).map_err(|message| InvalidAssertion { name: check.name.clone(), message })
}

/// Requires that SQL is a question: one SELECT that neither changes nor locks rows, nor acts beyond the database. The
/// server's READ ONLY does not prevent the last.
///
/// # Errors
/// What is wrong with it, without its literals.
pub fn only_reads(text: &str, catalog: &Catalog) -> Result<(), String> {
    // The parser's own message may quote a literal.
    let statements =
        sql::parse(text).map_err(|error| format!("syntax error at line {}, column {}", error.line, error.column))?;
    let [statement] = statements.as_slice() else {
        return Err("it must be exactly one SELECT".to_owned());
    };
    let reads = matches!(&statement.node, Node::SelectStmt(select) if select.into_clause.is_none());
    let impact = analyze(statement, catalog);
    let writes = impact
        .locks
        .iter()
        .any(|(target, mode)| matches!(target, Target::Relation(_)) && *mode != LockMode::AccessShare);
    if !reads || writes {
        return Err("it must be a SELECT that reads only: it changes or locks rows".to_owned());
    }
    match impact.hazards.iter().find(|hazard| hazard.id == HazardId::ClusterWide) {
        // It goes on in other sentences.
        Some(hazard) => Err(format!("it must be a SELECT that reads only: {}", hazard.message.trim_end_matches('.'))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Policy, plan, plan_with_checks};

    fn check(name: &str, when: AssertionTime, sql: &str) -> Assertion {
        Assertion { name: name.to_owned(), when, sql: sql.to_owned() }
    }

    #[test]
    fn checks_are_steps_of_the_plan() {
        let statements = sql::parse("create schema shop").unwrap();
        let (catalog, policy) = (Catalog::default(), Policy::default());
        let checks =
            [check("small", AssertionTime::After, "select 1 = 1"), check("calm", AssertionTime::Before, "select true")];
        let with = plan_with_checks(&statements, &checks, &catalog, &policy).unwrap();
        let without = plan(&statements, &catalog, &policy).unwrap();
        assert_ne!(with.digest, without.digest, "what was approved includes its checks");
        let queries: Vec<Option<&str>> = with
            .steps
            .iter()
            .map(|step| match &step.action {
                Action::Check(check) => Some(check.query.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(queries, [Some("select true"), None, Some("select 1 = 1")]);
        assert_eq!(with.summary.steps, 3);
        assert!(with.steps[0].description.contains("calm"));
    }

    #[test]
    fn a_check_reads_only() {
        let catalog = Catalog::default();
        for bad in [
            "delete from public.t",
            "select pg_terminate_backend(1)",
            "select 1; select 2",
            "",
            "select true into temp x",
            "commit",
            "select 'canary' from from",
        ] {
            let error = require(&check("c", AssertionTime::Before, bad), &catalog).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert_eq!(require(&check("c", AssertionTime::Before, "select true"), &catalog), Ok(()));
        // What is wrong becomes a part of other sentences.
        for bad in ["select pg_terminate_backend(1)", "select pg_reload_conf()", "select 1; select 2"] {
            let message = only_reads(bad, &catalog).unwrap_err();
            assert!(!message.ends_with('.'), "{message}");
        }
    }
}
