//! What a plan depends on in the schema: when that changes, the plan is no longer true.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{ObjectType, VariableSetStmt};
use serde_json::Value;

use super::model::{Action, Plan, Postcondition, Step};
use crate::catalog::fingerprint::{fingerprint, fingerprint_of};
use crate::catalog::{Catalog, Name};
use crate::sql::{parse, render};

/// The fingerprint of the part of `catalog` that the plan's steps depend on: the relations they name or lock with
/// all that belongs to these; the whole schema where a step names what is no relation.
pub(super) fn fingerprint_for(plan: &Plan, catalog: &Catalog) -> String {
    match relations(plan, catalog) {
        Some(relations) => fingerprint_of(catalog, &relations),
        None => fingerprint(catalog),
    }
}

/// Whether what the plan was made from is still so: the executor asks before it starts a plan made earlier.
pub fn still_holds(plan: &Plan, catalog: &Catalog) -> bool {
    fingerprint_for(plan, catalog) == plan.catalog_fingerprint
}

/// The relations; `None` when they are not all that matters.
fn relations(plan: &Plan, catalog: &Catalog) -> Option<BTreeSet<Name>> {
    let mut all = BTreeSet::new();
    let mut path: BTreeSet<String> = catalog.server.search_path.iter().cloned().collect();
    let mut named = Vec::new();
    for step in &plan.steps {
        // Its text is not here.
        if let Action::Script(_) = &step.action {
            return None;
        }
        let lists = step.locks.iter().map(|lock| &lock.relation);
        for relation in lists.chain(&step.rewrites).chain(&step.scans).chain(&step.waits_for_transactions) {
            // `*` is everything.
            all.insert(relation.parse::<Name>().ok()?);
        }
        if let Postcondition::IndexValid(probe) | Postcondition::IndexAbsent(probe) = &step.postcondition {
            all.insert(Name::new(&*probe.schema, &*probe.index));
        }
        for text in texts(step) {
            for statement in parse(&text).ok()? {
                if let NodeEnum::VariableSetStmt(set) = &statement.node {
                    path.extend(search_path(set));
                    continue;
                }
                if !is_about_relations(&statement.node) || uses_objects(&statement.node, catalog) {
                    return None;
                }
                ranges(&serde_json::to_value(&statement.node).ok()?, &mut named);
            }
        }
    }
    for (schema, name) in named {
        if schema.is_empty() {
            all.extend(path.iter().map(|schema| Name::new(&**schema, &*name)));
        } else {
            all.insert(Name::new(schema, name));
        }
    }
    Some(all)
}

fn texts(step: &Step) -> Vec<String> {
    match &step.action {
        Action::Transaction(transaction) => transaction.statements.clone(),
        Action::Concurrent(concurrent) => vec![concurrent.statement.clone()],
        Action::Check(check) => vec![check.query.clone()],
        Action::Script(_) => Vec::new(),
        // Its table is among the locks, and its expressions read nothing but the row.
        Action::Backfill(backfill) => {
            backfill.assignments.iter().map(|assignment| format!("SELECT {}", assignment.expression)).collect()
        }
    }
}

fn search_path(set: &VariableSetStmt) -> Vec<String> {
    if set.name == "search_path" { render::strings(&NodeEnum::VariableSetStmt(set.clone())) } else { Vec::new() }
}

/// Statements whose effect and whose dependencies are relations alone.
fn is_about_relations(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::DropStmt(drop) => matches!(drop.remove_type(), ObjectType::ObjectTable | ObjectType::ObjectIndex),
        NodeEnum::AlterTableStmt(alter) => alter.objtype() == ObjectType::ObjectTable,
        NodeEnum::RenameStmt(rename) => rename.relation.is_some(),
        NodeEnum::IndexStmt(_)
        | NodeEnum::CreateStmt(_)
        | NodeEnum::CreateSeqStmt(_)
        | NodeEnum::ReindexStmt(_)
        | NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::TruncateStmt(_)
        | NodeEnum::SelectStmt(_) => true,
        _ => false,
    }
}

/// Whether the statement mentions a function or type of the user.
fn uses_objects(node: &NodeEnum, catalog: &Catalog) -> bool {
    let mentioned: BTreeSet<String> = render::strings(node).into_iter().collect();
    catalog.functions.iter().any(|function| mentioned.contains(&function.name.name))
        || catalog.types.keys().any(|name| mentioned.contains(&name.name))
}

/// Schema (empty when not written) and name of every relation that a tree names.
fn ranges(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| ranges(item, found)),
        Value::Object(fields) => {
            if let (Some(Value::String(schema)), Some(Value::String(name))) =
                (fields.get("schemaname"), fields.get("relname"))
            {
                found.push((schema.clone(), name.clone()));
            }
            fields.values().for_each(|field| ranges(field, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Relation, RelationKind};
    use crate::plan::{Policy, plan};

    fn catalog(tables: &[&str]) -> Catalog {
        let mut catalog = Catalog::default();
        catalog.server.version = 180_000;
        catalog.server.search_path = vec!["public".to_owned()];
        for table in tables {
            catalog.relations.insert(Name::new("public", *table), Relation::new(RelationKind::Table, "o"));
        }
        catalog
    }

    #[test]
    fn only_what_the_plan_names_matters() {
        let statements = parse("ALTER TABLE b ADD COLUMN x int").unwrap();
        let plan = plan(&statements, &catalog(&["b"]), &Policy::default()).unwrap();
        assert!(still_holds(&plan, &catalog(&["b"])));
        assert!(still_holds(&plan, &catalog(&["b", "c"])));
        let mut changed = catalog(&["b"]);
        changed.relations.get_mut(&Name::new("public", "b")).unwrap().row_security = true;
        assert!(!still_holds(&plan, &changed));
    }
}
