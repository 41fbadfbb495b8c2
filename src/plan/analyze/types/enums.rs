//! ALTER TYPE ... ADD VALUE and RENAME VALUE.

use pg_query::protobuf::AlterEnumStmt;

use crate::catalog::TypeKind;
use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::missing_object;
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::model::HazardId;

/// No lock that a query could meet. A value added cannot be used before the transaction is committed, and is
/// never removed again.
pub(in crate::plan::analyze) fn alter_enum(statement: &AlterEnumStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = Qualified::from_nodes(&statement.type_name) else { return impact };
    let labels = match resolver.type_lookup(name) {
        TypeLookup::User(_, found) => match &found.kind {
            TypeKind::Enum { labels } => labels,
            _ => {
                not_an_enum(&mut impact, &name.shown());
                return impact;
            }
        },
        TypeLookup::Row(_) | TypeLookup::System => {
            not_an_enum(&mut impact, &name.shown());
            return impact;
        }
        TypeLookup::Missing => {
            missing_object(&mut impact, "type", &name.shown());
            return impact;
        }
    };
    let known = |label: &String| labels.contains(label);
    if statement.old_val.is_empty() {
        if known(&statement.new_val) {
            if !statement.skip_if_new_val_exists {
                exists(&mut impact, &name.shown());
            }
            return impact;
        }
        if !statement.new_val_neighbor.is_empty() && !known(&statement.new_val_neighbor) {
            missing_label(&mut impact, &name.shown());
        }
        impact.hazard(
            HazardId::Irreversible,
            None,
            "A value of an enum cannot be removed again; nor can it be used before this transaction is committed.",
        );
    } else {
        if !known(&statement.old_val) {
            missing_label(&mut impact, &name.shown());
        } else if known(&statement.new_val) {
            exists(&mut impact, &name.shown());
        }
        impact.hazard(HazardId::BreaksClients, None, "Clients that send or expect the old label fail.");
    }
    impact
}

fn not_an_enum(impact: &mut Impact, name: &str) {
    impact.refuse("42809", format!("{name} is not an enum"), "Only enums have values.");
}

// Labels are literals of the author's SQL and stay out of messages.
fn exists(impact: &mut Impact, name: &str) {
    impact.refuse(
        "42710",
        format!("the enum label already exists in {name}"),
        "Leave it out, or use ADD VALUE IF NOT EXISTS.",
    );
}

fn missing_label(impact: &mut Impact, name: &str) {
    impact.refuse("22023", format!("the label named is not one of {name}"), "Name an existing label of the enum.");
}
