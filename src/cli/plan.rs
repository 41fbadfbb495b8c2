//! `wesley plan` and `wesley explain`.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::str::FromStr;

use strum::IntoEnumIterator;

use super::{Failure, Format, PlanArgs, PolicyArgs, catalog, input, print, print_json};
use crate::exit::Exit;
use crate::plan::explain::{self, render};
use crate::plan::{HazardId, Plan, PlanError, Policy, plan as make_plan};

pub(super) async fn plan(args: &PlanArgs, format: Format) -> Result<(), Failure> {
    let plan = make(args).await?;
    match format {
        Format::Json => print_json(&plan),
        Format::Text | Format::Markdown => show(&plan, format),
    }
}

pub(super) async fn explain(args: &PlanArgs, format: Format) -> Result<(), Failure> {
    let plan = make(args).await?;
    show(&plan, format)
}

async fn make(args: &PlanArgs) -> Result<Plan, Failure> {
    let policy = policy(&args.policy)?;
    let input = input::read(&args.source)?;
    let catalog = catalog::read(&args.schema).await?;
    make_plan(&input.statements, &catalog, &policy).map_err(|error| failure(&input, error))
}

/// What `--allow` and the limits say.
pub(super) fn policy(args: &PolicyArgs) -> Result<Policy, Failure> {
    let mut allowed = BTreeSet::new();
    for name in &args.allow {
        if name.eq_ignore_ascii_case("all") {
            allowed.extend(HazardId::iter());
            continue;
        }
        let hazard = HazardId::from_str(name).map_err(|_| {
            let known: Vec<String> = HazardId::iter().map(|id| id.to_string()).collect();
            Failure::new(
                Exit::Usage,
                format!("--allow: no hazard is called {name}; it is one of all, {}", known.join(", ")),
            )
        })?;
        allowed.insert(hazard);
    }
    Ok(Policy { allowed, in_place_bytes: args.in_place_bytes })
}

/// A plan error as the user sees it.
pub(super) fn failure(input: &input::Input, error: PlanError) -> Failure {
    match error {
        PlanError::Refused { statement, refusal } => {
            let message = format!("the server will refuse this: {} ({})", refusal.message, refusal.sqlstate);
            let shown = input.at_statement(statement, &message);
            Failure::new(Exit::InvalidInput, format!("{shown}\n  = {}", refusal.hint))
        }
        PlanError::Unsupported { statement, message } => {
            Failure::new(Exit::InvalidInput, input.at_statement(statement, &message))
        }
        PlanError::NotAllowed { plan: _, hazards } => {
            let list: Vec<String> =
                hazards.iter().map(|hazard| format!("  {}: {}", hazard.id, hazard.message)).collect();
            let mut ids: Vec<String> = hazards.iter().map(|hazard| hazard.id.to_string()).collect();
            ids.dedup();
            Failure::new(
                Exit::NotAllowed,
                format!(
                    "hazards that are not allowed:\n{}\nallow them with --allow {}",
                    list.join("\n"),
                    ids.join(",")
                ),
            )
        }
    }
}

fn show(plan: &Plan, format: Format) -> Result<(), Failure> {
    let format = match format {
        Format::Json => return print_json(plan),
        Format::Markdown => explain::Format::Markdown,
        // https://no-color.org: any value that is not empty turns colours off.
        Format::Text => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            explain::Format::Text { color: std::io::stdout().is_terminal() && !plain }
        }
    };
    print(render(plan, format).trim_end());
    Ok(())
}
