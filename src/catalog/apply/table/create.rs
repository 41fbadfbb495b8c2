//! `CREATE TABLE`.

use pg_query::protobuf::{ColumnDef, CreateStmt, TableLikeClause, node};

use super::super::constraint::{self, Wished};
use super::super::edit::{Edit, Outcome, fail};
use super::super::sequence::persistence;
use super::super::{names, options, partition, privileges};
use super::columns::{self, Prepared};
use super::{inherit, like};
use crate::catalog::naming;
use crate::catalog::{Column, ColumnDetails, Name, Relation, RelationKind, Statistics, TypeKind};
use crate::sql::quote;

/// Where the columns of the new table come from, besides its own list.
struct Plan<'a> {
    prepared: Vec<Prepared>,
    /// Columns in the table's order.
    order: Vec<Column>,
    wished: Vec<Wished>,
    likes: Vec<&'a TableLikeClause>,
}

/// `CREATE TABLE`, typed tables and partitions included.
pub(in super::super) fn create(edit: &mut Edit<'_>, statement: &CreateStmt) -> Outcome {
    let Some(range) = &statement.relation else { fail!("the statement names no table") };
    let name = names::creation_of(edit, range)?;
    if naming::relation_exists(edit, &name) {
        if statement.if_not_exists {
            return Ok(());
        }
        fail!("relation {name} already exists");
    }
    if edit.types.contains_key(&name) {
        fail!("type {name} already exists");
    }
    let kind = if statement.partspec.is_some() { RelationKind::PartitionedTable } else { RelationKind::Table };
    table(edit, statement, &name, kind)
}

/// Adds a table of the kind under a name that is free.
pub(super) fn table(edit: &mut Edit<'_>, statement: &CreateStmt, name: &Name, kind: RelationKind) -> Outcome {
    let letter = statement.relation.as_ref().map_or("p", |range| range.relpersistence.as_str());
    let owner = edit.server.user.clone();
    let mut relation = Relation::new(kind, owner.clone());
    relation.persistence = persistence(letter);
    relation.options = options::of(&statement.options);
    relation.tablespace = tablespace(edit, &statement.tablespacename);
    relation.privileges = privileges::initial(edit, 'r', &name.schema, &owner);
    if kind != RelationKind::ForeignTable {
        relation.access_method = access_method(edit, &statement.access_method, kind);
    }
    relation.stats = Statistics { rows: -1, empty: kind.has_heap(), ..Statistics::default() };
    let parents = parents(edit, statement)?;
    let plan = plan(edit, statement, &parents)?;
    if let Some(of) = &statement.of_typename {
        relation.of_type = Some(names::data_type(edit, Some(of))?.name);
    }
    relation.columns = plan.order;
    let sequences = columns::create_sequences(edit, name, &relation, &plan.prepared)?;
    relation.parents = parents.clone();
    edit.put_relation(name.clone(), relation);
    columns::finish(edit, name, &plan.prepared, &sequences)?;
    if let Some(specification) = &statement.partspec {
        partition::set_key(edit, name, specification)?;
    }
    let is_partition = statement.partbound.is_some();
    inherit::constraints(edit, name, &parents)?;
    for clause in &plan.likes {
        like::constraints(edit, name, clause)?;
    }
    constraint::add_all(edit, name, &plan.wished, true)?;
    for clause in &plan.likes {
        like::rest(edit, name, clause)?;
    }
    if let (true, Some(bound), Some(parent)) = (is_partition, &statement.partbound, parents.first()) {
        partition::create(edit, name, parent, bound)?;
    }
    Ok(())
}

/// Empty for the database's own tablespace.
pub(in super::super) fn tablespace(edit: &Edit<'_>, wished: &str) -> String {
    let wished = if wished.is_empty() { edit.server.session_tablespace.as_str() } else { wished };
    if wished == edit.server.default_tablespace { String::new() } else { wished.to_owned() }
}

/// A partitioned table has one only if the statement says so (17+).
pub(in super::super) fn access_method(edit: &Edit<'_>, wished: &str, kind: RelationKind) -> String {
    let default = edit.server.default_table_access_method.as_str();
    match (kind, wished) {
        (RelationKind::PartitionedTable, wished) => wished.to_owned(),
        (_, "") if default.is_empty() => "heap".to_owned(),
        (_, "") => default.to_owned(),
        (_, wished) => wished.to_owned(),
    }
}

fn parents(edit: &Edit<'_>, statement: &CreateStmt) -> Outcome<Vec<Name>> {
    let parent = |node: &pg_query::protobuf::Node| match &node.node {
        Some(node::Node::RangeVar(range)) => names::relation(edit, Some(range)),
        _ => fail!("a parent of the table is not a name"),
    };
    statement.inh_relations.iter().map(parent).collect()
}

fn plan<'a>(edit: &Edit<'_>, statement: &'a CreateStmt, parents: &[Name]) -> Outcome<Plan<'a>> {
    let is_partition = statement.partbound.is_some();
    let mut plan = Plan {
        prepared: Vec::new(),
        order: inherit::columns(edit, parents, is_partition)?,
        wished: Vec::new(),
        likes: Vec::new(),
    };
    if let Some(of) = &statement.of_typename {
        let composite = names::data_type(edit, Some(of))?.name;
        plan.order = composite_columns(edit, &composite)?;
    }
    let typed = is_partition || statement.of_typename.is_some();
    for element in &statement.table_elts {
        match &element.node {
            Some(node::Node::ColumnDef(definition)) if typed && !columns::has_type(definition) => {
                options_of(&mut plan, definition)?;
            }
            Some(node::Node::ColumnDef(definition)) => own_column(edit, &mut plan, definition)?,
            Some(node::Node::Constraint(found)) => {
                plan.wished.push(Wished { node: (**found).clone(), column: None, new: true });
            }
            Some(node::Node::TableLikeClause(clause)) => {
                for column in like::columns(edit, clause)? {
                    if plan.order.iter().any(|other| other.name == column.name) {
                        fail!("column {} is specified more than once", quote::ident(&column.name));
                    }
                    plan.order.push(column);
                }
                plan.likes.push(clause);
            }
            _ => {}
        }
    }
    let also = statement.constraints.iter().chain(&statement.nnconstraints).filter_map(|node| match &node.node {
        Some(node::Node::Constraint(found)) => Some(Wished { node: (**found).clone(), column: None, new: true }),
        _ => None,
    });
    plan.wished.extend(also);
    Ok(plan)
}

/// A column of the statement's own list; one that is inherited too is merged with it.
fn own_column(edit: &Edit<'_>, plan: &mut Plan<'_>, definition: &ColumnDef) -> Outcome {
    let mut prepared = columns::prepare(edit, definition)?;
    let name = &prepared.column.name;
    match plan.order.iter_mut().find(|other| other.name == *name) {
        Some(inherited) if inherited.inherited > 0 && !inherited.local => {
            inherited.local = true;
            prepared.column = inherited.clone();
        }
        Some(_) => fail!("column {} is specified more than once", quote::ident(name)),
        None => plan.order.push(prepared.column.clone()),
    }
    plan.wished.extend(prepared.wished.iter().cloned());
    plan.prepared.push(prepared);
    Ok(())
}

/// `column WITH OPTIONS ...` of a typed table or a partition.
fn options_of(plan: &mut Plan<'_>, definition: &ColumnDef) -> Outcome {
    let Some(column) = plan.order.iter().find(|column| column.name == definition.colname) else {
        fail!("column {} does not exist", quote::ident(&definition.colname));
    };
    let prepared = columns::prepare_options(definition, column)?;
    plan.wished.extend(prepared.wished.iter().cloned());
    plan.prepared.push(prepared);
    Ok(())
}

/// The columns of a typed table.
pub(in super::super) fn composite_columns(edit: &Edit<'_>, composite: &Name) -> Outcome<Vec<Column>> {
    match edit.types.get(composite).map(|found| &found.kind) {
        Some(TypeKind::Composite { attributes }) => Ok(attributes
            .iter()
            .map(|attribute| {
                let mut column = Column::new(attribute.name.clone(), attribute.data_type.clone());
                column.details = ColumnDetails { collation: attribute.collation.clone(), ..Default::default() }.into();
                column
            })
            .collect()),
        _ => fail!("{composite} is not a composite type"),
    }
}

/// For a statement that makes a table without `CREATE TABLE`'s own syntax.
pub(in super::super) fn fresh(edit: &Edit<'_>, name: &Name, kind: RelationKind, letter: &str) -> Relation {
    let owner = edit.server.user.clone();
    let mut relation = Relation::new(kind, owner.clone());
    relation.persistence = persistence(letter);
    relation.privileges = privileges::initial(edit, 'r', &name.schema, &owner);
    relation.stats = Statistics { rows: -1, empty: kind.has_heap(), ..Statistics::default() };
    relation
}
