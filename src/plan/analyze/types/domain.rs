//! ALTER DOMAIN.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterDomainStmt, ConstrType, Constraint};

use crate::catalog::{DomainConstraint, Name, RelationKind, TypeKind};
use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::refusal::{missing_object, object_exists};
use crate::plan::analyze::resolve::Rel;
use crate::plan::analyze::since::{self, Feature};
use crate::plan::analyze::{Impact, Resolver, effects};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Whatever makes the domain stricter takes Share on every table that has a column of it and reads the table;
/// the rest takes no lock that a query could meet.
pub(in crate::plan::analyze) fn alter_domain(statement: &AlterDomainStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = Qualified::from_nodes(&statement.type_name) else { return impact };
    let (domain, not_null, constraints) = match resolver.type_lookup(name) {
        TypeLookup::User(found, facts) => match &facts.kind {
            TypeKind::Domain { not_null, constraints, .. } => (found, *not_null, constraints.as_slice()),
            _ => {
                not_a_domain(&mut impact, &name.shown());
                return impact;
            }
        },
        TypeLookup::Row(_) | TypeLookup::System => {
            not_a_domain(&mut impact, &name.shown());
            return impact;
        }
        TypeLookup::Missing => {
            missing_object(&mut impact, "type", &name.shown());
            return impact;
        }
    };
    let known = constraints.iter().find(|constraint| constraint.name == statement.name);
    match statement.subtype.as_str() {
        "T" | "N" => {}
        "O" => {
            if !not_null {
                verify(&mut impact, resolver, domain);
            }
        }
        "C" => add(&mut impact, statement, resolver, domain, not_null, constraints),
        "X" => {
            if known.is_none() && !statement.missing_ok {
                missing(&mut impact, &statement.name, domain);
            }
        }
        "V" => match known {
            Some(constraint) if constraint.definition.starts_with("NOT NULL") => impact.refuse(
                "42809",
                format!("constraint \"{}\" of domain \"{}\" is not a check constraint", constraint.name, domain.name),
                "A NOT NULL of a domain is always valid.",
            ),
            Some(_) => verify(&mut impact, resolver, domain),
            None => missing(&mut impact, &statement.name, domain),
        },
        _ => return Impact::unanalyzable("this form of ALTER DOMAIN is not known"),
    }
    impact
}

fn not_a_domain(impact: &mut Impact, name: &str) {
    impact.refuse("42809", format!("{name} is not a domain"), "Use ALTER TYPE instead.");
}

fn missing(impact: &mut Impact, constraint: &str, domain: &Name) {
    impact.refuse(
        "42704",
        format!("constraint \"{constraint}\" of domain \"{}\" does not exist", domain.name),
        "Check the name of the constraint.",
    );
}

fn add(
    impact: &mut Impact,
    statement: &AlterDomainStmt,
    resolver: &Resolver<'_>,
    domain: &Name,
    not_null: bool,
    constraints: &[DomainConstraint],
) {
    let Some(NodeEnum::Constraint(added)) = statement.def.as_ref().and_then(|def| def.node.as_ref()) else { return };
    let is_not_null = added.contype == ConstrType::ConstrNotnull as i32;
    if is_not_null {
        since::require(impact, resolver, Feature::DomainNotNull);
    }
    if !added.conname.is_empty() && constraints.iter().any(|constraint| constraint.name == added.conname) {
        object_exists(impact, "constraint", &added.conname);
        return;
    }
    let already = is_not_null && not_null;
    if !already && validates(added) {
        verify(impact, resolver, domain);
    }
}

fn validates(constraint: &Constraint) -> bool {
    !constraint.skip_validation
}

/// Reads every table and materialized view with a column of the domain, or of a domain over it
/// (`get_rels_with_domain` in typecmds.c). A column that holds the domain inside another type is refused.
fn verify(impact: &mut Impact, resolver: &Resolver<'_>, domain: &Name) {
    let domains = domains_over(resolver, domain);
    let built_on = resolver.types_built_on(domain);
    let using: BTreeMap<&Name, Rel<'_>> =
        built_on.iter().flat_map(|name| resolver.referring_to(name)).map(|rel| (rel.name, rel)).collect();
    for found @ Rel { name, relation } in using.into_values() {
        if matches!(relation.kind, RelationKind::View | RelationKind::ForeignTable) {
            continue;
        }
        for column in &relation.columns {
            let of_domain = domains.contains(&column.data_type.name);
            if !built_on.contains(&column.data_type.name) {
                continue;
            }
            if column.data_type.array || !of_domain {
                impact.refuse(
                    "0A000",
                    format!(
                        "cannot alter type \"{}\" because column \"{}.{}\" uses it inside another type",
                        domain.name, name.name, column.name
                    ),
                    "Change the type of that column first, or put the condition on the table as a CHECK.",
                );
            } else if relation.kind.has_heap() {
                impact.lock(name.clone(), LockMode::Share);
                effects::scan(impact, found);
                if !relation.stats.empty {
                    impact.hazard(
                        HazardId::BlocksWrites,
                        Some(name),
                        "Writes wait while the table is read to verify the domain; there is no weaker lock for it.",
                    );
                    impact.hazard(HazardId::MayFail, Some(name), "It fails if a row violates the new condition.");
                }
            }
        }
    }
}

/// The domain and every domain over it.
fn domains_over(resolver: &Resolver<'_>, domain: &Name) -> BTreeSet<Name> {
    let mut domains = BTreeSet::from([domain.clone()]);
    loop {
        let more: Vec<Name> = resolver
            .catalog
            .types
            .iter()
            .filter(|(name, _)| !domains.contains(*name))
            .filter(|(_, candidate)| match &candidate.kind {
                TypeKind::Domain { base, .. } => !base.array && domains.contains(&base.name),
                _ => false,
            })
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return domains;
        }
        domains.extend(more);
    }
}
