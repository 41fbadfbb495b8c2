//! `OWNER TO`.

use pg_query::protobuf::{AlterOwnerStmt, ObjectType, node};

use super::edit::{Edit, Outcome, fail};
use super::privileges::Privileges;
use super::{names, statistics};
use crate::catalog::Name;

/// Another owner, and the privileges of the old one with it.
pub(super) fn swap(owner: &mut String, privileges: &mut Vec<String>, new: &str) {
    if !privileges.is_empty() {
        let mut list = Privileges::parse(privileges);
        list.change_owner(owner, new);
        *privileges = list.print();
    }
    new.clone_into(owner);
}

/// A relation with its indexes and the sequences its columns own.
pub(super) fn of_relation(edit: &mut Edit<'_>, name: &Name, new: &str) -> Outcome {
    let relation = edit.relation_mut(name)?;
    let old = relation.owner.clone();
    if old != new {
        swap(&mut relation.owner, &mut relation.details.privileges, new);
        for column in relation.columns.iter_mut().filter(|column| !column.privileges.is_empty()) {
            let mut list = Privileges::parse(&column.privileges);
            list.change_owner(&old, new);
            column.privileges = list.print();
        }
    }
    for index in names::indexes(edit, name) {
        new.clone_into(&mut edit.relation_mut(&index)?.owner);
    }
    for sequence in names::owned_sequences(edit, name) {
        let relation = edit.relation_mut(&sequence)?;
        swap(&mut relation.owner, &mut relation.details.privileges, new);
    }
    Ok(())
}

/// A type.
pub(super) fn of_type(edit: &mut Edit<'_>, name: &Name, new: &str) -> Outcome {
    let user_type = edit.type_mut(name)?;
    swap(&mut user_type.owner, &mut user_type.privileges, new);
    Ok(())
}

/// The function at that position.
pub(super) fn of_function(edit: &mut Edit<'_>, at: usize, new: &str) {
    let function = edit.function_mut(at);
    swap(&mut function.owner, &mut function.privileges, new);
}

/// `ALTER .. OWNER TO` of what is not a relation.
pub(super) fn alter(edit: &mut Edit<'_>, statement: &AlterOwnerStmt) -> Outcome {
    let Some(new) = &statement.newowner else { fail!("the statement names no owner") };
    let new = names::role(edit, new);
    let object = statement.object.as_deref();
    let parts = names::parts(object);
    let first = parts.first().cloned().unwrap_or_default();
    match ObjectType::try_from(statement.object_type).unwrap_or(ObjectType::Undefined) {
        ObjectType::ObjectType | ObjectType::ObjectDomain => {
            let name = names::existing_type(edit, &parts)?;
            of_type(edit, &name, &new)
        }
        ObjectType::ObjectFunction
        | ObjectType::ObjectProcedure
        | ObjectType::ObjectRoutine
        | ObjectType::ObjectAggregate => {
            let Some(node::Node::ObjectWithArgs(object)) = object.and_then(|object| object.node.as_ref()) else {
                fail!("the statement names no function");
            };
            let at = names::function(edit, object)?;
            of_function(edit, at, &new);
            Ok(())
        }
        ObjectType::ObjectSchema => match edit.small().schemas.get_mut(&first) {
            Some(schema) => {
                swap(&mut schema.owner, &mut schema.privileges, &new);
                Ok(())
            }
            None => fail!("schema {} does not exist", names::spelled(&parts)),
        },
        ObjectType::ObjectStatisticExt => {
            let Some(name) = statistics::find(edit, &parts) else {
                fail!("statistics object {} does not exist", names::spelled(&parts));
            };
            if let Some(found) = edit.small().statistics.get_mut(&name) {
                found.owner = new;
            }
            Ok(())
        }
        ObjectType::ObjectPublication => match edit.small().publications.get_mut(&first) {
            Some(publication) => {
                publication.owner = new;
                Ok(())
            }
            None => fail!("publication {} does not exist", names::spelled(&parts)),
        },
        // Databases, servers, languages and the like are not in the catalog.
        _ => Ok(()),
    }
}
