//! What depends on an object, and how strongly (`pg_depend`, read from the catalog's references).

use std::collections::BTreeSet;

use pg_query::NodeEnum;

use super::object::Object;
use crate::catalog::{Column, ConstraintKind, DataType, Function, Name, RelationKind, TypeKind};
use crate::plan::analyze::names::Qualified;
use crate::plan::analyze::resolve::{Rel, Resolver, reads};
use crate::plan::analyze::walk::{self, Parts};

/// How an object depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    /// Dropped along without being asked (`auto`, `internal`, `partition`).
    Silent,
    /// Dropped along only with CASCADE (`normal`).
    Cascade,
}

pub(super) type Dependents = Vec<(Object, Strength)>;

/// Everything that depends directly on `object`.
pub(super) fn dependents(object: &Object, resolver: &Resolver<'_>) -> Dependents {
    let mut found = Vec::new();
    match object {
        Object::Relation(name) => of_relation(name, resolver, &mut found),
        Object::Column(name, column) => of_column(name, column, resolver, &mut found),
        Object::Constraint(name, constraint) => of_constraint(name, constraint, resolver, &mut found),
        Object::Trigger(name, trigger) => of_trigger(name, trigger, resolver, &mut found),
        Object::Type(name) => of_type(name, resolver, &mut found),
        Object::Function(at) => of_function(*at, resolver, &mut found),
        Object::Schema(name) => of_schema(name, resolver, &mut found),
        Object::Extension(name) => of_extension(name, resolver, &mut found),
        Object::Server(server) => by_relation(resolver, &mut found, |rel| {
            rel.relation.foreign.as_ref().is_some_and(|foreign| foreign.server == *server)
        }),
        Object::AccessMethod(method) => by_relation(resolver, &mut found, |rel| {
            rel.relation.access_method == *method
                || rel.relation.index.as_ref().is_some_and(|index| index.method == *method)
        }),
        Object::OperatorClass(class) => by_relation(resolver, &mut found, |rel| {
            rel.relation
                .index
                .as_ref()
                .is_some_and(|index| index.keys.iter().any(|key| bare(&key.operator_class) == class))
        }),
        Object::Collation(collation) => of_collation(collation, resolver, &mut found),
        Object::Language(language) => {
            for (at, function) in resolver.catalog.functions.iter().enumerate() {
                if function.language == *language {
                    found.push((Object::Function(at), Strength::Cascade));
                }
            }
        }
        Object::Default(..)
        | Object::Rule(..)
        | Object::Policy(..)
        | Object::Statistics(_)
        | Object::DomainConstraint(..)
        | Object::EventTrigger(_) => {}
    }
    found
}

/// The name without its schema.
fn bare(qualified: &str) -> &str {
    qualified.rsplit('.').next().unwrap_or(qualified)
}

/// The schema in front of the name.
fn schema(qualified: &str) -> Option<&str> {
    qualified.rsplit_once('.').map(|(schema, _)| schema)
}

fn by_relation<'a>(resolver: &Resolver<'a>, found: &mut Dependents, matches: impl Fn(Rel<'a>) -> bool) {
    for (name, relation) in &resolver.catalog.relations {
        if matches(Rel { name, relation }) {
            found.push((Object::Relation(name.clone()), Strength::Cascade));
        }
    }
}

/// Parts of every relation that read the given one, or one of its columns.
fn readers(of: &Name, column: Option<&str>, resolver: &Resolver<'_>, found: &mut Dependents) {
    for view in resolver.views_on(of, column) {
        found.push((Object::Relation(view.name.clone()), Strength::Cascade));
    }
    for Rel { name, relation } in resolver.referring_to(of) {
        for rule in &relation.rules {
            if (name != of || column.is_some()) && reads(&rule.references, of, column) {
                found.push((Object::Rule(name.clone(), rule.name.clone()), Strength::Cascade));
            }
        }
        for policy in &relation.policies {
            if (name != of || column.is_some()) && reads(&policy.references, of, column) {
                found.push((Object::Policy(name.clone(), policy.name.clone()), Strength::Cascade));
            }
        }
        for owner in &relation.columns {
            if name != of && reads(&owner.references, of, column) {
                found.push((default_of(name, owner), Strength::Cascade));
            }
        }
    }
    for (at, function) in resolver.catalog.functions.iter().enumerate() {
        if reads(&function.references, of, column) {
            found.push((Object::Function(at), Strength::Cascade));
        }
    }
}

/// The default of a column; of a generated column, which cannot be without it, the column.
fn default_of(relation: &Name, column: &Column) -> Object {
    if column.generated.is_some() {
        Object::Column(relation.clone(), column.name.clone())
    } else {
        Object::Default(relation.clone(), column.name.clone())
    }
}

fn of_relation(name: &Name, resolver: &Resolver<'_>, found: &mut Dependents) {
    let Some(rel) = resolver.get(name) else { return };
    for index in &resolver.indexes(name) {
        found.push((Object::Relation(index.name.clone()), Strength::Silent));
    }
    for sequence in resolver.owned_sequences(rel, None) {
        found.push((Object::Relation(sequence.name.clone()), Strength::Silent));
    }
    let statistics = resolver.catalog.statistics.iter().filter(|(_, statistics)| statistics.table == *name);
    found.extend(statistics.map(|(name, _)| (Object::Statistics(name.clone()), Strength::Silent)));
    for constraint in &rel.relation.constraints {
        found.push((Object::Constraint(name.clone(), constraint.name.clone()), Strength::Silent));
    }
    for trigger in &rel.relation.triggers {
        found.push((Object::Trigger(name.clone(), trigger.name.clone()), Strength::Silent));
    }
    // A partition goes with its parent; a child by inheritance only with CASCADE.
    let strength =
        if rel.relation.kind == RelationKind::PartitionedTable { Strength::Silent } else { Strength::Cascade };
    for child in &resolver.children(name) {
        found.push((Object::Relation(child.name.clone()), strength));
    }
    // A foreign key to a partitioned table holds on to its partitions.
    let above = resolver.ancestors(rel);
    let guarded = above.iter().filter(|above| above.relation.kind == RelationKind::PartitionedTable);
    for foreign_key in guarded.flat_map(|above| resolver.referencing(above.name)).chain(resolver.referencing(name)) {
        let table = foreign_key.table.name.clone();
        found.push((Object::Constraint(table, foreign_key.constraint.name.clone()), Strength::Cascade));
    }
    for Rel { name: table, relation } in resolver.referring_to(name) {
        for trigger in relation.triggers.iter().filter(|trigger| trigger.references.as_ref() == Some(name)) {
            found.push((Object::Trigger(table.clone(), trigger.name.clone()), Strength::Silent));
        }
        // An index of a partition belongs to the index of the parent.
        if relation.index.as_ref().is_some_and(|index| index.parent.as_ref() == Some(name)) {
            found.push((Object::Relation(table.clone()), Strength::Silent));
        }
    }
    if rel.relation.index.is_some() {
        for Rel { name: table, relation } in resolver.referring_to(name) {
            for constraint in &relation.constraints {
                let foreign_key = matches!(constraint.kind, ConstraintKind::ForeignKey { .. });
                if foreign_key && constraint.index.as_ref() == Some(name) {
                    found.push((Object::Constraint(table.clone(), constraint.name.clone()), Strength::Cascade));
                }
            }
        }
    }
    readers(name, None, resolver, found);
    users_of_type(name, resolver, found);
}

fn of_column(table: &Name, column: &str, resolver: &Resolver<'_>, found: &mut Dependents) {
    let Some(rel) = resolver.get(table) else { return };
    let relation = rel.relation;
    if relation.partition_key.as_ref().is_some_and(|key| key.columns.iter().any(|key| key == column)) {
        found.push((Object::Relation(table.clone()), Strength::Silent));
        return;
    }
    for index in &resolver.indexes(table) {
        let Some(facts) = &index.relation.index else { continue };
        let uses = facts.keys.iter().any(|key| key.column.as_deref() == Some(column))
            || facts.include.iter().chain(&facts.expression_columns).any(|used| used == column);
        if uses {
            found.push((Object::Relation(index.name.clone()), Strength::Silent));
        }
    }
    for constraint in relation.constraints.iter().filter(|c| c.columns.iter().any(|used| used == column)) {
        found.push((Object::Constraint(table.clone(), constraint.name.clone()), Strength::Silent));
    }
    for sequence in resolver.owned_sequences(rel, Some(column)) {
        found.push((Object::Relation(sequence.name.clone()), Strength::Silent));
    }
    for (name, statistics) in &resolver.catalog.statistics {
        if statistics.table == *table && statistics.columns.iter().any(|used| used == column) {
            found.push((Object::Statistics(name.clone()), Strength::Silent));
        }
    }
    for trigger in relation.triggers.iter().filter(|t| t.columns.iter().any(|used| used == column)) {
        found.push((Object::Trigger(table.clone(), trigger.name.clone()), Strength::Cascade));
    }
    for other in &relation.columns {
        if other.generated.is_some() && reads(&other.references, table, Some(column)) {
            found.push((Object::Column(table.clone(), other.name.clone()), Strength::Cascade));
        }
    }
    for foreign_key in &resolver.referencing(table) {
        if let ConstraintKind::ForeignKey { referenced_columns, .. } = &foreign_key.constraint.kind
            && referenced_columns.iter().any(|referenced| referenced == column)
        {
            let owner = foreign_key.table.name.clone();
            found.push((Object::Constraint(owner, foreign_key.constraint.name.clone()), Strength::Cascade));
        }
    }
    readers(table, Some(column), resolver, found);
}

fn of_constraint(table: &Name, name: &str, resolver: &Resolver<'_>, found: &mut Dependents) {
    let Some(rel) = resolver.get(table) else { return };
    let Some(constraint) = rel.relation.constraint(name) else { return };
    if matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion)
        && let Some(index) = &constraint.index
    {
        found.push((Object::Relation(index.clone()), Strength::Silent));
    }
    if let ConstraintKind::ForeignKey { .. } = constraint.kind {
        // The constraints of partitions go with their parent's.
        for child in &resolver.children(table) {
            let copies = child.relation.constraints.iter().filter(|copy| {
                matches!(&copy.kind, ConstraintKind::ForeignKey { from_parent: true, .. })
                    && copy.columns == constraint.columns
            });
            found.extend(copies.map(|c| (Object::Constraint(child.name.clone(), c.name.clone()), Strength::Silent)));
        }
    }
}

fn of_trigger(table: &Name, name: &str, resolver: &Resolver<'_>, found: &mut Dependents) {
    for child in &resolver.children(table) {
        if child.relation.triggers.iter().any(|trigger| trigger.from_parent && trigger.name == name) {
            found.push((Object::Trigger(child.name.clone(), name.to_owned()), Strength::Silent));
        }
    }
}

/// Columns, functions and tables of a type, be it a user-defined one or the row type of a relation.
fn users_of_type(name: &Name, resolver: &Resolver<'_>, found: &mut Dependents) {
    let is = |data_type: &DataType| data_type.name == *name;
    for Rel { name: relation_name, relation } in resolver.referring_to(name) {
        if relation_name == name {
            continue;
        }
        if relation.of_type.as_ref() == Some(name) {
            found.push((Object::Relation(relation_name.clone()), Strength::Cascade));
        }
        let view = matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView);
        for column in relation.columns.iter().filter(|column| is(&column.data_type)) {
            if view {
                found.push((Object::Relation(relation_name.clone()), Strength::Cascade));
            } else {
                found.push((Object::Column(relation_name.clone(), column.name.clone()), Strength::Cascade));
            }
        }
        if relation.view.as_ref().is_some_and(|view| view.types.contains(name)) {
            found.push((Object::Relation(relation_name.clone()), Strength::Cascade));
        }
    }
    for (at, function) in resolver.catalog.functions.iter().enumerate() {
        if function.types.contains(name) {
            found.push((Object::Function(at), Strength::Cascade));
        }
    }
}

fn of_type(name: &Name, resolver: &Resolver<'_>, found: &mut Dependents) {
    users_of_type(name, resolver, found);
    for (other, candidate) in &resolver.catalog.types {
        let built_on = match &candidate.kind {
            TypeKind::Domain { base, .. } => base.name == *name,
            TypeKind::Range { subtype } => *subtype == name.name || *subtype == name.to_string(),
            _ => false,
        };
        if built_on {
            found.push((Object::Type(other.clone()), Strength::Cascade));
        }
    }
    // Expressions that cast to the type.
    for (relation_name, relation) in &resolver.catalog.relations {
        for column in &relation.columns {
            if column.data_type.name != *name && column.default.as_deref().is_some_and(|text| casts_to(text, name)) {
                found.push((default_of(relation_name, column), Strength::Cascade));
            }
        }
        for constraint in &relation.constraints {
            if let ConstraintKind::Check { expression } = &constraint.kind
                && casts_to(expression, name)
            {
                found.push((Object::Constraint(relation_name.clone(), constraint.name.clone()), Strength::Cascade));
            }
        }
        for policy in &relation.policies {
            let texts = [policy.using.as_deref(), policy.with_check.as_deref()];
            if texts.into_iter().flatten().any(|text| casts_to(text, name)) {
                found.push((Object::Policy(relation_name.clone(), policy.name.clone()), Strength::Cascade));
            }
        }
        if let Some(index) = &relation.index {
            let expressions = index.keys.iter().filter_map(|key| key.expression.as_deref());
            if expressions.chain(index.predicate.as_deref()).any(|text| casts_to(text, name)) {
                found.push((Object::Relation(relation_name.clone()), Strength::Cascade));
            }
        }
    }
}

/// Whether an expression, as the server prints it, casts to the type.
fn casts_to(expression: &str, name: &Name) -> bool {
    // Most expressions do not even contain the name.
    if !expression.contains(name.name.as_str()) {
        return false;
    }
    let Ok(parsed) = crate::sql::parse(&format!("SELECT {expression}")) else { return false };
    let Some(NodeEnum::SelectStmt(select)) = parsed.first().map(|statement| &statement.node) else { return false };
    select.target_list.iter().filter_map(|node| node.node.as_ref()).any(|node| cast_below(node, name))
}

fn cast_below(node: &NodeEnum, name: &Name) -> bool {
    if let NodeEnum::TypeCast(cast) = node
        && let Some(target) = cast.type_name.as_ref().and_then(Qualified::from_type)
        && target.name == name.name
        && (target.schema.is_empty() || target.schema == name.schema)
    {
        return true;
    }
    match walk::parts(node) {
        Parts::Expressions(parts) => parts.into_iter().any(|part| cast_below(part, name)),
        Parts::Unknown => false,
    }
}

/// Whether extended statistics call the function.
fn calls(definition: &str, function: &Function, resolver: &Resolver<'_>) -> bool {
    // Most of them do not even contain the name.
    if !definition.contains(function.name.name.as_str()) {
        return false;
    }
    let Ok(parsed) = crate::sql::parse(definition) else { return false };
    let Some(NodeEnum::CreateStatsStmt(statistics)) = parsed.first().map(|statement| &statement.node) else {
        return false;
    };
    let expressions = statistics.exprs.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::StatsElem(element) => element.expr.as_deref()?.node.as_ref(),
        _ => None,
    });
    expressions.into_iter().any(|expression| call_below(expression, function, resolver))
}

fn call_below(node: &NodeEnum, function: &Function, resolver: &Resolver<'_>) -> bool {
    if let NodeEnum::FuncCall(call) = node
        && let Some(name) = Qualified::from_nodes(&call.funcname)
        && resolver.functions_named(name).into_iter().any(|named| std::ptr::eq(named, function))
    {
        return true;
    }
    match walk::parts(node) {
        Parts::Expressions(parts) => parts.into_iter().any(|part| call_below(part, function, resolver)),
        Parts::Unknown => false,
    }
}

fn of_function(at: usize, resolver: &Resolver<'_>, found: &mut Dependents) {
    let Some(function) = resolver.catalog.functions.get(at) else { return };
    let name = &function.name;
    for Rel { name: relation_name, relation } in resolver.referring_to(name) {
        let part = |object: fn(Name, String) -> Object, part: &str| object(relation_name.clone(), part.to_owned());
        for trigger in &relation.triggers {
            if !trigger.from_parent && (trigger.function == *name || trigger.functions.contains(name)) {
                found.push((part(Object::Trigger, &trigger.name), Strength::Cascade));
            }
        }
        for rule in relation.rules.iter().filter(|rule| rule.functions.contains(name)) {
            found.push((part(Object::Rule, &rule.name), Strength::Cascade));
        }
        for policy in relation.policies.iter().filter(|policy| policy.functions.contains(name)) {
            found.push((part(Object::Policy, &policy.name), Strength::Cascade));
        }
        for constraint in relation.constraints.iter().filter(|constraint| constraint.functions.contains(name)) {
            found.push((part(Object::Constraint, &constraint.name), Strength::Cascade));
        }
        for column in relation.columns.iter().filter(|column| column.functions.contains(name)) {
            found.push((default_of(relation_name, column), Strength::Cascade));
        }
        let whole = relation.index.as_ref().is_some_and(|index| index.functions.contains(name))
            || relation.view.as_ref().is_some_and(|view| view.functions.contains(name))
            || relation.partition_key.as_ref().is_some_and(|key| key.functions.contains(name));
        if whole {
            found.push((Object::Relation(relation_name.clone()), Strength::Cascade));
        }
    }
    for (other, candidate) in resolver.catalog.functions.iter().enumerate() {
        if other != at && candidate.functions.contains(name) {
            found.push((Object::Function(other), Strength::Cascade));
        }
    }
    for (other, statistics) in &resolver.catalog.statistics {
        if calls(&statistics.definition, function, resolver) {
            found.push((Object::Statistics(other.clone()), Strength::Cascade));
        }
    }
    for (trigger, facts) in &resolver.catalog.event_triggers {
        if facts.function == *name {
            found.push((Object::EventTrigger(trigger.clone()), Strength::Cascade));
        }
    }
    for (domain, facts) in &resolver.catalog.types {
        if let TypeKind::Domain { constraints, .. } = &facts.kind {
            let calling = constraints.iter().filter(|constraint| constraint.functions.contains(name));
            found
                .extend(calling.map(|c| (Object::DomainConstraint(domain.clone(), c.name.clone()), Strength::Cascade)));
        }
    }
}

fn of_schema(schema: &str, resolver: &Resolver<'_>, found: &mut Dependents) {
    let catalog = resolver.catalog;
    let relations = catalog.relations.in_schema(schema);
    found.extend(relations.map(|(name, _)| (Object::Relation(name.clone()), Strength::Cascade)));
    let types = catalog.types.keys().filter(|name| name.schema == schema);
    found.extend(types.map(|name| (Object::Type(name.clone()), Strength::Cascade)));
    let statistics = catalog.statistics.keys().filter(|name| name.schema == schema);
    found.extend(statistics.map(|name| (Object::Statistics(name.clone()), Strength::Cascade)));
    let functions = catalog.functions.iter().enumerate().filter(|(_, function)| function.name.schema == schema);
    found.extend(functions.map(|(at, _)| (Object::Function(at), Strength::Cascade)));
    let extensions = catalog.extensions.iter().filter(|(_, home)| *home == schema);
    found.extend(extensions.map(|(name, _)| (Object::Extension(name.clone()), Strength::Cascade)));
}

fn of_extension(extension: &str, resolver: &Resolver<'_>, found: &mut Dependents) {
    let catalog = resolver.catalog;
    let member = |owner: &Option<String>| owner.as_deref() == Some(extension);
    let relations = catalog.relations.iter().filter(|(_, relation)| member(&relation.extension));
    found.extend(relations.map(|(name, _)| (Object::Relation(name.clone()), Strength::Silent)));
    let types = catalog.types.iter().filter(|(_, facts)| member(&facts.extension));
    found.extend(types.map(|(name, _)| (Object::Type(name.clone()), Strength::Silent)));
    let functions = catalog.functions.iter().enumerate().filter(|(_, function)| member(&function.extension));
    found.extend(functions.map(|(at, _)| (Object::Function(at), Strength::Silent)));
    // Wrappers are not in the catalog: an extension that is named like one may own any of the servers.
    if extension.contains("fdw") || extension == "dblink" {
        let servers: BTreeSet<&String> =
            catalog.relations.values().filter_map(|relation| Some(&relation.foreign.as_ref()?.server)).collect();
        found.extend(servers.into_iter().map(|server| (Object::Server(server.clone()), Strength::Cascade)));
    }
    // Operator classes are not in the catalog: those in the extension's schema may be its own.
    if let Some(home) = catalog.extensions.get(extension) {
        by_relation(resolver, found, |rel| {
            let Some(index) = &rel.relation.index else { return false };
            index.keys.iter().any(|key| schema(&key.operator_class) == Some(home.as_str()))
        });
    }
    // An extension of a language is named like it.
    found.push((Object::Language(extension.to_owned()), Strength::Silent));
}

fn of_collation(collation: &Name, resolver: &Resolver<'_>, found: &mut Dependents) {
    let shown = collation.to_string();
    for (name, relation) in &resolver.catalog.relations {
        for column in relation.columns.iter().filter(|column| column.collation.as_deref() == Some(shown.as_str())) {
            found.push((Object::Column(name.clone(), column.name.clone()), Strength::Cascade));
        }
        if relation.index.as_ref().is_some_and(|index| index.keys.iter().any(|key| key.collation == shown)) {
            found.push((Object::Relation(name.clone()), Strength::Cascade));
        }
    }
    for (name, facts) in &resolver.catalog.types {
        if let TypeKind::Domain { collation: Some(of_domain), .. } = &facts.kind
            && *of_domain == shown
        {
            found.push((Object::Type(name.clone()), Strength::Cascade));
        }
    }
}
