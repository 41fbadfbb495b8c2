//! Objects that a generic statement (DROP, COMMENT, RENAME, OWNER, SET SCHEMA) can name: whether they exist,
//! and what the server says when they do not.

use pg_query::NodeEnum;
use pg_query::protobuf::{ObjectType, ObjectWithArgs, TypeName};

use super::Impact;
use super::lookup::TypeLookup;
use super::names::{Qualified, argument_types, string};
use super::refusal;
use super::resolve::{Rel, Resolver};
use crate::catalog::{Column, DomainConstraint, Function, Name, RelationKind, TypeKind, builtin};

/// Whether the catalog has an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existence {
    /// It is there.
    Present,
    /// It is not.
    Missing,
    /// The catalog does not hold objects of the kind.
    Unknown,
}

impl From<bool> for Existence {
    fn from(present: bool) -> Self {
        if present { Self::Present } else { Self::Missing }
    }
}

/// Whether the object of a kind that is not a relation exists.
pub(super) fn exists(resolver: &Resolver<'_>, kind: ObjectType, object: &NodeEnum) -> Existence {
    let catalog = resolver.catalog;
    let Some(name) = Qualified::from_object(object) else { return Existence::Unknown };
    match kind {
        ObjectType::ObjectSchema => {
            let system = name.name.starts_with("pg_") || name.name == "information_schema";
            (system || catalog.schemas.contains_key(name.name)).into()
        }
        ObjectType::ObjectType | ObjectType::ObjectDomain => {
            (!matches!(resolver.type_lookup(name), TypeLookup::Missing)).into()
        }
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => {
            let NodeEnum::ObjectWithArgs(object) = object else { return Existence::Unknown };
            let built_in = builtin::function(name.name, resolver.major()).is_some();
            if built_in || !functions(resolver, kind, object).is_empty() {
                Existence::Present
            } else {
                Existence::Missing
            }
        }
        ObjectType::ObjectExtension => catalog.extensions.contains_key(name.name).into(),
        ObjectType::ObjectPublication => catalog.publications.contains_key(name.name).into(),
        ObjectType::ObjectSubscription => catalog.subscriptions.iter().any(|known| known == name.name).into(),
        ObjectType::ObjectEventTrigger => event_trigger(resolver, name.name),
        ObjectType::ObjectStatisticExt => resolver.statistics(name).is_some().into(),
        ObjectType::ObjectRole if !catalog.roles.is_empty() => {
            catalog.roles.iter().any(|known| known == name.name).into()
        }
        ObjectType::ObjectTablespace if !catalog.tablespaces.is_empty() => {
            let built_in = matches!(name.name, "pg_default" | "pg_global");
            (built_in || catalog.tablespaces.iter().any(|known| known == name.name)).into()
        }
        _ => Existence::Unknown,
    }
}

/// Only enabled event triggers are in the catalog, so one that is not found may still exist.
fn event_trigger(resolver: &Resolver<'_>, name: &str) -> Existence {
    if resolver.catalog.event_triggers.contains_key(name) { Existence::Present } else { Existence::Unknown }
}

/// The user-defined functions a name with arguments stands for.
pub(super) fn functions<'a>(resolver: &Resolver<'a>, kind: ObjectType, object: &ObjectWithArgs) -> Vec<&'a Function> {
    let Some(name) = Qualified::from_nodes(&object.objname) else { return Vec::new() };
    let wanted = |function: &Function| match kind {
        ObjectType::ObjectFunction => matches!(function.kind, 'f' | 'w'),
        ObjectType::ObjectProcedure => function.kind == 'p',
        ObjectType::ObjectAggregate => function.kind == 'a',
        _ => true,
    };
    resolver
        .functions_named(name)
        .into_iter()
        .filter(|function| wanted(function) && argument_types(object).is_none_or(|types| takes(function, &types)))
        .collect()
}

/// Whether the function's input arguments have these types.
fn takes(function: &Function, types: &[&TypeName]) -> bool {
    let text = format!("DROP FUNCTION f({})", function.arguments);
    let Ok(parsed) = crate::sql::parse(&text) else { return true };
    let Some(NodeEnum::DropStmt(drop)) = parsed.first().map(|statement| &statement.node) else { return true };
    let Some(NodeEnum::ObjectWithArgs(declared)) = drop.objects.first().and_then(|node| node.node.as_ref()) else {
        return true;
    };
    let declared = argument_types(declared).unwrap_or_default();
    declared.len() == types.len() && declared.iter().zip(types).all(|(declared, given)| same_type(declared, given))
}

/// Whether two type names can be the same type: the schema may be left out of either.
pub(super) fn same_type(a: &TypeName, b: &TypeName) -> bool {
    let last = |name: &TypeName| name.names.last().and_then(|node| string(node.node.as_ref()?)).map(str::to_owned);
    last(a) == last(b) && a.array_bounds.is_empty() == b.array_bounds.is_empty()
}

/// Says that the object does not exist, as the server does.
pub(super) fn refuse_missing(impact: &mut Impact, resolver: &Resolver<'_>, kind: ObjectType, object: &NodeEnum) {
    let name = Qualified::from_object(object).map(|name| name.shown()).unwrap_or_default();
    if let NodeEnum::ObjectWithArgs(with) = object
        && matches!(kind, ObjectType::ObjectFunction | ObjectType::ObjectProcedure | ObjectType::ObjectAggregate)
        && !functions(resolver, ObjectType::ObjectRoutine, with).is_empty()
    {
        let article = if kind == ObjectType::ObjectAggregate { "an" } else { "a" };
        let message = format!("{name} is not {article} {}", word(kind));
        return impact.refuse("42809", message, "Use the statement for the kind of routine it is, or ROUTINE.");
    }
    match kind {
        ObjectType::ObjectSchema => refusal::missing_schema(impact, &name),
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => impact.refuse(
            "42883",
            format!("{} {name} with these arguments does not exist", word(kind)),
            "Check the name and the argument types, or create it first.",
        ),
        _ => refusal::missing_object(impact, word(kind), &name),
    }
}

/// 42704 for a trigger, policy, rule or constraint that the table does not have.
pub(super) fn refuse_missing_part(impact: &mut Impact, kind: ObjectType, part: &str, table: Rel<'_>) {
    impact.refuse(
        "42704",
        format!("{} \"{part}\" for table \"{}\" does not exist", word(kind), table.name.name),
        "Check the name with \\d in psql, or use IF EXISTS where the statement has it.",
    );
}

/// The kind of object as messages name it.
pub(super) fn word(kind: ObjectType) -> &'static str {
    match kind {
        ObjectType::ObjectTable => "table",
        ObjectType::ObjectView => "view",
        ObjectType::ObjectMatview => "materialized view",
        ObjectType::ObjectForeignTable => "foreign table",
        ObjectType::ObjectSequence => "sequence",
        ObjectType::ObjectIndex => "index",
        ObjectType::ObjectSchema => "schema",
        ObjectType::ObjectType | ObjectType::ObjectDomain => "type",
        ObjectType::ObjectFunction => "function",
        ObjectType::ObjectProcedure => "procedure",
        ObjectType::ObjectRoutine => "routine",
        ObjectType::ObjectAggregate => "aggregate",
        ObjectType::ObjectExtension => "extension",
        ObjectType::ObjectPublication => "publication",
        ObjectType::ObjectSubscription => "subscription",
        ObjectType::ObjectEventTrigger => "event trigger",
        ObjectType::ObjectStatisticExt => "statistics object",
        ObjectType::ObjectRole => "role",
        ObjectType::ObjectTablespace => "tablespace",
        ObjectType::ObjectTrigger => "trigger",
        ObjectType::ObjectPolicy => "policy",
        ObjectType::ObjectRule => "rule",
        ObjectType::ObjectTabconstraint | ObjectType::ObjectDomconstraint => "constraint",
        _ => "object",
    }
}

/// Whether a statement for one kind of relation accepts the other (`COMMENT ON TABLE` a partitioned one).
pub(super) fn relation_matches(kind: ObjectType, relation: RelationKind) -> bool {
    match kind {
        ObjectType::ObjectTable => relation.is_table(),
        ObjectType::ObjectView => relation == RelationKind::View,
        ObjectType::ObjectMatview => relation == RelationKind::MaterializedView,
        ObjectType::ObjectForeignTable => relation == RelationKind::ForeignTable,
        ObjectType::ObjectSequence => relation == RelationKind::Sequence,
        ObjectType::ObjectIndex => relation.is_index(),
        _ => false,
    }
}

/// The kind with its article: `a table`.
pub(super) fn relation_phrase(kind: ObjectType) -> &'static str {
    match kind {
        ObjectType::ObjectView => "a view",
        ObjectType::ObjectMatview => "a materialized view",
        ObjectType::ObjectForeignTable => "a foreign table",
        ObjectType::ObjectSequence => "a sequence",
        ObjectType::ObjectIndex => "an index",
        _ => "a table",
    }
}

/// Columns every table has without declaring them.
pub(super) fn is_system_column(name: &str) -> bool {
    matches!(name, "tableoid" | "cmax" | "xmax" | "cmin" | "xmin" | "ctid")
}

impl<'a> Resolver<'a> {
    /// The attributes of the free-standing composite type of that name.
    pub(super) fn composite(&self, name: Qualified<'_>) -> Option<&'a [Column]> {
        self.composite_named(name).map(|(_, attributes)| attributes)
    }

    /// [`Resolver::composite`] with the qualified name.
    pub(super) fn composite_named(&self, name: Qualified<'_>) -> Option<(&'a Name, &'a [Column])> {
        match self.type_lookup(name) {
            TypeLookup::User(name, found) => match &found.kind {
                TypeKind::Composite { attributes } => Some((name, attributes)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The constraints of the domain of that name.
    pub(super) fn domain(&self, name: Qualified<'_>) -> Option<&'a [DomainConstraint]> {
        match self.type_lookup(name) {
            TypeLookup::User(_, found) => match &found.kind {
                TypeKind::Domain { constraints, .. } => Some(constraints),
                _ => None,
            },
            _ => None,
        }
    }

    /// The extended statistics object of that name and the table it is on.
    pub(super) fn statistics(&self, name: Qualified<'_>) -> Option<&'a crate::catalog::ExtendedStatistics> {
        let of_schema = |schema: &str| self.catalog.statistics.get(&crate::catalog::Name::new(schema, name.name));
        if !name.schema.is_empty() {
            return of_schema(name.schema);
        }
        self.catalog.server.search_path.iter().find_map(|schema| of_schema(schema))
    }
}
