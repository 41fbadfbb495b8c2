//! Extended statistics objects.

use pg_query::protobuf::{AlterStatsStmt, CreateStatsStmt, node};

use super::edit::{Edit, Outcome, fail};
use super::names;
use crate::catalog::expression::{Scope, cook, strings};
use crate::catalog::naming;
use crate::catalog::{ExtendedStatistics, Name};
use crate::sql::quote;

/// `CREATE STATISTICS`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &CreateStatsStmt) -> Outcome {
    let table = match statement.relations.as_slice() {
        [only] => match &only.node {
            Some(node::Node::RangeVar(range)) => names::relation(edit, Some(range))?,
            _ => fail!("the statement names no table"),
        },
        _ => fail!("statistics are kept for one table"),
    };
    let relation = edit.relation(&table)?;
    let scope = Scope::table(&table, relation);
    let (mut parts, mut mentioned, mut for_name) = (Vec::new(), Vec::new(), Vec::new());
    for element in &statement.exprs {
        let Some(node::Node::StatsElem(element)) = &element.node else { continue };
        match element.expr.as_deref() {
            None => {
                if relation.column(&element.name).is_none() {
                    fail!("column {} of {table} does not exist", quote::ident(&element.name));
                }
                for_name.push(element.name.clone());
                mentioned.push(element.name.clone());
                parts.push((false, quote::ident(&element.name)));
            }
            Some(expression) => {
                let cooked = cook(edit, &scope, expression)?;
                mentioned.extend(cooked.uses.columns_of(&table));
                for_name.push("expr".to_owned());
                parts.push((true, if cooked.is_call { cooked.text } else { format!("({})", cooked.text) }));
            }
        }
    }
    let given = strings(&statement.defnames);
    let name = if given.is_empty() {
        Name::new(table.schema.as_str(), naming::statistics_name(edit, &table.schema, &table.name, &for_name))
    } else {
        names::creation_from(edit, &given)?
    };
    if edit.statistics.contains_key(&name) {
        if statement.if_not_exists {
            return Ok(());
        }
        fail!("statistics object {name} already exists");
    }
    let columns: Vec<String> = relation
        .columns
        .iter()
        .map(|column| &column.name)
        .filter(|column| mentioned.contains(column))
        .cloned()
        .collect();
    // Columns come in the table's order and before expressions.
    let position = |part: &str| relation.columns.iter().position(|column| quote::ident(&column.name) == part);
    parts.sort_by_key(|(is_expression, text)| (*is_expression, if *is_expression { None } else { position(text) }));
    let kinds = strings(&statement.stat_types);
    let parts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    let statistics = ExtendedStatistics {
        columns,
        definition: definition(&name, &table, &kinds, &parts),
        table,
        owner: edit.server.user.clone(),
        statistics_target: None,
        comment: None,
    };
    edit.small().statistics.insert(name, statistics);
    Ok(())
}

/// `pg_get_statisticsobjdef`: the kinds are shown unless all are kept.
fn definition(name: &Name, table: &Name, kinds: &[String], parts: &[String]) -> String {
    const ALL: [&str; 3] = ["ndistinct", "dependencies", "mcv"];
    let listed: Vec<&str> = ALL.into_iter().filter(|kind| kinds.iter().any(|own| own == kind)).collect();
    let kinds = if parts.len() < 2 || listed.is_empty() || listed.len() == ALL.len() {
        String::new()
    } else {
        format!(" ({})", listed.join(", "))
    };
    format!("CREATE STATISTICS {name}{kinds} ON {} FROM {table}", parts.join(", "))
}

/// `ALTER STATISTICS .. SET STATISTICS`.
pub(super) fn alter(edit: &mut Edit<'_>, statement: &AlterStatsStmt) -> Outcome {
    let parts = strings(&statement.defnames);
    let Some(name) = find(edit, &parts) else {
        if statement.missing_ok {
            return Ok(());
        }
        fail!("statistics object {} does not exist", names::spelled(&parts));
    };
    let target = names::option_text(statement.stxstattarget.as_deref()).and_then(|text| text.parse::<i32>().ok());
    if let Some(found) = edit.small().statistics.get_mut(&name) {
        found.statistics_target = target.filter(|target| *target >= 0);
    }
    Ok(())
}

/// The statistics object of those name parts.
pub(super) fn find(edit: &Edit<'_>, parts: &[String]) -> Option<Name> {
    let (schema, name) = names::split(parts);
    names::in_path(edit, schema, name, |full| edit.statistics.contains_key(full))
}

/// Copies the statistics objects of one table to another (`LIKE .. INCLUDING STATISTICS`).
pub(super) fn copy(edit: &mut Edit<'_>, from: &Name, to: &Name, comments: bool) -> Outcome {
    let own: Vec<ExtendedStatistics> =
        edit.statistics.values().filter(|statistics| statistics.table == *from).cloned().collect();
    for statistics in own {
        let name = naming::statistics_name(edit, &to.schema, &to.name, &statistics.columns);
        let name = Name::new(to.schema.as_str(), name);
        let Some((_, rest)) = statistics.definition.split_once(" ON ") else { continue };
        let parts = rest.rsplit_once(" FROM ").map_or(rest, |(parts, _)| parts);
        let copy = ExtendedStatistics {
            table: to.clone(),
            definition: definition(&name, to, &[], &[parts.to_owned()]),
            owner: edit.server.user.clone(),
            comment: statistics.comment.clone().filter(|_| comments),
            ..statistics.clone()
        };
        edit.small().statistics.insert(name, copy);
    }
    Ok(())
}
