//! CREATE TYPE, CREATE DOMAIN, and the statements of the same shape (aggregates, operators, collations, text
//! search objects). None locks a relation.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTypeStmt, CompositeTypeStmt, ConstrType, CreateDomainStmt, CreateEnumStmt, CreateRangeStmt, DefineStmt,
    ObjectType,
};

use crate::catalog::{Column, DataType, Relation, RelationKind, types};
use crate::plan::analyze::expression::{self, Place, uncollatable};
use crate::plan::analyze::lookup::TypeLookup;
use crate::plan::analyze::names::{Qualified, strings};
use crate::plan::analyze::refusal::{missing_object, object_exists, require_schema};
use crate::plan::analyze::{Impact, Resolver};

/// Checks the name of a new type: its schema exists, and neither a type nor a relation has the name.
fn new_type(impact: &mut Impact, resolver: &Resolver<'_>, names: Qualified<'_>) {
    require_schema(impact, resolver, names.schema);
    let name = resolver.creation_name(names.schema, names.name);
    let relation = resolver.get(&name).is_some_and(|taken| !taken.relation.kind.is_index());
    if relation || resolver.type_exists(&name) {
        object_exists(impact, "type", &name.name);
    }
}

fn require_type(impact: &mut Impact, resolver: &Resolver<'_>, name: Option<&pg_query::protobuf::TypeName>) {
    if let Some(name) = name
        && let TypeLookup::Missing = resolver.type_named(name)
    {
        let shown = Qualified::from_type(name).map(|name| name.shown()).unwrap_or_default();
        missing_object(impact, "type", &shown);
    }
}

pub(in crate::plan::analyze) fn create_enum(statement: &CreateEnumStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = Qualified::from_nodes(&statement.type_name) else { return impact };
    new_type(&mut impact, resolver, name);
    let labels = strings(&statement.vals);
    if labels.iter().collect::<BTreeSet<_>>().len() != labels.len() {
        impact.refuse("23505", format!("a label of {} is given twice", name.shown()), "Give each label once.");
    }
    impact
}

pub(in crate::plan::analyze) fn create_domain(statement: &CreateDomainStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = Qualified::from_nodes(&statement.domainname) else { return impact };
    new_type(&mut impact, resolver, name);
    require_type(&mut impact, resolver, statement.type_name.as_ref());
    let base = statement.type_name.as_ref().and_then(|name| types::resolve_type(name, resolver.catalog));
    if statement.coll_clause.is_some()
        && let Some(problem) = base.as_ref().and_then(|base| uncollatable(base, resolver.catalog))
    {
        impact.refuse(problem.sqlstate, problem.message, problem.hint);
    }
    domain_constraints(&mut impact, statement, base);
    impact
}

/// Defaults, checks, and NULL beside NOT NULL.
fn domain_constraints(impact: &mut Impact, statement: &CreateDomainStmt, base: Option<DataType>) {
    let nothing = Relation::new(RelationKind::Table, "");
    let mut value = nothing.clone();
    value.columns.extend(base.map(|base| Column::new("value".to_owned(), base)));
    let (mut null, mut not_null) = (false, false);
    for node in &statement.constraints {
        let Some(NodeEnum::Constraint(constraint)) = &node.node else { continue };
        let (place, over) = match constraint.contype() {
            ConstrType::ConstrDefault => (Place::Default, &nothing),
            ConstrType::ConstrCheck if !value.columns.is_empty() => (Place::Check, &value),
            ConstrType::ConstrNull => {
                null = true;
                continue;
            }
            ConstrType::ConstrNotnull => {
                not_null = true;
                continue;
            }
            ConstrType::ConstrUnique
            | ConstrType::ConstrPrimary
            | ConstrType::ConstrForeign
            | ConstrType::ConstrExclusion => {
                let message = "domains have CHECK and NOT NULL constraints only";
                impact.refuse("42601", message, "Put the constraint on the tables.");
                continue;
            }
            _ => continue,
        };
        if let Some(expression) = constraint.raw_expr.as_deref()
            && let Err(problem) = expression::check(expression, over, place)
        {
            impact.refuse(problem.sqlstate, problem.message, problem.hint);
        }
    }
    if null && not_null {
        impact.refuse("42601", "conflicting NULL/NOT NULL constraints", "Keep one of the two.");
    }
}

pub(in crate::plan::analyze) fn create_composite(statement: &CompositeTypeStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.typevar else { return impact };
    new_type(&mut impact, resolver, Qualified::from_range(name));
    let mut seen = BTreeSet::new();
    for node in &statement.coldeflist {
        let Some(NodeEnum::ColumnDef(attribute)) = &node.node else { continue };
        if !seen.insert(&attribute.colname) {
            impact.refuse(
                "42701",
                format!("column \"{}\" specified more than once", attribute.colname),
                "Give each attribute its own name.",
            );
        }
        require_type(&mut impact, resolver, attribute.type_name.as_ref());
    }
    impact
}

pub(in crate::plan::analyze) fn create_range(statement: &CreateRangeStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = Qualified::from_nodes(&statement.type_name) else { return impact };
    new_type(&mut impact, resolver, name);
    for node in &statement.params {
        if let Some(NodeEnum::DefElem(param)) = &node.node
            && param.defname == "subtype"
            && let Some(NodeEnum::TypeName(subtype)) = param.arg.as_ref().and_then(|arg| arg.node.as_ref())
        {
            require_type(&mut impact, resolver, Some(subtype));
        }
    }
    impact
}

/// CREATE TYPE with functions in C, CREATE AGGREGATE, OPERATOR, COLLATION, TEXT SEARCH ...
pub(in crate::plan::analyze) fn define(statement: &DefineStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = Qualified::from_nodes(&statement.defnames) else { return impact };
    if statement.kind == ObjectType::ObjectType as i32 {
        new_type(&mut impact, resolver, name);
    } else if statement.kind == ObjectType::ObjectAggregate as i32 {
        require_schema(&mut impact, resolver, name.schema);
    }
    impact
}

/// ALTER TYPE ... SET (...): catalog only.
pub(in crate::plan::analyze) fn alter_type(statement: &AlterTypeStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    if let Some(name) = Qualified::from_nodes(&statement.type_name)
        && let TypeLookup::Missing = resolver.type_lookup(name)
    {
        missing_object(&mut impact, "type", &name.shown());
    }
    impact
}
