//! DROP, with everything that depends on what is dropped.

mod closure;
mod dependents;
mod object;
mod owned;

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, DropStmt, ObjectType};

pub(super) use owned::{drop_owned, reassign_owned};

use self::closure::closure;
use self::object::Object;
use super::comments::has_part;
use super::lookup::TypeLookup;
use super::names::{Qualified, on_table, strings};
use super::objects::{self, Existence};
use super::refusal::{missing_object, missing_relation, missing_schema, wrong_kind};
use super::resolve::{Lookup, Rel};
use super::{Impact, Resolver, TransactionRule};
use crate::catalog::types::resolve_type;
use crate::catalog::{ConstraintKind, Name, RelationKind, TypeKind, builtin};
use crate::plan::lock::LockMode;

/// AccessExclusive on everything that is dropped, on the tables that lose a part, and on what their foreign keys
/// reference; ShareUpdateExclusive on the table of extended statistics.
pub(super) fn drop(statement: &DropStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let kind = ObjectType::try_from(statement.remove_type).unwrap_or_default();
    let cascade = statement.behavior == DropBehavior::DropCascade as i32;
    if statement.concurrent {
        impact.transaction = TransactionRule::Forbidden;
        concurrent_form(&mut impact, statement, cascade);
    }
    let mut named = Vec::new();
    for object in statement.objects.iter().filter_map(|node| node.node.as_ref()) {
        match target(&mut impact, statement, resolver, kind, object) {
            Found::Objects(objects) => named.extend(objects),
            Found::Nothing => {}
            Found::Unknown if cascade => {
                return Impact::unanalyzable("what depends on an object of this kind is not in the catalog");
            }
            Found::Unknown => {}
        }
    }
    for object in &named {
        refuse_required(&mut impact, resolver, object);
    }
    if statement.concurrent {
        concurrent(&mut impact, resolver, &named);
        return impact;
    }
    for object in &named {
        below_partitioned_index(&mut impact, resolver, object);
    }
    let dropped = closure(named, resolver);
    if !cascade {
        dropped.refuse_without_cascade(&mut impact, resolver);
    }
    dropped.apply(&mut impact, resolver);
    impact
}

/// DROP INDEX of a partitioned index locks every partition of its table, with an index there or without.
fn below_partitioned_index(impact: &mut Impact, resolver: &Resolver<'_>, object: &Object) {
    let Object::Relation(name) = object else { return };
    let Some(index) = resolver.get(name).and_then(|found| found.relation.index.as_ref()) else { return };
    if let Some(table) = resolver.get(&index.table) {
        for below in resolver.descendants(table) {
            if table.relation.kind == RelationKind::PartitionedTable {
                impact.lock(below.name.clone(), LockMode::AccessExclusive);
            }
        }
    }
}

/// What a name of the statement stands for.
enum Found {
    Objects(Vec<Object>),
    /// Missing (refused, or excused by IF EXISTS), or the system's own.
    Nothing,
    /// Of a kind that the catalog does not hold.
    Unknown,
}

fn one(object: Object) -> Found {
    Found::Objects(vec![object])
}

fn target(
    impact: &mut Impact,
    statement: &DropStmt,
    resolver: &Resolver<'_>,
    kind: ObjectType,
    object: &NodeEnum,
) -> Found {
    match kind {
        ObjectType::ObjectTable
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectForeignTable
        | ObjectType::ObjectSequence
        | ObjectType::ObjectIndex => relation(impact, statement, resolver, kind, object),
        ObjectType::ObjectTrigger | ObjectType::ObjectRule | ObjectType::ObjectPolicy => {
            part(impact, statement, resolver, kind, object)
        }
        ObjectType::ObjectType | ObjectType::ObjectDomain => user_type(impact, statement, resolver, kind, object),
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => function(impact, statement, resolver, kind, object),
        ObjectType::ObjectCast => cast(impact, statement, resolver, object),
        _ => other(impact, statement, resolver, kind, object),
    }
}

fn relation(
    impact: &mut Impact,
    statement: &DropStmt,
    resolver: &Resolver<'_>,
    kind: ObjectType,
    object: &NodeEnum,
) -> Found {
    let Some(name) = Qualified::from_object(object) else { return Found::Nothing };
    match resolver.lookup_name(name.schema, name.name) {
        Lookup::Found(found) if objects::relation_matches(kind, found.relation.kind) => {
            one(Object::Relation(found.name.clone()))
        }
        Lookup::Found(found) => {
            wrong_kind(impact, &found.name.name, objects::relation_phrase(kind));
            Found::Nothing
        }
        Lookup::System => {
            if name.schema != "information_schema" {
                let message = format!("permission denied: \"{}\" is a system catalog", name.name);
                impact.refuse("42501", message, "Leave the server's own tables as they are.");
            }
            Found::Nothing
        }
        Lookup::Missing => {
            if resolver.composite(name).is_some() {
                wrong_kind(impact, name.name, objects::relation_phrase(kind));
            }
            if !statement.missing_ok {
                missing_of_kind(impact, resolver, kind, name);
            }
            Found::Nothing
        }
    }
}

/// The server's codes differ by kind (`dropmsgstringarray` in tablecmds.c).
fn missing_of_kind(impact: &mut Impact, resolver: &Resolver<'_>, kind: ObjectType, name: Qualified<'_>) {
    if !name.schema.is_empty() && !resolver.catalog.schemas.contains_key(name.schema) {
        return missing_schema(impact, name.schema);
    }
    let word = objects::word(kind);
    match kind {
        ObjectType::ObjectIndex | ObjectType::ObjectForeignTable => missing_object(impact, word, &name.shown()),
        _ => impact.refuse(
            "42P01",
            format!("{word} \"{}\" does not exist", name.shown()),
            format!("Check the name of the {word}, or use DROP ... IF EXISTS."),
        ),
    }
}

fn part(
    impact: &mut Impact,
    statement: &DropStmt,
    resolver: &Resolver<'_>,
    kind: ObjectType,
    object: &NodeEnum,
) -> Found {
    let Some((name, thing)) = on_table(object) else { return Found::Nothing };
    let table = match resolver.lookup_name(name.schema, name.name) {
        Lookup::Found(found) => found,
        Lookup::System => return Found::Nothing,
        Lookup::Missing => {
            if !statement.missing_ok {
                missing_relation(impact, name);
            }
            return Found::Nothing;
        }
    };
    if !has_part(table, kind, thing) {
        if !statement.missing_ok {
            objects::refuse_missing_part(impact, kind, thing, table);
        }
        return Found::Nothing;
    }
    let (relation, thing) = (table.name.clone(), thing.to_owned());
    one(match kind {
        ObjectType::ObjectTrigger => Object::Trigger(relation, thing),
        ObjectType::ObjectRule => Object::Rule(relation, thing),
        _ => Object::Policy(relation, thing),
    })
}

fn user_type(
    impact: &mut Impact,
    statement: &DropStmt,
    resolver: &Resolver<'_>,
    kind: ObjectType,
    object: &NodeEnum,
) -> Found {
    let Some(name) = Qualified::from_object(object) else { return Found::Nothing };
    match resolver.type_lookup(name) {
        TypeLookup::User(found, facts) => {
            if kind == ObjectType::ObjectDomain && !matches!(facts.kind, TypeKind::Domain { .. }) {
                wrong_kind(impact, &found.name, "a domain");
            }
            one(Object::Type(found.clone()))
        }
        TypeLookup::Row(found) => {
            impact.refuse(
                "2BP01",
                format!("cannot drop type {} because table {} requires it", found.name, found.name),
                "Drop the table instead.",
            );
            Found::Nothing
        }
        TypeLookup::System => {
            let message = format!("cannot drop type {} because it is required by the database system", name.shown());
            impact.refuse("2BP01", message, "Leave the server's own types as they are.");
            Found::Nothing
        }
        TypeLookup::Missing => {
            if !statement.missing_ok {
                missing_object(impact, "type", &name.shown());
            }
            Found::Nothing
        }
    }
}

fn function(
    impact: &mut Impact,
    statement: &DropStmt,
    resolver: &Resolver<'_>,
    kind: ObjectType,
    object: &NodeEnum,
) -> Found {
    let NodeEnum::ObjectWithArgs(named) = object else { return Found::Nothing };
    let found = objects::functions(resolver, kind, named);
    let all = &resolver.catalog.functions;
    let positions: Vec<usize> =
        found.iter().filter_map(|function| all.iter().position(|other| std::ptr::eq(other, *function))).collect();
    if positions.is_empty() && !statement.missing_ok {
        objects::refuse_missing(impact, resolver, kind, object);
    }
    if positions.len() > 1 && named.args_unspecified {
        let name = Qualified::from_nodes(&named.objname).map(|name| name.shown()).unwrap_or_default();
        impact.refuse(
            "42725",
            format!("{} name \"{name}\" is not unique", objects::word(kind)),
            "Give the argument types to name one of them.",
        );
    }
    Found::Objects(positions.into_iter().map(Object::Function).collect())
}

/// Nothing on a table depends on a cast.
fn cast(impact: &mut Impact, statement: &DropStmt, resolver: &Resolver<'_>, object: &NodeEnum) -> Found {
    let NodeEnum::List(pair) = object else { return Found::Nothing };
    let types = pair.items.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::TypeName(name)) => resolve_type(name, resolver.catalog),
        _ => None,
    });
    let types: Vec<_> = types.collect();
    let [source, target] = types.as_slice() else { return Found::Nothing };
    let own = resolver.catalog.casts.iter().any(|cast| cast.source == source.name && cast.target == target.name);
    if own || source.array || target.array {
        return Found::Nothing;
    }
    let built_in = [source, target].iter().all(|data_type| data_type.name.schema == "pg_catalog");
    if built_in && builtin::cast(&source.name.name, &target.name.name, resolver.major()).is_some() {
        let message = format!(
            "cannot drop cast from {} to {} because it is required by the database system",
            source.sql, target.sql
        );
        impact.refuse("2BP01", message, "Leave the server's own casts as they are.");
    } else if !statement.missing_ok {
        let message = format!("cast from type {} to type {} does not exist", source.sql, target.sql);
        impact.refuse("42704", message, "Check the two types, or use DROP CAST IF EXISTS.");
    }
    Found::Nothing
}

fn other(
    impact: &mut Impact,
    statement: &DropStmt,
    resolver: &Resolver<'_>,
    kind: ObjectType,
    object: &NodeEnum,
) -> Found {
    let Some(name) = Qualified::from_object(object) else { return Found::Unknown };
    if objects::exists(resolver, kind, object) == Existence::Missing {
        if !statement.missing_ok {
            objects::refuse_missing(impact, resolver, kind, object);
        }
        return Found::Nothing;
    }
    match kind {
        ObjectType::ObjectSchema => one(Object::Schema(name.name.to_owned())),
        ObjectType::ObjectExtension => one(Object::Extension(name.name.to_owned())),
        ObjectType::ObjectEventTrigger => one(Object::EventTrigger(name.name.to_owned())),
        ObjectType::ObjectForeignServer => one(Object::Server(name.name.to_owned())),
        ObjectType::ObjectAccessMethod => one(Object::AccessMethod(name.name.to_owned())),
        ObjectType::ObjectLanguage => one(Object::Language(name.name.to_owned())),
        ObjectType::ObjectCollation => one(Object::Collation(resolver.creation_name(name.schema, name.name))),
        ObjectType::ObjectFdw if statement.behavior == DropBehavior::DropCascade as i32 => {
            Found::Objects(servers(resolver))
        }
        ObjectType::ObjectOpclass => {
            // The first part is the access method.
            let NodeEnum::List(list) = object else { return Found::Unknown };
            let class = strings(&list.items).last().map(|class| (*class).to_owned());
            class.map_or(Found::Unknown, |class| one(Object::OperatorClass(class)))
        }
        ObjectType::ObjectStatisticExt => {
            let found = resolver.catalog.statistics.keys().find(|known| {
                known.name == name.name
                    && (known.schema == name.schema
                        || name.schema.is_empty() && resolver.catalog.server.search_path.contains(&known.schema))
            });
            found.map_or(Found::Nothing, |found| one(Object::Statistics(found.clone())))
        }
        ObjectType::ObjectPublication | ObjectType::ObjectRole | ObjectType::ObjectTablespace => Found::Nothing,
        // Nothing on a table can depend on these, or they have no dependents of their own.
        ObjectType::ObjectTsparser
        | ObjectType::ObjectTstemplate
        | ObjectType::ObjectTsdictionary
        | ObjectType::ObjectUserMapping
        | ObjectType::ObjectConversion
        | ObjectType::ObjectTransform => Found::Nothing,
        _ => Found::Unknown,
    }
}

/// Which server belongs to which wrapper is not in the catalog: all may.
fn servers(resolver: &Resolver<'_>) -> Vec<Object> {
    let foreign = resolver.catalog.relations.values().filter_map(|relation| relation.foreign.as_ref());
    let mut servers: Vec<Object> = foreign.map(|foreign| Object::Server(foreign.server.clone())).collect();
    servers.dedup();
    servers
}

/// 2BP01 for what is a part of another object and only goes with that.
fn refuse_required(impact: &mut Impact, resolver: &Resolver<'_>, object: &Object) {
    let required_by = match object {
        Object::Relation(name) => resolver.get(name).and_then(|found| owner_of_relation(resolver, found)),
        Object::Trigger(name, trigger) => resolver.get(name).and_then(|found| {
            let cloned = found.relation.triggers.iter().any(|known| known.name == *trigger && known.from_parent);
            let parent = found.relation.parents.first()?;
            cloned.then(|| format!("trigger {trigger} on table {parent}"))
        }),
        Object::Rule(name, rule) if rule == "_RETURN" => Some(format!("view {name}")),
        Object::Function(at) => {
            let owner = resolver.catalog.functions.get(*at).and_then(|function| function.extension.as_ref());
            owner.map(|extension| format!("extension {extension}"))
        }
        Object::Type(name) => {
            let owner = resolver.catalog.types.get(name).and_then(|found| found.extension.as_ref());
            owner.map(|extension| format!("extension {extension}"))
        }
        Object::Language(language) if resolver.catalog.extensions.contains_key(language) => {
            Some(format!("extension {language}"))
        }
        Object::AccessMethod(method)
            if matches!(method.as_str(), "heap" | "btree" | "hash" | "gist" | "gin" | "spgist" | "brin") =>
        {
            Some("the database system".to_owned())
        }
        _ => None,
    };
    if let Some(owner) = required_by {
        let shown = object.describe(resolver.catalog);
        impact.refuse(
            "2BP01",
            format!("cannot drop {shown} because {owner} requires it"),
            format!("Drop or change {owner} instead."),
        );
    }
}

fn owner_of_relation<'a>(resolver: &Resolver<'a>, found: Rel<'a>) -> Option<String> {
    if let Some(extension) = &found.relation.extension {
        return Some(format!("extension {extension}"));
    }
    if let Some(index) = &found.relation.index {
        if let Some(constraint) = &index.constraint {
            return Some(format!("constraint {constraint} on table {}", index.table));
        }
        return index.parent.as_ref().map(|parent| format!("index {parent}"));
    }
    let sequence = found.relation.sequence.as_ref()?;
    let owner = sequence.owned_by.as_ref().filter(|_| sequence.identity)?;
    let column = owner.column.as_deref().unwrap_or_default();
    let _ = resolver;
    Some(format!("column {column} of table {}", owner.relation))
}

fn concurrent_form(impact: &mut Impact, statement: &DropStmt, cascade: bool) {
    if statement.objects.len() > 1 {
        impact.refuse(
            "0A000",
            "DROP INDEX CONCURRENTLY does not support dropping multiple objects",
            "Drop the indexes one by one.",
        );
    } else if cascade {
        impact.refuse("0A000", "DROP INDEX CONCURRENTLY does not support CASCADE", "Leave CASCADE out.");
    }
}

/// ShareUpdateExclusive on the table until nobody uses the index any more, then AccessExclusive on the index.
fn concurrent(impact: &mut Impact, resolver: &Resolver<'_>, named: &[Object]) {
    for object in named {
        let Object::Relation(name) = object else { continue };
        let Some(found) = resolver.get(name) else { continue };
        let Some(index) = &found.relation.index else { continue };
        if found.relation.kind == RelationKind::PartitionedIndex {
            impact.refuse(
                "0A000",
                format!("cannot drop partitioned index \"{}\" concurrently", name.name),
                "Detach is not possible either: drop it without CONCURRENTLY, in a quiet moment.",
            );
        }
        impact.lock(index.table.clone(), LockMode::ShareUpdateExclusive);
        impact.lock(name.clone(), LockMode::AccessExclusive);
        impact.waits_for_transactions.insert(index.table.clone().into());
        let foreign_keys: Vec<String> = referencing_index(resolver, name);
        if !foreign_keys.is_empty() {
            super::refusal::dependents(impact, &object.describe(resolver.catalog), &foreign_keys);
        }
    }
}

/// Foreign keys that rest on the index.
fn referencing_index(resolver: &Resolver<'_>, index: &Name) -> Vec<String> {
    resolver
        .referring_to(index)
        .flat_map(|Rel { name: table, relation }| {
            relation.constraints.iter().filter_map(move |constraint| {
                let foreign_key = matches!(constraint.kind, ConstraintKind::ForeignKey { .. });
                (foreign_key && constraint.index.as_ref() == Some(index))
                    .then(|| format!("constraint {} on table {table}", constraint.name))
            })
        })
        .collect()
}
