//! `wesley plan` and `wesley explain`.

use std::collections::BTreeSet;
use std::str::FromStr;

use strum::IntoEnumIterator;

use super::{Failure, Format, PlanArgs, PolicyArgs, catalog, input, print, print_json};
use crate::exit::Exit;
use crate::plan::analyze::Refusal;
use crate::plan::{HazardId, Plan, PlanError, Policy, explain, plan_source};
use crate::run::Reason;

/// Makes the plan and shows it; one with hazards that are not allowed is shown too, and is then a failure.
pub(super) async fn run(args: &PlanArgs, format: Format) -> Result<(), Failure> {
    run_with(args, format, &mut catalog::Known::default()).await
}

/// [`run`] with what is known of the schema.
pub(super) async fn run_with(args: &PlanArgs, format: Format, known: &mut catalog::Known) -> Result<(), Failure> {
    let policy = policy(&args.policy)?;
    let input = input::read_for_plan(&args.source)?;
    let catalog = known.read(&args.schema).await?;
    match plan_source(input.source(), &[], &catalog, &policy) {
        Ok(plan) => show(&plan, format),
        Err(error) => {
            if let PlanError::NotAllowed { plan, .. } = &error {
                show(plan, format)?;
            }
            Err(failure(&input, error))
        }
    }
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
            refused(&refusal, |message| input.at_statement(statement, message))
        }
        PlanError::RefusedInRun { first, start, refusal, .. } => {
            refused(&refusal, |message| input.at_byte_of(first, start, message))
        }
        PlanError::SourceChanged { message } => Failure::of(Reason::SourceChanged, message),
        PlanError::Unsupported { statement, message } => {
            Failure::of(Reason::StatementUnsupported, input.at_statement(statement, &message))
        }
        PlanError::Check(invalid) => Failure::of(Reason::StatementUnsupported, invalid.to_string()),
        PlanError::NotAllowed { plan: _, hazards } => {
            let list: Vec<String> = hazards.iter().map(|hazard| format!("  {hazard}")).collect();
            let ids: BTreeSet<HazardId> = hazards.iter().map(|hazard| hazard.id).collect();
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            Failure::of(
                Reason::HazardNotAllowed,
                format!(
                    "hazards that are not allowed:\n{}\nallow them with --allow {}",
                    list.join("\n"),
                    ids.join(",")
                ),
            )
        }
    }
}

fn refused(refusal: &Refusal, shown: impl Fn(&str) -> String) -> Failure {
    let message = format!("the server will refuse this: {} ({})", refusal.message, refusal.sqlstate);
    Failure::of(Reason::StatementRefused, format!("{}\n  = {}", shown(&message), refusal.hint))
}

fn show(plan: &Plan, format: Format) -> Result<(), Failure> {
    let page = match format {
        Format::Json => return print_json(plan),
        Format::Markdown => explain::Format::Markdown,
        Format::Text => explain::Format::Text { color: colour(&std::io::stdout()) },
    };
    print(&explain::render(plan, page));
    Ok(())
}

/// Whether the stream is a terminal that may be coloured (https://no-color.org).
pub(super) fn colour(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
