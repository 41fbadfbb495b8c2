//! `COMMENT ON`.

use pg_query::protobuf::{CommentStmt, ObjectType, node};

use super::edit::{Edit, Outcome, fail};
use super::{names, statistics};
use crate::catalog::TypeKind;
use crate::sql::quote;

/// `COMMENT ON`: an empty comment is none.
pub(super) fn comment(edit: &mut Edit<'_>, statement: &CommentStmt) -> Outcome {
    let text = Some(statement.comment.clone()).filter(|text| !text.is_empty());
    let object = statement.object.as_deref();
    let parts = names::parts(object);
    match ObjectType::try_from(statement.objtype).unwrap_or(ObjectType::Undefined) {
        ObjectType::ObjectTable
        | ObjectType::ObjectIndex
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectSequence
        | ObjectType::ObjectForeignTable => {
            let name = names::relation_of(edit, &parts)?;
            edit.relation_mut(&name)?.comment = text;
            Ok(())
        }
        ObjectType::ObjectColumn => on_column(edit, &parts, text),
        ObjectType::ObjectTabconstraint
        | ObjectType::ObjectTrigger
        | ObjectType::ObjectRule
        | ObjectType::ObjectPolicy => on_part(edit, statement.objtype, &parts, text),
        ObjectType::ObjectType | ObjectType::ObjectDomain => {
            let name = names::existing_type(edit, &parts)?;
            edit.type_mut(&name)?.comment = text;
            Ok(())
        }
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => {
            let Some(node::Node::ObjectWithArgs(object)) = object.and_then(|object| object.node.as_ref()) else {
                fail!("the statement names no function");
            };
            let at = names::function(edit, object)?;
            edit.function_mut(at).comment = text;
            Ok(())
        }
        ObjectType::ObjectSchema => {
            let name = parts.first().cloned().unwrap_or_default();
            match edit.small().schemas.get_mut(&name) {
                Some(schema) => {
                    schema.comment = text;
                    Ok(())
                }
                None => fail!("schema {} does not exist", quote::ident(&name)),
            }
        }
        ObjectType::ObjectStatisticExt => {
            let Some(name) = statistics::find(edit, &parts) else {
                fail!("statistics object {} does not exist", names::spelled(&parts));
            };
            if let Some(found) = edit.small().statistics.get_mut(&name) {
                found.comment = text;
            }
            Ok(())
        }
        // Databases, extensions, roles, operators and the like have no comment in the catalog.
        _ => Ok(()),
    }
}

fn on_column(edit: &mut Edit<'_>, parts: &[String], text: Option<String>) -> Outcome {
    let Some((column, of)) = parts.split_last() else { fail!("the statement names no column") };
    let (schema, relation) = names::split(of);
    let columns = match names::find_relation_by(edit, schema, relation) {
        Some(name) => &mut edit.relation_mut(&name)?.columns,
        None => {
            let name = names::existing_type(edit, of)?;
            match &mut edit.type_mut(&name)?.kind {
                TypeKind::Composite { attributes } => attributes,
                _ => fail!("{name} has no columns"),
            }
        }
    };
    match columns.iter_mut().find(|own| own.name == *column) {
        Some(own) => {
            own.comment = text;
            Ok(())
        }
        None => fail!("column {} of {} does not exist", quote::ident(column), names::spelled(of)),
    }
}

/// Constraints, triggers, rules and policies: their name stands behind the table's.
fn on_part(edit: &mut Edit<'_>, kind: i32, parts: &[String], text: Option<String>) -> Outcome {
    let Some((name, table)) = parts.split_last() else { fail!("the statement names no object") };
    let table = names::relation_of(edit, table)?;
    let relation = edit.relation_mut(&table)?;
    let place = match ObjectType::try_from(kind).unwrap_or(ObjectType::Undefined) {
        ObjectType::ObjectTrigger => {
            relation.triggers.iter_mut().find(|own| own.name == *name).map(|own| &mut own.comment)
        }
        ObjectType::ObjectRule => relation.rules.iter_mut().find(|own| own.name == *name).map(|own| &mut own.comment),
        ObjectType::ObjectPolicy => {
            relation.policies.iter_mut().find(|own| own.name == *name).map(|own| &mut own.comment)
        }
        _ => relation.constraints.iter_mut().find(|own| own.name == *name).map(|own| &mut own.comment),
    };
    match place {
        Some(place) => {
            *place = text;
            Ok(())
        }
        None => fail!("{} of {table} does not exist", quote::ident(name)),
    }
}
