//! RENAME of what belongs to a relation: columns, attributes, constraints, triggers, rules, policies.

use pg_query::protobuf::{DropBehavior, RenameStmt};

use crate::catalog::{Constraint, ConstraintKind, Name, RelationKind};
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::objects::is_system_column;
use crate::plan::analyze::refusal::{missing_relation, relation_exists, require_relation, wrong_kind};
use crate::plan::analyze::resolve::{Lookup, Rel};
use crate::plan::analyze::{Impact, Resolver};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

fn lock_all(impact: &mut Impact, relations: &[Rel<'_>]) {
    for relation in relations {
        impact.lock(relation.name.clone(), LockMode::AccessExclusive);
    }
}

fn locked<'a>(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'a>) -> Option<Rel<'a>> {
    let found = require_relation(impact, resolver, statement.relation.as_ref()?, statement.missing_ok)?;
    impact.lock(found.name.clone(), LockMode::AccessExclusive);
    Some(found)
}

fn duplicate(impact: &mut Impact, kind: &str, name: &str, relation: &Name) {
    impact.refuse(
        "42710",
        format!("{kind} \"{name}\" for relation \"{}\" already exists", relation.name),
        "Choose another name.",
    );
}

fn missing(impact: &mut Impact, kind: &str, name: &str, relation: &Name) {
    impact.refuse(
        "42704",
        format!("{kind} \"{name}\" for relation \"{}\" does not exist", relation.name),
        format!("Check the name of the {kind}."),
    );
}

/// AccessExclusive on the relation and everything below it.
pub(super) fn column(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>) {
    let Some(name) = &statement.relation else { return };
    let found = match resolver.lookup(name) {
        Lookup::Found(found) => found,
        Lookup::System => return,
        // `ALTER TABLE` also takes a composite type.
        Lookup::Missing if resolver.composite(Qualified::from_range(name)).is_some() => {
            return attribute(impact, statement, resolver);
        }
        Lookup::Missing => {
            if !statement.missing_ok {
                missing_relation(impact, Qualified::from_range(name));
            }
            return;
        }
    };
    impact.lock(found.name.clone(), LockMode::AccessExclusive);
    let relation = found.relation;
    match relation.kind {
        RelationKind::Sequence => return wrong_kind(impact, &found.name.name, "a table, view or composite type"),
        kind if kind.is_index() => return,
        _ => {}
    }
    let (old, new) = (&statement.subname, &statement.newname);
    let below = resolver.descendants(found);
    if name.inh {
        lock_all(impact, &below);
    }
    if relation.of_type.is_some() {
        impact.refuse(
            "42809",
            "cannot rename column of typed table",
            "Rename the attribute of the type: ALTER TYPE ... RENAME ATTRIBUTE ... CASCADE.",
        );
    }
    let Some(column) = relation.column(old) else {
        return impact.refuse(
            "42703",
            format!("column \"{old}\" of relation \"{}\" does not exist", found.name.name),
            "Check the spelling of the column.",
        );
    };
    if !name.inh && !below.is_empty() {
        impact.refuse(
            "42P16",
            format!("inherited column \"{old}\" must be renamed in child tables too"),
            "Leave ONLY out.",
        );
    }
    if column.inherited > 0 {
        impact.refuse("42P16", format!("cannot rename inherited column \"{old}\""), "Rename it in the parent table.");
    }
    for member in std::iter::once(&found).chain(&below) {
        if member.relation.column(new).is_some() {
            impact.refuse(
                "42701",
                format!("column \"{new}\" of relation \"{}\" already exists", member.name.name),
                "Choose another name.",
            );
        }
    }
    if is_system_column(new) {
        impact.refuse(
            "42701",
            format!("column name \"{new}\" conflicts with a system column name"),
            "Choose another name.",
        );
    }
    impact.hazard(HazardId::BreaksClients, Some(found.name), "Clients that use the column by its old name fail.");
}

/// AccessExclusive on the tables of the type, which need CASCADE.
pub(super) fn attribute(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>) {
    let Some(name) = &statement.relation else { return };
    let qualified = Qualified::from_range(name);
    let Some((type_name, attributes)) = resolver.composite_named(qualified) else {
        return missing_relation(impact, qualified);
    };
    // A composite type has an entry among the relations.
    impact.lock(type_name.clone(), LockMode::AccessExclusive);
    let tables = resolver.typed_tables(type_name);
    let cascade = statement.behavior == DropBehavior::DropCascade as i32;
    if !tables.is_empty() && !cascade {
        return impact.refuse(
            "2BP01",
            format!("cannot alter type \"{}\" because it is the type of a typed table", type_name.name),
            "Use CASCADE to change the typed tables too.",
        );
    }
    for table in &tables {
        lock_all(impact, &resolver.tree(*table));
        impact.hazard(HazardId::HiddenLock, Some(table.name), "The table is of the type whose attribute is renamed.");
        impact.hazard(HazardId::BreaksClients, Some(table.name), "Clients that use the column by its old name fail.");
    }
    if !attributes.iter().any(|attribute| attribute.name == statement.subname) {
        impact.refuse(
            "42703",
            format!("column \"{}\" does not exist", statement.subname),
            "Check the spelling of the attribute.",
        );
    } else if attributes.iter().any(|attribute| attribute.name == statement.newname) {
        impact.refuse(
            "42701",
            format!("column \"{}\" of relation \"{}\" already exists", statement.newname, type_name.name),
            "Choose another name.",
        );
    }
}

/// AccessExclusive on the table, ShareUpdateExclusive on the constraint's index. A constraint that children
/// inherit is renamed in them too.
pub(super) fn constraint(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>) {
    let Some(found) = locked(impact, statement, resolver) else { return };
    let Some(constraint) = found.relation.constraint(&statement.subname) else {
        return impact.refuse(
            "42704",
            format!("constraint \"{}\" for table \"{}\" does not exist", statement.subname, found.name.name),
            "Check the name of the constraint.",
        );
    };
    if let Some(index) = own_index(constraint) {
        impact.lock(index.clone(), LockMode::ShareUpdateExclusive);
        let new = Name::new(index.schema.clone(), statement.newname.clone());
        if resolver.get(&new).is_some() {
            relation_exists(impact, &new.name);
        }
    }
    let inherit = statement.relation.as_ref().is_none_or(|name| name.inh);
    if is_inheritable(constraint) {
        let below = resolver.descendants(found);
        if inherit {
            lock_all(impact, &below);
        } else if !below.is_empty() {
            impact.refuse(
                "42P16",
                format!("inherited constraint \"{}\" must be renamed in child tables too", constraint.name),
                "Leave ONLY out.",
            );
        }
        if constraint.inherited > 0 {
            impact.refuse(
                "42P16",
                format!("cannot rename inherited constraint \"{}\"", constraint.name),
                "Rename it in the parent table.",
            );
        }
    }
    if found.relation.constraint(&statement.newname).is_some() {
        duplicate(impact, "constraint", &statement.newname, found.name);
    }
}

fn own_index(constraint: &Constraint) -> Option<&Name> {
    match constraint.kind {
        ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion => constraint.index.as_ref(),
        _ => None,
    }
}

fn is_inheritable(constraint: &Constraint) -> bool {
    matches!(constraint.kind, ConstraintKind::Check { .. } | ConstraintKind::NotNull) && !constraint.no_inherit
}

/// AccessExclusive on the relation; from 15 on on the partitions of a partitioned table too.
pub(super) fn trigger(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>) {
    let Some(found) = locked(impact, statement, resolver) else { return };
    if found.relation.kind == RelationKind::PartitionedTable && resolver.major() >= 15 {
        lock_all(impact, &resolver.descendants(found));
    }
    let triggers = &found.relation.triggers;
    let Some(trigger) = triggers.iter().find(|trigger| trigger.name == statement.subname) else {
        return missing(impact, "trigger", &statement.subname, found.name);
    };
    if trigger.from_parent && resolver.major() >= 15 {
        let sqlstate = if resolver.major() >= 18 { "0A000" } else { "XX000" };
        impact.refuse(
            sqlstate,
            format!("cannot rename trigger \"{}\" on table \"{}\"", trigger.name, found.name.name),
            "Rename the trigger of the partitioned table.",
        );
    }
    let same = statement.subname == statement.newname && resolver.major() >= 15;
    if !same && triggers.iter().any(|trigger| trigger.name == statement.newname) {
        duplicate(impact, "trigger", &statement.newname, found.name);
    }
}

/// AccessExclusive on the relation.
pub(super) fn rule(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>) {
    let Some(found) = locked(impact, statement, resolver) else { return };
    let rules = &found.relation.rules;
    if statement.subname == "_RETURN" && found.relation.view.is_some() {
        impact.refuse(
            "42P17",
            "renaming an ON SELECT rule is not allowed",
            "The rule is the view itself; rename the view.",
        );
    } else if !rules.iter().any(|rule| rule.name == statement.subname) {
        missing(impact, "rule", &statement.subname, found.name);
    } else if rules.iter().any(|rule| rule.name == statement.newname) {
        duplicate(impact, "rule", &statement.newname, found.name);
    }
}

/// AccessExclusive on the table. `IF EXISTS` excuses a missing policy, not a missing table.
pub(super) fn policy(impact: &mut Impact, statement: &RenameStmt, resolver: &Resolver<'_>) {
    let Some(name) = &statement.relation else { return };
    let Some(found) = require_relation(impact, resolver, name, false) else { return };
    impact.lock(found.name.clone(), LockMode::AccessExclusive);
    let policies = &found.relation.policies;
    if !policies.iter().any(|policy| policy.name == statement.subname) {
        if !statement.missing_ok {
            missing(impact, "policy", &statement.subname, found.name);
        }
    } else if policies.iter().any(|policy| policy.name == statement.newname) {
        duplicate(impact, "policy", &statement.newname, found.name);
    }
}
