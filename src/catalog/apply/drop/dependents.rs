//! What depends on an object.

use super::super::edit::Edit;
use super::super::names;
use super::{Object, Strength};
use crate::catalog::{ColumnReference, ConstraintKind, Name, Relation, TypeKind};

/// Everything that hangs directly on the object.
pub(super) fn of(edit: &Edit<'_>, object: &Object) -> Vec<(Object, Strength)> {
    let mut found = Found(Vec::new());
    match object {
        Object::Relation(name) => relation(edit, name, &mut found),
        Object::Column(table, column) => super::column::dependents(edit, table, column, &mut found.0),
        Object::Constraint(table, constraint) => self::constraint(edit, table, constraint, &mut found),
        Object::Type(name) => data_type(edit, name, &mut found),
        Object::Function(name, arguments) => function(edit, name, arguments, &mut found),
        Object::Schema(schema) => self::schema(edit, schema, &mut found),
        Object::Extension(extension) => self::extension(edit, extension, &mut found),
        _ => {}
    }
    found.0
}

struct Found(Vec<(Object, Strength)>);

impl Found {
    fn part(&mut self, object: Object) {
        self.0.push((object, Strength::Part));
    }

    fn normal(&mut self, object: Object) {
        self.0.push((object, Strength::Normal));
    }
}

/// What reads the relation `of` or one of its columns.
pub(super) fn readers(edit: &Edit<'_>, of: &Name, reads: impl Fn(&[ColumnReference]) -> bool) -> Vec<Object> {
    let mut out = Vec::new();
    for (name, relation) in edit.relations.referring_to(of) {
        if relation.view.as_ref().is_some_and(|view| reads(&view.references)) {
            out.push(Object::Relation(name.clone()));
        }
        let rules = relation.rules.iter().filter(|rule| reads(&rule.references));
        out.extend(rules.map(|rule| Object::Rule(name.clone(), rule.name.clone())));
        let policies = relation.policies.iter().filter(|policy| reads(&policy.references));
        out.extend(policies.map(|policy| Object::Policy(name.clone(), policy.name.clone())));
        for column in relation.columns.iter().filter(|column| reads(&column.references)) {
            out.push(match column.generated {
                Some(_) => Object::Column(name.clone(), column.name.clone()),
                None => Object::Default(name.clone(), column.name.clone()),
            });
        }
    }
    let functions = edit.functions.iter().filter(|function| reads(&function.references));
    out.extend(functions.map(|function| Object::Function(function.name.clone(), function.arguments.clone())));
    out
}

fn relation(edit: &Edit<'_>, name: &Name, found: &mut Found) {
    let Some(relation) = edit.relations.get(name) else { return };
    for index in names::indexes(edit, name) {
        found.part(Object::Relation(index));
    }
    for (other, candidate) in edit.relations.referring_to(name) {
        if let Some(sequence) = &candidate.sequence
            && sequence.owned_by.as_ref().is_some_and(|owner| owner.relation == *name)
        {
            found.part(Object::Relation(other.clone()));
        }
        if candidate.parents.contains(name) {
            let child = Object::Relation(other.clone());
            if candidate.partition_bound.is_some() { found.part(child) } else { found.normal(child) }
        }
        if candidate.index.as_ref().is_some_and(|index| index.parent.as_ref() == Some(name)) {
            found.part(Object::Relation(other.clone()));
        }
        if other != name {
            referencing(candidate, name, other, found);
        }
    }
    for (statistics, entry) in &edit.statistics {
        if entry.table == *name {
            found.part(Object::Statistics(statistics.clone()));
        }
    }
    for (publication, entry) in &edit.publications {
        if entry.tables.contains(name) {
            found.part(Object::PublishedTable(publication.clone(), name.clone()));
        }
    }
    let whole = |references: &[ColumnReference]| references.iter().any(|reference| reference.relation == *name);
    for reader in readers(edit, name, whole) {
        if reader.whole() != Some(Object::Relation(name.clone())) && reader != Object::Relation(name.clone()) {
            found.normal(reader);
        }
    }
    if relation.kind.is_index() {
        foreign_keys_on(edit, name, found);
    } else if relation.sequence.is_none() {
        users_of_type(edit, name, found);
    }
}

/// Foreign keys and constraint triggers of another table.
fn referencing(candidate: &Relation, name: &Name, other: &Name, found: &mut Found) {
    for constraint in &candidate.constraints {
        if let ConstraintKind::ForeignKey { references, .. } = &constraint.kind
            && references == name
        {
            found.normal(Object::Constraint(other.clone(), constraint.name.clone()));
        }
    }
    for trigger in &candidate.triggers {
        if trigger.references.as_ref() == Some(name) {
            found.normal(Object::Trigger(other.clone(), trigger.name.clone()));
        }
    }
}

/// Foreign keys that use the index of a unique or primary key constraint.
fn constraint(edit: &Edit<'_>, table: &Name, name: &str, found: &mut Found) {
    let own = edit.relations.get(table).and_then(|relation| relation.constraint(name));
    let Some(own) = own.filter(|own| !matches!(own.kind, ConstraintKind::ForeignKey { .. })) else { return };
    let Some(index) = &own.index else { return };
    foreign_keys_on(edit, index, found);
    for (table, name) in super::super::constraint::drop::parts_of(edit, index) {
        found.part(Object::Constraint(table, name));
    }
}

/// Foreign keys whose referenced values the index keeps unique; it need not stand behind a constraint.
fn foreign_keys_on(edit: &Edit<'_>, index: &Name, found: &mut Found) {
    for (other, relation) in edit.relations.referring_to(index) {
        for constraint in &relation.constraints {
            let foreign = matches!(constraint.kind, ConstraintKind::ForeignKey { .. });
            if foreign && constraint.index.as_ref() == Some(index) {
                found.normal(Object::Constraint(other.clone(), constraint.name.clone()));
            }
        }
    }
}

/// Columns, domains, functions, views and casts of a type.
fn users_of_type(edit: &Edit<'_>, name: &Name, found: &mut Found) {
    for (other, relation) in edit.relations.referring_to(name) {
        for column in relation.columns.iter().filter(|column| column.data_type.name == *name && other != name) {
            let is_view = relation.view.is_some();
            found.normal(if is_view {
                Object::Relation(other.clone())
            } else {
                Object::Column(other.clone(), column.name.clone())
            });
        }
        if relation.view.as_ref().is_some_and(|view| view.types.contains(name)) {
            found.normal(Object::Relation(other.clone()));
        }
        if relation.of_type.as_ref() == Some(name) {
            found.normal(Object::Relation(other.clone()));
        }
    }
    for (other, user_type) in &edit.types {
        match &user_type.kind {
            TypeKind::Domain { base, .. } if base.name == *name => found.normal(Object::Type(other.clone())),
            TypeKind::Composite { attributes } => {
                for attribute in attributes.iter().filter(|attribute| attribute.data_type.name == *name) {
                    found.normal(Object::Column(other.clone(), attribute.name.clone()));
                }
            }
            TypeKind::Range { subtype } if *subtype == name.to_string() => found.normal(Object::Type(other.clone())),
            _ => {}
        }
    }
    for function in edit.functions.iter().filter(|function| function.types.contains(name)) {
        found.normal(Object::Function(function.name.clone(), function.arguments.clone()));
    }
    for cast in edit.casts.iter().filter(|cast| cast.source == *name || cast.target == *name) {
        found.normal(Object::Cast(cast.source.clone(), cast.target.clone()));
    }
}

fn data_type(edit: &Edit<'_>, name: &Name, found: &mut Found) {
    users_of_type(edit, name, found);
}

/// Whatever calls the function. References have its name alone, so overloads of which others remain keep nothing.
fn function(edit: &Edit<'_>, name: &Name, arguments: &str, found: &mut Found) {
    let overloads = edit.functions.iter().filter(|function| function.name == *name).count();
    let calls = |functions: &[Name]| overloads == 1 && functions.contains(name);
    for (other, relation) in edit.relations.referring_to(name) {
        let of = |object: fn(Name, String) -> Object, part: &str| object(other.clone(), part.to_owned());
        for trigger in &relation.triggers {
            let called = arguments.is_empty() && trigger.function == *name && !trigger.from_parent;
            if called || calls(&trigger.functions) {
                found.normal(of(Object::Trigger, &trigger.name));
            }
        }
        for rule in relation.rules.iter().filter(|rule| calls(&rule.functions)) {
            found.normal(of(Object::Rule, &rule.name));
        }
        for policy in relation.policies.iter().filter(|policy| calls(&policy.functions)) {
            found.normal(of(Object::Policy, &policy.name));
        }
        for constraint in relation.constraints.iter().filter(|constraint| calls(&constraint.functions)) {
            found.normal(of(Object::Constraint, &constraint.name));
        }
        for column in relation.columns.iter().filter(|column| calls(&column.functions)) {
            let generated = column.generated.is_some();
            found.normal(of(if generated { Object::Column } else { Object::Default }, &column.name));
        }
        let in_view = relation.view.as_ref().is_some_and(|view| calls(&view.functions));
        let in_index = relation.index.as_ref().is_some_and(|index| calls(&index.functions));
        let in_key = relation.partition_key.as_ref().is_some_and(|key| calls(&key.functions));
        if in_view || in_index || in_key {
            found.normal(Object::Relation(other.clone()));
        }
    }
    for (other, user_type) in &edit.types {
        if let TypeKind::Domain { constraints, .. } = &user_type.kind {
            for constraint in constraints.iter().filter(|constraint| calls(&constraint.functions)) {
                found.normal(Object::DomainConstraint(other.clone(), constraint.name.clone()));
            }
        }
    }
    for function in edit.functions.iter().filter(|function| calls(&function.functions) && function.name != *name) {
        found.normal(Object::Function(function.name.clone(), function.arguments.clone()));
    }
    for (event_trigger, entry) in &edit.event_triggers {
        if entry.function == *name && arguments.is_empty() {
            found.normal(Object::EventTrigger(event_trigger.clone()));
        }
    }
}

fn schema(edit: &Edit<'_>, schema: &str, found: &mut Found) {
    let inside = |name: &&Name| name.schema == schema;
    for (name, _) in edit.relations.in_schema(schema) {
        found.normal(Object::Relation(name.clone()));
    }
    for name in edit.types.keys().filter(inside) {
        found.normal(Object::Type(name.clone()));
    }
    for name in edit.statistics.keys().filter(inside) {
        found.normal(Object::Statistics(name.clone()));
    }
    for function in edit.functions.iter().filter(|function| function.name.schema == schema) {
        found.normal(Object::Function(function.name.clone(), function.arguments.clone()));
    }
    for (extension, _) in edit.extensions.iter().filter(|(_, own)| *own == schema) {
        found.normal(Object::Extension(extension.clone()));
    }
}

fn extension(edit: &Edit<'_>, extension: &str, found: &mut Found) {
    let of = |owner: &Option<String>| owner.as_deref() == Some(extension);
    for (name, _) in edit.relations.iter().filter(|(_, relation)| of(&relation.extension)) {
        found.part(Object::Relation(name.clone()));
    }
    for (name, _) in edit.types.iter().filter(|(_, user_type)| of(&user_type.extension)) {
        found.part(Object::Type(name.clone()));
    }
    for function in edit.functions.iter().filter(|function| of(&function.extension)) {
        found.part(Object::Function(function.name.clone(), function.arguments.clone()));
    }
}
