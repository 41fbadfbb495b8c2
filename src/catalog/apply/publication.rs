//! Publications.

use pg_query::protobuf::{
    AlterPublicationAction, AlterPublicationStmt, CreatePublicationStmt, Node, PublicationObjSpecType, node,
};

use super::edit::{Edit, Outcome, fail};
use super::names;
use crate::catalog::expression::{Scope, cook_condition, strings};
use crate::catalog::{ColumnReference, Name, Publication};
use crate::sql::quote;

/// The objects of a list: tables with the columns they mention, and schemas.
#[derive(Default)]
struct Members {
    tables: Vec<Name>,
    columns: Vec<ColumnReference>,
    schemas: Vec<String>,
}

fn members(edit: &Edit<'_>, nodes: &[Node]) -> Outcome<Members> {
    let mut out = Members::default();
    // An entry may go on with the kind of the one before.
    let mut schema_before = false;
    for node in nodes {
        let Some(node::Node::PublicationObjSpec(object)) = &node.node else { continue };
        let kind = PublicationObjSpecType::try_from(object.pubobjtype).unwrap_or(PublicationObjSpecType::Undefined);
        match (kind, object.pubtable.as_deref()) {
            (PublicationObjSpecType::PublicationobjTablesInSchema, _) => {
                out.schemas.push(object.name.clone());
                schema_before = true;
            }
            (PublicationObjSpecType::PublicationobjTablesInCurSchema, _) => {
                out.schemas.extend(edit.server.search_path.first().cloned());
                schema_before = true;
            }
            (PublicationObjSpecType::PublicationobjContinuation, None) if schema_before => {
                out.schemas.push(object.name.clone());
            }
            (_, Some(table)) => {
                schema_before = false;
                let name = names::relation(edit, table.relation.as_ref())?;
                let relation = edit.relation(&name)?;
                let listed = strings(&table.columns);
                let of = |column: String| ColumnReference { relation: name.clone(), column: Some(column) };
                out.columns.extend(listed.into_iter().map(of));
                if let Some(condition) = table.where_clause.as_deref() {
                    let cooked = cook_condition(edit, &Scope::table(&name, relation), condition)?;
                    out.columns.extend(cooked.uses.references());
                }
                out.tables.push(name);
            }
            (_, None) => {
                let name = names::relation_of(edit, std::slice::from_ref(&object.name))?;
                out.tables.push(name);
            }
        }
    }
    for schema in &out.schemas {
        if !edit.schemas.contains_key(schema) {
            fail!("schema {} does not exist", quote::ident(schema));
        }
    }
    Ok(out)
}

/// `publish = '..'`: all operations without it.
fn updates_or_deletes(options: &[Node]) -> Option<bool> {
    let element = names::options(options).find(|element| element.defname == "publish")?;
    let list = names::option_text(element.arg.as_deref())?;
    Some(list.split(',').any(|word| matches!(word.trim(), "update" | "delete")))
}

fn order(publication: &mut Publication) {
    publication.tables.sort();
    publication.tables.dedup();
    publication.columns.sort();
    publication.columns.dedup();
    publication.schemas.sort();
    publication.schemas.dedup();
}

/// `CREATE PUBLICATION`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &CreatePublicationStmt) -> Outcome {
    if edit.publications.contains_key(&statement.pubname) {
        fail!("publication {} already exists", quote::ident(&statement.pubname));
    }
    let members = members(edit, &statement.pubobjects)?;
    let mut publication = Publication {
        all_tables: statement.for_all_tables,
        tables: members.tables,
        schemas: members.schemas,
        owner: edit.server.user.clone(),
        updates_or_deletes: updates_or_deletes(&statement.options).unwrap_or(true),
        columns: members.columns,
    };
    order(&mut publication);
    edit.small().publications.insert(statement.pubname.clone(), publication);
    Ok(())
}

/// `ALTER PUBLICATION`.
pub(super) fn alter(edit: &mut Edit<'_>, statement: &AlterPublicationStmt) -> Outcome {
    let members = members(edit, &statement.pubobjects)?;
    let Some(publication) = edit.small().publications.get_mut(&statement.pubname) else {
        fail!("publication {} does not exist", quote::ident(&statement.pubname));
    };
    if let Some(wished) = updates_or_deletes(&statement.options) {
        publication.updates_or_deletes = wished;
    }
    if statement.pubobjects.is_empty() {
        return Ok(());
    }
    match AlterPublicationAction::try_from(statement.action).unwrap_or(AlterPublicationAction::Undefined) {
        AlterPublicationAction::ApDropObjects => {
            publication.tables.retain(|own| !members.tables.contains(own));
            publication.columns.retain(|own| !members.tables.contains(&own.relation));
            publication.schemas.retain(|own| !members.schemas.contains(own));
        }
        AlterPublicationAction::ApSetObjects => {
            publication.tables = members.tables;
            publication.columns = members.columns;
            publication.schemas = members.schemas;
        }
        _ => {
            publication.tables.extend(members.tables);
            publication.columns.extend(members.columns);
            publication.schemas.extend(members.schemas);
        }
    }
    order(publication);
    Ok(())
}
