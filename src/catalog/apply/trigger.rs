//! Triggers, with their clones on partitions.

use pg_query::protobuf::{ConstrType, CreateTrigStmt, Node, node};

use super::constraint::{self, Wished, basic};
use super::edit::{Edit, Outcome, fail};
use super::names;
use crate::catalog::expression::{Cooked, Item, Renaming, Scope, cook_condition, in_expression, strings};
use crate::catalog::{ConstraintKind, Name, Relation, RelationKind, Trigger, TriggerTiming};
use crate::sql::quote;

/// Bits of `tgtype` (pg_trigger.h).
const BEFORE: i32 = 1 << 1;
const INSERT: i32 = 1 << 2;
const DELETE: i32 = 1 << 3;
const UPDATE: i32 = 1 << 4;
const TRUNCATE: i32 = 1 << 5;
const INSTEAD: i32 = 1 << 6;

/// `CREATE [OR REPLACE] [CONSTRAINT] TRIGGER`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &CreateTrigStmt) -> Outcome {
    let table = names::relation(edit, statement.relation.as_ref())?;
    let relation = edit.relation(&table)?;
    let exists = relation.triggers.iter().any(|other| other.name == statement.trigname);
    if exists && !statement.replace {
        fail!("trigger {} of {table} already exists", quote::ident(&statement.trigname));
    }
    let trigger = build(edit, &table, relation, statement)?;
    let is_constraint = statement.isconstraint;
    if is_constraint {
        add_constraint(edit, &table, statement)?;
    }
    put(edit, &table, trigger.clone())?;
    if trigger.for_each_row && edit.relation(&table)?.kind == RelationKind::PartitionedTable {
        for partition in names::children(edit, &table) {
            clone_to(edit, &partition, &table, &trigger)?;
        }
    }
    Ok(())
}

fn build(edit: &Edit<'_>, table: &Name, relation: &Relation, statement: &CreateTrigStmt) -> Outcome<Trigger> {
    let function = names::trigger_function(edit, &strings(&statement.funcname))?;
    let when = statement.when_clause.as_deref().map(|node| condition(edit, table, relation, node)).transpose()?;
    let of = strings(&statement.columns);
    if let Some(missing) = of.iter().find(|column| relation.column(column).is_none() && !relation.columns_unknown) {
        fail!("column {} of {table} does not exist", quote::ident(missing));
    }
    let mut mentioned = of.clone();
    mentioned.extend(when.iter().flat_map(|cooked| cooked.uses.columns_of(table)));
    let columns = relation.columns.iter().map(|column| &column.name).filter(|name| mentioned.contains(name));
    let references = match &statement.constrrel {
        Some(range) => Some(names::relation(edit, Some(range))?),
        None => None,
    };
    Ok(Trigger {
        name: statement.trigname.clone(),
        definition: definition(table, statement, &function, references.as_ref(), when.as_ref()),
        for_each_row: statement.row,
        timing: match statement.timing {
            BEFORE => TriggerTiming::Before,
            INSTEAD => TriggerTiming::InsteadOf,
            _ => TriggerTiming::After,
        },
        on_insert: statement.events & INSERT != 0,
        on_update: statement.events & UPDATE != 0,
        on_delete: statement.events & DELETE != 0,
        on_truncate: statement.events & TRUNCATE != 0,
        columns: columns.cloned().collect(),
        enabled: 'O',
        functions: when.map(|cooked| cooked.uses.functions()).unwrap_or_default(),
        function,
        from_parent: false,
        references,
        comment: None,
    })
}

/// The WHEN clause sees the old and the new row.
fn condition(edit: &Edit<'_>, table: &Name, relation: &Relation, node: &Node) -> Outcome<Cooked> {
    Ok(cook_condition(edit, &row_scope(table, relation), node)?)
}

fn row_scope<'s>(table: &Name, relation: &Relation) -> Scope<'s> {
    let row = |alias: &str| Item {
        alias: alias.to_owned(),
        schema: String::new(),
        qualified_only: true,
        ..Item::relation(table, relation)
    };
    Scope { items: vec![row("old"), row("new")], ..Scope::default() }
}

/// `pg_get_triggerdef`.
fn definition(
    table: &Name,
    statement: &CreateTrigStmt,
    function: &Name,
    references: Option<&Name>,
    when: Option<&Cooked>,
) -> String {
    let constraint = if statement.isconstraint { "CONSTRAINT " } else { "" };
    let timing = match statement.timing {
        BEFORE => "BEFORE",
        INSTEAD => "INSTEAD OF",
        _ => "AFTER",
    };
    let mut events = Vec::new();
    for (bit, word) in [(INSERT, "INSERT"), (DELETE, "DELETE"), (UPDATE, "UPDATE"), (TRUNCATE, "TRUNCATE")] {
        if statement.events & bit == 0 {
            continue;
        }
        let columns: Vec<String> = strings(&statement.columns).iter().map(|column| quote::ident(column)).collect();
        if bit == UPDATE && !columns.is_empty() {
            events.push(format!("UPDATE OF {}", columns.join(", ")));
        } else {
            events.push(word.to_owned());
        }
    }
    let name = quote::ident(&statement.trigname);
    let mut out = format!("CREATE {constraint}TRIGGER {name} {timing} {} ON {table} ", events.join(" OR "));
    if let Some(references) = references {
        out.push_str(&format!("FROM {references} "));
    }
    if statement.isconstraint {
        let not = if statement.deferrable { "" } else { "NOT " };
        let initially = if statement.initdeferred { "DEFERRED" } else { "IMMEDIATE" };
        out.push_str(&format!("{not}DEFERRABLE INITIALLY {initially} "));
    }
    let transitions: Vec<String> = statement
        .transition_rels
        .iter()
        .filter_map(|node| match &node.node {
            Some(node::Node::TriggerTransition(transition)) => {
                let which = if transition.is_new { "NEW" } else { "OLD" };
                Some(format!("{which} TABLE AS {} ", quote::ident(&transition.name)))
            }
            _ => None,
        })
        .collect();
    if !transitions.is_empty() {
        out.push_str(&format!("REFERENCING {}", transitions.concat()));
    }
    out.push_str(if statement.row { "FOR EACH ROW " } else { "FOR EACH STATEMENT " });
    if let Some(when) = when {
        out.push_str(&format!("WHEN ({}) ", when.text));
    }
    let arguments: Vec<String> =
        strings(&statement.args).iter().map(|argument| format!("'{}'", argument.replace('\'', "''"))).collect();
    let called = if function.schema == "pg_catalog" { quote::ident(&function.name) } else { function.to_string() };
    out.push_str(&format!("EXECUTE FUNCTION {called}({})", arguments.join(", ")));
    out
}

/// A constraint trigger is a constraint too.
fn add_constraint(edit: &mut Edit<'_>, table: &Name, statement: &CreateTrigStmt) -> Outcome {
    let node = pg_query::protobuf::Constraint {
        contype: ConstrType::Undefined as i32,
        deferrable: statement.deferrable,
        initdeferred: statement.initdeferred,
        is_enforced: true,
        is_no_inherit: true,
        ..Default::default()
    };
    let wished = Wished { node, column: None, new: true };
    let entry = basic(&wished, statement.trigname.clone(), ConstraintKind::Trigger);
    if edit.relation(table)?.constraint(&entry.name).is_some() {
        edit.relation_mut(table)?.constraints.retain(|other| other.name != entry.name);
    }
    constraint::put(edit, table, entry)
}

/// Adds a trigger at its place in the order, or in place of the one of that name.
fn put(edit: &mut Edit<'_>, table: &Name, mut trigger: Trigger) -> Outcome {
    let triggers = &mut edit.relation_mut(table)?.triggers;
    if let Some(old) = triggers.iter_mut().find(|other| other.name == trigger.name) {
        trigger.comment = old.comment.take();
        *old = trigger;
        return Ok(());
    }
    let at = triggers.partition_point(|other| other.name < trigger.name);
    triggers.insert(at, trigger);
    Ok(())
}

/// The trigger of a partitioned table on one of its partitions, and on those below.
fn clone_to(edit: &mut Edit<'_>, partition: &Name, parent: &Name, trigger: &Trigger) -> Outcome {
    let mut own = trigger.clone();
    own.from_parent = true;
    own.comment = None;
    own.definition = on_table(&trigger.definition, parent, partition);
    let relation = edit.relation(partition)?;
    own.columns = relation
        .columns
        .iter()
        .map(|column| &column.name)
        .filter(|name| trigger.columns.contains(name))
        .cloned()
        .collect();
    if edit.relation(partition)?.triggers.iter().any(|other| other.name == own.name && !other.from_parent) {
        fail!("trigger {} of {partition} already exists", quote::ident(&own.name));
    }
    put(edit, partition, own)?;
    for below in names::children(edit, partition) {
        clone_to(edit, &below, parent, trigger)?;
    }
    Ok(())
}

/// A trigger's definition for another table: only the name behind `ON` differs.
pub(super) fn on_table(definition: &str, old: &Name, new: &Name) -> String {
    definition.replacen(&format!(" ON {old} "), &format!(" ON {new} "), 1)
}

/// A trigger's definition after a renaming. `relation` is the table as it was.
pub(super) fn renamed(
    edit: &Edit<'_>,
    table: &Name,
    relation: &Relation,
    trigger: &Trigger,
    renaming: &Renaming,
) -> String {
    definition_renamed(edit, table, relation, trigger, renaming).unwrap_or_else(|| trigger.definition.clone())
}

fn definition_renamed(
    edit: &Edit<'_>,
    table: &Name,
    relation: &Relation,
    trigger: &Trigger,
    renaming: &Renaming,
) -> Option<String> {
    let parsed = crate::sql::parse(&trigger.definition).ok()?.into_iter().next()?;
    let node::Node::CreateTrigStmt(mut statement) = parsed.node else { return None };
    for column in &mut statement.columns {
        if let Some(node::Node::String(column)) = &mut column.node
            && let Some(new) = renaming.of_column(table, &column.sval)
        {
            column.sval = new;
        }
    }
    let when = match statement.when_clause.as_deref() {
        Some(node) => {
            let mut cooked = condition(edit, table, relation, node).ok()?;
            let scope = row_scope(table, relation);
            if let Some(text) = in_expression(edit, &scope, &cooked.text, renaming) {
                cooked.text = text;
            }
            Some(cooked)
        }
        None => None,
    };
    let function = renaming.of_function(&trigger.function).unwrap_or_else(|| trigger.function.clone());
    let references = trigger.references.clone().map(|own| renaming.of_relation(&own).unwrap_or(own));
    let table = renaming.of_relation(table).unwrap_or_else(|| table.clone());
    Some(definition(&table, &statement, &function, references.as_ref(), when.as_ref()))
}

/// `ALTER TRIGGER .. RENAME`, of the clones too (before 15 only of the one named).
pub(super) fn rename(edit: &mut Edit<'_>, table: &Name, old: &str, new: &str) -> Outcome {
    if !edit.relation(table)?.triggers.iter().any(|trigger| trigger.name == old) {
        fail!("trigger {} of {table} does not exist", quote::ident(old));
    }
    let members = if edit.major() >= 15 { names::tree(edit, table) } else { vec![table.clone()] };
    for member in members {
        let is_root = member == *table;
        let triggers = &mut edit.relation_mut(&member)?.triggers;
        for trigger in triggers.iter_mut().filter(|own| own.name == old && (is_root || own.from_parent)) {
            let (from, to) = (format!("TRIGGER {} ", quote::ident(old)), format!("TRIGGER {} ", quote::ident(new)));
            trigger.definition = trigger.definition.replacen(&from, &to, 1);
            new.clone_into(&mut trigger.name);
        }
        triggers.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(())
}

/// Row triggers of the parent for a new partition.
pub(super) fn to_partition(edit: &mut Edit<'_>, parent: &Name, partition: &Name) -> Outcome {
    for trigger in edit.relation(parent)?.triggers.clone() {
        if trigger.for_each_row {
            clone_to(edit, partition, parent, &trigger)?;
        }
    }
    Ok(())
}

/// A detached partition loses the clones.
pub(super) fn from_partition(edit: &mut Edit<'_>, partition: &Name) -> Outcome {
    for member in names::tree(edit, partition) {
        edit.relation_mut(&member)?.triggers.retain(|trigger| !trigger.from_parent);
    }
    Ok(())
}

/// Removes a trigger, its clones and the constraint it is.
pub(super) fn remove(edit: &mut Edit<'_>, table: &Name, name: &str) -> Outcome {
    for member in names::tree(edit, table) {
        let is_root = member == *table;
        let relation = edit.relation_mut(&member)?;
        relation.triggers.retain(|trigger| trigger.name != name || !(is_root || trigger.from_parent));
        if is_root {
            relation.constraints.retain(|own| own.name != name || own.kind != ConstraintKind::Trigger);
        }
    }
    Ok(())
}
